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

#define GET_HISTORY "GET /bigquery/v2/projects/p/datasets/shop/tables/orders_history"

struct world {
    uv_loop_t loop;
    struct rest_world rest;
    struct settings settings;
    struct tables *tables;
    struct views *views;
    struct history *orders;
    struct history *lines;
    bool denied; /* BigQuery refuses everything */
    bool closed;
};

static bool before(struct rest_world *rest, const struct rest_request *request, int *ret_status)
{
    struct world *world = rest->context;

    (void)request;
    *ret_status = 403;
    return world->denied;
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

    tables_ensure(world->tables, &(struct tables_wish){.schema = schema, .leads = true}, on_history, &history);
    while (history == NULL) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    schema_free(schema);
    return history;
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
    world->views = views_open(&(struct views_options){
        .loop = &world->loop, .rest = rest_world_rest(&world->rest), .settings = &world->settings, .wall_us = noon_us});
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
    rest_world_deinit(&world->rest);
    must(uv_loop_close(&world->loop) == 0);
    free(world);
    return 0;
}

/* Until nothing is due within a second: what comes then are the rounds of tomorrow, or tries after a failure. */
static void settle(struct world *world)
{
    int wait_ms;

    uv_update_time(&world->loop);
    while (wait_ms = uv_backend_timeout(&world->loop), wait_ms >= 0 && wait_ms < 1000) {
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

    views_keep(world->views, world->orders);
    assert_int_equal(json_array_size(world->rest.calls), 0);
    settle(world);
    assert_non_null(rest_world_table(&world->rest, "shop.orders"));
    assert_string_equal(last_of(world, "shop.orders"), "changed");
}

static void test_views__one_round_at_a_time(void **state)
{
    struct world *world = *state;
    bool of_orders = false;
    unsigned turns = 0;

    views_keep(world->views, world->orders);
    views_keep(world->views, world->lines);
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

static void test_views__the_next_round_is_tomorrow(void **state)
{
    struct world *world = *state;
    int wait_ms;

    views_keep(world->views, world->orders);
    settle(world);
    wait_ms = uv_backend_timeout(&world->loop);
    assert_true(wait_ms > 12 * 3600000);
    assert_true(wait_ms < 13 * 3600000);
}

static void test_views__a_newer_history_is_looked_at_once_more(void **state)
{
    struct world *world = *state;

    views_keep(world->views, world->orders);
    (void)uv_run(&world->loop, UV_RUN_ONCE);
    views_keep(world->views, world->orders);
    views_keep(world->views, world->orders);
    settle(world);
    settle(world);
    assert_int_equal(rest_world_called(&world->rest, GET_HISTORY), 2);
    assert_string_equal(last_of(world, "shop.orders"), "nothing");
}

static void test_views__what_fails_is_told_and_tried_again(void **state)
{
    struct world *world = *state;
    char text[512];

    assert_false(views_trouble(world->views, text, sizeof text));
    world->denied = true;
    views_keep(world->views, world->orders);
    settle(world);
    assert_true(views_trouble(world->views, text, sizeof text));
    assert_non_null(strstr(text, "shop.orders"));
    assert_true(uv_backend_timeout(&world->loop) <= 30000);
    world->denied = false;
    views_keep(world->views, world->orders);
    settle(world);
    assert_false(views_trouble(world->views, text, sizeof text));
}

static void test_views__a_partition_that_is_left_takes_its_view_along(void **state)
{
    struct world *world = *state;
    size_t calls;

    views_keep(world->views, world->orders);
    (void)uv_run(&world->loop, UV_RUN_ONCE);
    assert_int_not_equal(world->rest.under_way, 0);
    views_leave(world->views, "kakehi.shop.orders");
    calls = json_array_size(world->rest.calls);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(json_array_size(world->rest.calls), calls);
    assert_null(rest_world_table(&world->rest, "shop.orders"));
    views_leave(world->views, "kakehi.shop.orders");
    views_leave(world->views, "no.such");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_views__a_view_is_made_as_soon_as_it_is_kept), TEST(test_views__one_round_at_a_time),
        TEST(test_views__the_next_round_is_tomorrow),           TEST(test_views__a_newer_history_is_looked_at_once_more),
        TEST(test_views__what_fails_is_told_and_tried_again),   TEST(test_views__a_partition_that_is_left_takes_its_view_along),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
