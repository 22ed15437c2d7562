/* SPDX-License-Identifier: Apache-2.0 */
/* Which views a worker looks after, and when: against a BigQuery in memory and a time of day that stands still. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "tests/unit/make_table.h"
#include "tests/unit/rest_world.h"
#include "workers/bigquery/tables.h"
#include "workers/bigquery/views.h"

#define ORDERS      "kakehi.shop.orders"
#define LINES       "kakehi.shop.lines"
#define GET_HISTORY "GET /bigquery/v2/projects/p/datasets/shop/tables/orders_history"

struct world {
    uv_loop_t loop;
    struct rest_world rest;
    struct settings settings;
    struct tables *tables;
    struct views *views;
    struct history *orders; /* NULL: not made yet */
    struct history *lines;
    int refused; /* BigQuery refuses everything with this status; 0: it does not */
    bool closed;
};

static bool before(struct rest_world *rest, const struct rest_request *request, int *ret_status)
{
    struct world *world = rest->context;

    (void)request;
    *ret_status = world->refused;
    return world->refused != 0;
}

static int64_t noon_us(void *context)
{
    (void)context;
    return INT64_C(1795262400000000); /* 2026-11-21 12:00 UTC */
}

static void on_history(void *context, struct history *history, const struct err *err)
{
    must(err == NULL);
    *(struct history **)context = history_ref(history);
}

static struct history *make_history(struct world *world, const char *table)
{
    struct schema *schema = make_schema("shop", table, "id", "id long");
    struct history *history = NULL;

    tables_ensure(world->tables, &(struct tables_wish){.schema = schema}, on_history, &history);
    while (history == NULL) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    schema_free(schema);
    return history;
}

static void open_views(struct world *world, uint64_t look_min_ms)
{
    world->views = views_open(&(struct views_options){.loop = &world->loop,
                                                      .rest = rest_world_rest(&world->rest),
                                                      .settings = &world->settings,
                                                      .wall_us = noon_us,
                                                      .look_min_ms = look_min_ms});
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    must(world != NULL && uv_loop_init(&world->loop) == 0);
    rest_world_init(&world->rest, &world->loop);
    world->rest.context = world;
    world->rest.before = before;
    world->settings.prefix = (char *)"kakehi";
    world->settings.bigquery = (struct settings_bigquery){
        .project = (char *)"p", .location = (char *)"EU", .dataset = (char *)"{database}", .table = (char *)"{table}"};
    world->tables = tables_open(
        &(struct tables_options){.loop = &world->loop, .rest = rest_world_rest(&world->rest), .settings = &world->settings});
    world->settings.worker.stall_ms = 60000;
    open_views(world, 0);
    world->orders = make_history(world, "orders");
    world->lines = make_history(world, "lines");
    must(json_array_clear(world->rest.calls) == 0);
    *state = world;
    return 0;
}

static void on_closed(void *context)
{
    ((struct world *)context)->closed = true;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    views_close(world->views, on_closed, world);
    must(uv_run(&world->loop, UV_RUN_DEFAULT) == 0 && world->closed);
    tables_close(world->tables, on_closed, world);
    must(uv_run(&world->loop, UV_RUN_DEFAULT) == 0);
    history_unref(world->orders);
    history_unref(world->lines);
    text_pairs_deinit(&world->settings.freshness);
    rest_world_deinit(&world->rest);
    must(uv_loop_close(&world->loop) == 0);
    free(world);
    return 0;
}

/* Until nothing is due within a second: what comes then are looks, the rounds of tomorrow, or tries after a failure. */
static void settle(struct world *world)
{
    uv_update_time(&world->loop);
    while (uv_loop_alive(&world->loop) && uv_backend_timeout(&world->loop) < 1000) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

static const char *last_of(const struct world *world, const char *table)
{
    json_t *status = views_status(world->views);
    static char last[64];

    (void)snprintf(last, sizeof last, "%s", json_string_value(json_object_get(json_object_get(status, table), "last")));
    json_decref(status);
    return last;
}

static void test_views__a_view_is_made_as_soon_as_it_is_kept(void **state)
{
    struct world *world = *state;

    views_keep(world->views, ORDERS);
    assert_int_equal(json_array_size(world->rest.calls), 0);
    settle(world);
    assert_non_null(rest_world_table(&world->rest, "shop.orders"));
    assert_string_equal(last_of(world, "shop.orders"), "changed");
}

static const char *query_of(struct world *world)
{
    return json_string_value(
        json_object_get(json_object_get(rest_world_table(&world->rest, "shop.orders"), "view"), "query"));
}

static void test_views__one_round_at_a_time(void **state)
{
    struct world *world = *state;
    bool of_orders = false;
    unsigned turns = 0;

    views_keep(world->views, ORDERS);
    views_keep(world->views, LINES);
    settle(world);
    assert_non_null(rest_world_table(&world->rest, "shop.orders"));
    assert_non_null(rest_world_table(&world->rest, "shop.lines"));
    for (size_t i = 0; i < json_array_size(world->rest.calls); i++) {
        const char *call = json_string_value(json_array_get(world->rest.calls, i));

        turns += of_orders ? strstr(call, "/lines") != NULL : strstr(call, "/orders") != NULL;
        of_orders = strstr(call, "/orders") != NULL || (of_orders && strstr(call, "/lines") == NULL);
    }
    assert_int_equal(turns, 1);
}

/* ---- when */

static void test_views__a_history_is_looked_at_as_often_as_its_freshness_asks(void **state)
{
    static const struct {
        const char *freshness;
        int wait_ms;
    } looks[] = {{"100ms", 60000}, {"15m", 900000}, {"6h", 3600000}};
    struct world *world = *state;

    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
        int wait_ms;

        text_pairs_set(&world->settings.freshness, "*.*", looks[i].freshness);
        views_keep(world->views, ORDERS);
        settle(world);
        wait_ms = uv_backend_timeout(&world->loop);
        assert_true(wait_ms > looks[i].wait_ms / 2 && wait_ms <= looks[i].wait_ms);
        views_leave(world->views, ORDERS);
        text_pairs_deinit(&world->settings.freshness);
        world->settings.freshness = (struct text_pairs){0};
    }
}

