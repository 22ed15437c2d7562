/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer: the blocking side of the publisher: one transactional librdkafka handle at a time, and what surrounds it. Used by the
 * publisher's thread, and by commands that have no loop. One thread at a time.
 *
 *   writer_open      state topics (A8)
 *   writer_fence     new handle with transactional.id prefix|source (A10), init_transactions
 *   writer_read_position   what older instances have committed (A2)
 *   writer_prepare   what must stand before rows (groundwork.h): topic; schemas, acknowledged (A9); their ids
 *   writer_give      begins a transaction if none is open, produces
 *   writer_cut       position record into the same transaction, commit (A3)
 *   writer_abandon   the handle is thrown away
 *
 * After a failed give or cut, abandon is all that is left: whether the commit happened is only to be learnt from Kafka, after
 * the next fence (rule A4).
 */
#ifndef KAKEHI_PRODUCER_WRITER_H
#define KAKEHI_PRODUCER_WRITER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/settings.h"
#include "producer/delivered.h"
#include "producer/groundwork.h"
#include "producer/parcel.h"
#include "schemas/framing.h"

struct writer;

struct writer_calls {
    void *context;
    /* Should a wait be given up? Asked about once a second; a call that finds so fails with ERR_CANCELED. */
    bool (*cancelled)(void *context);
    /* All messages of the parcel are answered, or forgotten together with the handle: the owner has it back. */
    void (*settled)(void *context, struct parcel *parcel);
    /* There may be something for writer_poll. Called on a thread of librdkafka. NULL: not needed. */
    void (*wake)(void *context);
};

/* Connects to nothing yet. */
int writer_new(const struct settings *settings, const struct writer_calls *calls, struct writer **ret_writer,
               struct err *err) MUST_CHECK;
void writer_free(struct writer *writer); /* takes NULL */

int writer_open(struct writer *writer, bool positions_may_be_new, struct err *err) MUST_CHECK;
int writer_fence(struct writer *writer, struct err *err) MUST_CHECK;
/* *ret_record: a new reference; NULL: none. Only after writer_fence. */
int writer_read_position(struct writer *writer, json_t **ret_record, struct err *err) MUST_CHECK;
/* The selected tables of which the topics held something when it fenced (topics_tables): a new object. */
json_t *writer_published(const struct writer *writer);
/* Rule A8: may a source without a record start here? */
int writer_check_first(const struct writer *writer, struct err *err) MUST_CHECK;
/* *ret_ids: what the table's messages are framed with. ERR_POISON: the registry refuses a schema for good. */
int writer_prepare(struct writer *writer, const struct groundwork_table *table, uint32_t *ret_topic_id, struct framing_ids *ret_ids,
                   struct err *err) MUST_CHECK;
/* Takes the parcel, also when it fails. */
int writer_give(struct writer *writer, struct parcel *parcel, struct err *err) MUST_CHECK;
/* Takes state. NULL writes a tombstone: this source has no position any more. *ret_delivered: the caller's; set where it succeeds and
 * ret_delivered is not NULL. */
int writer_cut(struct writer *writer, json_t *state, struct delivered_list *ret_delivered, struct err *err) MUST_CHECK;
void writer_abandon(struct writer *writer);
/* Did the last failure mean that another instance has fenced this one? */
bool writer_fenced_off(const struct writer *writer);
/* Did it fail at a message that is too large, where settings send such ones' references to the dead letters? Which one it was: names of the
 * change, for the next try. Until abandon. */
bool writer_too_large(const struct writer *writer, int64_t *ret_seq, int64_t *ret_idx);
/* Serves what librdkafka has to say. */
void writer_poll(struct writer *writer);

#endif
