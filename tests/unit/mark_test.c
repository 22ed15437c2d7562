/* SPDX-License-Identifier: Apache-2.0 */
/* What is printed is read back, the largest mark fits, and nothing else is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workers/bigquery/mark.h"

static const char *const good[] = {
    "v1 append - - 0",
    "v1 append 0a1b2c3d - 0",
    "v1 append 0a1b2c3d Cic2YjE2-_= 0",
    "v1 append 0a1b2c3d s 9223372036854775807",
    "v1 append 0a1b2c3d s 12 17+5@20778.1795000000000000.0",
    "v1 append 0a1b2c3d s 12 17+5@20778.1795000000000000.0 23+1@-3.-4.-5",
    "v1 load 0a1b2c3d kakehi_0123456789abcdef0123456789abcdef EU 4711",
};

static const char *const bad[] = {
    "",
    " ",
    "v1",
    "v1 append",
    "v1 append ",
    "v1 append - - 1",                 /* a row of no stream */
    "v1 append - s 0",                 /* a stream of no table */
    "v1 append 0a1b2c3d - 0 5+5@1.2.3", /* a request into no stream */
    "v1 append 0A1B2C3D s 0",
    "v1 append 0a1b2c3 s 0",
    "v1 append 0a1b2c3d5 s 0",
    "v1 append 0a1b2c3d s",
    "v1 append 0a1b2c3d s -1",
    "v1 append 0a1b2c3d s 01",
    "v1 append 0a1b2c3d s +1",
    "v1 append 0a1b2c3d s 9223372036854775808",
    "v1 append 0a1b2c3d s 1 ",
    "v1 append 0a1b2c3d  s 1",
    "v1 append 0a1b2c3d s 1\n",
    "v1 append 0a1b2c3d s\t1 1",
    "v1 append 0a1b2c3d s\x01 1",
    "v1 append 0a1b2c3d \xc3\xa4 1",
    "v1 append 0a1b2c3d s 1 5",
    "v1 append 0a1b2c3d s 1 5+",
    "v1 append 0a1b2c3d s 1 5+0@1.2.3",
    "v1 append 0a1b2c3d s 1 5+-1@1.2.3",
    "v1 append 0a1b2c3d s 1 5+2147483648@1.2.3",
    "v1 append 0a1b2c3d s 1 5+1@2147483648.2.3",
    "v1 append 0a1b2c3d s 1 5+1@1.2",
    "v1 append 0a1b2c3d s 1 5+1@1.2.3.4",
    "v1 append 0a1b2c3d s 1 5+1@1.2.3 5+1@1.2.3", /* ends don't grow */
    "v1 append 0a1b2c3d s 1 -5+1@1.2.3",
    "v1 load 0a1b2c3d job EU",
    "v1 load 0a1b2c3d job EU 0",
    "v1 load 0a1b2c3d job EU -4",
    "v1 load 0a1b2c3d job - 4",
    "v1 load 0a1b2c3d - EU 4",
    "v1 load - job EU 4",
    "v1 load 0a1b2c3d job EU 4 5",
    "v2 append 0a1b2c3d s 0",
    "v1 merge 0a1b2c3d s 0",
    "{\"version\":1}",
};

static void test_mark__is_read_back_as_it_was_printed(void **state)
{
    struct mark mark;
    struct err err = {0};
    char text[MARK_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (mark_parse(good[i], &mark, &err) != 0) {
            fail_msg("%s: %s", good[i], err.text);
        }
        mark_print(&mark, text);
        assert_string_equal(text, good[i]);
    }
    assert_int_equal(mark_parse(good[5], &mark, &err), 0);
    assert_int_equal(mark.append.request_count, 2);
    assert_int_equal(mark.append.requests[1].end, 23);
    assert_int_equal(mark.append.requests[1].rows, 1);
    assert_int_equal(mark.append.requests[1].day, -3);
    assert_int_equal(mark.append.requests[1].seq, -4);
    assert_int_equal(mark.append.requests[1].idx, -5);
}

static void test_mark__refuses_what_it_can_not_have_made(void **state)
{
    struct mark mark;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};

        if (mark_parse(bad[i], &mark, &err) == 0 || err.class != ERR_FATAL || err.text[0] == '\0') {
            fail_msg("taken: \"%s\"", bad[i]);
        }
    }
}

