/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics are judged by the settings in force at the broker (DescribeConfigs), not by what we asked for when they were made: people change
 * them. Rule R4: acks=all helps only with min.insync.replicas >= 2 and without unclean elections; O7: data topics are never compacted.
 */
#include "common/kafka_check.h"

#include <stdlib.h>
#include <string.h>

#include "common/kafka.h"
#include "common/must.h"

#define ASK_MS 10000

struct asking {
    rd_kafka_t *handle;
    const struct settings *settings;
    const struct kafka_check_topics *topics;
    struct findings *findings;
};

struct topic_facts {
    const char *name;
    const char *subject; /* of its findings */
    bool state;          /* positions, schemas, dead: not of rows */
    bool compacted;
    int partitions;
    int copies;
};

static bool is_ours(const struct settings *settings, const char *topic)
{
    size_t size = strlen(settings->prefix);

    return strncmp(topic, settings->prefix, size) == 0 && topic[size] == '.';
}

static bool is_state(const struct settings *settings, const char *topic)
{
    const char *rest = topic + strlen(settings->prefix) + 1;

    return strcmp(rest, "positions") == 0 || strcmp(rest, "schemas") == 0 || strcmp(rest, "dead") == 0;
}

/* ---- one property of one topic */

static void judge_policy(const struct topic_facts *topic, const char *value, struct findings *findings)
{
    bool compact = strstr(value, "compact") != NULL;
    bool dead = topic->state && strcmp(topic->name + strlen(topic->name) - 5, ".dead") == 0;

    if (topic->state && !dead && !compact) {
        finding(findings, FINDING_ERROR, topic->subject, "set cleanup.policy=compact", "cleanup.policy is %s: the records that recovery needs will expire", value);
    } else if ((!topic->state || dead) && compact) {
        finding(findings, FINDING_ERROR, topic->subject, "set cleanup.policy=delete", "cleanup.policy is %s: rows vanish before they are read", value);
    }
}

static void judge_insync(const struct topic_facts *topic, const char *value, struct findings *findings)
{
    if (topic->copies > 1 && strtol(value, NULL, 10) < 2) {
        finding(findings, FINDING_WARNING, topic->subject, "set min.insync.replicas=2",
                "min.insync.replicas is %s: a row that one broker has acknowledged is lost with that broker", value);
    }
}

static void judge_unclean(const struct topic_facts *topic, const char *value, struct findings *findings)
{
    if (strcmp(value, "true") == 0) {
        finding(findings, FINDING_ERROR, topic->subject, "set unclean.leader.election.enable=false",
                "unclean.leader.election.enable is true: acknowledged rows are lost when a broker that lags behind becomes leader");
    }
}

static void judge_retention(const struct topic_facts *topic, const char *value, struct findings *findings)
{
    int64_t ms = strtoll(value, NULL, 10);

    if (topic->state && ms >= 0 && !topic->compacted) {
        finding(findings, FINDING_ERROR, topic->subject, "set retention.ms=-1", "retention.ms is %s: dead letters are the only copy of their rows", value);
    } else if (!topic->state && ms >= 0 && ms < 24 * 3600 * 1000) {
        finding(findings, FINDING_WARNING, topic->subject, "raise retention.ms, and topics.retention with it",
                "retention.ms is %s: workers that stand still for less than a day lose rows", value);
    }
}

static void judge_clock(const struct topic_facts *topic, const char *value, struct findings *findings)
{
    if (strcmp(value, "CreateTime") == 0) {
        finding(findings, FINDING_WARNING, topic->subject, "set message.timestamp.type=LogAppendTime",
                "message.timestamp.type is CreateTime: with a producer's clock that is an hour ahead nothing is taken, with one that is behind "
                "by the retention rows are deleted unread");
    }
}

