/* SPDX-License-Identifier: Apache-2.0 */
/* The C library's calendar is the oracle, day by day; its own range is wide enough to hold all that a database can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "schemas/civil.h"

static void check_day(int64_t days)
{
    time_t seconds = days * 86400;
    struct civil date = civil_of_days(days);
    struct tm tm;

    assert_non_null(gmtime_r(&seconds, &tm));
    assert_int_equal(date.year, tm.tm_year + INT64_C(1900));
    assert_int_equal(date.month, tm.tm_mon + 1);
    assert_int_equal(date.day, tm.tm_mday);
}

static void test_civil__every_day_of_two_eras_is_the_c_librarys(void **state)
{
    (void)state;
    for (int64_t days = -146097 - 719468; days <= 146097; days++) {
        check_day(days);
    }
}

static void test_civil__ends_of_the_years_1_to_9999(void **state)
{
    (void)state;
    check_day(-719162); /* 0001-01-01 */
    check_day(-719163);
    check_day(2932896); /* 9999-12-31 */
    check_day(2932897);
    check_day(INT64_C(106751991)); /* where microseconds in 64 bits end */
    check_day(INT64_C(-106751992));
}

static void test_civil__a_microsecond_before_midnight_is_the_day_before(void **state)
{
    (void)state;
    assert_int_equal(civil_day_of_us(0), 0);
    assert_int_equal(civil_day_of_us(-1), -1);
    assert_int_equal(civil_day_of_us(CIVIL_DAY_US - 1), 0);
    assert_int_equal(civil_day_of_us(CIVIL_DAY_US), 1);
    assert_int_equal(civil_day_of_us(-CIVIL_DAY_US), -1);
    assert_int_equal(civil_day_of_us(-CIVIL_DAY_US - 1), -2);
    assert_int_equal(civil_day_of_us(INT64_MIN), -106751992);
    assert_int_equal(civil_day_of_us(INT64_MAX), 106751991);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_civil__every_day_of_two_eras_is_the_c_librarys),
        cmocka_unit_test(test_civil__ends_of_the_years_1_to_9999),
        cmocka_unit_test(test_civil__a_microsecond_before_midnight_is_the_day_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
