/* SPDX-License-Identifier: Apache-2.0 */
/* lane_parts: what lane.c and the lane_*.c files share. Nobody else includes it. */
#ifndef KAKEHI_WORKERS_BIGQUERY_LANE_PARTS_H
#define KAKEHI_WORKERS_BIGQUERY_LANE_PARTS_H

#include "common/sm.h"
#include "workers/bigquery/lane.h"
#include "workers/bigquery/load.h"
#include "workers/bigquery/mark.h"
#include "workers/bigquery/method.h"
#include "workers/bigquery/rpc.h"

/* The picture is in lane.c. */
enum { READY, FIND, EMPTY, SEAL, ASK, INTENT, TABLE, STREAM, SEND, ANSWER, CLOSED };

#define FRESHNESS_STANDARD_MS 1000   /* that of a table that nobody spoke of: worker.batch.age decides */
#define BATCH_AGE_MAX_MS      600000 /* far from where a plan is too old (F3) */

struct lanes {
    struct lane_world world;
    const struct settings *settings;
    struct loads *loads;
    struct calls *calls;
    struct append_limits limits;
    struct append_counts counts;
    int32_t group_partitions; /* 0: not told yet */
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
    char *load_text;             /* the schema of load files; NULL: not made yet, or can't be */
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

    char *table; /* "shop.orders", as settings name it; NULL: no row was seen */
    struct mark mark; /* what a commit must say now, unless a load has an intent; kind APPEND */
    char mark_text[MARK_SIZE];
    struct append append;
    struct history *history;      /* owned reference; NULL: no table is known */
    struct append_writer *writer; /* owned reference; NULL: no schema was ensured */
    struct mapping *mappings;
    size_t mapping_count;
    struct load *load;            /* NULL: none was needed yet */
    struct history *load_history; /* owned reference: its names are lent to the load */
    struct method_choice choice;  /* the last */
    int64_t cut;                  /* of struct lane_place */
    int64_t append_until;         /* up to there load jobs were refused (D4) */
    bool in_trouble; /* the last answer was a pause, and that was said */
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
    lane_ensured ensured; /* TABLE or STREAM, ANSWER */
    const struct schema *schema;
    lane_sent sent; /* SEND, ANSWER */
    enum lane_answer answer;
    struct request *request;
    void (*closed)(void *context); /* set: it is closing */
    void *closed_context;
    struct later closing;
};

enum way { WAY_APPEND, WAY_LOAD, WAY_SEAL };

struct request {
    enum way way;
    struct append_plan plan; /* WAY_APPEND */
    uint64_t planned_ms;
    struct load_batch batch; /* WAY_LOAD; schema_text NULL: a load job can't take it */
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

/* SEND ends with this answer. */
void lane_tell_sent(struct lane *lane, enum lane_answer answer, const struct err *err);

/* lane_recover.c: it ends here. */
void lane_settle(struct lane *lane, int64_t start, bool needs_commit_of_topic);

/* lane_ensure.c */
struct mapping *lane_find_mapping(const struct lane *lane, const struct schema *schema); /* NULL: none */
/* Writer and programs are made anew of the next history that ensure finds. */
void lane_forget_writer(struct lane *lane);
const struct row_program *lane_program(void *context, const struct schema *schema, struct err *err);

/* lane_load.c */
bool lane_goes_by_load(struct lane *lane, const struct warehouse_batch *batch);
void lane_plan_load(struct lane *lane, struct request *request, const struct warehouse_batch *batch, int32_t ingest_day);
void lane_send_load(struct lane *lane, struct request *request); /* the seal too */
const struct load_intent *lane_intent(const struct lane *lane);  /* NULL: none */
void lane_recover_load(struct lane *lane);

#endif
