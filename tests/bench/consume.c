/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consume: as fast as messages can be had out of Kafka, and rows into SQLite: librdkafka alone, then SQLite alone, on one thread.
 *
 *     consume BOOTSTRAP TOPIC COUNT [SQLITE_FILE]
 *
 * Reads COUNT messages from the beginning of all partitions, with the worker's budgets, and throws them away; then inserts as many
 * rows of their mean size, 5,000 a transaction, by one prepared statement into a new table of SQLITE_FILE, with the worker's pragmas.
 * One line says both. The worker's own speed is read beside them: it decodes between the two, and its rows have a column each, not one
 * blob. The file must not exist; it stays. Without it only the messages are read.
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/cli.h"
#include "common/kafka.h"
#include "common/must.h"

#define ROWS_A_TRANSACTION 5000
#define SILENCE_MS         30000 /* the topic holds no more, then */
#define CALL_MS            10000

struct tally {
    uint64_t count;
    uint64_t bytes; /* keys and values */
    double seconds; /* from the first message on: not the connecting */
};

static double now_s(void)
{
    struct timespec now;

    must(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
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
    double start_s = 0;

    while (tally->count < count) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(handle, SILENCE_MS);

        if (message == NULL) {
            return err_set(err, ERR_FATAL, "only %" PRIu64 " messages came", tally->count);
        }
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            start_s = tally->count == 0 ? now_s() : start_s;
            tally->count++;
            tally->bytes += message->key_len + message->len;
        }
        rd_kafka_message_destroy(message);
    }
    tally->seconds = now_s() - start_s;
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

/* ---- SQLite */

static int run_sql(sqlite3 *file, const char *sql, struct err *err)
{
    return sqlite3_exec(file, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : err_set(err, ERR_FATAL, "%s: %s", sql, sqlite3_errmsg(file));
}

static int insert_rows(sqlite3 *file, sqlite3_stmt *insert, const struct tally *wish, struct err *err)
{
    int size = (int)(wish->bytes / wish->count);
    uint8_t *payload = calloc(1, (size_t)size + 1);
    int result = 0;

    must(payload != NULL);
    for (uint64_t i = 0; i < wish->count && result == 0; i++) {
        bool last = (i + 1) % ROWS_A_TRANSACTION == 0 || i + 1 == wish->count;

        result = i % ROWS_A_TRANSACTION == 0 ? run_sql(file, "BEGIN IMMEDIATE", err) : 0;
        (void)sqlite3_bind_blob(insert, 1, payload, size, SQLITE_STATIC);
        if (result == 0 && (sqlite3_step(insert) != SQLITE_DONE || sqlite3_reset(insert) != SQLITE_OK)) {
            result = err_set(err, ERR_FATAL, "inserting: %s", sqlite3_errmsg(file));
        }
        if (result == 0 && last) {
            result = run_sql(file, "COMMIT", err);
        }
    }
    free(payload);
    return result;
}

static int run_sqlite(const char *path, const struct tally *wish, double *ret_seconds, struct err *err)
{
    sqlite3 *file = NULL;
    sqlite3_stmt *insert = NULL;
    double start_s;
    int result = -1;

    if (sqlite3_open(path, &file) != SQLITE_OK) {
        (void)err_set(err, ERR_FATAL, "opening %s: %s", path, sqlite3_errmsg(file));
        goto out;
    }
    if (run_sql(file, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 67108864", err) != 0 ||
        run_sql(file, "CREATE TABLE bench (payload BLOB)", err) != 0) {
        goto out;
    }
    if (sqlite3_prepare_v2(file, "INSERT INTO bench VALUES (?1)", -1, &insert, NULL) != SQLITE_OK) {
        (void)err_set(err, ERR_FATAL, "preparing: %s", sqlite3_errmsg(file));
        goto out;
    }
    start_s = now_s();
    result = insert_rows(file, insert, wish, err);
    *ret_seconds = now_s() - start_s;
out:
    (void)sqlite3_finalize(insert);
    (void)sqlite3_close(file);
    return result;
}

int main(int argc, char **argv)
{
    uint64_t count = argc == 4 || argc == 5 ? strtoull(argv[3], NULL, 10) : 0;
    const char *file = argc == 5 ? argv[4] : NULL;
    struct tally tally = {0};
    struct err err = {0};
    double sqlite_s = 0;

    if (count == 0) {
        (void)fprintf(stderr, "usage: consume BOOTSTRAP TOPIC COUNT [SQLITE_FILE]\n");
        return CLI_USAGE;
    }
    if (file != NULL && access(file, F_OK) == 0) {
        (void)fprintf(stderr, "consume: %s exists\n", file);
        return CLI_FAILED;
    }
    if (run_kafka(argv[1], argv[2], count, &tally, &err) != 0 ||
        (file != NULL && run_sqlite(file, &tally, &sqlite_s, &err) != 0)) {
        (void)fprintf(stderr, "consume: %s\n", err.text);
        return CLI_FAILED;
    }
    printf("%" PRIu64 " messages of %" PRIu64 " bytes: consumed in %.3f s (%.0f a second)", tally.count, tally.bytes / tally.count,
           tally.seconds, (double)tally.count / tally.seconds);
    if (file != NULL) {
        printf(", inserted in %.3f s (%.0f a second)", sqlite_s, (double)tally.count / sqlite_s);
    }
    printf("\n");
    return CLI_OK;
}
