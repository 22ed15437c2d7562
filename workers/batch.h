/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch: the messages of one partition that go to the warehouse together: those that become rows, and how many lie between them
 * that don't (duplicates, dead letters).
 *
 * It owns copies of the messages' bytes, in blocks that never move: librdkafka's buffers, of which one small message can hold four
 * MiB, go back at once, and what the worker holds is what its budget says. A batch answers for [start, end) without a gap: its
 * start is the end of the batch before.
 */
#ifndef KAKEHI_WORKERS_BATCH_H
#define KAKEHI_WORKERS_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workers/budget.h"
#include "workers/message.h"
#include "workers/warehouse.h"

struct batch {
    uint64_t number;      /* unique in its partition: acknowledgements of dead letters come back by it */
    int64_t start;
    int64_t end;
    uint64_t began_ms;    /* when its first message came */
    struct warehouse_row *rows;
    struct message *messages; /* of the same rows, whole: for dead letters */
    size_t row_count;
    size_t dead_count;    /* of the rows: refused by the warehouse after planning */
    size_t duplicate_count;
    size_t letter_count;  /* messages that never became rows, or were taken out before planning */
    size_t letters_unacked;
    int64_t newest_us;    /* highest commit time of its rows; INT64_MIN: none */
    int64_t behind;           /* as warehouse_batch: set when it is due */
    int32_t topic_partitions; /* the same */
    struct batch_limits limits;
    struct budget *_budget;
    size_t _bytes;
    size_t _charged;
    size_t _capacity;
    struct batch_block *_blocks;
};

struct batch *batch_new(uint64_t number, int64_t start, uint64_t now_ms, const struct batch_limits *limits, struct budget *budget);
void batch_free(struct batch *batch); /* takes NULL */

/* Copies the message. frame_size: how much of the value stands before the Avro bytes. */
void batch_add_row(struct batch *batch, const struct schema *schema, const struct message *message, size_t frame_size, int64_t ts_us);
void batch_add_duplicate(struct batch *batch, int64_t offset);
void batch_add_letter(struct batch *batch, int64_t offset);
/* Everything below the offset is covered, though no message stands there (transaction markers). */
void batch_extend(struct batch *batch, int64_t end);
/* What its request holds besides; given back with the batch. */
void batch_charge(struct batch *batch, size_t bytes);
/* Takes a row out before it was planned: it becomes a letter. */
void batch_remove_row(struct batch *batch, size_t row);

size_t batch_message_count(const struct batch *batch);
/* As the warehouse sees it; valid until the batch changes. */
struct warehouse_batch batch_for_warehouse(const struct batch *batch);
/* How many of its messages lie below the offset: those are known to be in. */
size_t batch_rows_below(const struct batch *batch, int64_t offset);
bool batch_full(const struct batch *batch);
bool batch_due(const struct batch *batch, uint64_t now_ms);

#endif
