/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds over a view against a BigQuery in memory: what is written in which order, what a stop or another refresher in between
 * does, and what is refused. What the statements do to rows is tests/integration/test_bigquery_view_sql.py's.
 */
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
#include "workers/bigquery/refresh.h"
#include "workers/bigquery/tables.h"
#include "workers/bigquery/view_state.h"

#define HISTORY "shop.orders_history"
#define BASE    "shop.orders_base"
#define VIEW    "shop.orders"

struct world {
    uv_loop_t loop;
    struct rest_world rest;
    struct settings settings;
    struct tables *tables;
    struct history *history;
    struct refresh *refresh; /* under way */
    unsigned reports;
    struct refresh_report report;
    struct err err;
    const char *today;
    const char *closed; /* a day with rows ... */
    const char *closed_rows;
    const char *truncates; /* of today */
    /* What happens when a call that begins so is carried out, once. */
    const char *when;
    void (*then)(struct world *world);
};

/* ---- the world */

static json_t *day_rows(struct rest_world *rest, const char *sql)
{
    const struct world *world = rest->context;
    json_t *rows = json_array();

    if (strstr(sql, "CURRENT_DATE") == NULL) {
        json_decref(rows);
        return NULL;
    }
    must(json_array_append_new(rows, json_pack("[s,s,s]", world->today, "-1", "0")) == 0);
    must(json_array_append_new(rows, json_pack("[s,s,s]", world->today, "10", world->truncates)) == 0);
    must(json_array_append_new(rows, json_pack("[s,s,s]", world->closed, world->closed_rows, "0")) == 0);
    return rows;
}

static bool before(struct rest_world *rest, const struct rest_request *request, int *ret_status)
{
    struct world *world = rest->context;
    char line[512];

    (void)ret_status;
    (void)snprintf(line, sizeof line, "%s %s", request->method, request->path);
    if (world->when != NULL && strcmp(line, world->when) == 0) {
        world->when = NULL;
        world->then(world);
    }
    return false;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    must(world != NULL && uv_loop_init(&world->loop) == 0);
    rest_world_init(&world->rest, &world->loop);
    world->rest.context = world;
    world->rest.rows = day_rows;
    world->rest.before = before;
    world->settings.prefix = (char *)"kakehi";
    world->settings.bigquery = (struct settings_bigquery){
        .project = (char *)"p", .location = (char *)"EU", .dataset = (char *)"{database}", .table = (char *)"{table}"};
    world->tables = tables_open(
        &(struct tables_options){.loop = &world->loop, .rest = rest_world_rest(&world->rest), .settings = &world->settings});
    world->today = "2026-11-21";
    world->closed = "2026-11-17";
    world->closed_rows = "7";
    world->truncates = "0";
    *state = world;
    return 0;
}

static void on_closed(void *context)
{
    (void)context;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    tables_close(world->tables, on_closed, NULL);
    must(uv_run(&world->loop, UV_RUN_DEFAULT) == 0);
    history_unref(world->history);
    rest_world_deinit(&world->rest);
    text_pairs_deinit(&world->settings.bigquery.view);
    must(uv_loop_close(&world->loop) == 0);
    free(world);
    return 0;
}

static void on_ensured(void *context, struct history *history, const struct err *err)
{
    struct world *world = context;

    must(err == NULL);
    history_unref(world->history);
    world->history = history_ref(history);
}

static void ensure(struct world *world, const char *key, const char *columns)
{
    struct schema *schema = make_schema("shop", "orders", key, columns);

    tables_ensure(world->tables, &(struct tables_wish){.schema = schema, .fresh = true}, on_ensured, world);
    must(uv_run(&world->loop, UV_RUN_DEFAULT) == 0);
    tables_describe(world->tables, schema->table, on_ensured, world);
    must(uv_run(&world->loop, UV_RUN_DEFAULT) == 0);
    schema_free(schema);
}

static void on_report(void *context, const struct refresh_report *report, const struct err *err)
{
    struct world *world = context;

    world->refresh = NULL;
    world->reports++;
    world->report = report != NULL ? *report : (struct refresh_report){0};
    world->err = err != NULL ? *err : (struct err){0};
}

