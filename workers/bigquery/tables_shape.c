/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The identity (__source, __txid, __idx) is the history's declared primary key, not the key of the source: BigQuery does not
 * enforce it but believes it, when it plans joins, and a history has many rows of one source key.
 *
 * Fields of a patch are those that BigQuery gave, with what they hold that we know nothing of (policy tags, defaults), and ours
 * behind them: a patch without a column would drop it.
 *
 * What a column may become without loss, by ALTER COLUMN SET DATA TYPE: INT64 -> NUMERIC -> BIGNUMERIC, DATE -> DATETIME. To
 * FLOAT64 BigQuery converts too, but not every INT64 stays what it was. A type that BigQuery then refuses after all (it may for
 * the columns of a cluster) is treated as one that can't be widened.
 */
#include "workers/bigquery/tables_shape.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/must.h"
#include "common/utf8.h"
#include "schemas/schema.h"
#include "workers/bigquery/row_program.h"

#define LABEL_VALUE_MAX       63
#define SOURCE_TYPE_BYTES_MAX 500 /* of a description, which may have 1,024 characters: an ENUM can be long */
#define KEY_FLAG              ", key "
/* Of a history's description. */
#define SOURCE_BEGIN "Every change of "
#define SOURCE_END   ", each once."
#define DROPPED_FLAG ", dropped"

static char *copy(const char *text)
{
    char *result = text != NULL ? strdup(text) : NULL;

    must(text == NULL || result != NULL);
    return result;
}

/* ---- reading a table */