static int64_t before_midnight_us(void *context)
{
    (void)context;
    return INT64_C(1795305599999000); /* 2026-11-21 23:59:59.999 UTC */
}

static void test_views__after_midnight_all_is_looked_at(void **state)
{
    struct world *world = *state;
    int wait_ms;

    views_close(world->views, on_closed, world);
    must(uv_run(&world->loop, UV_RUN_DEFAULT) == 0);
    text_pairs_set(&world->settings.freshness, "*.*", "7d");
    world->views = views_open(&(struct views_options){.loop = &world->loop,
                                                      .rest = rest_world_rest(&world->rest),
                                                      .settings = &world->settings,
                                                      .wall_us = before_midnight_us});
    views_keep(world->views, ORDERS);
    settle(world);
    wait_ms = uv_backend_timeout(&world->loop);
    assert_true(wait_ms > 150000);
    assert_true(wait_ms <= 5 * 60000 + 30 * 60000);
}

static void test_views__a_look_costs_one_call_while_nothing_changes(void **state)
{
    struct world *world = *state;

    views_keep(world->views, ORDERS);
    settle(world);
    must(json_array_clear(world->rest.calls) == 0);
    views_look(world->views, &world->orders->names);
    settle(world);
    assert_int_equal(json_array_size(world->rest.calls), 1);
    assert_int_equal(rest_world_called(&world->rest, GET_HISTORY), 1);
    assert_string_equal(last_of(world, "shop.orders"), "changed");
}

