/* SPDX-License-Identifier: Apache-2.0 */
/* The status variables are those of statements that real servers logged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "producer/binlog/query_text.h"

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static struct query_client client_by(const uint8_t *variables, size_t size)
{
    struct query_client client;

    query_client_read(&client, BINLOG_MYSQL, cursor_over(variables, size));
    return client;
}

static enum charset charset_by(const uint8_t *variables, size_t size)
{
    return client_by(variables, size).charset;
}

static void test_query_client__charset_is_utf8_where_the_event_does_not_tell(void **state)
{
    (void)state;
    assert_int_equal(charset_by(BYTES(0)), CHARSET_UTF8);
    assert_int_equal(charset_by(BYTES(0, 0, 0, 0, 0)), CHARSET_UTF8);
    assert_int_equal(charset_by(BYTES(0, 0, 0, 0)), CHARSET_UTF8);
    assert_int_equal(charset_by(BYTES(6, 200, 's', 't', 'd', 4, 8, 0)), CHARSET_UTF8);
    assert_int_equal(charset_by(BYTES(4, 8)), CHARSET_UTF8);
    assert_int_equal(charset_by(BYTES(99, 4, 8, 0, 8, 0, 8, 0)), CHARSET_UTF8);
    assert_int_equal(charset_by(BYTES(4, 63, 0, 63, 0, 8, 0)), CHARSET_UTF8); /* binary */
    assert_int_equal(charset_by(BYTES(4, 255, 127, 8, 0, 8, 0)), CHARSET_UTF8);
}

static void test_query_client__has_the_charset_of_the_event(void **state)
{
    (void)state;
    assert_int_equal(charset_by(BYTES(0, 0, 0, 0, 0, 1, 0x20, 0, 0xa0, 0x45, 0, 0, 0, 0, 6, 3, 's', 't', 'd', 4, 8, 0, 28, 0, 0xff, 0)), CHARSET_LATIN1);
    assert_int_equal(charset_by(BYTES(6, 3, 's', 't', 'd', 3, 1, 0, 1, 0, 4, 28, 0, 8, 0, 8, 0, 17, 1)), CHARSET_GBK);
}

static void test_query_client__has_the_sql_mode_of_the_event(void **state)
{
    (void)state;
    assert_true(client_by(BYTES(0, 0, 0, 0, 0, 1, 0x24, 0, 0x90, 0x45, 1, 0, 0, 0, 6, 3, 's', 't', 'd', 4, 8, 0, 28, 0, 0xff, 0)).sql_mode ==
                UINT64_C(0x145900024));
    assert_true(client_by(BYTES(4, 8, 0, 8, 0, 8, 0)).sql_mode == 0);
    assert_true(client_by(BYTES(1, 4, 0, 0, 0, 0, 0, 0)).sql_mode == 0);
}

static void assert_text(enum charset charset, const char *text, const char *expected)
{
    struct buffer converted = {0};
    struct cursor read = query_text(charset, cursor_over((const uint8_t *)text, strlen(text)), &converted);

    assert_int_equal(cursor_left(&read), strlen(expected));
    assert_memory_equal(read.at, expected, strlen(expected));
    buffer_deinit(&converted);
}

static void test_query_text__is_utf8(void **state)
{
    (void)state;
    assert_text(CHARSET_UTF8, "", "");
    assert_text(CHARSET_LATIN1, "DROP TABLE t", "DROP TABLE t");
    assert_text(CHARSET_UTF8, "DROP TABLE größe", "DROP TABLE größe");
    assert_text(CHARSET_LATIN1, "gr\xf6\xdf"
                                "e", "größe");
    assert_text(CHARSET_GBK, "`\xd3\xe3\xb2``", "`鱼瞏`");
    assert_text(CHARSET_SJIS, "`\x83\\`", "`ソ`");
}

static void test_query_text__escapes_what_is_no_character(void **state)
{
    (void)state;
    assert_text(CHARSET_UTF8, "SELECT _binary '\xff'", "SELECT _binary '\\xFF'");
    assert_text(CHARSET_GBK, "_binary '\xff' `\xd3\xe3`", "_binary '\\xFF' `鱼`");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query_client__charset_is_utf8_where_the_event_does_not_tell),
        cmocka_unit_test(test_query_client__has_the_charset_of_the_event),
        cmocka_unit_test(test_query_client__has_the_sql_mode_of_the_event),
        cmocka_unit_test(test_query_text__is_utf8),
        cmocka_unit_test(test_query_text__escapes_what_is_no_character),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
