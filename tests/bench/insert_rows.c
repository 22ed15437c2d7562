/* SPDX-License-Identifier: Apache-2.0 */
/*
 * insert_rows: as fast as prepared rows can be had into SQLite, on one thread.
 *
 *     insert_rows FROM_FILE TABLE TO_FILE
 *
 * FROM_FILE is one that a worker has filled. Its TABLE is made again in TO_FILE, which must not exist, with its indexes and the
 * worker's pragmas, and gets the same rows in the same order by one prepared statement, 5,000 a transaction. Timed is the writing
 * alone: the rows of a transaction are read before its time begins. The worker's own speed is read beside this one: it reads from Kafka,
 * dedupes and decodes as well.
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/cli.h"
#include "common/err.h"
#include "common/must.h"

#define ROWS_A_TRANSACTION 5000

struct copy {
    sqlite3 *from, *to;
    sqlite3_stmt *select, *insert;
    sqlite3_value **values; /* of the rows that are read and not yet written, row by row */
    size_t value_count;
    int column_count;
    uint64_t row_count;
    double wall_s, cpu_s; /* of the writing */
};

static double now_s(clockid_t clock)
{
    struct timespec now;

    must(clock_gettime(clock, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int fail(sqlite3 *file, const char *doing, struct err *err)
{
    return err_set(err, ERR_FATAL, "%s: %s", doing, sqlite3_errmsg(file));
}

static int run_sql(sqlite3 *file, const char *sql, struct err *err)
{
    return sqlite3_exec(file, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(file, sql, err);
}

/* ---- the files */

static int open_files(struct copy *copy, const char *from, const char *to, struct err *err)
{
    if (sqlite3_open_v2(from, &copy->from, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
        return fail(copy->from, from, err);
    }
    if (sqlite3_open(to, &copy->to) != SQLITE_OK) {
        return fail(copy->to, to, err);
    }
    return run_sql(copy->to, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 67108864", err);
}

/* The table first, then its indexes. */
static int make_table(struct copy *copy, const char *table, struct err *err)
{
    sqlite3_stmt *objects = NULL;
    int code, result = 0, count = 0;

    if (sqlite3_prepare_v2(copy->from, "SELECT sql FROM sqlite_master WHERE tbl_name = ?1 AND type IN ('table', 'index') ORDER BY type DESC", -1,
                           &objects, NULL) != SQLITE_OK) {
        return fail(copy->from, "looking for the table", err);
    }
    (void)sqlite3_bind_text(objects, 1, table, -1, SQLITE_STATIC);
    while (result == 0 && (code = sqlite3_step(objects)) == SQLITE_ROW) {
        result = run_sql(copy->to, (const char *)sqlite3_column_text(objects, 0), err);
        count++;
    }
    (void)sqlite3_finalize(objects);
    return result == 0 && count == 0 ? err_set(err, ERR_FATAL, "there is no table %s", table) : result;
}

static int prepare(struct copy *copy, const char *table, struct err *err)
{
    struct buffer sql = {0};
    int result = 0;

    buffer_printf(&sql, "SELECT * FROM \"%s\" ORDER BY rowid", table);
    if (sqlite3_prepare_v2(copy->from, buffer_text(&sql), -1, &copy->select, NULL) != SQLITE_OK) {
        result = fail(copy->from, "reading", err);
        goto out;
    }
    copy->column_count = sqlite3_column_count(copy->select);
    buffer_clear(&sql);
    buffer_printf(&sql, "INSERT INTO \"%s\" VALUES (?", table);
    for (int i = 1; i < copy->column_count; i++) {
        buffer_append_text(&sql, ", ?");
    }
    buffer_append_byte(&sql, ')');
    if (sqlite3_prepare_v2(copy->to, buffer_text(&sql), -1, &copy->insert, NULL) != SQLITE_OK) {
        result = fail(copy->to, "preparing", err);
    }
    copy->values = calloc((size_t)ROWS_A_TRANSACTION * (size_t)copy->column_count, sizeof *copy->values);
    must(copy->values != NULL);
out:
    buffer_deinit(&sql);
    return result;
}

/* ---- the rows */

static int read_rows(struct copy *copy, struct err *err)
{
    int code = SQLITE_ROW;

    for (size_t row = 0; row < ROWS_A_TRANSACTION && (code = sqlite3_step(copy->select)) == SQLITE_ROW; row++) {
        for (int i = 0; i < copy->column_count; i++) {
            copy->values[copy->value_count] = sqlite3_value_dup(sqlite3_column_value(copy->select, i));
            must(copy->values[copy->value_count] != NULL);
            copy->value_count++;
        }
    }
    return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : fail(copy->from, "reading", err);
}

static void forget_rows(struct copy *copy)
{
    for (size_t i = 0; i < copy->value_count; i++) {
        sqlite3_value_free(copy->values[i]);
    }
    copy->value_count = 0;
}

static int write_rows(struct copy *copy, struct err *err)
{
    if (run_sql(copy->to, "BEGIN IMMEDIATE", err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < copy->value_count;) {
        for (int column = 1; column <= copy->column_count; column++) {
            (void)sqlite3_bind_value(copy->insert, column, copy->values[i++]);
        }
        if (sqlite3_step(copy->insert) != SQLITE_DONE || sqlite3_reset(copy->insert) != SQLITE_OK) {
            return fail(copy->to, "inserting", err);
        }
    }
    return run_sql(copy->to, "COMMIT", err);
}

static int copy_rows(struct copy *copy, struct err *err)
{
    int result;

    while ((result = read_rows(copy, err)) == 0 && copy->value_count > 0) {
        double wall_s = now_s(CLOCK_MONOTONIC), cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID);

        if (write_rows(copy, err) != 0) {
            return -1;
        }
        copy->wall_s += now_s(CLOCK_MONOTONIC) - wall_s;
        copy->cpu_s += now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_s;
        copy->row_count += copy->value_count / (size_t)copy->column_count;
        forget_rows(copy);
    }
    return result;
}

static void close_all(struct copy *copy)
{
    forget_rows(copy);
    free(copy->values);
    (void)sqlite3_finalize(copy->select);
    (void)sqlite3_finalize(copy->insert);
    (void)sqlite3_close(copy->from);
    (void)sqlite3_close(copy->to);
}

int main(int argc, char **argv)
{
    struct copy copy = {0};
    struct err err = {0};
    int result;

    if (argc != 4) {
        (void)fprintf(stderr, "usage: insert_rows FROM_FILE TABLE TO_FILE\n");
        return CLI_USAGE;
    }
    if (access(argv[3], F_OK) == 0) {
        (void)fprintf(stderr, "insert_rows: %s exists\n", argv[3]);
        return CLI_FAILED;
    }
    result = open_files(&copy, argv[1], argv[3], &err);
    if (result == 0) {
        result = make_table(&copy, argv[2], &err);
    }
    if (result == 0) {
        result = prepare(&copy, argv[2], &err);
    }
    if (result == 0) {
        result = copy_rows(&copy, &err);
    }
    close_all(&copy);
    if (result != 0) {
        (void)fprintf(stderr, "insert_rows: %s\n", err.text);
        return CLI_FAILED;
    }
    printf("%" PRIu64 " rows in %.6f s, %.6f CPU s\n", copy.row_count, copy.wall_s, copy.cpu_s);
    return CLI_OK;
}
