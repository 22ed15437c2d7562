/* SPDX-License-Identifier: Apache-2.0 */
/* What a view remembers of itself, read back; and what of it counts when somebody changed the text. Then days: late ones first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "workers/bigquery/view_days.h"
#include "workers/bigquery/view_state.h"

#define TODAY 20778 /* 2026-11-21 */

static const struct view_state full = {
    .as_of = "9c1f03aa",
    .base_ms = INT64_C(1795269675045),
    .watermark = TODAY - 2,
    .days = {{TODAY - 4, 7}, {TODAY - 3, 1042}},
    .day_count = 2,
};

/* ---- the line */

static void test_view_state__comes_back_out_of_a_text(void **state)
{
    struct buffer text = {0};
    struct view_state back;

    (void)state;
    buffer_append_text(&text, "-- a head\nSELECT 1\n");
    view_state_append(&text, &full);
    assert_non_null(strstr(buffer_text(&text),
                           "\n-- kakehi {\"as_of\": \"9c1f03aa\", \"base\": \"1795269675045\", \"watermark\": "
                           "\"2026-11-19\", \"days\": {\"2026-11-17\": 7, \"2026-11-18\": 1042}}\n"));
    view_state_read(buffer_text(&text), &back);
    assert_string_equal(back.as_of, full.as_of);
    assert_int_equal(back.base_ms, full.base_ms);
    assert_int_equal(back.watermark, full.watermark);
    assert_int_equal(back.day_count, 2);
    assert_int_equal(back.days[1].day, TODAY - 3);
    assert_int_equal(back.days[1].rows, 1042);
    buffer_deinit(&text);
}

static void test_view_state__a_plain_view_remembers_its_function_alone(void **state)
{
    const struct view_state plain = {.as_of = "9c1f03aa", .watermark = VIEW_DAY_NONE};
    struct buffer text = {0};
    struct view_state back;

    (void)state;
    view_state_append(&text, &plain);
    assert_string_equal(buffer_text(&text), "-- kakehi {\"as_of\": \"9c1f03aa\"}\n");
    view_state_read(buffer_text(&text), &back);
    assert_int_equal(back.base_ms, 0);
    assert_int_equal(back.watermark, VIEW_DAY_NONE);
    buffer_deinit(&text);
}

static void test_view_state__what_somebody_wrote_is_no_state(void **state)
{
    const char *const texts[] = {
        "",
        "SELECT 1",
        "-- kakehi",
        "-- kakehi {",
        "-- kakehi []",
        "-- kakehi {\"as_of\": 5}",
        "-- kakehi {\"base\": \"17\"}",
        "-- kakehi {\"watermark\": \"2026-11-19\"}",
        "-- kakehi {\"base\": \"17\", \"watermark\": \"2026-13-19\"}",
        "-- kakehi {\"base\": \"17\", \"watermark\": \"2026-02-29\"}",
        "-- kakehi {\"base\": \"17\", \"watermark\": \"2026-11-1\"}",
        "-- kakehi {\"base\": \"17\", \"watermark\": \"2026-11-19\", \"days\": {\"x\": 1}}",
        "-- kakehi {\"base\": \"17\", \"watermark\": \"2026-11-19\", \"days\": {\"2026-11-17\": \"many\"}}",
        "SELECT '-- kakehi {\"base\": \"17\", \"watermark\": \"2026-11-19\"}'",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct view_state back;

        view_state_read(texts[i], &back);
        assert_int_equal(back.base_ms, 0);
        assert_int_equal(back.watermark, VIEW_DAY_NONE);
        assert_int_equal(back.day_count, 0);
    }
}

static void test_view_state__more_days_than_there_can_be_are_refused(void **state)
{
    struct buffer text = {0};
    struct view_state back;

    (void)state;
    buffer_append_text(&text, "-- kakehi {\"base\": \"17\", \"watermark\": \"2026-11-19\", \"days\": {");
    for (int i = 0; i <= VIEW_DAYS_KEPT; i++) {
        buffer_printf(&text, "%s\"2026-10-%02d\": 1", i > 0 ? ", " : "", i + 1);
    }
    buffer_append_text(&text, "}}");
    view_state_read(buffer_text(&text), &back);
    assert_int_equal(back.base_ms, 0);
    buffer_deinit(&text);
}

static void test_view_state__days_are_read_as_the_calendar_has_them(void **state)
{
    const char *const bad[] = {"",           "2026-11-31",  "2026-00-01", "2026-1-01",
                               "0000-01-01", "2026-11-21 ", "x026-11-21", "2100-02-29"};
    int32_t day;

    (void)state;
    assert_true(view_day_parse("1970-01-01", &day));
    assert_int_equal(day, 0);
    assert_true(view_day_parse("2026-11-21", &day));
    assert_int_equal(day, TODAY);
    assert_true(view_day_parse("0001-01-01", &day));
    assert_int_equal(day, VIEW_DAY_FIRST);
    assert_true(view_day_parse("2000-02-29", &day));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(view_day_parse(bad[i], &day));
    }
}

