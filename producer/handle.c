/* SPDX-License-Identifier: Apache-2.0 */
/* One place adds up the lists of properties, so that no handle of the program can miss a budget or a fixed one. */
#include "producer/handle.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/kafka.h"

#define READ_MESSAGE_BYTES "1000000" /* librdkafka's own; readers see positions alone, and fetch.max.bytes must not be below it */
#define HEADROOM_KBYTES    1024

static void add_all(struct text_pairs *pairs, const struct handle_property *property)
{
    for (; property->name != NULL; property++) {
        text_pairs_set(pairs, property->name, property->value);
    }
}

/* Of the lists in rising precedence; 0: in none of them. */
static int64_t number_in(const struct text_pairs *const *lists, const char *name)
{
    int64_t number = 0;

    for (; *lists != NULL; lists++) {
        const char *text = text_pairs_get(*lists, name);

        number = text != NULL ? strtoll(text, NULL, 10) : number;
    }
    return number;
}

/* librdkafka never takes a message larger than its whole queue, not even into an empty one. What waits there is bounded by the parcels. */
static void make_room_for_one(const struct text_pairs *const *lists, struct text_pairs *must_be)
{
    int64_t message_kbytes = number_in(lists, "message.max.bytes") / 1024 + HEADROOM_KBYTES;
    char text[32];

    if (message_kbytes > number_in(lists, "queue.buffering.max.kbytes")) {
        (void)snprintf(text, sizeof text, "%lld", (long long)message_kbytes);
        text_pairs_set(must_be, "queue.buffering.max.kbytes", text);
    }
}

int handle_conf(rd_kafka_type_t type, const struct settings *settings, const struct handle_property *defaults,
                const struct handle_property *fixed, rd_kafka_conf_t **ret_conf, struct err *err)
{
    struct text_pairs ours = {0}, must_be = {0};
    const struct text_pairs *budget = type == RD_KAFKA_PRODUCER ? &kafka_producer_budget : &kafka_consumer_budget;
    const struct text_pairs *const lists[] = {budget, &ours, &settings->kafka, &settings->producer.kafka, &must_be, NULL};
    int status;

    add_all(&ours, defaults);
    add_all(&must_be, fixed);
    if (type == RD_KAFKA_PRODUCER) {
        make_room_for_one(lists, &must_be);
    } else {
        text_pairs_set(&must_be, "message.max.bytes", READ_MESSAGE_BYTES);
    }
    status = kafka_conf_new(lists, ret_conf, err);
    text_pairs_deinit(&ours);
    text_pairs_deinit(&must_be);
    return status;
}

int handle_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **ret_handle, struct err *err)
{
    char text[400];
    rd_kafka_t *handle = rd_kafka_new(type, conf, text, sizeof text);

    if (handle == NULL) {
        rd_kafka_conf_destroy(conf);
        return err_set(err, ERR_FATAL, "setting up librdkafka: %s", text);
    }
    if (type == RD_KAFKA_CONSUMER) {
        (void)rd_kafka_poll_set_consumer(handle);
    }
    *ret_handle = handle;
    return 0;
}

int handle_reader(const struct settings *settings, const char *isolation, rd_kafka_t **ret_handle, struct err *err)
{
    const struct handle_property defaults[] = {
        {"client.id", "kakehi-producer"},
        {"fetch.wait.max.ms", "20"}, /* that the end is reached shows only when the broker has nothing to send for this long */
        {0},
    };
    const struct handle_property fixed[] = {
        {"group.id", "kakehi-none"}, /* librdkafka wants one to assign; nothing is ever committed with it */
        {"isolation.level", isolation},
        {"auto.offset.reset", "earliest"}, /* KAFKA_OFFSET_FIRST */
        {"enable.partition.eof", "true"},
        {"enable.auto.commit", "false"},
        {"queued.max.messages.kbytes", "1024"}, /* positions are small; memory is for rows */
        {0},
    };
    rd_kafka_conf_t *conf;

    if (handle_conf(RD_KAFKA_CONSUMER, settings, defaults, fixed, &conf, err) != 0) {
        return -1;
    }
    return handle_new(RD_KAFKA_CONSUMER, conf, ret_handle, err);
}
