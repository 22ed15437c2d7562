/* SPDX-License-Identifier: Apache-2.0 */
/* Values as people read them, at the edges of each type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "schemas/decimal.h"
#include "schemas/value_text.h"

static const struct column columns[COLUMN_TYPE_COUNT] = {
    [COLUMN_LONG] = {"c", "bigint", COLUMN_LONG, 0, 0},
    [COLUMN_ULONG] = {"c", "bigint unsigned", COLUMN_ULONG, 0, 0},
    [COLUMN_DECIMAL] = {"c", "decimal(10,2)", COLUMN_DECIMAL, 10, 2},
    [COLUMN_DECIMAL_TEXT] = {"c", "decimal(65,0)", COLUMN_DECIMAL_TEXT, 65, 0},
    [COLUMN_FLOAT] = {"c", "float", COLUMN_FLOAT, 0, 0},
    [COLUMN_DOUBLE] = {"c", "double", COLUMN_DOUBLE, 0, 0},
    [COLUMN_BOOLEAN] = {"c", "bit(1)", COLUMN_BOOLEAN, 1, 0},
    [COLUMN_BYTES] = {"c", "blob", COLUMN_BYTES, 0, 0},
    [COLUMN_DATE] = {"c", "date", COLUMN_DATE, 0, 0},
    [COLUMN_DATETIME] = {"c", "datetime(6)", COLUMN_DATETIME, 6, 0},
    [COLUMN_TIMESTAMP] = {"c", "timestamp", COLUMN_TIMESTAMP, 0, 0},
    [COLUMN_TIME] = {"c", "time", COLUMN_TIME, 0, 0},
    [COLUMN_YEAR] = {"c", "year", COLUMN_YEAR, 0, 0},
    [COLUMN_TEXT] = {"c", "text", COLUMN_TEXT, 0, 0},
    [COLUMN_JSON] = {"c", "json", COLUMN_JSON, 0, 0},
};

static void assert_json(enum column_type type, struct cell cell, const char *expected)
{
    struct buffer out = {0};
    struct err err = {0};

    assert_int_equal(value_text_json(&out, &columns[type], &cell, &err), 0);
    assert_string_equal(buffer_text(&out), expected);
    buffer_deinit(&out);
}

static void assert_refused(enum column_type type, struct cell cell)
{
    struct buffer out = {0};
    struct err err = {0};

    assert_int_equal(value_text_json(&out, &columns[type], &cell, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
    assert_non_null(strstr(err.text, "column c"));
    buffer_deinit(&out);
}

static struct cell integer(int64_t value)
{
    return (struct cell){.state = CELL_VALUE, .integer = value};
}

static struct cell real(double value)
{
    return (struct cell){.state = CELL_VALUE, .real = value};
}

static struct cell text_of(const char *text)
{
    return (struct cell){.state = CELL_VALUE, .bytes = (const uint8_t *)text, .size = strlen(text)};
}

static struct cell unrepresentable(const char *text)
{
    return (struct cell){.state = CELL_UNREPRESENTABLE, .bytes = (const uint8_t *)text, .size = strlen(text)};
}

static void test_value_text__refuses_what_is_no_value_of_its_type(void **state)
{
    (void)state;
    assert_refused(COLUMN_DECIMAL, text_of(""));
    assert_refused(COLUMN_TEXT, text_of("a\xff"));
    assert_refused(COLUMN_DECIMAL_TEXT, text_of("\xff"));
    assert_refused(COLUMN_JSON, text_of(""));
    assert_refused(COLUMN_JSON, text_of("\"\xff\""));
    assert_refused(COLUMN_DOUBLE, real(INFINITY));
    assert_refused(COLUMN_FLOAT, real(NAN));
}

static void test_value_text__null_is_null_in_every_type(void **state)
{
    (void)state;
    for (int type = 0; type < COLUMN_TYPE_COUNT; type++) {
        assert_json((enum column_type)type, (struct cell){.state = CELL_NULL}, "null");
    }
}

static void test_value_text__integers_at_their_limits(void **state)
{
    (void)state;
    assert_json(COLUMN_LONG, integer(INT64_MIN), "-9223372036854775808");
    assert_json(COLUMN_LONG, integer(INT64_MAX), "9223372036854775807");
    assert_json(COLUMN_ULONG, integer(-1), "18446744073709551615");
    assert_json(COLUMN_YEAR, integer(0), "0");
    assert_json(COLUMN_BOOLEAN, integer(1), "true");
    assert_json(COLUMN_BOOLEAN, integer(0), "false");
}

static void test_value_text__decimals_are_strings_with_all_digits(void **state)
{
    uint8_t bytes[DECIMAL_BYTES_MAX];
    struct cell cell = {.state = CELL_VALUE, .bytes = bytes, .size = decimal_from_digits("100", 3, true, bytes)};

    (void)state;
    assert_json(COLUMN_DECIMAL, cell, "\"-1.00\"");
    assert_json(COLUMN_DECIMAL_TEXT, text_of("-123.4500"), "\"-123.4500\"");
}

static void test_value_text__floats_by_the_shortest_digits(void **state)
{
    (void)state;
    assert_json(COLUMN_DOUBLE, real(0.1), "0.1");
    assert_json(COLUMN_DOUBLE, real(5), "5");
    assert_json(COLUMN_DOUBLE, real(1e100), "1e+100");
    assert_json(COLUMN_DOUBLE, real(DBL_MAX), "1.7976931348623157e+308");
    assert_json(COLUMN_DOUBLE, real(5e-324), "5e-324");
    assert_json(COLUMN_DOUBLE, real(0.1 + 0.2), "0.30000000000000004");
    assert_json(COLUMN_FLOAT, real((double)0.1f), "0.1");
    assert_json(COLUMN_FLOAT, real((double)FLT_MAX), "3.4028235e+38");
    assert_json(COLUMN_FLOAT, real((double)16777216.0f), "16777216");
    assert_json(COLUMN_FLOAT, real(-1.5), "-1.5");
}

static void test_value_text__random_doubles_read_back(void **state)
{
    (void)state;
    srandom(3);
    for (int round = 0; round < 5000; round++) {
        uint64_t bits = (uint64_t)random() << 33 ^ (uint64_t)random() << 11 ^ (uint64_t)random();
        struct cell cell = {.state = CELL_VALUE};
        struct buffer out = {0};
        struct err err;

        memcpy(&cell.real, &bits, sizeof bits);
        if (!isfinite(cell.real)) {
            continue;
        }
        assert_int_equal(value_text_json(&out, &columns[COLUMN_DOUBLE], &cell, &err), 0);
        assert_true(strtod(buffer_text(&out), NULL) == cell.real);
        buffer_deinit(&out);
    }
}

static void test_value_text__dates_and_times(void **state)
{
    (void)state;
    assert_json(COLUMN_DATE, integer(0), "\"1970-01-01\"");
    assert_json(COLUMN_DATE, integer(-1), "\"1969-12-31\"");
    assert_json(COLUMN_DATE, integer(11016), "\"2000-02-29\"");
    assert_json(COLUMN_DATE, integer(-354285), "\"1000-01-01\"");
    assert_json(COLUMN_DATE, integer(2932896), "\"9999-12-31\"");
    assert_json(COLUMN_DATE, integer(-719528), "\"0000-01-01\"");
    assert_json(COLUMN_DATETIME, integer(-1), "\"1969-12-31T23:59:59.999999\"");
    assert_json(COLUMN_DATETIME, integer(INT64_C(253402300799999999)), "\"9999-12-31T23:59:59.999999\"");
    assert_json(COLUMN_DATETIME, integer(INT64_C(-30610224000000000)), "\"1000-01-01T00:00:00.000000\"");
    assert_json(COLUMN_TIMESTAMP, integer(INT64_C(1795222923456789)), "\"2026-11-21T01:02:03.456789Z\"");
    assert_json(COLUMN_TIME, integer(0), "\"00:00:00.000000\"");
    assert_json(COLUMN_TIME, integer(-1), "\"-00:00:00.000001\"");
    assert_json(COLUMN_TIME, integer(INT64_C(-3020399999999)), "\"-838:59:59.999999\"");
    assert_json(COLUMN_TIME, integer(INT64_C(3723000000)), "\"01:02:03.000000\"");
}

/* The calendar is walked day by day, by the rule that everybody learns at school. */
static void test_value_text__every_day_from_year_1_to_9999(void **state)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t days = -719162; /* 0001-01-01 */
    struct buffer out = {0};

    (void)state;
    for (int year = 1; year <= 9999; year++) {
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

        for (int month = 1; month <= 12; month++) {
            int last = month_days[month - 1] + (month == 2 && leap);

            for (int day = 1; day <= last;
                 day += day == 1 && year % 50 != 0 ? last - 1 : 1) { /* first and last; all of each 50th year */
                char expected[40];

                (void)snprintf(expected, sizeof expected, "%04d-%02d-%02d", year, month, day);
                buffer_clear(&out);
                value_text_date(&out, days + day - 1);
                assert_string_equal(buffer_text(&out), expected);
            }
            days += last;
        }
    }
    buffer_deinit(&out);
}

