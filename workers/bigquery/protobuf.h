/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protobuf: the wire format (protobuf.dev, "Encoding"), written into a buffer and read back with every border checked. It knows
 * no message; storage_messages.h, descriptor.h and row_program.h do.
 *
 * Writing: scalar fields are written whatever their value (the caller leaves out what is unset). Reading: a walk over the
 * fields of one message; a reader that met something wrong stays bad and gives no more fields, so one check behind the walk is
 * enough.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_PROTOBUF_H
#define KAKEHI_WORKERS_BIGQUERY_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"

enum protobuf_wire {
    PROTOBUF_VARINT = 0,
    PROTOBUF_FIXED64 = 1,
    PROTOBUF_BYTES = 2, /* strings, bytes, messages, packed lists */
    PROTOBUF_GROUP_BEGIN = 3,
    PROTOBUF_GROUP_END = 4,
    PROTOBUF_FIXED32 = 5,
};

#define PROTOBUF_VARINT_MAX 10 /* bytes of the longest varint */

/* ---- writing */

size_t protobuf_varint_size(uint64_t value); /* 1 to 10 */
/* Writes the varint, returns where the next byte goes. There must be room for protobuf_varint_size bytes. */
uint8_t *protobuf_write_varint(uint8_t *to, uint64_t value);

/* int32, int64, bool and enums are varints of the sign-extended 64-bit value. */
void protobuf_put_varint(struct buffer *out, uint32_t field, uint64_t value);
void protobuf_put_bytes(struct buffer *out, uint32_t field, const void *bytes, size_t size);
void protobuf_put_text(struct buffer *out, uint32_t field, const char *text);
/* The tag and the length of a field whose `size` bytes the caller appends next. */
void protobuf_put_begin(struct buffer *out, uint32_t field, size_t size);
/* How much a field of `size` bytes takes, tag and length included. */
size_t protobuf_field_size(uint32_t field, size_t size);

/* ---- reading */

struct protobuf_field {
    uint32_t number;
    enum protobuf_wire wire; /* never a group: groups are skipped */
    uint64_t value;          /* VARINT, FIXED64, FIXED32 */
    const uint8_t *bytes;    /* BYTES: borrowed from the message; never NULL then */
    size_t size;
};

struct protobuf_reader {
    const uint8_t *_at;
    const uint8_t *_end;
    const char *bad; /* the first thing wrong, or NULL; a static text */
};

struct protobuf_reader protobuf_read(const void *bytes, size_t size);
/* The message inside a field of wire type BYTES. */
struct protobuf_reader protobuf_read_inner(const struct protobuf_field *field);
/* False at the end and on anything wrong. */
bool protobuf_next(struct protobuf_reader *reader, struct protobuf_field *ret_field);
/* 0, or -1 and ERR_POISON "what: why" if the reader is bad. */
int protobuf_read_end(const struct protobuf_reader *reader, const char *what, struct err *err) MUST_CHECK;
/* Is it this field, in this wire type? One in another wire type is unknown, and skipped like any unknown field. */
bool protobuf_is(const struct protobuf_field *field, uint32_t number, enum protobuf_wire wire);

#endif
