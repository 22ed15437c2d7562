/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_check: what `check` of both programs asks of Kafka: is it there, are our topics as exactly-once delivery needs them. Blocking
 * calls: for commands only.
 */
#ifndef KAKEHI_COMMON_KAFKA_CHECK_H
#define KAKEHI_COMMON_KAFKA_CHECK_H

#include "common/findings.h"
#include "common/settings.h"

/* What the caller knows of our topics of rows. */
struct kafka_check_topics {
    void *context;
    int (*partitions)(void *context, const char *topic); /* that the settings say; 0: it knows nothing of it */
    const char *(*next)(void *context, const char *topic); /* the known one behind this one (NULL: the first); NULL: that was the last */
};

/* Properties as the program itself would have them: its budget, kafka.*, then `own` (producer.kafka or worker.kafka). False: no broker
 * answered, and there is nothing more to ask. topics: NULL if the caller knows nothing. */
bool kafka_check(const struct settings *settings, const struct text_pairs *own, const struct kafka_check_topics *topics, struct findings *findings);

#endif
