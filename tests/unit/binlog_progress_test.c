/* SPDX-License-Identifier: Apache-2.0 */
/* Order numbers, identities, and the state record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "producer/binlog/progress.h"

#define UUID "3e11fa47-71ca-11e1-9e33-c80aa9429562"

static struct binlog_transaction transaction(const char *gtid, uint64_t position, int64_t commit_ts_us)
{
    struct binlog_transaction made = {.file = "bin.000003", .position = position, .commit_ts_us = commit_ts_us};

    (void)snprintf(made.gtid, sizeof made.gtid, "%s", gtid);
    return made;
}

static void begin(struct progress *progress, const char *gtid, uint64_t position, int64_t commit_ts_us)
{
    struct binlog_transaction begun = transaction(gtid, position, commit_ts_us);
    struct err err = {0};

    assert_int_equal(progress_begin(progress, &begun, &err), 0);
}

static void end(struct progress *progress, const char *gtid, uint64_t position)
{
    struct binlog_transaction ended = transaction(gtid, 0, 0);
    struct err err = {0};

    assert_int_equal(progress_end(progress, &ended, 10, "bin.000003", position, &err), 0);
}

static void start_by_file(struct progress *progress)
{
    const struct binlog_facts facts = {.flavor = BINLOG_MYSQL, .server = UUID};
    const struct binlog_place place = {.file = "bin.000003", .position = 120};

    progress_init(progress, &facts, &place);
}

static void start_by_gtid(struct progress *progress, enum binlog_flavor flavor, char *gtid)
{
    const struct binlog_facts facts = {.flavor = flavor, .gtid = true, .server = UUID};
    const struct binlog_place place = {.gtid = gtid, .file = "bin.000003", .position = 120};

    progress_init(progress, &facts, &place);
}

/* O1: MariaDB tells seconds; clocks step; a fail-over brings another clock. */
static void test_progress__order_numbers_grow_whatever_the_clock_does(void **state)
{
    static const int64_t clock_us[] = {10000000, 10000000, 10000000, 9000000, 11000000, 10999999, 0};
    static const int64_t expected[] = {10000000, 10000001, 10000002, 10000003, 11000000, 11000001, 11000002};
    struct progress progress;

    (void)state;
    start_by_file(&progress);
    for (size_t index = 0; index < sizeof clock_us / sizeof clock_us[0]; index++) {
        begin(&progress, "", 120 + index, clock_us[index]);
        assert_int_equal(progress.seq, expected[index]);
        end(&progress, "", 121 + index);
    }
    progress_deinit(&progress);
}

/* O2 */
static void test_progress__without_gtid_a_transaction_is_named_by_where_it_starts(void **state)
{
    struct progress progress;

    (void)state;
    start_by_file(&progress);
    begin(&progress, "", 777, 1);
    assert_string_equal(progress.txid, "bin.000003:777");
    progress_deinit(&progress);
}

static void test_progress__refuses_a_transaction_that_no_gtid_set_can_cover(void **state)
{
    struct binlog_transaction anonymous = transaction("", 777, 1);
    char gtid[] = UUID ":1-5";
    struct progress progress;
    struct err err = {0};

    (void)state;
    start_by_gtid(&progress, BINLOG_MYSQL, gtid);
    assert_int_equal(progress_begin(&progress, &anonymous, &err), -1);
    assert_int_equal(err.class, ERR_FATAL);
    progress_deinit(&progress);
}

/* What is written is what is read: also in mid-transaction. */
static void test_progress__comes_back_from_its_record(void **state)
{
    char gtid[] = UUID ":1-5";
    struct progress progress;
    struct progress again;
    struct binlog_wish wish;
    struct err err = {0};
    json_t *record;
    json_t *copy;

    (void)state;
    start_by_gtid(&progress, BINLOG_MYSQL, gtid);
    begin(&progress, UUID ":6", 777, 5000000);
    assert_true(progress_row(&progress, 0));
    assert_true(progress_row(&progress, 3)); /* two images of other tables between */
    record = progress_record(&progress);
    assert_int_equal(binlog_wish_from_record(&wish, record, &err), 0);
    assert_string_equal(wish.place.gtid, UUID ":1-5");
    assert_int_equal(progress_from_record(&again, &wish, record, &err), 0);
    copy = progress_record(&again);
    assert_true(json_equal(record, copy));
    begin(&again, UUID ":6", 999, 6000000); /* at another server the clock may say another time */
    assert_int_equal(again.seq, 5000000);
    assert_false(progress_row(&again, 3));
    assert_true(progress_row(&again, 4));
    end(&again, UUID ":6", 888);
    begin(&again, UUID ":7", 888, 1);
    assert_int_equal(again.seq, 5000001);
    json_decref(record);
    json_decref(copy);
    binlog_wish_deinit(&wish);
    progress_deinit(&progress);
    progress_deinit(&again);
}

