/* SPDX-License-Identifier: Apache-2.0 */
/*
 * produce: as fast as rows can be had into Kafka: librdkafka alone, transactions of 16 MiB, payload not copied, one thread.
 *
 *     produce BROKERS FROM TO COUNT CODEC
 *
 * Produces COUNT messages to the topic TO, which must exist, and ends when the last one is committed. They are the first 50,000 of
 * topic FROM, over and over, so that a codec has real bytes to do; these are read first, into memory, which is not timed. The
 * producer's own speed is read beside this one: budgets and partitioner are the producer's.
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buffer.h"
#include "common/cli.h"
#include "common/kafka.h"
#include "common/must.h"

#define SAMPLE_MAX        50000
#define TRANSACTION_BYTES ((uint64_t)16 << 20)
#define CALL_MS           60000

struct span {
    size_t begin, key_size, value_size; /* key and value are neighbours */
};

struct sample {
    struct buffer bytes;
    struct span spans[SAMPLE_MAX];
    size_t count;
};

static uint64_t refused;

static void on_delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    (void)handle, (void)opaque;
    refused += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static double now_s(clockid_t clock)
{
    struct timespec now;

    must(clock_gettime(clock, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Takes error. */
static int expect(rd_kafka_error_t *error, const char *doing, struct err *err)
{
    if (error == NULL) {
        return 0;
    }
    (void)err_set(err, ERR_FATAL, "%s: %s", doing, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return -1;
}

static int make_handle(rd_kafka_type_t type, const struct text_pairs *budget, struct text_pairs *own, rd_kafka_t **ret_handle,
                       struct err *err)
{
    const struct text_pairs *lists[] = {budget, own, NULL};
    rd_kafka_conf_t *conf = NULL;
    char text[256];
    int result = kafka_conf_new(lists, &conf, err);

    text_pairs_deinit(own);
    if (result != 0) {
        return -1;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    *ret_handle = rd_kafka_new(type, conf, text, sizeof text);
    if (*ret_handle == NULL) {
        rd_kafka_conf_destroy(conf);
        return err_set(err, ERR_FATAL, "making a client: %s", text);
    }
    return 0;
}

/* ---- the sample */

static void take(struct sample *sample, const rd_kafka_message_t *message)
{
    sample->spans[sample->count++] = (struct span){sample->bytes.size, message->key_len, message->len};
    buffer_append(&sample->bytes, message->key, message->key_len);
    buffer_append(&sample->bytes, message->payload, message->len);
}

static int read_messages(rd_kafka_t *handle, const char *topic, size_t wanted, struct sample *sample, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_message_t *message;

    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    (void)rd_kafka_assign(handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    while (sample->count < wanted && (message = rd_kafka_consumer_poll(handle, CALL_MS)) != NULL) {
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            take(sample, message);
        }
        rd_kafka_message_destroy(message);
    }
    (void)rd_kafka_consumer_close(handle);
    return sample->count == wanted ? 0 : err_set(err, ERR_FATAL, "partition 0 of %s holds only %zu messages", topic, sample->count);
}

static int read_sample(const char *brokers, const char *topic, uint64_t count, struct sample *sample, struct err *err)
{
    struct text_pairs own = {0};
    rd_kafka_t *handle;
    int result;

    text_pairs_set(&own, "bootstrap.servers", brokers);
    text_pairs_set(&own, "group.id", "kakehi-bench"); /* never joined: the partition is assigned here */
    text_pairs_set(&own, "enable.auto.commit", "false");
    text_pairs_set(&own, "isolation.level", "read_committed");
    if (make_handle(RD_KAFKA_CONSUMER, &kafka_consumer_budget, &own, &handle, err) != 0) {
        return -1;
    }
    result = read_messages(handle, topic, count < SAMPLE_MAX ? count : SAMPLE_MAX, sample, err);
    rd_kafka_destroy(handle);
    return result;
}

/* ---- producing */

static int produce_one(rd_kafka_topic_t *topic, rd_kafka_t *handle, const struct sample *sample, const struct span *span, struct err *err)
{
    uint8_t *key = sample->bytes.bytes + span->begin;

    while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, 0, key + span->key_size, span->value_size, key, span->key_size, NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            return kafka_err_set(err, rd_kafka_last_error(), "producing");
        }
        (void)rd_kafka_poll(handle, 100);
    }
    return 0;
}

static int produce_all(rd_kafka_t *handle, rd_kafka_topic_t *topic, const struct sample *sample, uint64_t count, struct err *err)
{
    uint64_t open_bytes = 0;

    for (uint64_t number = 0; number < count; number++) {
        const struct span *span = &sample->spans[number % sample->count];

        if (open_bytes == 0 && expect(rd_kafka_begin_transaction(handle), "beginning a transaction", err) != 0) {
            return -1;
        }
        if (produce_one(topic, handle, sample, span, err) != 0) {
            return -1;
        }
        open_bytes += span->key_size + span->value_size;
        if (open_bytes >= TRANSACTION_BYTES || number + 1 == count) {
            if (expect(rd_kafka_commit_transaction(handle, CALL_MS), "committing", err) != 0) {
                return -1;
            }
            open_bytes = 0;
        }
    }
    return refused == 0 ? 0 : err_set(err, ERR_FATAL, "%" PRIu64 " messages were refused", refused);
}

static int run(char **argv, uint64_t count, struct sample *sample, struct err *err)
{
    struct text_pairs own = {0};
    rd_kafka_topic_t *topic;
    rd_kafka_t *handle;
    double wall_s, cpu_s;
    int result;

    text_pairs_set(&own, "bootstrap.servers", argv[1]);
    text_pairs_set(&own, "transactional.id", "kakehi-bench");
    text_pairs_set(&own, "partitioner", "murmur2_random");
    text_pairs_set(&own, "compression.codec", argv[5]);
    if (make_handle(RD_KAFKA_PRODUCER, &kafka_producer_budget, &own, &handle, err) != 0) {
        return -1;
    }
    topic = rd_kafka_topic_new(handle, argv[3], NULL);
    must(topic != NULL);
    result = expect(rd_kafka_init_transactions(handle, CALL_MS), "taking the transactional id", err);
    wall_s = now_s(CLOCK_MONOTONIC);
    cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID);
    if (result == 0) {
        result = produce_all(handle, topic, sample, count, err);
    }
    if (result == 0) {
        printf("%" PRIu64 " messages of %zu bytes in %.6f s, %.6f CPU s\n", count, sample->bytes.size / sample->count,
               now_s(CLOCK_MONOTONIC) - wall_s, now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_s);
    }
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(handle);
    return result;
}

int main(int argc, char **argv)
{
    uint64_t count = argc == 6 ? strtoull(argv[4], NULL, 10) : 0;
    struct sample *sample = calloc(1, sizeof *sample);
    struct err err = {0};
    int result;

    must(sample != NULL);
    if (count == 0) {
        (void)fprintf(stderr, "usage: produce BROKERS FROM TO COUNT CODEC\n");
        free(sample);
        return CLI_USAGE;
    }
    result = read_sample(argv[1], argv[2], count, sample, &err);
    if (result == 0) {
        result = run(argv, count, sample, &err);
    }
    if (result != 0) {
        (void)fprintf(stderr, "produce: %s\n", err.text);
    }
    buffer_deinit(&sample->bytes);
    free(sample);
    return result == 0 ? CLI_OK : CLI_FAILED;
}