static void test_value_text__extreme_microseconds_do_not_overflow(void **state)
{
    struct buffer out = {0};

    (void)state;
    value_text_datetime(&out, INT64_MIN, ' ');
    assert_string_equal(buffer_text(&out), "-290308-12-21 19:59:05.224192");
    buffer_clear(&out);
    value_text_datetime(&out, INT64_MAX, ' ');
    assert_string_equal(buffer_text(&out), "294247-01-10 04:00:54.775807");
    buffer_clear(&out);
    value_text_time(&out, INT64_MIN);
    assert_string_equal(buffer_text(&out), "-2562047788:00:54.775808");
    buffer_deinit(&out);
}

static void test_value_text__bytes_are_base64(void **state)
{
    (void)state;
    assert_json(COLUMN_BYTES, text_of(""), "\"\"");
    assert_json(COLUMN_BYTES, text_of("f"), "\"Zg==\"");
    assert_json(COLUMN_BYTES, text_of("fo"), "\"Zm8=\"");
    assert_json(COLUMN_BYTES, text_of("foo"), "\"Zm9v\"");
    assert_json(COLUMN_BYTES, text_of("\xff\xfe\xfd\xfc"), "\"//79/A==\"");
}

static void test_value_text__every_control_character_reads_back(void **state)
{
    char text[130];
    struct buffer out = {0};
    json_t *json;

    (void)state;
    for (int i = 0; i < 128; i++) {
        text[i] = (char)i;
    }
    value_text_json_string(&out, text, 128);
    json = json_loadb((const char *)out.bytes, out.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_int_equal(json_string_length(json), 128);
    assert_memory_equal(json_string_value(json), text, 128);
    json_decref(json);
    buffer_deinit(&out);
    assert_json(COLUMN_TEXT, text_of("a\"b\\c\nd\te\x01 ü😀"), "\"a\\\"b\\\\c\\nd\\te\\u0001 ü😀\"");
}

static void test_value_text__json_passes_as_json_on_one_line(void **state)
{
    (void)state;
    assert_json(COLUMN_JSON, text_of("{\"a\": [1, 2.50]}"), "{\"a\": [1, 2.50]}");
    assert_json(COLUMN_JSON, text_of("[1,\n\t2]"), "[1,  2]");
}

static void test_value_text__unrepresentable_says_its_text(void **state)
{
    (void)state;
    assert_json(COLUMN_DATE, unrepresentable("0000-00-00"), "\"0000-00-00\"");
    assert_json(COLUMN_TIMESTAMP, unrepresentable("0000-00-00 00:00:00"), "\"0000-00-00 00:00:00\"");
    assert_json(COLUMN_TEXT, unrepresentable("\xff"), "\"/w==\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_text__refuses_what_is_no_value_of_its_type),
        cmocka_unit_test(test_value_text__null_is_null_in_every_type),
        cmocka_unit_test(test_value_text__integers_at_their_limits),
        cmocka_unit_test(test_value_text__decimals_are_strings_with_all_digits),
        cmocka_unit_test(test_value_text__floats_by_the_shortest_digits),
        cmocka_unit_test(test_value_text__random_doubles_read_back),
        cmocka_unit_test(test_value_text__dates_and_times),
        cmocka_unit_test(test_value_text__every_day_from_year_1_to_9999),
        cmocka_unit_test(test_value_text__extreme_microseconds_do_not_overflow),
        cmocka_unit_test(test_value_text__bytes_are_base64),
        cmocka_unit_test(test_value_text__every_control_character_reads_back),
        cmocka_unit_test(test_value_text__json_passes_as_json_on_one_line),
        cmocka_unit_test(test_value_text__unrepresentable_says_its_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
