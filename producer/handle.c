/* SPDX-License-Identifier: Apache-2.0 */
/* One place adds up the lists of properties, so that no handle of the program can miss a budget or a fixed one. */
#include "producer/handle.h"

#include "common/kafka.h"

static void add_all(struct text_pairs *pairs, const struct handle_property *property)
{
    for (; property->name != NULL; property++) {
        text_pairs_set(pairs, property->name, property->value);
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
