/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handle's life, and the table of owned partitions that all parts work on. The parts, each with its own rules:
 *
 *   consumer_rebalance.c  how a partition comes and goes
 *   consumer_jobs.c       blocking calls, on libuv's threads
 *   consumer_commits.c    commits (C2) and where the group stands
 *   consumer_messages.c   messages, and holding them back
 *
 * A partition stands in the table from the rebalance callback that assigns it until consumer_release. Whatever is wished or answered is
 * looked up there first, by the assignment's number, and dropped when it isn't found.
 *
 * The end: unsubscribe, which revokes everything -> all partitions are released and unassigned -> the last jobs are answered -> a
 * thread leaves the group (`leaving`: from then on the handle is that thread's, and nothing here touches it) -> free.
 */
#include "workers/consumer.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/must.h"
#include "workers/consumer_parts.h"
#include "workers/subscription.h"

/* ---- the table of owned partitions */

struct owned *owned_by_assignment(const struct consumer *consumer, uint64_t assignment)
{
    struct owned *owned = consumer->first;

    while (owned != NULL && owned->assignment != assignment) {
        owned = owned->next;
    }
    return owned;
}

bool owned_is(const struct owned *owned, const char *topic, int32_t partition)
{
    return owned->partition == partition && strcmp(owned->topic, topic) == 0;
}

struct owned *owned_by_place(struct consumer *consumer, const char *topic, int32_t partition)
{
    struct owned *owned = consumer->last_found;

    if (owned != NULL && owned_is(owned, topic, partition)) {
        return owned;
    }
    owned = consumer->first;
    while (owned != NULL && !owned_is(owned, topic, partition)) {
        owned = owned->next;
    }
    consumer->last_found = owned;
    return owned;
}

rd_kafka_topic_partition_list_t *owned_list(const char *topic, int32_t partition, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    return list;
}

void owned_mark(struct consumer *consumer, struct owned *owned, bool held, bool paused)
{
    consumer->holders -= owned->held && !owned->paused;
    owned->held = held;
    owned->paused = paused;
    consumer->holders += owned->held && !owned->paused;
}

void owned_set_paused(struct consumer *consumer, struct owned *owned, bool paused)
{
    rd_kafka_topic_partition_list_t *list;

    if (owned->paused == paused) {
        return;
    }
    list = owned_list(owned->topic, owned->partition, RD_KAFKA_OFFSET_INVALID);
    (void)(paused ? rd_kafka_pause_partitions(consumer->handle, list) : rd_kafka_resume_partitions(consumer->handle, list));
    rd_kafka_topic_partition_list_destroy(list);
    owned_mark(consumer, owned, owned->held, paused);
    if (!paused) {
        consumer_take_kept(consumer);
    }
}

void owned_lead_messages(struct consumer *consumer, const struct owned *owned)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_partition(consumer->handle, owned->topic, owned->partition);

    consumer_forget_fetched(consumer, owned->topic, owned->partition);
    if (queue != NULL) {
        rd_kafka_queue_forward(queue, consumer->messages);
        rd_kafka_queue_destroy(queue);
    }
}

/* ---- turns of the loop */

void consumer_tick(struct consumer *consumer)
{
    if (consumer->leaving) {
        return;
    }
    consumer_pause_held(consumer);
    consumer_count_if_due(consumer);
    if (consumer->down_since_ms > 0 && !consumer->probing && !consumer->closing) {
        consumer->probing = true;
        consumer_start_job(consumer, JOB_PROBE, NULL, 0);
    }
    consumer_poll(consumer); /* a wake that got lost would be found here; and librdkafka wants to be polled */
}

static void on_error(rd_kafka_t *handle, int code, const char *reason, void *opaque)
{
    struct consumer *consumer = opaque;

    (void)handle;
    if (consumer->leaving) {
        return;
    }
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        consumer->down_since_ms = consumer->down_since_ms > 0 ? consumer->down_since_ms : uv_now(consumer->loop);
        log_warn("brokers_down", "next=%q reason=%q", "trying again", reason);
    } else {
        log_debug("kafka_error", "reason=%q", reason);
    }
}

/* ---- beginning and end */

static void on_flush(uv_prepare_t *flush)
{
    consumer_flush(flush->data);
}

