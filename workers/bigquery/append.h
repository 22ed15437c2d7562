/* SPDX-License-Identifier: Apache-2.0 */
/*
 * append: sends a plan to a write stream: its requests pipelined on one call, their answers read by append_rules, until each is in
 * or one is not. One try is made; who calls again with the same plan goes on where the last try stopped.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_APPEND_H
#define KAKEHI_WORKERS_BIGQUERY_APPEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/sm.h"
#include "workers/bigquery/append_plan.h"
#include "workers/bigquery/append_rules.h"
#include "workers/bigquery/calls.h"
#include "workers/warehouse.h"

#define APPEND_UNDER_WAY_MAX 4 /* requests sent and not answered */

struct append_limits {
    uint64_t answer_ms;   /* a request without an answer for so long is sent again, on another call */
    uint64_t surprise_ms; /* a plan that is not in by then is a surprise (F3): its rows carry the day it was made. 0: an hour */
    uint64_t mismatch_ms; /* how long the service may not know a new column; 0: 15 min */
};

/* Of all lanes, since the start. */
struct append_counts {
    uint64_t requests; /* accepted */
    uint64_t rows;
    uint64_t bytes;    /* of requests as sent, tries included */
    uint64_t tries;
    uint64_t verdicts[APPEND_SURPRISE + 1];
};

/* Embedded in its lane; private. */
struct append {
    struct sm sm;
    struct calls *_calls;
    const struct lane_world *_world;
    const struct append_limits *_limits;
    struct append_counts *_counts;
    char *_stream; /* full name; NULL: none */
    struct call *_call;
    bool _opened;
    bool _schema_sent; /* the call's first request, which holds the descriptor, has gone */
    struct append_writer *_call_writer; /* that the call was opened for */
    size_t _unsent_count; /* requests given to the call and not yet sent */
    /* the try under way */
    struct append_plan *_plan;
    int64_t _row; /* of the stream, of the plan's first row */
    uint64_t _planned_ms;
    lane_sent _answer;
    void *_context;
    enum append_verdict _failure; /* of the first request that was not accepted; APPEND_IN: none */
    struct err _err;
    size_t *_bad_rows;
    size_t _bad_row_count;
    uint64_t _progress_ms; /* when something was last heard, or left */
    struct later _later;
    /* over the tries of a plan */
    uint64_t _mismatch_ms; /* since when the service does not know a column; 0: it does */
    uint64_t _refused_ms;  /* since when a person must act; 0: all is well */
    /* over streams */
    uint32_t _refusals; /* streams that were left because a person must act, since something was in */
};

/* All borrowed. */
void append_init(struct append *append, const char *id, struct calls *calls, const struct lane_world *world,
                 const struct append_limits *limits, struct append_counts *counts);
void append_deinit(struct append *append); /* nothing is under way */

/* Goes to another stream, or none (NULL); nothing is under way. The name is copied. */
void append_to(struct append *append, const char *stream);
const char *append_stream(const struct append *append); /* NULL: none */

/*
 * One try; answers once, never inside the call:
 *   IN        every request is in
 *   BAD_ROWS  rows of one are refused, and of what is not in no copy can arrive any more
 *   PAUSE     the same again later; what is in stays in
 *   SURPRISE  what is in must be found out
 * row: where the plan begins in the stream. planned_ms: when its rows were encoded. The plan is borrowed until the answer.
 */
struct append_try {
    struct append_plan *plan;
    int64_t row;
    uint64_t planned_ms;
};
void append_send(struct append *append, const struct append_try *try, lane_sent answer, void *context);
/* Ends the try, if any, with a SURPRISE of class CANCELED, in the next turn. */
void append_cancel(struct append *append);
/* Once a second. */
void append_tick(struct append *append);
/* What a try waits for, for people; NULL: none is under way. */
const char *append_waits_for(const struct append *append);

#endif
