/* SPDX-License-Identifier: Apache-2.0 */
/* Expectations are civil history, and libc's own mktime for what is regular. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "producer/binlog/zone.h"
#include "tests/unit/make_zone.h"

#define SECOND_US INT64_C(1000000)

static int64_t local_us(int year, int month, int day, int hour, int minute)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute};

    return (int64_t)timegm(&tm) * SECOND_US;
}

static void assert_utc(const struct zone *zone, int64_t local, int64_t hours_before)
{
    int64_t utc;

    assert_true(zone_to_utc(zone, local, &utc));
    assert_int_equal(local - utc, hours_before * 3600 * SECOND_US);
}

static void assert_never(const struct zone *zone, int64_t local)
{
    int64_t utc;

    assert_false(zone_to_utc(zone, local, &utc));
}

static void test_zone__that_is_not_known_is_refused(void **state)
{
    static const char *const names[] = {"Asia/Tokio", "../etc/passwd", "/usr/share/zoneinfo/UTC", ":UTC", "UTC0"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct zone *zone;
        struct err err = {0};

        assert_int_equal(zone_new(names[i], &zone, &err), -1);
        assert_int_equal(err.class, ERR_FATAL);
    }
}

static void test_zone__leaves_the_process_its_own(void **state)
{
    (void)state;
    assert_int_equal(setenv("TZ", "America/New_York", 1), 0);
    zone_free(make_zone("Asia/Tokyo"));
    assert_string_equal(getenv("TZ"), "America/New_York");
    assert_int_equal(unsetenv("TZ"), 0);
    zone_free(make_zone("Asia/Tokyo"));
    assert_null(getenv("TZ"));
}

static void test_zone__tokyo_is_nine_hours_before_utc(void **state)
{
    struct zone *zone = make_zone("Asia/Tokyo");

    (void)state;
    assert_utc(zone, local_us(1970, 1, 1, 9, 0), 9);
    assert_utc(zone, local_us(2026, 11, 21, 12, 0), 9);
    assert_utc(zone, local_us(9999, 12, 31, 23, 59), 9);
    assert_utc(zone, local_us(1949, 7, 1, 12, 0), 10); /* summer time of these years */
    assert_utc(zone, local_us(2026, 11, 21, 12, 0) + 999999, 9);
    assert_utc(zone, local_us(1960, 1, 1, 0, 0) - 1, 9);
    zone_free(zone);
}

static void test_zone__an_hour_that_is_skipped_never_was_and_one_that_comes_twice_is_the_first(void **state)
{
    struct zone *zone = make_zone("Europe/Berlin");

    (void)state;
    assert_utc(zone, local_us(2026, 3, 29, 1, 59), 1);
    assert_never(zone, local_us(2026, 3, 29, 2, 0));
    assert_never(zone, local_us(2026, 3, 29, 2, 59) + 59 * SECOND_US + 999999);
    assert_utc(zone, local_us(2026, 3, 29, 3, 0), 2);
    assert_utc(zone, local_us(2026, 10, 25, 1, 59), 2);
    assert_utc(zone, local_us(2026, 10, 25, 2, 0), 2);
    assert_utc(zone, local_us(2026, 10, 25, 2, 59), 2);
    assert_utc(zone, local_us(2026, 10, 25, 3, 0), 1);
    zone_free(zone);
}

static void test_zone__a_whole_day_may_be_missing(void **state)
{
    struct zone *zone = make_zone("Pacific/Apia");

    (void)state;
    assert_utc(zone, local_us(2011, 12, 29, 23, 59), -10);
    assert_never(zone, local_us(2011, 12, 30, 0, 0));
    assert_never(zone, local_us(2011, 12, 30, 23, 59));
    assert_utc(zone, local_us(2011, 12, 31, 0, 0), 14);
    zone_free(zone);
}

/* The rules of today go on for ever; the calendar repeats itself after 400 years. */
static void test_zone__knows_every_year_of_a_datetime(void **state)
{
    struct zone *zone = make_zone("America/New_York");

    (void)state;
    for (int year = 2038; year < 10000; year++) {
        assert_utc(zone, local_us(year, 7, 1, 12, 0), -4);
        assert_utc(zone, local_us(year, 1, 31, 12, 0), -5);
    }
    assert_never(zone, local_us(2026, 3, 8, 2, 30));
    assert_never(zone, local_us(2426, 3, 8, 2, 30));
    assert_never(zone, local_us(9626, 3, 8, 2, 30));
    zone_free(zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zone__that_is_not_known_is_refused),
        cmocka_unit_test(test_zone__leaves_the_process_its_own),
        cmocka_unit_test(test_zone__tokyo_is_nine_hours_before_utc),
        cmocka_unit_test(test_zone__an_hour_that_is_skipped_never_was_and_one_that_comes_twice_is_the_first),
        cmocka_unit_test(test_zone__a_whole_day_may_be_missing),
        cmocka_unit_test(test_zone__knows_every_year_of_a_datetime),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