static int make_handle(struct consumer *consumer, struct err *err)
{
    struct text_pairs fixed = {0};
    struct text_pairs defaults = {0};
    const struct text_pairs *lists[] = {&kafka_consumer_budget, &defaults, &consumer->settings->kafka, &consumer->settings->worker.kafka, &fixed, NULL};
    rd_kafka_conf_t *conf = NULL;
    char words[256];
    int status;

    text_pairs_set(&defaults, "topic.metadata.refresh.interval.ms", "10000");
    text_pairs_set(&defaults, "client.id", "kakehi-worker");
    /* A broker has one request of ours in hand. While none of its partitions has anything, one that is assigned waits for its end. */
    text_pairs_set(&defaults, "fetch.wait.max.ms", "100");
    text_pairs_set(&fixed, "group.id", consumer->group);
    text_pairs_set(&fixed, "auto.offset.reset", "error"); /* C6 */
    text_pairs_set(&fixed, "enable.auto.commit", "false");
    text_pairs_set(&fixed, "enable.auto.offset.store", "false");
    text_pairs_set(&fixed, "isolation.level", "read_committed");
    text_pairs_set(&fixed, "enable.partition.eof", "true");
    status = kafka_conf_new(lists, &conf, err);
    text_pairs_deinit(&defaults);
    text_pairs_deinit(&fixed);
    if (status != 0) {
        return -1;
    }
    rd_kafka_conf_set_opaque(conf, consumer);
    rd_kafka_conf_set_rebalance_cb(conf, consumer_on_rebalance);
    rd_kafka_conf_set_error_cb(conf, on_error);
    consumer->handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, words, sizeof words);
    if (consumer->handle == NULL) {
        rd_kafka_conf_destroy(conf);
        return err_set(err, ERR_FATAL, "making the consumer: %s", words);
    }
    return 0;
}

int consumer_new(uv_loop_t *loop, struct wake *wake, const struct settings *settings, const char *group, rd_kafka_t *asker,
                 const struct consumer_calls *calls, struct consumer **ret_consumer, struct err *err)
{
    struct consumer *consumer = calloc(1, sizeof *consumer);

    must(consumer != NULL);
    consumer->loop = loop;
    consumer->wake = wake;
    consumer->settings = settings;
    consumer->asker = asker;
    consumer->calls = *calls;
    consumer->group = must_strdup(group);
    if (make_handle(consumer, err) != 0) {
        free(consumer->group);
        free(consumer);
        return -1;
    }
    (void)rd_kafka_poll_set_consumer(consumer->handle);
    consumer->messages = rd_kafka_queue_new(consumer->handle);
    consumer->answers = rd_kafka_queue_new(consumer->handle);
    consumer->group_queue = rd_kafka_queue_get_consumer(consumer->handle);
    wake_attach(wake, consumer->messages);
    wake_attach(wake, consumer->answers);
    wake_attach(wake, consumer->group_queue);
    consumer->flush.data = consumer;
    must(uv_prepare_init(loop, &consumer->flush) == 0);
    must(uv_prepare_start(&consumer->flush, on_flush) == 0);
    *ret_consumer = consumer;
    return 0;
}

int consumer_subscribe(struct consumer *consumer, struct err *err)
{
    const struct text_pairs *named = &consumer->settings->topics.topic;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    struct buffer pattern = {0};
    rd_kafka_resp_err_t code;

    subscription_pattern(&pattern, consumer->settings->prefix);
    (void)rd_kafka_topic_partition_list_add(list, buffer_text(&pattern), RD_KAFKA_PARTITION_UA);
    for (size_t i = 0; i < named->count; i++) {
        (void)rd_kafka_topic_partition_list_add(list, named->pairs[i].value, RD_KAFKA_PARTITION_UA);
    }
    code = rd_kafka_subscribe(consumer->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    buffer_deinit(&pattern);
    consumer_count_if_due(consumer);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : kafka_err_set(err, code, "subscribing");
}

static void on_flush_closed(uv_handle_t *handle)
{
    struct consumer *consumer = handle->data;
    void (*closed)(void *context) = consumer->closed;
    void *context = consumer->closed_context;

    rd_kafka_queue_destroy(consumer->group_queue);
    rd_kafka_queue_destroy(consumer->messages);
    rd_kafka_queue_destroy(consumer->answers);
    rd_kafka_destroy_flags(consumer->handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(consumer->fetched);
    free(consumer->group);
    free(consumer);
    closed(context);
}

void consumer_finish_if_left(struct consumer *consumer)
{
    if (!consumer->closing || consumer->first != NULL || consumer->revoking != NULL || consumer->jobs > 0) {
        return;
    }
    if (!consumer->leaving) {
        consumer_forget_fetched(consumer, NULL, 0);
        consumer->leaving = true;
        wake_detach(consumer->messages);
        wake_detach(consumer->answers);
        wake_detach(consumer->group_queue);
        consumer_start_job(consumer, JOB_CLOSE, NULL, 0);
    } else {
        uv_close((uv_handle_t *)&consumer->flush, on_flush_closed);
    }
}

void consumer_close(struct consumer *consumer, void (*closed)(void *context), void *context)
{
    if (consumer == NULL) {
        closed(context);
        return;
    }
    consumer->closing = true;
    consumer->closed = closed;
    consumer->closed_context = context;
    (void)rd_kafka_unsubscribe(consumer->handle); /* also: a cooperative member leaves at once only so */
    consumer_finish_if_left(consumer);
}

bool consumer_joined(const struct consumer *consumer)
{
    return consumer->joined;
}

uint64_t consumer_down_since_ms(const struct consumer *consumer)
{
    return consumer->down_since_ms;
}

int64_t consumer_high(const struct consumer *consumer, const char *topic, int32_t partition)
{
    int64_t low;
    int64_t high;

    if (consumer->leaving || rd_kafka_get_watermark_offsets(consumer->handle, topic, partition, &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return -1;
    }
    return high >= 0 ? high : -1;
}
