/* SPDX-License-Identifier: Apache-2.0 */
/* P5: read = appended + deduplicated + filtered + dead-lettered + already in + in flight. Random schedules: partition_test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/metrics.h"
#include "workers/accounting.h"

static int64_t number(const json_t *tables, const char *table, const char *name)
{
    return json_integer_value(json_object_get(json_object_get(tables, table), name));
}

static void test_accounting__sums_to_what_was_read(void **state)
{
    struct accounting *accounting = accounting_new();
    struct account *account = accounting_open(accounting, "shop.sums", 0);
    json_t *tables;

    (void)state;
    account_read(account, 10, 100);
    account_settle(account, FATE_APPENDED, 4);
    account_settle(account, FATE_DEDUPLICATED, 1);
    account_settle(account, FATE_DEAD_LETTERED, 1);
    account_settle(account, FATE_ALREADY_IN, 1);
    tables = accounting_status(accounting);
    assert_int_equal(number(tables, "shop.sums", "read"), 10);
    assert_int_equal(number(tables, "shop.sums", "appended"), 4);
    assert_int_equal(number(tables, "shop.sums", "in_flight"), 3);
    json_decref(tables);
    accounting_free(accounting);
}

static void test_accounting__takes_back_what_leaves_unsettled(void **state)
{
    struct accounting *accounting = accounting_new();
    struct account *account = accounting_open(accounting, "shop.back", 0);

    (void)state;
    account_read(account, 5, 100);
    account_settle(account, FATE_APPENDED, 2);
    account_return(account, 3);
    assert_int_equal(account_rows_read(account), 2);
    assert_int_equal(account_rows_in_flight(account), 0);
    accounting_free(accounting);
}

static void test_accounting__never_lets_a_prometheus_counter_fall(void **state)
{
    struct accounting *accounting = accounting_new();
    struct account *account = accounting_open(accounting, "shop.counter", 0);
    struct buffer text = {0};

    (void)state;
    account_read(account, 5, 100);
    account_return(account, 3);
    metrics_print(&text);
    assert_non_null(strstr(buffer_text(&text), "kakehi_rows_read_total{table=\"shop.counter\",partition=\"0\"} 5"));
    assert_non_null(strstr(buffer_text(&text), "kakehi_rows_returned_total{table=\"shop.counter\",partition=\"0\"} 3"));
    buffer_deinit(&text);
    accounting_free(accounting);
}

static void test_accounting__keeps_tables_apart_and_finds_them_again(void **state)
{
    struct accounting *accounting = accounting_new();

    (void)state;
    account_read(accounting_open(accounting, "a.b", 0), 1, 100);
    account_read(accounting_open(accounting, "a.c", 0), 2, 100);
    assert_int_equal(account_rows_read(accounting_open(accounting, "a.b", 0)), 1);
    assert_int_equal(account_rows_read(accounting_open(accounting, "a.c", 0)), 2);
    accounting_free(accounting);
}

static void test_accounting__of_partitions_add_up_to_the_table(void **state)
{
    struct accounting *accounting = accounting_new();
    struct account *first = accounting_open(accounting, "shop.parts", 0);
    struct account *second = accounting_open(accounting, "shop.parts", 7);
    struct buffer text = {0};
    json_t *tables;

    (void)state;
    account_read(first, 2, 20);
    account_read(second, 3, 30);
    account_settle(second, FATE_APPENDED, 1);
    tables = accounting_status(accounting);
    assert_int_equal(number(tables, "shop.parts", "read"), 5);
    assert_int_equal(number(tables, "shop.parts", "in_flight"), 4);
    assert_int_equal(accounting_sums(accounting).settled, 1);
    metrics_print(&text);
    assert_non_null(strstr(buffer_text(&text), "kakehi_rows_read_total{table=\"shop.parts\",partition=\"0\"} 2\n"));
    assert_non_null(strstr(buffer_text(&text), "kakehi_rows_read_bytes_total{table=\"shop.parts\",partition=\"7\"} 30\n"));
    json_decref(tables);
    buffer_deinit(&text);
    accounting_free(accounting);
}

static void test_accounting__tells_how_long_writes_took_by_partition(void **state)
{
    struct accounting *accounting = accounting_new();
    struct account *first = accounting_open(accounting, "shop.slow", 0), *second = accounting_open(accounting, "shop.slow", 12);
    struct buffer text = {0};

    (void)state;
    account_write_took(second, 40);
    metrics_print(&text);
    assert_null(strstr(buffer_text(&text), "kakehi_warehouse_commit_seconds_count{table=\"shop.slow\",partition=\"0\"}"));
    account_write_took(first, 2000);
    account_write_took(second, 60);
    buffer_clear(&text);
    metrics_print(&text);
    assert_non_null(strstr(buffer_text(&text), "kakehi_warehouse_commit_seconds_bucket{table=\"shop.slow\",partition=\"12\",le=\"0.05\"} 1\n"));
    assert_non_null(strstr(buffer_text(&text), "kakehi_warehouse_commit_seconds_sum{table=\"shop.slow\",partition=\"12\"} 0.1\n"));
    assert_non_null(strstr(buffer_text(&text), "kakehi_warehouse_commit_seconds_count{table=\"shop.slow\",partition=\"0\"} 1\n"));
    buffer_deinit(&text);
    accounting_free(accounting);
}

static void test_accounting__hides_the_gauges_of_a_partition_that_left(void **state)
{
    static const char in_flight[] = "kakehi_rows_in_flight{table=\"shop.left\",partition=\"1\"}";
    static const char freshness[] = "kakehi_freshness_seconds{table=\"shop.left\",partition=\"1\"}";
    struct accounting *accounting = accounting_new();
    struct account *account = accounting_open(accounting, "shop.left", 1);
    struct buffer text = {0};

    (void)state;
    account_read(account, 1, 10);
    account_settle(account, FATE_APPENDED, 1);
    account_freshness(account, 250);
    metrics_print(&text);
    assert_non_null(strstr(buffer_text(&text), in_flight));
    assert_non_null(strstr(buffer_text(&text), freshness));
    account_leave(account);
    buffer_clear(&text);
    metrics_print(&text);
    assert_null(strstr(buffer_text(&text), in_flight));
    assert_null(strstr(buffer_text(&text), freshness));
    assert_non_null(strstr(buffer_text(&text), "kakehi_rows_appended_total{table=\"shop.left\",partition=\"1\"} 1\n"));
    assert_ptr_equal(accounting_open(accounting, "shop.left", 1), account); /* and it comes back */
    buffer_clear(&text);
    metrics_print(&text);
    assert_non_null(strstr(buffer_text(&text), in_flight));
    buffer_deinit(&text);
    accounting_free(accounting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accounting__sums_to_what_was_read),
        cmocka_unit_test(test_accounting__takes_back_what_leaves_unsettled),
        cmocka_unit_test(test_accounting__never_lets_a_prometheus_counter_fall),
        cmocka_unit_test(test_accounting__keeps_tables_apart_and_finds_them_again),
        cmocka_unit_test(test_accounting__of_partitions_add_up_to_the_table),
        cmocka_unit_test(test_accounting__tells_how_long_writes_took_by_partition),
        cmocka_unit_test(test_accounting__hides_the_gauges_of_a_partition_that_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
