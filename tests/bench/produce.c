/* SPDX-License-Identifier: Apache-2.0 */
/*
 * produce: as fast as rows can be had into Kafka: librdkafka alone, transactions of 16 MiB, payload not copied, one thread.
 *
 *     produce BROKERS TOPIC ROWS SIZE
 *
 * Makes ROWS messages of SIZE bytes, key (eight bytes) and value together, and ends when the last one is committed. The topic must
 * exist. The producer's own speed is read beside this one; budgets and partitioner are the producer's.
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/must.h"

#define TRANSACTION_BYTES ((uint64_t)16 << 20)
#define CALL_MS           60000

static uint64_t refused;

static void on_delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    (void)handle, (void)opaque;
    refused += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static double now_s(void)
{
    struct timespec now;

    must(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void expect(rd_kafka_error_t *error, const char *doing)
{
    if (error != NULL) {
        fprintf(stderr, "produce: %s: %s\n", doing, rd_kafka_error_string(error));
        exit(EXIT_FAILURE);
    }
}

static rd_kafka_t *connect_to(const char *brokers)
{
    const char *const properties[][2] = {
        {"bootstrap.servers", brokers},          {"transactional.id", "kakehi-bench"},      {"partitioner", "murmur2_random"},
        {"queue.buffering.max.kbytes", "16384"}, {"queue.buffering.max.messages", "50000"},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *handle;
    char text[256];

    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++) {
        must(rd_kafka_conf_set(conf, properties[i][0], properties[i][1], text, sizeof text) == RD_KAFKA_CONF_OK);
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    must(handle != NULL);
    expect(rd_kafka_init_transactions(handle, CALL_MS), "taking the transactional id");
    return handle;
}

static void produce_one(rd_kafka_t *handle, rd_kafka_topic_t *topic, uint64_t number, uint8_t *payload, size_t size)
{
    while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, 0, payload, size, &number, sizeof number, NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            fprintf(stderr, "produce: %s\n", rd_kafka_err2str(rd_kafka_last_error()));
            exit(EXIT_FAILURE);
        }
        (void)rd_kafka_poll(handle, 100);
    }
}

static void produce_all(rd_kafka_t *handle, rd_kafka_topic_t *topic, uint64_t rows, size_t size)
{
    uint8_t *payload = calloc(1, size);
    uint64_t open_bytes = 0;

    must(payload != NULL);
    for (uint64_t number = 0; number < rows; number++) {
        if (open_bytes == 0) {
            expect(rd_kafka_begin_transaction(handle), "beginning a transaction");
        }
        produce_one(handle, topic, number, payload, size);
        open_bytes += sizeof number + size;
        if (open_bytes >= TRANSACTION_BYTES || number + 1 == rows) {
            expect(rd_kafka_commit_transaction(handle, CALL_MS), "committing");
            open_bytes = 0;
        }
    }
    free(payload);
}

int main(int argc, char **argv)
{
    uint64_t rows = argc == 5 ? strtoull(argv[3], NULL, 10) : 0;
    size_t size = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
    rd_kafka_topic_t *topic;
    rd_kafka_t *handle;
    double begin_s;

    if (rows == 0 || size <= sizeof(uint64_t)) {
        fprintf(stderr, "usage: produce BROKERS TOPIC ROWS SIZE\n");
        return 64;
    }
    handle = connect_to(argv[1]);
    topic = rd_kafka_topic_new(handle, argv[2], NULL);
    must(topic != NULL);
    begin_s = now_s();
    produce_all(handle, topic, rows, size - sizeof(uint64_t));
    printf("%" PRIu64 " rows of %zu bytes in %.3f s\n", rows, size, now_s() - begin_s);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(handle);
    return refused == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
