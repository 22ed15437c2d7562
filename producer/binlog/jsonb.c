/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets come from outside, so every read is inside its own container, and depth and size have limits. */
#include "producer/binlog/jsonb.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "producer/binlog/charset.h"
#include "producer/binlog/cursor.h"
#include "producer/binlog/value.h"

enum { /* types of values */
       SMALL_OBJECT = 0,
       LARGE_OBJECT = 1,
       SMALL_ARRAY = 2,
       LARGE_ARRAY = 3,
       LITERAL = 4,
       INT16 = 5,
       UINT16 = 6,
       INT32 = 7,
       UINT32 = 8,
       INT64 = 9,
       UINT64 = 10,
       DOUBLE = 11,
       STRING = 12,
       OPAQUE = 15,
};

enum { /* MySQL's types of opaque values that have a text of their own */
       MYSQL_TIMESTAMP = 7,
       MYSQL_DATE = 10,
       MYSQL_TIME = 11,
       MYSQL_DATETIME = 12,
       MYSQL_NEWDECIMAL = 246,
};

/* A control character takes 6 bytes of text; an empty key with an inlined `false` takes 13 of 7. */
#define TEXT_BYTES_MAX(size) (64 + 8 * (size))

struct printer {
    struct buffer *out;
    size_t end_max; /* the output may not become larger */
    unsigned depth;
    const char *why;
};

static void fail(struct printer *printer, const char *why)
{
    if (printer->why == NULL) {
        printer->why = why;
    }
}

/* A variable-length size: 7 bits a byte, lowest first, the highest bit says that more follow; at most 5 bytes. */
static uint32_t read_size(struct cursor *cursor)
{
    uint64_t size = 0;

    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t byte = cursor_u8(cursor);

        size |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return size <= UINT32_MAX ? (uint32_t)size : UINT32_MAX;
        }
    }
    cursor_fail(cursor, "JSON: a size has more than 5 bytes");
    return 0;
}

static void print_string(struct printer *printer, const uint8_t *bytes, size_t size)
{
    static const char *const escapes[32] = {['\b'] = "\\b", ['\f'] = "\\f", ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t"};
    size_t begin = 0;

    if (!charset_is_utf8(bytes, size)) {
        fail(printer, "JSON: a text is not UTF-8");
        return;
    }
    if (printer->out->size + size > printer->end_max) {
        fail(printer, "JSON: the document points at its parts more than once");
        return;
    }
    buffer_append_byte(printer->out, '"');
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] >= 0x20 && bytes[i] != '"' && bytes[i] != '\\') {
            continue;
        }
        buffer_append(printer->out, bytes + begin, i - begin);
        begin = i + 1;
        if (bytes[i] >= 0x20) {
            buffer_append_byte(printer->out, '\\');
            buffer_append_byte(printer->out, bytes[i]);
        } else if (escapes[bytes[i]] != NULL) {
            buffer_append_text(printer->out, escapes[bytes[i]]);
        } else {
            buffer_printf(printer->out, "\\u%04x", bytes[i]);
        }
    }
    buffer_append(printer->out, bytes + begin, size - begin);
    buffer_append_byte(printer->out, '"');
}

/* The shortest digits that read back the same, as my_gcvt writes them: without an exponent from 1e-15 up to below 1e15, and
 * above if there are digits behind the point; a whole number with ".0". */
static void print_double(struct printer *printer, double value)
{
    char digits[32];
    char *exponent_at;
    int exponent;
    int precision = 0;

    if (!isfinite(value)) {
        fail(printer, "JSON: a number is not finite");
        return;
    }
    do {
        (void)snprintf(digits, sizeof digits, "%.*e", precision, value);
    } while (precision++ < 16 && strtod(digits, NULL) != value);
    exponent_at = strchr(digits, 'e');
    exponent = (int)strtol(exponent_at + 1, NULL, 10);
    if (exponent >= -15 && (exponent < 15 || precision > exponent + 1)) {
        int behind = precision - 1 - exponent;

        buffer_printf(printer->out, "%.*f", behind > 1 ? behind : 1, value);
    } else {
        buffer_printf(printer->out, "%.*se%d", (int)(exponent_at - digits), digits, exponent);
    }
}

