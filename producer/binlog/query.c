/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comments that MySQL executes (`/ *!80000 ... * /`) are read as what they hold. A statement that changes rows names its table
 * right behind a few known words; where what follows could bring in other tables (joins, lists), none is named, and the stream
 * must take it for any table.
 */
#include "producer/binlog/query.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/must.h"

#define NAME_BYTES_MAX (4 * 64 + 1) /* 64 characters and a NUL */

struct reader {
    const char *at;
    const char *end;
};

static bool looks_at(const struct reader *reader, const char *text)
{
    size_t size = strlen(text);

    return (size_t)(reader->end - reader->at) >= size && memcmp(reader->at, text, size) == 0;
}

static void skip_past(struct reader *reader, const char *text)
{
    while (reader->at < reader->end && !looks_at(reader, text)) {
        reader->at++;
    }
    reader->at += reader->at < reader->end ? strlen(text) : 0;
}

static bool skip_comment(struct reader *reader)
{
    if (looks_at(reader, "/*!") || looks_at(reader, "/*M!")) { /* executed: only its marks are passed */
        skip_past(reader, "!");
        while (reader->at < reader->end && isdigit((unsigned char)*reader->at)) {
            reader->at++;
        }
    } else if (looks_at(reader, "/*")) {
        reader->at += 2;
        skip_past(reader, "*/");
    } else if (looks_at(reader, "*/")) {
        reader->at += 2;
    } else if (looks_at(reader, "#") || looks_at(reader, "-- ") || looks_at(reader, "--\n") || looks_at(reader, "--\t")) {
        skip_past(reader, "\n");
    } else {
        return false;
    }
    return true;
}

static void skip_blanks(struct reader *reader)
{
    do {
        while (reader->at < reader->end && isspace((unsigned char)*reader->at)) {
            reader->at++;
        }
    } while (reader->at < reader->end && skip_comment(reader));
}

static bool is_name_byte(char byte)
{
    return isalnum((unsigned char)byte) || byte == '_' || byte == '$' || (unsigned char)byte >= 0x80;
}

/* The word at hand, without taking it. */
static size_t word_size(const struct reader *reader)
{
    const char *at = reader->at;

    while (at < reader->end && is_name_byte(*at)) {
        at++;
    }
    return (size_t)(at - reader->at);
}

/* Takes the word if it is this one. */
static bool take_word(struct reader *reader, const char *word)
{
    size_t size;

    skip_blanks(reader);
    size = word_size(reader);
    if (size != strlen(word) || strncasecmp(reader->at, word, size) != 0) {
        return false;
    }
    reader->at += size;
    return true;
}

/* Takes any of the words, as often as they come; the list ends with NULL. */
static void take_any(struct reader *reader, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL;) {
        i = take_word(reader, words[i]) ? 0 : i + 1;
    }
}

static bool take_sign(struct reader *reader, char sign)
{
    skip_blanks(reader);
    if (reader->at == reader->end || *reader->at != sign) {
        return false;
    }
    reader->at++;
    return true;
}

static bool take_quoted(struct reader *reader, char name[NAME_BYTES_MAX])
{
    char quote = *reader->at++;
    size_t size = 0;

    while (reader->at < reader->end && size < NAME_BYTES_MAX - 1) {
        char byte = *reader->at++;

        if (byte == quote) {
            if (reader->at == reader->end || *reader->at != quote) {
                name[size] = '\0';
                return size > 0 && memchr(name, 0, size) == NULL;
            }
            reader->at++; /* a doubled quote is one */
        }
        name[size++] = byte;
    }
    return false;
}

static bool take_name(struct reader *reader, char name[NAME_BYTES_MAX])
{
    size_t size;

    skip_blanks(reader);
    if (reader->at < reader->end && (*reader->at == '`' || *reader->at == '"')) {
        return take_quoted(reader, name);
    }
    size = word_size(reader);
    if (size == 0 || size >= NAME_BYTES_MAX) {
        return false;
    }
    memcpy(name, reader->at, size);
    name[size] = '\0';
    reader->at += size;
    return true;
}

static char *copy_text(const char *text)
{
    char *copy = strdup(text);

    must(copy != NULL);
    return copy;
}

void query_add_table(struct query *query, const char *database, const char *name)
{
    query->tables = realloc(query->tables, (query->table_count + 1) * sizeof *query->tables);
    must(query->tables != NULL);
    query->tables[query->table_count++] = (struct query_table){copy_text(database), copy_text(name)};
}

/* [database.]name */
static bool take_table(struct reader *reader, struct query *query, const char *database)
{
    char first[NAME_BYTES_MAX];
    char second[NAME_BYTES_MAX];
    bool qualified;

    if (!take_name(reader, first)) {
        return false;
    }
    qualified = take_sign(reader, '.');
    if (qualified && !take_name(reader, second)) {
        return false;
    }
    query_add_table(query, qualified ? first : database, qualified ? second : first);
    return true;
}

