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
        free(destinations->items[i].shares);
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

static struct share *share_of(struct destination *destination, int32_t partition)
{
    size_t needed = (size_t)partition + 1;

    if (destination->share_count < needed) {
        destination->shares = realloc(destination->shares, needed * sizeof *destination->shares);
        must(destination->shares != NULL);
        while (destination->share_count < needed) {
            destination->shares[destination->share_count++] = (struct share){.end = -1};
        }
    }
    return &destination->shares[partition];
}

void destination_note(struct destination *destination, int32_t partition, int64_t offset, size_t bytes)
{
    struct share *share = share_of(destination, partition);

    share->end = share->end > offset ? share->end : offset + 1;
    share->messages++;
    share->bytes += bytes;
}

void destinations_forget(struct destinations *destinations)
{
    for (size_t i = 0; i < destinations->count; i++) {
        destinations->items[i].share_count = 0;
    }
}

static json_t *ends_of(const struct destination *destination)
{
    json_t *partitions = json_object();

    for (size_t partition = 0; partition < destination->share_count; partition++) {
        char number[24];

        (void)snprintf(number, sizeof number, "%zu", partition);
        if (destination->shares[partition].end >= 0) {
            json_object_set_new(partitions, number, json_integer(destination->shares[partition].end));
        }
    }
    return partitions;
}

json_t *destinations_ends(const struct destinations *destinations)
{
    json_t *ends = json_object();

    for (size_t i = 0; i < destinations->count; i++) {
        if (destinations->items[i].share_count > 0) {
            json_object_set_new(ends, destinations->items[i].name, ends_of(&destinations->items[i]));
        }
    }
    return ends;
}

static size_t count_shares(const struct destinations *destinations)
{
    size_t count = 0;

    for (size_t i = 0; i < destinations->count; i++) {
        count += destinations->items[i].share_count;
    }
    return count;
}

struct delivered_list destinations_delivered(const struct destinations *destinations)
{
    struct delivered_list list = {.items = calloc(count_shares(destinations) + 1, sizeof *list.items)};

    must(list.items != NULL);
    for (size_t i = 0; i < destinations->count; i++) {
        const struct destination *destination = &destinations->items[i];

        for (size_t partition = 0; partition < destination->share_count; partition++) {
            const struct share *share = &destination->shares[partition];

            if (share->messages > 0) {
                list.items[list.count++] = (struct delivered){(uint32_t)i, (int32_t)partition, share->messages, share->bytes};
            }
        }
    }
    return list;
}
