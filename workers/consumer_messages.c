/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages on their way from librdkafka's queues to the partition machines, a bounded number a turn.
 *
 * Holding: librdkafka's pause throws away what it has fetched, which would be fetched again. So a partition that can't take more first
 * closes the tap for all (they share the queue), which costs nothing and is over in milliseconds when a batch is written; only who
 * holds for longer than HOLD_MS, or knows that it will, is paused, and the tap opens for the others. Rebalances come by librdkafka's
 * own queue, which is always emptied.
 *
 * They are taken out of librdkafka's queue by the array, which saves a lock and the reading of a clock for each. For librdkafka what
 * was taken is consumed: it comes no second time when a partition was paused and goes on. So it waits here until its partition takes it,
 * in order; and is forgotten when the partition is led anew (an assignment, a seek), since it belongs to the course before, as
 * librdkafka itself sees to for what is still in its queue. An array is as long as FETCHED_BYTES of messages like those of the one
 * before: librdkafka's budget no longer counts them.
 *
 * Every NUDGE_BYTES taken, librdkafka is nudged (consumer_jobs.c): a quarter of its full queue, two thirds of one full of small messages,
 * so there is always something left to take while it fetches.
 *
 * C6: an offset that the log does not hold comes as an error (auto.offset.reset=error) and stops that partition. Any other error is
 * librdkafka's to get over; the health check sees what it doesn't.
 */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/must.h"
#include "workers/consumer_parts.h"

#define MESSAGES_A_TURN 2000
#define HOLD_MS         1000
#define FETCHED_BYTES   (1 << 20)
#define FETCHED_MAX     256
#define NUDGE_BYTES     (4 << 20)

static void on_failure(struct consumer *consumer, struct owned *owned, const rd_kafka_message_t *message)
{
    struct err err = {0};

    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (owned != NULL) {
            consumer->calls.end(owned->owner, message->offset);
        }
    } else if (owned != NULL && message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        (void)err_set(&err, ERR_FATAL, "the topic no longer holds, or does not hold, offset %lld (%s): rows may be lost", (long long)message->offset,
                      rd_kafka_message_errstr(message));
        consumer->calls.failed(owned->owner, &err);
    } else { /* librdkafka goes on by itself; the health check sees what doesn't */
        log_warn("consume", "topic=%s reason=%q", message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : "-",
                 rd_kafka_message_errstr(message));
    }
}

static void on_message(struct consumer *consumer, struct owned *owned, const rd_kafka_message_t *raw, bool more)
{
    struct message message;

    if (raw->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        on_failure(consumer, owned, raw);
    } else if (owned != NULL) {
        message = (struct message){.key = raw->key,
                                   .key_size = raw->key_len,
                                   .value = raw->payload,
                                   .value_size = raw->len,
                                   .offset = raw->offset,
                                   .timestamp_ms = rd_kafka_message_timestamp(raw, NULL)};
        consumer->calls.message(owned->owner, &message, more);
    }
}

void consumer_hold(struct consumer *consumer, uint64_t assignment, enum partition_hold hold)
{
    struct owned *owned = owned_by_assignment(consumer, assignment);

    if (owned == NULL) {
        return;
    }
    owned->held_since_ms = owned->held ? owned->held_since_ms : uv_now(consumer->loop);
    owned_mark(consumer, owned, hold != HOLD_NOT, owned->paused);
    if (hold != HOLD_BRIEFLY) {
        owned_set_paused(consumer, owned, hold == HOLD_LONG);
    }
    wake_again(consumer->wake); /* the tap may be open again */
}

void consumer_pause_held(struct consumer *consumer)
{
    uint64_t now_ms = uv_now(consumer->loop);

    for (struct owned *owned = consumer->first; owned != NULL; owned = owned->next) {
        if (owned->held && !owned->paused && now_ms >= owned->held_since_ms + HOLD_MS) {
            owned_set_paused(consumer, owned, true);
            wake_again(consumer->wake);
        }
    }
}

/* ---- what was fetched */

void consumer_take_kept(struct consumer *consumer)
{
    size_t left = consumer->fetched_count - consumer->fetched_next;

    if (consumer->fetched_next > consumer->fetched_kept) {
        memmove(consumer->fetched + consumer->fetched_kept, consumer->fetched + consumer->fetched_next, left * sizeof(rd_kafka_message_t *));
    }
    consumer->fetched_count = consumer->fetched_kept + left;
    consumer->fetched_next = consumer->fetched_kept = 0;
}