/* ---- days */

static json_t *row(const char *day, const char *rows, const char *truncates)
{
    return json_pack("{s:[{s:s},{s:s},{s:s}]}", "f", "v", day, "v", rows, "v", truncates);
}

/* Today, and a few days with rows. */
static json_t *some_days(const char *rows_17, const char *rows_18, const char *truncates_20)
{
    json_t *rows = json_array();

    (void)json_array_append_new(rows, row("2026-11-20", "5", truncates_20));
    (void)json_array_append_new(rows, row("2026-11-21", "-1", "0"));
    if (rows_17 != NULL) {
        (void)json_array_append_new(rows, row("2026-11-17", rows_17, "0"));
    }
    (void)json_array_append_new(rows, row("2026-11-18", rows_18, "0"));
    (void)json_array_append_new(rows, row("2026-11-21", "3", "0"));
    return rows;
}

static struct view_days read_days_by(json_t *rows, const struct view_state *state, const struct view_days_rules *rules)
{
    struct view_days days;
    struct err err = {0};

    assert_int_equal(view_days_read(rows, state, rules, &days, &err), 0);
    json_decref(rows);
    return days;
}

static struct view_days read_days(json_t *rows, const struct view_state *state, int64_t expiration_ms)
{
    return read_days_by(rows, state, &(struct view_days_rules){.expiration_ms = expiration_ms, .freshness_ms = 1000});
}

static void test_view_days__f5_rows_that_came_into_a_closed_day_are_merged_again(void **state)
{
    struct view_days days = read_days(some_days("9", "1042", "0"), &full, 0);

    (void)state;
    assert_int_equal(days.late_count, 1);
    assert_int_equal(days.late[0].day, TODAY - 4);
    assert_int_equal(days.late[0].merged, 7);
    assert_int_equal(days.late[0].now, 9);
    assert_true(days.merge);
    assert_int_equal(days.from_day, TODAY - 4);
    assert_int_equal(days.watermark, TODAY - 2);
}

static void test_view_days__f5_a_closed_day_without_rows_is_watched_too(void **state)
{
    struct view_state empty = full;
    struct view_days days;

    (void)state;
    empty.day_count = 0;
    days = read_days(some_days(NULL, "1", "0"), &empty, 0);
    assert_int_equal(days.late_count, 1);
    assert_int_equal(days.from_day, TODAY - 3);
}

static void test_view_days__a_day_that_has_expired_is_no_news(void **state)
{
    struct view_days days = read_days(some_days(NULL, "1042", "0"), &full, INT64_C(4) * 86400000);

    (void)state;
    assert_int_equal(days.late_count, 0);
    assert_false(days.merge);
    assert_false(days.expired);
}

static void test_view_days__days_that_expired_unmerged_are_told(void **state)
{
    struct view_state old = full;

    (void)state;
    old.watermark = TODAY - 30;
    old.day_count = 0;
    assert_true(read_days(some_days(NULL, "1", "0"), &old, INT64_C(10) * 86400000).expired);
    assert_false(read_days(some_days(NULL, "1", "0"), &old, 0).expired);
}

static void test_view_days__nothing_is_merged_twice_a_day(void **state)
{
    struct view_days days = read_days(some_days("7", "1042", "1"), &full, 0);

    (void)state;
    assert_false(days.merge);
    assert_int_equal(days.watermark, TODAY - 2);
}

static void test_view_days__f2_the_watermark_follows_two_days_behind(void **state)
{
    struct view_state old = full;
    struct view_days days;

    (void)state;
    old.watermark = TODAY - 3;
    old.day_count = 1;
    days = read_days(some_days("7", "1042", "1"), &old, 0);
    assert_true(days.merge);
    assert_int_equal(days.from_day, TODAY - 3); /* where the view stood: F2 */
    assert_int_equal(days.watermark, TODAY - 2);
    assert_true(days.truncates);
    assert_int_equal(days.closed_count, 2);
    assert_int_equal(days.closed[0].day, TODAY - 4);
    assert_int_equal(days.closed[1].rows, 1042);
}

/* A view whose watermark is so many days, at least one, older than it could be, with nothing late in it. */
static struct view_days days_gained(int32_t gained, const struct view_days_rules *rules)
{
    struct view_state old = full;

    old.watermark = TODAY - 2 - gained;
    old.day_count = 0;
    return read_days_by(some_days(NULL, "1042", "0"), &old, rules);
}

