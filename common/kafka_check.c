/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics are judged (topic_rules.h) by the settings in force at the broker (DescribeConfigs), not by what we asked for when they were made:
 * people change them. Ours are those below the prefix, and those that topics.topic names.
 */
#include "common/kafka_check.h"

#include <stdio.h>
#include <string.h>

#include "common/kafka.h"
#include "common/must.h"
#include "common/topic_rules.h"

#define ASK_MS  10000
#define HOPE_MS 2000 /* before it is asked whether anybody can answer at all */

/* What librdkafka says while it is asked. */
struct heard {
    bool all_down;
    char last[400]; /* why not, of the broker tried last; "": nothing yet */
};

struct asking {
    rd_kafka_t *handle;
    const struct settings *settings;
    const struct kafka_check_topics *topics;
    struct findings *findings;
};

/* What stands behind the prefix; NULL: it is not below it. */
static const char *behind_prefix(const struct settings *settings, const char *topic)
{
    size_t size = strlen(settings->prefix);

    return strncmp(topic, settings->prefix, size) == 0 && topic[size] == '.' ? topic + size + 1 : NULL;
}

static bool is_ours(const struct settings *settings, const char *topic)
{
    bool named = false;

    for (size_t i = 0; i < settings->topics.topic.count; i++) {
        named = named || strcmp(settings->topics.topic.pairs[i].value, topic) == 0;
    }
    return named || behind_prefix(settings, topic) != NULL;
}

static enum topic_use use_of(const struct settings *settings, const char *topic)
{
    const char *rest = behind_prefix(settings, topic);

    if (rest != NULL && strcmp(rest, "dead") == 0) {
        return TOPIC_OF_DEAD_LETTERS;
    }
    return rest != NULL && (strcmp(rest, "positions") == 0 || strcmp(rest, "schemas") == 0) ? TOPIC_OF_RECORDS : TOPIC_OF_ROWS;
}

/* ---- a topic */

static const char *value_of(const rd_kafka_ConfigEntry_t **entries, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0) {
            return rd_kafka_ConfigEntry_value(entries[i]);
        }
    }
    return NULL;
}

static void judge_configuration(struct topic_facts *topic, const rd_kafka_ConfigResource_t *resource, struct findings *findings)
{
    size_t before = findings_count(findings, FINDING_ERROR) + findings_count(findings, FINDING_WARNING);
    size_t count;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
    const char *policy = value_of(entries, count, "cleanup.policy");

    topic->compacted = policy != NULL && strstr(policy, "compact") != NULL;
    for (size_t i = 0; i < count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);

        if (value != NULL) {
            topic_rules_judge(topic, rd_kafka_ConfigEntry_name(entries[i]), value, findings);
        }
    }
    if (topic->copies == 1) {
        finding(findings, FINDING_WARNING, topic->subject, "make it with replication 3 (topics.replication), or reassign it",
                "there is one copy only: it is lost with its broker");
    } else if (before == findings_count(findings, FINDING_ERROR) + findings_count(findings, FINDING_WARNING)) {
        finding(findings, FINDING_OK, topic->subject, NULL, "%d partitions, %d copies", topic->partitions, topic->copies);
    }
}

static void check_configuration(rd_kafka_t *handle, const char *name, struct topic_facts *topic, struct findings *findings)
{
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    const rd_kafka_ConfigResource_t **answers = NULL;
    rd_kafka_event_t *event;
    size_t count = 0;

    rd_kafka_DescribeConfigs(handle, &resource, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, 2 * ASK_MS);
    if (event != NULL && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        answers = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count);
    }
    if (count == 1 && rd_kafka_ConfigResource_error(answers[0]) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        judge_configuration(topic, answers[0], findings);
    } else {
        finding(findings, FINDING_WARNING, topic->subject, "allow DescribeConfigs on it", "its settings can't be read: %s",
                count == 1 ? rd_kafka_ConfigResource_error_string(answers[0]) : event != NULL ? rd_kafka_event_error_string(event) : "no answer");
    }
    if (event != NULL) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
}

static void check_topic(const struct asking *asking, const struct rd_kafka_metadata_topic *metadata)
{
    struct findings *findings = asking->findings;
    char subject[300];
    struct topic_facts topic = {.subject = subject, .use = use_of(asking->settings, metadata->topic), .partitions = metadata->partition_cnt};

    (void)snprintf(subject, sizeof subject, "topic %s", metadata->topic);
    topic.copies = metadata->partition_cnt > 0 ? metadata->partitions[0].replica_cnt : 0;
    for (int i = 0; i < metadata->partition_cnt; i++) {
        if (metadata->partitions[i].leader < 0) {
            finding(findings, FINDING_ERROR, subject, "bring its brokers back", "partition %d has no leader", i);
        }
    }
    if (topic.use != TOPIC_OF_ROWS && topic.partitions != 1) {
        finding(findings, FINDING_ERROR, subject, "make it anew with one partition, from a backup of its records", "it has %d partitions, and needs to have one", topic.partitions);
    }
    if (asking->topics != NULL) {
        topic_rules_judge_partitions(&topic, asking->topics->partitions(asking->topics->context, metadata->topic), findings);
    }
    check_configuration(asking->handle, metadata->topic, &topic, findings);
}

