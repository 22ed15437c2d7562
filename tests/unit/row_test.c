/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes on the wire as two servers wrote them, and the values that the SQL gave; whole rows are compared in stream_test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "producer/binlog/event.h"
#include "producer/binlog/row.h"
#include "producer/binlog/stream.h"
#include "producer/binlog/value.h"
#include "schemas/civil.h"
#include "schemas/decimal.h"
#include "tests/unit/make_zone.h"

#define SECOND     INT64_C(1000000)
#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static struct cell decode(const struct value_column *column, value_decode function, const uint8_t *bytes, size_t size,
                          const char **ret_why)
{
    static struct scratch scratch;
    struct cursor cursor = cursor_over(bytes, size);
    struct cell cell = {0};

    scratch_deinit(&scratch);
    function(column, &cursor, &scratch, &cell);
    *ret_why = cursor.why;
    assert_true(cursor.why != NULL || cursor_left(&cursor) == 0);
    if (cell.bytes != NULL && cell.size > 0 && cursor.why == NULL) { /* outlives the scratch */
        static uint8_t kept[64];

        memcpy(kept, cell.bytes, cell.size < sizeof kept ? cell.size : sizeof kept);
        cell.bytes = kept;
    }
    scratch_deinit(&scratch);
    return cell;
}

static void assert_time(unsigned digits, const uint8_t *bytes, size_t size, int64_t expected_us)
{
    struct value_column column = {.precision = (uint8_t)digits};
    const char *why;
    struct cell cell = decode(&column, value_time, bytes, size, &why);

    assert_null(why);
    assert_int_equal(cell.integer, expected_us);
}

/* Seconds and fraction are one number below zero. */
static void test_row__reads_negative_times(void **state)
{
    (void)state;
    assert_time(0, BYTES(0x7f, 0xef, 0x7d), -3723 * SECOND);
    assert_time(1, BYTES(0x7f, 0xef, 0x7c, 0xd8), -3723400000);
    assert_time(1, BYTES(0x7f, 0xff, 0xff, 0xf6), -100000);
    assert_time(3, BYTES(0x7f, 0xff, 0xff, 0xff, 0xf6), -1000);
    assert_time(6, BYTES(0x7f, 0xff, 0xff, 0xff, 0xff, 0xff), -1);
    assert_time(6, BYTES(0x4b, 0x91, 0x05, 0xff, 0xff, 0xff), -(INT64_C(838) * 3600 + 59 * 60 + 58) * SECOND - 1);
    assert_time(0, BYTES(0x80, 0, 0), 0);
}

static void assert_unrepresentable(const struct cell *cell, const char *expected)
{
    assert_int_equal(cell->state, CELL_UNREPRESENTABLE);
    assert_int_equal(cell->size, strlen(expected));
    assert_memory_equal(cell->bytes, expected, cell->size);
}

static void test_row__calls_dates_that_are_none_unrepresentable(void **state)
{
    struct value_column column = {.precision = 0};
    struct value_column fine = {.precision = 3};
    const char *why;
    struct cell cell;

    (void)state;
    cell = decode(&column, value_date, BYTES(0, 0, 0), &why);
    assert_unrepresentable(&cell, "0000-00-00");
    cell = decode(&column, value_date, BYTES(0x5f, 0xd4, 0x0f), &why); /* 2026-02-31 */
    assert_unrepresentable(&cell, "2026-02-31");
    cell = decode(&column, value_datetime, BYTES(0x80, 0, 0, 0, 0), &why);
    assert_unrepresentable(&cell, "0000-00-00 00:00:00");
    cell = decode(&fine, value_timestamp, BYTES(0, 0, 0, 0, 0, 0), &why);
    assert_unrepresentable(&cell, "0000-00-00 00:00:00.000");
    cell = decode(&fine, value_timestamp, BYTES(0, 0, 0, 0, 0x13, 0x88), &why); /* MariaDB: half a second behind the epoch */
    assert_int_equal(cell.state, CELL_VALUE);
    assert_int_equal(cell.integer, 500000);
    cell = decode(&column, value_timestamp, BYTES(0xff, 0xff, 0xff, 0xff), &why); /* MariaDB 11.5: 2106 */
    assert_int_equal(cell.integer, INT64_C(4294967295) * SECOND);
}

