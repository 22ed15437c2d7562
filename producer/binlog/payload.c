/* SPDX-License-Identifier: Apache-2.0 */
/* What the fields say is held against what comes: not a byte more is inflated than they announce. */
#include "producer/binlog/payload.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#define ZSTD_STATIC_LINKING_ONLY /* what a frame's head says, and the memory that it will take */
#include <zstd.h>

#include "common/must.h"

#define WINDOW_LOG_MAX 27 /* 128 MiB: of zstd's level 22, the highest */
#define KEPT_BYTES_MAX (4 * 1024 * 1024)
#define MIB ((uint64_t)1 << 20)

_Static_assert(PAYLOAD_FRAME_HEAD_MAX == ZSTD_FRAMEHEADERSIZE_MAX, "the head of a frame of zstd");

enum { FIELD_END, FIELD_SIZE, FIELD_COMPRESSION, FIELD_UNCOMPRESSED_SIZE };
enum { COMPRESSION_ZSTD = 0, COMPRESSION_NONE = 255 };

void payload_deinit(struct payload *payload)
{
    free(payload->piece);
    (void)ZSTD_freeDCtx(payload->zstd);
    if (payload->zlib != NULL) {
        (void)inflateEnd(payload->zlib);
        free(payload->zlib);
    }
    *payload = (struct payload){0};
}

static void read_compression(struct payload *payload, struct cursor *value)
{
    uint64_t compression = cursor_lenenc(value);

    payload->method = compression == COMPRESSION_NONE ? PAYLOAD_STORED : PAYLOAD_ZSTD;
    if (value->why == NULL && compression != COMPRESSION_ZSTD && compression != COMPRESSION_NONE) {
        cursor_fail(value, "it is compressed in a way that this version does not know");
    }
}

/* Fields that are not known end with their length. Returns false behind the last one. */
static bool read_field(struct payload *payload, struct cursor *cursor, unsigned *seen)
{
    uint64_t type = cursor_lenenc(cursor);
    struct cursor value;

    if (type == FIELD_END) {
        return false;
    }
    value = cursor_part(cursor, cursor_lenenc(cursor));
    if (type == FIELD_SIZE) {
        payload->left = cursor_lenenc(&value);
    } else if (type == FIELD_COMPRESSION) {
        read_compression(payload, &value);
    } else if (type == FIELD_UNCOMPRESSED_SIZE) {
        payload->due = cursor_lenenc(&value);
    }
    if (type <= FIELD_UNCOMPRESSED_SIZE) {
        *seen |= 1U << type;
    }
    if (value.why != NULL) {
        cursor_fail(cursor, value.why == CURSOR_SHORT ? "a field of its head is shorter than its value" : value.why);
    }
    return cursor->why == NULL;
}

static void begin_any(struct payload *payload)
{
    if (payload->piece == NULL) {
        payload->piece = malloc(PAYLOAD_PIECE_BYTES);
        must(payload->piece != NULL);
    }
    payload->frame_open = payload->flush_due = false;
    payload->window_known = false;
    payload->frame_head_size = 0;
}

void payload_begin(struct payload *payload, struct cursor *cursor)
{
    const uint8_t *begin = cursor->at;
    unsigned seen = 0;

    begin_any(payload);
    while (read_field(payload, cursor, &seen)) {
        if (cursor->at - begin > PAYLOAD_HEAD_BYTES_MAX) {
            cursor_fail(cursor, "its head does not end");
        }
    }
    payload->size_told = (seen & 1U << FIELD_UNCOMPRESSED_SIZE) != 0;
    if (cursor->why == NULL && ((seen & 1U << FIELD_SIZE) == 0 || (seen & 1U << FIELD_COMPRESSION) == 0)) {
        cursor_fail(cursor, "its head does not tell its size, or how it is compressed");
    }
    if (payload->zstd == NULL) {
        payload->zstd = ZSTD_createDCtx();
        must(payload->zstd != NULL);
    }
    must(!ZSTD_isError(ZSTD_DCtx_reset(payload->zstd, ZSTD_reset_session_only)));
    must(!ZSTD_isError(ZSTD_DCtx_setParameter(payload->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)));
}