/* ---- all */

static void on_error(rd_kafka_t *handle, int code, const char *reason, void *opaque)
{
    struct heard *heard = opaque;

    (void)handle;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        heard->all_down = true;
    } else {
        (void)snprintf(heard->last, sizeof heard->last, "%s", reason);
    }
}

static rd_kafka_t *open_handle(const struct settings *settings, const struct text_pairs *own, struct heard *heard, struct err *err)
{
    const struct text_pairs *const lists[] = {&kafka_producer_budget, &settings->kafka, own, NULL};
    rd_kafka_conf_t *conf;
    rd_kafka_t *handle;
    char text[400];

    if (kafka_conf_new(lists, &conf, err) != 0) {
        return NULL;
    }
    rd_kafka_conf_set_opaque(conf, heard);
    rd_kafka_conf_set_error_cb(conf, on_error);
    handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (handle == NULL) {
        rd_kafka_conf_destroy(conf);
        (void)err_set(err, ERR_FATAL, "setting up librdkafka: %s", text);
    }
    return handle;
}

static bool is_there(const struct rd_kafka_metadata *metadata, const char *name)
{
    int i = 0;

    while (i < metadata->topic_cnt && strcmp(metadata->topics[i].topic, name) != 0) {
        i++;
    }
    return i < metadata->topic_cnt;
}

/* topics.create is false. */
static void check_given(const struct asking *asking, const struct rd_kafka_metadata *metadata, const char *name)
{
    char subject[300];

    if (!is_there(metadata, name)) {
        (void)snprintf(subject, sizeof subject, "topic %s", name);
        finding(asking->findings, FINDING_ERROR, subject, "make it, or set topics.create: true", "it does not exist, and topics.create is false");
    }
}

static void check_all_given(const struct asking *asking, const struct rd_kafka_metadata *metadata)
{
    static const char *const uses[] = {"positions", "schemas", "dead"};
    const char *topic = NULL;
    char name[256];

    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
        (void)snprintf(name, sizeof name, "%s.%s", asking->settings->prefix, uses[i]);
        check_given(asking, metadata, name);
    }
    while (asking->topics != NULL && (topic = asking->topics->next(asking->topics->context, topic)) != NULL) {
        check_given(asking, metadata, topic);
    }
}

static void check_topics(const struct asking *asking, const struct rd_kafka_metadata *metadata)
{
    int count = 0;

    finding(asking->findings, FINDING_OK, "kafka", NULL, "%d brokers answer, the first is %s:%d", metadata->broker_cnt,
            metadata->broker_cnt > 0 ? metadata->brokers[0].host : "?", metadata->broker_cnt > 0 ? metadata->brokers[0].port : 0);
    for (int i = 0; i < metadata->topic_cnt; i++) {
        if (is_ours(asking->settings, metadata->topics[i].topic)) {
            check_topic(asking, &metadata->topics[i]);
            count++;
        }
    }
    if (!asking->settings->topics.create) {
        check_all_given(asking, metadata);
    } else if (count == 0) {
        finding(asking->findings, FINDING_NOTE, "kafka", NULL, "there is no topic %s.* yet: the producer makes them at its first start",
                asking->settings->prefix);
    }
}

/* A call of librdkafka's waits for its whole time, also where each broker refuses. */
static int list_topics(rd_kafka_t *handle, const struct heard *heard, const struct rd_kafka_metadata **ret_metadata, struct err *err)
{
    rd_kafka_resp_err_t code = rd_kafka_metadata(handle, 1, NULL, ret_metadata, HOPE_MS);

    (void)rd_kafka_poll(handle, 0);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && !heard->all_down) {
        code = rd_kafka_metadata(handle, 1, NULL, ret_metadata, ASK_MS - HOPE_MS);
        (void)rd_kafka_poll(handle, 0);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return 0;
    }
    return heard->last[0] != '\0' ? err_set(err, kafka_error_class(code), "no broker answers: %s", heard->last)
                                  : kafka_err_set(err, code, "asking for the list of topics");
}

bool kafka_check(const struct settings *settings, const struct text_pairs *own, const struct kafka_check_topics *topics, struct findings *findings)
{
    const struct rd_kafka_metadata *metadata = NULL;
    struct heard heard = {0};
    struct err err = {0};
    rd_kafka_t *handle = open_handle(settings, own, &heard, &err);
    bool answers = handle != NULL && list_topics(handle, &heard, &metadata, &err) == 0;

    if (answers) {
        check_topics(&(struct asking){handle, settings, topics, findings}, metadata);
        rd_kafka_metadata_destroy(metadata);
    } else {
        finding(findings, FINDING_ERROR, "kafka", "is kafka.bootstrap.servers right, and reachable from here? TLS and SASL are properties under kafka:", "%s", err.text);
    }
    if (handle != NULL) {
        rd_kafka_destroy(handle);
    }
    return answers;
}
