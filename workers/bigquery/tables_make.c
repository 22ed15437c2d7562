/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is made: datasets, histories, bases.
 *
 * The identity (__source, __txid, __idx) is the history's declared primary key, not the key of the source: BigQuery does not
 * enforce it but believes it, when it plans joins, and a history has many rows of one source key.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/tables_shape.h"
#include "workers/bigquery/tables_shape_parts.h"

#define SOURCE_TYPE_BYTES_MAX 500 /* of a description, which may have 1,024 characters: an ENUM can be long */

json_t *shape_dataset(const struct shape_making *making)
{
    json_t *dataset = json_pack("{s:{s:s, s:s}, s:s, s:o}", "datasetReference", "projectId", making->names->project,
                                "datasetId", making->names->dataset, "location", making->settings->bigquery.location, "labels",
                                shape_labels(making, NULL));

    must(dataset != NULL);
    return dataset;
}

unsigned shape_key_place(const struct table *table, size_t column)
{
    for (size_t i = 0; i < table->key_count; i++) {
        if (table->key[i] == column) {
            return (unsigned)i + 1;
        }
    }
    return 0;
}

void shape_append_description(struct buffer *out, const struct table *table, size_t column)
{
    const char *type = table->columns[column].source_type;
    size_t size = strlen(type);
    unsigned key = shape_key_place(table, column);

    buffer_printf(out, "%s ", table->columns[column].name);
    if (size > SOURCE_TYPE_BYTES_MAX) {
        for (size = SOURCE_TYPE_BYTES_MAX; size > 0 && ((unsigned char)type[size] & 0xc0) == 0x80;) {
            size--;
        }
    }
    buffer_append(out, type, size);
    buffer_append_text(out, type[size] != '\0' ? "..." : "");
    if (key > 0) {
        buffer_printf(out, SHAPE_KEY_FLAG "%u", key);
    }
}

static json_t *make_field(const char *name, enum bigquery_type type, const char *mode, const char *description)
{
    json_t *field = json_pack("{s:s, s:s, s:s}", "name", name, "type", bigquery_type_word(type), "mode", mode);

    must(field != NULL);
    if (description != NULL) {
        json_t *text = json_string(description);

        shape_set(field, "description", text != NULL ? text : json_string("")); /* a type's text that is no UTF-8 */
    }
    return field;
}

json_t *shape_column_field(const struct table *table, size_t column, const char *name)
{
    struct buffer description = {0};
    json_t *field;

    shape_append_description(&description, table, column);
    field = make_field(name, bigquery_type_of(&table->columns[column]), "NULLABLE", buffer_text(&description));
    buffer_deinit(&description);
    return field;
}

/* The metadata is never null. REQUIRED as its fields in a load file's Avro schema are: BigQuery compares a column's mode with
 * that of the file. */
static json_t *history_fields(const struct table *table)
{
    static const char *const words[BIGQUERY_META_COUNT] = {
        [BIGQUERY_META_OP] = "c insert, u update, d delete, r read by a snapshot, t truncate",
        [BIGQUERY_META_TS] = "Commit time as the source reported it",
        [BIGQUERY_META_SEQ] = "Number of the transaction: order is by (__seq, __idx)",
        [BIGQUERY_META_IDX] = "Number of the row image in its transaction",
        [BIGQUERY_META_SOURCE] = "The source's name in the pipeline",
        [BIGQUERY_META_TXID] = "The transaction at the source; (__source, __txid, __idx) names a change",
        [BIGQUERY_META_INGEST_DAY] = "UTC day on which the row was sent to BigQuery; the partition",
    };
    json_t *fields = json_array();
    struct buffer name = {0};

    for (size_t i = 0; i < table->column_count; i++) {
        buffer_clear(&name);
        bigquery_column_name(&name, table->columns[i].name);
        must(json_array_append_new(fields, shape_column_field(table, i, buffer_text(&name))) == 0);
    }
    for (int i = 0; i < BIGQUERY_META_COUNT; i++) {
        json_t *field = make_field(bigquery_meta_columns[i].name, bigquery_meta_columns[i].type, "REQUIRED", words[i]);

        must(json_array_append_new(fields, field) == 0);
    }
    buffer_deinit(&name);
    return fields;
}

static bool may_cluster(enum bigquery_type type)
{
    return type != BIGQUERY_FLOAT64 && type != BIGQUERY_BYTES && type != BIGQUERY_JSON;
}

static json_t *cluster_columns(const struct table *table)
{
    json_t *columns = json_array();
    struct buffer name = {0};

    for (size_t i = 0; i < table->key_count && json_array_size(columns) < SHAPE_CLUSTER_MAX; i++) {
        const struct column *column = &table->columns[table->key[i]];

        if (may_cluster(bigquery_type_of(column))) {
            buffer_clear(&name);
            bigquery_column_name(&name, column->name);
            must(json_array_append_new(columns, json_string(buffer_text(&name))) == 0);
        }
    }
    buffer_deinit(&name);
    return columns;
}

json_t *shape_partitioning(const struct settings_bigquery *settings)
{
    json_t *partitions = json_pack("{s:s, s:s}", "type", "DAY", "field", "__ingest_day");
    char text[24];

    must(partitions != NULL);
    if (settings->partition_expiration_ms > 0) {
        (void)snprintf(text, sizeof text, "%" PRId64, settings->partition_expiration_ms);
        shape_set_text(partitions, "expirationMs", text);
    }
    return partitions;
}

