/* SPDX-License-Identifier: Apache-2.0 */
/* value: numbers of fixed size. The sign is not in the row; it comes with the column. */
#include <string.h>

#include "producer/binlog/value.h"

void value_integer(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    uint64_t value = cursor_le(cursor, column->width);
    unsigned unused = 64 - 8U * column->width;

    (void)scratch;
    if (!column->is_unsigned) {
        value = (uint64_t)((int64_t)(value << unused) >> unused);
    }
    value_set_integer(ret_cell, (int64_t)value);
}

void value_float(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    uint32_t bits = cursor_u32(cursor);
    float value;

    (void)column;
    (void)scratch;
    memcpy(&value, &bits, sizeof value);
    *ret_cell = (struct cell){.state = CELL_VALUE, .real = (double)value};
}

void value_double(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    uint64_t bits = cursor_u64(cursor);
    double value;

    (void)column;
    (void)scratch;
    memcpy(&value, &bits, sizeof value);
    *ret_cell = (struct cell){.state = CELL_VALUE, .real = value};
}

/* 0 is the year 0000. */
void value_year(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    uint8_t value = cursor_u8(cursor);

    (void)column;
    (void)scratch;
    value_set_integer(ret_cell, value == 0 ? 0 : 1900 + value);
}
