/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer: this worker's membership in the group: which partitions it owns, their messages, and the commits.
 *
 * It never blocks the loop on the network: what librdkafka only offers as a blocking call (the ends of a partition, a confirmed seek,
 * leaving) runs on libuv's threads and is answered on the loop. Each assignment of a partition has a number that is never used again; every answer
 * is matched by it, so that one to an earlier assignment, also of the same partition, is dropped.
 *
 * Rule C2 lives here: one function sends commits, and only for what stands in the table of owned partitions; a partition leaves the table
 * before it is given back to the group.
 */
#ifndef KAKEHI_WORKERS_CONSUMER_H
#define KAKEHI_WORKERS_CONSUMER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/settings.h"
#include "workers/message.h"
#include "workers/partition.h"
#include "workers/wake.h"

struct consumer;

struct consumer_calls {
    void *context;
    /* Owned from now on, not read yet. Returns what the other calls get as `owner`. */
    void *(*assigned)(void *context, const char *topic, int32_t partition, uint64_t assignment);
    /* To be given back: answer with consumer_release, soon. lost: it is another member's already. */
    void (*revoked)(void *owner, bool lost);
    /* more: another message of the same partition follows at once, unless this one makes the owner say hold. */
    void (*message)(void *owner, const struct message *message, bool more);
    void (*end)(void *owner, int64_t offset);
    void (*failed)(void *owner, const struct err *err);
    void (*located)(void *owner, int64_t offset, const char *mark, const struct err *err);
    void (*range)(void *owner, int64_t low, int64_t high, int32_t topic_partitions, const struct err *err);
    void (*topic_commits)(void *owner, bool any, const struct err *err);
    void (*reading)(void *owner, const struct err *err);
    void (*committed)(void *owner, enum commit_answer answer, const struct err *err);
    /* How many partitions the group reads, all topics and members together; soon after the start, and again and again. */
    void (*counted)(void *context, int32_t partitions);
};

/* group: the whole group id. asker: a handle that reads nothing: on this consumer's connection a question waits behind the fetch
 * that waits for rows. wake calls consumer_poll. Everything is borrowed until closed. */
int consumer_new(uv_loop_t *loop, struct wake *wake, const struct settings *settings, const char *group, rd_kafka_t *asker,
                 const struct consumer_calls *calls, struct consumer **ret_consumer, struct err *err) MUST_CHECK;
int consumer_subscribe(struct consumer *consumer, struct err *err) MUST_CHECK;
/* Gives everything back (revoked, for each partition), leaves the group, then closed. Asynchronous, last. Takes NULL. */
void consumer_close(struct consumer *consumer, void (*closed)(void *context), void *context);

/* Empties the queues, a bounded piece a turn. */
void consumer_poll(struct consumer *consumer);
/* Once a second or so. */
void consumer_tick(struct consumer *consumer);

void consumer_locate(struct consumer *consumer, uint64_t assignment);
void consumer_range(struct consumer *consumer, uint64_t assignment);
void consumer_topic_commits(struct consumer *consumer, uint64_t assignment);
void consumer_read_from(struct consumer *consumer, uint64_t assignment, int64_t offset);
void consumer_hold(struct consumer *consumer, uint64_t assignment, enum partition_hold hold);
void consumer_commit(struct consumer *consumer, uint64_t assignment, int64_t offset, const char *mark);
void consumer_release(struct consumer *consumer, uint64_t assignment);

/* A member of the group, with or without partitions. */
bool consumer_joined(const struct consumer *consumer);
/* Since when no broker has answered (uv_now of the loop); 0: they do. */
uint64_t consumer_down_since_ms(const struct consumer *consumer);
/* One past the last message of a partition, as the last fetch said; -1: not known. */
int64_t consumer_high(const struct consumer *consumer, const char *topic, int32_t partition);

#endif
