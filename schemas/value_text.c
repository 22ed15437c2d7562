/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Printing is for people, for `decode` and for warehouses that keep times as text; it is not on the way of a row through Kafka.
 * Times always have six digits behind the point, whatever the column's precision: one form to compare and to sort.
 */
#include "schemas/value_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/civil.h"
#include "schemas/decimal.h"
#include "common/utf8.h"

#define SECOND_US INT64_C(1000000)

/* Exactly `width` digits. By hand: a worker prints two or three times a row. */
static void append_digits(struct buffer *out, uint64_t value, size_t width)
{
    uint8_t *to = buffer_reserve(out, width);

    for (size_t i = width; i-- > 0; value /= 10) {
        to[i] = (uint8_t)('0' + value % 10);
    }
    out->size += width;
}

void value_text_date(struct buffer *out, int64_t days)
{
    struct civil date = civil_of_days(days);

    if (date.year >= 0 && date.year <= 9999) {
        append_digits(out, (uint64_t)date.year, 4);
    } else {
        buffer_printf(out, "%" PRId64, date.year);
    }
    buffer_append_byte(out, '-');
    append_digits(out, (uint64_t)date.month, 2);
    buffer_append_byte(out, '-');
    append_digits(out, (uint64_t)date.day, 2);
}

static void append_clock(struct buffer *out, uint64_t microseconds)
{
    uint64_t seconds = microseconds / SECOND_US;

    if (seconds < UINT64_C(100) * 3600) {
        append_digits(out, seconds / 3600, 2);
    } else {
        buffer_printf(out, "%" PRIu64, seconds / 3600);
    }
    buffer_append_byte(out, ':');
    append_digits(out, seconds / 60 % 60, 2);
    buffer_append_byte(out, ':');
    append_digits(out, seconds % 60, 2);
    buffer_append_byte(out, '.');
    append_digits(out, microseconds % SECOND_US, 6);
}

void value_text_datetime(struct buffer *out, int64_t microseconds, char separator)
{
    int64_t days = civil_day_of_us(microseconds);

    value_text_date(out, days);
    buffer_append_byte(out, (uint8_t)separator);
    append_clock(out, (uint64_t)microseconds -
                          (uint64_t)days * (uint64_t)CIVIL_DAY_US); /* unsigned: days * CIVIL_DAY_US may lie below INT64_MIN */
}

void value_text_time(struct buffer *out, int64_t microseconds)
{
    if (microseconds < 0) {
        buffer_append_byte(out, '-');
    }
    append_clock(out, microseconds < 0 ? -(uint64_t)microseconds : (uint64_t)microseconds);
}

void value_text_json_string(struct buffer *out, const char *text, size_t size)
{
    const char *plain = text; /* begin of what has not been written yet */

    buffer_append_byte(out, '"');
    for (const char *at = text; at < text + size; at++) {
        uint8_t byte = (uint8_t)*at;

        if (byte >= 0x20 && byte != '"' && byte != '\\') {
            continue;
        }
        buffer_append(out, plain, (size_t)(at - plain));
        plain = at + 1;
        if (byte < 0x20 && byte != '\n' && byte != '\t') {
            buffer_printf(out, "\\u%04x", byte);
        } else {
            buffer_printf(out, "\\%c", byte == '\n' ? 'n' : byte == '\t' ? 't' : byte);
        }
    }
    buffer_append(out, plain, (size_t)(text + size - plain));
    buffer_append_byte(out, '"');
}

static void append_base64(struct buffer *out, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t *to = buffer_reserve(out, size / 3 * 4 + 6);
    const uint8_t *first = to;

    *to++ = '"';
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t three =
            (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);

        *to++ = (uint8_t)digits[three >> 18];
        *to++ = (uint8_t)digits[three >> 12 & 63];
        *to++ = left > 1 ? (uint8_t)digits[three >> 6 & 63] : '=';
        *to++ = left > 2 ? (uint8_t)digits[three & 63] : '=';
    }
    *to++ = '"';
    out->size += (size_t)(to - first);
}

static bool reads_back(const char *text, double value, bool is_float)
{
    return is_float ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value;
}

static void append_finite(struct buffer *out, double value, bool is_float)
{
    char text[40];

    for (int digits = 1; digits <= 17; digits++) { /* 17 always do */
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (reads_back(text, value, is_float)) {
            break;
        }
    }
    buffer_append_text(out, text);
}

static int append_real(struct buffer *out, double value, bool is_float, struct err *err)
{
    if (!isfinite(value)) {
        return err_set(err, ERR_POISON, "a number that is not finite");
    }
    append_finite(out, value, is_float);
    return 0;
}

