/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tag is a varint of field number * 8 + wire type. What a message must not do to its reader: send it past the end (each
 * length is compared with what is left, never added to a pointer first), into recursion (groups, which nobody writes any more
 * but an unknown field may be, are skipped by counting how deep we are), or around in a circle (each field takes at least one
 * byte).
 */
#include "workers/bigquery/protobuf.h"

#include <string.h>

#include "common/must.h"

#define FIELD_MAX       ((UINT32_C(1) << 29) - 1)
#define GROUP_DEPTH_MAX 32

/* ---- writing */

static uint64_t tag_of(uint32_t field, enum protobuf_wire wire)
{
    must(field >= 1 && field <= FIELD_MAX);
    return (uint64_t)field << 3 | wire;
}

size_t protobuf_varint_size(uint64_t value)
{
    size_t bits = 64 - (size_t)__builtin_clzll(value | 1);

    return (bits + 6) / 7;
}

uint8_t *protobuf_write_varint(uint8_t *to, uint64_t value)
{
    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

void protobuf_put_varint(struct buffer *out, uint32_t field, uint64_t value)
{
    uint8_t *to = buffer_reserve(out, (size_t)2 * PROTOBUF_VARINT_MAX);

    to = protobuf_write_varint(to, tag_of(field, PROTOBUF_VARINT));
    out->size = (size_t)(protobuf_write_varint(to, value) - out->bytes);
}

void protobuf_put_begin(struct buffer *out, uint32_t field, size_t size)
{
    uint8_t *to = buffer_reserve(out, (size_t)2 * PROTOBUF_VARINT_MAX);

    to = protobuf_write_varint(to, tag_of(field, PROTOBUF_BYTES));
    out->size = (size_t)(protobuf_write_varint(to, size) - out->bytes);
}

void protobuf_put_bytes(struct buffer *out, uint32_t field, const void *bytes, size_t size)
{
    protobuf_put_begin(out, field, size);
    buffer_append(out, bytes, size);
}

void protobuf_put_text(struct buffer *out, uint32_t field, const char *text)
{
    protobuf_put_bytes(out, field, text, strlen(text));
}

size_t protobuf_field_size(uint32_t field, size_t size)
{
    return protobuf_varint_size(tag_of(field, PROTOBUF_BYTES)) + protobuf_varint_size(size) + size;
}

/* ---- reading */

struct protobuf_reader protobuf_read(const void *bytes, size_t size)
{
    const uint8_t *at = size > 0 ? bytes : (const uint8_t *)"";

    return (struct protobuf_reader){at, at + size, NULL};
}

struct protobuf_reader protobuf_read_inner(const struct protobuf_field *field)
{
    must(field->wire == PROTOBUF_BYTES);
    return protobuf_read(field->bytes, field->size);
}

static bool spoil(struct protobuf_reader *reader, const char *why)
{
    if (reader->bad == NULL) {
        reader->bad = why;
    }
    reader->_at = reader->_end;
    return false;
}

static bool take_varint(struct protobuf_reader *reader, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte;

        if (reader->_at == reader->_end) {
            return spoil(reader, "the bytes end inside a number");
        }
        byte = *reader->_at++;
        if (shift == 63 && byte > 1) {
            break;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_value = value;
            return true;
        }
    }
    return spoil(reader, "a number of more than 64 bits");
}

static bool take_tag(struct protobuf_reader *reader, struct protobuf_field *field)
{
    uint64_t tag = 0;

    if (!take_varint(reader, &tag)) {
        return false;
    }
    if (tag >> 3 == 0 || tag >> 3 > FIELD_MAX) {
        return spoil(reader, "a field number that can't be");
    }
    field->number = (uint32_t)(tag >> 3);
    field->wire = (enum protobuf_wire)(tag & 7);
    return true;
}

static bool take_fixed(struct protobuf_reader *reader, size_t size, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (size > (size_t)(reader->_end - reader->_at)) {
        return spoil(reader, "the bytes end inside a number");
    }
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)reader->_at[i] << (8 * i);
    }
    reader->_at += size;
    *ret_value = value;
    return true;
}

static bool take_bytes(struct protobuf_reader *reader, struct protobuf_field *field)
{
    uint64_t size = 0;

    if (!take_varint(reader, &size)) {
        return false;
    }
    if (size > (size_t)(reader->_end - reader->_at)) {
        return spoil(reader, "a field is longer than its message");
    }
    field->bytes = reader->_at;
    field->size = (size_t)size;
    reader->_at += size;
    return true;
}

/* What stands behind the tag of anything but a group. */
static bool take_content(struct protobuf_reader *reader, struct protobuf_field *field)
{
    switch (field->wire) {
    case PROTOBUF_VARINT:
        return take_varint(reader, &field->value);
    case PROTOBUF_FIXED64:
        return take_fixed(reader, 8, &field->value);
    case PROTOBUF_FIXED32:
        return take_fixed(reader, 4, &field->value);
    case PROTOBUF_BYTES:
        return take_bytes(reader, field);
    case PROTOBUF_GROUP_BEGIN:
    case PROTOBUF_GROUP_END:
        break;
    }
    return spoil(reader, "a wire type that can't be");
}

/* From behind the tag that begins a group to behind the one that ends it. */
static bool skip_group(struct protobuf_reader *reader, uint32_t number)
{
    uint32_t open[GROUP_DEPTH_MAX] = {number};
    size_t depth = 1;

    while (depth > 0) {
        struct protobuf_field field = {0};

        if (!take_tag(reader, &field)) {
            return false;
        }
        if (field.wire == PROTOBUF_GROUP_BEGIN) {
            if (depth == GROUP_DEPTH_MAX) {
                return spoil(reader, "groups too deep in one another");
            }
            open[depth++] = field.number;
        } else if (field.wire == PROTOBUF_GROUP_END) {
            if (open[--depth] != field.number) {
                return spoil(reader, "a group that ends as another");
            }
        } else if (!take_content(reader, &field)) {
            return false;
        }
    }
    return true;
}

bool protobuf_next(struct protobuf_reader *reader, struct protobuf_field *ret_field)
{
    while (reader->_at != reader->_end) {
        struct protobuf_field field = {0};

        if (!take_tag(reader, &field)) {
            return false;
        }
        if (field.wire == PROTOBUF_GROUP_BEGIN) {
            if (!skip_group(reader, field.number)) {
                return false;
            }
            continue;
        }
        if (!take_content(reader, &field)) {
            return false;
        }
        *ret_field = field;
        return true;
    }
    return false;
}

int protobuf_read_end(const struct protobuf_reader *reader, const char *what, struct err *err)
{
    if (reader->bad != NULL) {
        return err_set(err, ERR_POISON, "%s: %s", what, reader->bad);
    }
    return 0;
}

bool protobuf_is(const struct protobuf_field *field, uint32_t number, enum protobuf_wire wire)
{
    return field->number == number && field->wire == wire;
}
