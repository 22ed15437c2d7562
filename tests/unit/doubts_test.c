/* SPDX-License-Identifier: Apache-2.0 */
/* When MariaDB must be asked what its log does not tell, and when it is too late to ask. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "producer/binlog/doubts.h"

static bool all_read(const void *context, const char *database, const char *table)
{
    (void)context;
    (void)database;
    (void)table;
    return true;
}

static bool none_read(const void *context, const char *database, const char *table)
{
    return !all_read(context, database, table);
}

/* As the server said when it had executed 0-1-10. */
static struct doubts doubts_at_10(void)
{
    struct doubts doubts = {0};
    struct binlog_marks *marks = binlog_marks_new();
    struct err err;

    binlog_marks_add(marks, "db", "t", "u", "uuid");
    binlog_marks_add(marks, "db", "t", "j", "longtext");
    binlog_marks_add(marks, "db", "t", "j", "json");
    binlog_marks_add(marks, "db", "other", "b", "binary");
    assert_int_equal(binlog_marks_set_executed(marks, "0-1-10", &err), 0);
    doubts_take_marks(&doubts, marks);
    return doubts;
}

static const char *state(struct doubts *doubts, const char *gtid, const char *text, bool read)
{
    return doubts_statement(doubts, gtid, text, strlen(text), read ? all_read : none_read, NULL);
}

static void test_doubts__nothing_is_settled_before_the_server_was_asked(void **state_unused)
{
    struct doubts doubts = {0};

    (void)state_unused;
    assert_false(doubts_settled(&doubts, "db", "t"));
    assert_null(state(&doubts, "0-1-1", "ALTER TABLE t MODIFY u UUID", true));
    doubts_deinit(&doubts);
}

static void test_doubts__marks_say_what_columns_are(void **state_unused)
{
    struct doubts doubts = doubts_at_10();
    struct binlog_marks *copy = binlog_marks_copy(doubts.marks);

    (void)state_unused;
    assert_int_equal(binlog_marks_find(copy, "db", "t", "u"), MARK_UUID);
    assert_int_equal(binlog_marks_find(copy, "db", "t", "j"), MARK_JSON);
    assert_int_equal(binlog_marks_find(copy, "db", "other", "b"), MARK_NONE);
    assert_int_equal(binlog_marks_find(copy, "db2", "t", "u"), MARK_NONE);
    assert_true(binlog_marks_know(copy, "0-1-10"));
    assert_false(binlog_marks_know(copy, "0-1-11"));
    binlog_marks_free(copy);
    doubts_deinit(&doubts);
}

static void test_doubts__a_statement_about_a_table_makes_its_marks_stale(void **state_unused)
{
    struct doubts doubts = doubts_at_10();

    (void)state_unused;
    assert_true(doubts_settled(&doubts, "db", "t"));
    assert_null(state(&doubts, "0-1-11", "alter table `T` add column x int", true));
    assert_false(doubts_settled(&doubts, "db", "t"));
    assert_true(doubts_settled(&doubts, "db", "other"));
    doubts_deinit(&doubts);
}

static void test_doubts__a_table_that_is_new_must_be_asked_for_once(void **state_unused)
{
    struct doubts doubts = doubts_at_10();

    (void)state_unused;
    assert_false(doubts_settled(&doubts, "db", "new"));
    doubts_ask(&doubts, "0-1-11", "db", "new");
    doubts_ask(&doubts, "0-1-11", "db", "new");
    doubts_take_marks(&doubts, binlog_marks_new()); /* it is not there any more */
    assert_true(doubts_settled(&doubts, "db", "new"));
    assert_false(doubts_settled(&doubts, "db", "newer"));
    doubts_take_marks(&doubts, binlog_marks_new());
    assert_false(doubts_settled(&doubts, "db", "new"));
    doubts_deinit(&doubts);
}

static void ask(struct doubts *doubts, const char *gtid, const char *table)
{
    doubts_ask(doubts, gtid, "db", table);
    doubts_take_marks(doubts, binlog_marks_new());
}

/* The log comes again from the beginning of the transaction, with rows of all of them: asked in turn, they would never be settled. */
static void test_doubts__all_tables_of_a_transaction_that_are_gone_are_settled(void **state_unused)
{
    struct doubts doubts = {0};

    (void)state_unused;
    ask(&doubts, "0-1-11", "one");
    ask(&doubts, "0-1-11", "two");
    ask(&doubts, "0-1-11", "three");
    assert_true(doubts_settled(&doubts, "db", "one"));
    assert_true(doubts_settled(&doubts, "db", "two"));
    assert_true(doubts_settled(&doubts, "db", "three"));
    ask(&doubts, "0-1-12", "four");
    assert_false(doubts_settled(&doubts, "db", "one"));
    assert_true(doubts_settled(&doubts, "db", "four"));
    doubts_deinit(&doubts);
}

static void test_doubts__a_table_that_was_gone_and_is_made_anew_must_be_asked_for(void **state_unused)
{
    struct doubts doubts = {0};

    (void)state_unused;
    ask(&doubts, "0-1-11", "one");
    assert_null(state(&doubts, "0-1-12", "CREATE TABLE other (id UUID)", true));
    assert_true(doubts_settled(&doubts, "db", "one"));
    assert_null(state(&doubts, "0-1-13", "CREATE TABLE One (id UUID)", true));
    assert_false(doubts_settled(&doubts, "db", "one"));
    doubts_deinit(&doubts);
}

/* The statement stands in the log behind rows that were decoded by what the server said after it. */
static void test_doubts__a_change_of_types_that_the_marks_already_show_is_too_late(void **state_unused)
{
    struct doubts doubts = doubts_at_10();

    (void)state_unused;
    assert_string_equal(state(&doubts, "0-1-9", "ALTER TABLE t MODIFY u UUID", true), "t");
    assert_string_equal(state(&doubts, "0-1-9", "RENAME TABLE a TO t", true), "t");
    assert_null(state(&doubts, "0-1-9", "ALTER TABLE t ADD COLUMN x INT", true));
    assert_null(state(&doubts, "0-1-9", "ALTER TABLE t MODIFY u UUID", false)); /* no row of it came */
    assert_true(doubts_settled(&doubts, "db", "t"));
    doubts_deinit(&doubts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubts__nothing_is_settled_before_the_server_was_asked),
        cmocka_unit_test(test_doubts__marks_say_what_columns_are),
        cmocka_unit_test(test_doubts__a_statement_about_a_table_makes_its_marks_stale),
        cmocka_unit_test(test_doubts__a_table_that_is_new_must_be_asked_for_once),
        cmocka_unit_test(test_doubts__all_tables_of_a_transaction_that_are_gone_are_settled),
        cmocka_unit_test(test_doubts__a_table_that_was_gone_and_is_made_anew_must_be_asked_for),
        cmocka_unit_test(test_doubts__a_change_of_types_that_the_marks_already_show_is_too_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
