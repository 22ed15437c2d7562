/* SPDX-License-Identifier: Apache-2.0 */
/* The position record: what is written, what is read back, and what a person may set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "producer/binlog/resume.h"
#include "producer/position.h"
#include "producer/positions.h"

static const char *text_of(const json_t *record, const char *key)
{
    return json_string_value(json_object_get(record, key));
}

static void test_positions__a_record_is_read_back_as_it_was_written(void **state)
{
    json_t *ends = json_pack("{s:{s:i}}", "p.d.t", "0", 7), *record;
    char *text = positions_text(json_pack("{s:s, s:i}", "gtid", "0-1-2", "seq", 5), "shop", ends);
    struct err err;

    (void)state;
    assert_string_equal(text, "{\"gtid\":\"0-1-2\",\"seq\":5,\"layout\":1,\"source\":\"shop\",\"ends\":{\"p.d.t\":{\"0\":7}}}");
    assert_int_equal(positions_parse(text, strlen(text), &record, &err), 0);
    assert_string_equal(text_of(record, "gtid"), "0-1-2");
    json_decref(record);
    json_decref(ends);
    free(text);
}

static void test_positions__a_tombstone_is_no_record(void **state)
{
    json_t *record;
    struct err err;

    (void)state;
    assert_int_equal(positions_parse(NULL, 0, &record, &err), 0);
    assert_null(record);
}

static void test_positions__a_record_of_another_layout_or_shape_stops(void **state)
{
    static const char *const texts[] = {"{\"layout\":2}", "{}", "[]", "", "{\"layout\":1", "\xff"};
    json_t *record;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(positions_parse(texts[i], strlen(texts[i]), &record, &err), -1);
        assert_int_equal(err.class, ERR_FATAL);
        assert_null(record);
    }
}

/* What was set must be what the source takes. */
static json_t *set(const char *text, const json_t *old, const char *server)
{
    struct binlog_wish wish;
    struct err err;
    json_t *record = position_record(text, old, server, &err);

    assert_non_null(record);
    assert_int_equal(binlog_wish_from_record(&wish, record, &err), 0);
    binlog_wish_deinit(&wish);
    return record;
}

static void test_position__a_gtid_set_says_whose_it_is(void **state)
{
    json_t *record;

    (void)state;
    record = set("7-1-100,8-1-3", NULL, NULL);
    assert_string_equal(text_of(record, "flavor"), "mariadb");
    json_decref(record);
    record = set("3E11FA47-71CA-11E1-9E33-C80AA9429562:1-5", NULL, NULL);
    assert_string_equal(text_of(record, "flavor"), "mysql");
    json_decref(record);
}

static void test_position__keeps_the_last_seq_O1(void **state)
{
    json_t *old = json_pack("{s:s, s:s, s:i, s:i, s:{s:i}}", "flavor", "mariadb", "server", "1", "seq", 99, "ts", 98,
                            "transaction", "rows", 5);
    json_t *record = set("7-1-100", old, NULL);

    (void)state;
    assert_int_equal(json_integer_value(json_object_get(record, "seq")), 99);
    assert_null(json_object_get(record, "transaction")); /* no rows of it are skipped at another place */
    json_decref(record);
    json_decref(old);
}

static void test_position__files_need_a_server(void **state)
{
    json_t *old = json_pack("{s:s, s:s, s:i, s:i}", "flavor", "mysql", "server", "uuid-1", "seq", 1, "ts", 1), *record;
    struct err err;

    (void)state;
    assert_null(position_record("bin.000003:1234", NULL, NULL, &err));
    assert_non_null(strstr(err.text, "--server"));
    record = set("bin.000003:1234", old, NULL);
    assert_string_equal(text_of(record, "server"), "uuid-1");
    json_decref(record);
    record = set("bin.000003:1234", NULL, "12");
    assert_string_equal(text_of(record, "flavor"), "mariadb");
    json_decref(record);
    json_decref(old);
}

static void test_position__refuses_what_is_no_place(void **state)
{
    static const char *const texts[] = {"", "current", "earliest", "7-1", "7-1-x", "garbage", "7-1-100,garbage"};
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_null(position_record(texts[i], NULL, NULL, &err));
        assert_int_equal(err.class, ERR_FATAL);
    }
}

static void test_position__settling_takes_out_the_named_table_alone(void **state)
{
    json_t *old = json_pack("{s:s, s:i, s:[s,s], s:{s:s,s:s}}", "gtid", "0-1-5", "seq", 9, "reread", "d.a", "d.b", "aside", "d.a", "why", "d.c", "why");
    json_t *expected = json_pack("{s:s, s:i, s:[s], s:{s:s}}", "gtid", "0-1-5", "seq", 9, "reread", "d.b", "aside", "d.c", "why");
    struct err err;
    json_t *record = position_settled(old, "d.a", &err);

    (void)state;
    assert_true(json_equal(record, expected));
    assert_null(position_settled(record, "d.a", &err));
    assert_int_equal(err.class, ERR_FATAL);
    assert_null(position_settled(NULL, "d.a", &err));
    json_decref(record);
    json_decref(expected);
    json_decref(old);
}

static void test_position__a_new_place_keeps_what_is_known_of_tables(void **state)
{
    json_t *old = json_pack("{s:[s], s:[s], s:{s:s}}", "reread", "d.a", "dropped", "d.b", "aside", "d.c", "why");
    json_t *record = set("0-1-7", old, NULL);

    (void)state;
    assert_true(json_equal(json_object_get(record, "reread"), json_object_get(old, "reread")));
    assert_true(json_equal(json_object_get(record, "dropped"), json_object_get(old, "dropped")));
    assert_true(json_equal(json_object_get(record, "aside"), json_object_get(old, "aside")));
    json_decref(record);
    json_decref(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positions__a_record_is_read_back_as_it_was_written),
        cmocka_unit_test(test_positions__a_tombstone_is_no_record),
        cmocka_unit_test(test_positions__a_record_of_another_layout_or_shape_stops),
        cmocka_unit_test(test_position__a_gtid_set_says_whose_it_is),
        cmocka_unit_test(test_position__keeps_the_last_seq_O1),
        cmocka_unit_test(test_position__files_need_a_server),
        cmocka_unit_test(test_position__refuses_what_is_no_place),
        cmocka_unit_test(test_position__settling_takes_out_the_named_table_alone),
        cmocka_unit_test(test_position__a_new_place_keeps_what_is_known_of_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
