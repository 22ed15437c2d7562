/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publisher: the only thread that speaks to Kafka for the producer: fencing, reading the position, topics and schemas, rows,
 * commits.
 *
 * librdkafka's transaction calls block, so they have a thread of their own; the loop gives it commands in order and gets answers on
 * the loop. Rules O6 to A10 of the protocol (ARCHITECTURE.md) are carried here:
 *   fence:   new handle, init_transactions, high watermark of positions asked read_uncommitted, read_committed up to it (A2)
 *   parcel:  begins a transaction if none is open (A3), produces
 *   cut:     produces the position record with the end offsets of the transaction before, commits. Anything but a clear success is
 *            reported as failed; the handle is thrown away; only fence may follow (A4)
 *   prepare: topics and schemas, acknowledged outside any transaction (A9); only after a cut
 * Payload is not copied: a parcel's memory belongs to librdkafka until its last delivery report, then the parcel is free again.
 * Parcels are counted and made at start: they are the queue between loop and thread, and its bound.
 */
#ifndef KAKEHI_PRODUCER_PUBLISHER_H
#define KAKEHI_PRODUCER_PUBLISHER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/settings.h"
#include "schemas/schema.h"

struct publisher;
struct parcel; /* a bounded lump of encoded messages, filled on the loop, produced on the thread */

struct publisher_calls {
    void *context;
    /* We are the only writer now. record: the newest committed position of this source, borrowed. NULL if there is none, and then
     * no topic of a selected table holds anything; else the answer would have been `failed` (rule A8). */
    void (*fenced)(void *context, const json_t *record);
    void (*prepared)(void *context, uint32_t topic_id); /* answer to publisher_prepare */
    void (*committed)(void *context);                   /* answer to each publisher_cut, in order */
    void (*room)(void *context);                        /* a parcel is free again after publisher_parcel gave NULL */
    /* All commands given before are void. ERR_RETRY: fence again after a pause; `fenced_off`: another one took over;
     * ERR_FATAL: stop. */
    void (*failed)(void *context, const struct err *err, bool fenced_off);
};

int publisher_new(uv_loop_t *loop, const struct settings *settings, const struct publisher_calls *calls, struct publisher **ret_publisher,
                  struct err *err) MUST_CHECK;
/* Asynchronous, last: the open transaction is aborted, the thread ended. */
void publisher_close(struct publisher *publisher, void (*closed)(void *context), void *context);

void publisher_fence(struct publisher *publisher);
/* Throws the handle away without a commit (the election was lost). fence may follow. */
void publisher_abandon(struct publisher *publisher);
/* Makes sure that the table's topic exists as settings say (or, with topics.create: false, that it exists) and that its schemas
 * stand in <prefix>.schemas. Borrows schema until answered. */
void publisher_prepare(struct publisher *publisher, const struct schema *schema);

/* A parcel to fill, or NULL: wait for `room`. */
struct parcel *publisher_parcel(struct publisher *publisher);
/* Is there space for a message of this size? An empty parcel has space for any size. */
bool parcel_fits(const struct parcel *parcel, size_t key_size, size_t value_size);
/* Copies key and value into the parcel. key NULL: a null key. partition -1: by the partitioner (murmur2_random). */
void parcel_add(struct parcel *parcel, uint32_t topic_id, int32_t partition, const void *key, size_t key_size, const void *value, size_t value_size);
size_t parcel_count(const struct parcel *parcel);
size_t parcel_bytes(const struct parcel *parcel);
/* Takes the parcel. */
void publisher_give(struct publisher *publisher, struct parcel *parcel);
/* Takes a reference of state. */
void publisher_cut(struct publisher *publisher, json_t *state);

#endif
