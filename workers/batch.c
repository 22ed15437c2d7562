/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks never move, because rows point into them until the request is answered. */
#include "workers/batch.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"

#define BLOCK_BYTES 65536
#define ROW_BYTES   (sizeof(struct warehouse_row) + sizeof(struct message))

struct batch_block {
    struct batch_block *next;
    size_t size;
    size_t capacity;
    uint8_t bytes[];
};

struct batch *batch_new(uint64_t number, int64_t start, uint64_t now_ms, const struct batch_limits *limits, struct budget *budget)
{
    struct batch *batch = calloc(1, sizeof *batch);

    must(batch != NULL);
    batch->number = number;
    batch->start = start;
    batch->end = start;
    batch->began_ms = now_ms;
    batch->newest_us = INT64_MIN;
    batch->limits = *limits;
    batch->_budget = budget;
    return batch;
}

void batch_free(struct batch *batch)
{
    struct batch_block *next;

    if (batch == NULL) {
        return;
    }
    for (struct batch_block *block = batch->_blocks; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    budget_give(batch->_budget, batch->_bytes + batch->_charged);
    free(batch->rows);
    free(batch->messages);
    free(batch);
}

/* Bytes that never move. A large message has a block of its own. */
static uint8_t *room(struct batch *batch, size_t size)
{
    struct batch_block *block = batch->_blocks;
    uint8_t *bytes;

    if (block == NULL || block->capacity - block->size < size) {
        size_t capacity = size > BLOCK_BYTES / 4 ? size : BLOCK_BYTES;

        block = malloc(sizeof *block + capacity);
        must(block != NULL);
        block->size = 0;
        block->capacity = capacity;
        block->next = batch->_blocks;
        batch->_blocks = block;
    }
    bytes = block->bytes + block->size;
    block->size += size;
    return bytes;
}

static const uint8_t *copy(struct batch *batch, const uint8_t *bytes, size_t size)
{
    uint8_t *to;

    if (bytes == NULL) {
        return NULL;
    }
    to = room(batch, size);
    memcpy(to, bytes, size);
    return to;
}

static void grow(struct batch *batch)
{
    if (batch->row_count == batch->_capacity) {
        batch->_capacity = batch->_capacity > 0 ? 2 * batch->_capacity : 64;
        batch->rows = realloc(batch->rows, batch->_capacity * sizeof *batch->rows);
        batch->messages = realloc(batch->messages, batch->_capacity * sizeof *batch->messages);
        must(batch->rows != NULL && batch->messages != NULL);
    }
}

void batch_extend(struct batch *batch, int64_t end)
{
    batch->end = end > batch->end ? end : batch->end;
}

void batch_add_row(struct batch *batch, const struct schema *schema, const struct message *message, size_t frame_size, int64_t ts_us)
{
    size_t bytes = ROW_BYTES + message->key_size + message->value_size;
    struct message *own;

    must(message->offset >= batch->end && frame_size <= message->value_size);
    grow(batch);
    own = &batch->messages[batch->row_count];
    *own = *message;
    own->key = copy(batch, message->key, message->key_size);
    own->value = copy(batch, message->value, message->value_size);
    batch->rows[batch->row_count++] = (struct warehouse_row){
        .schema = schema, .value = own->value + frame_size, .value_size = own->value_size - frame_size, .offset = own->offset};
    batch->newest_us = ts_us > batch->newest_us ? ts_us : batch->newest_us;
    batch_extend(batch, message->offset + 1);
    batch->_bytes += bytes;
    budget_take(batch->_budget, bytes);
}

void batch_add_duplicate(struct batch *batch, int64_t offset)
{
    batch->duplicate_count++;
    batch_extend(batch, offset + 1);
}

void batch_add_letter(struct batch *batch, int64_t offset)
{
    batch->letter_count++;
    batch->letters_unacked++;
    batch_extend(batch, offset + 1);
}

void batch_charge(struct batch *batch, size_t bytes)
{
    batch->_charged += bytes;
    budget_take(batch->_budget, bytes);
}

void batch_remove_row(struct batch *batch, size_t row)
{
    size_t behind = batch->row_count - row - 1;

    must(row < batch->row_count);
    memmove(batch->rows + row, batch->rows + row + 1, behind * sizeof *batch->rows);
    memmove(batch->messages + row, batch->messages + row + 1, behind * sizeof *batch->messages);
    batch->row_count--;
    batch->letter_count++;
    batch->letters_unacked++;
}

size_t batch_message_count(const struct batch *batch)
{
    return batch->row_count + batch->duplicate_count + batch->letter_count;
}

struct warehouse_batch batch_for_warehouse(const struct batch *batch)
{
    return (struct warehouse_batch){.rows = batch->rows,
                                    .row_count = batch->row_count,
                                    .start = batch->start,
                                    .end = batch->end,
                                    .behind = batch->behind,
                                    .topic_partitions = batch->topic_partitions};
}

size_t batch_rows_below(const struct batch *batch, int64_t offset)
{
    size_t count = 0;

    while (count < batch->row_count && batch->rows[count].offset < offset) {
        count++;
    }
    return count;
}

bool batch_full(const struct batch *batch)
{
    return batch_message_count(batch) >= batch->limits.rows || batch->_bytes >= batch->limits.bytes;
}

bool batch_due(const struct batch *batch, uint64_t now_ms)
{
    return batch_full(batch) || budget_tight(batch->_budget) || now_ms >= batch->began_ms + batch->limits.age_ms;
}
