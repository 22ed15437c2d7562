/* SPDX-License-Identifier: Apache-2.0 */
/* lane_parts: what lane.c and the lane_*.c files share. Nobody else includes it. */
#ifndef KAKEHI_WORKERS_BIGQUERY_LANE_PARTS_H
#define KAKEHI_WORKERS_BIGQUERY_LANE_PARTS_H

#include "common/sm.h"
#include "workers/bigquery/lane.h"
#include "workers/bigquery/mark.h"
#include "workers/bigquery/rpc.h"

/* The picture is in lane.c. */
enum { READY, FIND, EMPTY, SEAL, ASK, TABLE, STREAM, SEND, ANSWER, CLOSED };

struct lanes {
    struct lane_world world;
    const struct settings *settings;
    struct loads *loads;
    struct calls *calls;
    struct append_limits limits;
    struct append_counts counts;
    struct lane *first;
    uint64_t recovered_count;
    uint64_t streams_made;
    uint64_t table_asked_count; /* rule C7 had to */
    void (*freed)(void *context);
    void *freed_context;
};

/* How rows of one schema are written. */
struct mapping {
    const struct schema *schema;
    struct history *history;     /* owned reference: its targets are the schema's */
    struct row_program *program; /* for the lane's writer; NULL: not compiled yet */
};

/* A question to the tables, which can't be withdrawn: the answer finds no lane when that is closed. */
struct question {
    struct lane *lane;
};

struct lane {
    struct sm sm;
    struct lanes *lanes;
    struct lane *next;
    char *topic;
    int32_t partition;
    char *id; /* "kakehi.shop.orders/3@7" */

    struct mark mark; /* what a commit must say now; kind APPEND */
    char mark_text[MARK_SIZE];
    struct append append;
    struct history *history;      /* owned reference; NULL: no table is known */
    struct append_writer *writer; /* owned reference; NULL: no schema was ensured */
    struct mapping *mappings;
    size_t mapping_count;
    bool fresh; /* ask BigQuery about the table again: a recovery was before */

    /* the one request under way */
    struct question *question;
    struct rpc *rpc;
    struct later later;
    struct err err; /* class ERR_NONE: none */
    void *context;
    lane_recovered recovered; /* FIND to ASK, ANSWER */
    struct lane_place place;
    int64_t committed;        /* FIND to ASK */
    struct mark found;        /* the committed mark */
    int64_t sealed_rows;      /* of the sealed stream; -1: not known */
    size_t in_count;          /* requests of the mark that are in */
    lane_ensured ensured; /* TABLE, STREAM, ANSWER */
    const struct schema *schema;
    lane_sent sent; /* SEND, ANSWER */
    struct request *request;
    void (*closed)(void *context); /* set: it is closing */
    void *closed_context;
    struct later closing;
};

struct request {
    struct append_plan plan;
    uint64_t planned_ms;
};

static inline int state(const struct lane *lane)
{
    return sm_at(&lane->sm);
}

static inline const struct lane_world *world_of(const struct lane *lane)
{
    return &lane->lanes->world;
}

/* lane.c: the answer to what is under way comes in the next turn. err NULL: it went well. */
void lane_answer(struct lane *lane, const struct err *err, const char *why);
struct question *lane_ask(struct lane *lane);
/* The lane that asked, or NULL; the question is gone. */
struct lane *lane_take_question(void *context);
/* Takes a reference; NULL: none. */
void lane_set_history(struct lane *lane, struct history *history);

/* lane_ensure.c */
/* Writer and programs are made anew of the next history that ensure finds. */
void lane_forget_writer(struct lane *lane);
const struct row_program *lane_program(void *context, const struct schema *schema, struct err *err);

#endif
