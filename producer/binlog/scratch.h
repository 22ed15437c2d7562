/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scratch: memory of one row. What a value needs beyond the row's own bytes (a decimal's digits, text in another character set,
 * JSON) is taken here and all given back at once before the next row. Blocks stay where they are, so cells may point into them;
 * after the first rows no memory is allocated any more.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_SCRATCH_H
#define KAKEHI_PRODUCER_BINLOG_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"

struct scratch_block;

struct scratch {
    struct scratch_block *_blocks; /* the newest, and largest, first */
    size_t _used;                  /* of the newest */
    unsigned replaced;             /* values of the row that were changed by choice; for value_choice.c */
    struct buffer text;            /* to write a text of unknown size in; cleared by whoever uses it */
};

/* {0} is valid and empty. */
void scratch_deinit(struct scratch *scratch);
/* Gives back all, and to the system what a huge row took. */
void scratch_reset(struct scratch *scratch);
/* Uninitialised bytes until the next reset. The caller has checked size against what the input can justify. */
uint8_t *scratch_take(struct scratch *scratch, size_t size);
/* A copy of scratch->text. */
const uint8_t *scratch_keep_text(struct scratch *scratch);

#endif
