/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file: one connection to the database file: how it is opened, how its transactions begin and end, and the one table that sorts
 * SQLite's codes into ours.
 *
 * | err class  | what it means for a request                                                                          |
 * | ERR_RETRY  | locked, disk full, I/O error: nothing is in, the same again later                                    |
 * | ERR_POISON | this row will never go in (a constraint that somebody added, a value above SQLite's limits)          |
 * | ERR_FATAL  | corrupt, no database, read-only, a table that is gone: a person must act                             |
 *
 * For one thread at a time.
 */
#ifndef KAKEHI_WORKERS_SQLITE_FILE_H
#define KAKEHI_WORKERS_SQLITE_FILE_H

#include <sqlite3.h>
#include <stdbool.h>

#include "common/err.h"

#define SQLITE_FILE_BUSY_MS 2000 /* so long a statement waits for another process's lock, then the answer is ERR_RETRY */

struct sqlite_file {
    sqlite3 *db; /* NULL: not open */
    char *path;
    bool was_locked; /* set when a statement waited in vain; sqlite_file_patience takes it back */
};

void sqlite_file_init(struct sqlite_file *file, const char *path);
void sqlite_file_deinit(struct sqlite_file *file);

/* Opens it and makes our internal tables; nothing to do if it is open. ERR_RETRY: may be called again. */
int sqlite_file_open(struct sqlite_file *file, struct err *err) MUST_CHECK;

/* How long the next statements wait for another process's lock: as long as they may, or not at all. */
void sqlite_file_patience(struct sqlite_file *file, bool patient);

/* Sets err from what SQLite said last, with "doing" in front; returns -1. */
int sqlite_file_err(struct sqlite_file *file, const char *doing, struct err *err);
/* Runs SQL without an answer. */
int sqlite_file_run(struct sqlite_file *file, const char *sql, const char *doing, struct err *err) MUST_CHECK;
/* A statement that the caller finalizes. */
int sqlite_file_prepare(struct sqlite_file *file, const char *sql, const char *doing, sqlite3_stmt **ret_statement,
                        struct err *err) MUST_CHECK;

/* BEGIN IMMEDIATE: the write lock is taken here, so that nothing later can find the file locked or changed. */
int sqlite_file_begin(struct sqlite_file *file, struct err *err) MUST_CHECK;
/* A transaction that could not be committed is rolled back. */
int sqlite_file_commit(struct sqlite_file *file, struct err *err) MUST_CHECK;
void sqlite_file_rollback(struct sqlite_file *file);
/* Some errors end the transaction by themselves. */
bool sqlite_file_in_transaction(const struct sqlite_file *file);

#endif
