/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value: MariaDB's UUID, INET4 and INET6, which travel as BINARY without its trailing zeros, to the text that MariaDB prints.
 *
 * An IPv6 address: words in hexadecimal without leading zeros; the longest run of zero words, the first of the longest, is
 * "::", also if it is a single word; in ::a.b.c.d and ::ffff:a.b.c.d the last four bytes stand in decimal.
 */
#include <stdio.h>
#include <string.h>

#include "producer/binlog/value.h"

#define ADDRESS_BYTES 16
#define WORDS         8
#define TEXT_BYTES    48

static bool read_padded(const struct value_column *column, struct cursor *cursor, uint8_t *bytes, size_t size)
{
    size_t here = (size_t)cursor_le(cursor, column->length_size);
    const uint8_t *from = cursor_bytes(cursor, here);

    if (from == NULL || here > size) {
        cursor_fail(cursor, "a value is longer than its type");
        return false;
    }
    memset(bytes, 0, size);
    memcpy(bytes, from, here);
    return true;
}

static void set_text(struct cell *cell, struct scratch *scratch, const char *text)
{
    size_t size = strlen(text);
    uint8_t *bytes = scratch_take(scratch, size);

    memcpy(bytes, text, size);
    value_set_bytes(cell, bytes, size);
}

void value_uuid(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    uint8_t bytes[ADDRESS_BYTES];
    char text[TEXT_BYTES];
    size_t at = 0;

    if (!read_padded(column, cursor, bytes, sizeof bytes)) {
        return;
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        at +=
            (size_t)snprintf(text + at, sizeof text - at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
    }
    set_text(ret_cell, scratch, text);
}

static size_t print_inet4(char *text, size_t size, const uint8_t *bytes)
{
    return (size_t)snprintf(text, size, "%u.%u.%u.%u", bytes[0], bytes[1], bytes[2], bytes[3]);
}

void value_inet4(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    uint8_t bytes[4];
    char text[TEXT_BYTES];

    if (read_padded(column, cursor, bytes, sizeof bytes)) {
        (void)print_inet4(text, sizeof text, bytes);
        set_text(ret_cell, scratch, text);
    }
}

/* Of the longest run of zeros; *ret_count 0: there are none. */
static size_t find_gap(const unsigned *words, size_t *ret_count)
{
    size_t first = 0;
    size_t count = 0;

    *ret_count = 0;
    for (size_t i = 0; i < WORDS; i++) {
        count = words[i] == 0 ? count + 1 : 0;
        if (count > *ret_count) {
            *ret_count = count;
            first = i + 1 - count;
        }
    }
    return first;
}

void value_inet6(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    uint8_t bytes[ADDRESS_BYTES];
    unsigned words[WORDS];
    char text[TEXT_BYTES] = "";
    size_t at = 0;
    size_t gap;
    size_t gap_count;

    if (!read_padded(column, cursor, bytes, sizeof bytes)) {
        return;
    }
    for (size_t i = 0; i < WORDS; i++) {
        words[i] = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
    }
    gap = find_gap(words, &gap_count);
    for (size_t i = 0; i < WORDS; i++) {
        if (gap_count > 0 && i == gap) {
            at += (size_t)snprintf(text + at, sizeof text - at, i == 0 ? "::" : ":");
            i += gap_count - 1;
        } else if (i == 6 && gap == 0 && (gap_count == 6 || (gap_count == 5 && words[5] == 0xffff))) {
            (void)print_inet4(text + at, sizeof text - at, bytes + 12);
            break;
        } else {
            at += (size_t)snprintf(text + at, sizeof text - at, i + 1 < WORDS ? "%x:" : "%x", words[i]);
        }
    }
    set_text(ret_cell, scratch, text);
}
