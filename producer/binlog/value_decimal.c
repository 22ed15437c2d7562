/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value: DECIMAL. Nine digits in four bytes, big-endian; what is over of the digits before and behind the point in as few bytes
 * as hold it; the first bit is inverted, and of a negative number all bits
 * (https://dev.mysql.com/doc/refman/9.4/en/precision-math-decimal-characteristics.html).
 *
 * Up to 38 digits go through a 128-bit integer; wider ones through their digits. Both give the same bytes.
 */
#include <string.h>

#include "common/must.h"
#include "producer/binlog/value.h"
#include "schemas/decimal.h"
#include "schemas/types.h"

#define DIGITS_A_GROUP     9
#define BYTES_A_GROUP      4
#define DECIMAL_BYTES_WIRE 32 /* DECIMAL(65,30) takes 30 */
#define DIGITS_MAX         (65 + 2 * DIGITS_A_GROUP)
#define DIGITS_FAST        38 /* 10^38 < 2^127 */

static const uint8_t rest_bytes[DIGITS_A_GROUP + 1] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
static const uint32_t powers[DIGITS_A_GROUP + 1] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};

size_t value_decimal_width(unsigned precision, unsigned scale)
{
    unsigned whole = precision - scale;

    return whole / DIGITS_A_GROUP * BYTES_A_GROUP + rest_bytes[whole % DIGITS_A_GROUP] +
           scale / DIGITS_A_GROUP * BYTES_A_GROUP + rest_bytes[scale % DIGITS_A_GROUP];
}

/* The wire form without its inversions, as groups of digits from left to right. */
struct groups {
    uint32_t values[2 * DIGITS_A_GROUP];
    uint8_t digits[2 * DIGITS_A_GROUP]; /* of each group */
    unsigned count;
    unsigned whole_count; /* groups before the point */
    bool negative;
};

static void read_group(struct groups *groups, struct cursor *plain, unsigned digits)
{
    uint32_t value = (uint32_t)cursor_be(plain, rest_bytes[digits]);

    if (value >= powers[digits]) {
        cursor_fail(plain, "a DECIMAL holds digits that are none");
    }
    groups->values[groups->count] = value;
    groups->digits[groups->count++] = (uint8_t)digits;
}

static void read_groups(struct groups *groups, struct cursor *cursor, unsigned precision, unsigned scale)
{
    unsigned whole = precision - scale;
    size_t width = value_decimal_width(precision, scale);
    const uint8_t *wire = cursor_bytes(cursor, width);
    uint8_t bytes[DECIMAL_BYTES_WIRE] = {0};
    struct cursor plain;

    must(width <= sizeof bytes);
    groups->count = groups->whole_count = 0;
    groups->negative = false;
    if (wire == NULL) {
        return;
    }
    groups->negative = (wire[0] & 0x80) == 0;
    for (size_t i = 0; i < width; i++) {
        bytes[i] = groups->negative ? (uint8_t)~wire[i] : wire[i];
    }
    bytes[0] ^= 0x80;
    plain = cursor_over(bytes, width);
    if (whole % DIGITS_A_GROUP > 0) {
        read_group(groups, &plain, whole % DIGITS_A_GROUP);
    }
    for (unsigned i = 0; i < whole / DIGITS_A_GROUP; i++) {
        read_group(groups, &plain, DIGITS_A_GROUP);
    }
    groups->whole_count = groups->count;
    for (unsigned i = 0; i < scale / DIGITS_A_GROUP; i++) {
        read_group(groups, &plain, DIGITS_A_GROUP);
    }
    if (scale % DIGITS_A_GROUP > 0) {
        read_group(groups, &plain, scale % DIGITS_A_GROUP);
    }
    if (plain.why != NULL) {
        cursor_fail(cursor, plain.why);
    }
}

/* All digits, without a point; returns how many. */
static size_t write_digits(const struct groups *groups, unsigned first, unsigned end, char *digits)
{
    size_t count = 0;

    for (unsigned i = first; i < end; i++) {
        for (unsigned d = groups->digits[i]; d > 0; d--) {
            digits[count++] = (char)('0' + groups->values[i] / powers[d - 1] % 10);
        }
    }
    return count;
}

