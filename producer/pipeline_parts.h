/* SPDX-License-Identifier: Apache-2.0 */
/* pipeline_parts: what pipeline.c, pipeline_stream.c, pipeline_letters.c and pipeline_status.c share. Nobody else includes it. */
#ifndef KAKEHI_PRODUCER_PIPELINE_PARTS_H
#define KAKEHI_PRODUCER_PIPELINE_PARTS_H

#include "common/metrics.h"
#include "common/sm.h"
#include "producer/election.h"
#include "producer/messages.h"
#include "producer/pipeline.h"
#include "producer/publisher.h"
#include "producer/routes.h"

/* The picture is in pipeline.c. */
enum { OPEN, STANDBY, FENCE, READ, STREAM, DRAIN, HALT, BACKOFF, CLOSING };

struct oversized { /* a message that the broker refused for its size */
    int64_t seq;
    int64_t idx;
    bool used; /* its reference is in the open transaction, or the one whose commit is under way */
};

struct pipeline {
    struct sm sm;
    const struct settings *settings;
    const struct pipeline_world *world;
    struct source *source;
    struct publisher *publisher;
    struct election *election;

    bool opened; /* the state topics are there, the election is joined */
    bool owned;  /* what the election said last */
    bool stopping;
    int exit_code;
    struct err trouble; /* the last one; class ERR_NONE when all is well */
    uint32_t failures;  /* in a row, without a commit between */
    uint64_t until_ms;  /* BACKOFF, DRAIN */
    int closing;        /* CLOSING: answers that are missing */

    /* STREAM and DRAIN */
    bool started; /* the source */
    bool first;   /* its position alone is to be committed first (I3) */
    bool announced; /* the log says that it streams */
    bool idle;    /* the source had nothing more when it was last asked */
    bool holding; /* `held` is yielded, not encoded */
    struct change held;
    struct route *route; /* of held; NULL: it has none */
    bool preparing;
    struct messages messages;
    size_t messages_given; /* of messages, into parcels */
    struct parcel *parcel; /* being filled; NULL: none */
    bool cutting;
    size_t open_count; /* messages of the transaction that is being filled */
    size_t open_bytes;
    uint64_t open_since_ms;
    uint64_t cut_ms; /* the last one */

    json_t *aside; /* owned; {"db.t": why}: tables whose changes go to the dead letters */
    struct oversized too_large[PIPELINE_OVERSIZED_MAX];
    size_t too_large_count;

    struct routes routes;
    uint64_t transactions;
    uint64_t progress_ms; /* when all was last well, or went forward */
    uint64_t heartbeat_ms;
    uint64_t heartbeat_changes;
    struct metric *transactions_metric;
    struct metric *commit_metric;
    struct metric *behind_metric;
    struct metric *read_metrics[4]; /* what the source's figures say, in the order of pipeline_status.c */
};

static inline bool pipeline_is_at(const struct pipeline *pipeline, int state)
{
    return sm_at(&pipeline->sm) == state;
}

static inline uint64_t pipeline_now_ms(const struct pipeline *pipeline)
{
    return pipeline->world->now_ms(pipeline->world->context);
}

static inline void pipeline_soon(struct pipeline *pipeline)
{
    pipeline->world->soon(pipeline->world->context);
}

/* pipeline.c */
void pipeline_schedule(struct pipeline *pipeline); /* the next wake, by what is open now */
/* Whatever fails comes here; it throws away what is open, so the caller goes no further. */
void pipeline_trouble(struct pipeline *pipeline, const struct err *err);

/* pipeline_stream.c: cuts if it is due and nothing forbids it (I1, I2, I4). */
void pipeline_consider_cut(struct pipeline *pipeline);

/* pipeline_letters.c: what the policies make of a change that can't be a row. */
void pipeline_letters_begin(struct pipeline *pipeline, const json_t *record); /* NULL: a first start */
void pipeline_letters_state(const struct pipeline *pipeline, json_t *state);  /* adds to the record of a cut */
void pipeline_letters_committed(struct pipeline *pipeline);
void pipeline_on_too_large(struct pipeline *pipeline, int64_t seq, int64_t idx);
/* Is the table of the held change set aside? */
bool pipeline_is_aside(const struct pipeline *pipeline);
/* Each decides about the held change; false: the source is at its end (pipeline_trouble was called). */
bool pipeline_letter_of_table_aside(struct pipeline *pipeline);
bool pipeline_table_error(struct pipeline *pipeline, struct err *err);
bool pipeline_row_error(struct pipeline *pipeline, struct err *err);
/* The held change has become messages, and is counted. */
void pipeline_made(struct pipeline *pipeline, struct tally *tally);

/* pipeline_status.c */
void pipeline_figures_init(struct pipeline *pipeline);
void pipeline_figures_renew(struct pipeline *pipeline); /* about once a second; says a heartbeat when one is due */

#endif
