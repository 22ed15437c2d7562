/* SPDX-License-Identifier: Apache-2.0 */
/* A table owns all its texts; two are the same when every reader would see no difference. */
#include "schemas/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

struct table *table_new(const char *database, const char *name, size_t column_count, size_t key_count)
{
    struct table *table = calloc(1, sizeof *table);

    must(table != NULL && column_count <= TABLE_COLUMNS_MAX && key_count <= column_count);
    table->database = must_strdup(database);
    table->name = must_strdup(name);
    table->columns = calloc(column_count > 0 ? column_count : 1, sizeof *table->columns);
    table->column_count = column_count;
    table->key = calloc(key_count > 0 ? key_count : 1, sizeof *table->key);
    table->key_count = key_count;
    must(table->columns != NULL && table->key != NULL);
    return table;
}

struct table *table_copy(const struct table *table)
{
    struct table *copy = table_new(table->database, table->name, table->column_count, table->key_count);

    for (size_t i = 0; i < table->column_count; i++) {
        copy->columns[i] = table->columns[i];
        copy->columns[i].name = must_strdup(table->columns[i].name);
        copy->columns[i].source_type = must_strdup(table->columns[i].source_type);
    }
    if (table->key_count > 0) {
        memcpy(copy->key, table->key, table->key_count * sizeof *table->key);
    }
    return copy;
}

void table_full_name(const char *database, const char *name, char ret_text[TABLE_FULL_NAME_SIZE])
{
    (void)snprintf(ret_text, TABLE_FULL_NAME_SIZE, "%.256s.%.256s", database, name);
}

void table_free(struct table *table)
{
    if (table == NULL) {
        return;
    }
    for (size_t i = 0; i < table->column_count; i++) {
        free(table->columns[i].name);
        free(table->columns[i].source_type);
    }
    free(table->columns);
    free(table->key);
    free(table->name);
    free(table->database);
    free(table);
}

static bool column_same(const struct column *one, const struct column *other)
{
    return one->type == other->type && one->precision == other->precision && one->scale == other->scale &&
           strcmp(one->name, other->name) == 0 && strcmp(one->source_type, other->source_type) == 0;
}

bool table_same(const struct table *one, const struct table *other)
{
    if (one->column_count != other->column_count || one->key_count != other->key_count ||
        strcmp(one->database, other->database) != 0 || strcmp(one->name, other->name) != 0) {
        return false;
    }
    for (size_t i = 0; i < one->column_count; i++) {
        if (!column_same(&one->columns[i], &other->columns[i])) {
            return false;
        }
    }
    return memcmp(one->key, other->key, one->key_count * sizeof *one->key) == 0;
}
