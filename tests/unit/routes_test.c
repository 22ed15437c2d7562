/* SPDX-License-Identifier: Apache-2.0 */
/* Which routes are kept (P6), and that what was counted for a table outlives them (P5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

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
    routes_committed(routes, &(struct delivered_list){0});
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

static void test_routes__what_came_to_partitions_is_told_of_each(void **state)
{
    struct routes *routes = *state;
    struct delivered first[] = {{.topic_id = 3, .partition = 2, .messages = 5, .bytes = 50}, {.topic_id = 0, .partition = 0, .messages = 1, .bytes = 7}};
    struct delivered second[] = {{.topic_id = 3, .partition = 2, .messages = 1, .bytes = 10}, {.topic_id = 3, .partition = 0, .messages = 2, .bytes = 20}};
    struct buffer text = {0};

    routes_take_topic(routes, 3, find(routes, "parted", 1, 'c')->tally);
    routes_take_topic(routes, 0, find(routes, "small", 2, 'c')->tally);
    routes_committed(routes, &(struct delivered_list){first, 2});
    routes_reset(routes); /* a topic stays its table's */
    routes_committed(routes, &(struct delivered_list){second, 2});
    metrics_print(&text);
    assert_non_null(strstr(buffer_text(&text), "kakehi_messages_committed_total{source=\"shop\",table=\"d.parted\",partition=\"2\"} 6\n"));
    assert_non_null(strstr(buffer_text(&text), "kakehi_messages_committed_total{source=\"shop\",table=\"d.parted\",partition=\"0\"} 2\n"));
    assert_non_null(strstr(buffer_text(&text), "kakehi_messages_committed_bytes_total{source=\"shop\",table=\"d.parted\",partition=\"2\"} 60\n"));
    assert_non_null(strstr(buffer_text(&text), "kakehi_messages_committed_bytes_total{source=\"shop\",table=\"d.small\",partition=\"0\"} 7\n"));
    assert_null(strstr(buffer_text(&text), "table=\"d.parted\",partition=\"1\"")); /* nothing came to it */
    buffer_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_routes__shapes_of_one_table_that_follow_each_other_leave_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_routes__tables_that_come_and_go_leave_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_routes__the_newest_of_each_table_with_rows_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_routes__what_came_to_partitions_is_told_of_each, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
