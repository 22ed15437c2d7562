/* SPDX-License-Identifier: Apache-2.0 */
/* consumer_parts: what consumer.c and the consumer_*.c files share. Nobody else includes it. */
#ifndef KAKEHI_WORKERS_CONSUMER_PARTS_H
#define KAKEHI_WORKERS_CONSUMER_PARTS_H

#include <librdkafka/rdkafka.h>

#include "workers/consumer.h"

/* A partition between `assigned` and consumer_release. */
struct owned {
    struct owned *next;
    char *topic;
    int32_t partition;
    uint64_t assignment;
    void *owner;
    bool going;  /* told to drain; consumer_release follows */
    bool paused; /* at librdkafka; this and the next change by owned_mark */
    bool held;
    uint64_t held_since_ms;
    bool wants_commit;
    bool committing;
    int64_t commit_offset;
    char *commit_mark;
    bool wants_location;
};

/* A blocking call of librdkafka on a thread of libuv's. */
enum job_kind { JOB_RANGE, JOB_TOPIC_COMMITS, JOB_SEEK, JOB_NUDGE, JOB_PROBE, JOB_COUNT, JOB_CLOSE };

struct consumer {
    uv_loop_t *loop;
    struct wake *wake;
    const struct settings *settings;
    struct consumer_calls calls;
    char *group;
    rd_kafka_t *handle;
    rd_kafka_t *asker;          /* borrowed */
    rd_kafka_queue_t *messages; /* every owned partition's */
    rd_kafka_queue_t *answers;  /* to commits and location requests */
    rd_kafka_queue_t *group_queue;
    uv_prepare_t flush;
    struct owned *first;
    struct owned *last_found;
    uint64_t assignment; /* the number given last */
    bool telling; /* not all that are revoked were told so: nothing may be unassigned yet */
    rd_kafka_topic_partition_list_t *revoking; /* NULL, or to be unassigned when the last that is going is released */
    bool joined;
    bool flush_wanted;
    uint64_t down_since_ms;
    bool probing;
    bool counting;
    uint64_t count_due_ms; /* when the group's partitions are counted next */
    size_t holders;               /* partitions that are held and not paused: each closes the tap for all */
    rd_kafka_message_t **fetched; /* out of `messages` and not yet delivered: below fetched_kept, of paused ones; from fetched_next on */
    size_t fetched_capacity;
    size_t fetched_kept;
    size_t fetched_next;
    size_t fetched_count;
    size_t message_bytes;         /* of the last array, on average */
    bool nudging;          /* for all partitions */
    size_t unnudged_bytes; /* of messages taken since the last of these nudges */
    size_t jobs;
    bool closing;
    bool leaving; /* JOB_CLOSE runs: the handle is that thread's */
    void (*closed)(void *context);
    void *closed_context;
};

/* consumer.c: the table of owned partitions. NULL: it is not ours, or no longer. */
struct owned *owned_by_assignment(const struct consumer *consumer, uint64_t assignment);
bool owned_is(const struct owned *owned, const char *topic, int32_t partition);
struct owned *owned_by_place(struct consumer *consumer, const char *topic, int32_t partition);
void owned_mark(struct consumer *consumer, struct owned *owned, bool held, bool paused);
/* librdkafka is told, if that changes anything. */
void owned_set_paused(struct consumer *consumer, struct owned *owned, bool paused);
/* Its messages come to `messages`: at the assignment, and anew after each seek. */
void owned_lead_messages(struct consumer *consumer, const struct owned *owned);
/* A list of one; the caller owns it. */
rd_kafka_topic_partition_list_t *owned_list(const char *topic, int32_t partition, int64_t offset);
/* Goes on with closing once nothing is owned, to be unassigned or under way. */
void consumer_finish_if_left(struct consumer *consumer);

/* consumer_rebalance.c: librdkafka's callback; opaque is the consumer. */
void consumer_on_rebalance(rd_kafka_t *handle, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *partitions, void *opaque);

/* consumer_jobs.c: owned is NULL where a job concerns no partition, or all of them. */
void consumer_start_job(struct consumer *consumer, enum job_kind kind, const struct owned *owned, int64_t offset);
/* How many partitions does the group read? Asked when due; due at once after an assignment, which may come of new topics. */
void consumer_count_if_due(struct consumer *consumer);

/* consumer_commits.c */
/* Sends what a turn has gathered. */
void consumer_flush(struct consumer *consumer);
/* Takes one event of `answers`. */
void consumer_on_answer(struct consumer *consumer, rd_kafka_event_t *event);

/* consumer_messages.c */
/* What was fetched of a partition (topic NULL: of all) and not delivered belongs to the course before: it is dropped. */
void consumer_forget_fetched(struct consumer *consumer, const char *topic, int32_t partition);
/* One that was paused is no more: what was kept of it comes first. */
void consumer_take_kept(struct consumer *consumer);
/* Who has been held for long is paused, and the tap opens for the others. */
void consumer_pause_held(struct consumer *consumer);

#endif
