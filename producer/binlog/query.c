/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words, signs and what stands in quotes are passed one by one: in quotes no word is meant, and no comment begins (`COMMENT 'issue #5'`).
 * Which quotes hold a name and whether a backslash escapes is a matter of the client's sql_mode, which the event tells.
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
    uint64_t sql_mode;
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

/* Two dashes are a comment if a blank or the end of the text follows; `5--3` is a number. */
static bool looks_at_dashes(const struct reader *reader)
{
    return looks_at(reader, "--") && (reader->end - reader->at == 2 || isspace((unsigned char)reader->at[2]) || iscntrl((unsigned char)reader->at[2]));
}

/* Not inside of quotes: see skip_quoted. */
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
    } else if (looks_at(reader, "#") || looks_at_dashes(reader)) {
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

static bool looks_at_quote(const struct reader *reader)
{
    return looks_at(reader, "'") || looks_at(reader, "\"") || looks_at(reader, "`");
}

static bool quote_escapes(const struct reader *reader, char quote)
{
    bool holds_name = quote == '`' || (quote == '"' && (reader->sql_mode & QUERY_ANSI_QUOTES) != 0);

    return !holds_name && (reader->sql_mode & QUERY_NO_BACKSLASH_ESCAPES) == 0;
}

/* A doubled quote ends what stands in front of it and begins what stands behind: to the same effect. */
static void skip_quoted(struct reader *reader)
{
    char quote = *reader->at++;
    bool escapes = quote_escapes(reader, quote);

    while (reader->at < reader->end && *reader->at != quote) {
        reader->at += escapes && *reader->at == '\\' && reader->end - reader->at > 1 ? 2 : 1;
    }
    reader->at += reader->at < reader->end;
}

/* A word, a sign, or what stands in quotes. */
static void skip_one(struct reader *reader)
{
    size_t size = word_size(reader);

    if (looks_at_quote(reader)) {
        skip_quoted(reader);
    } else {
        reader->at += size > 0 ? size : reader->at < reader->end;
    }
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

/* What has no end, or is longer than any name, is not taken. */
static bool take_quoted(struct reader *reader, char name[NAME_BYTES_MAX])
{
    const char *at = reader->at + 1;
    char quote = *reader->at;
    size_t size = 0;

    for (; at < reader->end && size < NAME_BYTES_MAX - 1; at++) {
        if (*at == quote && (++at == reader->end || *at != quote)) { /* a doubled quote is one */
            name[size] = '\0';
            reader->at = at;
            return size > 0 && memchr(name, 0, size) == NULL;
        }
        name[size++] = *at;
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

void query_add_table(struct query *query, const char *database, const char *name)
{
    query->tables = realloc(query->tables, (query->table_count + 1) * sizeof *query->tables);
    must(query->tables != NULL);
    query->tables[query->table_count++] = (struct query_table){.database = must_strdup(database), .name = must_strdup(name)};
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
    column_names_deinit(&query->drops);
    column_names_deinit(&query->adds);
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

static void take_if_exists(struct reader *reader)
{
    if (take_word(reader, "if")) {
        (void)take_word(reader, "exists");
    }
}

static void read_drop_database(struct query *query, struct reader *reader)
{
    char name[NAME_BYTES_MAX];

    take_if_exists(reader);
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
    take_if_exists(reader);
    query->kind = QUERY_EMPTIES_TABLES;
    while (take_table(reader, query, database) && take_sign(reader, ',')) {
    }
}

/* The rest of a CREATE TABLE: is the table filled from a query? These words are reserved; VALUES stands in partitions, too. */
static bool takes_query(struct reader *reader)
{
    while (reader->at < reader->end) {
        if (take_word(reader, "select") || take_word(reader, "table") ||
            (take_word(reader, "values") && !take_word(reader, "less") && !take_word(reader, "in"))) {
            return true;
        }
        skip_one(reader);
    }
    return false;
}

/* MariaDB's CREATE OR REPLACE TABLE drops the table that is there. Where a table is made of a query, servers that log rows log them behind a
 * statement with its columns; only in statement format the query stands there. */
static void read_create(struct query *query, struct reader *reader, const char *database)
{
    bool replaces = take_word(reader, "or") && take_word(reader, "replace");

    if (!take_word(reader, "table")) {
        return;
    }
    if (take_word(reader, "if")) {
        (void)(take_word(reader, "not") && take_word(reader, "exists"));
    }
    if (!take_table(reader, query, database)) {
        return;
    }
    if (takes_query(reader)) {
        query->kind = QUERY_CHANGES_ROWS;
    } else if (replaces) {
        query->kind = QUERY_EMPTIES_TABLES;
    } else {
        forget_tables(query);
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

/* LOAD DATA ... INTO TABLE t */
static void read_load(struct query *query, struct reader *reader, const char *database)
{
    while (reader->at < reader->end) {
        if (take_word(reader, "into") && take_word(reader, "table")) {
            (void)take_table(reader, query, database);
            return;
        }
        skip_one(reader);
    }
}

/* MariaDB: how long to wait for the table's lock. */
static void take_wait(struct reader *reader)
{
    if (!take_word(reader, "nowait") && take_word(reader, "wait")) {
        skip_blanks(reader);
        reader->at += word_size(reader);
    }
}

/* What follows DROP or ADD is a column, unless a word says what else it is. These are reserved: a column of that name stands in quotes. */
static bool is_of_column(const struct reader *reader)
{
    static const char *const others[] = {"index",   "key",     "primary",    "foreign", "unique",    "fulltext",
                                         "spatial", "default", "constraint", "check",   "partition"};
    struct reader ahead = *reader;

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (take_word(&ahead, others[i])) {
            return false;
        }
    }
    return true;
}

/* [COLUMN] [IF [NOT] EXISTS] name, without taking it. Of a list in brackets the names are not looked for. */
static void note_column(struct column_names *names, struct reader ahead)
{
    char name[NAME_BYTES_MAX];

    (void)take_word(&ahead, "column");
    if (take_word(&ahead, "if")) {
        (void)take_word(&ahead, "not");
        (void)take_word(&ahead, "exists");
    }
    (void)column_names_add(names, take_name(&ahead, name) ? name : COLUMN_NAMES_ANY);
}

/* MariaDB: without system versioning the rows of the past are gone; with it each row has another key, which holds the end of its time. */
static bool take_versioning(struct reader *reader)
{
    struct reader ahead = *reader;
    bool taken = (take_word(&ahead, "drop") || take_word(&ahead, "add")) && take_word(&ahead, "system") && take_word(&ahead, "versioning");

    if (taken) {
        *reader = ahead;
    }
    return taken;
}

static void take_columns(struct query *query, struct reader *reader)
{
    if (take_word(reader, "drop")) {
        if (is_of_column(reader)) {
            note_column(&query->drops, *reader);
        }
        (void)take_word(reader, "primary"); /* a key goes, and no row changes */
    } else if (take_word(reader, "add") && is_of_column(reader)) {
        note_column(&query->adds, *reader);
    }
}

/* Rows that are there have the column's values under its old name: in the warehouse that one is dropped. */
static bool take_new_column_name(struct query *query, struct reader *reader)
{
    bool renames = take_word(reader, "rename") ? take_word(reader, "column") : take_word(reader, "change");

    if (renames) {
        note_column(&query->drops, *reader);
    }
    return renames;
}

/* A word by which rows that are there may change. A column that is added is NULL in them, unless it may not be, or has a default or an
 * expression; on servers before MySQL 8 and MariaDB 10.10 a TIMESTAMP may not be unless that is said. */
static bool take_change(struct reader *reader)
{
    static const char *const words[] = {"auto_increment", "serial", "as", "modify", "period", "partition", "discard", "import", "primary"};

    if (take_word(reader, "timestamp")) {
        if (take_sign(reader, '(')) { /* digits behind the second */
            reader->at += word_size(reader);
            (void)take_sign(reader, ')');
        }
        return !take_word(reader, "null") && !(take_word(reader, "default") && take_word(reader, "null"));
    }
    if ((take_word(reader, "default") && !take_word(reader, "null")) || (take_word(reader, "not") && take_word(reader, "null"))) {
        return true;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (take_word(reader, words[i])) {
            return true;
        }
    }
    return false;
}

static bool same_table(const struct query_table *a, const struct query_table *b)
{
    return strcmp(a->database, b->database) == 0 && strcmp(a->name, b->name) == 0;
}

/* Its table has left this name, or a table has come to it. What is said last is so behind the statement. */
static void say(struct query *query, const struct query_table *table, bool left)
{
    size_t i = 0;

    while (i < query->table_count && !same_table(&query->tables[i], table)) {
        i++;
    }
    if (i == query->table_count) {
        query_add_table(query, table->database, table->name);
    }
    query->tables[i].left = left;
}

static bool take_and_say(struct query *query, struct reader *reader, const char *database, bool left)
{
    struct query names = {0};
    bool taken = take_table(reader, &names, database);

    if (taken) {
        say(query, names.tables, left);
    }
    query_deinit(&names);
    return taken;
}

/* EXCHANGE PARTITION p WITH TABLE u; MariaDB's CONVERT PARTITION p TO TABLE u and CONVERT TABLE u TO PARTITION p (then there is no u any more):
 * rows go from one to the other. CONVERT TO CHARACTER SET changes rows, too. */
static bool take_exchange(struct query *query, struct reader *reader, const char *database)
{
    if (take_word(reader, "convert")) {
        (void)(take_word(reader, "table") && take_and_say(query, reader, database, true));
        return true;
    }
    return (take_word(reader, "with") || take_word(reader, "to")) && take_word(reader, "table") && take_table(reader, query, database);
}

/* RENAME [TO | AS | =] name, of an ALTER of the first of the tables. False, and nothing is taken: it is another alteration, or a column or an
 * index has a new name. */
static bool take_rename(struct query *query, struct reader *reader, const char *database)
{
    static const char *const words[] = {"to", "as", NULL};
    struct reader ahead = *reader;

    if (!take_word(&ahead, "rename") || take_word(&ahead, "column") || take_word(&ahead, "index") || take_word(&ahead, "key")) {
        return false;
    }
    *reader = ahead;
    take_any(reader, words);
    (void)take_sign(reader, '=');
    query->tables[0].left = true; /* but if it is renamed to what it is called */
    if (!take_and_say(query, reader, database, false)) {
        query->tables[0].left = false;
    }
    return true;
}

/* The rest of an ALTER TABLE: may it change rows that are there? Adds tables that get other rows, too. A column that is dropped and added in
 * one may have the same name, and its old values are gone from the rows. */
static bool read_alterations(struct query *query, struct reader *reader, const char *database)
{
    bool changes = false;

    while (reader->at < reader->end) {
        const char *at;

        skip_blanks(reader);
        at = reader->at;
        changes |= take_sign(reader, ',') && take_rename(query, reader, database);
        changes |= take_exchange(query, reader, database);
        changes |= take_versioning(reader);
        take_columns(query, reader);
        changes |= take_new_column_name(query, reader);
        changes |= take_change(reader);
        if (reader->at == at) {
            skip_one(reader);
        }
    }
    return changes || column_names_meet(&query->drops, &query->adds);
}

/* RENAME TABLE a TO b, c TO d: one after the other. */
static void read_rename(struct query *query, struct reader *reader, const char *database)
{
    bool more = take_word(reader, "table") || take_word(reader, "tables");

    query->kind = more ? QUERY_REWRITES_TABLES : QUERY_OTHER;
    take_if_exists(reader);
    while (more) {
        struct query names = {0};

        more = take_table(reader, &names, database);
        take_wait(reader);
        more = more && take_word(reader, "to") && take_table(reader, &names, database);
        if (more) {
            say(query, &names.tables[0], true);
            say(query, &names.tables[1], false);
            more = take_sign(reader, ',');
        }
        query_deinit(&names);
    }
}

/* REPAIR TABLE a, b leaves out rows that it can't read, and so may OPTIMIZE of a damaged table (MyISAM, Aria); but that one is run on sound tables
 * as a matter of course, of which each would be told again and again. */
static void read_repair(struct query *query, struct reader *reader, const char *database)
{
    if (take_word(reader, "table") || take_word(reader, "tables")) {
        query->kind = QUERY_REWRITES_TABLES;
        while (take_table(reader, query, database) && take_sign(reader, ',')) {
        }
    }
}

/* ALTER TABLE t: something by which rows that are there may change, or another name. */
static void read_alter(struct query *query, struct reader *reader, const char *database)
{
    static const char *const before[] = {"online", "offline", NULL};
    bool drops_rows;

    take_any(reader, before);
    drops_rows = take_word(reader, "ignore"); /* those that break a new unique key */
    if (!take_word(reader, "table")) {
        return;
    }
    take_if_exists(reader);
    if (!take_table(reader, query, database)) {
        return;
    }
    take_wait(reader);
    if (take_rename(query, reader, database)) {
        query->kind = QUERY_REWRITES_TABLES;
    } else if (read_alterations(query, reader, database) || drops_rows) {
        query->kind = QUERY_REWRITES_TABLES;
    } else if (!column_names_none(&query->drops) || !column_names_none(&query->adds)) {
        query->kind = QUERY_ALTERS_COLUMNS;
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
    } else if (take_word(reader, "repair")) {
        read_repair(query, reader, database);
    } else {
        return false;
    }
    return true;
}

/* MariaDB: ANALYZE [FORMAT=JSON] UPDATE ... carries the change out and explains it. */
static void take_analyze(struct reader *reader)
{
    if (take_word(reader, "analyze") && take_word(reader, "format")) {
        (void)take_sign(reader, '=');
        skip_blanks(reader);
        skip_one(reader);
    }
}

static void read_change(struct query *query, struct reader *reader, const char *database)
{
    static const char *const unsure[] = {"with", "select", "do", "call"};

    take_analyze(reader);
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

void query_read(struct query *ret_query, const char *text, size_t size, const char *database, uint64_t sql_mode)
{
    struct reader reader = {text, text + size, sql_mode};

    *ret_query = (struct query){.kind = QUERY_OTHER};
    if (take_word(&reader, "set") &&
        take_word(&reader, "statement")) { /* MariaDB: SET STATEMENT variable=value FOR statement */
        while (!take_word(&reader, "for") && reader.at < reader.end) {
            skip_one(&reader);
        }
    }
    if (!read_control(ret_query, &reader) && !read_definition(ret_query, &reader, database)) {
        read_change(ret_query, &reader, database);
    }
}
