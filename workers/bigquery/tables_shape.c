/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table resource is read once into what we ask of it; what it holds besides is kept as it came.
 */
#include "workers/bigquery/tables_shape.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/must.h"
#include "workers/bigquery/tables_shape_parts.h"

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

    if (ends_with(description, size, SHAPE_DROPPED_FLAG)) {
        column->dropped = true;
        size -= strlen(SHAPE_DROPPED_FLAG);
    }
    while (digits < size && digits < 4 && isdigit((unsigned char)description[size - digits - 1])) {
        digits++;
    }
    if (digits > 0 && ends_with(description, size - digits, SHAPE_KEY_FLAG)) {
        column->key = (unsigned)strtoul(description + size - digits, NULL, 10);
    }
}

static int read_column(const json_t *field, struct shape_column *column, struct err *err)
{
    *column = (struct shape_column){.name = json_string_value(json_object_get(field, "name"))};
    if (column->name == NULL || strchr(column->name, '`') != NULL) {
        return err_set(err, ERR_RETRY, "BigQuery's answer has a column without a name");
    }
    column->type = strcmp(shape_text(field, "mode"), "REPEATED") == 0 ? -1 : bigquery_type_by_word(shape_text(field, "type"));
    column->meta = is_meta(column->name);
    if (!column->meta) {
        read_flags(shape_text(field, "description"), column);
    }
    return 0;
}

static int64_t number_of(const json_t *object, const char *key)
{
    return strtoll(shape_text(object, key), NULL, 10);
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
                       .expires_at_ms = number_of(table, "expirationTime"),
                       .filter_required = json_is_true(json_object_get(table, "requirePartitionFilter")),
                       .clustered = json_array_size(json_object_get(json_object_get(table, "clustering"), "fields")) > 0,
                       .kms_key = shape_copy(
                           json_string_value(json_object_get(json_object_get(table, "encryptionConfiguration"), "kmsKeyName"))),
                       .etag = shape_copy(json_string_value(json_object_get(table, "etag"))),
                       .description = shape_copy(json_string_value(json_object_get(table, "description"))),
                       .view_query = shape_copy(json_string_value(json_object_get(json_object_get(table, "view"), "query")))};
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
    free(shape->kms_key);
    free(shape->view_query);
    free(shape->description);
    free(shape->columns);
    *shape = (struct shape){0};
}

const char *shape_label(const struct shape *shape, const char *key)
{
    return shape_text(shape->labels, key);
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
    const char *begin = description + strlen(SHAPE_SOURCE_BEGIN);
    const char *end =
        strncmp(description, SHAPE_SOURCE_BEGIN, strlen(SHAPE_SOURCE_BEGIN)) == 0 ? strstr(begin, SHAPE_SOURCE_END) : NULL;
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
