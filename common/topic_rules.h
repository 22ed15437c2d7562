/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topic_rules: what the settings of a topic at the broker mean for exactly-once delivery. Pure: who asks the broker hands them in.
 *
 * acks=all helps only with min.insync.replicas >= 2 and without unclean elections; topics of rows are never compacted (O7), those of
 * positions and schemas always; dead letters never expire.
 */
#ifndef KAKEHI_COMMON_TOPIC_RULES_H
#define KAKEHI_COMMON_TOPIC_RULES_H

#include <stdbool.h>

#include "common/findings.h"

enum topic_use { TOPIC_OF_ROWS, TOPIC_OF_RECORDS, TOPIC_OF_DEAD_LETTERS }; /* of records: the newest of each key counts (positions, schemas) */

struct topic_facts {
    const char *subject; /* of its findings */
    enum topic_use use;
    bool compacted; /* by its cleanup.policy */
    int partitions;
    int copies;
};

/* One setting, by Kafka's name of it. One that means nothing here is passed over. */
void topic_rules_judge(const struct topic_facts *topic, const char *name, const char *value, struct findings *findings);
/* wanted: how many partitions the settings would give it; 0: unknown. Kafka has no memory of how many there were (O7). */
void topic_rules_judge_partitions(const struct topic_facts *topic, int wanted, struct findings *findings);

#endif
