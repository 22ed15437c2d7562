/* SPDX-License-Identifier: Apache-2.0 */
/* Only the newest block, which is the largest, is kept from one row to the next, and none above a MiB. */
#include "producer/binlog/scratch.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"

#define BLOCK_BYTES_FIRST (16 * 1024)
#define KEPT_BYTES_MAX    (1024 * 1024) /* a block above this is not kept for the next row */

struct scratch_block {
    struct scratch_block *next;
    size_t size;
    uint8_t bytes[];
};

static void free_blocks(struct scratch_block *block)
{
    while (block != NULL) {
        struct scratch_block *next = block->next;

        free(block);
        block = next;
    }
}

void scratch_deinit(struct scratch *scratch)
{
    free_blocks(scratch->_blocks);
    buffer_deinit(&scratch->text);
    *scratch = (struct scratch){0};
}

void scratch_reset(struct scratch *scratch)
{
    struct scratch_block *newest = scratch->_blocks;

    scratch->replaced = 0;
    scratch->_used = 0;
    if (scratch->text.size > KEPT_BYTES_MAX) {
        buffer_deinit(&scratch->text);
    }
    if (newest == NULL) {
        return;
    }
    free_blocks(newest->next);
    newest->next = NULL;
    if (newest->size > KEPT_BYTES_MAX) {
        free_blocks(newest);
        scratch->_blocks = NULL;
    }
}

static void add_block(struct scratch *scratch, size_t size_min)
{
    size_t size = scratch->_blocks != NULL ? scratch->_blocks->size * 2 : BLOCK_BYTES_FIRST;
    struct scratch_block *block;

    size = size < size_min ? size_min : size;
    block = malloc(sizeof *block + size);
    must(block != NULL);
    block->next = scratch->_blocks;
    block->size = size;
    scratch->_blocks = block;
    scratch->_used = 0;
}

uint8_t *scratch_take(struct scratch *scratch, size_t size)
{
    uint8_t *bytes;

    if (scratch->_blocks == NULL || scratch->_blocks->size - scratch->_used < size) {
        add_block(scratch, size);
    }
    bytes = scratch->_blocks->bytes + scratch->_used;
    scratch->_used += size;
    return bytes;
}

const uint8_t *scratch_keep_text(struct scratch *scratch)
{
    uint8_t *bytes = scratch_take(scratch, scratch->text.size);

    if (scratch->text.size > 0) {
        memcpy(bytes, scratch->text.bytes, scratch->text.size);
    }
    return bytes;
}
