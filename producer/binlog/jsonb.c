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
#include "producer/binlog/jsonb_parts.h"
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

static void fail(struct jsonb_printer *printer, const char *why)
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

static void print_string(struct jsonb_printer *printer, const uint8_t *bytes, size_t size)
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
static void print_double(struct jsonb_printer *printer, double value)
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
static void print_temporal(struct jsonb_printer *printer, uint8_t type, uint64_t stored)
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

static void print_decimal(struct jsonb_printer *printer, struct cursor *cursor)
{
    uint8_t precision = cursor_u8(cursor);
    uint8_t scale = cursor_u8(cursor);

    if (cursor->why != NULL || precision < 1 || precision > 65 || scale > 30 || scale > precision) {
        fail(printer, "JSON: a DECIMAL that can't be");
        return;
    }
    value_decimal_print(cursor, precision, scale, printer->out);
}

static void print_base64(struct jsonb_printer *printer, uint8_t type, const uint8_t *bytes, size_t size)
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
static void print_opaque(struct jsonb_printer *printer, struct cursor *cursor)
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

static void print_literal(struct jsonb_printer *printer, uint64_t literal)
{
    static const char *const texts[] = {"null", "true", "false"};

    if (literal > 2) {
        fail(printer, "JSON: an unknown literal");
        return;
    }
    buffer_append_text(printer->out, texts[literal]);
}

/* ---- objects and arrays */

bool jsonb_is_container(const struct jsonb_value *value)
{
    return value->type <= LARGE_ARRAY;
}

static struct cursor at_offset(const struct jsonb_container *container, uint64_t offset)
{
    struct cursor cursor = container->whole;

    cursor_skip(&cursor, (size_t)offset);
    return cursor;
}

static size_t key_entry_size(const struct jsonb_container *container)
{
    return container->offset_size + 2U;
}

static size_t element_entry_size(const struct jsonb_container *container)
{
    return container->offset_size + 1U;
}

/* Where the table of elements begins, behind two numbers and the table of keys. */
static uint64_t elements_offset(const struct jsonb_container *container)
{
    return 2U * container->offset_size + (container->object ? (uint64_t)container->count * key_entry_size(container) : 0);
}

const char *jsonb_open(const struct jsonb_value *value, struct jsonb_container *ret_container)
{
    struct cursor cursor = value->at;
    uint64_t size;

    *ret_container = (struct jsonb_container){
        .whole = cursor,
        .offset_size = value->type == LARGE_OBJECT || value->type == LARGE_ARRAY ? 4 : 2,
        .object = value->type == SMALL_OBJECT || value->type == LARGE_OBJECT,
    };
    ret_container->count = (uint32_t)cursor_le(&cursor, ret_container->offset_size);
    size = cursor_le(&cursor, ret_container->offset_size);
    if (cursor.why != NULL || size > cursor_left(&ret_container->whole)) {
        return "JSON: an object or array is larger than its document";
    }
    ret_container->whole.end = ret_container->whole.at + size;
    if (elements_offset(ret_container) + (uint64_t)ret_container->count * element_entry_size(ret_container) > size) {
        return "JSON: an object or array has more elements than bytes";
    }
    return NULL;
}

const char *jsonb_key(const struct jsonb_container *container, uint32_t i, const uint8_t **ret_key, size_t *ret_size)
{
    struct cursor entry = at_offset(container, 2U * container->offset_size + (uint64_t)i * key_entry_size(container));
    struct cursor key = at_offset(container, cursor_le(&entry, container->offset_size));

    *ret_size = cursor_u16(&entry);
    *ret_key = cursor_bytes(&key, *ret_size);
    return entry.why != NULL || *ret_key == NULL ? "JSON: a key lies outside its object" : NULL;
}

static bool is_inlined(const struct jsonb_container *container, uint8_t type)
{
    return type == LITERAL || type == INT16 || type == UINT16 ||
           (container->offset_size == 4 && (type == INT32 || type == UINT32));
}

