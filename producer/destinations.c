/* SPDX-License-Identifier: Apache-2.0 */
/* Few topics, found by name only when a table is prepared; on the hot path a topic is its number. */
#include "producer/destinations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

void destinations_deinit(struct destinations *destinations)
{
    for (size_t i = 0; i < destinations->count; i++) {
        must(destinations->items[i].handle == NULL);
        free(destinations->items[i].table);
        free(destinations->items[i].ends);
    }
    free(destinations->items);
    *destinations = (struct destinations){0};
}

static uint32_t add(struct destinations *destinations, const char *topic, const char *table)
{
    struct destination *added;

    destinations->items = realloc(destinations->items, (destinations->count + 1) * sizeof *destinations->items);
    must(destinations->items != NULL);
    added = &destinations->items[destinations->count];
    *added = (struct destination){.table = must_strdup(table)};
    must(strlen(topic) < sizeof added->name);
    memcpy(added->name, topic, strlen(topic) + 1);
    return (uint32_t)destinations->count++;
}

int destinations_find(struct destinations *destinations, const char *topic, const char *table, uint32_t *ret_topic_id,
                      struct err *err)
{
    for (size_t i = 0; i < destinations->count; i++) {
        const struct destination *met = &destinations->items[i];

        if (strcmp(met->name, topic) == 0) {
            *ret_topic_id = (uint32_t)i;
            return strcmp(met->table, table) == 0
                       ? 0
                       : err_set(err, ERR_FATAL,
                                 "tables %s and %s both go to topic %s: give one of them another name in `topics.topic`",
                                 met->table, table, topic);
        }
    }
    *ret_topic_id = add(destinations, topic, table);
    return 0;
}

void destinations_close(struct destinations *destinations)
{
    for (size_t i = 0; i < destinations->count; i++) {
        if (destinations->items[i].handle != NULL) {
            rd_kafka_topic_destroy(destinations->items[i].handle);
            destinations->items[i].handle = NULL;
        }
    }
}

void destination_note_end(struct destination *destination, int32_t partition, int64_t end)
{
    size_t needed = (size_t)partition + 1;

    if (destination->end_count < needed) {
        destination->ends = realloc(destination->ends, needed * sizeof *destination->ends);
        must(destination->ends != NULL);
        while (destination->end_count < needed) {
            destination->ends[destination->end_count++] = -1;
        }
    }
    if (destination->ends[partition] < end) {
        destination->ends[partition] = end;
    }
}

void destinations_forget_ends(struct destinations *destinations)
{
    for (size_t i = 0; i < destinations->count; i++) {
        destinations->items[i].end_count = 0;
    }
}

json_t *destinations_take_ends(struct destinations *destinations)
{
    json_t *ends = json_object();

    for (size_t i = 0; i < destinations->count; i++) {
        const struct destination *destination = &destinations->items[i];
        json_t *partitions = destination->end_count > 0 ? json_object() : NULL;

        for (size_t partition = 0; partition < destination->end_count; partition++) {
            char number[24];

            (void)snprintf(number, sizeof number, "%zu", partition);
            if (destination->ends[partition] >= 0) {
                json_object_set_new(partitions, number, json_integer(destination->ends[partition]));
            }
        }
        if (partitions != NULL) {
            json_object_set_new(ends, destination->name, partitions);
        }
    }
    destinations_forget_ends(destinations);
    return ends;
}
