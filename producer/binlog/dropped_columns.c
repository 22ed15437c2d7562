/* SPDX-License-Identifier: Apache-2.0 */
/* Few tables drop columns, so they stand in a plain array. */
#include "producer/binlog/dropped_columns.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_text.h"
#include "common/must.h"

struct dropped_of_table {
    char *table; /* "db.table"; owned, never NULL */
    struct column_names names;
};

static struct dropped_of_table *find(const struct dropped_columns *dropped, const char *table)
{
    for (size_t i = 0; i < dropped->_count; i++) {
        if (strcmp(dropped->_tables[i].table, table) == 0) {
            return &dropped->_tables[i];
        }
    }
    return NULL;
}

static struct dropped_of_table *find_or_add(struct dropped_columns *dropped, const char *table)
{
    struct dropped_of_table *found = find(dropped, table);

    if (found == NULL) {
        dropped->_tables = reallocarray(dropped->_tables, dropped->_count + 1, sizeof *dropped->_tables);
        must(dropped->_tables != NULL);
        found = &dropped->_tables[dropped->_count++];
        *found = (struct dropped_of_table){.table = must_strdup(table)};
        must(found->table != NULL);
    }
    return found;
}

bool dropped_columns_note(struct dropped_columns *dropped, const char *table, const struct column_names *names)
{
    return !column_names_none(names) && column_names_add_all(&find_or_add(dropped, table)->names, names);
}

bool dropped_columns_meet(const struct dropped_columns *dropped, const char *table, const struct column_names *names)
{
    const struct dropped_of_table *found = find(dropped, table);

    return found != NULL && column_names_meet(&found->names, names);
}

bool dropped_columns_forget(struct dropped_columns *dropped, const char *table)
{
    struct dropped_of_table *found = find(dropped, table);

    if (found == NULL) {
        return false;
    }
    free(found->table);
    column_names_deinit(&found->names);
    *found = dropped->_tables[--dropped->_count];
    return true;
}

/* ---- in the record */

static json_t *json_of_names(const struct column_names *names)
{
    json_t *json = json_array();

    for (size_t i = 0; i < names->list.count; i++) {
        must(json_array_append_new(json, json_string(names->list.texts[i])) == 0);
    }
    return json;
}

json_t *dropped_columns_json(const struct dropped_columns *dropped)
{
    json_t *json = dropped->_count > 0 ? json_object() : NULL;

    for (size_t i = 0; i < dropped->_count; i++) {
        json_t *table = json_text(dropped->_tables[i].table);

        must(json_object_set_new(json, json_string_value(table), json_of_names(&dropped->_tables[i].names)) == 0);
        json_decref(table);
    }
    return json;
}

/* What is no list of names says that there are some. */
static void read_table(struct dropped_columns *dropped, const char *table, const json_t *names)
{
    struct dropped_of_table *to = find_or_add(dropped, table);
    const json_t *name;
    size_t i;

    json_array_foreach(names, i, name)
    {
        (void)column_names_add(&to->names, json_is_string(name) ? json_string_value(name) : COLUMN_NAMES_ANY);
    }
    if (column_names_none(&to->names)) {
        (void)column_names_add(&to->names, COLUMN_NAMES_ANY);
    }
}

void dropped_columns_read(struct dropped_columns *dropped, const json_t *json)
{
    const json_t *names, *table;
    const char *key;
    size_t i;

    json_array_foreach(json, i, table)
    {
        if (json_is_string(table)) {
            read_table(dropped, json_string_value(table), NULL);
        }
    }
    json_object_foreach((json_t *)(uintptr_t)json, key, names)
    {
        read_table(dropped, key, names);
    }
}

void dropped_columns_deinit(struct dropped_columns *dropped)
{
    for (size_t i = 0; i < dropped->_count; i++) {
        free(dropped->_tables[i].table);
        column_names_deinit(&dropped->_tables[i].names);
    }
    free(dropped->_tables);
    *dropped = (struct dropped_columns){0};
}