static void judge_property(const struct topic_facts *topic, const char *name, const char *value, struct findings *findings)
{
    static const struct {
        const char *name;
        void (*judge)(const struct topic_facts *topic, const char *value, struct findings *findings);
    } judges[] = {
        {"cleanup.policy", judge_policy},
        {"min.insync.replicas", judge_insync},
        {"unclean.leader.election.enable", judge_unclean},
        {"retention.ms", judge_retention},
        {"message.timestamp.type", judge_clock},
    };

    for (size_t i = 0; i < sizeof judges / sizeof judges[0]; i++) {
        if (strcmp(judges[i].name, name) == 0 && value != NULL) {
            judges[i].judge(topic, value, findings);
        }
    }
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
        judge_property(topic, rd_kafka_ConfigEntry_name(entries[i]), rd_kafka_ConfigEntry_value(entries[i]), findings);
    }
    if (topic->copies == 1) {
        finding(findings, FINDING_WARNING, topic->subject, "make it with replication 3 (topics.replication), or reassign it",
                "there is one copy only: it is lost with its broker");
    } else if (before == findings_count(findings, FINDING_ERROR) + findings_count(findings, FINDING_WARNING)) {
        finding(findings, FINDING_OK, topic->subject, NULL, "%d partitions, %d copies", topic->partitions, topic->copies);
    }
}

static void check_configuration(rd_kafka_t *handle, struct topic_facts *topic, struct findings *findings)
{
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic->name);
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

/* O7. Kafka has no memory of how many there were, so the settings are asked what the topic was made with. */
static void judge_partitions(const struct topic_facts *topic, int wanted, struct findings *findings)
{
    if (wanted > 0 && topic->partitions > wanted) {
        finding(findings, FINDING_WARNING, topic->subject,
                "if some were added, give the table a new topic (topics.topic) and read it again; if it was made so, say it in topics.partitions_by_table",
                "it has %d partitions, and the settings say %d: added ones give keys another place, and their order is lost", topic->partitions, wanted);
    } else if (wanted > topic->partitions) {
        finding(findings, FINDING_NOTE, topic->subject, NULL, "it keeps its %d partitions, though the settings say %d now", topic->partitions, wanted);
    }
}

static void check_topic(const struct asking *asking, const struct rd_kafka_metadata_topic *metadata)
{
    struct findings *findings = asking->findings;
    char subject[300];
    struct topic_facts topic = {
        .name = metadata->topic, .subject = subject, .state = is_state(asking->settings, metadata->topic), .partitions = metadata->partition_cnt};

    (void)snprintf(subject, sizeof subject, "topic %s", metadata->topic);
    topic.copies = metadata->partition_cnt > 0 ? metadata->partitions[0].replica_cnt : 0;
    for (int i = 0; i < metadata->partition_cnt; i++) {
        if (metadata->partitions[i].leader < 0) {
            finding(findings, FINDING_ERROR, subject, "bring its brokers back", "partition %d has no leader", i);
        }
    }
    if (topic.state && topic.partitions != 1) {
        finding(findings, FINDING_ERROR, subject, "make it anew with one partition, from a backup of its records", "it has %d partitions, and needs to have one", topic.partitions);
    }
    if (asking->topics != NULL) {
        judge_partitions(&topic, asking->topics->partitions(asking->topics->context, metadata->topic), findings);
    }
    check_configuration(asking->handle, &topic, findings);
}

/* ---- all */

static rd_kafka_t *open_handle(const struct settings *settings, const struct text_pairs *own, struct err *err)
{
    const struct text_pairs *const lists[] = {&kafka_producer_budget, &settings->kafka, own, NULL};
    rd_kafka_conf_t *conf;
    rd_kafka_t *handle;
    char text[400];

    if (kafka_conf_new(lists, &conf, err) != 0) {
        return NULL;
    }
    handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (handle == NULL) {
        rd_kafka_conf_destroy(conf);
        (void)err_set(err, ERR_FATAL, "setting up librdkafka: %s", text);
    }
    return handle;
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
    if (count == 0) {
        finding(asking->findings, FINDING_NOTE, "kafka", NULL, "there is no topic %s.* yet: the producer makes them at its first start",
                asking->settings->prefix);
    }
}

bool kafka_check(const struct settings *settings, const struct text_pairs *own, const struct kafka_check_topics *topics, struct findings *findings)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__FAIL;
    struct err err = {0};
    rd_kafka_t *handle = open_handle(settings, own, &err);

    if (handle != NULL) {
        code = rd_kafka_metadata(handle, 1, NULL, &metadata, ASK_MS);
        (void)kafka_err_set(&err, code, "asking for the list of topics");
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        check_topics(&(struct asking){handle, settings, topics, findings}, metadata);
        rd_kafka_metadata_destroy(metadata);
    } else {
        finding(findings, FINDING_ERROR, "kafka", "is kafka.bootstrap.servers right, and reachable from here? TLS and SASL are properties under kafka:", "%s", err.text);
    }
    if (handle != NULL) {
        rd_kafka_destroy(handle);
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR;
}