static json_t *table_reference(const struct bigquery_names *names, const char *table)
{
    json_t *reference =
        json_pack("{s:s, s:s, s:s}", "projectId", names->project, "datasetId", names->dataset, "tableId", table);

    must(reference != NULL);
    return reference;
}

/* Takes the columns; NULL of none. */
static json_t *make_clustering(json_t *columns)
{
    json_t *clustering = NULL;

    if (json_array_size(columns) > 0) {
        clustering = json_object();
        shape_set(clustering, "fields", columns);
    } else {
        json_decref(columns);
    }
    return clustering;
}

/* Takes it; NULL is fine. */
static void set_clustering(json_t *body, json_t *clustering)
{
    if (clustering != NULL) {
        shape_set(body, "clustering", clustering);
    }
}

static void set_kms_key(json_t *body, const struct settings_bigquery *settings)
{
    if (settings->kms_key != NULL) {
        json_t *encryption = json_object();

        shape_set_text(encryption, "kmsKeyName", settings->kms_key);
        shape_set(body, "encryptionConfiguration", encryption);
    }
}

void shape_append_history_words(struct buffer *out, const struct bigquery_names *names, bool has_key)
{
    buffer_printf(out, SHAPE_SOURCE_BEGIN "%s" SHAPE_SOURCE_END " Its newest state: %s.", names->source,
                  has_key ? names->view : "none, since it has no primary key");
}

json_t *shape_history(const struct shape_making *making, const struct table *table)
{
    const struct settings_bigquery *settings = &making->settings->bigquery;
    struct buffer description = {0};
    json_t *body = json_object();

    shape_append_history_words(&description, making->names, table->key_count > 0);
    shape_set(body, "tableReference", table_reference(making->names, making->names->history));
    shape_set_text(body, "description", buffer_text(&description));
    shape_set(body, "labels", shape_labels(making, "history"));
    shape_set(body, "schema", json_pack("{s:o}", "fields", history_fields(table)));
    shape_set(body, "timePartitioning", shape_partitioning(settings));
    shape_set(body, "requirePartitionFilter", json_boolean(settings->require_partition_filter));
    shape_set(body, "tableConstraints", json_pack("{s:{s:[s,s,s]}}", "primaryKey", "columns", "__source", "__txid", "__idx"));
    set_clustering(body, make_clustering(cluster_columns(table)));
    set_kms_key(body, settings);
    buffer_deinit(&description);
    return body;
}

/* ---- the base */

/* Columns that stand in the base: those of the source, of types that we write. */
static bool is_kept(const struct shape_column *column)
{
    return !column->meta && column->type >= 0;
}

static json_t *copy_field(const struct shape *history, size_t column)
{
    const char *description = shape_text(json_array_get(history->fields, column), "description");

    return make_field(history->columns[column].name, (enum bigquery_type)history->columns[column].type, "NULLABLE",
                      description);
}

json_t *shape_clustering(const struct shape *history)
{
    json_t *columns = json_array();

    for (unsigned part = 1; part <= history->column_count && json_array_size(columns) < SHAPE_CLUSTER_MAX; part++) {
        for (size_t i = 0; i < history->column_count; i++) {
            const struct shape_column *column = &history->columns[i];

            if (column->key == part && !column->dropped && is_kept(column) && may_cluster((enum bigquery_type)column->type)) {
                must(json_array_append_new(columns, json_string(column->name)) == 0);
            }
        }
    }
    return make_clustering(columns);
}

json_t *shape_base(const struct shape_making *making, const struct shape *history, const char *history_hash)
{
    static const int meta[] = {BIGQUERY_META_OP, BIGQUERY_META_TS, BIGQUERY_META_SEQ, BIGQUERY_META_IDX};
    struct buffer description = {0};
    json_t *body = json_object();
    json_t *fields = json_array();
    json_t *labels = shape_labels(making, "base");

    for (size_t i = 0; i < history->column_count; i++) {
        if (is_kept(&history->columns[i])) {
            must(json_array_append_new(fields, copy_field(history, i)) == 0);
        }
    }
    for (size_t i = 0; i < sizeof meta / sizeof *meta; i++) {
        must(json_array_append_new(fields, make_field(bigquery_meta_columns[meta[i]].name, bigquery_meta_columns[meta[i]].type,
                                                      "NULLABLE", NULL)) == 0);
    }
    buffer_printf(&description, "What the view %s reads beside the newest days of %s. Deleted keys stay in it.",
                  making->names->view, making->names->history);
    shape_set_text(labels, "kakehi_history", history_hash);
    shape_set(body, "tableReference", table_reference(making->names, making->names->base));
    shape_set_text(body, "description", buffer_text(&description));
    shape_set(body, "labels", labels);
    shape_set(body, "schema", json_pack("{s:o}", "fields", fields));
    set_clustering(body, shape_clustering(history));
    set_kms_key(body, &making->settings->bigquery);
    buffer_deinit(&description);
    return body;
}

json_t *shape_base_lacks(const struct shape *base, const struct shape *history, const struct shape_column **ret_wider)
{
    json_t *fields = NULL;

    *ret_wider = NULL;
    for (size_t i = 0; i < history->column_count; i++) {
        const struct shape_column *column = &history->columns[i];
        const struct shape_column *there = shape_find(base, column->name);

        if (!is_kept(column)) {
            continue;
        }
        if (there == NULL) {
            fields = fields != NULL ? fields : json_deep_copy(base->fields);
            must(json_array_append_new(fields, copy_field(history, i)) == 0);
        } else if (there->type != column->type) {
            *ret_wider = column;
        }
    }
    return fields;
}
