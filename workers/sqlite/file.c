/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WAL: readers never wait for the writer, nor the writer for them; so people may query the file while rows flow in.
 *
 * synchronous=NORMAL: in WAL mode a power cut may roll the file back to an earlier commit, but never to half of one. Rows and
 * offsets stand in one transaction, so both are rolled back together, and Kafka still holds the messages between: they come
 * again. FULL would buy nothing but an fsync a batch.
 *
 * The journal mode is changed when the file is new, and SQLite may answer "busy" without waiting when two processes do it at
 * once. So opening is a step that can be repeated: the writer tries again with its next command.
 */
#include "workers/sqlite/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "workers/sqlite/lock_holder.h"

static const char internal_tables[] =
    "CREATE TABLE IF NOT EXISTS kakehi_offsets ("
    " topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER, epoch INTEGER NOT NULL, PRIMARY KEY (topic, partition));"
    "CREATE TABLE IF NOT EXISTS kakehi_tables ("
    " name TEXT NOT NULL PRIMARY KEY COLLATE NOCASE, source_database TEXT NOT NULL, source_table TEXT NOT NULL);";

#define NO_ROOM "free space on its volume; nothing is lost, writing goes on by itself"

struct trouble {
    int code; /* primary result code */
    enum err_class class;
    const char *advice;
};

static const struct trouble troubles[] = {
    {SQLITE_BUSY, ERR_RETRY, "waiting until it lets go"},
    {SQLITE_LOCKED, ERR_RETRY, "waiting until it is free"},
    {SQLITE_PROTOCOL, ERR_RETRY, "waiting until it is free"},
    {SQLITE_FULL, ERR_RETRY, NO_ROOM},
    {SQLITE_IOERR, ERR_RETRY, "look at the volume; nothing is lost, writing goes on by itself"},
    {SQLITE_NOMEM, ERR_RETRY, "free memory; writing goes on by itself"},
    {SQLITE_CONSTRAINT, ERR_POISON, "a constraint or trigger that kakehi did not make refuses it"},
    {SQLITE_TOOBIG, ERR_POISON, "it is larger than SQLite's limit"},
    {SQLITE_MISMATCH, ERR_POISON, "a constraint that kakehi did not make refuses it"},
    {SQLITE_CANTOPEN, ERR_FATAL, "check that its folder is there and that this user may write to it"},
    {SQLITE_READONLY, ERR_FATAL, "check that this user may write to the file and its folder"},
    {SQLITE_PERM, ERR_FATAL, "check that this user may write to the file and its folder"},
    {SQLITE_CORRUPT, ERR_FATAL,
     "the file is damaged: restore it from a backup, or move it away to start anew from what Kafka holds"},
    {SQLITE_NOTADB, ERR_FATAL, "sqlite.file names something else: move it away or choose another name"},
};

static const struct trouble other_trouble = {SQLITE_ERROR, ERR_FATAL, "was the file changed by hand?"};

static const struct trouble no_room = {SQLITE_FULL, ERR_RETRY, NO_ROOM};

/* SQLite says "full" only of a write; a file that can't be made for want of room is one that it can't open. */
static const struct trouble *trouble_of(int code, int system_error)
{
    if (system_error == ENOSPC || system_error == EDQUOT) {
        return &no_room;
    }
    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++) {
        if (troubles[i].code == (code & 0xff)) {
            return &troubles[i];
        }
    }
    return &other_trouble;
}

void sqlite_file_init(struct sqlite_file *file, const char *path)
{
    *file = (struct sqlite_file){.path = must_strdup(path)};
}

static void close_file(struct sqlite_file *file)
{
    must(sqlite3_close(file->db) == SQLITE_OK); /* busy: a statement was not finalized */
    file->db = NULL;
}

void sqlite_file_deinit(struct sqlite_file *file)
{
    close_file(file);
    free(file->path);
    *file = (struct sqlite_file){0};
}

