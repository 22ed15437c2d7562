/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value: what the settings choose for a column, around its own decoder: DATETIME of a zone to TIMESTAMP, and what becomes of
 * values that the type has no place for: NULL, or, where a whole column is made a text, their text; or they are marked, for the row to go
 * to the dead letters.
 *
 * As text dates stand as MySQL prints them, with the column's digits (TIMESTAMP in UTC), so that zero dates fit in; bytes that
 * are no character of their set as \xHH. Each value that was changed is counted in the scratch.
 */
#include <string.h>

#include "producer/binlog/value.h"
#include "schemas/value_text.h"

#define YEAR_1_US     INT64_C(-62135596800000000)
#define YEAR_10000_US INT64_C(253402300800000000)

/* Six digits behind the point, of which the column has fewer. */
static size_t drop_digits(const struct value_column *column, size_t size)
{
    return column->precision == 0 ? size - 7 : size - (6U - column->precision);
}

/* To UTC; what never was on that wall clock, or is outside the years 1 to 9999 by UTC, becomes what the clock says. */
static void apply_zone(const struct value_column *column, struct scratch *scratch, struct cell *cell)
{
    int64_t utc_us;

    if (zone_to_utc(column->zone, cell->integer, &utc_us) && utc_us >= YEAR_1_US && utc_us < YEAR_10000_US) {
        cell->integer = utc_us;
        return;
    }
    buffer_clear(&scratch->text);
    value_text_datetime(&scratch->text, cell->integer, ' ');
    scratch->text.size = drop_digits(column, scratch->text.size);
    *cell = (struct cell){.state = CELL_UNREPRESENTABLE, .size = scratch->text.size};
    cell->bytes = scratch_keep_text(scratch);
}

static void print_value(const struct value_column *column, struct scratch *scratch, struct cell *cell)
{
    if (column->printed == COLUMN_TEXT) {
        return;
    }
    buffer_clear(&scratch->text);
    if (column->printed == COLUMN_DATE) {
        value_text_date(&scratch->text, cell->integer);
    } else {
        value_text_datetime(&scratch->text, cell->integer, ' ');
        scratch->text.size = drop_digits(column, scratch->text.size);
    }
    value_set_bytes(cell, scratch_keep_text(scratch), scratch->text.size);
}

static void print_unrepresentable(const struct value_column *column, struct scratch *scratch, struct cell *cell)
{
    cell->state = CELL_VALUE;
    if (column->printed == COLUMN_TEXT) {
        buffer_clear(&scratch->text);
        charset_escape(column->charset, cell->bytes, cell->size, &scratch->text);
        value_set_bytes(cell, scratch_keep_text(scratch), scratch->text.size);
    }
}

void value_by_choice(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    bool fits;

    column->plain(column, cursor, scratch, ret_cell);
    if (cursor->why != NULL) {
        return;
    }
    if (ret_cell->state == CELL_VALUE && column->zone != NULL) {
        apply_zone(column, scratch, ret_cell);
    }
    fits = ret_cell->state == CELL_VALUE;
    if (column->choice == BINLOG_TEXT && fits) {
        print_value(column, scratch, ret_cell);
    } else if (column->choice == BINLOG_TEXT) {
        print_unrepresentable(column, scratch, ret_cell);
    } else if (column->choice == BINLOG_NULL && !fits) {
        *ret_cell = (struct cell){.state = CELL_NULL};
    } else if (column->choice == BINLOG_LETTER && !fits) {
        ret_cell->to_letter = true;
    }
    scratch->replaced += !fits && (column->choice == BINLOG_TEXT || column->choice == BINLOG_NULL);
}