/* The transaction that comes again is shorter than what we have of it: another log. */
static void test_progress__refuses_a_transaction_that_holds_less_than_is_in_kafka(void **state)
{
    struct binlog_transaction ended = transaction("", 120, 1);
    struct progress progress;
    struct err err = {0};

    (void)state;
    start_by_file(&progress);
    begin(&progress, "", 120, 1);
    assert_true(progress_row(&progress, 9));
    progress_await(&progress);
    begin(&progress, "", 120, 1);
    assert_int_equal(progress_end(&progress, &ended, 9, "bin.000003", 500, &err), -1);
    assert_int_equal(err.class, ERR_FATAL);
    progress_deinit(&progress);
}

/* Then any transaction may come next, as after a fail-over to a server with another order. */
static void test_progress__awaits_nothing_of_which_nothing_was_seen(void **state)
{
    struct progress progress;
    json_t *record;

    (void)state;
    start_by_file(&progress);
    begin(&progress, "", 120, 7);
    record = progress_record(&progress);
    assert_null(json_object_get(record, "transaction"));
    assert_int_equal(json_integer_value(json_object_get(record, "seq")), 0);
    json_decref(record);
    progress_await(&progress);
    begin(&progress, "", 500, 7);
    assert_int_equal(progress.seq, 7);
    progress_deinit(&progress);
}

/* Without GTIDs the start of the transaction in work is the only place to go on from. */
static void test_progress__stays_at_the_start_of_what_is_in_work(void **state)
{
    struct progress progress;
    struct binlog_wish wish;

    (void)state;
    start_by_file(&progress);
    begin(&progress, "", 120, 1);
    (void)progress_row(&progress, 0);
    progress_await(&progress);
    progress_idle(&progress, "bin.000004", 4);
    progress_wish(&progress, &wish);
    assert_string_equal(wish.place.file, "bin.000003");
    assert_int_equal(wish.place.position, 120);
    binlog_wish_deinit(&wish);
    progress_deinit(&progress);
}

static json_t *reread_of(const struct progress *progress)
{
    json_t *record = progress_record(progress);
    json_t *reread = json_deep_copy(json_object_get(record, "reread"));

    json_decref(record);
    return reread;
}

/* Else tables with names without end, altered and dropped, would make the record grow without end (P6). */
static void test_progress__forgets_that_a_table_must_be_read_again_when_it_was_emptied(void **state)
{
    struct progress progress;
    json_t *reread;

    (void)state;
    start_by_file(&progress);
    for (int i = 0; i < 3; i++) {
        progress_reread(&progress, i == 0 ? "d.a" : i == 1 ? "d.b" : "d.c");
    }
    assert_false(progress_settled(&progress, "d.ab"));
    assert_true(progress_settled(&progress, "d.b"));
    assert_false(progress_settled(&progress, "d.b"));
    reread = reread_of(&progress);
    assert_int_equal(json_array_size(reread), 2);
    assert_string_equal(json_string_value(json_array_get(reread, 0)), "d.a");
    assert_string_equal(json_string_value(json_array_get(reread, 1)), "d.c");
    json_decref(reread);
    assert_true(progress_settled(&progress, "d.c") && progress_settled(&progress, "d.a"));
    assert_null(reread_of(&progress));
    progress_deinit(&progress);
}

static void drop(struct progress *progress, const char *table, const char *column)
{
    struct column_names names = {0};

    (void)column_names_add(&names, column);
    progress_dropped(progress, table, &names);
    column_names_deinit(&names);
}

static bool has_dropped(const struct progress *progress, const char *table, const char *column)
{
    struct column_names names = {0};
    bool has;

    (void)column_names_add(&names, column);
    has = progress_has_dropped(progress, table, &names);
    column_names_deinit(&names);
    return has;
}

/* As after a restart. */
static struct progress taken_up(const struct progress *progress)
{
    json_t *record = progress_record(progress);
    struct binlog_wish wish;
    struct progress later;
    struct err err = {0};

    progress_wish(progress, &wish);
    assert_int_equal(progress_from_record(&later, &wish, record, &err), 0);
    binlog_wish_deinit(&wish);
    json_decref(record);
    return later;
}

/* Whether a column that comes back has other values than are stored: over restarts, until none are stored. */
static void test_progress__remembers_which_columns_were_dropped_until_the_table_is_emptied(void **state)
{
    struct progress progress, later;
    uint64_t moves;

    (void)state;
    start_by_file(&progress);
    moves = progress.moves;
    assert_false(has_dropped(&progress, "d.a", "c"));
    drop(&progress, "d.a", "c");
    drop(&progress, "d.a", "d");
    drop(&progress, "d.any", "gr\xc3\xb6\xc3\x9f" "e");
    assert_int_equal(progress.moves, moves + 3); /* so that it is written down */
    drop(&progress, "d.a", "C");
    assert_int_equal(progress.moves, moves + 3);
    later = taken_up(&progress);
    assert_null(reread_of(&later));
    assert_true(has_dropped(&later, "d.a", "C") && has_dropped(&later, "d.a", "d") && has_dropped(&later, "d.a", COLUMN_NAMES_ANY));
    assert_false(has_dropped(&later, "d.a", "e") || has_dropped(&later, "d.ab", "c"));
    assert_true(has_dropped(&later, "d.any", "c")); /* its name could not be compared */
    moves = later.moves;
    assert_false(progress_settled(&later, "d.a")); /* emptied: it had not to be read again */
    assert_int_equal(later.moves, moves + 1);
    assert_false(has_dropped(&later, "d.a", "c"));
    assert_true(has_dropped(&later, "d.any", "c"));
    progress_deinit(&later);
    progress_deinit(&progress);
}

