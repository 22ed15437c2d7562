/* SPDX-License-Identifier: Apache-2.0 */
/* Names are listed first and compared here; nothing is asked of the broker by name that might make it. */
#include "producer/topics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kafka.h"
#include "common/log.h"
#include "common/must.h"
#include "producer/handle.h"
#include "schemas/name.h"

#define ASK_MS         10000
#define PROPERTIES_MAX 5

/* A topic as it should be. */
#define BROKERS_CLOCK  {"message.timestamp.type", "LogAppendTime"}

struct wish {
    const char *name;
    int partitions;
    struct handle_property properties[PROPERTIES_MAX]; /* ends with {0} */
};

void topics_state_name(const struct settings *settings, const char *which, char name[TOPIC_NAME_SIZE])
{
    int size = snprintf(name, TOPIC_NAME_SIZE, "%s.%s", settings->prefix, which);

    must(size > 0 && size < TOPIC_NAME_SIZE);
}

static int copy_name(char name[TOPIC_NAME_SIZE], const char *from, struct err *err)
{
    if (strlen(from) >= TOPIC_NAME_SIZE) {
        return err_set(err, ERR_FATAL,
                       "the topic name %.60s... is longer than Kafka's 249 characters: give a shorter one in `topics.topic`",
                       from);
    }
    memcpy(name, from, strlen(from) + 1);
    return 0;
}

int topics_data_name(const struct settings *settings, const char *database, const char *table, char name[TOPIC_NAME_SIZE],
                     struct err *err)
{
    struct buffer text = {0};
    const char *given;
    int status;

    buffer_printf(&text, "%s.%s", database, table);
    given = text_pairs_get(&settings->topics.topic, buffer_text(&text));
    if (given != NULL) {
        status = copy_name(name, given, err);
    } else {
        buffer_clear(&text);
        status = name_topic(&text, settings->prefix, database, table, err);
        if (status == 0) {
            status = copy_name(name, buffer_text(&text), err);
        }
    }
    buffer_deinit(&text);
    return status;
}

static int list_topics(rd_kafka_t *handle, const struct rd_kafka_metadata **ret_metadata, struct err *err)
{
    rd_kafka_resp_err_t code = rd_kafka_metadata(handle, 1, NULL, ret_metadata, ASK_MS);

    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : kafka_err_set(err, code, "asking for the list of topics");
}

static int partitions_of(const struct rd_kafka_metadata *metadata, const char *name)
{
    for (int i = 0; i < metadata->topic_cnt; i++) {
        if (strcmp(metadata->topics[i].topic, name) == 0 &&
            metadata->topics[i].err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            return metadata->topics[i].partition_cnt;
        }
    }
    return 0;
}

int topics_find(rd_kafka_t *handle, const char *name, int *ret_partitions, struct err *err)
{
    const struct rd_kafka_metadata *metadata;

    if (list_topics(handle, &metadata, err) != 0) {
        return -1;
    }
    *ret_partitions = partitions_of(metadata, name);
    rd_kafka_metadata_destroy(metadata);
    return 0;
}

/* Another process may have made it in the same moment: that is as good. */
static int read_result(rd_kafka_event_t *event, const char *name, struct err *err)
{
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    const rd_kafka_topic_result_t **topics = NULL;
    size_t count = 0;
    rd_kafka_resp_err_t code;

    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_err_set(err, rd_kafka_event_error(event), "asking the broker");
    }
    topics = rd_kafka_CreateTopics_result_topics(result, &count);
    must(count == 1);
    code = rd_kafka_topic_result_error(topics[0]);
    if (code == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION) {
        const char *why = rd_kafka_topic_result_error_string(topics[0]);

        return err_set(err, ERR_FATAL, "%s (another name for %s can be given in `topics.topic`)", why != NULL ? why : "refused",
                       name);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
        return kafka_err_set(err, code, rd_kafka_topic_result_error_string(topics[0]));
    }
    return 0;
}

