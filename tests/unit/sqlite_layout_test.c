/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that must not meet come first, then how tables grow, then the view. The rows of the view's tests are written by plain
 * SQL, so that only the layout is on trial.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/make_table.h"
#include "tests/unit/sqlite_query.h"
#include "workers/sqlite/layout.h"

struct world {
    char path[64];
    struct sqlite_file file;
};

static int set_up(void **state)
{
    static struct world world;
    struct err err;

    sqlite_folder_make(world.path);
    sqlite_file_init(&world.file, world.path);
    assert_int_equal(sqlite_file_open(&world.file, &err), 0);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    sqlite_file_deinit(&world->file);
    sqlite_folder_remove(world->path);
    return 0;
}

static int try_ensure(struct world *world, const char *pattern, struct table *table, struct err *err)
{
    int result = sqlite_layout_ensure(&world->file, pattern, table, err);

    assert_false(sqlite_file_in_transaction(&world->file));
    table_free(table);
    return result;
}

static void ensure(struct world *world, const char *key, const char *columns)
{
    struct err err = {0};

    if (try_ensure(world, "{table}", make_table("shop", "orders", key, columns), &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static void assert_refused(struct world *world, const char *pattern, struct table *table, const char *why)
{
    struct err err = {0};

    assert_int_equal(try_ensure(world, pattern, table, &err), -1);
    assert_int_equal(err.class, ERR_FATAL);
    if (strstr(err.text, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
    }
}

static void assert_query(struct world *world, const char *sql, const char *expected)
{
    assert_string_equal(sqlite_query(world->path, sql), expected);
}

/* A row of orders(id, note): "c" at __seq 7, __idx 0. */
static void change(struct world *world, const char *op, int64_t seq, int64_t idx, const char *id, const char *note)
{
    char sql[256];

    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO orders_history (id, note, __op, __seq, __idx) VALUES (%s, %s, '%s', %lld, %lld)", id, note, op,
                   (long long)seq, (long long)idx);
    assert_query(world, sql, "");
}

#define ORDERS "SELECT id, note FROM orders ORDER BY id"

/* ---- what must not happen */

static void test_layout__two_databases_cannot_share_a_name(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long");
    assert_refused(world, "{table}", make_table("archive", "orders", "id", "id long"), "sqlite.table: \"{database}_{table}\"");
    assert_query(world, "SELECT DISTINCT source_database FROM kakehi_tables", "shop");
}

static void test_layout__names_that_differ_by_case_cannot_share_a_file(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long");
    assert_refused(world, "{table}", make_table("shop", "Orders", "id", "id long"), "exclude one of the two");
}

static void test_layout__history_of_one_is_no_view_of_another(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long");
    assert_refused(world, "{table}", make_table("shop", "orders_history", "id", "id long"), "belongs to shop.orders");
}

static void test_layout__what_is_not_ours_is_left_alone(void **state)
{
    struct world *world = *state;

    assert_query(world, "CREATE TABLE orders (mine)", "");
    assert_refused(world, "{table}", make_table("shop", "orders", "id", "id long"), "not of kakehi's making");
    assert_refused(world, "{table}", make_table("shop", "kakehi_offsets", "id", "id long"), "not of kakehi's making");
    assert_query(world, "SELECT count(*) FROM kakehi_tables", "0"); /* a refused table leaves no trace */
}

static void test_layout__history_that_is_gone_is_not_begun_anew(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long");
    assert_query(world, "DROP VIEW orders; DROP TABLE orders_history", "");
    assert_refused(world, "{table}", make_table("shop", "orders", "id", "id long"), "orders_history is gone");
    assert_query(world, "DELETE FROM kakehi_tables WHERE name IN ('orders', 'orders_history')", ""); /* the advice works */
    ensure(world, "id", "id long");
}

static void test_layout__changed_pattern_is_no_second_history(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long");
    assert_refused(world, "{database}_{table}", make_table("shop", "orders", "id", "id long"), "set sqlite.table back");
}

static void test_layout__columns_that_differ_by_case_are_refused(void **state)
{
    struct world *world = *state;

    assert_refused(world, "{table}", make_table("shop", "orders", "", "id long, Id text"), "the columns");
    assert_refused(world, "{table}", make_table("shop", "orders", "", "__op long, _x005F__op text"), "the columns");
}

static void test_layout__more_columns_than_sqlite_takes_are_refused(void **state)
{
    struct world *world = *state;
    struct table *table = table_new("shop", "wide", 1995, 0);

    for (size_t i = 0; i < table->column_count; i++) {
        char name[24];

        (void)snprintf(name, sizeof name, "c%zu", i);
        table->columns[i] = (struct column){strdup(name), strdup("int"), COLUMN_LONG, 0, 0};
    }
    assert_refused(world, "{table}", table, "1995 columns; SQLite takes 1994");
}

static void test_layout__columns_with_all_names_of_the_rowid_are_refused(void **state)
{
    struct world *world = *state;

    assert_refused(world, "{table}", make_table("shop", "orders", "oid", "oid long, ROWID long, _rowid_ long"),
                   "rowid, _rowid_ and oid");
}

/* ---- tables */

static void test_layout__history_has_the_columns_and_the_metadata(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long, note text");
    assert_query(world, "SELECT group_concat(name, ' ') FROM pragma_table_info('orders_history')",
                 "id note __op __ts __seq __idx __source __txid");
    assert_query(world, "SELECT group_concat(name, ' ') FROM pragma_table_info('orders')", "id note");
    assert_query(world, "SELECT name, source_database, source_table FROM kakehi_tables ORDER BY name",
                 "orders|shop|orders;orders_history|shop|orders");
}

static void test_layout__pattern_names_database_and_table(void **state)
{
    struct world *world = *state;
    struct err err = {0};

    assert_int_equal(try_ensure(world, "{database}_{table}", make_table("shop", "orders", "id", "id long"), &err), 0);
    assert_int_equal(try_ensure(world, "{database}_{table}", make_table("archive", "orders", "id", "id long"), &err), 0);
    assert_query(world,
                 "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY name)",
                 "archive_orders shop_orders");
}

static void test_layout__strange_names_are_quoted(void **state)
{
    struct world *world = *state;
    struct table *table = table_new("shop", "order \"items\"; --", 3, 1);
    struct err err = {0};

    table->columns[0] = (struct column){strdup("group"), strdup("int"), COLUMN_LONG, 0, 0};
    table->columns[1] = (struct column){strdup("a\"b'c*/"), strdup("*/ x"), COLUMN_TEXT, 0, 0};
    table->columns[2] = (struct column){strdup("größe 😀"), strdup("int"), COLUMN_LONG, 0, 0};
    table->key[0] = 1;
    assert_int_equal(try_ensure(world, "{table}", table, &err), 0);
    assert_query(world, "SELECT group_concat(name, ' ') FROM pragma_table_info('order \"items\"; --')",
                 "group a\"b'c*/ größe 😀");
}

static void test_layout__source_column_named_like_metadata_is_mapped(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long, __op text, __SEQ long");
    assert_query(world, "SELECT group_concat(name, ' ') FROM pragma_table_info('orders')", "id _x005F__op _x005F__SEQ");
}

static void test_layout__nothing_happens_the_second_time(void **state)
{
    struct world *world = *state;
    char before[20];

    ensure(world, "id", "id long, note text");
    (void)snprintf(before, sizeof before, "%s", sqlite_query(world->path, "PRAGMA schema_version"));
    ensure(world, "id", "id long, note text");
    assert_query(world, "PRAGMA schema_version", before);
}

static void test_layout__columns_grow_and_the_view_with_them(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long, note text");
    change(world, "c", 1, 0, "1", "'before'");
    ensure(world, "id", "id long, note text, price decimal 10 2");
    change(world, "c", 2, 0, "2", "'after'");
    assert_query(world, "SELECT id, note, price FROM orders ORDER BY id", "1|before|null;2|after|null");
    ensure(world, "id", "id long, note text"); /* a worker that is behind takes nothing away */
    assert_query(world, "SELECT id, note, price FROM orders ORDER BY id", "1|before|null;2|after|null");
    ensure(world, "id", "id long, Note text"); /* the source's names ignore case, too */
    assert_query(world, "SELECT group_concat(name, ' ') FROM pragma_table_info('orders')", "id note price");
}

/* No affinity: what is bound is what is there, whatever the column held before. */
static void test_layout__values_stay_as_they_are_when_a_type_changes(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long, note long");
    change(world, "c", 1, 0, "1", "7");
    ensure(world, "id", "id long, note text");
    change(world, "c", 2, 0, "2", "'007'");
    change(world, "c", 3, 0, "3", "'18446744073709551615'");
    assert_query(world, "SELECT note, typeof(note) FROM orders ORDER BY id", "7|integer;007|text;18446744073709551615|text");
}

/* Several workers meet several new schemas at once: each column is there once. */
static void test_layout__processes_race(void **state)
{
    static const char *const columns[] = {"id long, a text", "id long, b text, a text", "id long, c text",
                                          "id long, a text, c text"};
    enum { COUNT = sizeof columns / sizeof *columns };
    struct world *world = *state;
    pid_t children[COUNT];

    for (int i = 0; i < COUNT; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            struct sqlite_file file;
            struct table *table = make_table("shop", "orders", "id", columns[i]);
            struct err err;
            bool done = false;

            sqlite_file_init(&file, world->path);
            for (int try = 0; try < 10 && !done; try++) {
                done = sqlite_file_open(&file, &err) == 0 && sqlite_layout_ensure(&file, "{table}", table, &err) == 0;
            }
            _exit(done ? 0 : 1);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        int status;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_query(world, "SELECT group_concat(name, ' ') FROM (SELECT name FROM pragma_table_info('orders') ORDER BY name)",
                 "a b c id");
    assert_query(world, "SELECT count(*) FROM pragma_table_info('orders_history')", "10");
}

/* Processes open a file that is not there yet, at once. */
static void test_layout__processes_race_for_a_new_file(void **state)
{
    enum { COUNT = 4 };
    struct world *world = *state;
    pid_t children[COUNT];

    sqlite_file_deinit(&world->file);
    assert_int_equal(unlink(world->path), 0);
    for (int i = 0; i < COUNT; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            struct sqlite_file file;
            struct err err = {0};
            int try = 0;

            sqlite_file_init(&file, world->path);
            while (sqlite_file_open(&file, &err) != 0 && err.class == ERR_RETRY && try < 100) {
                try++;
            }
            if (file.db == NULL) {
                (void)fprintf(stderr, "%s\n", err.text);
            }
            _exit(file.db != NULL ? 0 : 1);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        int status;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_query(world, "PRAGMA journal_mode", "wal");
    sqlite_file_init(&world->file, world->path);
}

/* ---- the view */

static void test_view__shows_the_newest_row_of_each_key(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long, note text");
    change(world, "c", 10, 0, "1", "'one'");
    change(world, "c", 10, 2, "2", "'two'");
    change(world, "u", 20, 0, "1", "'one, changed'");
    change(world, "u", 20, 2, "1", "'one, changed again'"); /* the same transaction: __idx decides */
    assert_query(world, ORDERS, "1|one, changed again;2|two");
}

static void test_view__order_of_arrival_does_not_matter(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long, note text");
    change(world, "u", 20, 2, "1", "'newest'");
    change(world, "u", 20, 0, "1", "'older'");
    change(world, "c", 10, 4, "1", "'oldest'");
    assert_query(world, ORDERS, "1|newest");
}

static void test_view__hides_deletes_and_shows_what_was_inserted_again(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long, note text");
    change(world, "c", 1, 0, "1", "'one'");
    change(world, "d", 2, 0, "1", "'one'");
    assert_query(world, ORDERS, "");
    change(world, "c", 3, 0, "1", "'again'");
    assert_query(world, ORDERS, "1|again");
}

/* O6: an `r` row wins over what is before its run's number, and loses to what is behind it. */
static void test_view__snapshot_row_loses_to_a_newer_change(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long, note text");
    change(world, "u", 20, 0, "1", "'streamed'");
    change(world, "r", 15, 0, "1", "'read earlier'");
    change(world, "c", 10, 0, "2", "'streamed'");
    change(world, "r", 15, 1, "2", "'read later'");
    change(world, "d", 20, 2, "3", "'gone'");
    change(world, "r", 15, 2, "3", "'read before it went'");
    assert_query(world, ORDERS, "1|streamed;2|read later");
}

static void test_view__truncate_hides_every_row_of_a_lower_seq(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long, note text");
    change(world, "c", 1, 0, "1", "'before'");
    change(world, "c", 2, 0, "2", "'before'");
    change(world, "t", 3, 0, "NULL", "NULL");
    assert_query(world, ORDERS, "");
    change(world, "c", 4, 0, "2", "'after'");
    change(world, "r", 2, 1, "3", "'read before'");
    change(world, "r", 3, 1, "4", "'of the same number'");
    assert_query(world, ORDERS, "2|after;4|of the same number");
    change(world, "t", 5, 0, "NULL", "NULL");
    assert_query(world, ORDERS, "");
}

static void test_view__row_that_came_twice_is_shown_once(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long, note text");
    change(world, "c", 1, 0, "1", "'first'");
    change(world, "c", 1, 0, "1", "'second'");
    assert_query(world, ORDERS, "1|second");
}

static void test_view__key_of_two_columns(void **state)
{
    struct world *world = *state;

    ensure(world, "note, id", "id long, note text");
    change(world, "c", 1, 0, "1", "'a'");
    change(world, "c", 1, 2, "1", "'b'");
    change(world, "d", 2, 0, "1", "'a'");
    assert_query(world, ORDERS, "1|b");
}

static void test_view__column_called_rowid_does_not_disturb_it(void **state)
{
    struct world *world = *state;

    ensure(world, "rowid", "rowid long, id long, note text");
    assert_query(world,
                 "INSERT INTO orders_history (rowid, id, note, __op, __seq, __idx) VALUES (1, 5, 'a', 'c', 1, 0), (1, 5, 'b', "
                 "'c', 1, 0)",
                 "");
    assert_query(world, ORDERS, "5|b");
}

static void test_view__table_without_a_key_has_none(void **state)
{
    struct world *world = *state;

    ensure(world, "", "id long, note text");
    assert_query(world, "SELECT count(*) FROM sqlite_master WHERE type = 'view'", "0");
    assert_query(world, "SELECT count(*) FROM orders_history", "0");
}

static void test_view__table_first_seen_by_a_truncate(void **state)
{
    struct world *world = *state;

    ensure(world, "", "");
    assert_query(world, "INSERT INTO orders_history (__op, __seq, __idx) VALUES ('t', 5, 0)", "");
    ensure(world, "id", "id long, note text");
    change(world, "r", 4, 0, "1", "'before'");
    change(world, "c", 6, 0, "2", "'after'");
    assert_query(world, ORDERS, "2|after");
    ensure(world, "", ""); /* and the view stays */
    assert_query(world, ORDERS, "2|after");
}

static void test_view__follows_a_changed_key(void **state)
{
    struct world *world = *state;

    ensure(world, "id", "id long, note text");
    change(world, "c", 1, 0, "1", "'a'");
    ensure(world, "id, part", "id long, note text, part long");
    assert_query(
        world,
        "INSERT INTO orders_history (id, note, part, __op, __seq, __idx) VALUES (1, 'b', 1, 'r', 2, 0), (1, 'c', 2, 'r', 2, 1)",
        "");
    assert_query(world, "SELECT id, note, part FROM orders ORDER BY part",
                 "1|b|1;1|c|2"); /* the row without `part` has no such key */
    ensure(world, "", "id long, note text, part long");
    assert_query(world, "SELECT count(*) FROM sqlite_master WHERE name IN ('orders', 'orders_history_by_key')", "0");
}

static void test_view__finds_a_key_by_the_index_alone(void **state)
{
    struct world *world = *state;
    const char *plan;

    ensure(world, "id", "id long, note text");
    plan = sqlite_query(world->path, "EXPLAIN QUERY PLAN SELECT * FROM orders WHERE id = 7");
    assert_null(strstr(plan, "SCAN h"));
    assert_null(strstr(plan, "SCAN n"));
    assert_non_null(strstr(plan, "SEARCH h USING INDEX orders_history_by_key (id=?)"));
    assert_non_null(strstr(plan, "SEARCH n USING COVERING INDEX orders_history_by_key (id=? AND (__seq,__idx)>(?,?))"));
    assert_non_null(strstr(plan, "orders_history_truncates"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_layout__two_databases_cannot_share_a_name),
        TEST(test_layout__names_that_differ_by_case_cannot_share_a_file),
        TEST(test_layout__history_of_one_is_no_view_of_another),
        TEST(test_layout__what_is_not_ours_is_left_alone),
        TEST(test_layout__history_that_is_gone_is_not_begun_anew),
        TEST(test_layout__changed_pattern_is_no_second_history),
        TEST(test_layout__columns_that_differ_by_case_are_refused),
        TEST(test_layout__more_columns_than_sqlite_takes_are_refused),
        TEST(test_layout__columns_with_all_names_of_the_rowid_are_refused),
        TEST(test_layout__history_has_the_columns_and_the_metadata),
        TEST(test_layout__pattern_names_database_and_table),
        TEST(test_layout__strange_names_are_quoted),
        TEST(test_layout__source_column_named_like_metadata_is_mapped),
        TEST(test_layout__nothing_happens_the_second_time),
        TEST(test_layout__columns_grow_and_the_view_with_them),
        TEST(test_layout__values_stay_as_they_are_when_a_type_changes),
        TEST(test_layout__processes_race),
        TEST(test_layout__processes_race_for_a_new_file),
        TEST(test_view__shows_the_newest_row_of_each_key),
        TEST(test_view__order_of_arrival_does_not_matter),
        TEST(test_view__hides_deletes_and_shows_what_was_inserted_again),
        TEST(test_view__snapshot_row_loses_to_a_newer_change),
        TEST(test_view__truncate_hides_every_row_of_a_lower_seq),
        TEST(test_view__row_that_came_twice_is_shown_once),
        TEST(test_view__key_of_two_columns),
        TEST(test_view__column_called_rowid_does_not_disturb_it),
        TEST(test_view__table_without_a_key_has_none),
        TEST(test_view__table_first_seen_by_a_truncate),
        TEST(test_view__follows_a_changed_key),
        TEST(test_view__finds_a_key_by_the_index_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
