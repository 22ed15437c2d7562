/* SPDX-License-Identifier: Apache-2.0 */
/*
 * destinations: the data topics that a writer has met, each with whose table it is, its handle, and how far the open transaction
 * reaches in each of its partitions. A topic keeps its number (topic_id) for as long as the writer lives. The writer's thread.
 */
#ifndef KAKEHI_PRODUCER_DESTINATIONS_H
#define KAKEHI_PRODUCER_DESTINATIONS_H

#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "producer/topics.h"

struct destination {
    char name[TOPIC_NAME_SIZE];
    char *table;              /* whose it is: db.table */
    rd_kafka_topic_t *handle; /* owned; NULL: not used since the last fence */
    int64_t *ends;            /* by partition, of the open transaction; -1: nothing */
    size_t end_count;
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

void destination_note_end(struct destination *destination, int32_t partition, int64_t end);
void destinations_forget_ends(struct destinations *destinations);
/* {"topic":{"0":offset}} of what was noted, which is forgotten. A new reference. */
json_t *destinations_take_ends(struct destinations *destinations);

#endif
