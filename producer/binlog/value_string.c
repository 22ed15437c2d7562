/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value: text, bytes, ENUM, SET and JSON.
 *
 * A cell of text is always UTF-8. UTF-8 and ASCII point into the row; latin1 with letters beyond ASCII is written to the
 * scratch. BINARY(n) comes without its trailing zeros and gets them back.
 */
#include <string.h>

#include "producer/binlog/jsonb.h"
#include "producer/binlog/value.h"

static const uint8_t *read_sized(const struct value_column *column, struct cursor *cursor, size_t *ret_size)
{
    *ret_size = (size_t)cursor_le(cursor, column->length_size);
    return cursor_bytes(cursor, *ret_size);
}

static void set_text(enum charset charset, const uint8_t *bytes, size_t size, struct scratch *scratch, struct cell *cell)
{
    bool fits = charset == CHARSET_UTF8 ? charset_is_utf8(bytes, size) : charset_is_ascii(bytes, size);

    value_set_bytes(cell, bytes, size);
    if (fits) {
        return;
    }
    if (charset == CHARSET_LATIN1) {
        uint8_t *out = scratch_take(scratch, size * CHARSET_LATIN1_GROWTH);

        value_set_bytes(cell, out, charset_latin1_to_utf8(out, bytes, size));
    } else {
        cell->state = CELL_UNREPRESENTABLE;
    }
}

void value_text(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    size_t size;
    const uint8_t *bytes = read_sized(column, cursor, &size);

    if (bytes != NULL) {
        set_text(column->charset, bytes, size, scratch, ret_cell);
    }
}

void value_bytes(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    size_t size;
    const uint8_t *bytes = read_sized(column, cursor, &size);

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
    const uint8_t *bytes = read_sized(column, cursor, &size);
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
