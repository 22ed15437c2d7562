/* SPDX-License-Identifier: Apache-2.0 */
/* tables_shape_parts: what tables_shape.c, tables_make.c and tables_plan.c know of each other. */
#ifndef KAKEHI_WORKERS_BIGQUERY_TABLES_SHAPE_PARTS_H
#define KAKEHI_WORKERS_BIGQUERY_TABLES_SHAPE_PARTS_H

#include <string.h>

#include "common/must.h"
#include "workers/bigquery/tables_shape.h"

#define SHAPE_KEY_FLAG     ", key "
#define SHAPE_DROPPED_FLAG ", dropped"
/* Of a history's description. */
#define SHAPE_SOURCE_BEGIN "Every change of "
#define SHAPE_SOURCE_END   ", each once."

/* NULL of NULL. */
static inline char *shape_copy(const char *text)
{
    char *copy = text != NULL ? strdup(text) : NULL;

    must(text == NULL || copy != NULL);
    return copy;
}

/* The text, or "" where there is none. Borrowed. */
static inline const char *shape_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

/* Takes the value. */
static inline void shape_set(json_t *object, const char *key, json_t *value)
{
    must(json_object_set_new(object, key, value) == 0);
}

static inline void shape_set_text(json_t *object, const char *key, const char *value)
{
    shape_set(object, key, json_string(value));
}

/* A history's timePartitioning. The caller owns it. */
json_t *shape_partitioning(const struct settings_bigquery *settings);
/* Is a key known of the source, by the columns' descriptions? */
bool shape_has_key(const struct shape *history);
/* What a table with the history's columns is clustered by; NULL: by nothing. The caller owns it. */
json_t *shape_clustering(const struct shape *history);
/* What a history's description says. */
void shape_append_history_words(struct buffer *out, const struct bigquery_names *names, bool has_key);
/* Where the column stands in the key, from 1; 0: not in it. */
unsigned shape_key_place(const struct table *table, size_t column);
/* What a column's description says while the source has it. */
void shape_append_description(struct buffer *out, const struct table *table, size_t column);
/* The field of a source column under that name. The caller owns it. */
json_t *shape_column_field(const struct table *table, size_t column, const char *name);

#endif
