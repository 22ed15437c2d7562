/* SPDX-License-Identifier: Apache-2.0 */
/*
 * append_plan: a batch as AppendRows requests: which rows stand in which, and where in the log each ends. Made once; only rows that
 * BigQuery names as bad are taken out again (C3). Pure.
 *
 * A batch becomes at most MARK_REQUESTS_MAX requests, since the mark names each of them before the first is sent.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_APPEND_PLAN_H
#define KAKEHI_WORKERS_BIGQUERY_APPEND_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"
#include "workers/bigquery/append_request.h"
#include "workers/bigquery/mark.h"
#include "workers/bigquery/row_program.h"
#include "workers/warehouse.h"

/* How rows are written now: the writer's descriptor. Counted references: a request goes out with the one it was made for. */
struct append_writer {
    struct buffer descriptor;
    uint32_t generation; /* of the history's layout */
    unsigned _references;
};

struct append_writer *append_writer_new(const struct bigquery_layout *layout, uint32_t generation);
struct append_writer *append_writer_ref(struct append_writer *writer);
void append_writer_unref(struct append_writer *writer); /* takes NULL */

/* One request. */
struct append_part {
    struct append_rows rows; /* owned */
    size_t first_row;        /* of the batch */
    int64_t end;             /* one past the last offset that it answers for */
    struct mark_request mark;
    bool in;
    bool unsure; /* a try of it had no answer, or none that says that nothing is in: a copy may be in, or still arrive */
    bool sent;   /* on the call that is open, and owed an answer */
};

struct append_plan {
    struct append_writer *writer; /* owned reference */
    const struct warehouse_row *rows; /* borrowed */
    struct append_part parts[MARK_REQUESTS_MAX];
    size_t part_count;
    int32_t ingest_day;
    struct cell *_cells; /* scratch for a row's place in the order */
};

/* The program of a row's schema; NULL and err (ERR_POISON) where its rows can't be written. */
typedef const struct row_program *(*append_program)(void *context, const struct schema *schema, struct err *err);

struct append_plan_options {
    struct append_writer *writer; /* a reference is taken */
    append_program program;
    void *context;
    size_t request_bytes_max; /* of each */
    size_t stream_name_size;  /* the longest that it may be sent to */
    int32_t ingest_day;
};

/* Fails as the seam's plan does. On failure there is nothing to deinit. */
int append_plan_init(struct append_plan *plan, const struct warehouse_batch *batch, const struct append_plan_options *options,
                     size_t *ret_bad_row, struct err *err) MUST_CHECK;
void append_plan_deinit(struct append_plan *plan); /* {0} is fine */

/* Takes rows of the batch, in any order, out of their requests, none of which is under way. Others may be in already. */
void append_plan_drop(struct append_plan *plan, const size_t *rows, size_t row_count);
/* Rows that it has, without the dropped ones. */
int64_t append_plan_rows(const struct append_plan *plan);
size_t append_plan_memory(const struct append_plan *plan);
/* What the mark says of it. Requests whose rows were all dropped are left out: they are not sent. */
void append_plan_mark(const struct append_plan *plan, struct mark_append *mark);

#endif