void consumer_forget_fetched(struct consumer *consumer, const char *topic, int32_t partition)
{
    size_t kept = 0;

    consumer_take_kept(consumer);
    for (size_t i = 0; i < consumer->fetched_count; i++) {
        rd_kafka_message_t *message = consumer->fetched[i];

        if (topic == NULL || (message->rkt != NULL && message->partition == partition && strcmp(rd_kafka_topic_name(message->rkt), topic) == 0)) {
            rd_kafka_message_destroy(message);
        } else {
            consumer->fetched[kept++] = message;
        }
    }
    consumer->fetched_count = kept;
}

static size_t array_size(const struct consumer *consumer)
{
    size_t size = consumer->message_bytes > 0 ? FETCHED_BYTES / consumer->message_bytes : 1;

    size = size < FETCHED_MAX ? size : FETCHED_MAX;
    return size > 0 ? size : 1;
}

/* Behind what is kept. False: there is nothing. */
static bool fetch(struct consumer *consumer)
{
    size_t size = array_size(consumer);
    size_t bytes = 0;
    ssize_t count;

    if (consumer->fetched_kept + size > consumer->fetched_capacity) {
        consumer->fetched_capacity = consumer->fetched_kept + size;
        consumer->fetched = realloc(consumer->fetched, consumer->fetched_capacity * sizeof(rd_kafka_message_t *));
        must(consumer->fetched != NULL);
    }
    count = rd_kafka_consume_batch_queue(consumer->messages, 0, consumer->fetched + consumer->fetched_kept, size);
    if (count <= 0) {
        return false;
    }
    consumer->fetched_next = consumer->fetched_kept;
    consumer->fetched_count = consumer->fetched_kept + (size_t)count;
    for (size_t i = consumer->fetched_next; i < consumer->fetched_count; i++) {
        bytes += consumer->fetched[i]->key_len + consumer->fetched[i]->len;
    }
    consumer->message_bytes = bytes / (size_t)count;
    consumer->unnudged_bytes += bytes;
    return true;
}

static struct owned *owner_of(struct consumer *consumer, const rd_kafka_message_t *message)
{
    return message->rkt != NULL ? owned_by_place(consumer, rd_kafka_topic_name(message->rkt), message->partition) : NULL;
}

/* Is the next one of the same partition, and a message? */
static bool more_follow(const struct consumer *consumer, const rd_kafka_message_t *message)
{
    const rd_kafka_message_t *next = consumer->fetched_next < consumer->fetched_count ? consumer->fetched[consumer->fetched_next] : NULL;

    return next != NULL && next->err == RD_KAFKA_RESP_ERR_NO_ERROR && next->rkt == message->rkt && next->partition == message->partition;
}

/* last: of this turn. */
static void deliver_next(struct consumer *consumer, bool last)
{
    rd_kafka_message_t *message = consumer->fetched[consumer->fetched_next++];
    struct owned *owned = owner_of(consumer, message);

    if (owned != NULL && owned->paused) {
        consumer->fetched[consumer->fetched_kept++] = message;
        return;
    }
    on_message(consumer, owned, message, !last && more_follow(consumer, message));
    rd_kafka_message_destroy(message);
}

/* Rebalances come this way, and errors that concern no partition. False: there is nothing. */
static bool take_from_group(struct consumer *consumer)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->handle, 0);

    if (message == NULL) {
        return false;
    }
    on_message(consumer, owner_of(consumer, message), message, false);
    rd_kafka_message_destroy(message);
    return true;
}

/* ---- a turn */

static void nudge_if_due(struct consumer *consumer)
{
    if (consumer->unnudged_bytes >= NUDGE_BYTES && !consumer->nudging && !consumer->closing) {
        consumer->unnudged_bytes = 0;
        consumer->nudging = true;
        consumer_start_job(consumer, JOB_NUDGE, NULL, 0);
    }
}

void consumer_poll(struct consumer *consumer)
{
    rd_kafka_event_t *event;
    int taken = 0;

    if (consumer->leaving) {
        return;
    }
    while ((event = rd_kafka_queue_poll(consumer->answers, 0)) != NULL) {
        consumer_on_answer(consumer, event);
    }
    while (taken < MESSAGES_A_TURN && take_from_group(consumer)) {
        taken++;
    }
    while (taken < MESSAGES_A_TURN && !consumer->leaving && consumer->holders == 0 &&
           (consumer->fetched_next < consumer->fetched_count || fetch(consumer))) {
        taken++;
        deliver_next(consumer, taken == MESSAGES_A_TURN);
    }
    nudge_if_due(consumer);
    if (taken >= MESSAGES_A_TURN) {
        wake_again(consumer->wake);
    }
}
