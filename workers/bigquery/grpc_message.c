/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message that came whole in one piece, the normal case, is handed on where it lies; else it is gathered.
 *
 * Level 1 of gzip: it is about traffic between clouds, and a row's bytes repeat much (column after column, and row after row).
 */
#include "workers/bigquery/grpc_message.h"

#include <string.h>
#include <zlib.h>

#include "common/must.h"

#define GZIP_WINDOW     (15 + 16) /* zlib's way to say gzip */
#define INFLATE_STEP    (64 << 10)
#define KEEP_BYTES_MAX  (64 << 10) /* a larger body's memory is not kept for the next message */
#define COMPRESSED_FLAG 1

void grpc_prefix_write(uint8_t prefix[GRPC_PREFIX_BYTES], bool compressed, size_t size)
{
    must(size <= UINT32_MAX);
    prefix[0] = compressed ? COMPRESSED_FLAG : 0;
    for (int at = 0; at < 4; at++) {
        prefix[1 + at] = (uint8_t)(size >> (24 - 8 * at));
    }
}

bool grpc_message_deflate(const uint8_t *message, size_t size, struct buffer *out)
{
    z_stream stream = {.next_in = (uint8_t *)message, .avail_in = (uInt)size};
    int result;

    must(size <= UINT32_MAX);
    buffer_clear(out);
    if (size == 0) {
        return false;
    }
    must(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    stream.next_out = buffer_reserve(out, size);
    stream.avail_out = (uInt)size - 1; /* no room for what would not be smaller */
    result = deflate(&stream, Z_FINISH);
    out->size = stream.total_out;
    (void)deflateEnd(&stream);
    return result == Z_STREAM_END;
}

static size_t claimed(const struct grpc_reader *reader)
{
    const uint8_t *prefix = reader->_prefix;

    return (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 8 | prefix[4];
}

static enum grpc_code fail(enum grpc_code code, struct err *err, const char *text)
{
    (void)err_set(err, ERR_RETRY, "%s", text);
    return code;
}

static enum grpc_code inflate_all(z_stream *stream, struct buffer *plain, struct err *err)
{
    int result = Z_OK;

    while (result == Z_OK) {
        stream->next_out = buffer_reserve(plain, INFLATE_STEP);
        stream->avail_out = INFLATE_STEP;
        result = inflate(stream, Z_NO_FLUSH);
        plain->size += INFLATE_STEP - stream->avail_out;
        if (plain->size > GRPC_MESSAGE_BYTES_MAX) {
            return fail(GRPC_RESOURCE_EXHAUSTED, err, "a received message is too large once it is inflated");
        }
    }
    if (result != Z_STREAM_END || stream->avail_in != 0) {
        return fail(GRPC_INTERNAL, err, "a received message is no whole gzip stream");
    }
    return GRPC_OK;
}

static enum grpc_code deliver_inflated(struct grpc_reader *reader, const uint8_t *message, size_t size, struct err *err)
{
    z_stream stream = {.next_in = (uint8_t *)message, .avail_in = (uInt)size};
    struct buffer plain = {0};
    enum grpc_code code;

    must(inflateInit2(&stream, GZIP_WINDOW) == Z_OK);
    code = inflate_all(&stream, &plain, err);
    (void)inflateEnd(&stream);
    if (code == GRPC_OK) {
        reader->message(reader->context, plain.bytes, plain.size);
    }
    buffer_deinit(&plain);
    return code;
}

static enum grpc_code deliver(struct grpc_reader *reader, const uint8_t *message, size_t size, struct err *err)
{
    reader->_prefix_size = 0;
    if (reader->_prefix[0] == COMPRESSED_FLAG) {
        return deliver_inflated(reader, message, size, err);
    }
    reader->message(reader->context, message, size);
    return GRPC_OK;
}

static enum grpc_code check_prefix(const struct grpc_reader *reader, struct err *err)
{
    if (reader->_prefix[0] > COMPRESSED_FLAG) {
        return fail(GRPC_INTERNAL, err, "what was received is no gRPC message (flags unknown)");
    }
    if (reader->_prefix[0] == COMPRESSED_FLAG && !reader->gzip) {
        return fail(GRPC_INTERNAL, err, "a received message is compressed, and not by gzip");
    }
    if (claimed(reader) > GRPC_MESSAGE_BYTES_MAX) {
        return fail(GRPC_RESOURCE_EXHAUSTED, err, "a received message is too large");
    }
    return GRPC_OK;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Takes a message, or a part of it, from the front of the bytes. */
static enum grpc_code take_body(struct grpc_reader *reader, const uint8_t *bytes, size_t size, size_t *ret_taken,
                                struct err *err)
{
    size_t missing = claimed(reader) - reader->_body.size;
    enum grpc_code code;

    *ret_taken = smaller(missing, size);
    if (reader->_body.size == 0 && *ret_taken == missing) {
        return deliver(reader, bytes, missing, err);
    }
    buffer_append(&reader->_body, bytes, *ret_taken);
    if (*ret_taken < missing) {
        return GRPC_OK;
    }
    code = deliver(reader, reader->_body.bytes, reader->_body.size, err);
    if (reader->_body.size > KEEP_BYTES_MAX) {
        buffer_deinit(&reader->_body);
    }
    buffer_clear(&reader->_body);
    return code;
}

enum grpc_code grpc_reader_feed(struct grpc_reader *reader, const uint8_t *bytes, size_t size, struct err *err)
{
    enum grpc_code code = GRPC_OK;
    size_t at = 0;

    while (code == GRPC_OK && at < size) {
        size_t taken = 0;

        if (reader->_prefix_size < GRPC_PREFIX_BYTES) {
            taken = smaller(GRPC_PREFIX_BYTES - reader->_prefix_size, size - at);
            memcpy(reader->_prefix + reader->_prefix_size, bytes + at, taken);
            reader->_prefix_size += taken;
            if (reader->_prefix_size == GRPC_PREFIX_BYTES) {
                code = check_prefix(reader, err);
            }
        }
        at += taken;
        /* A message of no bytes is whole with its prefix. */
        if (code == GRPC_OK && reader->_prefix_size == GRPC_PREFIX_BYTES) {
            code = take_body(reader, bytes + at, size - at, &taken, err);
            at += taken;
        }
    }
    return code;
}

bool grpc_reader_inside(const struct grpc_reader *reader)
{
    return reader->_prefix_size > 0;
}

void grpc_reader_deinit(struct grpc_reader *reader)
{
    buffer_deinit(&reader->_body);
}
