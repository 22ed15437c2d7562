/* SPDX-License-Identifier: Apache-2.0 */
/* Which tables can't stand beside each other in a warehouse, and which can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/make_table.h"
#include "workers/claims.h"

static const struct settings bigquery = {
    .warehouse = WAREHOUSE_BIGQUERY,
    .bigquery = {.project = (char *)"p", .location = (char *)"EU", .dataset = (char *)"{database}", .table = (char *)"{table}"},
};

static const struct settings one_dataset = {
    .warehouse = WAREHOUSE_BIGQUERY,
    .bigquery = {.project = (char *)"p", .location = (char *)"EU", .dataset = (char *)"all", .table = (char *)"{table}"},
};

static const struct settings sqlite = {.warehouse = WAREHOUSE_SQLITE, .sqlite_table = (char *)"{table}"};

/* The name for which the second one does not get in, since the first one has it; "": both do. */
static void assert_taken(const struct settings *settings, const char *const first[2], const char *const second[2], const char *expected)
{
    struct table *tables[] = {make_table(first[0], first[1], "id", "id long"), make_table(second[0], second[1], "id", "id long")};
    struct claims claims = {0};
    char first_name[TABLE_FULL_NAME_SIZE];
    const char *owner;
    const char *taken;

    table_full_name(first[0], first[1], first_name);
    assert_null(claims_take(&claims, settings, tables[0], &owner));
    taken = claims_take(&claims, settings, tables[1], &owner);
    assert_string_equal(taken != NULL ? taken : "", expected);
    assert_string_equal(owner != NULL ? owner : "", taken == NULL ? "" : first_name);
    claims_deinit(&claims);
    table_free(tables[0]);
    table_free(tables[1]);
}

#define TABLE(database, name) ((const char *const[2]){database, name})

static void test_claims__a_table_that_is_called_like_what_stands_beside_another_is_told(void **state)
{
    (void)state;
    assert_taken(&bigquery, TABLE("shop", "orders"), TABLE("shop", "orders_history"), "shop.orders_history");
    assert_taken(&bigquery, TABLE("shop", "orders_base"), TABLE("shop", "orders"), "shop.orders_base");
    assert_taken(&sqlite, TABLE("shop", "orders"), TABLE("shop", "orders_history"), "orders_history");
}

static void test_claims__two_tables_of_one_name_need_two_places(void **state)
{
    (void)state;
    assert_taken(&bigquery, TABLE("shop", "orders"), TABLE("old", "orders"), "");
    assert_taken(&one_dataset, TABLE("shop", "orders"), TABLE("old", "orders"), "all.orders");
    assert_taken(&sqlite, TABLE("shop", "orders"), TABLE("old", "orders"), "orders");
}

static void test_claims__case_alone_tells_names_apart_in_bigquery(void **state)
{
    (void)state;
    assert_taken(&bigquery, TABLE("shop", "orders"), TABLE("shop", "Orders_History"), "");
    assert_taken(&sqlite, TABLE("shop", "orders"), TABLE("shop", "Orders_History"), "orders_history");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims__a_table_that_is_called_like_what_stands_beside_another_is_told),
        cmocka_unit_test(test_claims__two_tables_of_one_name_need_two_places),
        cmocka_unit_test(test_claims__case_alone_tells_names_apart_in_bigquery),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