void query_deinit(struct query *query)
{
    for (size_t i = 0; i < query->table_count; i++) {
        free(query->tables[i].database);
        free(query->tables[i].name);
    }
    free(query->tables);
    *query = (struct query){0};
}

static void forget_tables(struct query *query)
{
    enum query_kind kind = query->kind;

    query_deinit(query);
    query->kind = kind;
}

static void read_truncate(struct query *query, struct reader *reader, const char *database)
{
    (void)take_word(reader, "table");
    if (take_table(reader, query, database)) {
        query->kind = QUERY_EMPTIES_TABLES;
    }
}

static void read_drop_database(struct query *query, struct reader *reader)
{
    char name[NAME_BYTES_MAX];

    if (take_word(reader, "if")) {
        (void)take_word(reader, "exists");
    }
    if (take_name(reader, name)) {
        query->kind = QUERY_EMPTIES_DATABASE;
        query_add_table(query, name, "");
    }
}

static void read_drop(struct query *query, struct reader *reader, const char *database)
{
    if (take_word(reader, "database") || take_word(reader, "schema")) {
        read_drop_database(query, reader);
        return;
    }
    if (!take_word(reader, "table") && !take_word(reader, "tables")) {
        return; /* a temporary table, an index, a view, ... */
    }
    if (take_word(reader, "if")) {
        (void)take_word(reader, "exists");
    }
    query->kind = QUERY_EMPTIES_TABLES;
    while (take_table(reader, query, database) && take_sign(reader, ',')) {
    }
}

/* MariaDB's CREATE OR REPLACE TABLE drops the table that is there. */
static void read_create(struct query *query, struct reader *reader, const char *database)
{
    if (take_word(reader, "or") && take_word(reader, "replace") && take_word(reader, "table")) {
        if (take_word(reader, "if")) {
            (void)(take_word(reader, "not") && take_word(reader, "exists"));
        }
        query->kind = take_table(reader, query, database) ? QUERY_EMPTIES_TABLES : QUERY_OTHER;
    }
}

static void read_xa(struct query *query, struct reader *reader)
{
    if (take_word(reader, "start") || take_word(reader, "begin")) {
        query->kind = QUERY_XA_START;
    } else if (take_word(reader, "commit")) {
        query->kind = QUERY_XA_COMMIT;
    } else if (take_word(reader, "rollback")) {
        query->kind = QUERY_XA_ROLLBACK;
    }
    skip_blanks(reader);
    query->xid = reader->at;
    query->xid_size = (size_t)(reader->end - reader->at);
}

static void read_insert(struct query *query, struct reader *reader, const char *database)
{
    static const char *const words[] = {"low_priority", "delayed", "high_priority", "ignore", "into", NULL};

    take_any(reader, words);
    (void)take_table(reader, query, database);
}

/* UPDATE t SET ...; anything between (a comma, a join) may bring in more tables. */
static void read_update(struct query *query, struct reader *reader, const char *database)
{
    static const char *const words[] = {"low_priority", "ignore", NULL};

    take_any(reader, words);
    if (!take_table(reader, query, database) || !take_word(reader, "set")) {
        forget_tables(query);
    }
}

/* DELETE FROM t [WHERE | ORDER | LIMIT ...] */
static void read_delete(struct query *query, struct reader *reader, const char *database)
{
    static const char *const words[] = {"low_priority", "quick", "ignore", NULL};

    take_any(reader, words);
    if (!take_word(reader, "from") || !take_table(reader, query, database)) {
        forget_tables(query);
        return;
    }
    skip_blanks(reader);
    if (reader->at < reader->end && *reader->at != ';' && !take_word(reader, "where") && !take_word(reader, "order") &&
        !take_word(reader, "limit") && !take_word(reader, "returning")) {
        forget_tables(query);
    }
}

/* LOAD DATA ... INTO TABLE t: a file's name in quotes stands before it. */
static void read_load(struct query *query, struct reader *reader, const char *database)
{
    while (reader->at < reader->end) {
        skip_blanks(reader);
        if (take_word(reader, "into") && take_word(reader, "table")) {
            (void)take_table(reader, query, database);
            return;
        }
        if (reader->at < reader->end && (*reader->at == '\'' || *reader->at == '"')) {
            char quote[2] = {*reader->at++, '\0'};

            skip_past(reader, quote);
        } else if (reader->at < reader->end) {
            size_t size = word_size(reader);

            reader->at += size > 0 ? size : 1;
        }
    }
}

/* May the rest of an ALTER TABLE change rows that are there? A column that is added is NULL in them, unless it may not be, or has a default
 * or an expression. Names and texts in quotes count as words, too. */
