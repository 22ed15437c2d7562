/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of both servers: what is one, what is none, what contains what, and the bytes of the dump command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "producer/binlog/gtid_set.h"
#include "tests/unit/binlog_log.h"

#define A "3e11fa47-71ca-11e1-9e33-c80aa9429562"
#define ONE "3e11fa47-71ca-11e1-9e33-c80aa9429562:1"
#define TWO_WITHOUT_A_COMMA "3e11fa47-71ca-11e1-9e33-c80aa9429562:1 3e11fa47-71ca-11e1-9e33-c80aa9429562:2"
#define B "d10347db-e54b-11f1-9c3e-02fc00000001"

static struct gtid_set *parse(enum binlog_flavor flavor, const char *text)
{
    struct gtid_set *set = gtid_set_new(flavor);
    struct err err = {0};

    if (gtid_set_parse(set, text, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return set;
}

static void assert_text(struct gtid_set *set, const char *expected)
{
    struct buffer text = {0};

    gtid_set_text(set, &text);
    assert_string_equal(buffer_text(&text), expected);
    buffer_deinit(&text);
}

static void assert_reads(enum binlog_flavor flavor, const char *text, const char *expected)
{
    struct gtid_set *set = parse(flavor, text);

    assert_text(set, expected);
    gtid_set_free(set);
}

static void assert_refused(enum binlog_flavor flavor, const char *text)
{
    struct gtid_set *set = parse(flavor, flavor == BINLOG_MYSQL ? A ":1" : "1-1-1");
    struct err err = {0};

    assert_int_equal(gtid_set_parse(set, text, &err), -1);
    assert_int_equal(err.class, ERR_FATAL);
    assert_text(set, flavor == BINLOG_MYSQL ? A ":1" : "1-1-1"); /* what it held stays */
    gtid_set_free(set);
}

static void test_gtid_set__refuses_what_is_no_set(void **state)
{
    static const char *const mysql[] = {A,
                                        A ":",
                                        A ":0",
                                        A ":5-3",
                                        A ":1-",
                                        A ":1,,",
                                        "x" A ":1",
                                        TWO_WITHOUT_A_COMMA,
                                        A ":tag",
                                        A ":tag:",
                                        A ":1:tag",
                                        "3e11fa4771ca11e19e33c80aa9429562:1",
                                        A ":9223372036854775808",
                                        "0-1-5",
                                        A ":1x"};
    static const char *const mariadb[] = {
        "0", "0-1", "0-1-", ONE, "0-1-5,0-2-6", "0-1-5 1-1-5", "4294967296-1-1", "0-1-18446744073709551616", "-1-1-1"};

    (void)state;
    for (size_t i = 0; i < sizeof mysql / sizeof mysql[0]; i++) {
        assert_refused(BINLOG_MYSQL, mysql[i]);
    }
    for (size_t i = 0; i < sizeof mariadb / sizeof mariadb[0]; i++) {
        assert_refused(BINLOG_MARIADB, mariadb[i]);
    }
    for (size_t size = 1; size < strlen(A ":1"); size++) { /* a text that was cut is not read beyond its end */
        char *cut = strndup(A ":1", size);

        assert_refused(BINLOG_MYSQL, cut);
        free(cut);
    }
}

static void test_gtid_set__reads_and_prints_the_texts_of_the_servers(void **state)
{
    (void)state;
    assert_reads(BINLOG_MYSQL, "", "");
    assert_reads(BINLOG_MYSQL, A ":1-5:7", A ":1-5:7");
    assert_reads(BINLOG_MYSQL, " " B ":2 ,\n" A ":1-3 : 5\n", A ":1-3:5," B ":2");
    assert_reads(BINLOG_MYSQL, B ":1-503082:mytag:1", B ":1-503082:mytag:1");
    assert_reads(BINLOG_MYSQL, B ":Other:3-4," B ":1", B ":1:other:3-4");
    assert_reads(BINLOG_MYSQL, A ":7:1-5:6:9-12:10-11", A ":1-7:9-12");
    assert_reads(BINLOG_MYSQL, "3E11FA47-71CA-11E1-9E33-C80AA9429562:1", A ":1");
    assert_reads(BINLOG_MARIADB, "", "");
    assert_reads(BINLOG_MARIADB, "7-2-5, 0-1-100", "0-1-100,7-2-5");
    assert_reads(BINLOG_MARIADB, "0-1-18446744073709551615", "0-1-18446744073709551615");
}

static void add(struct gtid_set *set, const char *gtid)
{
    struct err err = {0};

    assert_int_equal(gtid_set_add(set, gtid, &err), 0);
}

static void test_gtid_set__joins_what_touches(void **state)
{
    struct gtid_set *set = gtid_set_new(BINLOG_MYSQL);

    (void)state;
    add(set, A ":5");
    add(set, A ":7");
    add(set, A ":1");
    assert_text(set, A ":1:5:7");
    add(set, A ":6");
    assert_text(set, A ":1:5-7");
    add(set, A ":6");
    add(set, A ":tag:6");
    add(set, B ":1");
    assert_text(set, A ":1:5-7:tag:6," B ":1");
    gtid_set_free(set);
}

static void test_gtid_set__of_mariadb_keeps_the_last_of_each_domain(void **state)
{
    struct gtid_set *set = parse(BINLOG_MARIADB, "0-1-5");
    struct err err = {0};

    (void)state;
    add(set, "0-2-6");
    add(set, "3-1-1");
    add(set, "0-2-6");
    assert_text(set, "0-2-6,3-1-1");
    assert_int_equal(gtid_set_add(set, "0-1-5", &err), -1); /* out of order */
    assert_int_equal(err.class, ERR_FATAL);
    assert_text(set, "0-2-6,3-1-1");
    gtid_set_free(set);
}

static void test_gtid_set__knows_what_it_contains(void **state)
{
    struct gtid_set *set = parse(BINLOG_MYSQL, A ":1-5:7:tag:9");
    struct gtid_set *list = parse(BINLOG_MARIADB, "0-1-5");

    (void)state;
    assert_true(gtid_set_contains(set, A ":1"));
    assert_true(gtid_set_contains(set, A ":5"));
    assert_true(gtid_set_contains(set, A ":7"));
    assert_true(gtid_set_contains(set, A ":tag:9"));
    assert_false(gtid_set_contains(set, A ":6"));
    assert_false(gtid_set_contains(set, A ":9"));
    assert_false(gtid_set_contains(set, A ":8"));
    assert_false(gtid_set_contains(set, B ":1"));
    assert_false(gtid_set_contains(set, "no gtid"));
    assert_true(gtid_set_contains(list, "0-9-5"));
    assert_false(gtid_set_contains(list, "0-1-6"));
    assert_false(gtid_set_contains(list, "1-1-1"));
    gtid_set_free(set);
    gtid_set_free(list);
}

static bool covers(enum binlog_flavor flavor, const char *outer_text, const char *inner_text)
{
    struct gtid_set *outer = parse(flavor, outer_text);
    struct gtid_set *inner = parse(flavor, inner_text);
    bool result = gtid_set_covers(outer, inner);

    gtid_set_free(outer);
    gtid_set_free(inner);
    return result;
}

/* A7: go on only if the position is a subset of what the server has executed. */
static void test_gtid_set__covers_exactly_its_subsets(void **state)
{
    (void)state;
    assert_true(covers(BINLOG_MYSQL, A ":1-10", ""));
    assert_true(covers(BINLOG_MYSQL, A ":1-10," B ":1", A ":2-3:10"));
    assert_true(covers(BINLOG_MYSQL, "", ""));
    assert_false(covers(BINLOG_MYSQL, A ":1-10", A ":1-11"));
    assert_false(covers(BINLOG_MYSQL, A ":1-4:6-10", A ":3-7"));
    assert_false(covers(BINLOG_MYSQL, A ":1-10", B ":1"));
    assert_false(covers(BINLOG_MYSQL, A ":1-10", A ":tag:1"));
    assert_true(covers(BINLOG_MARIADB, "0-1-5,1-1-1", "0-2-5"));
    assert_false(covers(BINLOG_MARIADB, "0-1-5", "0-1-6"));
    assert_false(covers(BINLOG_MARIADB, "0-1-5", "1-1-1"));
}

static void test_gtid_set__is_encoded_for_the_dump_command(void **state)
{
    static const uint8_t expected[] = {
        1,    0,    0, 0, 0, 0, 0, 0, 0x3e, 0x11, 0xfa, 0x47, 0x71, 0xca, 0x11, 0xe1, 0x9e, 0x33, 0xc8, 0x0a, 0xa9, 0x42,
        0x95, 0x62, 2, 0, 0, 0, 0, 0, 0,    0,    1,    0,    0,    0,    0,    0,    0,    0,    6,    0,    0,    0,
        0,    0,    0, 0, 7, 0, 0, 0, 0,    0,    0,    0,    8,    0,    0,    0,    0,    0,    0,    0,
    };
    struct gtid_set *set = parse(BINLOG_MYSQL, A ":1-5:7");
    struct buffer out = {0};

    (void)state;
    gtid_set_encode(set, &out);
    assert_int_equal(out.size, sizeof expected);
    assert_memory_equal(out.bytes, expected, sizeof expected);
    buffer_deinit(&out);
    gtid_set_free(set);
}

/* The oracle: what MySQL 9.7 wrote into PREVIOUS_GTIDS for the set that mysqlbinlog prints of it. */
static void test_gtid_set__with_tags_is_encoded_as_the_server_does(void **state)
{
    struct buffer log = log_load("mysql-9.7.4.binlog.000012");
    size_t at = log_find(&log, 35, 0);
    struct gtid_set *set = parse(BINLOG_MYSQL, "d10347db-e54b-11f1-9c3e-02fc00000001:1-503022:mytag:1");
    struct buffer out = {0};

    (void)state;
    gtid_set_encode(set, &out);
    assert_int_equal(out.size, log_event_size(&log, at) - 19 - 4);
    assert_memory_equal(out.bytes, log.bytes + at + 19, out.size);
    buffer_deinit(&out);
    gtid_set_free(set);
    buffer_deinit(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gtid_set__refuses_what_is_no_set),
        cmocka_unit_test(test_gtid_set__reads_and_prints_the_texts_of_the_servers),
        cmocka_unit_test(test_gtid_set__joins_what_touches),
        cmocka_unit_test(test_gtid_set__of_mariadb_keeps_the_last_of_each_domain),
        cmocka_unit_test(test_gtid_set__knows_what_it_contains),
        cmocka_unit_test(test_gtid_set__covers_exactly_its_subsets),
        cmocka_unit_test(test_gtid_set__is_encoded_for_the_dump_command),
        cmocka_unit_test(test_gtid_set__with_tags_is_encoded_as_the_server_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
