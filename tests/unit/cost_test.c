/* SPDX-License-Identifier: Apache-2.0 */
/* The formula of docs/bigquery-cost.md, by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workers/bigquery/cost.h"

#define GIB 1073741824.0

static const struct cost_prices round_prices = {.append_gib = 1, .storage_gib_month = 10, .scan_tib = 1024, .date = "2026-01-01"};

static void assert_near(double value, double expected)
{
    assert_true(value > expected - 1e-9 && value < expected + 1e-9);
}

static void test_cost__adds_up_writing_storage_queries_and_refresh(void **state)
{
    const struct cost_facts facts = {.bytes_a_day = GIB, .stored_bytes = 5 * GIB, .query_bytes = GIB, .queries_a_day = 2, .refresh_bytes = GIB, .refreshes_a_day = 4};
    const struct cost cost = cost_month(&facts, &round_prices);

    (void)state;
    assert_near(cost.writing, 30);
    assert_near(cost.storage, 10 * (5 + 15));
    assert_near(cost.queries, 2 * 30);
    assert_near(cost.refresh, 4 * 30);
    assert_near(cost_sum(&cost), 30 + 200 + 60 + 120);
}

static void test_cost__load_jobs_write_for_nothing(void **state)
{
    const struct cost_facts facts = {.bytes_a_day = GIB, .loads = true};

    (void)state;
    assert_near(cost_month(&facts, &round_prices).writing, 0);
}

static void test_cost__prices_come_from_the_settings_and_are_checked(void **state)
{
    struct settings_bigquery settings = {0};
    struct cost_prices prices;
    struct err err;

    (void)state;
    text_pairs_set(&settings.prices, "scan_tib", "7.5");
    text_pairs_set(&settings.prices, "date", "2027-01-31");
    assert_int_equal(cost_prices_read(&settings, &prices, &err), 0);
    assert_near(prices.scan_tib, 7.5);
    assert_near(prices.append_gib, 0.025);
    assert_string_equal(prices.date, "2027-01-31");
    text_pairs_set(&settings.prices, "scan_tib", "7,5");
    assert_int_equal(cost_prices_read(&settings, &prices, &err), -1);
    text_pairs_set(&settings.prices, "scan_tib", "7.5");
    text_pairs_set(&settings.prices, "scan", "1");
    assert_int_equal(cost_prices_read(&settings, &prices, &err), -1);
    assert_non_null(strstr(err.text, "append_gib"));
    text_pairs_deinit(&settings.prices);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost__adds_up_writing_storage_queries_and_refresh),
        cmocka_unit_test(test_cost__load_jobs_write_for_nothing),
        cmocka_unit_test(test_cost__prices_come_from_the_settings_and_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
