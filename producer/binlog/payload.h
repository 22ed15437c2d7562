/* SPDX-License-Identifier: Apache-2.0 */
/*
 * payload: the inside of a TRANSACTION_PAYLOAD event: a whole transaction's events as one run of bytes, compressed by zstd.
 *
 * Layout (libs/mysql/binlog/event/compression in MySQL's source): fields of type, length and value, all lenenc, in any order,
 * up to a type 0 that stands alone; then the payload. The events in it have no checksums of their own, and all of them lie in
 * the one frame: so it is inflated in pieces, as the compressed bytes arrive.
 *
 * Memory: one piece, and zstd's window, which the frame names. A server's highest level makes one of 128 MiB, the default level
 * one of 2 MiB; more is refused before it is allocated.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_PAYLOAD_H
#define KAKEHI_PRODUCER_BINLOG_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "producer/binlog/cursor.h"

#define PAYLOAD_HEAD_BYTES_MAX 128 /* of the fields: three numbers today */

struct payload {              /* {0}: none */
    uint8_t *piece;           /* owned: what was inflated last */
    struct ZSTD_DCtx_s *zstd; /* owned; kept from one payload to the next */
    bool stored;              /* it is not compressed at all */
    bool size_told;           /* false: `due` is not known */
    uint64_t due;             /* bytes that are still to come out */
    uint64_t left;            /* bytes of the payload that were not taken yet */
    bool frame_open;          /* a frame has begun and not ended */
    bool flush_due;           /* the last piece was full: zstd may hold more without further input */
};

void payload_deinit(struct payload *payload);
/* Reads the fields, and leaves the cursor where the payload begins. CURSOR_SHORT: more input may help. */
void payload_begin(struct payload *payload, struct cursor *cursor);
/* Takes bytes off the front of the input until there is a piece: payload->piece, *ret_size bytes. A size of 0: the input is
 * used up. */
int payload_inflate(struct payload *payload, struct cursor *input, size_t *ret_size, struct err *err) MUST_CHECK;
/* No input will come any more: was that all? Gives back a large window. */
int payload_end(struct payload *payload, struct err *err) MUST_CHECK;

#endif