/* The packed form: sign, then (year * 13 + month 17 bits, day 5), hour 5 (TIME: 10), minute 6, second 6, microsecond 24. */
static void print_temporal(struct printer *printer, uint8_t type, uint64_t stored)
{
    int64_t packed = (int64_t)stored;
    uint64_t magnitude = packed < 0 ? (uint64_t)0 - stored : stored;
    unsigned microsecond = (unsigned)(magnitude & 0xffffff);
    uint64_t clock = magnitude >> 24;
    uint64_t day = clock >> 17;
    struct buffer *out = printer->out;

    if (type == MYSQL_TIME) {
        buffer_printf(out, "\"%s%02u:%02u:%02u.%06u\"", packed < 0 ? "-" : "", (unsigned)(clock >> 12 & 1023),
                      (unsigned)(clock >> 6 & 63), (unsigned)(clock & 63), microsecond);
        return;
    }
    buffer_printf(out, "\"%04u-%02u-%02u", (unsigned)(day >> 5) / 13, (unsigned)(day >> 5) % 13, (unsigned)(day & 31));
    if (type != MYSQL_DATE) {
        buffer_printf(out, " %02u:%02u:%02u.%06u", (unsigned)(clock >> 12 & 31), (unsigned)(clock >> 6 & 63),
                      (unsigned)(clock & 63), microsecond);
    }
    buffer_append_byte(out, '"');
}

static void print_decimal(struct printer *printer, struct cursor *cursor)
{
    uint8_t precision = cursor_u8(cursor);
    uint8_t scale = cursor_u8(cursor);

    if (cursor->why != NULL || precision < 1 || precision > 65 || scale > 30 || scale > precision) {
        fail(printer, "JSON: a DECIMAL that can't be");
        return;
    }
    value_decimal_print(cursor, precision, scale, printer->out);
}

static void print_base64(struct printer *printer, uint8_t type, const uint8_t *bytes, size_t size)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    if (printer->out->size + size + size / 2 > printer->end_max) {
        fail(printer, "JSON: the document points at its parts more than once");
        return;
    }
    buffer_printf(printer->out, "\"base64:type%u:", type);
    for (size_t i = 0; i < size; i += 3) {
        size_t here = size - i < 3 ? size - i : 3;
        uint32_t word = (uint32_t)bytes[i] << 16 | (here > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (here > 2 ? bytes[i + 2] : 0);

        buffer_append_byte(printer->out, (uint8_t)letters[word >> 18]);
        buffer_append_byte(printer->out, (uint8_t)letters[word >> 12 & 63]);
        buffer_append_byte(printer->out, here > 1 ? (uint8_t)letters[word >> 6 & 63] : '=');
        buffer_append_byte(printer->out, here > 2 ? (uint8_t)letters[word & 63] : '=');
    }
    buffer_append_byte(printer->out, '"');
}

/* type u8, size, bytes */
static void print_opaque(struct printer *printer, struct cursor *cursor)
{
    uint8_t type = cursor_u8(cursor);
    uint32_t size = read_size(cursor);
    struct cursor value = cursor_part(cursor, size);

    if (value.why != NULL) {
        fail(printer, value.why);
        return;
    }
    switch (type) {
    case MYSQL_NEWDECIMAL:
        print_decimal(printer, &value);
        break;
    case MYSQL_DATE:
    case MYSQL_TIME:
    case MYSQL_DATETIME:
    case MYSQL_TIMESTAMP:
        print_temporal(printer, type, cursor_u64(&value));
        break;
    default:
        print_base64(printer, type, value.at, size);
        return;
    }
    if (value.why != NULL) {
        fail(printer, value.why);
    }
}

static void print_literal(struct printer *printer, uint64_t literal)
{
    static const char *const texts[] = {"null", "true", "false"};

    if (literal > 2) {
        fail(printer, "JSON: an unknown literal");
        return;
    }
    buffer_append_text(printer->out, texts[literal]);
}

static void print_value(struct printer *printer, uint8_t type, struct cursor cursor);

/* What every entry of an object or array needs. */
struct container {
    struct cursor whole; /* from its element count on: offsets count from here */
    uint8_t offset_size; /* 2 or 4 */
    uint32_t count;
    bool object;
};

static struct cursor at_offset(const struct container *container, uint64_t offset)
{
    struct cursor cursor = container->whole;

    cursor_skip(&cursor, (size_t)offset);
    return cursor;
}

static void print_key(struct printer *printer, const struct container *container, uint32_t i)
{
    struct cursor entry = at_offset(container, 2U * container->offset_size + (uint64_t)i * (container->offset_size + 2U));
    uint64_t offset = cursor_le(&entry, container->offset_size);
    uint16_t size = cursor_u16(&entry);
    struct cursor key = at_offset(container, offset);
    const uint8_t *bytes = cursor_bytes(&key, size);

    if (entry.why != NULL || bytes == NULL) {
        fail(printer, "JSON: a key lies outside its object");
        return;
    }
    print_string(printer, bytes, size);
    buffer_append_text(printer->out, ": ");
}

