/* SPDX-License-Identifier: Apache-2.0 */
/* TABLE_MAPs without end (P6): what is remembered of them has a bound, and what was given up is read again just as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "producer/binlog/shown.h"
#include "producer/binlog/table_map.h"
#include "producer/binlog/tables.h"

#define MANY            60000
#define REMEMBERED_MAX  (9 * 1024 * 1024)
#define STATEMENT_TABLES 3000

static bool not_hidden(void *context, const char *database, const char *table)
{
    (void)context, (void)database;
    return strncmp(table, "hidden", 6) != 0;
}

static const struct binlog_stream_options options = {.framing = BINLOG_FILE, .selected = not_hidden};

struct world {
    struct doubts doubts;
    struct tables *tables;
};

static int set_up(void **state)
{
    static struct world world;

    world.tables = tables_new(&options, &world.doubts);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    tables_free(((struct world *)*state)->tables);
    return 0;
}

/* flags u16, database, table, one column `a` of INT, nullable, with its sign and name */
static void map(struct world *world, uint64_t table_id, const char *name)
{
    static const uint8_t columns[] = {1, WIRE_LONG, 0, 1, 1, 1, 0, 4, 2, 1, 'a'};
    struct buffer body = {0};
    struct err err = {0};

    buffer_append(&body, "\1\0\1d", 5); /* with the NUL behind it */
    buffer_append_byte(&body, (uint8_t)strlen(name));
    buffer_append(&body, name, strlen(name) + 1);
    buffer_append(&body, columns, sizeof columns);
    assert_int_equal(tables_map(world->tables, table_id, BINLOG_MYSQL, body.bytes, body.size, &err), 0);
    buffer_deinit(&body);
}

static const struct tables_entry *map_alone(struct world *world, const char *name)
{
    tables_unmap(world->tables);
    map(world, 7, name);
    return tables_find(world->tables, 7);
}

static void test_tables__that_are_not_selected_leave_nothing_behind(void **state)
{
    struct world *world = *state;
    char name[64];

    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "hidden_%u", i);
        assert_null(map_alone(world, name)->table);
        assert_in_range(tables_remembered_bytes(world->tables), 1, REMEMBERED_MAX);
    }
    assert_int_equal(tables_shown(world->tables), 0);
}

static void test_tables__that_are_dropped_leave_nothing_behind(void **state)
{
    struct world *world = *state;
    size_t shown = 0;
    char name[64];

    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "t_%u", i);
        assert_string_equal(map_alone(world, name)->table->table->name, name);
        tables_unmap(world->tables);
        assert_int_equal(tables_emptied(world->tables, "d", name)->table->column_count, 1);
        assert_in_range(tables_remembered_bytes(world->tables), 1, REMEMBERED_MAX);
        shown = i == MANY / 2 ? tables_shown(world->tables) : shown;
    }
    assert_in_range(tables_shown(world->tables), 1, shown + SHOWN_LOOSE_MAX); /* no more than what is remembered holds, which is full */
}

/* The rows of a statement are read by its TABLE_MAPs, however many there are. */
static void test_tables__of_the_statement_in_hand_are_kept(void **state)
{
    struct world *world = *state;
    char name[300];

    (void)map_alone(world, "first");
    for (unsigned i = 0; i < STATEMENT_TABLES; i++) {
        (void)snprintf(name, sizeof name, "hidden_%u_%0200u", i, i);
        map(world, 100 + i, name);
    }
    for (unsigned i = 0; i < STATEMENT_TABLES; i++) {
        assert_int_equal(tables_find(world->tables, 100 + i)->shape->column_count, 1);
    }
    assert_string_equal(tables_find(world->tables, 7)->table->table->name, "first");
}

static void test_tables__with_rows_are_the_same_after_their_content_was_given_up(void **state)
{
    struct world *world = *state;
    const struct binlog_table *table = map_alone(world, "t")->table;
    uint64_t version = table->version;
    char name[64];

    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "hidden_%u", i);
        (void)map_alone(world, name);
    }
    assert_ptr_equal(map_alone(world, "t")->table, table);
    assert_int_equal(table->version, version);
    assert_string_equal(table->table->columns[0].name, "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tables__that_are_not_selected_leave_nothing_behind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tables__that_are_dropped_leave_nothing_behind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tables__of_the_statement_in_hand_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tables__with_rows_are_the_same_after_their_content_was_given_up, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
