/* SPDX-License-Identifier: Apache-2.0 */
/* partition_parts: what partition.c and the partition_*.c files share. Nobody else includes it. */
#ifndef KAKEHI_WORKERS_PARTITION_PARTS_H
#define KAKEHI_WORKERS_PARTITION_PARTS_H

#include "common/sm.h"
#include "workers/envelope.h"
#include "workers/flight.h"
#include "workers/partition.h"

/* The picture is in partition.c. The order is used: from REST on nothing is read, from LOST on nothing brings it back. */
enum { FETCH, RECOVER, CONFIRM, RANGE, SEEK, PRIME, RUN, REST, STOPPED, LOST, DRAIN, CLOSING };

/* A message whose schema is not known yet. */
struct held {
    bool primes; /* it is read back for the dedupe, and counts nowhere */
    struct frame frame;
    struct message message;
    uint8_t bytes[]; /* key, value */
};

/* What stands in the file under way: of its batches only the figures are left. */
struct tally {
    int64_t end; /* of the last batch taken */
    size_t row_count;
    size_t duplicate_count;
    size_t letter_count;
    int64_t newest_us;
};

struct partition {
    struct sm sm;
    const struct partition_shared *shared;
    char *topic;
    char *id;
    int32_t number;
    uint64_t assignment;
    struct lane *lane;
    struct account *account;
    bool account_named; /* by a schema; until then by the topic */
    struct dedupe *dedupe;
    struct envelope_scratch scratch;

    int64_t start;      /* what the lane said; LANE_OFFSET_BEGINNING until resolved stays in lane_start */
    int64_t lane_start; /* start of the next batch (I3) */
    int64_t position;   /* the next message has this offset, or a higher one */
    int64_t settled;    /* I2; -1: not known */
    bool reading;       /* the calls were told not to hold */
    uint64_t run_rows;  /* of messages in a row, not yet told to the account (each figure of it is an atomic write) */
    uint64_t run_bytes;
    int64_t primed_bytes;
    uint64_t prime_end_ms;

    struct batch *filling; /* NULL: nothing */
    uint64_t batch_number;
    struct flight flight;
    uint64_t flight_began_ms;
    struct held *held;
    bool file_under_way;
    struct tally file;
    int64_t cut; /* of struct lane_place */
    int32_t topic_partitions;
    struct batch *unsure; /* of the flight that ended in a surprise: recovery says whether it is in */
    bool leaving;         /* inside leave(): the caller steps */

    bool committing;           /* I1 */
    bool committing_for_flight;
    bool flight_wants_mark;
    bool no_commit;            /* closing, and nothing may be committed (any more) */
    int64_t committing_offset;
    int64_t committed;         /* newest acknowledged; PARTITION_NO_OFFSET */
    char *mark;                /* of the commit that was located */
    uint64_t commit_next_ms;   /* the next regular commit */
    uint64_t commit_pause_ms;  /* one was refused: none at all before */

    uint32_t rests; /* in a row */
    uint64_t rest_until_ms;
    uint64_t deadline_ms; /* of DRAIN and CLOSING */
    bool lost;
    bool released;
    struct err trouble;
};

static inline uint64_t now(const struct partition *partition)
{
    return partition->shared->calls->now_ms(partition->shared->context);
}

static inline int state(const struct partition *partition)
{
    return sm_at(&partition->sm);
}

/* partition.c: leaving a course. */
/* Says that no message shall come; how: for how long, as a guess. */
void partition_hold_back(struct partition *partition, enum partition_hold how);
/* Stops reading and drops what fills; the flight ends with its answer. */
void partition_leave(struct partition *partition);
/* Has it room, and does it wait for nothing? */
bool partition_wants_messages(const struct partition *partition);
/* A person must act. */
void partition_stop(struct partition *partition, const struct err *err);
/* A surprise: everything anew after a pause that grows. */
void partition_rest(struct partition *partition, const struct err *err);
/* One of the two, by the error's class. */
void partition_fail(struct partition *partition, const struct err *err);

/* partition_place.c */
/* The first question of FETCH. */
void partition_locate(struct partition *partition);
void partition_seek(struct partition *partition, int64_t offset, const char *why);
/* At the start: from here on messages count. */
void partition_run(struct partition *partition);

/* partition_messages.c */
void partition_settle_tally(struct partition *partition, const struct tally *tally, enum fate fate);
/* Of the batch that fills now, as the lane sees it. */
struct batch_limits partition_limits(const struct partition *partition);
/* The batch that fills, covering everything from the one before on (I3). */
struct batch *partition_filling(struct partition *partition);
extern const struct flight_calls partition_flight_calls;
/* Takes the batch (or NULL): its messages are given back, to be read again. */
void partition_drop_batch(struct partition *partition, struct batch *batch);
void partition_drop_held(struct partition *partition);
/* A flight ended in a surprise, and the warehouse has now said how far it is (R5). */
void partition_resolve_unsure(struct partition *partition, int64_t start);

/* partition_file.c */
void partition_take_batch(struct partition *partition, struct batch *batch);
/* The seal's IN, or what recovery found; `fate` of its rows. */
void partition_settle_file(struct partition *partition, enum fate fate);
/* Nothing of it is in: its messages will be read again. */
void partition_drop_file(struct partition *partition);
/* Is the file to be sealed now? next: the batch that would come after, or NULL. */
bool partition_seal_is_due(const struct partition *partition, const struct batch *next);
void partition_seal(struct partition *partition);
uint64_t partition_seal_due_ms(const struct partition *partition); /* UINT64_MAX: there is none */
size_t partition_messages_in_file(const struct partition *partition);
/* A message or the log's end stands at or behind the cut: what fills ends exactly there. */
bool partition_at_cut(const struct partition *partition, int64_t offset);
void partition_reach_cut(struct partition *partition);

/* partition_commits.c */
bool partition_commit_is_wanted(const struct partition *partition);
uint64_t partition_commit_due_ms(const struct partition *partition);
void partition_commit_if_due(struct partition *partition);

#endif