static int append_decimal(struct buffer *out, const struct column *column, const struct cell *cell, struct err *err)
{
    char text[DECIMAL_TEXT_MAX];

    if (decimal_to_text(cell->bytes, cell->size, column->scale, text, err) != 0) {
        return -1;
    }
    buffer_printf(out, "\"%s\"", text);
    return 0;
}

static int append_text(struct buffer *out, const struct cell *cell, struct err *err)
{
    if (!utf8_valid((const char *)cell->bytes, cell->size)) {
        return err_set(err, ERR_POISON, "a text that is not UTF-8");
    }
    value_text_json_string(out, (const char *)cell->bytes, cell->size);
    return 0;
}

/* Raw line breaks can stand only between the values of a JSON text, where a blank says the same. */
static int append_json(struct buffer *out, const struct cell *cell, struct err *err)
{
    uint8_t *to;

    if (cell->size == 0 || !utf8_valid((const char *)cell->bytes, cell->size)) {
        return err_set(err, ERR_POISON, "a JSON text that is empty or not UTF-8");
    }
    to = buffer_reserve(out, cell->size);
    for (size_t i = 0; i < cell->size; i++) {
        to[i] = cell->bytes[i] < 0x20 ? ' ' : cell->bytes[i];
    }
    out->size += cell->size;
    return 0;
}

static void append_unrepresentable(struct buffer *out, const struct cell *cell)
{
    if (utf8_valid((const char *)cell->bytes, cell->size)) {
        value_text_json_string(out, (const char *)cell->bytes, cell->size);
    } else {
        append_base64(out, cell->bytes, cell->size);
    }
}

static int append_value(struct buffer *out, const struct column *column, const struct cell *cell, struct err *err)
{
    switch (column->type) {
    case COLUMN_LONG:
    case COLUMN_YEAR:
        buffer_printf(out, "%" PRId64, cell->integer);
        return 0;
    case COLUMN_ULONG:
        buffer_printf(out, "%" PRIu64, (uint64_t)cell->integer);
        return 0;
    case COLUMN_DECIMAL:
        return append_decimal(out, column, cell, err);
    case COLUMN_FLOAT:
    case COLUMN_DOUBLE:
        return append_real(out, cell->real, column->type == COLUMN_FLOAT, err);
    case COLUMN_BOOLEAN:
        buffer_append_text(out, cell->integer ? "true" : "false");
        return 0;
    case COLUMN_BYTES:
        append_base64(out, cell->bytes, cell->size);
        return 0;
    case COLUMN_DATE:
        buffer_append_byte(out, '"');
        value_text_date(out, cell->integer);
        buffer_append_byte(out, '"');
        return 0;
    case COLUMN_DATETIME:
    case COLUMN_TIMESTAMP:
        buffer_append_byte(out, '"');
        value_text_datetime(out, cell->integer, 'T');
        buffer_append_text(out, column->type == COLUMN_TIMESTAMP ? "Z\"" : "\"");
        return 0;
    case COLUMN_TIME:
        buffer_append_byte(out, '"');
        value_text_time(out, cell->integer);
        buffer_append_byte(out, '"');
        return 0;
    case COLUMN_DECIMAL_TEXT:
    case COLUMN_TEXT:
        return append_text(out, cell, err);
    case COLUMN_JSON:
        return append_json(out, cell, err);
    case COLUMN_TYPE_COUNT:
        break;
    }
    return err_set(err, ERR_FATAL, "column type %d is unknown to value_text", (int)column->type);
}

int value_text_json(struct buffer *out, const struct column *column, const struct cell *cell, struct err *err)
{
    switch (cell->state) {
    case CELL_NULL:
        buffer_append_text(out, "null");
        return 0;
    case CELL_UNREPRESENTABLE:
        append_unrepresentable(out, cell);
        return 0;
    case CELL_VALUE:
        break;
    }
    if (append_value(out, column, cell, err) != 0) {
        return err_while(err, "column %s", column->name);
    }
    return 0;
}

int value_text_json_row(struct buffer *out, const struct table *table, const struct cell *cells, struct err *err)
{
    buffer_append_text(out, cells == NULL ? "null" : "{");
    for (size_t c = 0; cells != NULL && c < table->column_count; c++) {
        const struct column *column = &table->columns[c];

        if (c > 0) {
            buffer_append_byte(out, ',');
        }
        value_text_json_string(out, column->name, strlen(column->name));
        buffer_append_byte(out, ':');
        if (value_text_json(out, column, &cells[c], err) != 0) {
            return err_while(err, "table %s.%s", table->database, table->name);
        }
    }
    buffer_append_text(out, cells == NULL ? "" : "}");
    return 0;
}

void value_text_json_base64(struct buffer *out, const void *bytes, size_t size)
{
    if (bytes == NULL) {
        buffer_append_text(out, "null");
    } else {
        append_base64(out, bytes, size);
    }
}

void value_text_float(struct buffer *out, float value)
{
    append_finite(out, value, true);
}
