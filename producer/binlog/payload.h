/* SPDX-License-Identifier: Apache-2.0 */
/*
 * payload: what is compressed inside an event, inflated in pieces while it arrives.
 *
 * MySQL's TRANSACTION_PAYLOAD holds all events of a transaction as one frame of zstd. In front stand fields of type, length and
 * value, all lenenc, in any order, up to a type 0 that stands alone (libs/mysql/binlog/event/compression in MySQL's source).
 * MariaDB compresses the rows of a rows event, and the text of a statement, by zlib. In front stand a byte 0x80 + n and n
 * bytes, big-endian: the size without compression (sql/log_event.cc, binlog_buf_compress).
 *
 * Memory: one piece, and the window. zlib's has 32 KiB. zstd's is named by the frame: 2 MiB at a server's default level, 8 at 19, then 32, 64
 * and 128 MiB; less where all that is inside is smaller, and zstd was told so. It counts against the ceiling (producer.memory), of which
 * PAYLOAD_MEMORY_SIXTEENTHS are left for it; what does not fit is refused before it is allocated, with what to set. Without a ceiling 128 MiB
 * are the limit.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_PAYLOAD_H
#define KAKEHI_PRODUCER_BINLOG_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "producer/binlog/cursor.h"

#define PAYLOAD_PIECE_BYTES    (128 * 1024)
#define PAYLOAD_HEAD_BYTES_MAX 128 /* of the fields: three numbers today */
#define PAYLOAD_FRAME_HEAD_MAX 18  /* RFC 8878, 3.1.1.1: magic and frame header */
/* Of the ceiling: a quarter have the parcels (publisher.c), a sixteenth the reader's ring (live.c). */
#define PAYLOAD_MEMORY_SIXTEENTHS 11

enum payload_method { PAYLOAD_ZSTD, PAYLOAD_ZLIB, PAYLOAD_STORED };

struct payload {              /* {0}: none was read yet */
    uint8_t *piece;           /* owned: what was inflated last; PAYLOAD_PIECE_BYTES */
    struct ZSTD_DCtx_s *zstd; /* owned; kept from one payload to the next, and so is zlib's */
    struct z_stream_s *zlib;
    uint64_t memory_bytes; /* set by the owner: the ceiling; 0: none */
    enum payload_method method;
    bool size_told;  /* false: `due` is not known */
    uint64_t due;    /* bytes that are still to come out */
    uint64_t left;   /* bytes of the payload that were not taken yet */
    bool frame_open; /* what is compressed has not ended */
    bool flush_due;  /* the last piece was full: more may come out without further input */
    bool window_known;       /* of zstd's frame in hand, and it fits; until then: */
    uint8_t frame_head_size; /* what came of its head */
    uint8_t frame_head[PAYLOAD_FRAME_HEAD_MAX];
};

void payload_deinit(struct payload *payload);
/* Of a TRANSACTION_PAYLOAD: reads the fields, and leaves the cursor behind them. CURSOR_SHORT: more input may help. */
void payload_begin(struct payload *payload, struct cursor *cursor);
/* Of MariaDB: reads the size, and leaves the cursor behind it. `left`: bytes of the event from the cursor on. */
void payload_begin_mariadb(struct payload *payload, struct cursor *cursor, uint64_t left);
/* Takes bytes off the front of the input until there is a piece of *ret_size bytes. A size of 0: the input is used up. */
int payload_inflate(struct payload *payload, struct cursor *input, size_t *ret_size, struct err *err) MUST_CHECK;
/* No input will come any more: was that all? Gives back a large window. */
int payload_end(struct payload *payload, struct err *err) MUST_CHECK;

/* The least ceiling, in whole MiB, under which a server's level of zstd makes no transaction that is refused. */
uint64_t payload_memory_of_level(int level);

/* The size that such a head of MariaDB tells; its value is compressed by zlib. Used for columns, too. */
uint64_t payload_read_size(struct cursor *cursor);

#endif