static size_t leading_zeros(const char *digits, size_t count)
{
    size_t zeros = 0;

    while (zeros < count && digits[zeros] == '0') {
        zeros++;
    }
    return zeros;
}

static void set_number(const struct groups *groups, struct scratch *scratch, struct cell *cell)
{
    uint8_t *bytes = scratch_take(scratch, DECIMAL_BYTES_MAX);
    char digits[DIGITS_MAX];
    size_t count = write_digits(groups, 0, groups->count, digits);

    value_set_bytes(cell, bytes, decimal_from_digits(digits, count, groups->negative, bytes));
}

static size_t fast_twos_complement(const struct groups *groups, uint8_t bytes[16])
{
    unsigned __int128 number = 0;
    size_t size = 16;

    for (unsigned i = 0; i < groups->count; i++) {
        number = number * powers[groups->digits[i]] + groups->values[i];
    }
    number = groups->negative ? -number : number;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(number >> (8 * (size - 1 - i)));
    }
    return size;
}

void value_decimal(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    struct groups groups;
    uint8_t *bytes;
    size_t first = 0;
    size_t size;

    read_groups(&groups, cursor, column->precision, column->scale);
    if (cursor->why != NULL) {
        return;
    }
    if (column->precision > DIGITS_FAST) {
        set_number(&groups, scratch, ret_cell);
        return;
    }
    bytes = scratch_take(scratch, DECIMAL_BYTES_MAX);
    size = fast_twos_complement(&groups, bytes);
    while (first + 1 < size && bytes[first] == ((bytes[first + 1] & 0x80) != 0 ? 0xff : 0x00)) {
        first++; /* a byte that only repeats the sign of the next */
    }
    value_set_bytes(ret_cell, bytes + first, size - first);
}

static void print_groups(const struct groups *groups, struct buffer *out)
{
    char digits[DIGITS_MAX];
    size_t count = write_digits(groups, 0, groups->whole_count, digits);
    size_t zeros = leading_zeros(digits, count);

    if (groups->negative) {
        buffer_append_byte(out, '-');
    }
    buffer_append(out, digits + zeros, count - zeros);
    if (zeros == count) {
        buffer_append_byte(out, '0');
    }
    if (groups->count > groups->whole_count) {
        count = write_digits(groups, groups->whole_count, groups->count, digits);
        buffer_append_byte(out, '.');
        buffer_append(out, digits, count);
    }
}

void value_decimal_print(struct cursor *cursor, unsigned precision, unsigned scale, struct buffer *out)
{
    struct groups groups;

    read_groups(&groups, cursor, precision, scale);
    print_groups(&groups, out);
}

void value_decimal_text(const struct value_column *column, struct cursor *cursor, struct scratch *scratch,
                        struct cell *ret_cell)
{
    buffer_clear(&scratch->text);
    value_decimal_print(cursor, column->precision, column->scale, &scratch->text);
    value_set_bytes(ret_cell, scratch_keep_text(scratch), scratch->text.size);
}

static size_t whole_digits(const struct groups *groups)
{
    char digits[DIGITS_MAX];
    size_t count = write_digits(groups, 0, groups->whole_count, digits);

    return count - leading_zeros(digits, count);
}

void value_decimal_bounded(const struct value_column *column, struct cursor *cursor, struct scratch *scratch,
                           struct cell *ret_cell)
{
    struct groups groups;

    read_groups(&groups, cursor, column->precision, column->scale);
    if (cursor->why != NULL) {
        return;
    }
    if (whole_digits(&groups) <= TYPES_DECIMAL_WHOLE_MAX) {
        set_number(&groups, scratch, ret_cell);
        return;
    }
    buffer_clear(&scratch->text);
    print_groups(&groups, &scratch->text);
    *ret_cell = (struct cell){.state = CELL_UNREPRESENTABLE, .size = scratch->text.size};
    ret_cell->bytes = scratch_keep_text(scratch);
}