/* A DATETIME(0) as MySQL writes it: a sign, year and month, day, hour, minute, second. */
static void pack_datetime(uint8_t ret_bytes[5], const struct civil *date, uint64_t hour, uint64_t minute, uint64_t second)
{
    uint64_t packed = UINT64_C(1) << 39 | (uint64_t)(date->year * 13 + date->month) << 22 | (uint64_t)date->day << 17 | hour << 12 | minute << 6 | second;

    for (int i = 0; i < 5; i++) {
        ret_bytes[i] = (uint8_t)(packed >> (8 * (4 - i)));
    }
}

/* The first second of the year 1, or the last one of 9999, by the wall clock of that zone. */
static struct cell decode_edge(const char *zone_name, bool last, enum binlog_unrepresentable choice)
{
    struct zone *zone = make_zone(zone_name);
    struct value_column column = {.plain = value_datetime, .zone = zone, .choice = choice, .printed = COLUMN_TIMESTAMP};
    uint8_t bytes[5];
    const char *why;
    struct cell cell;

    if (last) {
        pack_datetime(bytes, &(struct civil){9999, 12, 31}, 23, 59, 59);
    } else {
        pack_datetime(bytes, &(struct civil){1, 1, 1}, 0, 0, 0);
    }
    cell = decode(&column, value_by_choice, bytes, sizeof bytes, &why);
    assert_null(why);
    zone_free(zone);
    return cell;
}

/* P4: else a row would hold the year 0 or 10000, which no warehouse takes. */
static void test_row__what_a_zone_takes_out_of_the_years_1_to_9999_follows_the_policy(void **state)
{
    struct cell cell;

    (void)state;
    cell = decode_edge("America/New_York", true, BINLOG_STOP);
    assert_unrepresentable(&cell, "9999-12-31 23:59:59");
    cell = decode_edge("Asia/Tokyo", false, BINLOG_STOP);
    assert_unrepresentable(&cell, "0001-01-01 00:00:00");
    assert_int_equal(decode_edge("America/New_York", true, BINLOG_NULL).state, CELL_NULL);
    assert_true(decode_edge("Asia/Tokyo", false, BINLOG_LETTER).to_letter);
    cell = decode_edge("America/New_York", true, BINLOG_TEXT);
    assert_int_equal(cell.state, CELL_VALUE);
    assert_int_equal(cell.size, strlen("9999-12-31 23:59:59"));
    assert_memory_equal(cell.bytes, "9999-12-31 23:59:59", cell.size);
}

static void test_row__the_edges_of_the_years_1_to_9999_stay_what_they_are(void **state)
{
    int64_t first_us = civil_to_days(&(struct civil){1, 1, 1}) * CIVIL_DAY_US;
    int64_t last_us = civil_to_days(&(struct civil){10000, 1, 1}) * CIVIL_DAY_US - SECOND;
    struct cell cell;

    (void)state;
    cell = decode_edge("UTC", false, BINLOG_STOP);
    assert_int_equal(cell.state, CELL_VALUE);
    assert_int_equal(cell.integer, first_us);
    cell = decode_edge("UTC", true, BINLOG_STOP);
    assert_int_equal(cell.state, CELL_VALUE);
    assert_int_equal(cell.integer, last_us);
    cell = decode_edge("Asia/Tokyo", true, BINLOG_STOP);
    assert_int_equal(cell.state, CELL_VALUE);
    assert_int_equal(cell.integer, last_us - 9 * 3600 * SECOND);
    assert_int_equal(decode_edge("America/New_York", false, BINLOG_STOP).state, CELL_VALUE);
}

static void test_row__reads_the_year_0(void **state)
{
    struct value_column column = {0};
    const char *why;

    (void)state;
    assert_int_equal(decode(&column, value_year, BYTES(0), &why).integer, 0);
    assert_int_equal(decode(&column, value_year, BYTES(1), &why).integer, 1901);
    assert_int_equal(decode(&column, value_year, BYTES(255), &why).integer, 2155);
}

static void test_row__pads_binary_with_the_zeros_that_were_stripped(void **state)
{
    struct value_column column = {.length_size = 1, .padded_size = 5};
    const char *why;
    struct cell cell = decode(&column, value_bytes, BYTES(1, 1), &why);

    (void)state;
    assert_int_equal(cell.size, 5);
    assert_memory_equal(cell.bytes, "\1\0\0\0\0", 5);
}

