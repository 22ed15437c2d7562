/* SPDX-License-Identifier: Apache-2.0 */
/* Aborts on a wrong description: a test that misspells its table must not pass. */
#include "tests/unit/make_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "schemas/types.h"

static size_t count_parts(const char *list)
{
    size_t count = *list != '\0';

    for (; *list != '\0'; list++) {
        count += *list == ',';
    }
    return count;
}

static void fill_column(struct column *column, const char *part)
{
    char name[65];
    char type[20];
    unsigned precision = 0;
    unsigned scale = 0;

    must(sscanf(part, " %64s %19s %u %u", name, type, &precision, &scale) >= 2 && type_by_name(type) >= 0);
    column->name = strdup(name);
    column->source_type = strdup(type);
    column->type = (enum column_type)type_by_name(type);
    column->precision = (uint8_t)precision;
    column->scale = (uint8_t)scale;
}

static size_t column_index(const struct table *table, const char *name)
{
    size_t i = 0;

    while (i < table->column_count && strcmp(table->columns[i].name, name) != 0) {
        i++;
    }
    must(i < table->column_count);
    return i;
}

struct table *make_table(const char *database, const char *name, const char *key, const char *columns)
{
    struct table *table = table_new(database, name, count_parts(columns), count_parts(key));
    char *column_list = strdup(columns);
    char *key_list = strdup(key);
    char *state;
    char *part = strtok_r(column_list, ",", &state);

    for (size_t i = 0; i < table->column_count; i++, part = strtok_r(NULL, ",", &state)) {
        fill_column(&table->columns[i], part);
    }
    part = strtok_r(key_list, ", ", &state);
    for (size_t i = 0; i < table->key_count; i++, part = strtok_r(NULL, ", ", &state)) {
        table->key[i] = column_index(table, part);
    }
    free(column_list);
    free(key_list);
    return table;
}

struct schema *make_schema(const char *database, const char *name, const char *key, const char *columns)
{
    struct schema *schema = NULL;
    struct err err;

    must(schema_new(make_table(database, name, key, columns), &schema, &err) == 0);
    return schema;
}