const char *jsonb_element(const struct jsonb_container *container, uint32_t i, struct jsonb_value *ret_value)
{
    struct cursor entry = at_offset(container, elements_offset(container) + (uint64_t)i * element_entry_size(container));

    ret_value->type = cursor_u8(&entry);
    if (!is_inlined(container, ret_value->type)) {
        entry = at_offset(container, cursor_le(&entry, container->offset_size));
    }
    ret_value->at = entry;
    return entry.why != NULL ? "JSON: a value lies outside its document" : NULL;
}

/* ---- printing them */

void jsonb_print_key(struct jsonb_printer *printer, const uint8_t *key, size_t size)
{
    print_string(printer, key, size);
    buffer_append_text(printer->out, ": ");
}

bool jsonb_print_descend(struct jsonb_printer *printer)
{
    if (++printer->depth > JSONB_DEPTH_MAX) {
        fail(printer, "JSON: nested more deeply than MySQL allows");
    }
    return printer->why == NULL;
}

static const char *print_element(struct jsonb_printer *printer, const struct jsonb_container *container, uint32_t i)
{
    const char *why = NULL;
    struct jsonb_value element;
    const uint8_t *key;
    size_t size;

    if (container->object) {
        why = jsonb_key(container, i, &key, &size);
        if (why != NULL) {
            return why;
        }
        jsonb_print_key(printer, key, size);
    }
    why = jsonb_element(container, i, &element);
    if (why == NULL) {
        jsonb_print_value(printer, &element);
    }
    return why;
}

static void print_container(struct jsonb_printer *printer, const struct jsonb_value *value)
{
    struct jsonb_container container;
    const char *why = jsonb_open(value, &container);

    if (why != NULL) {
        fail(printer, why);
        return;
    }
    if (!jsonb_print_descend(printer)) {
        return;
    }
    buffer_append_byte(printer->out, container.object ? '{' : '[');
    for (uint32_t i = 0; i < container.count && printer->why == NULL; i++) {
        if (i > 0) {
            buffer_append_text(printer->out, ", ");
        }
        why = print_element(printer, &container, i);
        if (why != NULL) {
            fail(printer, why);
        }
    }
    buffer_append_byte(printer->out, container.object ? '}' : ']');
    printer->depth--;
}

static void print_scalar(struct jsonb_printer *printer, uint8_t type, struct cursor *cursor)
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

void jsonb_print_value(struct jsonb_printer *printer, const struct jsonb_value *value)
{
    struct cursor cursor = value->at;

    if (printer->out->size > printer->end_max) {
        fail(printer, "JSON: the document points at its parts more than once");
        return;
    }
    if (jsonb_is_container(value)) {
        print_container(printer, value);
        return;
    }
    if (value->type == DOUBLE) {
        uint64_t bits = cursor_u64(&cursor);
        double number;

        memcpy(&number, &bits, sizeof number);
        print_double(printer, number);
    } else if (value->type == STRING) {
        uint32_t size = read_size(&cursor);
        const uint8_t *bytes = cursor_bytes(&cursor, size);

        if (bytes != NULL) {
            print_string(printer, bytes, size);
        }
    } else if (value->type == OPAQUE) {
        print_opaque(printer, &cursor);
    } else {
        print_scalar(printer, value->type, &cursor);
    }
    if (cursor.why != NULL) {
        fail(printer, "JSON: a value ends outside its document");
    }
}

const char *jsonb_document(const uint8_t *bytes, size_t size, struct jsonb_value *ret_value)
{
    ret_value->at = cursor_over(bytes, size);
    ret_value->type = cursor_u8(&ret_value->at);
    return ret_value->at.why;
}

struct jsonb_printer jsonb_printer_over(struct buffer *out, size_t size)
{
    return (struct jsonb_printer){.out = out, .end_max = out->size + TEXT_BYTES_MAX(size)};
}

const char *jsonb_print(const uint8_t *bytes, size_t size, struct buffer *out)
{
    struct jsonb_printer printer = jsonb_printer_over(out, size);
    struct jsonb_value value;
    const char *why = jsonb_document(bytes, size, &value);

    if (why != NULL) {
        return why;
    }
    jsonb_print_value(&printer, &value);
    return printer.why;
}
