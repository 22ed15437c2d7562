/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publisher: the thread on which the producer speaks to Kafka: fencing, the position, topics and schemas, rows, commits.
 *
 * librdkafka's transaction calls block, so they have a thread of their own (writer.h says what it does there); the loop gives
 * it commands in order and gets answers on the loop:
 *
 *   open      state topics are there                        -> opened
 *   fence     new handle, older instances fenced            -> fenced        (A2)
 *   read      the position, only after fenced               -> position      (A2, A8)
 *   prepare   a table's topic and schemas, acknowledged     -> prepared      (A9)
 *   give      a parcel of rows; begins a transaction if none is open         (A3)
 *   cut       the position record, then commit              -> committed     (A3, A4)
 *   abandon   the handle is thrown away without a commit
 *
 * prepare may be answered by `refused` instead, which touches nothing else. Any of them may be answered by `failed`. Then, and after
 * abandon, all commands given before are void, no answer to them comes any more, and only open, fence or close may follow (rule A4:
 * nothing is ever taken again from memory).
 */
#ifndef KAKEHI_PRODUCER_PUBLISHER_H
#define KAKEHI_PRODUCER_PUBLISHER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/settings.h"
#include "producer/delivered.h"
#include "producer/parcel.h"
#include "schemas/framing.h"
#include "schemas/schema.h"

struct publisher;

struct publisher_calls {
    void *context;
    void (*opened)(void *context);
    void (*fenced)(void *context); /* we are the only writer now */
    /* The newest committed position of this source, borrowed. NULL if there is none, and then no topic of a selected table
     * holds anything; else the answer would have been `failed` (rule A8). published: the selected tables whose topics hold
     * something, or did, as source.h has them; borrowed. */
    void (*position)(void *context, const json_t *record, const json_t *published);
    /* Answers come in the order of the calls. ids: what the table's messages are framed with, borrowed. */
    void (*prepared)(void *context, uint32_t topic_id, const struct framing_ids *ids);
    /* Instead of `prepared`: the table can't have a topic or a schema until a person changes something (ERR_POISON). */
    void (*refused)(void *context, const struct err *err);
    /* Answer to each publisher_cut, in order. delivered: borrowed. */
    void (*committed)(void *context, const struct delivered_list *delivered);
    void (*room)(void *context);      /* a parcel is free again after publisher_parcel gave NULL */
    /* Comes before `failed`, with settings that send references of such messages to the dead letters: this one is too large for Kafka. */
    void (*too_large)(void *context, int64_t seq, int64_t idx);
    /* ERR_RETRY: fence again after a pause; `fenced_off`: another one took over. ERR_FATAL: stop. */
    void (*failed)(void *context, const struct err *err, bool fenced_off);
};

int publisher_new(uv_loop_t *loop, const struct settings *settings, const struct publisher_calls *calls,
                  struct publisher **ret_publisher, struct err *err) MUST_CHECK;
/* Asynchronous, last: the open transaction is aborted, the thread ended. All parcels must have been given or returned. */
void publisher_close(struct publisher *publisher, void (*closed)(void *context), void *context);

/* Makes sure that the topics of positions, schemas and dead letters are there. Before the election, which subscribes to one. */
void publisher_open(struct publisher *publisher);
void publisher_fence(struct publisher *publisher);
void publisher_read(struct publisher *publisher);
/* Throws the handle away without a commit (the election was lost, the source failed). */
void publisher_abandon(struct publisher *publisher);
/* Makes sure that the table's topic exists as settings say (or, with topics.create: false, that it exists), and that its schemas
 * stand in <prefix>.schemas, and in the registry if there is one; again: the value's as the newest one, though it may stand there from
 * before the table had another shape. Copies what it needs. */
void publisher_prepare(struct publisher *publisher, const struct schema *schema, bool again);

/* An empty parcel to fill, or NULL: wait for `room`. */
struct parcel *publisher_parcel(struct publisher *publisher);
/* Takes the parcel; its messages are produced in order. */
void publisher_give(struct publisher *publisher, struct parcel *parcel);
/* Takes the parcel back; its messages are forgotten. */
void publisher_return(struct publisher *publisher, struct parcel *parcel);
/* Takes the reference of state. */
void publisher_cut(struct publisher *publisher, json_t *state);

#endif