static void test_row__calls_text_that_is_none_unrepresentable(void **state)
{
    struct value_column column = {.length_size = 1, .charset = CHARSET_UTF8};
    const char *why;
    struct cell cell = decode(&column, value_text, BYTES(2, 'a', 0xe9), &why);

    (void)state;
    assert_unrepresentable(&cell, "a\xe9");
    column.charset = CHARSET_ASCII;
    cell = decode(&column, value_text, BYTES(2, 'a', 0xe9), &why);
    assert_unrepresentable(&cell, "a\xe9");
}

/* A DECIMAL(41,2), of 39 digits before the point: `top` is the first three, all others are nines or zeros. */
static struct cell decode_wide(unsigned top, bool nines, bool negative, enum binlog_unrepresentable choice)
{
    static const uint8_t nine_nines[] = {0x3b, 0x9a, 0xc9, 0xff};
    struct value_column column = {.plain = value_decimal_bounded, .precision = 41, .scale = 2, .choice = choice};
    uint8_t bytes[19] = {(uint8_t)(top >> 8), (uint8_t)top};
    const char *why;
    struct cell cell;

    assert_int_equal(value_decimal_width(column.precision, column.scale), sizeof bytes);
    for (size_t group = 0; nines && group < 4; group++) {
        memcpy(bytes + 2 + 4 * group, nine_nines, sizeof nine_nines);
    }
    bytes[18] = nines ? 99 : 0;
    bytes[0] ^= 0x80;
    for (size_t i = 0; negative && i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)~bytes[i];
    }
    cell = decode(&column, value_by_choice, bytes, sizeof bytes, &why);
    assert_null(why);
    return cell;
}

static void assert_decimal(const struct cell *cell, unsigned scale, const char *expected)
{
    char text[DECIMAL_TEXT_MAX];
    struct err err;

    assert_int_equal(cell->state, CELL_VALUE);
    assert_int_equal(decimal_to_text(cell->bytes, cell->size, scale, text, &err), 0);
    assert_string_equal(text, expected);
}

/* P4: what BIGNUMERIC can't hold never becomes another number. */
static void test_row__a_decimal_with_more_digits_than_a_number_has_follows_the_policy(void **state)
{
    struct cell cell;

    (void)state;
    cell = decode_wide(100, false, false, BINLOG_STOP);
    assert_unrepresentable(&cell, "100000000000000000000000000000000000000.00");
    assert_false(cell.to_letter);
    cell = decode_wide(999, true, true, BINLOG_LETTER);
    assert_unrepresentable(&cell, "-999999999999999999999999999999999999999.99");
    assert_true(cell.to_letter);
    assert_int_equal(decode_wide(100, false, true, BINLOG_NULL).state, CELL_NULL);
}

static void test_row__a_decimal_of_a_wide_column_that_a_number_holds_stays_exact(void **state)
{
    static const enum binlog_unrepresentable choices[] = {BINLOG_STOP, BINLOG_NULL, BINLOG_LETTER};

    (void)state;
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        struct cell cell = decode_wide(99, true, false, choices[i]);

        assert_decimal(&cell, 2, "99999999999999999999999999999999999999.99");
        cell = decode_wide(99, true, true, choices[i]);
        assert_decimal(&cell, 2, "-99999999999999999999999999999999999999.99");
        cell = decode_wide(0, false, false, choices[i]);
        assert_decimal(&cell, 2, "0.00");
    }
}

static void assert_fails(const struct value_column *column, value_decode function, const uint8_t *bytes, size_t size)
{
    const char *why;

    (void)decode(column, function, bytes, size, &why);
    assert_non_null(why);
}

static void test_row__refuses_values_that_no_server_writes(void **state)
{
    struct value_label label = {(char *)(uintptr_t) "a", 1};
    struct value_column labels = {.width = 1, .labels = &label, .label_count = 1};
    struct value_column decimal = {.precision = 9, .scale = 0, .width = 4};
    struct value_column exact = {.precision = 0};

    (void)state;
    assert_fails(&labels, value_enum, BYTES(2));
    assert_fails(&labels, value_set, BYTES(2));
    assert_fails(&labels, value_boolean, BYTES(2));
    assert_fails(&decimal, value_decimal, BYTES(0xff, 0xff, 0xff, 0xff)); /* 2147483647 in nine digits */
    assert_fails(&exact, value_time, BYTES(0x80, 0x0f, 0x3c));            /* 60 seconds */
    assert_fails(&exact, value_datetime, BYTES(0x7f, 0xff, 0xff, 0xff, 0xff));
}

