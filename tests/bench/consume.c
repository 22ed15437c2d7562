/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consume: as fast as messages can be had out of Kafka: librdkafka alone, on one thread of ours.
 *
 *     consume BOOTSTRAP TOPIC COUNT
 *
 * Reads COUNT messages from the beginning of all partitions, with the worker's budgets, and throws them away. A worker's own speed
 * is read beside this one.
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/cli.h"
#include "common/kafka.h"
#include "common/must.h"

#define SILENCE_MS         30000 /* the topic holds no more, then */
#define CALL_MS            10000

struct tally {
    uint64_t count;
    uint64_t bytes; /* keys and values */
    double seconds; /* from the first message on: not the connecting */
    double cpu_s;   /* of these seconds */
};

static double now_s(clockid_t clock)
{
    struct timespec now;

    must(clock_gettime(clock, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- Kafka */

static rd_kafka_t *connect_to(const char *bootstrap, struct err *err)
{
    struct text_pairs fixed = {0};
    const struct text_pairs *lists[] = {&kafka_consumer_budget, &fixed, NULL};
    rd_kafka_conf_t *conf = NULL;
    rd_kafka_t *handle = NULL;
    char text[256];
    int status;

    text_pairs_set(&fixed, "bootstrap.servers", bootstrap);
    text_pairs_set(&fixed, "group.id", "kakehi-bench"); /* never joined: the partitions are assigned here */
    text_pairs_set(&fixed, "enable.auto.commit", "false");
    text_pairs_set(&fixed, "isolation.level", "read_committed");
    status = kafka_conf_new(lists, &conf, err);
    text_pairs_deinit(&fixed);
    if (status != 0) {
        return NULL;
    }
    handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (handle == NULL) {
        rd_kafka_conf_destroy(conf);
        (void)err_set(err, ERR_FATAL, "making the consumer: %s", text);
        return NULL;
    }
    (void)rd_kafka_poll_set_consumer(handle);
    return handle;
}

static int assign_all(rd_kafka_t *handle, const char *topic_name, struct err *err)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(handle, topic_name, NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(handle, 0, topic, &metadata, CALL_MS);

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = metadata->topics[0].err;
        for (int i = 0; i < metadata->topics[0].partition_cnt; i++) {
            rd_kafka_topic_partition_list_add(list, topic_name, metadata->topics[0].partitions[i].id)->offset = RD_KAFKA_OFFSET_BEGINNING;
        }
        rd_kafka_metadata_destroy(metadata);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = rd_kafka_assign(handle, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_topic_destroy(topic);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : kafka_err_set(err, code, "taking the topic's partitions");
}

static int consume(rd_kafka_t *handle, uint64_t count, struct tally *tally, struct err *err)
{
    double start_s = 0, start_cpu_s = 0;

    while (tally->count < count) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(handle, SILENCE_MS);

        if (message == NULL) {
            return err_set(err, ERR_FATAL, "only %" PRIu64 " messages came", tally->count);
        }
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            if (tally->count == 0) {
                start_s = now_s(CLOCK_MONOTONIC);
                start_cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID);
            }
            tally->count++;
            tally->bytes += message->key_len + message->len;
        }
        rd_kafka_message_destroy(message);
    }
    tally->seconds = now_s(CLOCK_MONOTONIC) - start_s;
    tally->cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID) - start_cpu_s;
    return 0;
}

static int run_kafka(const char *bootstrap, const char *topic, uint64_t count, struct tally *tally, struct err *err)
{
    rd_kafka_t *handle = connect_to(bootstrap, err);
    int result;

    if (handle == NULL) {
        return -1;
    }
    result = assign_all(handle, topic, err);
    if (result == 0) {
        result = consume(handle, count, tally, err);
    }
    (void)rd_kafka_consumer_close(handle);
    rd_kafka_destroy(handle);
    return result;
}

int main(int argc, char **argv)
{
    uint64_t count = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
    struct tally tally = {0};
    struct err err = {0};

    if (count == 0) {
        (void)fprintf(stderr, "usage: consume BOOTSTRAP TOPIC COUNT\n");
        return CLI_USAGE;
    }
    if (run_kafka(argv[1], argv[2], count, &tally, &err) != 0) {
        (void)fprintf(stderr, "consume: %s\n", err.text);
        return CLI_FAILED;
    }
    printf("%" PRIu64 " messages of %" PRIu64 " bytes: consumed in %.6f s, %.6f CPU s\n", tally.count, tally.bytes / tally.count, tally.seconds,
           tally.cpu_s);
    return CLI_OK;
}