uint64_t payload_read_size(struct cursor *cursor)
{
    uint8_t head = cursor_u8(cursor);
    unsigned size_bytes = head & 7;

    if (cursor->why == NULL && ((head & 0xf0) != 0x80 || size_bytes < 1 || size_bytes > 4)) {
        cursor_fail(cursor, "it is compressed in a way that this version does not know");
    }
    return cursor_be(cursor, size_bytes);
}

void payload_begin_mariadb(struct payload *payload, struct cursor *cursor, uint64_t left)
{
    const uint8_t *begin = cursor->at;

    begin_any(payload);
    payload->method = PAYLOAD_ZLIB;
    payload->size_told = payload->frame_open = true;
    payload->due = payload_read_size(cursor);
    payload->left = left - (uint64_t)(cursor->at - begin);
    if (payload->zlib == NULL) {
        payload->zlib = calloc(1, sizeof *payload->zlib);
        must(payload->zlib != NULL && inflateInit(payload->zlib) == Z_OK);
    }
    must(inflateReset(payload->zlib) == Z_OK);
}

/* ---- zstd's window */

static uint64_t memory_of_window(uint64_t window_bytes)
{
    uint64_t share = PAYLOAD_MEMORY_SIXTEENTHS * MIB;

    return (ZSTD_estimateDStreamSize((size_t)window_bytes) * 16 + share - 1) / share * MIB;
}

uint64_t payload_memory_of_level(int level)
{
    return memory_of_window((uint64_t)1 << ZSTD_getCParams(level, ZSTD_CONTENTSIZE_UNKNOWN, 0).windowLog);
}

static int check_window(const struct payload *payload, uint64_t window_bytes, struct err *err)
{
    uint64_t memory_bytes;

    if (payload->memory_bytes == 0 || window_bytes > (uint64_t)1 << WINDOW_LOG_MAX) { /* the latter is refused by zstd */
        return 0;
    }
    memory_bytes = memory_of_window(window_bytes);
    if (memory_bytes <= payload->memory_bytes) {
        return 0;
    }
    return err_set(err, ERR_FATAL,
                   "its window of %" PRIu64 " MiB does not fit into producer.memory: set that to %" PRIu64 "MiB; for what is logged later, "
                   "lower binlog_transaction_compression_level_zstd",
                   window_bytes / MIB, memory_bytes / MIB);
}

/* Looks at the head of a frame in front of zstd, which allocates the window as soon as it has seen all of it. */
static int watch_frame(struct payload *payload, const uint8_t *bytes, size_t size, struct err *err)
{
    size_t room = sizeof payload->frame_head - payload->frame_head_size;
    size_t more = size < room ? size : room;
    ZSTD_frameHeader header;

    if (payload->window_known || more == 0) {
        return 0;
    }
    memcpy(payload->frame_head + payload->frame_head_size, bytes, more);
    payload->frame_head_size += (uint8_t)more;
    if (ZSTD_getFrameHeader(&header, payload->frame_head, payload->frame_head_size) != 0) {
        return 0; /* more must come, or zstd says what is wrong with it */
    }
    payload->window_known = true;
    return check_window(payload, header.windowSize, err);
}

/* ---- one call of a library: takes some of the input, gives some of the piece */

static int run_zstd(struct payload *payload, const uint8_t *bytes, size_t size, size_t *ret_taken, size_t *ret_given,
                    struct err *err)
{
    ZSTD_inBuffer in = {bytes, size, 0};
    ZSTD_outBuffer out = {payload->piece, PAYLOAD_PIECE_BYTES, 0};
    size_t hint;

