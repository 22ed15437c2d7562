/* SPDX-License-Identifier: Apache-2.0 */
/*
 * destinations: the data topics that a writer has met, each with whose table it is, its handle, and what of the open transaction is in each of
 * its partitions. A topic keeps its number (topic_id) for as long as the writer lives. The writer's thread.
 */
#ifndef KAKEHI_PRODUCER_DESTINATIONS_H
#define KAKEHI_PRODUCER_DESTINATIONS_H

#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "producer/delivered.h"
#include "producer/topics.h"

struct share { /* of a partition in the open transaction */
    int64_t end;  /* behind the last message; -1: none */
    uint64_t messages;
    uint64_t bytes;
};

struct destination {
    char name[TOPIC_NAME_SIZE];
    char *table;              /* whose it is: db.table */
    rd_kafka_topic_t *handle; /* owned; NULL: not used since the last fence */
    struct share *shares;     /* by partition */
    size_t share_count;
};

struct destinations {
    struct destination *items; /* by topic_id */
    size_t count;
};

void destinations_deinit(struct destinations *destinations); /* closed before */

/* The topic's number; a new one if it was not met before. Two tables in one topic are ERR_FATAL. */
int destinations_find(struct destinations *destinations, const char *topic, const char *table, uint32_t *ret_topic_id,
                      struct err *err) MUST_CHECK;
/* Gives the handles back; before the one that they belong to is destroyed. */
void destinations_close(struct destinations *destinations);

/* A message of so many bytes stands at the offset. */
void destination_note(struct destination *destination, int32_t partition, int64_t offset, size_t bytes);
/* What was noted: {"topic":{"0":end}}, a new reference; and how much it was, the caller's. */
json_t *destinations_ends(const struct destinations *destinations);
struct delivered_list destinations_delivered(const struct destinations *destinations);
/* The transaction is over. */
void destinations_forget(struct destinations *destinations);

#endif
