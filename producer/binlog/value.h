/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value: one column's bytes in a row image to one struct cell. A function a kind of column, chosen once a table (shape.h).
 *
 * They read through a sticky cursor: bytes that end too early, or that no server writes, make it fail, and the row with it.
 * What is well-formed but has no place in the target type (zero dates, text that is not text, too many digits) is
 * CELL_UNREPRESENTABLE instead: the policy of the column decides, not the decoder. Bytes of a cell point into the row where they stand there as they are,
 * else into the scratch.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_VALUE_H
#define KAKEHI_PRODUCER_BINLOG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "producer/binlog/charset.h"
#include "producer/binlog/cursor.h"
#include "producer/binlog/scratch.h"
#include "producer/binlog/zone.h"
#include "schemas/table.h"

struct value_label { /* one value of an ENUM or SET, as UTF-8 */
    char *text;
    size_t size;
};

struct value_column;

typedef void (*value_decode)(const struct value_column *column, struct cursor *cursor, struct scratch *scratch,
                             struct cell *ret_cell);

struct value_column {
    value_decode decode; /* NULL: of a type that is not handled; can only be passed over */
    uint8_t width;       /* bytes of a value of fixed size; 0: a length stands in front */
    uint8_t length_size; /* bytes of that length, 0 to 4 */
    bool is_unsigned;
    uint8_t precision;    /* DECIMAL: digits; BIT: bits; temporal types: digits of the fraction */
    uint8_t scale;        /* DECIMAL */
    enum charset charset; /* of text */
    value_decode plain;   /* of value_by_choice: the column's own decoder; it looks at nothing below */
    enum binlog_unrepresentable choice;
    const struct zone *zone;  /* NULL: none */
    enum column_type printed; /* with BINLOG_TEXT: what it would be otherwise */
    uint32_t padded_size; /* BINARY(n): n; else 0 */
    bool compressed;      /* of MariaDB's attribute COMPRESSED */
    struct value_label *labels;
    size_t label_count;
    bool hidden; /* read, but no column of the table */
};

void value_integer(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
void value_float(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
void value_double(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
void value_year(const struct value_column *, struct cursor *, struct scratch *, struct cell *);

/* Bytes that a DECIMAL(precision, scale) takes. */
size_t value_decimal_width(unsigned precision, unsigned scale);
void value_decimal(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
void value_decimal_text(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
/* Of a wide one that shall be a number all the same: with more than TYPES_DECIMAL_WHOLE_MAX digits before the point it is
 * CELL_UNREPRESENTABLE, as value_decimal_text prints it. */
void value_decimal_bounded(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
/* "-123.4500" of the wire form, appended; for JSON. Fails the cursor on digits that are none. */
void value_decimal_print(struct cursor *cursor, unsigned precision, unsigned scale, struct buffer *out);

/* Bytes of the fraction of a second with that many digits. */
size_t value_fraction_width(unsigned digits);
void value_date(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
void value_datetime(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
void value_timestamp(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
void value_time(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
/* The forms from before MySQL 5.6, without fractions. */
void value_old_datetime(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
void value_old_timestamp(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
void value_old_time(const struct value_column *, struct cursor *, struct scratch *, struct cell *);

void value_text(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
void value_bytes(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
/* MariaDB's: bytes to the text that it prints. */
void value_uuid(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
void value_inet4(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
void value_inet6(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
void value_enum(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
void value_set(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
/* ENUM and SET where the log has no labels: the number that stands there. */
void value_label_number(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
/* VECTOR: its floats as a JSON array, each by the shortest digits that read back the same. */
void value_vector(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
void value_json(const struct value_column *, struct cursor *, struct scratch *, struct cell *);

void value_boolean(const struct value_column *, struct cursor *, struct scratch *, struct cell *);
void value_bit(const struct value_column *, struct cursor *, struct scratch *, struct cell *);

/* What the settings choose, around column->plain. */
void value_by_choice(const struct value_column *, struct cursor *, struct scratch *, struct cell *);

/* Passes over a value without looking at it. */
static inline void value_skip(const struct value_column *column, struct cursor *cursor)
{
    cursor_skip(cursor, column->length_size > 0 ? (size_t)cursor_le(cursor, column->length_size) : column->width);
}

static inline void value_set_integer(struct cell *cell, int64_t integer)
{
    *cell = (struct cell){.state = CELL_VALUE, .integer = integer};
}

static inline void value_set_bytes(struct cell *cell, const uint8_t *bytes, size_t size)
{
    *cell = (struct cell){.state = CELL_VALUE, .bytes = bytes, .size = size};
}

#endif