/* Earlier versions wrote no names of columns; and a record may hold anything. */
static void test_progress__a_record_without_names_of_columns_means_any(void **state)
{
    static const char *const records[] = {"[\"d.a\", 7]", "{\"d.a\": []}", "{\"d.a\": null}", "{\"d.a\": [\"b\", 7]}", "{\"d.a\": [\"*\"]}"};

    (void)state;
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        struct progress progress;
        json_t *dropped = json_loads(records[i], 0, NULL);

        assert_non_null(dropped);
        start_by_file(&progress);
        dropped_columns_read(&progress.dropped, dropped);
        assert_true(has_dropped(&progress, "d.a", "c"));
        assert_false(has_dropped(&progress, "d.b", "c"));
        json_decref(dropped);
        progress_deinit(&progress);
    }
}

/* P6 */
static void test_progress__columns_without_end_are_any_column(void **state)
{
    struct progress progress;
    uint64_t moves;

    (void)state;
    start_by_file(&progress);
    moves = progress.moves;
    for (int i = 0; i < 3 * COLUMN_NAMES_MAX; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "c%d", i);
        drop(&progress, "d.a", name);
        assert_true(has_dropped(&progress, "d.a", name));
        assert_true(has_dropped(&progress, "d.a", "c") == (i >= COLUMN_NAMES_MAX));
    }
    assert_int_equal(progress.moves, moves + COLUMN_NAMES_MAX + 1);
    progress_deinit(&progress);
}

static void test_progress__trusts_nothing_in_a_record(void **state)
{
    static const char *const parts[] = {
        "\"ts\":1",
        "\"seq\":1",
        "\"seq\":\"1\",\"ts\":1",
        "\"seq\":-1,\"ts\":1",
        "\"seq\":1,\"ts\":1,\"transaction\":{}",
        "\"seq\":1,\"ts\":1,\"transaction\":{\"txid\":\"\",\"seq\":1,\"rows\":1}",
        "\"seq\":1,\"ts\":1,\"transaction\":{\"txid\":\"a\",\"seq\":1,\"rows\":-1}",
        "\"seq\":1,\"ts\":1,\"transaction\":{\"txid\":\"a\",\"rows\":1}",
        "\"seq\":1,\"ts\":1,\"transaction\":7",
    };

    (void)state;
    for (size_t index = 0; index < sizeof parts / sizeof parts[0]; index++) {
        char text[512];
        struct progress progress;
        struct binlog_wish wish;
        struct err err = {0};
        json_t *record;

        (void)snprintf(text, sizeof text, "{\"flavor\":\"mariadb\",\"server\":\"1\",\"gtid\":\"7-1-1\",%s}", parts[index]);
        record = json_loads(text, 0, NULL);
        assert_non_null(record);
        assert_int_equal(binlog_wish_from_record(&wish, record, &err), 0);
        assert_int_equal(progress_from_record(&progress, &wish, record, &err), -1);
        assert_int_equal(err.class, ERR_FATAL);
        progress_deinit(&progress);
        binlog_wish_deinit(&wish);
        json_decref(record);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress__order_numbers_grow_whatever_the_clock_does),
        cmocka_unit_test(test_progress__without_gtid_a_transaction_is_named_by_where_it_starts),
        cmocka_unit_test(test_progress__refuses_a_transaction_that_no_gtid_set_can_cover),
        cmocka_unit_test(test_progress__comes_back_from_its_record),
        cmocka_unit_test(test_progress__refuses_a_transaction_that_holds_less_than_is_in_kafka),
        cmocka_unit_test(test_progress__awaits_nothing_of_which_nothing_was_seen),
        cmocka_unit_test(test_progress__stays_at_the_start_of_what_is_in_work),
        cmocka_unit_test(test_progress__remembers_which_columns_were_dropped_until_the_table_is_emptied),
        cmocka_unit_test(test_progress__a_record_without_names_of_columns_means_any),
        cmocka_unit_test(test_progress__columns_without_end_are_any_column),
        cmocka_unit_test(test_progress__forgets_that_a_table_must_be_read_again_when_it_was_emptied),
        cmocka_unit_test(test_progress__trusts_nothing_in_a_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
