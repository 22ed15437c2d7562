/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The newest schema of a table is the last one that was published; records that are no value schema (keys') are passed over. Topics are listed
 * before: one that is made meanwhile counts as it would be made.
 */
#include "workers/known_tables.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kafka.h"
#include "common/must.h"
#include "schemas/name.h"
#include "workers/subscription.h"

#define ASK_MS  10000
#define POLL_MS 1000
#define QUIET_POLLS_MAX 20 /* so long without a record before the end: the broker is gone */

static bool same_table(const struct schema *one, const struct schema *other)
{
    return strcmp(one->table->database, other->table->database) == 0 && strcmp(one->table->name, other->table->name) == 0;
}

static void remember(struct known_tables *tables, struct schema *schema)
{
    for (size_t i = 0; i < tables->count; i++) {
        if (same_table(tables->schemas[i], schema)) {
            schema_free(tables->schemas[i]);
            tables->schemas[i] = schema;
            return;
        }
    }
    tables->schemas = realloc(tables->schemas, (tables->count + 1) * sizeof(struct schema *));
    must(tables->schemas != NULL);
    tables->schemas[tables->count++] = schema;
}

static rd_kafka_t *open_reader(const struct settings *settings, struct err *err)
{
    struct text_pairs fixed = {0};
    const struct text_pairs *const lists[] = {&kafka_consumer_budget, &settings->kafka, &settings->worker.kafka, &fixed, NULL};
    rd_kafka_conf_t *conf = NULL;
    rd_kafka_t *handle = NULL;
    char text[400];
    int status;

    text_pairs_set(&fixed, "group.id", "kakehi-none"); /* wanted by librdkafka; nothing is committed with it */
    text_pairs_set(&fixed, "enable.auto.commit", "false");
    text_pairs_set(&fixed, "enable.partition.eof", "true");
    status = kafka_conf_new(lists, &conf, err);
    text_pairs_deinit(&fixed);
    if (status == 0) {
        handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    }
    if (status == 0 && handle == NULL) {
        rd_kafka_conf_destroy(conf);
        (void)err_set(err, ERR_FATAL, "setting up librdkafka: %s", text);
    }
    return handle;
}

/* 0: there is no such topic. */
static int32_t partitions_of(const struct rd_kafka_metadata *metadata, const char *topic)
{
    for (int i = 0; i < metadata->topic_cnt; i++) {
        if (strcmp(metadata->topics[i].topic, topic) == 0) {
            return metadata->topics[i].partition_cnt;
        }
    }
    return 0;
}

static int list_topics(rd_kafka_t *handle, const struct rd_kafka_metadata **ret_metadata, struct err *err)
{
    rd_kafka_resp_err_t code = rd_kafka_metadata(handle, 1, NULL, ret_metadata, ASK_MS);

    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : kafka_err_set(err, code, "asking for the list of topics");
}

/* 1: the end is reached. */
static int take(struct known_tables *tables, const rd_kafka_message_t *message, struct err *err)
{
    struct schema *schema = NULL;
    struct err unread;

    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        return 1;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_err_set(err, message->err, "reading the schemas");
    }
    if (message->payload != NULL && schema_parse(message->payload, message->len, &schema, &unread) == 0) {
        remember(tables, schema);
    }
    return 0;
}

static int read_all(rd_kafka_t *handle, const char *topic, struct known_tables *tables, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    int status = 0;

    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    must(rd_kafka_assign(handle, list) == RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_topic_partition_list_destroy(list);
    for (int quiet = 0; status == 0;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(handle, POLL_MS);

        if (message != NULL) {
            quiet = 0;
            status = take(tables, message, err);
            rd_kafka_message_destroy(message);
        } else if (++quiet >= QUIET_POLLS_MAX) {
            status = err_set(err, ERR_RETRY, "reading the schemas: no broker sends them");
        }
    }
    return status < 0 ? -1 : 0;
}

/* ---- partitions */

static void count_table(const struct settings *settings, const struct rd_kafka_metadata *metadata, struct known_tables *tables, size_t i)
{
    const struct table *table = tables->schemas[i]->table;
    struct buffer full_name = {0}, topic = {0};
    const char *given;
    struct err ignored;

    buffer_printf(&full_name, "%s.%s", table->database, table->name);
    given = text_pairs_get(&settings->topics.topic, buffer_text(&full_name));
    if (given != NULL) {
        tables->partitions[i] = partitions_of(metadata, given);
    } else if (name_topic(&topic, settings->prefix, table->database, table->name, &ignored) == 0) {
        tables->partitions[i] = partitions_of(metadata, buffer_text(&topic));
    }
    if (tables->partitions[i] == 0) {
        tables->partitions[i] = settings_partitions(settings, buffer_text(&full_name));
        tables->group_partitions += tables->partitions[i];
    }
    buffer_deinit(&full_name);
    buffer_deinit(&topic);
}

static void count_partitions(const struct settings *settings, const struct rd_kafka_metadata *metadata, struct known_tables *tables)
{
    for (int i = 0; i < metadata->topic_cnt; i++) {
        if (subscription_has(settings, metadata->topics[i].topic)) {
            tables->group_partitions += metadata->topics[i].partition_cnt;
        }
    }
    tables->partitions = calloc(tables->count + 1, sizeof *tables->partitions);
    must(tables->partitions != NULL);
    for (size_t i = 0; i < tables->count; i++) {
        count_table(settings, metadata, tables, i);
    }
}

int known_tables_read(const struct settings *settings, struct known_tables *ret_tables, struct err *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    char topic[256];
    int status;
    rd_kafka_t *handle = open_reader(settings, err);

    *ret_tables = (struct known_tables){0};
    if (handle == NULL) {
        return -1;
    }
    (void)rd_kafka_poll_set_consumer(handle);
    (void)snprintf(topic, sizeof topic, "%s.schemas", settings->prefix);
    status = list_topics(handle, &metadata, err);
    if (status == 0 && partitions_of(metadata, topic) > 0) {
        status = read_all(handle, topic, ret_tables, err);
    }
    if (status == 0) {
        count_partitions(settings, metadata, ret_tables);
    } else {
        known_tables_deinit(ret_tables);
    }
    if (metadata != NULL) {
        rd_kafka_metadata_destroy(metadata);
    }
    (void)rd_kafka_assign(handle, NULL);
    rd_kafka_destroy(handle);
    return status;
}

void known_tables_deinit(struct known_tables *tables)
{
    for (size_t i = 0; i < tables->count; i++) {
        schema_free(tables->schemas[i]);
    }
    free(tables->schemas);
    free(tables->partitions);
    *tables = (struct known_tables){0};
}
