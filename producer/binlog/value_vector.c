/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value: VECTOR: MySQL's, and MariaDB's, which looks like a VARBINARY in the log (marks.h). Both hold floats of 4 bytes, little-endian,
 * and no server takes one that is not finite; where one stands there all the same the value has no place in its type.
 */
#include <math.h>
#include <string.h>

#include "producer/binlog/value.h"
#include "schemas/value_text.h"

#define ELEMENT_BYTES 4

static float read_element(struct cursor *cursor)
{
    uint32_t bits = cursor_u32(cursor);
    float element;

    memcpy(&element, &bits, sizeof element);
    return element;
}

static void print_element(struct buffer *out, float element, bool *finite)
{
    if (isfinite(element)) {
        value_text_float(out, element);
    } else {
        *finite = false;
        buffer_append_text(out, isnan(element) ? "nan" : element > 0 ? "inf" : "-inf");
    }
}

void value_vector(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    struct cursor bytes = cursor_part(cursor, cursor_le(cursor, column->length_size));
    bool finite = true;

    if (cursor->why == NULL && cursor_left(&bytes) % ELEMENT_BYTES != 0) {
        cursor_fail(cursor, "a vector ends inside a number");
    }
    if (cursor->why != NULL) {
        return;
    }
    buffer_clear(&scratch->text);
    buffer_append_byte(&scratch->text, '[');
    while (cursor_left(&bytes) > 0) {
        buffer_append_text(&scratch->text, scratch->text.size > 1 ? "," : "");
        print_element(&scratch->text, read_element(&bytes), &finite);
    }
    buffer_append_byte(&scratch->text, ']');
    value_set_bytes(ret_cell, scratch_keep_text(scratch), scratch->text.size);
    ret_cell->state = finite ? CELL_VALUE : CELL_UNREPRESENTABLE;
}
