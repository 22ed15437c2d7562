/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topics: which topics a producer needs, what of them exists, and making the rest. All calls block; publisher's thread or a
 * command without a loop.
 *
 *   <prefix>.positions   1 partition, compacted: who stands where. In small segments: the active one is not compacted, and a
 *                        take-over reads it all.
 *   <prefix>.schemas     1 partition, compacted
 *   <prefix>.dead        1 partition, kept for ever: the only copy
 *   data topics          partitions by table, deleted after the retention, never compacted (rule O7)
 *
 * All of them by the broker's clock: by ours, a broker would refuse what comes from a clock that is an hour ahead, and delete at once what
 * comes from one that is behind by the retention.
 *
 * An existing topic is never altered: its partition count decides which partition a key goes to (O7). Where it differs from the
 * settings, that is said once. Existence is asked by listing all topics: asking for one by name makes it on brokers with
 * auto.create.topics.enable.
 */
#ifndef KAKEHI_PRODUCER_TOPICS_H
#define KAKEHI_PRODUCER_TOPICS_H

#include <jansson.h>
#include <librdkafka/rdkafka.h>

#include "common/buffer.h"
#include "common/err.h"
#include "common/settings.h"

#define TOPIC_NAME_SIZE 250 /* Kafka's 249 and a NUL */

/* "<prefix>.positions". The prefix is short enough: settings check it. */
void topics_state_name(const struct settings *settings, const char *which, char name[TOPIC_NAME_SIZE]);
/* The data topic of a table: from `topics.topic`, or mapped from its name. */
int topics_data_name(const struct settings *settings, const char *database, const char *table, char name[TOPIC_NAME_SIZE],
                     struct err *err) MUST_CHECK;

/* *ret_partitions: 0 if there is no such topic. */
int topics_find(rd_kafka_t *handle, const char *name, int *ret_partitions, struct err *err) MUST_CHECK;
/* Makes what is missing of positions, schemas and dead letters; with topics.create: false, ERR_FATAL names what is missing.
 * A missing positions topic beside data topics that hold something is ERR_FATAL (rule A8), unless `positions_may_be_new`. */
int topics_make_state(rd_kafka_t *handle, const struct settings *settings, bool positions_may_be_new,
                      struct err *err) MUST_CHECK;
/* Makes the data topic of a table if it is missing, as settings say. */
int topics_make_data(rd_kafka_t *handle, const struct settings *settings, const char *table, const char *topic,
                     struct err *err) MUST_CHECK;

/* The end offsets of all data topics of selected tables, as {"topic":{"0":offset}}; partitions that never held anything are
 * left out. handle must be read_uncommitted. */
int topics_data_ends(rd_kafka_t *handle, const struct settings *settings, json_t **ret_ends, struct err *err) MUST_CHECK;
/* The tables of those topics, as [["database","table"],...]: a new object. */
json_t *topics_tables(const struct settings *settings, const json_t *ends);

#endif
