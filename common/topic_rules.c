/* SPDX-License-Identifier: Apache-2.0 */
/* A table from the name of a setting to its judge; each judge is one rule with its remedy. */
#include "common/topic_rules.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void judge_policy(const struct topic_facts *topic, const char *value, struct findings *findings)
{
    bool compact = strstr(value, "compact") != NULL;

    if (topic->use == TOPIC_OF_RECORDS && !compact) {
        finding(findings, FINDING_ERROR, topic->subject, "set cleanup.policy=compact", "cleanup.policy is %s: the records that recovery needs will expire", value);
    } else if (topic->use != TOPIC_OF_RECORDS && compact) {
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

    if (topic->use == TOPIC_OF_DEAD_LETTERS && ms >= 0 && !topic->compacted) {
        finding(findings, FINDING_ERROR, topic->subject, "set retention.ms=-1", "retention.ms is %s: dead letters are the only copy of their rows", value);
    } else if (topic->use == TOPIC_OF_ROWS && ms >= 0 && ms < 24 * 3600 * 1000) {
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

void topic_rules_judge(const struct topic_facts *topic, const char *name, const char *value, struct findings *findings)
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
        if (strcmp(judges[i].name, name) == 0) {
            judges[i].judge(topic, value, findings);
        }
    }
}

void topic_rules_judge_partitions(const struct topic_facts *topic, int wanted, struct findings *findings)
{
    if (wanted > 0 && topic->partitions > wanted) {
        finding(findings, FINDING_WARNING, topic->subject,
                "if some were added, give the table a new topic (topics.topic) and read it again; if it was made so, say it in topics.partitions_by_table",
                "it has %d partitions, and the settings say %d: added ones give keys another place, and their order is lost", topic->partitions, wanted);
    } else if (wanted > topic->partitions) {
        finding(findings, FINDING_NOTE, topic->subject, NULL, "it keeps its %d partitions, though the settings say %d now", topic->partitions, wanted);
    }
}