static bool is_meta(const char *name)
{
    for (int i = 0; i < BIGQUERY_META_COUNT; i++) {
        if (strcasecmp(bigquery_meta_columns[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool ends_with(const char *text, size_t size, const char *end)
{
    size_t end_size = strlen(end);

    return size >= end_size && memcmp(text + size - end_size, end, end_size) == 0;
}

/* The flags at the end of a description, from the last one on. */
static void read_flags(const char *description, struct shape_column *column)
{
    size_t size = strlen(description);
    size_t digits = 0;

    if (ends_with(description, size, DROPPED_FLAG)) {
        column->dropped = true;
        size -= strlen(DROPPED_FLAG);
    }
    while (digits < size && digits < 4 && isdigit((unsigned char)description[size - digits - 1])) {
        digits++;
    }
    if (digits > 0 && ends_with(description, size - digits, KEY_FLAG)) {
        column->key = (unsigned)strtoul(description + size - digits, NULL, 10);
    }
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

static int read_column(const json_t *field, struct shape_column *column, struct err *err)
{
    *column = (struct shape_column){.name = json_string_value(json_object_get(field, "name"))};
    if (column->name == NULL || strchr(column->name, '`') != NULL) {
        return err_set(err, ERR_RETRY, "BigQuery's answer has a column without a name");
    }
    column->type = strcmp(text_of(field, "mode"), "REPEATED") == 0 ? -1 : bigquery_type_by_word(text_of(field, "type"));
    column->meta = is_meta(column->name);
    if (!column->meta) {
        read_flags(text_of(field, "description"), column);
    }
    return 0;
}

static int64_t number_of(const json_t *object, const char *key)
{
    return strtoll(text_of(object, key), NULL, 10);
}

static int read_columns(struct shape *shape, struct err *err)
{
    size_t count = json_array_size(shape->fields);

    if (count > SHAPE_COLUMNS_MAX) {
        return err_set(err, ERR_RETRY, "BigQuery's answer has %zu columns", count);
    }
    shape->columns = calloc(count + 1, sizeof *shape->columns);
    must(shape->columns != NULL);
    for (; shape->column_count < count; shape->column_count++) {
        if (read_column(json_array_get(shape->fields, shape->column_count), &shape->columns[shape->column_count], err) != 0) {
            return -1;
        }
    }
    return 0;
}

int shape_read(const json_t *table, struct shape *ret_shape, struct err *err)
{
    const json_t *partitions = json_object_get(table, "timePartitioning");
    const json_t *fields = json_object_get(json_object_get(table, "schema"), "fields");
    const json_t *labels = json_object_get(table, "labels");

    *ret_shape =
        (struct shape){.created_ms = number_of(table, "creationTime"),
                       .expiration_ms = number_of(partitions, "expirationMs"),
                       .filter_required = json_is_true(json_object_get(table, "requirePartitionFilter")),
                       .etag = copy(json_string_value(json_object_get(table, "etag"))),
                       .description = copy(json_string_value(json_object_get(table, "description"))),
                       .view_query = copy(json_string_value(json_object_get(json_object_get(table, "view"), "query")))};
    ret_shape->fields = json_is_array(fields) ? json_deep_copy(fields) : json_array();
    ret_shape->labels = json_is_object(labels) ? json_deep_copy(labels) : json_object();
    must(ret_shape->fields != NULL && ret_shape->labels != NULL);
    if (ret_shape->created_ms <= 0) {
        return err_set(err, ERR_RETRY, "BigQuery's answer is no table: it has no creationTime");
    }
    return read_columns(ret_shape, err);
}

void shape_deinit(struct shape *shape)
{
    json_decref(shape->fields);
    json_decref(shape->labels);
    free(shape->etag);
    free(shape->view_query);
    free(shape->description);
    free(shape->columns);
    *shape = (struct shape){0};
}

const char *shape_label(const struct shape *shape, const char *key)
{
    return text_of(shape->labels, key);
}

const struct shape_column *shape_find(const struct shape *shape, const char *name)
{
    for (size_t i = 0; i < shape->column_count; i++) {
        if (strcasecmp(shape->columns[i].name, name) == 0) {
            return &shape->columns[i];
        }
    }
    return NULL;
}

bool shape_source(const struct shape *shape, char **ret_database, char **ret_table)
{
    const char *description = shape->description != NULL ? shape->description : "";
    const char *begin = description + strlen(SOURCE_BEGIN);
    const char *end = strncmp(description, SOURCE_BEGIN, strlen(SOURCE_BEGIN)) == 0 ? strstr(begin, SOURCE_END) : NULL;
    char id[17];

    for (const char *dot = end != NULL ? strchr(begin, '.') : NULL; dot != NULL && dot < end; dot = strchr(dot + 1, '.')) {
        *ret_database = strndup(begin, (size_t)(dot - begin));
        *ret_table = strndup(dot + 1, (size_t)(end - dot - 1));
        must(*ret_database != NULL && *ret_table != NULL);
        bigquery_source_id(id, *ret_database, *ret_table);
        if (strcmp(id, shape_label(shape, "kakehi_source")) == 0) {
            return true;
        }
        free(*ret_database);
        free(*ret_table);
    }
    return false;
}

size_t shape_layout(const struct shape *shape, struct bigquery_column **ret_columns)
{
    size_t count = 0;

    *ret_columns = calloc(shape->column_count + 1, sizeof **ret_columns);
    must(*ret_columns != NULL);
    for (size_t i = 0; i < shape->column_count; i++) {
        if (shape->columns[i].type >= 0) {
            (*ret_columns)[count++] =
                (struct bigquery_column){shape->columns[i].name, (enum bigquery_type)shape->columns[i].type};
        }
    }
    return count;
}

/* ---- labels */

/* Lower-case letters, digits, '_' and '-', 63 of them. A text that is no such has a fingerprint behind what is left of it, so
 * that two owners stay two. */
static void append_label_value(struct buffer *out, const char *text)
{
    size_t start = out->size;
    size_t size = strlen(text);
    bool whole = size <= LABEL_VALUE_MAX;

    for (size_t i = 0; i < size && i < LABEL_VALUE_MAX - 9; i++) {
        unsigned char c = (unsigned char)text[i];

        if (islower(c) || isdigit(c) || c == '_' || c == '-') {
            buffer_append_byte(out, c);
        } else {
            buffer_append_byte(out, isupper(c) ? (uint8_t)tolower(c) : '-');
            whole = false;
        }
    }
    if (whole) {
        out->size = start;
        buffer_append_text(out, text);
    } else {
        buffer_printf(out, "-%08x", (unsigned)schema_fingerprint(text, size));
    }
}

void shape_owner(struct buffer *out, const struct settings *settings)
{
    append_label_value(out, settings->bigquery.owner != NULL ? settings->bigquery.owner : settings->prefix);
}

static void set(json_t *object, const char *key, json_t *value)
{
    must(json_object_set_new(object, key, value) == 0);
}

static void set_text(json_t *object, const char *key, const char *value)
{
    set(object, key, json_string(value));
}

json_t *shape_labels(const struct shape_making *making, const char *kind)
{
    const struct text_pairs *given = &making->settings->bigquery.labels;
    struct buffer owner = {0};
    json_t *labels = json_object();

    for (size_t i = 0; i < given->count; i++) {
        set_text(labels, given->pairs[i].key, given->pairs[i].value);
    }
    shape_owner(&owner, making->settings);
    set_text(labels, "kakehi_owner", buffer_text(&owner));
    buffer_deinit(&owner);
    if (kind != NULL) {
        set_text(labels, "kakehi_kind", kind);
        set_text(labels, "kakehi_source", making->names->source_id);
    }
    return labels;
}

int shape_check(const struct shape *shape, const struct shape_making *making, const char *kind, struct err *err)
{
    const struct bigquery_names *names = making->names;
    const char *name = strcmp(kind, "history") == 0 ? names->history : strcmp(kind, "base") == 0 ? names->base : names->view;

    if (strcmp(shape_label(shape, "kakehi_kind"), kind) == 0 &&
        strcmp(shape_label(shape, "kakehi_source"), names->source_id) == 0) {
        return 0;
    }
    if (shape_label(shape, "kakehi_source")[0] != '\0') {
        return err_set(err, ERR_FATAL,
                       "%s.%s.%s belongs to another table of the source: it can't be the %s of %s; choose other names by "
                       "bigquery.table or bigquery.dataset",
                       names->project, names->dataset, name, kind, names->source);
    }
    return err_set(
        err, ERR_FATAL,
        "%s.%s.%s is there, but not as the %s of %s: drop or rename it, or choose another name by bigquery.table. If it "
        "is a copy of ours: bq update --set_label kakehi_kind:%s --set_label kakehi_source:%s %s:%s.%s",
        names->project, names->dataset, name, kind, names->source, kind, names->source_id, names->project, names->dataset,
        name);
}

/* ---- making */

json_t *shape_dataset(const struct shape_making *making)
{
    json_t *dataset = json_pack("{s:{s:s, s:s}, s:s, s:o}", "datasetReference", "projectId", making->names->project,
                                "datasetId", making->names->dataset, "location", making->settings->bigquery.location, "labels",
                                shape_labels(making, NULL));

    must(dataset != NULL);
    return dataset;
}

/* Where in the key, from 1; 0: not in it. */
static unsigned key_place(const struct table *table, size_t column)
{
    for (size_t i = 0; i < table->key_count; i++) {
        if (table->key[i] == column) {
            return (unsigned)i + 1;
        }
    }
    return 0;
}

static void append_description(struct buffer *out, const struct table *table, size_t column)
{
    const char *type = table->columns[column].source_type;
    size_t size = strlen(type);
    unsigned key = key_place(table, column);

    buffer_printf(out, "%s ", table->columns[column].name);
    if (size > SOURCE_TYPE_BYTES_MAX) {
        for (size = SOURCE_TYPE_BYTES_MAX; size > 0 && ((unsigned char)type[size] & 0xc0) == 0x80;) {
            size--;
        }
    }
    buffer_append(out, type, size);
    buffer_append_text(out, type[size] != '\0' ? "..." : "");
    if (key > 0) {
        buffer_printf(out, KEY_FLAG "%u", key);
    }
}

static json_t *make_field(const char *name, enum bigquery_type type, const char *mode, const char *description)
{
    json_t *field = json_pack("{s:s, s:s, s:s}", "name", name, "type", bigquery_type_word(type), "mode", mode);

    must(field != NULL);
    if (description != NULL) {
        json_t *text = json_string(description);

        set(field, "description", text != NULL ? text : json_string("")); /* a type's text that is no UTF-8 */
    }
    return field;
}

static json_t *column_field(const struct table *table, size_t column, const char *name)
{
    struct buffer description = {0};
    json_t *field;

    append_description(&description, table, column);
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
        must(json_array_append_new(fields, column_field(table, i, buffer_text(&name))) == 0);
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

static json_t *partitioning(const struct settings_bigquery *settings)
{
    json_t *partitions = json_pack("{s:s, s:s}", "type", "DAY", "field", "__ingest_day");
    char text[24];

    must(partitions != NULL);
    if (settings->partition_expiration_ms > 0) {
        (void)snprintf(text, sizeof text, "%" PRId64, settings->partition_expiration_ms);
        set_text(partitions, "expirationMs", text);
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

static void set_clustering(json_t *body, json_t *columns)
{
    if (json_array_size(columns) > 0) {
        json_t *clustering = json_object();

        set(clustering, "fields", columns);
        set(body, "clustering", clustering);
    } else {
        json_decref(columns);
    }
}

static void set_kms_key(json_t *body, const struct settings_bigquery *settings)
{
    if (settings->kms_key != NULL) {
        json_t *encryption = json_object();

        set_text(encryption, "kmsKeyName", settings->kms_key);
        set(body, "encryptionConfiguration", encryption);
    }
}

json_t *shape_history(const struct shape_making *making, const struct table *table)
{
    const struct settings_bigquery *settings = &making->settings->bigquery;
    struct buffer description = {0};
    json_t *body = json_object();

    buffer_printf(&description, SOURCE_BEGIN "%s" SOURCE_END " Its newest state: %s.", making->names->source,
                  table->key_count > 0 ? making->names->view : "none, since it has no primary key");
    set(body, "tableReference", table_reference(making->names, making->names->history));
    set_text(body, "description", buffer_text(&description));
    set(body, "labels", shape_labels(making, "history"));
    set(body, "schema", json_pack("{s:o}", "fields", history_fields(table)));
    set(body, "timePartitioning", partitioning(settings));
    set(body, "requirePartitionFilter", json_boolean(settings->require_partition_filter));
    set(body, "tableConstraints", json_pack("{s:{s:[s,s,s]}}", "primaryKey", "columns", "__source", "__txid", "__idx"));
    set_clustering(body, cluster_columns(table));
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
    const char *description = text_of(json_array_get(history->fields, column), "description");

    return make_field(history->columns[column].name, (enum bigquery_type)history->columns[column].type, "NULLABLE",
                      description);
}

static json_t *base_cluster(const struct shape *history)
{
    json_t *columns = json_array();

    for (unsigned part = 1; part <= history->column_count && json_array_size(columns) < SHAPE_CLUSTER_MAX; part++) {
        for (size_t i = 0; i < history->column_count; i++) {
            const struct shape_column *column = &history->columns[i];

            if (column->key == part && is_kept(column) && may_cluster((enum bigquery_type)column->type)) {
                must(json_array_append_new(columns, json_string(column->name)) == 0);
            }
        }
    }
    return columns;
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
    set_text(labels, "kakehi_history", history_hash);
    set(body, "tableReference", table_reference(making->names, making->names->base));
    set_text(body, "description", buffer_text(&description));
    set(body, "labels", labels);
    set(body, "schema", json_pack("{s:o}", "fields", fields));
    set_clustering(body, base_cluster(history));
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

/* ---- planning */

struct planning {
    const struct shape *shape;
    const struct table *table;
    const struct shape_rules *rules;
    struct shape_plan *plan;
    const char **wanted; /* for each column of the table the name of its column here; borrowed from fields or added */
};

static const struct {
    enum bigquery_type from;
    enum bigquery_type to;
} widenings[] = {
    {BIGQUERY_INT64, BIGQUERY_NUMERIC},
    {BIGQUERY_INT64, BIGQUERY_BIGNUMERIC},
    {BIGQUERY_NUMERIC, BIGQUERY_BIGNUMERIC},
    {BIGQUERY_DATE, BIGQUERY_DATETIME},
};

/* The first type that the column may be widened to and that holds all values; -1: none. */
static int widened_type(int from, const struct column *column)
{
    for (size_t i = 0; i < sizeof widenings / sizeof *widenings; i++) {
        if ((int)widenings[i].from == from && row_fit(column, widenings[i].to) == ROW_FIT_ALWAYS) {
            return (int)widenings[i].to;
        }
    }
    return -1;
}

static enum row_fit fit(const struct shape_column *there, const struct column *column)
{
    return there->type >= 0 ? row_fit(column, (enum bigquery_type)there->type) : ROW_FIT_NEVER;
}

static void plan_widening(struct shape_plan *plan, const char *name, int type)
{
    plan->widenings = realloc(plan->widenings, (plan->widening_count + 1) * sizeof *plan->widenings);
    must(plan->widenings != NULL);
    plan->widenings[plan->widening_count++] = (struct shape_widening){copy(name), (enum bigquery_type)type};
}

static json_t *fields_of_patch(struct planning *planning)
{
    if (planning->plan->fields == NULL) {
        planning->plan->fields = json_deep_copy(planning->shape->fields);
        must(planning->plan->fields != NULL);
    }
    return planning->plan->fields;
}

static void plan_column(struct planning *planning, size_t column, const char *name, bool further)
{
    struct shape_plan *plan = planning->plan;
    const struct column *source = &planning->table->columns[column];
    json_t *field = column_field(planning->table, column, name);

    must(json_array_append_new(fields_of_patch(planning), field) == 0);
    plan->added = realloc(plan->added, (plan->added_count + 1) * sizeof *plan->added);
    must(plan->added != NULL);
    plan->added[plan->added_count++] = (struct shape_change){copy(source->name), copy(name), bigquery_type_of(source), further};
    planning->wanted[column] = json_string_value(json_object_get(field, "name"));
}

static const char *type_word(const struct shape_column *column)
{
    return column->type >= 0 ? bigquery_type_word((enum bigquery_type)column->type) : "another type";
}

static int refuse_key(const struct planning *planning, size_t column, const struct shape_column *there, struct err *err)
{
    return err_set(
        err, ERR_FATAL,
        "the key column %s of %s.%s is %s now, its history has it as %s, and BigQuery can't widen that: load the table "
        "into a history of its own (choose other names by bigquery.table)",
        planning->table->columns[column].name, planning->table->database, planning->table->name,
        planning->table->columns[column].source_type, type_word(there));
}

static void plan_refusal(struct planning *planning, size_t column, const struct shape_column *there)
{
    struct buffer text = {0};

    if (planning->plan->refusal == NULL) {
        buffer_printf(&text, "column %s is %s now, its history has it as %s (bigquery.on_type_change: dead_letter)",
                      planning->table->columns[column].name, planning->table->columns[column].source_type, type_word(there));
        (void)buffer_text(&text);
        planning->plan->refusal = (char *)text.bytes;
    }
}

/* The further column that the values go to, if it was made before; NULL: there is none. */
static const struct shape_column *find_further(const struct planning *planning, size_t column, const struct shape_column *there)
{
    const struct shape_column *further;
    struct buffer name = {0};

    bigquery_further_column_name(&name, there->name, bigquery_type_of(&planning->table->columns[column]));
    further = shape_find(planning->shape, buffer_text(&name));
    buffer_deinit(&name);
    return further;
}

static int plan_further(struct planning *planning, size_t column, const struct shape_column *there, struct err *err)
{
    const struct column *source = &planning->table->columns[column];
    const struct shape_column *further = find_further(planning, column, there);
    struct buffer name = {0};
    int result = 0;

    bigquery_further_column_name(&name, there->name, bigquery_type_of(source));
    if (further == NULL) {
        plan_column(planning, column, buffer_text(&name), true);
    } else if (fit(further, source) == ROW_FIT_ALWAYS) {
        planning->wanted[column] = further->name;
    } else {
        result =
            err_set(err, ERR_FATAL, "the column %s of %s.%s_history is %s and can't take values of %s: drop or rename it",
                    further->name, planning->table->database, planning->table->name, type_word(further), source->source_type);
    }
    buffer_deinit(&name);
    return result;
}

/* The column is there, and its type does not hold every value. What was decided once, by whichever worker, stays: values of one
 * type go to one column. */
static int plan_misfit(struct planning *planning, size_t column, const struct shape_column *there, struct err *err)
{
    const struct column *source = &planning->table->columns[column];
    int wider = planning->rules->no_widening ? -1 : widened_type(there->type, source);
    bool by_value = fit(there, source) == ROW_FIT_BY_VALUE;

    planning->wanted[column] = there->name;
    if (wider >= 0 && find_further(planning, column, there) == NULL) {
        plan_widening(planning->plan, there->name, wider);
        return 0;
    }
    if (key_place(planning->table, column) > 0) {
        return by_value ? 0 : refuse_key(planning, column, there, err);
    }
    if (planning->rules->on_type_change == BIGQUERY_TYPE_CHANGE_COLUMN) {
        return plan_further(planning, column, there, err);
    }
    if (!by_value) {
        plan_refusal(planning, column, there);
    }
    return 0;
}

static int plan_one(struct planning *planning, size_t column, struct err *err)
{
    const struct column *source = &planning->table->columns[column];
    const struct shape_column *there;
    struct buffer name = {0};
    int result = 0;

    bigquery_column_name(&name, source->name);
    there = shape_find(planning->shape, buffer_text(&name));
    if (there == NULL) {
        plan_column(planning, column, buffer_text(&name), false);
    } else if (fit(there, source) == ROW_FIT_ALWAYS) {
        planning->wanted[column] = there->name;
    } else {
        result = plan_misfit(planning, column, there, err);
    }
    buffer_deinit(&name);
    return result;
}

static int compare_names(const void *one, const void *other)
{
    const char *const *left = one;
    const char *const *right = other;

    return strcasecmp(*left, *right);
}

/* Two columns of the source in one column here: only names that were cut can do that. */
static int check_doubles(const struct planning *planning, struct err *err)
{
    size_t count = planning->table->column_count;
    const char **sorted = calloc(count + 1, sizeof *sorted);
    int result = 0;

    must(sorted != NULL);
    memcpy(sorted, planning->wanted, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_names);
    for (size_t i = 1; i < count && result == 0; i++) {
        if (strcasecmp(sorted[i - 1], sorted[i]) == 0) {
            result = err_set(err, ERR_FATAL, "two columns of %s.%s would be %s in BigQuery: rename one",
                             planning->table->database, planning->table->name, sorted[i]);
        }
    }
    free(sorted);
    return result;
}

static int check_meta(const struct planning *planning, struct err *err)
{
    for (int i = 0; i < BIGQUERY_META_COUNT; i++) {
        const struct shape_column *there = shape_find(planning->shape, bigquery_meta_columns[i].name);

        if (there == NULL || there->type != (int)bigquery_meta_columns[i].type) {
            return err_set(err, ERR_FATAL, "the history of %s.%s has no column %s of type %s any more: put it back",
                           planning->table->database, planning->table->name, bigquery_meta_columns[i].name,
                           bigquery_type_word(bigquery_meta_columns[i].type));
        }
    }
    return 0;
}

/* ---- descriptions */

static void wanted_description(struct buffer *out, const struct planning *planning, const json_t *field)
{
    const char *name = text_of(field, "name");
    const char *description = text_of(field, "description");

    for (size_t i = 0; i < planning->table->column_count; i++) {
        if (strcasecmp(planning->wanted[i], name) == 0) {
            append_description(out, planning->table, i);
            return;
        }
    }
    buffer_append_text(out, description);
    if (!ends_with(description, strlen(description), DROPPED_FLAG)) {
        buffer_append_text(out, DROPPED_FLAG);
    }
}

/* The lane of partition 0 says what each column is now. Only columns that we know are touched. */
static void plan_words(struct planning *planning)
{
    struct shape_plan *plan = planning->plan;
    bool words_only = plan->fields == NULL;
    struct buffer description = {0};

    for (size_t i = 0; i < planning->shape->column_count; i++) {
        const json_t *field = json_array_get(planning->shape->fields, i);

        if (planning->shape->columns[i].meta || planning->shape->columns[i].type < 0) {
            continue;
        }
        buffer_clear(&description);
        wanted_description(&description, planning, field);
        if (strcmp(buffer_text(&description), text_of(field, "description")) != 0) {
            json_t *text = json_string(buffer_text(&description));

            if (text != NULL) {
                set(json_array_get(fields_of_patch(planning), i), "description", text);
            }
        }
    }
    plan->words_only = words_only && plan->fields != NULL;
    buffer_deinit(&description);
}

/* ---- targets */

static void find_targets(struct planning *planning)
{
    struct shape_plan *plan = planning->plan;
    struct bigquery_column *columns;
    size_t column_count = shape_layout(planning->shape, &columns);
    const struct bigquery_layout layout = {.columns = columns, .column_count = column_count};

    plan->loads = plan->refusal == NULL;
    for (size_t i = 0; i < planning->table->column_count; i++) {
        size_t place = bigquery_layout_find(&layout, planning->wanted[i]);

        plan->targets[i] = place < layout.column_count ? place : ROW_NO_TARGET;
        plan->loads = plan->loads && place < layout.column_count &&
                      layout.columns[place].type == bigquery_type_of(&planning->table->columns[i]);
    }
    free(columns);
}

static int plan_all(struct planning *planning, struct err *err)
{
    if (check_meta(planning, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < planning->table->column_count; i++) {
        if (plan_one(planning, i, err) != 0) {
            return -1;
        }
    }
    if (check_doubles(planning, err) != 0) {
        return -1;
    }
    if (planning->rules->leads && planning->table->column_count > 0) {
        plan_words(planning);
    }
    find_targets(planning);
    return 0;
}

int shape_plan(const struct shape *shape, const struct table *table, const struct shape_rules *rules,
               struct shape_plan *ret_plan, struct err *err)
{
    struct planning planning = {.shape = shape, .table = table, .rules = rules, .plan = ret_plan};
    int result;

    *ret_plan = (struct shape_plan){.targets = calloc(table->column_count + 1, sizeof *ret_plan->targets)};
    planning.wanted = calloc(table->column_count + 1, sizeof *planning.wanted);
    must(ret_plan->targets != NULL && planning.wanted != NULL);
    result = plan_all(&planning, err);
    free(planning.wanted);
    return result;
}

void shape_plan_deinit(struct shape_plan *plan)
{
    for (size_t i = 0; i < plan->widening_count; i++) {
        free(plan->widenings[i].name);
    }
    for (size_t i = 0; i < plan->added_count; i++) {
        free(plan->added[i].column);
        free(plan->added[i].name);
    }
    free(plan->widenings);
    free(plan->added);
    free(plan->refusal);
    free(plan->targets);
    json_decref(plan->fields);
    *plan = (struct shape_plan){0};
}