static void test_mark__refuses_too_many_requests_and_too_long_words(void **state)
{
    struct mark mark;
    struct err err = {0};
    char text[2 * MARK_SIZE] = "v1 append 0a1b2c3d s 1";

    (void)state;
    for (int i = 0; i < MARK_REQUESTS_MAX; i++) {
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), " %d+1@1.2.3", i + 5);
    }
    assert_int_equal(mark_parse(text, &mark, &err), 0);
    (void)snprintf(text + strlen(text), sizeof text - strlen(text), " 99+1@1.2.3");
    assert_int_equal(mark_parse(text, &mark, &err), -1);
    memset(text, 'x', sizeof text - 1);
    assert_int_equal(mark_parse(text, &mark, &err), -1);
    memcpy(text, "v1 append 0a1b2c3d ", 19);
    memcpy(text + 19 + MARK_STREAM_SIZE, " 1", 3);
    assert_int_equal(mark_parse(text, &mark, &err), -1);
    memcpy(text + 19 + MARK_STREAM_SIZE - 1, " 1", 3);
    assert_int_equal(mark_parse(text, &mark, &err), 0);
}

static void test_mark__that_is_the_largest_fits(void **state)
{
    struct mark mark = {.kind = MARK_APPEND, .table = "ffffffff", .append = {.row = INT64_MAX, .request_count = MARK_REQUESTS_MAX}};
    struct mark again;
    struct err err = {0};
    char text[MARK_SIZE];

    (void)state;
    memset(mark.append.stream, 's', MARK_STREAM_SIZE - 1);
    for (int i = 0; i < MARK_REQUESTS_MAX; i++) {
        mark.append.requests[i] =
            (struct mark_request){INT64_MAX - MARK_REQUESTS_MAX + i, INT32_MAX, INT32_MIN, INT64_MIN, INT64_MIN};
    }
    mark_print(&mark, text);
    assert_int_equal(mark_parse(text, &again, &err), 0);
    mark = (struct mark){.kind = MARK_LOAD, .table = "ffffffff", .load = {.end = INT64_MAX}};
    memset(mark.load.job, 'j', MARK_JOB_SIZE - 1);
    memset(mark.load.location, 'l', MARK_LOCATION_SIZE - 1);
    mark_print(&mark, text);
    assert_int_equal(mark_parse(text, &again, &err), 0);
}

static void test_mark__tells_a_tool_from_another_release(void **state)
{
    struct mark mark;
    struct err err = {0};

    (void)state;
    assert_int_equal(mark_parse("", &mark, &err), -1);
    assert_non_null(strstr(err.text, "a tool has set it"));
    assert_int_equal(mark_parse("v2 append 0a1b2c3d s 0", &mark, &err), -1);
    assert_non_null(strstr(err.text, "newer release"));
    assert_int_equal(mark_parse("evil\x1b[2J", &mark, &err), -1);
    assert_null(strchr(err.text, '\x1b'));
}

static void test_mark__is_never_taken_from_a_changed_one(void **state)
{
    const char *whole = good[5];
    char text[MARK_SIZE];

    (void)state;
    for (size_t at = 0; at < strlen(whole); at++) {
        for (int byte = 1; byte < 256; byte++) {
            struct mark mark;
            struct err err = {0};
            char again[MARK_SIZE];

            memcpy(text, whole, strlen(whole) + 1);
            text[at] = (char)byte;
            if (mark_parse(text, &mark, &err) == 0) { /* another number, then; and that very one */
                mark_print(&mark, again);
                assert_string_equal(again, text);
            }
        }
    }
}

static void test_mark__takes_words_that_a_commit_can_hold(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(mark_check_word("Cic2YjE2", MARK_STREAM_SIZE, "stream", &err), 0);
    assert_int_equal(mark_check_word("", MARK_STREAM_SIZE, "stream", &err), -1);
    assert_int_equal(mark_check_word("-", MARK_STREAM_SIZE, "stream", &err), -1);
    assert_int_equal(mark_check_word("a b", MARK_STREAM_SIZE, "stream", &err), -1);
    assert_int_equal(mark_check_word("a\xc3\xa4", MARK_STREAM_SIZE, "stream", &err), -1);
    assert_int_equal(mark_check_word("abcd", 4, "stream", &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mark__is_read_back_as_it_was_printed),
        cmocka_unit_test(test_mark__refuses_what_it_can_not_have_made),
        cmocka_unit_test(test_mark__refuses_too_many_requests_and_too_long_words),
        cmocka_unit_test(test_mark__that_is_the_largest_fits),
        cmocka_unit_test(test_mark__tells_a_tool_from_another_release),
        cmocka_unit_test(test_mark__is_never_taken_from_a_changed_one),
        cmocka_unit_test(test_mark__takes_words_that_a_commit_can_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
