/* SPDX-License-Identifier: Apache-2.0 */
/* value: BIT(n), big-endian in as few bytes as hold n bits. BIT(1) is a truth value. */
#include "producer/binlog/value.h"

void value_boolean(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    uint8_t value = cursor_u8(cursor);

    (void)column;
    (void)scratch;
    if (value > 1) {
        cursor_fail(cursor, "a BIT(1) is neither 0 nor 1");
    }
    value_set_integer(ret_cell, value);
}

void value_bit(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    const uint8_t *bytes = cursor_bytes(cursor, column->width);

    (void)scratch;
    value_set_bytes(ret_cell, bytes, column->width);
}
