/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between librdkafka's queue and the partitions that take them, hold and are paused. What must not happen: an offset that is
 * skipped, comes twice or out of order, also when a partition was paused while what had been taken for it was not delivered yet; and one
 * that comes after a hold, or behind a seek from the course before.
 *
 * Stands in for librdkafka: three partitions of endless messages, a queue of what was fetched; what was taken out of it is consumed, a
 * pause drops the partition's rest, and a resume fetches from behind what was consumed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "workers/consumer_parts.h"

#define PARTITIONS 3
#define QUEUE_MAX  600

/* ---- librdkafka */

static struct {
    uint64_t random;
    rd_kafka_message_t *queue[QUEUE_MAX];
    size_t queued;
    int64_t consumed[PARTITIONS]; /* the next offset to take */
    int64_t fetched[PARTITIONS];  /* the next offset to put into the queue */
    bool paused[PARTITIONS];
    size_t alive; /* messages */
} kafka;

static unsigned dice(unsigned sides)
{
    kafka.random = kafka.random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(kafka.random >> 33) % sides;
}

const char *rd_kafka_topic_name(const rd_kafka_topic_t *topic)
{
    (void)topic;
    return "kakehi.shop.orders";
}

int64_t rd_kafka_message_timestamp(const rd_kafka_message_t *message, rd_kafka_timestamp_type_t *type)
{
    (void)message;
    (void)type;
    return -1;
}

void rd_kafka_message_destroy(rd_kafka_message_t *message)
{
    kafka.alive--;
    free(message);
}

static void broker_fetch(int32_t partition, unsigned count)
{
    for (unsigned i = 0; i < count && kafka.queued < QUEUE_MAX && !kafka.paused[partition]; i++) {
        rd_kafka_message_t *message = calloc(1, sizeof *message);

        must(message != NULL);
        message->rkt = (rd_kafka_topic_t *)&kafka; /* only its name is asked for */
        message->partition = partition;
        message->offset = kafka.fetched[partition]++;
        message->len = 200;
        kafka.queue[kafka.queued++] = message;
        kafka.alive++;
    }
}

ssize_t rd_kafka_consume_batch_queue(rd_kafka_queue_t *queue, int timeout_ms, rd_kafka_message_t **messages, size_t size)
{
    size_t count = size < kafka.queued ? size : kafka.queued;

    (void)queue;
    (void)timeout_ms;
    for (size_t i = 0; i < count; i++) {
        messages[i] = kafka.queue[i];
        kafka.consumed[messages[i]->partition] = messages[i]->offset + 1;
    }
    kafka.queued -= count;
    memmove(kafka.queue, kafka.queue + count, kafka.queued * sizeof *kafka.queue);
    return (ssize_t)count;
}

static void drop_queued(int32_t partition)
{
    size_t kept = 0;

    for (size_t i = 0; i < kafka.queued; i++) {
        if (kafka.queue[i]->partition == partition) {
            rd_kafka_message_destroy(kafka.queue[i]);
        } else {
            kafka.queue[kept++] = kafka.queue[i];
        }
    }
    kafka.queued = kept;
}

