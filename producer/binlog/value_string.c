/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value: text, bytes, ENUM, SET and JSON.
 *
 * A cell of text is always UTF-8. UTF-8, and text of most sets that is ASCII only, points into the row; other text is written to
 * the scratch. BINARY(n) comes without its trailing zeros and gets them back.
 */
#include <string.h>
#include <zlib.h>

#include "common/must.h"
#include "producer/binlog/jsonb.h"
#include "producer/binlog/payload.h"
#include "producer/binlog/value.h"

#define DEFLATE_RATIO_MAX 1100 /* a byte of it makes at most 1,032 */
#define RAW_DEFLATE       8

/* A value of a COMPRESSED column: nothing (the empty value); a 0 and the plain bytes; or a byte of 0x80 + n, and + 8 where there is
 * no header of zlib, n bytes of the size without compression, and what deflate made of it. */
static const uint8_t *inflate_value(struct cursor *cursor, const uint8_t *bytes, size_t *size, struct scratch *scratch)
{
    struct cursor stored = cursor_over(bytes, *size);
    z_stream zlib = {0};
    uint64_t whole;
    uint8_t *out;
    int result;

    if (*size == 0 || *bytes == 0) {
        *size -= *size > 0;
        return bytes + (*size > 0);
    }
    whole = payload_read_size(&stored);
    if (stored.why != NULL || whole > DEFLATE_RATIO_MAX * *size) {
        cursor_fail(cursor, "a compressed value has no size that it can have");
        return NULL;
    }
    out = scratch_take(scratch, (size_t)whole + 1);
    must(inflateInit2(&zlib, (*bytes & RAW_DEFLATE) != 0 ? -MAX_WBITS : MAX_WBITS) == Z_OK);
    zlib.next_in = (uint8_t *)(uintptr_t)stored.at;
    zlib.avail_in = (unsigned)cursor_left(&stored);
    zlib.next_out = out;
    zlib.avail_out = (unsigned)whole + 1; /* one more, to see what is larger than it says */
    result = inflate(&zlib, Z_FINISH);
    if (result != Z_STREAM_END || zlib.total_out != whole || zlib.avail_in > 0) {
        cursor_fail(cursor, "a compressed value can't be inflated to the size that it tells");
        out = NULL;
    }
    (void)inflateEnd(&zlib);
    *size = (size_t)whole;
    return out;
}

/* NULL: the cursor has failed. */
static const uint8_t *read_sized(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, size_t *ret_size)
{
    const uint8_t *bytes;

    *ret_size = (size_t)cursor_le(cursor, column->length_size);
    bytes = cursor_bytes(cursor, *ret_size);
    return column->compressed && bytes != NULL ? inflate_value(cursor, bytes, ret_size, scratch) : bytes;
}

static void set_text(enum charset charset, const uint8_t *bytes, size_t size, struct scratch *scratch, struct cell *cell)
{
    uint8_t *out;
    size_t out_size;

    value_set_bytes(cell, bytes, size);
    if (charset_is_plain(charset, bytes, size)) {
        return;
    }
    out = scratch_take(scratch, size * CHARSET_GROWTH);
    if (charset_to_utf8(charset, bytes, size, out, &out_size)) {
        value_set_bytes(cell, out, out_size);
    } else {
        cell->state = CELL_UNREPRESENTABLE;
    }
}

void value_text(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    size_t size;
    const uint8_t *bytes = read_sized(column, cursor, scratch, &size);

    if (bytes != NULL) {
        set_text(column->charset, bytes, size, scratch, ret_cell);
    }
}

void value_bytes(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    size_t size;
    const uint8_t *bytes = read_sized(column, cursor, scratch, &size);

    if (bytes == NULL) {
        return;
    }
    if (size < column->padded_size) {
        uint8_t *padded = scratch_take(scratch, column->padded_size);

        memcpy(padded, bytes, size);
        memset(padded + size, 0, column->padded_size - size);
        bytes = padded;
        size = column->padded_size;
    }
    value_set_bytes(ret_cell, bytes, size);
}

/* 0 is the empty text that stands for a value that was not in the list. */
void value_enum(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    uint64_t number = cursor_le(cursor, column->width);
    static const uint8_t nothing[1];

    (void)scratch;
    if (number > column->label_count) {
        cursor_fail(cursor, "an ENUM has a number beyond its values");
    } else if (number == 0) {
        value_set_bytes(ret_cell, nothing, 0);
    } else {
        const struct value_label *label = &column->labels[number - 1];

        value_set_bytes(ret_cell, (const uint8_t *)label->text, label->size);
    }
}

/* Bit i stands for value i; they are joined with commas. */
void value_set(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    uint64_t bits = cursor_le(cursor, column->width);

    if (column->label_count < 64 && bits >> column->label_count != 0) {
        cursor_fail(cursor, "a SET has a bit beyond its values");
        return;
    }
    buffer_clear(&scratch->text);
    for (size_t i = 0; i < column->label_count; i++) {
        if ((bits >> i & 1) != 0) {
            if (scratch->text.size > 0) {
                buffer_append_byte(&scratch->text, ',');
            }
            buffer_append(&scratch->text, column->labels[i].text, column->labels[i].size);
        }
    }
    value_set_bytes(ret_cell, scratch_keep_text(scratch), scratch->text.size);
}

void value_label_number(const struct value_column *column, struct cursor *cursor, struct scratch *scratch,
                        struct cell *ret_cell)
{
    (void)scratch;
    value_set_integer(ret_cell, (int64_t)cursor_le(cursor, column->width));
}

/* An empty value is what MySQL stores for a NOT NULL column that an IGNORE left without one; it reads it as null. */
void value_json(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    size_t size;
    const uint8_t *bytes = read_sized(column, cursor, scratch, &size);
    const char *why = NULL;

    if (bytes == NULL) {
        return;
    }
    buffer_clear(&scratch->text);
    if (size == 0) {
        buffer_append_text(&scratch->text, "null");
    } else {
        why = jsonb_print(bytes, size, &scratch->text);
    }
    if (why != NULL) {
        cursor_fail(cursor, why);
        return;
    }
    value_set_bytes(ret_cell, scratch_keep_text(scratch), scratch->text.size);
}
