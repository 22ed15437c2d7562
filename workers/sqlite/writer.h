/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer: the one thread of the process that touches the database file.
 *
 * Commands go to it over a bounded queue, in order, and come back on the loop's thread, in order, each exactly once and never
 * inside sqlite_writer_give. All calls but the thread's own are made on the loop's thread.
 */
#ifndef KAKEHI_WORKERS_SQLITE_WRITER_H
#define KAKEHI_WORKERS_SQLITE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "workers/sqlite/offsets.h"
#include "workers/warehouse.h"

#define SQLITE_QUEUE_MAX 1024 /* commands; what comes beyond is answered ERR_RETRY. A lane has a handful under way */

enum sqlite_command_kind { SQLITE_RECOVER, SQLITE_ENSURE, SQLITE_SEND, SQLITE_CLOSE };

/* The first part is the caller's and stays untouched until the answer; the second is the answer. */
struct sqlite_command {
    enum sqlite_command_kind kind;
    struct sqlite_advance place;      /* topic (borrowed) and partition: RECOVER; all: SEND */
    const struct schema *schema;      /* ENSURE; borrowed */
    const struct warehouse_row *rows; /* SEND; borrowed */
    const bool *dropped;              /* SEND: which rows to leave out; NULL: none; borrowed */
    size_t row_count;                 /* SEND */

    struct err err;          /* class ERR_NONE: done */
    enum lane_answer answer; /* SEND */
    int64_t epoch;           /* RECOVER */
    int64_t next;            /* RECOVER */
    size_t *bad_rows;        /* SEND; owned by the command */
    size_t bad_row_count;

    struct sqlite_command *_next;
};

struct sqlite_writer;
typedef void (*sqlite_command_done)(void *context, struct sqlite_command *command);

/* Opens the file, if it can be opened now; ERR_FATAL if it never will. */
int sqlite_writer_new(uv_loop_t *loop, const char *path, const char *view_pattern, sqlite_command_done done, void *context,
                      struct sqlite_writer **ret_writer, struct err *err) MUST_CHECK;
/* Borrows the command until it is done. A CLOSE does nothing but come back behind everything that was given before it. */
void sqlite_writer_give(struct sqlite_writer *writer, struct sqlite_command *command);
/* Commands not yet done. */
size_t sqlite_writer_depth(const struct sqlite_writer *writer);
/* Asynchronous, last; nothing is under way. */
void sqlite_writer_free(struct sqlite_writer *writer, void (*freed)(void *context), void *context);

#endif
