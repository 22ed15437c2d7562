/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages on their way from librdkafka's queues to the partition machines, a bounded number a turn.
 *
 * Holding: librdkafka's pause throws away what it has fetched, which would be fetched again. So a partition that can't take more first
 * closes the tap for all (they share the queue), which costs nothing and is over in milliseconds when a batch is written; only who
 * holds for longer than HOLD_MS, or knows that it will, is paused, and the tap opens for the others. Rebalances come by librdkafka's
 * own queue, which is always emptied.
 *
 * Every NUDGE_BYTES taken, librdkafka is nudged (consumer_jobs.c): a quarter of its full queue, two thirds of one full of small messages,
 * so there is always something left to take while it fetches.
 *
 * C6: an offset that the log does not hold comes as an error (auto.offset.reset=error) and stops that partition. Any other error is
 * librdkafka's to get over; the health check sees what it doesn't.
 */
#include "common/log.h"
#include "workers/consumer_parts.h"

#define MESSAGES_A_TURN 2000
#define HOLD_MS         1000
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

static void on_message(struct consumer *consumer, const rd_kafka_message_t *raw)
{
    struct owned *owned = raw->rkt != NULL ? owned_by_place(consumer, rd_kafka_topic_name(raw->rkt), raw->partition) : NULL;
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
        consumer->calls.message(owned->owner, &message);
    }
}

static bool tap_open(const struct consumer *consumer)
{
    for (const struct owned *owned = consumer->first; owned != NULL; owned = owned->next) {
        if (owned->held && !owned->paused) {
            return false;
        }
    }
    return true;
}

void consumer_hold(struct consumer *consumer, uint64_t assignment, enum partition_hold hold)
{
    struct owned *owned = owned_by_assignment(consumer, assignment);

    if (owned == NULL) {
        return;
    }
    owned->held_since_ms = owned->held ? owned->held_since_ms : uv_now(consumer->loop);
    owned->held = hold != HOLD_NOT;
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

static int take(struct consumer *consumer, rd_kafka_message_t *message)
{
    if (message == NULL) {
        return 0;
    }
    consumer->unnudged_bytes += message->key_len + message->len;
    on_message(consumer, message);
    rd_kafka_message_destroy(message);
    return 1;
}

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
    while (taken < MESSAGES_A_TURN && take(consumer, rd_kafka_consumer_poll(consumer->handle, 0)) > 0) { /* rebalances; errors */
        taken++;
    }
    while (taken < MESSAGES_A_TURN && !consumer->leaving && tap_open(consumer) && take(consumer, rd_kafka_consume_queue(consumer->messages, 0)) > 0) {
        taken++;
    }
    nudge_if_due(consumer);
    if (taken >= MESSAGES_A_TURN) {
        wake_again(consumer->wake);
    }
}
