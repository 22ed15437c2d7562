/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows: messages into history rows. One prepared INSERT a schema; values go from the Avro bytes to SQLite without a copy
 * between, but for what SQLite keeps as text (dates, decimals).
 */
#ifndef KAKEHI_WORKERS_SQLITE_ROWS_H
#define KAKEHI_WORKERS_SQLITE_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "workers/sqlite/file.h"
#include "workers/warehouse.h"

#define SQLITE_STATEMENTS_MAX 64 /* prepared statements kept; the least recently used goes first */

struct sqlite_statement {
    sqlite3_stmt *insert; /* NULL: a free place */
    uint64_t schema_id;
    uint64_t used; /* the turn of its last use */
};

struct sqlite_rows {
    const char *view_pattern; /* borrowed */
    struct sqlite_statement _statements[SQLITE_STATEMENTS_MAX];
    uint64_t _turn;
    struct cell *_cells; /* room for the widest table so far */
    size_t _cell_capacity;
    struct buffer _text;
};

void sqlite_rows_init(struct sqlite_rows *rows, const char *view_pattern);
void sqlite_rows_deinit(struct sqlite_rows *rows); /* before the file is closed */

/* Inserts one message, whose bytes are whole. ERR_POISON: this row will never go in; the transaction is as it was before. */
int sqlite_rows_insert(struct sqlite_rows *rows, struct sqlite_file *file, const struct warehouse_row *row,
                       struct err *err) MUST_CHECK;

#endif