static int ask_to_make(rd_kafka_t *handle, rd_kafka_NewTopic_t *topic, const char *name, struct err *err)
{
    char text[256];
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(handle, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_event_t *event;
    int status;

    /* The broker answers when the topic can be used, or after this time. */
    must(rd_kafka_AdminOptions_set_operation_timeout(options, ASK_MS, text, sizeof text) == RD_KAFKA_RESP_ERR_NO_ERROR);
    must(rd_kafka_AdminOptions_set_request_timeout(options, 2 * ASK_MS, text, sizeof text) == RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_CreateTopics(handle, &topic, 1, options, queue);
    event = rd_kafka_queue_poll(queue, 3 * ASK_MS); /* librdkafka answers within the request time-out */
    status = event != NULL ? read_result(event, name, err) : err_set(err, ERR_RETRY, "no answer");
    if (event != NULL) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return status;
}

static int make(rd_kafka_t *handle, const struct settings *settings, const struct wish *wish, struct err *err)
{
    char text[256];
    int replication = settings->topics.replication > 0 ? (int)settings->topics.replication : -1;
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(wish->name, wish->partitions, replication, text, sizeof text);
    int status;

    if (topic == NULL) {
        return err_set(err, ERR_FATAL, "making topic %s: %s", wish->name, text);
    }
    for (const struct handle_property *property = wish->properties; property->name != NULL; property++) {
        must(rd_kafka_NewTopic_set_config(topic, property->name, property->value) == RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    status = ask_to_make(handle, topic, wish->name, err);
    rd_kafka_NewTopic_destroy(topic);
    if (status != 0) {
        return err_while(err, "making topic %s", wish->name);
    }
    log_info("topic_made", "topic=%s partitions=%d", wish->name, wish->partitions);
    return 0;
}

static int missing(const char *name, struct err *err)
{
    return err_set(err, ERR_FATAL, "topic %s does not exist: make it, or set `topics.create: true`", name);
}

/* Rule A8: a deleted topic of positions must not look like a first start; nor another one's first start, which happens now, like
 * a deleted topic. It makes positions before its first row, so the rows are asked for first, and then positions again: it is
 * there, whatever rows were seen. *ret_partitions: of positions; 0: still missing. */
static int check_never_used(rd_kafka_t *handle, const struct settings *settings, const char *positions, int *ret_partitions,
                            struct err *err)
{
    json_t *ends = NULL;
    int status;

    if (topics_data_ends(handle, settings, &ends, err) != 0) {
        return -1;
    }
    status = topics_find(handle, positions, ret_partitions, err);
    if (status == 0 && *ret_partitions == 0 && json_object_size(ends) > 0) {
        status = err_set(err, ERR_FATAL,
                         "topic %s is gone, but %s and %zu more hold rows: where this source stands is not known. Say it with "
                         "`kakehi-producer position --set`, or delete the data topics to begin anew",
                         positions, json_object_iter_key(json_object_iter(ends)), json_object_size(ends) - 1);
    }
    json_decref(ends);
    return status;
}

int topics_make_state(rd_kafka_t *handle, const struct settings *settings, bool positions_may_be_new, struct err *err)
{
    char names[3][TOPIC_NAME_SIZE];
    const struct wish wishes[] = {
        {names[0], 1, {{"cleanup.policy", "compact"}, {"segment.bytes", "8388608"}, {"min.cleanable.dirty.ratio", "0.1"}, BROKERS_CLOCK}},
        {names[1], 1, {{"cleanup.policy", "compact"}, BROKERS_CLOCK}},
        {names[2], 1, {{"cleanup.policy", "delete"}, {"retention.ms", "-1"}, {"retention.bytes", "-1"}, BROKERS_CLOCK}},
    };
    const struct rd_kafka_metadata *metadata;
    int status = 0;

    topics_state_name(settings, "positions", names[0]);
    topics_state_name(settings, "schemas", names[1]);
    topics_state_name(settings, "dead", names[2]);
    if (list_topics(handle, &metadata, err) != 0) {
        return -1;
    }
    for (size_t i = 0; status == 0 && i < sizeof wishes / sizeof wishes[0]; i++) {
        int there = partitions_of(metadata, names[i]);

        if (i == 0 && there == 0 && !positions_may_be_new) {
            status = check_never_used(handle, settings, names[0], &there, err);
        }
        if (status == 0 && there == 0) {
            status = settings->topics.create ? make(handle, settings, &wishes[i], err) : missing(names[i], err);
        }
    }
    rd_kafka_metadata_destroy(metadata);
    return status;
}

/* ---- data topics */

int topics_make_data(rd_kafka_t *handle, const struct settings *settings, const char *table, const char *topic, struct err *err)
{
    char retention[24];
    int there, wanted = settings_partitions(settings, table);
    const struct wish wish = {topic, wanted, {{"cleanup.policy", "delete"}, {"retention.ms", retention}, BROKERS_CLOCK}};

    if (topics_find(handle, topic, &there, err) != 0) {
        return -1;
    }
    if (there == 0) {
        (void)snprintf(retention, sizeof retention, "%lld", (long long)settings->topics.retention_ms);
        return settings->topics.create ? make(handle, settings, &wish, err) : missing(topic, err);
    }
    if (there != wanted && settings->topics.create) {
        log_warn("partitions_differ", "topic=%s there=%d settings=%d note=%q", topic, there, wanted,
                 "a topic keeps the partitions it was made with, else keys would change place");
    }
    return 0;
}

/* "database.table", as topics.topic names it. A dot of the database's own can't be told from the one behind it. */
static bool split_name(const char *text, struct buffer *database, struct buffer *table)
{
    const char *dot = strchr(text, '.');

    if (dot == NULL) {
        return false;
    }
    buffer_append(database, text, (size_t)(dot - text));
    buffer_append_text(table, dot + 1);
    return true;
}

static bool unmap_name(const char *mapped, struct buffer *database, struct buffer *table)
{
    const char *dot = strchr(mapped, '.');
    char *first = dot != NULL ? strndup(mapped, (size_t)(dot - mapped)) : NULL;
    struct err ignored;
    bool is = first != NULL && name_unmap(database, first, &ignored) == 0 && name_unmap(table, dot + 1, &ignored) == 0;

    free(first);
    return is;
}

/* Whose rows does a topic of this name hold? Appends the names; false: of no table. */
static bool table_of(const struct settings *settings, const char *topic, struct buffer *database, struct buffer *table)
{
    size_t prefix = strlen(settings->prefix);

    for (size_t i = 0; i < settings->topics.topic.count; i++) {
        if (strcmp(settings->topics.topic.pairs[i].value, topic) == 0) {
            return split_name(settings->topics.topic.pairs[i].key, database, table);
        }
    }
    return strncmp(topic, settings->prefix, prefix) == 0 && topic[prefix] == '.' && unmap_name(topic + prefix + 1, database, table);
}

/* Is this topic, by its name, one of a selected table? */
static bool is_data_topic(const struct settings *settings, const char *topic)
{
    struct buffer name = {0}, table = {0};
    bool is = table_of(settings, topic, &name, &table);

    if (is) {
        buffer_printf(&name, ".%s", buffer_text(&table));
        is = settings_selects(&settings->source, buffer_text(&name));
    }
    buffer_deinit(&name);
    buffer_deinit(&table);
    return is;
}

json_t *topics_tables(const struct settings *settings, const json_t *ends)
{
    json_t *tables = json_array();
    const char *topic;
    json_t *ignored;

    json_object_foreach((json_t *)(uintptr_t)ends, topic, ignored) {
        struct buffer database = {0}, table = {0};

        if (table_of(settings, topic, &database, &table)) {
            must(json_array_append_new(tables, json_pack("[ss]", buffer_text(&database), buffer_text(&table))) == 0);
        }
        buffer_deinit(&database);
        buffer_deinit(&table);
    }
    return tables;
}

static rd_kafka_topic_partition_list_t *data_partitions(const struct settings *settings,
                                                        const struct rd_kafka_metadata *metadata)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(64);

    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];

        for (int partition = 0; is_data_topic(settings, topic->topic) && partition < topic->partition_cnt; partition++) {
            rd_kafka_topic_partition_list_add(list, topic->topic, partition)->offset = RD_KAFKA_OFFSET_END;
        }
    }
    return list;
}

static void note_end(json_t *ends, const rd_kafka_topic_partition_t *partition)
{
    json_t *topic = json_object_get(ends, partition->topic);
    char number[16];

    if (topic == NULL) {
        topic = json_object();
        json_object_set_new(ends, partition->topic, topic);
    }
    (void)snprintf(number, sizeof number, "%d", partition->partition);
    json_object_set_new(topic, number, json_integer(partition->offset));
}

int topics_data_ends(rd_kafka_t *handle, const struct settings *settings, json_t **ret_ends, struct err *err)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    json_t *ends = json_object();

    if (list_topics(handle, &metadata, err) != 0) {
        json_decref(ends);
        return -1;
    }
    list = data_partitions(settings, metadata);
    rd_kafka_metadata_destroy(metadata);
    if (list->cnt > 0) {
        code = rd_kafka_offsets_for_times(handle, list, ASK_MS); /* one request a broker; "time" END is the high watermark */
    }
    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = list->elems[i].err;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR && list->elems[i].offset > 0) {
            note_end(ends, &list->elems[i]);
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        json_decref(ends);
        return kafka_err_set(err, code, "asking for the end offsets of the data topics");
    }
    *ret_ends = ends;
    return 0;
}