int sqlite_file_err(struct sqlite_file *file, const char *doing, struct err *err)
{
    int code = sqlite3_extended_errcode(file->db);
    int system_error = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN ? sqlite3_system_errno(file->db) : 0;
    const struct trouble *trouble = trouble_of(code, system_error);
    char because[160] = "";

    if ((code & 0xff) == SQLITE_BUSY) {
        file->was_locked = true;
        lock_holder_describe(file->path, because, sizeof because);
    } else if (system_error != 0) {
        (void)snprintf(because, sizeof because, " (%s)", strerror(system_error));
    }
    return err_set(err, trouble->class, "%s in %s: %s%s, SQLite code %d: %s", doing, file->path, sqlite3_errmsg(file->db),
                   because, code, trouble->advice);
}

int sqlite_file_run(struct sqlite_file *file, const char *sql, const char *doing, struct err *err)
{
    return sqlite3_exec(file->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : sqlite_file_err(file, doing, err);
}

int sqlite_file_prepare(struct sqlite_file *file, const char *sql, const char *doing, sqlite3_stmt **ret_statement,
                        struct err *err)
{
    return sqlite3_prepare_v2(file->db, sql, -1, ret_statement, NULL) == SQLITE_OK ? 0 : sqlite_file_err(file, doing, err);
}

void sqlite_file_patience(struct sqlite_file *file, bool patient)
{
    file->was_locked = false;
    if (file->db != NULL) {
        (void)sqlite3_busy_timeout(file->db, patient ? SQLITE_FILE_BUSY_MS : 0);
    }
}

/* SQLite does not fail where the mode can't be had, it answers with the mode that is. */
static int set_wal(struct sqlite_file *file, struct err *err)
{
    static const char doing[] = "setting WAL mode";
    sqlite3_stmt *statement;
    const char *mode;
    int result = 0;

    if (sqlite_file_prepare(file, "PRAGMA journal_mode = WAL", doing, &statement, err) != 0) {
        return -1;
    }
    mode = sqlite3_step(statement) == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (mode == NULL) {
        result = sqlite_file_err(file, doing, err);
    } else if (strcmp(mode, "wal") != 0) {
        result = err_set(err, ERR_FATAL, "%s stays in journal mode %s: put sqlite.file on a volume of this machine", file->path,
                         mode);
    }
    (void)sqlite3_finalize(statement);
    return result;
}

static int set_up(struct sqlite_file *file, struct err *err)
{
    sqlite_file_patience(file, true);
    if (set_wal(file, err) != 0 ||
        sqlite_file_run(file, "PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 67108864", "setting up", err) != 0 ||
        sqlite_file_begin(file, err) != 0) {
        return -1;
    }
    if (sqlite_file_run(file, internal_tables, "making the internal tables", err) != 0) {
        sqlite_file_rollback(file);
        return -1;
    }
    return sqlite_file_commit(file, err);
}

int sqlite_file_open(struct sqlite_file *file, struct err *err)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;

    if (file->db != NULL) {
        return 0;
    }
    if (sqlite3_open_v2(file->path, &file->db, flags, NULL) != SQLITE_OK) {
        (void)sqlite_file_err(file, "opening", err);
        close_file(file);
        return -1;
    }
    if (set_up(file, err) != 0) {
        close_file(file);
        return -1;
    }
    return 0;
}

int sqlite_file_begin(struct sqlite_file *file, struct err *err)
{
    return sqlite_file_run(file, "BEGIN IMMEDIATE", "beginning a transaction", err);
}

int sqlite_file_commit(struct sqlite_file *file, struct err *err)
{
    if (sqlite_file_run(file, "COMMIT", "committing", err) != 0) {
        sqlite_file_rollback(file);
        return -1;
    }
    return 0;
}

void sqlite_file_rollback(struct sqlite_file *file)
{
    if (sqlite_file_in_transaction(file)) {
        (void)sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL); /* whatever it meets, the transaction is over */
    }
}

bool sqlite_file_in_transaction(const struct sqlite_file *file)
{
    return sqlite3_get_autocommit(file->db) == 0;
}
