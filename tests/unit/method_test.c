/* SPDX-License-Identifier: Apache-2.0 */
/* What must not happen: more jobs than the budgets hold, a method that flaps, a pinned method that is not kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workers/bigquery/method.h"

#define DAY_MS    86400000
#define MINUTE_MS 60000

static const struct method_choice nothing_yet = {METHOD_APPEND, false, 0, 0};

static struct method_limits limits_of(enum bigquery_method setting, int64_t freshness_ms)
{
    return (struct method_limits){
        .setting = setting, .freshness_ms = freshness_ms, .table_jobs = 1500, .project_jobs = 50000, .backlog_rows = 1000000};
}

static void test_method__no_choice_breaks_a_budget(void **state)
{
    static const int32_t partitions[] = {1, 6, 24, 100, 400, 5000};
    static const int64_t freshness_minutes[] = {0, 1, 5, 15, 60, 360, 1440, 10080};
    static const int64_t behinds[] = {0, 1000000, 1000000000};

    (void)state;
    for (size_t p = 0; p < sizeof partitions / sizeof partitions[0]; p++) {
        for (size_t f = 0; f < sizeof freshness_minutes / sizeof freshness_minutes[0]; f++) {
            for (size_t b = 0; b < sizeof behinds / sizeof behinds[0]; b++) {
                struct method_limits limits = limits_of(BIGQUERY_AUTO, freshness_minutes[f] * MINUTE_MS + 1000);
                struct method_choice choice =
                    method_choose(&limits, partitions[p], 10 * partitions[p], behinds[b], &nothing_yet);

                if (choice.method == METHOD_LOAD) {
                    assert_true(partitions[p] * (DAY_MS / (int64_t)choice.gap_ms) <= limits.table_jobs * 4 / 5);
                    assert_true(10 * partitions[p] * (DAY_MS / (int64_t)choice.gap_ms) <= limits.project_jobs * 4 / 5);
                    assert_true(choice.age_ms >= choice.gap_ms && choice.age_ms <= DAY_MS / 2);
                }
            }
        }
    }
}

static void test_method__the_project_s_budget_counts_all_partitions_of_the_group(void **state)
{
    struct method_limits limits = limits_of(BIGQUERY_AUTO, 15 * MINUTE_MS);

    (void)state;
    limits.project_jobs = 1000;
    assert_int_equal(method_choose(&limits, 1, 6, 0, &nothing_yet).method, METHOD_LOAD);
    assert_int_equal(method_choose(&limits, 1, 60, 0, &nothing_yet).method, METHOD_APPEND);
}

static void test_method__nothing_is_chosen_before_the_group_s_partitions_are_counted(void **state)
{
    struct method_limits limits = limits_of(BIGQUERY_AUTO, 15 * MINUTE_MS);

    (void)state;
    assert_int_equal(method_choose(&limits, 1, 0, INT64_MAX, &nothing_yet).method, METHOD_APPEND);
    limits.setting = BIGQUERY_LOAD;
    assert_int_equal(method_choose(&limits, 1, 0, 0, &nothing_yet).method, METHOD_LOAD);
}

static void test_method__a_long_freshness_is_loaded_and_a_short_one_appended(void **state)
{
    struct method_limits limits = limits_of(BIGQUERY_AUTO, 15 * MINUTE_MS);
    struct method_choice choice = method_choose(&limits, 6, 6, 0, &nothing_yet);

    (void)state;
    assert_int_equal(choice.method, METHOD_LOAD);
    assert_false(choice.for_backlog);
    assert_true(choice.age_ms < 15 * MINUTE_MS); /* the job takes its part */
    limits.freshness_ms = 1000;
    assert_int_equal(method_choose(&limits, 1, 1, 0, &nothing_yet).method, METHOD_APPEND);
    limits.freshness_ms = 15 * MINUTE_MS;
    assert_int_equal(method_choose(&limits, 100, 100, 0, &nothing_yet).method, METHOD_APPEND);
}

static void test_method__a_backlog_is_loaded_until_it_is_nearly_gone(void **state)
{
    struct method_limits limits = limits_of(BIGQUERY_AUTO, 1000);
    struct method_choice choice = method_choose(&limits, 6, 6, 999999, &nothing_yet);

    (void)state;
    assert_int_equal(choice.method, METHOD_APPEND);
    choice = method_choose(&limits, 6, 6, 1000000, &choice);
    assert_int_equal(choice.method, METHOD_LOAD);
    assert_true(choice.for_backlog);
    choice = method_choose(&limits, 6, 6, 100000, &choice);
    assert_int_equal(choice.method, METHOD_LOAD);
    choice = method_choose(&limits, 6, 6, 99999, &choice);
    assert_int_equal(choice.method, METHOD_APPEND);
    choice = method_choose(&limits, 6, 6, 999999, &choice);
    assert_int_equal(choice.method, METHOD_APPEND);
}

static void test_method__no_backlog_is_long_where_the_setting_is_zero(void **state)
{
    struct method_limits limits = limits_of(BIGQUERY_AUTO, 1000);

    (void)state;
    limits.backlog_rows = 0;
    assert_int_equal(method_choose(&limits, 1, 1, INT64_MAX, &nothing_yet).method, METHOD_APPEND);
}

static void test_method__a_pinned_method_is_kept(void **state)
{
    struct method_limits limits = limits_of(BIGQUERY_APPEND, DAY_MS);
    struct method_choice choice;

    (void)state;
    assert_int_equal(method_choose(&limits, 1, 1, INT64_MAX, &nothing_yet).method, METHOD_APPEND);
    limits = limits_of(BIGQUERY_LOAD, 1000);
    choice = method_choose(&limits, 6, 6, 0, &nothing_yet);
    assert_int_equal(choice.method, METHOD_LOAD);
    assert_true(choice.age_ms == choice.gap_ms &&
                choice.gap_ms >= (uint64_t)6 * DAY_MS / 1500); /* as fast as the budget lets it */
}

static void test_method__partitions_that_were_added_do_not_make_it_flap(void **state)
{
    struct method_limits limits = limits_of(BIGQUERY_AUTO, 15 * MINUTE_MS);
    struct method_choice choice = method_choose(&limits, 10, 10, 0, &nothing_yet);

    (void)state;
    assert_int_equal(choice.method, METHOD_LOAD);
    assert_int_equal(method_choose(&limits, 12, 12, 0, &nothing_yet).method, METHOD_APPEND);
    choice = method_choose(&limits, 12, 12, 0, &choice);
    assert_int_equal(choice.method, METHOD_LOAD);
    assert_true(choice.age_ms >= choice.gap_ms);
    assert_int_equal(method_choose(&limits, 20, 20, 0, &choice).method, METHOD_APPEND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_method__no_choice_breaks_a_budget),
        cmocka_unit_test(test_method__the_project_s_budget_counts_all_partitions_of_the_group),
        cmocka_unit_test(test_method__nothing_is_chosen_before_the_group_s_partitions_are_counted),
        cmocka_unit_test(test_method__a_long_freshness_is_loaded_and_a_short_one_appended),
        cmocka_unit_test(test_method__a_backlog_is_loaded_until_it_is_nearly_gone),
        cmocka_unit_test(test_method__no_backlog_is_long_where_the_setting_is_zero),
        cmocka_unit_test(test_method__a_pinned_method_is_kept),
        cmocka_unit_test(test_method__partitions_that_were_added_do_not_make_it_flap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