static bool is_inlined(const struct container *container, uint8_t type)
{
    return type == LITERAL || type == INT16 || type == UINT16 ||
           (container->offset_size == 4 && (type == INT32 || type == UINT32));
}

static void print_element(struct printer *printer, const struct container *container, uint32_t i)
{
    uint64_t keys = container->object ? (uint64_t)container->count * (container->offset_size + 2U) : 0;
    struct cursor entry =
        at_offset(container, 2U * container->offset_size + keys + (uint64_t)i * (container->offset_size + 1U));
    uint8_t type = cursor_u8(&entry);

    if (!is_inlined(container, type)) {
        entry = at_offset(container, cursor_le(&entry, container->offset_size));
    }
    if (entry.why != NULL) {
        fail(printer, "JSON: a value lies outside its document");
        return;
    }
    print_value(printer, type, entry);
}

static void print_container(struct printer *printer, uint8_t type, struct cursor cursor)
{
    struct container container = {
        .whole = cursor,
        .offset_size = type == LARGE_OBJECT || type == LARGE_ARRAY ? 4 : 2,
        .object = type == SMALL_OBJECT || type == LARGE_OBJECT,
    };
    uint64_t size;

    container.count = (uint32_t)cursor_le(&cursor, container.offset_size);
    size = cursor_le(&cursor, container.offset_size);
    if (cursor.why != NULL || size > cursor_left(&container.whole)) {
        fail(printer, "JSON: an object or array is larger than its document");
        return;
    }
    container.whole.end = container.whole.at + size;
    if (++printer->depth > JSONB_DEPTH_MAX) {
        fail(printer, "JSON: nested more deeply than MySQL allows");
        return;
    }
    buffer_append_byte(printer->out, container.object ? '{' : '[');
    for (uint32_t i = 0; i < container.count && printer->why == NULL; i++) {
        if (i > 0) {
            buffer_append_text(printer->out, ", ");
        }
        if (container.object) {
            print_key(printer, &container, i);
        }
        print_element(printer, &container, i);
    }
    buffer_append_byte(printer->out, container.object ? '}' : ']');
    printer->depth--;
}

static void print_scalar(struct printer *printer, uint8_t type, struct cursor *cursor)
{
    switch (type) {
    case LITERAL:
        print_literal(printer, cursor_u8(cursor));
        break;
    case INT16:
        buffer_printf(printer->out, "%d", (int16_t)cursor_u16(cursor));
        break;
    case UINT16:
        buffer_printf(printer->out, "%u", cursor_u16(cursor));
        break;
    case INT32:
        buffer_printf(printer->out, "%" PRId32, (int32_t)cursor_u32(cursor));
        break;
    case UINT32:
        buffer_printf(printer->out, "%" PRIu32, cursor_u32(cursor));
        break;
    case INT64:
        buffer_printf(printer->out, "%" PRId64, (int64_t)cursor_u64(cursor));
        break;
    case UINT64:
        buffer_printf(printer->out, "%" PRIu64, cursor_u64(cursor));
        break;
    default:
        fail(printer, "JSON: an unknown type of value");
        break;
    }
}

static void print_value(struct printer *printer, uint8_t type, struct cursor cursor)
{
    if (printer->out->size > printer->end_max) {
        fail(printer, "JSON: the document points at its parts more than once");
        return;
    }
    if (type <= LARGE_ARRAY) {
        print_container(printer, type, cursor);
        return;
    }
    if (type == DOUBLE) {
        uint64_t bits = cursor_u64(&cursor);
        double value;

        memcpy(&value, &bits, sizeof value);
        print_double(printer, value);
    } else if (type == STRING) {
        uint32_t size = read_size(&cursor);
        const uint8_t *bytes = cursor_bytes(&cursor, size);

        if (bytes != NULL) {
            print_string(printer, bytes, size);
        }
    } else if (type == OPAQUE) {
        print_opaque(printer, &cursor);
    } else {
        print_scalar(printer, type, &cursor);
    }
    if (cursor.why != NULL) {
        fail(printer, "JSON: a value ends outside its document");
    }
}

const char *jsonb_print(const uint8_t *bytes, size_t size, struct buffer *out)
{
    struct printer printer = {.out = out, .end_max = out->size + TEXT_BYTES_MAX(size)};
    struct cursor cursor = cursor_over(bytes, size);
    uint8_t type = cursor_u8(&cursor);

    if (cursor.why != NULL) {
        return cursor.why;
    }
    print_value(&printer, type, cursor);
    return printer.why;
}