static void begin(struct world *world)
{
    must(json_array_clear(world->rest.calls) == 0);
    world->refresh = refresh_start(&(struct refresh_options){.rest = rest_world_rest(&world->rest),
                                                             .settings = &world->settings,
                                                             .names = &world->history->names},
                                   on_report, world);
}

static void round_of(struct world *world)
{
    unsigned reports = world->reports;

    begin(world);
    must(uv_run(&world->loop, UV_RUN_DEFAULT) == 0);
    assert_int_equal(world->reports, reports + 1);
}

static void assert_did(const struct world *world, enum refresh_did did)
{
    if (world->err.class != ERR_NONE) {
        fail_msg("%s", world->err.text);
    }
    assert_int_equal(world->report.did, did);
}

static void assert_refused(const struct world *world, const char *words)
{
    assert_int_equal(world->err.class, ERR_FATAL);
    if (strstr(world->err.text, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", world->err.text, words);
    }
}

static void want_base(struct world *world)
{
    text_pairs_set(&world->settings.bigquery.view, "*.*", "base");
}

static const char *query_of(struct world *world)
{
    return json_string_value(json_object_get(json_object_get(rest_world_table(&world->rest, VIEW), "view"), "query"));
}

static struct view_state state_of(struct world *world)
{
    struct view_state state;

    view_state_read(query_of(world), &state);
    return state;
}

/* The place of the first call that begins so, behind `after`; SIZE_MAX: there is none. */
static size_t place_of(const struct world *world, const char *begin_text, size_t after)
{
    for (size_t i = after; i < json_array_size(world->rest.calls); i++) {
        if (strncmp(json_string_value(json_array_get(world->rest.calls, i)), begin_text, strlen(begin_text)) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

static void assert_in_order(const struct world *world, const char *const *begins)
{
    size_t place = 0;

    for (; *begins != NULL; begins++) {
        place = place_of(world, *begins, place);
        if (place == SIZE_MAX) {
            fail_msg("no call \"%s\" at its place", *begins);
        }
    }
}

static size_t writes(const struct world *world)
{
    return rest_world_called(&world->rest, "POST /bigquery/v2/projects/p/datasets") + rest_world_called(&world->rest, "PATCH") +
           rest_world_called(&world->rest, "MERGE") + rest_world_called(&world->rest, "ALTER");
}

#define PATCH_VIEW "PATCH /bigquery/v2/projects/p/datasets/shop/tables/orders"
#define PATCH_BASE "PATCH /bigquery/v2/projects/p/datasets/shop/tables/orders_base"
#define MAKE_TABLE "POST /bigquery/v2/projects/p/datasets/shop/tables"

/* ---- plain */

static void test_refresh__a_view_is_made_once(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long, note text");
    round_of(world);
    assert_did(world, REFRESH_CHANGED);
    assert_false(world->report.base);
    assert_non_null(strstr(query_of(world), "FROM `p.shop.orders_history`"));
    assert_int_equal(json_array_size(world->rest.routines), 1);
    round_of(world);
    assert_did(world, REFRESH_NOTHING);
    assert_int_equal(writes(world), 0);
}

static void test_refresh__a_view_follows_its_columns(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long, note text");
    round_of(world);
    ensure(world, "id", "id long, price long");
    round_of(world);
    assert_did(world, REFRESH_CHANGED);
    assert_non_null(strstr(query_of(world), "`price`"));
    assert_non_null(strstr(query_of(world), "`note`"));
    assert_int_equal(json_array_size(world->rest.routines), 2);
    world->settings.bigquery.columns = BIGQUERY_COLUMNS_CURRENT;
    round_of(world);
    assert_null(strstr(query_of(world), "`note`"));
}

static void test_refresh__what_was_changed_by_hand_is_put_back(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long");
    round_of(world);
    must(json_object_set_new(json_object_get(rest_world_table(&world->rest, VIEW), "view"), "query", json_string("SELECT 1")) ==
         0);
    round_of(world);
    assert_did(world, REFRESH_CHANGED);
    assert_non_null(strstr(query_of(world), "orders_history"));
}

/* The base's view names its days anyhow; the function reads all of them, and must say so once the history asks for it. */
static void test_refresh__the_as_of_function_is_made_again_when_its_text_would_differ(void **state)
{
    struct world *world = *state;
    const char *function;

    want_base(world);
    ensure(world, "id", "id long");
    round_of(world);
    round_of(world);
    assert_int_equal(json_array_size(world->rest.routines), 1);
    must(json_object_set_new(rest_world_table(&world->rest, HISTORY), "requirePartitionFilter", json_true()) == 0);
    round_of(world);
    assert_did(world, REFRESH_CHANGED);
    assert_int_equal(json_array_size(world->rest.routines), 2);
    function = json_string_value(json_array_get(world->rest.routines, 1));
    assert_non_null(strstr(function, "CREATE OR REPLACE TABLE FUNCTION `p.shop.orders_as_of`"));
    assert_non_null(strstr(function, "__ingest_day >= DATE '0001-01-01'"));
    round_of(world);
    assert_did(world, REFRESH_NOTHING);
    assert_int_equal(json_array_size(world->rest.routines), 2);
}

static void test_refresh__an_as_of_function_that_was_dropped_is_made_again(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long");
    round_of(world);
    round_of(world);
    assert_did(world, REFRESH_NOTHING);
    must(json_array_clear(world->rest.routines) == 0);
    round_of(world);
    assert_did(world, REFRESH_CHANGED);
    assert_int_equal(json_array_size(world->rest.routines), 1);
    assert_int_equal(writes(world), 0); /* the view stays as it is */
}

static void test_refresh__a_table_without_a_key_has_no_view(void **state)
{
    struct world *world = *state;

    ensure(world, "", "id long");
    round_of(world);
    assert_did(world, REFRESH_NO_KEY);
    assert_null(rest_world_table(&world->rest, VIEW));
}

static void test_refresh__no_history_no_view(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long");
    must(json_object_del(world->rest.tables, HISTORY) == 0);
    round_of(world);
    assert_did(world, REFRESH_GONE);
    assert_int_equal(writes(world), 0);
}

static void test_refresh__a_table_of_that_name_that_is_not_ours_is_left_alone(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long");
    must(json_object_set_new(world->rest.tables, VIEW, json_pack("{s:s, s:s}", "creationTime", "17", "etag", "x")) == 0);
    round_of(world);
    assert_refused(world, "but not as the view of shop.orders");
    assert_int_equal(writes(world), 0);
}

static void test_refresh__f6_a_plain_view_of_an_expiring_history_is_refused(void **state)
{
    struct world *world = *state;

    world->settings.bigquery.partition_expiration_ms = 864000000;
    ensure(world, "id", "id long");
    round_of(world);
    assert_refused(world, "set bigquery.view: base");
    assert_int_equal(writes(world), 0);
}

static void test_refresh__a_key_that_nobody_marks_any_more_is_told(void **state)
{
    struct world *world = *state;

    ensure(world, "id, region", "id long, region text");
    must(json_object_set_new(rest_world_field(rest_world_table(&world->rest, HISTORY), "id"), "description",
                             json_string("the id")) == 0);
    round_of(world);
    assert_refused(world, ", key 1");
}

/* ---- base + tail */

static void test_refresh__f1_f7_the_first_base_is_merged_before_the_view_reads_it(void **state)
{
    struct world *world = *state;
    struct view_state view;

    want_base(world);
    world->truncates = "1";
    ensure(world, "id", "id long, x double");
    round_of(world);
    assert_did(world, REFRESH_MERGED);
    assert_in_order(world,
                    (const char *const[]){MAKE_TABLE, MAKE_TABLE, "SELECT CURRENT_DATE", "MERGE", "MERGE", PATCH_VIEW, NULL});
    assert_non_null(strstr(json_string_value(json_array_get(world->rest.calls, place_of(world, "MERGE", 0))),
                           "DATE '0001-01-01' AND __op = 't'"));
    view = state_of(world);
    assert_int_equal(view.watermark, 20776);
    assert_int_equal(view.day_count, 1);
    assert_int_equal(view.days[0].rows, 7);
    assert_non_null(rest_world_field(rest_world_table(&world->rest, BASE), "x"));
    assert_null(rest_world_field(rest_world_table(&world->rest, BASE), "__ingest_day"));
}

static void test_refresh__there_is_nothing_to_merge_until_the_next_day(void **state)
{
    struct world *world = *state;

    want_base(world);
    ensure(world, "id", "id long");
    round_of(world);
    round_of(world);
    assert_did(world, REFRESH_NOTHING);
    assert_int_equal(writes(world), 0);
    world->today = "2026-11-22";
    round_of(world);
    assert_did(world, REFRESH_MERGED);
    assert_int_equal(world->report.from_day, 20776);
    assert_int_equal(state_of(world).watermark, 20777);
    assert_in_order(world, (const char *const[]){"MERGE", PATCH_VIEW, NULL});
    assert_int_equal(rest_world_called(&world->rest, PATCH_VIEW), 1);
}

static void stop_here(struct world *world)
{
    refresh_cancel(world->refresh);
    world->refresh = NULL;
}

static bool stop_before_answer(struct rest_world *rest, const struct rest_request *request, int *ret_status)
{
    struct world *world = rest->context;

    (void)request;
    (void)ret_status;
    if (rest_world_called(rest, "MERGE") > 0 && world->then != NULL) {
        world->then = NULL;
        world->when = "stopped";
    }
    return false;
}

static void test_refresh__f1_a_stop_after_the_merge_leaves_the_view_as_it_was(void **state)
{
    struct world *world = *state;

    want_base(world);
    ensure(world, "id", "id long");
    round_of(world);
    world->today = "2026-11-22";
    world->then = stop_here;
    world->rest.before = stop_before_answer;
    begin(world);
    while (world->when == NULL && uv_run(&world->loop, UV_RUN_ONCE) != 0) {
    }
    stop_here(world);
    must(uv_run(&world->loop, UV_RUN_DEFAULT) == 0);
    assert_int_equal(rest_world_called(&world->rest, "MERGE"), 1);
    assert_int_equal(state_of(world).watermark, 20776);
    world->when = NULL;
    world->rest.before = before;
    round_of(world);
    assert_did(world, REFRESH_MERGED);
    assert_int_equal(world->report.from_day, 20776);
    assert_int_equal(state_of(world).watermark, 20777);
}

/* Another refresher has moved the view on by a day. */
static void move_view(struct world *world)
{
    json_t *view = rest_world_table(&world->rest, VIEW);
    struct view_state moved = state_of(world);
    struct buffer text = {0};

    moved.watermark += 2;
    moved.day_count = 0;
    buffer_append_text(&text, "SELECT 'theirs'\n");
    view_state_append(&text, &moved);
    must(json_object_set_new(json_object_get(view, "view"), "query", json_string(buffer_text(&text))) == 0);
    rest_world_touch(&world->rest, view);
    buffer_deinit(&text);
}

static void test_refresh__f1_a_late_refresher_does_not_set_the_view_back(void **state)
{
    struct world *world = *state;

    want_base(world);
    world->closed_rows = "0";
    ensure(world, "id", "id long");
    round_of(world);
    world->today = "2026-11-22";
    world->when = PATCH_VIEW;
    world->then = move_view;
    round_of(world);
    assert_int_equal(world->err.class, ERR_NONE);
    assert_int_equal(rest_world_called(&world->rest, PATCH_VIEW), 2); /* the first one is too late */
    assert_int_equal(state_of(world).watermark, 20778);
    assert_null(strstr(query_of(world), "theirs"));
}

static void remake_base(struct world *world)
{
    must(json_object_set_new(rest_world_table(&world->rest, BASE), "creationTime", json_string("1800000000000")) == 0);
    rest_world_touch(&world->rest, rest_world_table(&world->rest, BASE));
}

static void test_refresh__f7_a_base_that_was_made_anew_is_filled_before_it_is_read(void **state)
{
    struct world *world = *state;

    want_base(world);
    ensure(world, "id", "id long");
    round_of(world);
    remake_base(world);
    round_of(world);
    assert_did(world, REFRESH_MERGED);
    assert_int_equal(world->report.from_day, VIEW_DAY_NONE);
    assert_in_order(world, (const char *const[]){PATCH_VIEW, "MERGE", PATCH_VIEW, NULL});
    assert_int_equal(state_of(world).base_ms, INT64_C(1800000000000));
}

static void drop_base(struct world *world)
{
    must(json_object_del(world->rest.tables, BASE) == 0);
}

static void test_refresh__f7_a_base_that_is_gone_is_made_anew(void **state)
{
    struct world *world = *state;

    want_base(world);
    ensure(world, "id", "id long");
    round_of(world);
    drop_base(world);
    round_of(world);
    assert_did(world, REFRESH_MERGED);
    assert_in_order(world, (const char *const[]){PATCH_VIEW, MAKE_TABLE, "MERGE", PATCH_VIEW, NULL});
}

static void test_refresh__f6_a_base_that_outlived_its_history_is_not_made_anew(void **state)
{
    struct world *world = *state;

    want_base(world);
    world->settings.bigquery.partition_expiration_ms = 864000000;
    ensure(world, "id", "id long");
    round_of(world);
    assert_did(world, REFRESH_MERGED);
    drop_base(world);
    round_of(world);
    assert_refused(world, "undelete it");
    assert_int_equal(writes(world), 0);
}

static void test_refresh__f6_the_as_of_function_of_an_expiring_history_reads_the_base_that_is_there(void **state)
{
    struct world *world = *state;

    want_base(world);
    ensure(world, "id", "id long");
    round_of(world);
    assert_null(strstr(json_string_value(json_array_get(world->rest.routines, 0)), "orders_base"));
    drop_base(world);
    must(json_object_set_new(json_object_get(rest_world_table(&world->rest, HISTORY), "timePartitioning"), "expirationMs",
                             json_string("864000000")) == 0);
    must(json_object_del(rest_world_table(&world->rest, VIEW), "view") == 0); /* so nobody knows of that base */
    round_of(world);
    assert_did(world, REFRESH_MERGED);
    assert_non_null(strstr(json_string_value(json_array_get(world->rest.routines, 1)), "FROM `p.shop.orders_base`"));
    assert_in_order(world, (const char *const[]){MAKE_TABLE, "-- shop.orders as it was at a time", "MERGE", PATCH_VIEW, NULL});
}

/* The history was made by a worker, which sees to it itself. */
static void test_refresh__f6_neither_base_nor_view_expires_with_its_dataset(void **state)
{
    struct world *world = *state;

    want_base(world);
    ensure(world, "id", "id long");
    must(json_object_set_new(json_object_get(world->rest.datasets, "shop"), "defaultTableExpirationMs", json_string("2592000000")) == 0);
    round_of(world);
    assert_did(world, REFRESH_MERGED);
    assert_null(json_string_value(json_object_get(rest_world_table(&world->rest, BASE), "expirationTime")));
    assert_null(json_string_value(json_object_get(rest_world_table(&world->rest, VIEW), "expirationTime")));
    assert_in_order(world, (const char *const[]){MAKE_TABLE, PATCH_VIEW, MAKE_TABLE, PATCH_BASE, "MERGE", PATCH_VIEW, NULL});
    round_of(world);
    assert_did(world, REFRESH_NOTHING);
    assert_int_equal(writes(world), 0);
}

static void test_refresh__what_was_told_to_expire_is_told_to_stay(void **state)
{
    struct world *world = *state;

    want_base(world);
    ensure(world, "id", "id long");
    round_of(world);
    must(json_object_set_new(rest_world_table(&world->rest, BASE), "expirationTime", json_string("1900000000000")) == 0);
    must(json_object_set_new(rest_world_table(&world->rest, VIEW), "expirationTime", json_string("1900000000000")) == 0);
    round_of(world);
    assert_did(world, REFRESH_CHANGED);
    assert_int_equal(writes(world), 2);
    assert_null(json_string_value(json_object_get(rest_world_table(&world->rest, BASE), "expirationTime")));
    assert_null(json_string_value(json_object_get(rest_world_table(&world->rest, VIEW), "expirationTime")));
}

static void test_refresh__a_base_of_another_history_is_refused(void **state)
{
    struct world *world = *state;

    want_base(world);
    ensure(world, "id", "id long");
    round_of(world);
    must(json_object_set_new(rest_world_table(&world->rest, HISTORY), "creationTime", json_string("1800000000000")) == 0);
    round_of(world);
    assert_refused(world, "was made of another history");
    assert_int_equal(writes(world), 0);
}

static void test_refresh__f5_late_rows_are_told_and_merged(void **state)
{
    struct world *world = *state;

    want_base(world);
    ensure(world, "id", "id long");
    round_of(world);
    world->closed_rows = "9";
    round_of(world);
    assert_did(world, REFRESH_MERGED);
    assert_int_equal(world->report.late_rows, 2);
    assert_int_equal(world->report.from_day, 20774);
    assert_int_equal(state_of(world).days[0].rows, 9);
    round_of(world);
    assert_did(world, REFRESH_NOTHING);
}

static void test_refresh__the_base_has_a_column_before_the_view_names_it(void **state)
{
    struct world *world = *state;

    want_base(world);
    ensure(world, "id", "id long, n long");
    round_of(world);
    ensure(world, "id", "id long, n ulong, note text");
    round_of(world);
    assert_did(world, REFRESH_CHANGED);
    assert_in_order(world, (const char *const[]){"PATCH /bigquery/v2/projects/p/datasets/shop/tables/orders_base",
                                                 "ALTER TABLE `p.shop.orders_base` ALTER COLUMN `n` SET DATA TYPE NUMERIC",
                                                 PATCH_VIEW, NULL});
    assert_int_equal(rest_world_called(&world->rest, "MERGE"), 0);
    assert_non_null(rest_world_field(rest_world_table(&world->rest, BASE), "note"));
}

static void test_refresh__a_view_may_change_its_kind(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long");
    round_of(world);
    want_base(world);
    round_of(world);
    assert_did(world, REFRESH_MERGED);
    text_pairs_deinit(&world->settings.bigquery.view);
    world->settings.bigquery.view = (struct text_pairs){0};
    round_of(world);
    assert_did(world, REFRESH_CHANGED);
    assert_int_equal(state_of(world).base_ms, 0);
    want_base(world);
    round_of(world);
    assert_did(world, REFRESH_MERGED);
    assert_int_equal(world->report.from_day, VIEW_DAY_NONE); /* what came meanwhile is in no merge */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_refresh__a_view_is_made_once),
        TEST(test_refresh__a_view_follows_its_columns),
        TEST(test_refresh__what_was_changed_by_hand_is_put_back),
        TEST(test_refresh__the_as_of_function_is_made_again_when_its_text_would_differ),
        TEST(test_refresh__an_as_of_function_that_was_dropped_is_made_again),
        TEST(test_refresh__a_table_without_a_key_has_no_view),
        TEST(test_refresh__no_history_no_view),
        TEST(test_refresh__a_table_of_that_name_that_is_not_ours_is_left_alone),
        TEST(test_refresh__f6_a_plain_view_of_an_expiring_history_is_refused),
        TEST(test_refresh__a_key_that_nobody_marks_any_more_is_told),
        TEST(test_refresh__f1_f7_the_first_base_is_merged_before_the_view_reads_it),
        TEST(test_refresh__there_is_nothing_to_merge_until_the_next_day),
        TEST(test_refresh__f1_a_stop_after_the_merge_leaves_the_view_as_it_was),
        TEST(test_refresh__f1_a_late_refresher_does_not_set_the_view_back),
        TEST(test_refresh__f7_a_base_that_was_made_anew_is_filled_before_it_is_read),
        TEST(test_refresh__f7_a_base_that_is_gone_is_made_anew),
        TEST(test_refresh__f6_a_base_that_outlived_its_history_is_not_made_anew),
        TEST(test_refresh__f6_the_as_of_function_of_an_expiring_history_reads_the_base_that_is_there),
        TEST(test_refresh__f6_neither_base_nor_view_expires_with_its_dataset),
        TEST(test_refresh__what_was_told_to_expire_is_told_to_stay),
        TEST(test_refresh__a_base_of_another_history_is_refused),
        TEST(test_refresh__f5_late_rows_are_told_and_merged),
        TEST(test_refresh__the_base_has_a_column_before_the_view_names_it),
        TEST(test_refresh__a_view_may_change_its_kind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
