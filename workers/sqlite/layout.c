/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All of it happens under BEGIN IMMEDIATE: what is there is read again when nobody else can change it, so several workers that
 * meet a new schema at once add each column once.
 *
 * Columns have no declared type, only a comment that says what they hold. A declared type would be an affinity, and SQLite
 * would change values to fit it: '007' to 7 and 18446744073709551615 to 1.8e19 in an INTEGER column whose source became a text
 * or a BIGINT UNSIGNED, -0.0 to 0.0 in a REAL one. Without it each value stays as it was bound, whatever the column held
 * before; so a column whose type changes at the source just goes on, and old rows keep their old form.
 *
 * Columns only grow: the view shows every column that the history has, also one that the source has dropped since (NULL in newer
 * rows). What it shows must not depend on which worker comes last, and workers may be at different versions of a table.
 *
 * The view: a row is the latest of its key if no row of that key is newer by (__seq, __idx) (by rowid if even these are the
 * same, which needs a log that was written twice), if it is no delete, and if no truncate has a higher __seq. A truncate has no
 * key, so it is found by an index of its own. A row with a NULL in a key column is from before that column was in the key, and
 * is not shown. A table without a key has no view.
 *
 * A name in the file belongs to the source table that came first; kakehi_tables remembers it. Another owner, another case, a
 * changed sqlite.table, a history that somebody dropped: all are stops with a text that says what to do, never a second table
 * beside the first.
 */
#include "workers/sqlite/layout.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/must.h"
#include "common/text_list.h"
#include "schemas/types.h"
#include "workers/sqlite/names.h"

#define METADATA_TEXTS "'__op', '__ts', '__seq', '__idx', '__source', '__txid'"

/* The work on one table. */
struct layout {
    struct sqlite_file *file;
    const struct table *table;
    struct buffer view;       /* its name */
    struct buffer history;    /* its name */
    struct text_list columns; /* of the history, without the metadata, in the file's order */
};

/* ---- asking the file */

/* Binds the texts and steps once: 1 = a row, 0 = none, -1 = err. The caller finalizes, also after -1. */
static int ask(struct layout *layout, const char *sql, const char *const *texts, sqlite3_stmt **ret_statement, struct err *err)
{
    static const char doing[] = "reading the layout";
    int code;

    *ret_statement = NULL;
    if (sqlite_file_prepare(layout->file, sql, doing, ret_statement, err) != 0) {
        return -1;
    }
    for (int i = 0; texts[i] != NULL; i++) {
        (void)sqlite3_bind_text(*ret_statement, i + 1, texts[i], -1, SQLITE_STATIC);
    }
    code = sqlite3_step(*ret_statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        return sqlite_file_err(layout->file, doing, err);
    }
    return code == SQLITE_ROW;
}

static const char *column_text(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    return text != NULL ? text : "";
}

/* 1: there is something of that name, 0: there is not, -1: err. */
static int exists(struct layout *layout, const char *name, struct err *err)
{
    sqlite3_stmt *statement;
    int found = ask(layout, "SELECT 1 FROM sqlite_master WHERE name = ?1 COLLATE NOCASE", (const char *const[]){name, NULL},
                    &statement, err);

    (void)sqlite3_finalize(statement);
    return found;
}

static int run(struct layout *layout, struct buffer *sql, const char *doing, struct err *err)
{
    int result = sqlite_file_run(layout->file, buffer_text(sql), doing, err);

    buffer_deinit(sql);
    return result;
}

/* ---- who owns a name */

static int refuse_owner(const struct layout *layout, const char *name, const char *database, const char *table, struct err *err)
{
    if (strcmp(database, layout->table->database) != 0) {
        return err_set(
            err, ERR_FATAL,
            "%s of %s belongs to %s.%s, so %s.%s can't have it: set sqlite.table: \"{database}_{table}\", with a new file",
            name, layout->file->path, database, table, layout->table->database, layout->table->name);
    }
    return err_set(
        err, ERR_FATAL,
        "%s of %s belongs to %s.%s, so %s.%s can't have it: exclude one of the two, or give it a worker with another file",
        name, layout->file->path, database, table, layout->table->database, layout->table->name);
}

static int check_owner(struct layout *layout, const char *name, struct err *err)
{
    sqlite3_stmt *statement;
    int result = ask(layout, "SELECT source_database, source_table FROM kakehi_tables WHERE name = ?1",
                     (const char *const[]){name, NULL}, &statement, err);

    if (result == 1) {
        const char *database = column_text(statement, 0);
        const char *table = column_text(statement, 1);
        bool ours = strcmp(database, layout->table->database) == 0 && strcmp(table, layout->table->name) == 0;

        result = ours ? 0 : refuse_owner(layout, name, database, table, err);
    }
    (void)sqlite3_finalize(statement);
    return result;
}

