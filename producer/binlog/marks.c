/* SPDX-License-Identifier: Apache-2.0 */
/* A list that is sorted when it is first searched. */
#include "producer/binlog/marks.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

struct entry {
    char *database;
    char *table;
    char *column;
    enum binlog_mark mark;
};

struct binlog_marks {
    struct entry *entries;
    size_t count;
    size_t capacity;
    bool sorted;
    struct gtid_set *executed; /* NULL: not told */
};

struct binlog_marks *binlog_marks_new(void)
{
    struct binlog_marks *marks = calloc(1, sizeof *marks);

    must(marks != NULL);
    return marks;
}

void binlog_marks_free(struct binlog_marks *marks)
{
    if (marks == NULL) {
        return;
    }
    for (size_t i = 0; i < marks->count; i++) {
        free(marks->entries[i].database);
        free(marks->entries[i].table);
        free(marks->entries[i].column);
    }
    free(marks->entries);
    gtid_set_free(marks->executed);
    free(marks);
}

static void add(struct binlog_marks *marks, const char *database, const char *table, const char *column, enum binlog_mark mark)
{
    if (marks->count == marks->capacity) {
        marks->capacity = marks->capacity > 0 ? 2 * marks->capacity : 64;
        marks->entries = reallocarray(marks->entries, marks->capacity, sizeof *marks->entries);
        must(marks->entries != NULL);
    }
    marks->entries[marks->count++] = (struct entry){must_strdup(database), must_strdup(table), must_strdup(column), mark};
    marks->sorted = false;
}

static enum binlog_mark mark_of(const char *type)
{
    static const char *const types[] = {
        [MARK_UUID] = "uuid", [MARK_INET4] = "inet4", [MARK_INET6] = "inet6", [MARK_VECTOR] = "vector", [MARK_JSON] = "json",
    };

    for (unsigned mark = MARK_UUID; mark <= MARK_JSON; mark++) {
        if (strcmp(types[mark], type) == 0) {
            return (enum binlog_mark)mark;
        }
    }
    return MARK_NONE;
}

void binlog_marks_add(struct binlog_marks *marks, const char *database, const char *table, const char *column, const char *type)
{
    add(marks, database, table, column, mark_of(type));
}

int binlog_marks_set_executed(struct binlog_marks *marks, const char *executed, struct err *err)
{
    gtid_set_free(marks->executed);
    marks->executed = gtid_set_new(BINLOG_MARIADB);
    return gtid_set_parse(marks->executed, executed, err);
}

struct binlog_marks *binlog_marks_copy(const struct binlog_marks *marks)
{
    struct binlog_marks *copy;
    struct buffer executed = {0};
    struct err err;

    if (marks == NULL) {
        return NULL;
    }
    copy = binlog_marks_new();
    for (size_t i = 0; i < marks->count; i++) {
        add(copy, marks->entries[i].database, marks->entries[i].table, marks->entries[i].column, marks->entries[i].mark);
    }
    if (marks->executed != NULL) {
        gtid_set_text(marks->executed, &executed);
        must(binlog_marks_set_executed(copy, buffer_text(&executed), &err) == 0);
        buffer_deinit(&executed);
    }
    return copy;
}

static int compare_tables(const struct entry *one, const char *database, const char *table)
{
    int order = strcmp(one->database, database);

    return order != 0 ? order : strcmp(one->table, table);
}

static int compare(const void *one, const void *other)
{
    const struct entry *a = one;
    const struct entry *b = other;
    int order = compare_tables(a, b->database, b->table);

    return order != 0 ? order : strcmp(a->column, b->column);
}

static void sort(const struct binlog_marks *marks)
{
    if (!marks->sorted && marks->count > 0) {
        qsort(marks->entries, marks->count, sizeof *marks->entries, compare);
        ((struct binlog_marks *)(uintptr_t)marks)->sorted = true;
    }
}

/* Where the table's columns begin; `count` if it has none. */
static size_t first_of(const struct binlog_marks *marks, const char *database, const char *table)
{
    size_t low = 0;
    size_t high = marks->count;

    sort(marks);
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (compare_tables(&marks->entries[middle], database, table) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < marks->count && compare_tables(&marks->entries[low], database, table) == 0 ? low : marks->count;
}

enum binlog_mark binlog_marks_find(const struct binlog_marks *marks, const char *database, const char *table,
                                   const char *column)
{
    size_t i = first_of(marks, database, table);

    for (; i < marks->count && compare_tables(&marks->entries[i], database, table) == 0; i++) {
        if (strcmp(marks->entries[i].column, column) == 0 && marks->entries[i].mark != MARK_NONE) {
            return marks->entries[i].mark;
        }
    }
    return MARK_NONE;
}

bool binlog_marks_has_table(const struct binlog_marks *marks, const char *database, const char *table)
{
    return first_of(marks, database, table) < marks->count;
}

bool binlog_marks_next_table(const struct binlog_marks *marks, size_t *at, const char **ret_database, const char **ret_table)
{
    const struct entry *entry = &marks->entries[*at];

    if (*at >= marks->count) {
        return false;
    }
    sort(marks);
    *ret_database = entry->database;
    *ret_table = entry->table;
    while (*at < marks->count && compare_tables(&marks->entries[*at], entry->database, entry->table) == 0) {
        ++*at;
    }
    return true;
}

bool binlog_marks_know(const struct binlog_marks *marks, const char *gtid)
{
    return marks->executed != NULL && gtid_set_contains(marks->executed, gtid);
}