static void test_row__of_any_type_ends_where_its_bytes_end(void **state)
{
    static const value_decode functions[] = {
        value_integer,  value_float,     value_double, value_year,         value_decimal,       value_decimal_text, value_date,
        value_datetime, value_timestamp, value_time,   value_old_datetime, value_old_timestamp, value_old_time,     value_text,
        value_bytes,    value_enum,      value_set,    value_label_number, value_json,          value_boolean,      value_bit,
        value_decimal_bounded};
    struct value_column column = {.width = 2, .length_size = 2, .precision = 6, .scale = 2, .charset = CHARSET_UTF8};

    (void)state;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        const char *why;

        (void)decode(&column, functions[i], (const uint8_t *)"", 0, &why);
        assert_ptr_equal(why, CURSOR_SHORT);
    }
}

/* Bits above the last column are junk (MySQL sets them). */
static void test_row__knows_full_images(void **state)
{
    struct rows_head head = {.op = 'u', .column_count = 9, .before = {0xff, 0x01}, .after = {0xff, 0xff}};

    (void)state;
    assert_true(row_images_are_full(&head));
    head.before[1] = 0xfe;
    assert_false(row_images_are_full(&head));
    head.op = 'c';
    assert_true(row_images_are_full(&head));
    head.after[0] = 0x7f;
    assert_false(row_images_are_full(&head));
}

static void test_row__head_passes_over_extra_data(void **state)
{
    static const uint8_t bytes[] = {7, 0, 0, 0, 0, 0, 1, 0, 5, 0, 1, 2, 3, 2, 0xff};
    struct format_description format = {0};
    struct rows_head head = {0};
    struct cursor cursor = cursor_over(bytes, sizeof bytes);

    (void)state;
    row_read_head(&head, EVENT_WRITE_ROWS, &format, &cursor);
    assert_null(cursor.why);
    assert_int_equal(cursor_left(&cursor), 0);
    assert_int_equal(head.table_id, 7);
    assert_int_equal(head.op, 'c');
    assert_int_equal(head.flags, ROWS_FLAG_STMT_END);
    assert_int_equal(head.column_count, 2);
}

/* The numbers read back as the same floats; one that is none has no place. */
static void test_row__prints_vectors_with_every_bit(void **state)
{
    const struct value_column column = {.length_size = 2};
    const char *why;
    struct cell cell;
    static const char expected[] = "[0.1,-2.5,1e-45,16777216]";

    (void)state;
    cell = decode(&column, value_vector, BYTES(16, 0, 0xcd, 0xcc, 0xcc, 0x3d, 0, 0, 0x20, 0xc0, 1, 0, 0, 0, 0, 0, 0x80, 0x4b), &why);
    assert_null(why);
    assert_int_equal(cell.state, CELL_VALUE);
    assert_int_equal(cell.size, strlen(expected));
    assert_memory_equal(cell.bytes, expected, strlen(expected));
    cell = decode(&column, value_vector, BYTES(8, 0, 0, 0, 0xc0, 0x7f, 0, 0, 0x80, 0xff), &why);
    assert_null(why);
    assert_unrepresentable(&cell, "[nan,-inf]");
    (void)decode(&column, value_vector, BYTES(5, 0, 1, 2, 3, 4, 5), &why);
    assert_non_null(why);
    (void)decode(&column, value_vector, BYTES(8, 0, 1, 2, 3, 4), &why);
    assert_non_null(why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row__reads_negative_times),
        cmocka_unit_test(test_row__calls_dates_that_are_none_unrepresentable),
        cmocka_unit_test(test_row__what_a_zone_takes_out_of_the_years_1_to_9999_follows_the_policy),
        cmocka_unit_test(test_row__the_edges_of_the_years_1_to_9999_stay_what_they_are),
        cmocka_unit_test(test_row__reads_the_year_0),
        cmocka_unit_test(test_row__pads_binary_with_the_zeros_that_were_stripped),
        cmocka_unit_test(test_row__calls_text_that_is_none_unrepresentable),
        cmocka_unit_test(test_row__a_decimal_with_more_digits_than_a_number_has_follows_the_policy),
        cmocka_unit_test(test_row__a_decimal_of_a_wide_column_that_a_number_holds_stays_exact),
        cmocka_unit_test(test_row__refuses_values_that_no_server_writes),
        cmocka_unit_test(test_row__of_any_type_ends_where_its_bytes_end),
        cmocka_unit_test(test_row__prints_vectors_with_every_bit),
        cmocka_unit_test(test_row__knows_full_images),
        cmocka_unit_test(test_row__head_passes_over_extra_data),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
