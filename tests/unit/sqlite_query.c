/* SPDX-License-Identifier: Apache-2.0 */
/* A new connection for each question sees only what was committed. */
#include "tests/unit/sqlite_query.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/must.h"

static char answer[65536];

static void append_rows(struct buffer *out, sqlite3 *db, sqlite3_stmt *statement)
{
    while (sqlite3_step(statement) == SQLITE_ROW) {
        buffer_append_text(out, out->size > 0 ? ";" : "");
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const char *text = (const char *)sqlite3_column_text(statement, i);

            buffer_append_text(out, i > 0 ? "|" : "");
            buffer_append_text(out, text != NULL ? text : "null");
        }
    }
    if (sqlite3_reset(statement) != SQLITE_OK) {
        buffer_printf(out, "error: %s", sqlite3_errmsg(db));
    }
}

const char *sqlite_query(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    struct buffer out = {0};

    must(sqlite3_open(path, &db) == SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 10000);
    while (*sql != '\0') {
        sqlite3_stmt *statement = NULL;

        if (sqlite3_prepare_v2(db, sql, -1, &statement, &sql) != SQLITE_OK) {
            buffer_printf(&out, "error: %s", sqlite3_errmsg(db));
            break;
        }
        if (statement != NULL) {
            append_rows(&out, db, statement);
            (void)sqlite3_finalize(statement);
        }
    }
    must(sqlite3_close(db) == SQLITE_OK);
    (void)snprintf(answer, sizeof answer, "%s", buffer_text(&out));
    buffer_deinit(&out);
    return answer;
}

void sqlite_folder_make(char path[64])
{
    char folder[] = "/tmp/kakehi-unit-XXXXXX";

    must(mkdtemp(folder) != NULL);
    (void)snprintf(path, 64, "%s/rows.db", folder);
}

void sqlite_folder_remove(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char name[80];

    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
    (void)snprintf(name, sizeof name, "%s", path);
    *strrchr(name, '/') = '\0';
    must(rmdir(name) == 0);
}
