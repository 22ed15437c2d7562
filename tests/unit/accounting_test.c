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
    struct account *account = accounting_table(accounting, "shop.sums");
    json_t *tables;

    (void)state;
    account_read(account, 10);
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
    struct account *account = accounting_table(accounting, "shop.back");

    (void)state;
    account_read(account, 5);
    account_settle(account, FATE_APPENDED, 2);
    account_return(account, 3);
    assert_int_equal(account_rows_read(account), 2);
    assert_int_equal(account_rows_in_flight(account), 0);
    accounting_free(accounting);
}

static void test_accounting__never_lets_a_prometheus_counter_fall(void **state)
{
    struct accounting *accounting = accounting_new();
    struct account *account = accounting_table(accounting, "shop.counter");
    struct buffer text = {0};

    (void)state;
    account_read(account, 5);
    account_return(account, 3);
    metrics_print(&text);
    assert_non_null(strstr(buffer_text(&text), "kakehi_rows_read_total{table=\"shop.counter\"} 5"));
    assert_non_null(strstr(buffer_text(&text), "kakehi_rows_returned_total{table=\"shop.counter\"} 3"));
    buffer_deinit(&text);
    accounting_free(accounting);
}

static void test_accounting__keeps_tables_apart_and_finds_them_again(void **state)
{
    struct accounting *accounting = accounting_new();

    (void)state;
    account_read(accounting_table(accounting, "a.b"), 1);
    account_read(accounting_table(accounting, "a.c"), 2);
    assert_int_equal(account_rows_read(accounting_table(accounting, "a.b")), 1);
    assert_int_equal(account_rows_read(accounting_table(accounting, "a.c")), 2);
    accounting_free(accounting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accounting__sums_to_what_was_read),
        cmocka_unit_test(test_accounting__takes_back_what_leaves_unsettled),
        cmocka_unit_test(test_accounting__never_lets_a_prometheus_counter_fall),
        cmocka_unit_test(test_accounting__keeps_tables_apart_and_finds_them_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