    if (watch_frame(payload, bytes, size, err) != 0) {
        return -1;
    }
    hint = ZSTD_decompressStream(payload->zstd, &out, &in);
    if (ZSTD_isError(hint)) {
        return err_set(err, ERR_FATAL, "it can't be inflated: %s", ZSTD_getErrorName(hint));
    }
    payload->frame_open = hint != 0;
    if (hint == 0) { /* another frame may follow */
        payload->window_known = false;
        payload->frame_head_size = 0;
    }
    payload->flush_due = out.pos == out.size && hint != 0;
    *ret_taken = in.pos;
    *ret_given = out.pos;
    return 0;
}

static int run_zlib(struct payload *payload, const uint8_t *bytes, size_t size, size_t *ret_taken, size_t *ret_given,
                    struct err *err)
{
    struct z_stream_s *zlib = payload->zlib;
    unsigned given = size < UINT32_MAX ? (unsigned)size : UINT32_MAX;
    int result;

    zlib->next_in = (uint8_t *)(uintptr_t)bytes;
    zlib->avail_in = given;
    zlib->next_out = payload->piece;
    zlib->avail_out = PAYLOAD_PIECE_BYTES;
    result = inflate(zlib, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) { /* the last: nothing to do at the moment */
        return err_set(err, ERR_FATAL, "it can't be inflated: %s", zlib->msg != NULL ? zlib->msg : zError(result));
    }
    *ret_taken = given - zlib->avail_in;
    *ret_given = PAYLOAD_PIECE_BYTES - zlib->avail_out;
    payload->frame_open = result != Z_STREAM_END;
    payload->flush_due = zlib->avail_out == 0 && payload->frame_open;
    return payload->frame_open || *ret_taken == size ? 0 : err_set(err, ERR_FATAL, "it goes on behind its end");
}

static void copy_some(struct payload *payload, const uint8_t *bytes, size_t size, size_t *ret_taken, size_t *ret_given)
{
    *ret_taken = *ret_given = size < PAYLOAD_PIECE_BYTES ? size : PAYLOAD_PIECE_BYTES;
    if (size > 0) {
        memcpy(payload->piece, bytes, *ret_taken);
    }
}

static int run(struct payload *payload, const uint8_t *bytes, size_t size, size_t *ret_taken, size_t *ret_given,
               struct err *err)
{
    switch (payload->method) {
    case PAYLOAD_ZSTD:
        return run_zstd(payload, bytes, size, ret_taken, ret_given, err);
    case PAYLOAD_ZLIB:
        return run_zlib(payload, bytes, size, ret_taken, ret_given, err);
    default:
        copy_some(payload, bytes, size, ret_taken, ret_given);
        return 0;
    }
}

int payload_inflate(struct payload *payload, struct cursor *input, size_t *ret_size, struct err *err)
{
    size_t taken;

    *ret_size = 0;
    while (*ret_size == 0 && (cursor_left(input) > 0 || payload->flush_due)) {
        size_t size = cursor_left(input) < payload->left ? cursor_left(input) : (size_t)payload->left;

        if (size == 0 && !payload->flush_due) {
            return err_set(err, ERR_FATAL, "it goes on behind the size that its head tells");
        }
        if (run(payload, input->at, size, &taken, ret_size, err) != 0) {
            return -1;
        }
        cursor_skip(input, taken);
        payload->left -= taken;
        if (payload->size_told && *ret_size > payload->due) {
            return err_set(err, ERR_FATAL, "it inflates to more than its head tells");
        }
        payload->due -= *ret_size;
    }
    return 0;
}

int payload_end(struct payload *payload, struct err *err)
{
    if (payload->left > 0 || payload->frame_open || (payload->size_told && payload->due > 0)) {
        return err_set(err, ERR_FATAL, "it ends too early");
    }
    if (payload->zstd != NULL && ZSTD_sizeof_DCtx(payload->zstd) > KEPT_BYTES_MAX) {
        (void)ZSTD_freeDCtx(payload->zstd);
        payload->zstd = NULL;
    }
    return 0;
}