rd_kafka_resp_err_t rd_kafka_pause_partitions(rd_kafka_t *handle, rd_kafka_topic_partition_list_t *list)
{
    int32_t partition = list->elems[0].partition;

    (void)handle;
    kafka.paused[partition] = true;
    drop_queued(partition);
    kafka.fetched[partition] = kafka.consumed[partition];
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t rd_kafka_resume_partitions(rd_kafka_t *handle, rd_kafka_topic_partition_list_t *list)
{
    (void)handle;
    kafka.paused[list->elems[0].partition] = false;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_message_t *rd_kafka_consumer_poll(rd_kafka_t *handle, int timeout_ms)
{
    (void)handle;
    (void)timeout_ms;
    return NULL;
}

rd_kafka_event_t *rd_kafka_queue_poll(rd_kafka_queue_t *queue, int timeout_ms)
{
    (void)queue;
    (void)timeout_ms;
    return NULL;
}

rd_kafka_queue_t *rd_kafka_queue_get_partition(rd_kafka_t *handle, const char *topic, int32_t partition)
{
    (void)handle;
    (void)topic;
    (void)partition;
    return NULL;
}

/* ---- the partitions that take */

static struct fixture {
    uv_loop_t loop;
    struct consumer consumer;
    struct taker {
        struct owned owned;
        int64_t next;
        bool holds;
        bool more; /* another one was promised */
    } takers[PARTITIONS];
    unsigned holds_of_hundred; /* messages after which a partition holds */
    unsigned long_of_hundred;  /* of these, who knows that it will be long */
    size_t taken;
} fixture;

static void on_wake(void *context)
{
    (void)context;
}

static void nothing(void *context)
{
    (void)context;
}

static void on_message(void *owner, const struct message *message, bool more)
{
    struct taker *taker = owner;

    assert_false(taker->holds);
    assert_int_equal(message->offset, taker->next);
    for (size_t i = 0; i < PARTITIONS; i++) {
        assert_true(&fixture.takers[i] == taker || !fixture.takers[i].more);
    }
    taker->next++;
    taker->more = more;
    fixture.taken++;
    if (dice(100) < fixture.holds_of_hundred) {
        taker->holds = true;
        taker->more = false;
        consumer_hold(&fixture.consumer, taker->owned.assignment, dice(100) < fixture.long_of_hundred ? HOLD_LONG : HOLD_BRIEFLY);
    }
}

static int setup(void **state)
{
    struct err err = {0};

    (void)state;
    memset(&kafka, 0, sizeof kafka);
    memset(&fixture, 0, sizeof fixture);
    kafka.random = 1;
    must(uv_loop_init(&fixture.loop) == 0 && wake_new(&fixture.loop, on_wake, NULL, &fixture.consumer.wake, &err) == 0);
    fixture.consumer.loop = &fixture.loop;
    fixture.consumer.nudging = true; /* none is begun */
    fixture.consumer.calls.message = on_message;
    for (int i = 0; i < PARTITIONS; i++) {
        struct taker *taker = &fixture.takers[i];

        taker->owned = (struct owned){.topic = "kakehi.shop.orders", .partition = i, .assignment = (uint64_t)i + 1, .owner = taker};
        taker->owned.next = fixture.consumer.first;
        fixture.consumer.first = &taker->owned;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    consumer_forget_fetched(&fixture.consumer, NULL, 0);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        drop_queued(i);
    }
    assert_int_equal(kafka.alive, 0);
    free(fixture.consumer.fetched);
    wake_close(fixture.consumer.wake, nothing, NULL);
    (void)uv_run(&fixture.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture.loop), 0);
    return 0;
}

static void go_on(struct taker *taker)
{
    taker->holds = false;
    consumer_hold(&fixture.consumer, taker->owned.assignment, HOLD_NOT);
}

/* As a confirmed seek does. */
static void seek(struct taker *taker, int64_t offset)
{
    drop_queued(taker->owned.partition);
    kafka.consumed[taker->owned.partition] = kafka.fetched[taker->owned.partition] = taker->next = offset;
    taker->holds = false;
    owned_mark(&fixture.consumer, &taker->owned, false, taker->owned.paused);
    owned_lead_messages(&fixture.consumer, &taker->owned);
    owned_set_paused(&fixture.consumer, &taker->owned, false);
}

static void poll(void)
{
    consumer_poll(&fixture.consumer);
    for (size_t i = 0; i < PARTITIONS; i++) {
        assert_false(fixture.takers[i].more); /* a promise is kept within the turn */
    }
}

/* ---- tests */

static void test_consumer_messages__each_offset_comes_once_in_order_however_partitions_hold_and_pause(void **state)
{
    (void)state;
    fixture.holds_of_hundred = 3;
    fixture.long_of_hundred = 25;
    for (int step = 0; step < 30000; step++) {
        struct taker *taker = &fixture.takers[dice(PARTITIONS)];

        switch (dice(6)) {
        case 0:
            broker_fetch((int32_t)dice(PARTITIONS), dice(200));
            break;
        case 1:
            if (taker->holds) {
                owned_set_paused(&fixture.consumer, &taker->owned, true); /* it has held for long */
            }
            break;
        case 2:
            if (dice(40) == 0) {
                seek(taker, (int64_t)dice((unsigned)taker->next + 1));
            } else if (taker->holds) {
                go_on(taker);
            }
            break;
        default:
            poll();
        }
    }
    assert_true(fixture.taken > 10000);
}

static void test_consumer_messages__what_was_taken_for_a_paused_partition_waits_and_others_go_on(void **state)
{
    struct taker *first = &fixture.takers[0];
    struct taker *second = &fixture.takers[1];

    (void)state;
    broker_fetch(0, 1); /* so that the next array is a long one */
    poll();
    broker_fetch(0, 50);
    broker_fetch(1, 50);
    broker_fetch(0, 50);
    fixture.holds_of_hundred = 100;
    poll();
    assert_int_equal(first->next, 2);
    fixture.holds_of_hundred = 0;
    poll();
    assert_int_equal(second->next, 0); /* the tap is closed for all */
    owned_set_paused(&fixture.consumer, &first->owned, true);
    poll();
    assert_int_equal(first->next, 2);
    assert_int_equal(second->next, 50);
    broker_fetch(1, 1);
    go_on(first);
    poll();
    assert_int_equal(first->next, 101);
    assert_int_equal(second->next, 51);
}

static void test_consumer_messages__a_seek_forgets_what_was_taken(void **state)
{
    struct taker *first = &fixture.takers[0];

    (void)state;
    broker_fetch(0, 1);
    poll();
    broker_fetch(0, 100);
    fixture.holds_of_hundred = 100;
    poll();
    fixture.holds_of_hundred = 0;
    seek(first, 70);
    broker_fetch(0, 10);
    poll();
    assert_int_equal(first->next, 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_consumer_messages__each_offset_comes_once_in_order_however_partitions_hold_and_pause, setup, teardown),
        cmocka_unit_test_setup_teardown(test_consumer_messages__what_was_taken_for_a_paused_partition_waits_and_others_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_consumer_messages__a_seek_forgets_what_was_taken, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