/* The rows are all in other partitions, and another worker's: nobody here ever meets the table. */
static void test_views__a_history_that_others_write_has_its_view_and_its_columns(void **state)
{
    struct world *world = *state;
    json_t *field = json_pack("{s:s, s:s, s:s}", "name", "note", "type", "STRING", "mode", "NULLABLE");
    json_t *orders;

    views_close(world->views, on_closed, world);
    must(uv_run(&world->loop, UV_RUN_DEFAULT) == 0);
    open_views(world, 20);
    orders = json_incref(rest_world_table(&world->rest, "shop.orders_history"));
    must(json_object_del(world->rest.tables, "shop.orders_history") == 0);
    views_keep(world->views, ORDERS);
    while (rest_world_called(&world->rest, GET_HISTORY) < 2) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_null(rest_world_table(&world->rest, "shop.orders"));
    must(json_object_set_new(world->rest.tables, "shop.orders_history", orders) == 0);
    while (rest_world_table(&world->rest, "shop.orders") == NULL) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    must(json_array_append_new(json_object_get(json_object_get(orders, "schema"), "fields"), field) == 0);
    rest_world_touch(&world->rest, orders);
    while (strstr(query_of(world), "note") == NULL) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

static void test_views__a_table_that_is_found_here_is_looked_at_at_once(void **state)
{
    struct world *world = *state;
    json_t *orders = json_incref(rest_world_table(&world->rest, "shop.orders_history"));

    must(json_object_del(world->rest.tables, "shop.orders_history") == 0);
    views_keep(world->views, ORDERS);
    settle(world);
    assert_string_equal(last_of(world, "shop.orders"), "gone");
    must(json_object_set_new(world->rest.tables, "shop.orders_history", orders) == 0);
    views_look(world->views, &world->orders->names);
    settle(world);
    assert_non_null(rest_world_table(&world->rest, "shop.orders"));
}

static void test_views__a_table_whose_partition_0_is_elsewhere_is_none_of_ours(void **state)
{
    struct world *world = *state;

    views_look(world->views, &world->orders->names);
    settle(world);
    assert_int_equal(json_array_size(world->rest.calls), 0);
}

static void test_views__what_is_found_during_a_round_is_looked_at_once_more(void **state)
{
    struct world *world = *state;

    views_keep(world->views, ORDERS);
    (void)uv_run(&world->loop, UV_RUN_ONCE);
    views_look(world->views, &world->orders->names);
    views_look(world->views, &world->orders->names);
    settle(world);
    assert_int_equal(rest_world_called(&world->rest, GET_HISTORY), 2);
}

/* ---- whose */

static void test_views__another_owners_dataset_is_not_touched(void **state)
{
    struct world *world = *state;
    json_t *dataset = json_object_get(world->rest.datasets, "shop");
    char text[1024];

    must(json_object_set_new(json_object_get(dataset, "labels"), "kakehi_owner", json_string("staging")) == 0);
    views_keep(world->views, ORDERS);
    settle(world);
    assert_null(rest_world_table(&world->rest, "shop.orders"));
    assert_int_equal(rest_world_called(&world->rest, "POST"), 0);
    assert_true(views_trouble(world->views, text, sizeof text));
    assert_non_null(strstr(text, "belongs to staging"));
    must(json_object_del(json_object_get(dataset, "labels"), "kakehi_owner") == 0);
    views_look(world->views, &world->orders->names);
    settle(world);
    assert_int_equal(rest_world_called(&world->rest, "POST"), 0);
    assert_true(views_trouble(world->views, text, sizeof text));
    assert_non_null(strstr(text, "bq update --set_label kakehi_owner:kakehi p:shop"));
}

/* ---- what fails */

static void test_views__what_fails_is_told_and_tried_again(void **state)
{
    struct world *world = *state;
    char text[1024];

    assert_false(views_trouble(world->views, text, sizeof text));
    world->refused = 403;
    views_keep(world->views, ORDERS);
    settle(world);
    assert_true(views_trouble(world->views, text, sizeof text));
    assert_non_null(strstr(text, "shop.orders"));
    assert_non_null(strstr(text, "kakehi-worker views"));
    assert_true(uv_backend_timeout(&world->loop) <= 30000);
    world->refused = 0;
    views_look(world->views, &world->orders->names);
    settle(world);
    assert_false(views_trouble(world->views, text, sizeof text));
}

static void test_views__what_may_pass_is_no_alarm_until_it_has_lasted(void **state)
{
    struct world *world = *state;
    char text[1024];

    world->refused = 503;
    views_keep(world->views, ORDERS);
    settle(world);
    assert_false(views_trouble(world->views, text, sizeof text));
    world->settings.worker.stall_ms = 0;
    while (!views_trouble(world->views, text, sizeof text)) {
        uv_update_time(&world->loop);
    }
    assert_non_null(strstr(text, "503"));
}

static void test_views__a_round_that_does_not_end_is_told(void **state)
{
    struct world *world = *state;
    char text[1024];

    views_keep(world->views, ORDERS);
    (void)uv_run(&world->loop, UV_RUN_ONCE);
    assert_int_not_equal(world->rest.under_way, 0);
    assert_false(views_trouble(world->views, text, sizeof text));
    world->settings.worker.stall_ms = 0;
    while (!views_trouble(world->views, text, sizeof text)) {
        uv_update_time(&world->loop);
    }
    assert_non_null(strstr(text, "has been under way for"));
}

/* ---- the end */

static void test_views__a_partition_that_is_left_takes_its_view_along(void **state)
{
    struct world *world = *state;
    size_t calls;

    views_keep(world->views, ORDERS);
    (void)uv_run(&world->loop, UV_RUN_ONCE);
    assert_int_not_equal(world->rest.under_way, 0);
    views_keep(world->views, ORDERS); /* assigned anew before the old lane was closed */
    views_leave(world->views, ORDERS);
    assert_int_not_equal(world->rest.under_way, 0);
    views_leave(world->views, ORDERS);
    calls = json_array_size(world->rest.calls);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(json_array_size(world->rest.calls), calls);
    assert_null(rest_world_table(&world->rest, "shop.orders"));
    views_leave(world->views, ORDERS);
    views_leave(world->views, "no.such");
    views_keep(world->views, "no.such");
    assert_false(uv_loop_alive(&world->loop));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_views__a_view_is_made_as_soon_as_it_is_kept),
        TEST(test_views__one_round_at_a_time),
        TEST(test_views__a_history_is_looked_at_as_often_as_its_freshness_asks),
        TEST(test_views__after_midnight_all_is_looked_at),
        TEST(test_views__a_look_costs_one_call_while_nothing_changes),
        TEST(test_views__a_history_that_others_write_has_its_view_and_its_columns),
        TEST(test_views__a_table_that_is_found_here_is_looked_at_at_once),
        TEST(test_views__a_table_whose_partition_0_is_elsewhere_is_none_of_ours),
        TEST(test_views__what_is_found_during_a_round_is_looked_at_once_more),
        TEST(test_views__another_owners_dataset_is_not_touched),
        TEST(test_views__what_fails_is_told_and_tried_again),
        TEST(test_views__what_may_pass_is_no_alarm_until_it_has_lasted),
        TEST(test_views__a_round_that_does_not_end_is_told),
        TEST(test_views__a_partition_that_is_left_takes_its_view_along),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