static bool may_change_rows(const struct reader *reader)
{
    static const char *const words[] = {"auto_increment", "serial", "as",     "modify",  "change",
                                        "convert",        "period", "partition", "discard", "import"};
    struct reader rest = *reader;

    while (rest.at < rest.end) {
        size_t size;

        skip_blanks(&rest);
        if ((take_word(&rest, "default") && !take_word(&rest, "null")) || (take_word(&rest, "not") && take_word(&rest, "null"))) {
            return true;
        }
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
            if (take_word(&rest, words[i])) {
                return true;
            }
        }
        size = word_size(&rest);
        rest.at += size > 0 ? size : rest.at < rest.end;
    }
    return false;
}

static void forget_first(struct query *query)
{
    free(query->tables[0].database);
    free(query->tables[0].name);
    memmove(query->tables, query->tables + 1, --query->table_count * sizeof *query->tables);
}

/* RENAME TABLE a TO b, c TO d: those that have new names. */
static void read_rename(struct query *query, struct reader *reader, const char *database)
{
    bool more = take_word(reader, "table") || take_word(reader, "tables");

    query->kind = more ? QUERY_REWRITES_TABLES : QUERY_OTHER;
    while (more) {
        struct query from = {0};

        more = take_table(reader, &from, database) && take_word(reader, "to") && take_table(reader, query, database) &&
               take_sign(reader, ',');
        query_deinit(&from);
    }
}

/* ALTER TABLE t: something by which rows that are there may change, or another name. */
static void read_alter(struct query *query, struct reader *reader, const char *database)
{
    static const char *const before[] = {"online", "offline", "ignore", NULL};
    static const char *const rename[] = {"to", "as", "=", NULL};

    take_any(reader, before);
    if (!take_word(reader, "table")) {
        return;
    }
    if (take_word(reader, "if")) {
        (void)take_word(reader, "exists");
    }
    if (!take_table(reader, query, database)) {
        return;
    }
    if (take_word(reader, "rename")) {
        if (!take_word(reader, "column") && !take_word(reader, "index") && !take_word(reader, "key")) {
            take_any(reader, rename);
            if (take_table(reader, query, database)) {
                forget_first(query);
            }
            query->kind = QUERY_REWRITES_TABLES;
            return;
        }
    }
    if (may_change_rows(reader)) {
        query->kind = QUERY_REWRITES_TABLES;
    } else {
        forget_tables(query);
    }
}

static bool read_control(struct query *query, struct reader *reader)
{
    if (take_word(reader, "begin")) {
        query->kind = QUERY_BEGIN;
    } else if (take_word(reader, "start")) {
        query->kind = take_word(reader, "transaction") ? QUERY_BEGIN : QUERY_OTHER;
    } else if (take_word(reader, "commit")) {
        query->kind = QUERY_COMMIT;
    } else if (take_word(reader, "rollback")) {
        query->kind = take_word(reader, "to") ? QUERY_OTHER : QUERY_ROLLBACK;
    } else if (take_word(reader, "xa")) {
        read_xa(query, reader);
    } else {
        return false;
    }
    return true;
}

static bool read_definition(struct query *query, struct reader *reader, const char *database)
{
    if (take_word(reader, "truncate")) {
        read_truncate(query, reader, database);
    } else if (take_word(reader, "drop")) {
        read_drop(query, reader, database);
    } else if (take_word(reader, "create")) {
        read_create(query, reader, database);
    } else if (take_word(reader, "alter")) {
        read_alter(query, reader, database);
    } else if (take_word(reader, "rename")) {
        read_rename(query, reader, database);
    } else {
        return false;
    }
    return true;
}

static void read_change(struct query *query, struct reader *reader, const char *database)
{
    static const char *const unsure[] = {"with", "select", "do", "call"};

    query->kind = QUERY_CHANGES_ROWS;
    if (take_word(reader, "insert") || take_word(reader, "replace")) {
        read_insert(query, reader, database);
    } else if (take_word(reader, "update")) {
        read_update(query, reader, database);
    } else if (take_word(reader, "delete")) {
        read_delete(query, reader, database);
    } else if (take_word(reader, "load")) {
        read_load(query, reader, database);
    } else {
        query->kind = QUERY_OTHER;
        for (size_t i = 0; i < sizeof unsure / sizeof unsure[0]; i++) {
            query->kind = take_word(reader, unsure[i]) ? QUERY_CHANGES_ROWS : query->kind;
        }
    }
}

void query_read(struct query *ret_query, const char *text, size_t size, const char *database)
{
    struct reader reader = {text, text + size};

    *ret_query = (struct query){.kind = QUERY_OTHER};
    if (take_word(&reader, "set") &&
        take_word(&reader, "statement")) { /* MariaDB: SET STATEMENT variable=value FOR statement */
        while (reader.at < reader.end && !take_word(&reader, "for")) {
            size_t word = word_size(&reader);

            reader.at += reader.at < reader.end ? (word > 0 ? word : 1) : 0;
        }
    }
    if (!read_control(ret_query, &reader) && !read_definition(ret_query, &reader, database)) {
        read_change(ret_query, &reader, database);
    }
}
