/* SPDX-License-Identifier: Apache-2.0 */
/* Which routes are kept (P6), and that what was counted for a table outlives them (P5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "producer/routes.h"
#include "tests/unit/make_table.h"

#define MANY 2000

static int set_up(void **state)
{
    static struct routes routes;

    routes_init(&routes, "shop");
    *state = &routes;
    return 0;
}

static int tear_down(void **state)
{
    routes_deinit(*state);
    return 0;
}

static struct route *find(struct routes *routes, const char *name, uint64_t version, char op)
{
    struct table *table = make_table("d", name, "id", "id long");
    const struct source_table shape = {table, version};
    struct route *route = NULL;
    struct err err = {0};

    assert_int_equal(routes_find(routes, &shape, op, &route, &err), 0);
    assert_int_equal(route->version, version);
    assert_string_equal(route->schema->table->name, name); /* a copy: the source's may be gone with the next change */
    table_free(table);
    return route;
}

static void test_routes__shapes_of_one_table_that_follow_each_other_leave_nothing(void **state)
{
    struct routes *routes = *state;

    for (uint64_t version = 1; version <= MANY; version++) {
        struct route *route = find(routes, "t", version, 'c');

        route->tally->changes.open++;
        assert_in_range(routes_count(routes), 1, ROUTES_LOOSE_MAX + 1);
    }
    routes_cut(routes);
    routes_committed(routes);
    assert_int_equal(routes_total(routes), MANY);
}

static void test_routes__tables_that_come_and_go_leave_nothing(void **state)
{
    struct routes *routes = *state;
    char name[32];

    for (uint64_t version = 1; version <= MANY; version++) {
        (void)snprintf(name, sizeof name, "t_%u", (unsigned)(version % 500));
        (void)find(routes, name, version, 'c');
        (void)find(routes, name, version, 't');
        assert_in_range(routes_count(routes), 1, ROUTES_LOOSE_MAX + 1);
    }
}

/* A route that is ready must not be prepared again and again. */
static void test_routes__the_newest_of_each_table_with_rows_is_kept(void **state)
{
    struct routes *routes = *state;
    char name[32];

    for (uint64_t version = 1; version <= 3 * ROUTES_LOOSE_MAX; version++) {
        (void)snprintf(name, sizeof name, "t_%u", (unsigned)version);
        find(routes, name, version, 'c')->ready = true;
    }
    find(routes, "t_1", 1, 't')->ready = true;
    assert_true(find(routes, "t_1", 1, 'c')->ready); /* filled again */
    for (uint64_t version = 1000; version < 1000 + MANY; version++) {
        (void)find(routes, "other", version, 'u');
    }
    for (uint64_t version = 1; version <= 3 * ROUTES_LOOSE_MAX; version++) {
        (void)snprintf(name, sizeof name, "t_%u", (unsigned)version);
        assert_true(find(routes, name, version, 'c')->ready);
    }
    assert_false(find(routes, "other", 1000, 'c')->ready);
    routes_reset(routes);
    assert_int_equal(routes_count(routes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_routes__shapes_of_one_table_that_follow_each_other_leave_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_routes__tables_that_come_and_go_leave_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_routes__the_newest_of_each_table_with_rows_is_kept, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
