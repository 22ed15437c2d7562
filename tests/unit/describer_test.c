/* SPDX-License-Identifier: Apache-2.0 */
/* What must not happen: words of an older schema are left standing, are written by a worker without partition 0, or are asked for without a pause. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/must.h"
#include "tests/unit/make_table.h"
#include "workers/bigquery/describer.h"

#define ORDERS "kakehi.shop.orders"

struct world {
    uv_loop_t loop;
    struct settings settings;
    struct describer *describer;
    struct schema *first;
    struct schema *second;
    struct schema *lines;
    struct bigquery_names names; /* of orders */
    bool closed;
    unsigned described;

    /* the fake tables */
    unsigned asked;
    const struct table *table; /* of the last question */
    tables_answered answer;    /* NULL: none is under way */
    void *context;
};

static struct world *the_world;

void tables_describe(struct tables *tables, const struct table *table, tables_answered answer, void *context)
{
    assert_null(tables);
    assert_null(the_world->answer); /* one at a time */
    the_world->asked++;
    the_world->table = table;
    the_world->answer = answer;
    the_world->context = context;
}

/* Timers that are due run; none is waited for. */
static void run(struct world *world)
{
    for (int i = 0; i < 3; i++) {
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    }
}

static void give(struct world *world, bool history, const char *trouble)
{
    static struct history there;
    struct err err;
    tables_answered answer = world->answer;

    assert_non_null(answer);
    world->answer = NULL;
    (void)err_set(&err, ERR_RETRY, "%s", trouble != NULL ? trouble : "");
    answer(world->context, history ? &there : NULL, trouble != NULL ? &err : NULL);
    run(world);
}

static void on_described(void *context, const struct bigquery_names *names)
{
    struct world *world = context;

    assert_string_equal(names->source, "shop.orders");
    world->described++;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct err err;

    must(world != NULL && uv_loop_init(&world->loop) == 0);
    the_world = world;
    log_setup(LOG_ERROR, LOG_LOGFMT);
    world->settings.prefix = (char *)(uintptr_t) "kakehi";
    world->settings.bigquery = (struct settings_bigquery){
        .project = (char *)(uintptr_t) "p", .dataset = (char *)(uintptr_t) "{database}", .table = (char *)(uintptr_t) "{table}"};
    world->first = make_schema("shop", "orders", "id", "id long, note text");
    world->second = make_schema("shop", "orders", "id", "id long");
    world->lines = make_schema("shop", "lines", "id", "id long");
    must(bigquery_names_init(&world->names, &world->settings.bigquery, "shop", "orders", &err) == 0);
    world->describer =
        describer_open(&(struct describer_options){.loop = &world->loop, .settings = &world->settings, .described = on_described, .context = world});
    *state = world;
    return 0;
}

static void on_closed(void *context)
{
    ((struct world *)context)->closed = true;
}

static void end(struct world *world)
{
    describer_close(world->describer, on_closed, world);
    must(uv_run(&world->loop, UV_RUN_DEFAULT) == 0);
    assert_true(world->closed);
}

static int tear_down(void **state)
{
    struct world *world = *state;

    if (!world->closed) {
        end(world);
    }
    if (world->answer != NULL) {
        give(world, false, "shutting down"); /* as the tables do at their end, which comes later */
    }
    must(uv_loop_close(&world->loop) == 0);
    schema_free(world->first);
    schema_free(world->second);
    schema_free(world->lines);
    bigquery_names_deinit(&world->names);
    free(world);
    return 0;
}

static void test_describer__only_the_owner_of_partition_0_describes(void **state)
{
    struct world *world = *state;

    describer_newest(world->describer, world->first);
    run(world);
    assert_int_equal(world->asked, 0);
    describer_keep(world->describer, ORDERS);
    run(world);
    assert_int_equal(world->asked, 1);
    assert_ptr_equal(world->table, world->first->table);
    give(world, true, NULL);
    assert_int_equal(world->described, 1);
    assert_int_equal(world->asked, 1);
    describer_leave(world->describer, ORDERS);
    describer_newest(world->describer, world->second);
    run(world);
    assert_int_equal(world->asked, 1);
}