static void test_view_days__a_long_freshness_merges_days_together(void **state)
{
    const int64_t day_ms = INT64_C(86400000);
    struct view_days days;

    (void)state;
    assert_true(days_gained(1, &(struct view_days_rules){.freshness_ms = day_ms / 4}).merge);
    assert_true(days_gained(1, &(struct view_days_rules){.freshness_ms = 2 * day_ms - 1}).merge);
    days = days_gained(1, &(struct view_days_rules){.freshness_ms = 3 * day_ms});
    assert_false(days.merge);
    assert_int_equal(days.watermark, TODAY - 3); /* as it was */
    assert_false(days_gained(2, &(struct view_days_rules){.freshness_ms = 3 * day_ms}).merge);
    days = days_gained(3, &(struct view_days_rules){.freshness_ms = 3 * day_ms});
    assert_true(days.merge);
    assert_int_equal(days.watermark, TODAY - 2);
    assert_int_equal(days.from_day, TODAY - 5);
}

static void test_view_days__a_long_freshness_lets_no_day_expire_unmerged(void **state)
{
    const int64_t day_ms = INT64_C(86400000);

    (void)state;
    assert_false(days_gained(1, &(struct view_days_rules){.freshness_ms = 7 * day_ms, .expiration_ms = 6 * day_ms}).merge);
    assert_true(days_gained(2, &(struct view_days_rules){.freshness_ms = 7 * day_ms, .expiration_ms = 6 * day_ms}).merge);
}

static void test_view_days__f5_late_rows_do_not_wait_for_a_long_freshness(void **state)
{
    struct view_days days = read_days_by(some_days("9", "1042", "0"), &full, &(struct view_days_rules){.freshness_ms = INT64_C(604800000)});

    (void)state;
    assert_true(days.merge);
    assert_int_equal(days.from_day, TODAY - 4);
}

static void test_view_days__the_watermark_never_goes_back(void **state)
{
    struct view_state ahead = full;
    struct view_days days;

    (void)state;
    ahead.watermark = TODAY + 5;
    ahead.day_count = 0;
    days = read_days(some_days(NULL, "0", "0"), &ahead, 0);
    assert_int_equal(days.watermark, TODAY + 5);
}

static void test_view_days__the_first_merge_takes_all(void **state)
{
    const struct view_state none = {.watermark = VIEW_DAY_NONE};
    struct view_days days = read_days(some_days("7", "1042", "0"), &none, 0);

    (void)state;
    assert_true(days.merge);
    assert_int_equal(days.from_day, VIEW_DAY_FIRST);
    assert_int_equal(days.watermark, TODAY - 2);
    assert_int_equal(days.late_count, 0);
    assert_int_equal(view_days_from(&none), VIEW_DAY_FIRST);
    assert_int_equal(view_days_from(&full), TODAY - 2 - VIEW_DAYS_KEPT);
}

static void test_view_days__an_answer_without_today_is_none(void **state)
{
    struct view_days days;
    struct err err = {0};
    json_t *rows = json_array();

    (void)state;
    (void)json_array_append_new(rows, row("2026-11-20", "5", "0"));
    (void)json_array_append_new(rows, json_object());
    assert_int_equal(view_days_read(rows, &full, &(struct view_days_rules){0}, &days, &err), -1);
    assert_int_equal(err.class, ERR_RETRY);
    json_decref(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view_state__comes_back_out_of_a_text),
        cmocka_unit_test(test_view_state__a_plain_view_remembers_its_function_alone),
        cmocka_unit_test(test_view_state__what_somebody_wrote_is_no_state),
        cmocka_unit_test(test_view_state__more_days_than_there_can_be_are_refused),
        cmocka_unit_test(test_view_state__days_are_read_as_the_calendar_has_them),
        cmocka_unit_test(test_view_days__f5_rows_that_came_into_a_closed_day_are_merged_again),
        cmocka_unit_test(test_view_days__f5_a_closed_day_without_rows_is_watched_too),
        cmocka_unit_test(test_view_days__a_day_that_has_expired_is_no_news),
        cmocka_unit_test(test_view_days__days_that_expired_unmerged_are_told),
        cmocka_unit_test(test_view_days__nothing_is_merged_twice_a_day),
        cmocka_unit_test(test_view_days__f2_the_watermark_follows_two_days_behind),
        cmocka_unit_test(test_view_days__a_long_freshness_merges_days_together),
        cmocka_unit_test(test_view_days__a_long_freshness_lets_no_day_expire_unmerged),
        cmocka_unit_test(test_view_days__f5_late_rows_do_not_wait_for_a_long_freshness),
        cmocka_unit_test(test_view_days__the_watermark_never_goes_back),
        cmocka_unit_test(test_view_days__the_first_merge_takes_all),
        cmocka_unit_test(test_view_days__an_answer_without_today_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
