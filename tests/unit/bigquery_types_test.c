/* SPDX-License-Identifier: Apache-2.0 */
/* A column that got too narrow a type loses values; so the borders between NUMERIC and BIGNUMERIC, from both sides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workers/bigquery/bigquery_types.h"

static enum bigquery_type type_of(enum column_type type, uint8_t precision, uint8_t scale)
{
    const struct column column = {.type = type, .precision = precision, .scale = scale};

    return bigquery_type_of(&column);
}

static void test_bigquery_types__a_decimal_is_numeric_only_where_every_value_fits(void **state)
{
    (void)state;
    assert_int_equal(type_of(COLUMN_DECIMAL, 10, 2), BIGQUERY_NUMERIC);
    assert_int_equal(type_of(COLUMN_DECIMAL, 38, 9), BIGQUERY_NUMERIC);
    assert_int_equal(type_of(COLUMN_DECIMAL, 29, 0), BIGQUERY_NUMERIC);
    assert_int_equal(type_of(COLUMN_DECIMAL, 30, 0), BIGQUERY_BIGNUMERIC);
    assert_int_equal(type_of(COLUMN_DECIMAL, 39, 9), BIGQUERY_BIGNUMERIC);
    assert_int_equal(type_of(COLUMN_DECIMAL, 10, 10), BIGQUERY_BIGNUMERIC);
    assert_int_equal(type_of(COLUMN_DECIMAL, 65, 30), BIGQUERY_BIGNUMERIC);
    assert_int_equal(type_of(COLUMN_DECIMAL_TEXT, 65, 0), BIGQUERY_STRING);
    assert_int_equal(type_of(COLUMN_ULONG, 0, 0), BIGQUERY_NUMERIC);
}

static void test_bigquery_types__every_column_type_has_one(void **state)
{
    (void)state;
    for (int type = 0; type < COLUMN_TYPE_COUNT; type++) {
        assert_in_range(type_of((enum column_type)type, 1, 0), 0, BIGQUERY_TYPE_COUNT - 1);
    }
    assert_int_equal(type_of(COLUMN_TIME, 6, 0), BIGQUERY_INT64);
    assert_int_equal(type_of(COLUMN_DATETIME, 6, 0), BIGQUERY_DATETIME);
    assert_int_equal(type_of(COLUMN_TIMESTAMP, 6, 0), BIGQUERY_TIMESTAMP);
}

static void test_bigquery_types__words_lead_back_and_older_words_too(void **state)
{
    (void)state;
    for (int type = 0; type < BIGQUERY_TYPE_COUNT; type++) {
        assert_int_equal(bigquery_type_by_word(bigquery_type_word((enum bigquery_type)type)), type);
    }
    assert_int_equal(bigquery_type_by_word("INTEGER"), BIGQUERY_INT64);
    assert_int_equal(bigquery_type_by_word("FLOAT"), BIGQUERY_FLOAT64);
    assert_int_equal(bigquery_type_by_word("BOOLEAN"), BIGQUERY_BOOL);
    assert_int_equal(bigquery_type_by_word("RECORD"), -1);
    assert_int_equal(bigquery_type_by_word(""), -1);
}

static void test_bigquery_types__finds_a_column_in_any_case(void **state)
{
    static const struct bigquery_column columns[] = {{"Id", BIGQUERY_INT64}, {"name", BIGQUERY_STRING}};
    const struct bigquery_layout layout = {columns, 2, false};

    (void)state;
    assert_int_equal(bigquery_layout_find(&layout, "id"), 0);
    assert_int_equal(bigquery_layout_find(&layout, "NAME"), 1);
    assert_int_equal(bigquery_layout_find(&layout, "nam"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bigquery_types__a_decimal_is_numeric_only_where_every_value_fits),
        cmocka_unit_test(test_bigquery_types__every_column_type_has_one),
        cmocka_unit_test(test_bigquery_types__words_lead_back_and_older_words_too),
        cmocka_unit_test(test_bigquery_types__finds_a_column_in_any_case),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