static void test_describer__a_newer_schema_is_described_also_while_an_older_one_is(void **state)
{
    struct world *world = *state;

    describer_keep(world->describer, ORDERS);
    run(world);
    assert_int_equal(world->asked, 0);
    describer_newest(world->describer, world->first);
    run(world);
    describer_newest(world->describer, world->second);
    run(world);
    assert_int_equal(world->asked, 1);
    give(world, true, NULL);
    assert_int_equal(world->asked, 2);
    assert_ptr_equal(world->table, world->second->table);
    give(world, true, NULL);
    describer_newest(world->describer, world->first); /* the change was taken back */
    run(world);
    assert_ptr_equal(world->table, world->first->table);
    give(world, true, NULL);
    assert_int_equal(world->asked, 3);
}

static void test_describer__what_is_not_there_yet_waits_for_a_lane(void **state)
{
    struct world *world = *state;

    describer_keep(world->describer, ORDERS);
    describer_newest(world->describer, world->first);
    run(world);
    give(world, false, NULL);
    assert_int_equal(world->asked, 1); /* not without a pause */
    describer_look(world->describer, &world->names);
    run(world);
    assert_int_equal(world->asked, 2);
    describer_look(world->describer, &world->names); /* what is under way may have looked before */
    run(world);
    assert_int_equal(world->asked, 2);
    give(world, false, NULL);
    assert_int_equal(world->asked, 3);
    give(world, true, NULL);
    describer_look(world->describer, &world->names);
    run(world);
    assert_int_equal(world->asked, 3);
}

static void test_describer__a_failure_holds_up_no_other_table(void **state)
{
    struct world *world = *state;

    describer_keep(world->describer, ORDERS);
    describer_newest(world->describer, world->first);
    run(world);
    give(world, false, "HTTP 503");
    describer_look(world->describer, &world->names); /* back-off stays back-off */
    run(world);
    assert_int_equal(world->asked, 1);
    describer_newest(world->describer, world->lines);
    describer_keep(world->describer, "kakehi.shop.lines");
    run(world);
    assert_int_equal(world->asked, 2);
    assert_ptr_equal(world->table, world->lines->table);
}

static void test_describer__a_partition_that_comes_again_is_described_again(void **state)
{
    struct world *world = *state;

    describer_newest(world->describer, world->first);
    describer_keep(world->describer, ORDERS);
    run(world);
    give(world, true, NULL);
    describer_leave(world->describer, ORDERS);
    describer_keep(world->describer, ORDERS);
    run(world);
    assert_int_equal(world->asked, 2);
}

/* A zombie, or a person, may have written other words since. */
static void test_describer__looks_again_after_a_while(void **state)
{
    struct world *world = *state;

    end(world);
    world->closed = false;
    world->describer = describer_open(&(struct describer_options){
        .loop = &world->loop, .settings = &world->settings, .described = on_described, .context = world, .again_ms = 1});
    describer_keep(world->describer, ORDERS);
    describer_newest(world->describer, world->first);
    run(world);
    give(world, true, NULL);
    while (world->asked < 2) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    give(world, true, NULL);
    assert_int_equal(world->described, 1); /* nothing is new to the view */
}

static void test_describer__a_topic_of_no_table_is_passed_over(void **state)
{
    struct world *world = *state;

    describer_keep(world->describer, "kakehi.schemas");
    describer_leave(world->describer, "kakehi.schemas");
    describer_leave(world->describer, ORDERS);
    run(world);
    assert_int_equal(world->asked, 0);
}

static void test_describer__its_end_leaves_a_question_to_the_tables(void **state)
{
    struct world *world = *state;

    describer_keep(world->describer, ORDERS);
    describer_newest(world->describer, world->first);
    run(world);
    assert_non_null(world->answer);
    end(world);
    give(world, true, NULL);
    assert_int_equal(world->described, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_describer__##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_the_owner_of_partition_0_describes),
        TEST(a_newer_schema_is_described_also_while_an_older_one_is),
        TEST(what_is_not_there_yet_waits_for_a_lane),
        TEST(a_failure_holds_up_no_other_table),
        TEST(a_partition_that_comes_again_is_described_again),
        TEST(looks_again_after_a_while),
        TEST(a_topic_of_no_table_is_passed_over),
        TEST(its_end_leaves_a_question_to_the_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