/* *ret_new: nobody had it before. */
static int claim(struct layout *layout, const char *name, bool *ret_new, struct err *err)
{
    sqlite3_stmt *statement;
    int found = ask(
        layout, "INSERT INTO kakehi_tables (name, source_database, source_table) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        (const char *const[]){name, layout->table->database, layout->table->name, NULL}, &statement, err);

    (void)sqlite3_finalize(statement);
    if (found < 0) {
        return -1;
    }
    *ret_new = sqlite3_changes(layout->file->db) == 1;
    if (!*ret_new) {
        return check_owner(layout, name, err);
    }
    found = exists(layout, name, err);
    if (found == 1) {
        return err_set(err, ERR_FATAL, "%s of %s is not of kakehi's making: rename it, or set sqlite.table", name,
                       layout->file->path);
    }
    return found;
}

/* Has the table another name in this file? */
static int check_pattern(struct layout *layout, struct err *err)
{
    sqlite3_stmt *statement;
    int result =
        ask(layout, "SELECT name FROM kakehi_tables WHERE source_database = ?1 AND source_table = ?2 AND name NOT IN (?3, ?4)",
            (const char *const[]){layout->table->database, layout->table->name, buffer_text(&layout->view),
                                  buffer_text(&layout->history), NULL},
            &statement, err);

    if (result == 1) {
        result =
            err_set(err, ERR_FATAL, "%s.%s has the name %s in %s: set sqlite.table back to what it was, or choose a new file",
                    layout->table->database, layout->table->name, column_text(statement, 0), layout->file->path);
    }
    (void)sqlite3_finalize(statement);
    return result;
}

static int claim_names(struct layout *layout, bool *ret_new, struct err *err)
{
    bool view_new;
    int there;

    if (check_pattern(layout, err) != 0 || claim(layout, buffer_text(&layout->view), &view_new, err) != 0 ||
        claim(layout, buffer_text(&layout->history), ret_new, err) != 0) {
        return -1;
    }
    there = *ret_new ? 1 : exists(layout, buffer_text(&layout->history), err);
    if (there == 0) {
        const char *view = buffer_text(&layout->view);
        const char *history = buffer_text(&layout->history);

        return err_set(
            err, ERR_FATAL,
            "%s is gone from %s, but rows were written to it: restore the file from a backup; or, to begin again without "
            "them, drop the view %s if it is there and DELETE FROM kakehi_tables WHERE name IN ('%s', '%s')",
            history, layout->file->path, view, view, history);
    }
    return there < 0 ? -1 : 0;
}

/* ---- columns */

static int compare_ignoring_case(const void *one, const void *other)
{
    return strcasecmp(*(char *const *)one, *(char *const *)other);
}

/* SQLite's column names differ by more than case (of ASCII letters). */
static int check_cases(const struct table *table, struct err *err)
{
    struct text_list names = {0};
    struct buffer name = {0};
    int result = 0;

    for (size_t i = 0; i < table->column_count; i++) {
        buffer_clear(&name);
        sqlite_append_column_name(&name, &table->columns[i]);
        text_list_add(&names, buffer_text(&name));
    }
    if (names.count > 0) {
        qsort(names.texts, names.count, sizeof *names.texts, compare_ignoring_case);
    }
    for (size_t i = 1; i < names.count && result == 0; i++) {
        if (strcasecmp(names.texts[i - 1], names.texts[i]) == 0) {
            result = err_set(err, ERR_FATAL,
                             "the columns %s and %s of %s.%s have one name in SQLite: rename one, or exclude the table",
                             names.texts[i - 1], names.texts[i], table->database, table->name);
        }
    }
    text_list_deinit(&names);
    buffer_deinit(&name);
    return result;
}

static int check_count(const struct layout *layout, struct err *err)
{
    int most = sqlite3_limit(layout->file->db, SQLITE_LIMIT_COLUMN, -1) - SQLITE_METADATA_COUNT;

    if (layout->columns.count > (size_t)most) {
        return err_set(err, ERR_FATAL, "%s.%s has, over all its versions, %zu columns; SQLite takes %d: exclude the table",
                       layout->table->database, layout->table->name, layout->columns.count, most);
    }
    return 0;
}

static bool has_column(const struct layout *layout, const char *name)
{
    for (size_t i = 0; i < layout->columns.count; i++) {
        if (strcasecmp(layout->columns.texts[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static int read_columns(struct layout *layout, struct err *err)
{
    sqlite3_stmt *statement;
    int found = ask(layout, "SELECT name FROM pragma_table_info(?1) WHERE name NOT IN (" METADATA_TEXTS ")",
                    (const char *const[]){buffer_text(&layout->history), NULL}, &statement, err);

    while (found == 1) {
        int code;

        text_list_add(&layout->columns, column_text(statement, 0));
        code = sqlite3_step(statement);
        found = code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : sqlite_file_err(layout->file, "reading the layout", err);
    }
    (void)sqlite3_finalize(statement);
    return found;
}

/* "price" and, for people, a comment. */
static void append_column(struct buffer *out, const struct column *column)
{
    sqlite_append_column_quoted(out, column);
    buffer_printf(out, " /* %s: %s */", type_facts(column->type)->name, type_facts(column->type)->sqlite);
}

static int create_history(struct layout *layout, struct err *err)
{
    struct buffer sql = {0};

    buffer_append_text(&sql, "CREATE TABLE ");
    sqlite_append_quoted(&sql, buffer_text(&layout->history));
    buffer_append_text(&sql, " (");
    for (size_t i = 0; i < layout->table->column_count; i++) {
        append_column(&sql, &layout->table->columns[i]);
        buffer_append_text(&sql, ", ");
    }
    buffer_append_text(&sql, SQLITE_METADATA_COLUMNS ")");
    return run(layout, &sql, "making a history table", err);
}

static int add_column(struct layout *layout, const struct column *column, struct err *err)
{
    struct buffer sql = {0};

    buffer_append_text(&sql, "ALTER TABLE ");
    sqlite_append_quoted(&sql, buffer_text(&layout->history));
    buffer_append_text(&sql, " ADD COLUMN ");
    append_column(&sql, column);
    return run(layout, &sql, "adding a column", err);
}

/* Makes the history, or adds what it lacks; then layout->columns is what it has. */
static int ensure_history(struct layout *layout, bool history_new, struct err *err)
{
    struct buffer name = {0};
    int result = 0;

    if (!history_new && read_columns(layout, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < layout->table->column_count && result == 0; i++) {
        buffer_clear(&name);
        sqlite_append_column_name(&name, &layout->table->columns[i]);
        if (!has_column(layout, buffer_text(&name))) {
            text_list_add(&layout->columns, buffer_text(&name));
            result = check_count(layout, err);
            if (result == 0 && !history_new) {
                result = add_column(layout, &layout->table->columns[i], err);
            }
        }
    }
    buffer_deinit(&name);
    return result == 0 && history_new ? create_history(layout, err) : result;
}

/* ---- indexes and view */

/* SQLite remembers the text that made it: if that is not `wanted`, it is dropped and made again. NULL: there is to be none. */
static int ensure_object(struct layout *layout, const char *kind, const char *name, const char *wanted, struct err *err)
{
    sqlite3_stmt *statement;
    struct buffer drop = {0};
    int found = ask(layout, "SELECT sql FROM sqlite_master WHERE type = lower(?1) AND name = ?2",
                    (const char *const[]){kind, name, NULL}, &statement, err);
    bool same = found == 1 && wanted != NULL && strcmp(column_text(statement, 0), wanted) == 0;

    (void)sqlite3_finalize(statement);
    if (found < 0) {
        return -1;
    }
    if (found == 1 && !same) {
        buffer_printf(&drop, "DROP %s ", kind);
        sqlite_append_quoted(&drop, name);
        if (run(layout, &drop, "dropping an outdated index or view", err) != 0) {
            return -1;
        }
    }
    return same || wanted == NULL ? 0 : sqlite_file_run(layout->file, wanted, "making an index or view", err);
}

static const struct column *key_column(const struct layout *layout, size_t i)
{
    return &layout->table->columns[layout->table->key[i]];
}

static int ensure_index(struct layout *layout, const char *suffix, struct buffer *columns, const char *condition,
                        struct err *err)
{
    struct buffer name = {0};
    struct buffer sql = {0};
    int result;

    buffer_printf(&name, "%s%s", buffer_text(&layout->history), suffix);
    if (columns != NULL) {
        buffer_append_text(&sql, "CREATE INDEX ");
        sqlite_append_quoted(&sql, buffer_text(&name));
        buffer_append_text(&sql, " ON ");
        sqlite_append_quoted(&sql, buffer_text(&layout->history));
        buffer_printf(&sql, " (%s)%s", buffer_text(columns), condition);
    }
    result = ensure_object(layout, "INDEX", buffer_text(&name), columns != NULL ? buffer_text(&sql) : NULL, err);
    buffer_deinit(&name);
    buffer_deinit(&sql);
    return result;
}

static int ensure_key_index(struct layout *layout, struct err *err)
{
    struct buffer columns = {0};
    int result;

    for (size_t i = 0; i < layout->table->key_count; i++) {
        sqlite_append_column_quoted(&columns, key_column(layout, i));
        buffer_append_text(&columns, ", ");
    }
    buffer_append_text(&columns, "\"__seq\", \"__idx\"");
    result = ensure_index(layout, "_by_key", layout->table->key_count > 0 ? &columns : NULL, "", err);
    buffer_deinit(&columns);
    return result;
}

static int ensure_truncate_index(struct layout *layout, struct err *err)
{
    struct buffer columns = {0};
    int result;

    buffer_append_text(&columns, "\"__seq\"");
    result = ensure_index(layout, "_truncates", &columns, " WHERE \"__op\" = 't'", err);
    buffer_deinit(&columns);
    return result;
}

/* A name of the rowid that no column has taken; NULL if all three are. */
static const char *rowid_name(const struct layout *layout)
{
    static const char *const names[] = {"rowid", "_rowid_", "oid"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!has_column(layout, names[i])) {
            return names[i];
        }
    }
    return NULL;
}

static void append_view(struct buffer *out, struct layout *layout, const char *rowid)
{
    struct buffer history = {0};

    sqlite_append_quoted(&history, buffer_text(&layout->history));
    buffer_append_text(out, "CREATE VIEW ");
    sqlite_append_quoted(out, buffer_text(&layout->view));
    buffer_append_text(out, " AS SELECT");
    for (size_t i = 0; i < layout->columns.count; i++) {
        buffer_append_text(out, i > 0 ? ", h." : " h.");
        sqlite_append_quoted(out, layout->columns.texts[i]);
        buffer_append_text(out, " AS ");
        sqlite_append_quoted(out, layout->columns.texts[i]);
    }
    buffer_printf(out, " FROM %s AS h WHERE h.\"__op\" <> 'd' AND h.\"__op\" <> 't'", buffer_text(&history));
    for (size_t i = 0; i < layout->table->key_count; i++) {
        buffer_append_text(out, " AND h.");
        sqlite_append_column_quoted(out, key_column(layout, i));
        buffer_append_text(out, " IS NOT NULL");
    }
    buffer_printf(out, " AND NOT EXISTS (SELECT 1 FROM %s AS n WHERE ", buffer_text(&history));
    for (size_t i = 0; i < layout->table->key_count; i++) {
        buffer_append_text(out, "n.");
        sqlite_append_column_quoted(out, key_column(layout, i));
        buffer_append_text(out, " = h.");
        sqlite_append_column_quoted(out, key_column(layout, i));
        buffer_append_text(out, " AND ");
    }
    buffer_printf(out, "(n.\"__seq\", n.\"__idx\", n.%s) > (h.\"__seq\", h.\"__idx\", h.%s))", rowid, rowid);
    buffer_printf(out, " AND h.\"__seq\" >= ifnull((SELECT max(t.\"__seq\") FROM %s AS t WHERE t.\"__op\" = 't'), h.\"__seq\")",
                  buffer_text(&history));
    buffer_deinit(&history);
}

static int ensure_view(struct layout *layout, struct err *err)
{
    const char *rowid = rowid_name(layout);
    struct buffer sql = {0};
    int result;

    if (layout->table->key_count == 0) {
        return ensure_object(layout, "VIEW", buffer_text(&layout->view), NULL, err);
    }
    if (rowid == NULL) {
        return err_set(
            err, ERR_FATAL,
            "%s.%s has columns of all of SQLite's own names rowid, _rowid_ and oid: rename one, or exclude the table",
            layout->table->database, layout->table->name);
    }
    append_view(&sql, layout, rowid);
    result = ensure_object(layout, "VIEW", buffer_text(&layout->view), buffer_text(&sql), err);
    buffer_deinit(&sql);
    return result;
}

static int ensure_all(struct layout *layout, struct err *err)
{
    bool history_new;

    if (check_cases(layout->table, err) != 0 || claim_names(layout, &history_new, err) != 0 ||
        ensure_history(layout, history_new, err) != 0 || ensure_truncate_index(layout, err) != 0) {
        return -1;
    }
    if (layout->table->column_count == 0) {
        return 0; /* a truncate of a table that nothing else is known of: a view that is there stays */
    }
    return ensure_key_index(layout, err) != 0 || ensure_view(layout, err) != 0 ? -1 : 0;
}

int sqlite_layout_ensure(struct sqlite_file *file, const char *view_pattern, const struct table *table, struct err *err)
{
    struct layout layout = {.file = file, .table = table};
    int result = -1;

    sqlite_append_view_name(&layout.view, view_pattern, table);
    buffer_printf(&layout.history, "%s" SQLITE_HISTORY_SUFFIX, buffer_text(&layout.view));
    if (sqlite_file_begin(file, err) == 0) {
        if (ensure_all(&layout, err) == 0) {
            result = sqlite_file_commit(file, err);
        } else {
            sqlite_file_rollback(file);
        }
    }
    if (result != 0) {
        (void)err_while(err, "preparing the tables of %s.%s", table->database, table->name);
    }
    buffer_deinit(&layout.view);
    buffer_deinit(&layout.history);
    text_list_deinit(&layout.columns);
    return result;
}
