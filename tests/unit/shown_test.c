/* SPDX-License-Identifier: Apache-2.0 */
/* Which shapes are kept (P6): nobody's memory may grow with names that come and go, and none may be lost that somebody still asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/must.h"
#include "producer/binlog/shown.h"
#include "tests/unit/make_table.h"

#define MANY 20000

static int set_up(void **state)
{
    struct shown *shown = calloc(1, sizeof *shown);

    must(shown != NULL);
    *state = shown;
    return 0;
}

static int tear_down(void **state)
{
    shown_deinit(*state);
    free(*state);
    return 0;
}

static const struct binlog_table *hold(struct shown *shown, const char *name, const char *columns)
{
    return shown_hold(shown, make_table("d", name, "", columns));
}

static const char *name_of(char buffer[32], unsigned number)
{
    (void)snprintf(buffer, 32, "t_%u", number);
    return buffer;
}

static void test_shown__names_that_come_and_go_leave_nothing(void **state)
{
    struct shown *shown = *state;
    char name[32];

    for (unsigned i = 0; i < MANY; i++) {
        const struct binlog_table *table = hold(shown, name_of(name, i), "id long");

        shown_filled(shown, table);
        assert_ptr_equal(shown_emptied(shown, "d", name), table);
        shown_release(shown, table);
        assert_in_range(shown_count(shown), 0, SHOWN_LOOSE_MAX);
    }
}

static void test_shown__shapes_of_one_table_that_follow_each_other_leave_nothing(void **state)
{
    struct shown *shown = *state;
    char column[64];
    const struct binlog_table *newest = NULL;

    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(column, sizeof column, "id long, c_%u text", i);
        newest = hold(shown, "t", column);
        shown_filled(shown, newest);
        shown_release(shown, newest);
        assert_in_range(shown_count(shown), 1, SHOWN_LOOSE_MAX + 1);
    }
    assert_ptr_equal(shown_rewritten(shown, "d", "t"), newest);
}

static void test_shown__a_dropped_table_that_nobody_has_seen_leaves_nothing(void **state)
{
    struct shown *shown = *state;
    char name[32];

    for (unsigned i = 0; i < MANY; i++) {
        const struct table *table = shown_emptied(shown, "d", name_of(name, i))->table;

        assert_int_equal(table->column_count, 0);
        assert_string_equal(table->name, name);
    }
    assert_int_equal(shown_count(shown), SHOWN_LOOSE_MAX);
}

/* Pushes every loose shape out. */
static void crowd(struct shown *shown)
{
    char name[32];

    for (unsigned i = 0; i < 2 * SHOWN_LOOSE_MAX; i++) {
        (void)shown_emptied(shown, "crowd", name_of(name, i));
    }
}

static void test_shown__tables_with_rows_are_kept_for_the_end_of_their_database(void **state)
{
    struct shown *shown = *state;
    struct query query = {.kind = QUERY_EMPTIES_DATABASE};
    char name[32];
    const struct binlog_table *table;

    for (unsigned i = 0; i < 3; i++) {
        table = hold(shown, name_of(name, i), "id long");
        shown_filled(shown, table);
        shown_release(shown, table);
    }
    (void)shown_emptied(shown, "d", "t_1");
    (void)shown_rewritten(shown, "d", "renamed_to");
    crowd(shown);
    query_add_table(&query, "d", "");
    shown_of_database(shown, &query);
    assert_int_equal(query.kind, QUERY_EMPTIES_TABLES);
    assert_int_equal(query.table_count, 3); /* t_0, t_2, renamed_to */
    for (size_t i = 0; i < query.table_count; i++) {
        assert_string_not_equal(query.tables[i].name, "t_1");
        assert_string_equal(query.tables[i].database, "d");
    }
    query_deinit(&query);
}

static void test_shown__what_is_held_is_kept(void **state)
{
    struct shown *shown = *state;
    const struct binlog_table *older = hold(shown, "t", "id long");
    const struct binlog_table *newer = hold(shown, "t", "id long, note text");

    shown_filled(shown, older);
    shown_filled(shown, newer);
    (void)shown_emptied(shown, "d", "t");
    crowd(shown);
    assert_ptr_equal(hold(shown, "t", "id long"), older);
    assert_ptr_equal(hold(shown, "t", "id long, note text"), newer);
    shown_release(shown, older);
    crowd(shown);
    assert_ptr_equal(hold(shown, "t", "id long"), older); /* held twice, released once */
}

static void test_shown__the_shape_that_rows_come_in_is_the_newest(void **state)
{
    struct shown *shown = *state;
    const struct binlog_table *first = hold(shown, "t", "id long");
    const struct binlog_table *second = hold(shown, "t", "id long, note text");

    shown_filled(shown, first);
    shown_filled(shown, second);
    assert_ptr_equal(shown_rewritten(shown, "d", "t"), second);
    shown_filled(shown, first); /* altered back: its TABLE_MAP is the first one again */
    assert_ptr_equal(shown_emptied(shown, "d", "t"), first);
    assert_int_equal(shown_count(shown), 2);
}

/* A version that means two shapes would send rows to the wrong schema. */
static void test_shown__a_shape_that_was_given_up_comes_again_with_another_version(void **state)
{
    struct shown *shown = *state;
    const struct binlog_table *table = hold(shown, "t", "id long");
    uint64_t version = table->version;

    shown_filled(shown, table);
    (void)shown_emptied(shown, "d", "t");
    shown_release(shown, table);
    assert_ptr_equal(hold(shown, "t", "id long"), table); /* not given up yet */
    shown_release(shown, table);
    crowd(shown);
    table = hold(shown, "t", "id long");
    assert_true(table->version > version);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shown__names_that_come_and_go_leave_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shown__shapes_of_one_table_that_follow_each_other_leave_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shown__a_dropped_table_that_nobody_has_seen_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shown__tables_with_rows_are_kept_for_the_end_of_their_database, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shown__what_is_held_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shown__the_shape_that_rows_come_in_is_the_newest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shown__a_shape_that_was_given_up_comes_again_with_another_version, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
