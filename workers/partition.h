/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition: one assigned partition, from the assignment until nothing of it is left.
 *
 * Kafka and the clock stand behind partition_calls, the destination behind a lane: so the machine, where exactly-once is decided,
 * is tested without either. Requests to the calls are answered through the partition_on_ functions, once, never inside the
 * request; after `released` no answer is expected but that of dead letters, which then means nothing.
 *
 * Order of events: where does Kafka's group say we are (locate) -> where does the warehouse say we are (lane->recover) -> [has the
 * topic any commit] -> what does the log hold (range) -> read from a little before, for the dedupe -> run: decode, dedupe, batch, send, commit -> drain.
 */
#ifndef KAKEHI_WORKERS_PARTITION_H
#define KAKEHI_WORKERS_PARTITION_H

#include <stdbool.h>
#include <stdint.h>

#include "schemas/framing.h"
#include "workers/accounting.h"
#include "workers/batch.h"
#include "workers/budget.h"
#include "workers/dedupe.h"
#include "workers/message.h"
#include "workers/warehouse.h"

struct partition;

#define PARTITION_NO_OFFSET INT64_C(-1001) /* the group has no commit for it; librdkafka's number */

enum commit_answer {
    COMMIT_IN,
    COMMIT_LATER,  /* refused for now: commit what is true then, after a pause */
    COMMIT_LOST,   /* the partition is another member's: never again (rule K2) */
    COMMIT_NEVER,  /* this commit can't work (too large, not allowed): a person must act */
};

enum partition_hold {
    HOLD_NOT,
    HOLD_BRIEFLY, /* until a batch is written or a schema found: milliseconds, as a rule */
    HOLD_LONG,
};

struct partition_calls {
    uint64_t (*now_ms)(void *context);  /* monotonic */
    int64_t (*wall_us)(void *context);  /* time of day, for freshness only */
    /* The group's committed offset and its metadata. */
    void (*locate)(void *context, struct partition *partition);
    /* Has any partition of the topic a commit of the group? Kafka is asked from now on (rule C6). */
    void (*topic_commits)(void *context, struct partition *partition);
    /* First offset that the log holds, and one past the last; and how many partitions the topic has. */
    void (*range)(void *context, struct partition *partition);
    /* One past the last message that is known to stand in the log; -1: not known. */
    int64_t (*high)(void *context, const struct partition *partition);
    /* From the answer on, messages come, from this offset. */
    void (*read_from)(void *context, struct partition *partition, int64_t offset);
    /* No message comes any more from now on; or they go on behind the last one. */
    void (*hold)(void *context, struct partition *partition, enum partition_hold hold);
    void (*commit)(void *context, struct partition *partition, int64_t offset, const char *mark);
    /* To the dead letters; copies the message. */
    void (*bury)(void *context, struct partition *partition, uint64_t batch_number, const struct message *message, const char *reason);
    const struct schema *(*schema)(void *context, const struct frame *frame); /* NULL: not known; lives as long as the worker */
    /* Find out what this frame stands for: partition_on_schemas once it is known, or known that it is nothing. */
    void (*read_schemas)(void *context, struct partition *partition, const struct frame *frame);
    /* It may be given back to the group: no commit follows. */
    void (*released)(void *context, struct partition *partition);
    /* Nothing of it is left; partition is freed after this call. */
    void (*closed)(void *context, struct partition *partition);
};

/* What all partitions of a worker share; borrowed. */
struct partition_shared {
    const struct partition_calls *calls;
    void *context;
    struct warehouse *warehouse;
    struct batch_limits limits;
    int64_t dedupe_window;
    int64_t prime_bytes_max;
    struct budget *budget;
    struct dedupe_pool *dedupe_pool;
    struct accounting *accounting;
};

/* table: what the dead letters of unreadable messages are counted under until a readable one names the table. */
struct partition *partition_new(const struct partition_shared *shared, const char *topic, int32_t number, uint64_t assignment, const char *table);
/* lost: it is another member's already; nothing is committed. Ends in `released`, and some time later in `closed`. */
void partition_close(struct partition *partition, bool lost);

void partition_on_located(struct partition *partition, int64_t offset, const char *mark, const struct err *err);
void partition_on_topic_commits(struct partition *partition, bool any, const struct err *err);
void partition_on_range(struct partition *partition, int64_t low, int64_t high, int32_t topic_partitions, const struct err *err);
void partition_on_reading(struct partition *partition, const struct err *err);
/* more: another one follows at once, if this one does not lead to `hold`: what a step looks at then waits for the last one. */
void partition_on_message(struct partition *partition, const struct message *message, bool more);
void partition_on_end(struct partition *partition, int64_t offset); /* everything below it has been delivered */
void partition_on_failed(struct partition *partition, const struct err *err); /* Kafka can't go on reading: ERR_FATAL */
void partition_on_committed(struct partition *partition, enum commit_answer answer, const struct err *err);
void partition_on_buried(struct partition *partition, uint64_t batch_number, const struct err *err); /* err: it can't be buried, ever */
void partition_on_schemas(struct partition *partition);
/* Looks at clock and budget. */
void partition_step(struct partition *partition);
/* When partition_step is due; UINT64_MAX: when something happens. */
uint64_t partition_wake_ms(const struct partition *partition);

const char *partition_topic(const struct partition *partition);
int32_t partition_number(const struct partition *partition);
uint64_t partition_assignment(const struct partition *partition);
const char *partition_id(const struct partition *partition); /* "topic/3" */
const char *partition_state(const struct partition *partition);
int64_t partition_next(const struct partition *partition); /* everything below is settled; -1: not known yet */
/* Everything below is settled, or in the file under way; -1: not known yet. A file after a surprise counts only once it is in: else a file
 * that is refused again and again would look like progress. */
int64_t partition_taken(const struct partition *partition);
/* How far Kafka's end is, for the metrics. */
void partition_tell_lag(struct partition *partition, int64_t messages);
/* Is a request under way? */
bool partition_is_sending(const struct partition *partition);
bool partition_stopped(const struct partition *partition);
/* The frame of the message that waits until it is known what it stands for; NULL: none does. */
const struct frame *partition_waits_for_schema(const struct partition *partition);
/* What the warehouse waits for, of a question that it has not answered; false: nothing that people must know. */
bool partition_waits_for(const struct partition *partition, char *text, size_t size);
/* What it last had trouble with; class ERR_NONE when all is well. */
const struct err *partition_trouble(const struct partition *partition);
/* Messages that it holds: equal to what the account says is in flight. For the tests of P5. */
size_t partition_messages_held(const struct partition *partition);

#endif
