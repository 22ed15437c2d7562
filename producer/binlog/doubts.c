/* SPDX-License-Identifier: Apache-2.0 */
/* A statement names a table if the table's name stands in its text, in any case of letters: too often asked is only slow. */
#include "producer/binlog/doubts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "schemas/table.h"

static bool holds(const struct text_list *list, const char *name)
{
    return text_list_find(list, name) < list->count;
}

void doubts_deinit(struct doubts *doubts)
{
    binlog_marks_free(doubts->marks);
    text_list_deinit(&doubts->stale);
    text_list_deinit(&doubts->asking);
    text_list_deinit(&doubts->gone);
    *doubts = (struct doubts){0};
}

void doubts_take_marks(struct doubts *doubts, struct binlog_marks *marks)
{
    binlog_marks_free(doubts->marks);
    doubts->marks = marks;
    text_list_deinit(&doubts->stale);
    if (doubts->asking.count == 0) {
        text_list_deinit(&doubts->gone);
    }
    for (size_t i = 0; i < doubts->asking.count; i++) {
        text_list_add(&doubts->gone, doubts->asking.texts[i]); /* of those that the marks hold this says nothing more */
    }
    text_list_deinit(&doubts->asking);
}

bool doubts_settled(const struct doubts *doubts, const char *database, const char *table)
{
    char name[TABLE_FULL_NAME_SIZE];

    if (doubts->marks == NULL) {
        return false;
    }
    table_full_name(database, table, name);
    return (binlog_marks_has_table(doubts->marks, database, table) || holds(&doubts->gone, name)) &&
           !holds(&doubts->stale, name);
}

void doubts_ask(struct doubts *doubts, const char *gtid, const char *database, const char *table)
{
    char name[TABLE_FULL_NAME_SIZE];

    if (strcmp(doubts->asked_in, gtid) != 0) {
        (void)snprintf(doubts->asked_in, sizeof doubts->asked_in, "%s", gtid);
        text_list_deinit(&doubts->gone);
    }
    table_full_name(database, table, name);
    if (!holds(&doubts->asking, name)) {
        text_list_add(&doubts->asking, name);
    }
}

static bool says(const char *text, size_t size, const char *word)
{
    size_t length = strlen(word);

    for (size_t i = 0; i + length <= size; i++) {
        if (strncasecmp(text + i, word, length) == 0) {
            return true;
        }
    }
    return false;
}

/* Types that look alike in the log, and statements that give a table the columns of another. */
static bool may_change_types(const char *text, size_t size)
{
    static const char *const words[] = {"uuid", "inet", "binary", "vector",   "json",
                                        "text", "like", "rename", "exchange", "select"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (says(text, size, words[i])) {
            return true;
        }
    }
    return false;
}

/* The statement may have made one of them anew. */
static void forget_gone(struct doubts *doubts, const char *text, size_t size)
{
    struct text_list *gone = &doubts->gone;

    for (size_t i = gone->count; i-- > 0;) {
        const char *table = strrchr(gone->texts[i], '.');

        if (table == NULL || says(text, size, table + 1)) {
            text_list_remove(gone, i);
        }
    }
}

const char *doubts_statement(struct doubts *doubts, const char *gtid, const char *text, size_t size,
                             bool (*is_read)(const void *context, const char *database, const char *table), const void *context)
{
    bool known = doubts->marks != NULL && binlog_marks_know(doubts->marks, gtid);
    const char *database;
    const char *table;
    char name[TABLE_FULL_NAME_SIZE];

    if (!known) {
        forget_gone(doubts, text, size);
    }
    for (size_t at = 0; doubts->marks != NULL && binlog_marks_next_table(doubts->marks, &at, &database, &table);) {
        if (!says(text, size, table)) {
            continue;
        }
        if (known && is_read(context, database, table) && may_change_types(text, size)) {
            return table;
        }
        table_full_name(database, table, name);
        if (!known && !holds(&doubts->stale, name)) {
            text_list_add(&doubts->stale, name);
        }
    }
    return NULL;
}
