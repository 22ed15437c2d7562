/* SPDX-License-Identifier: Apache-2.0 */
/* The collations are the servers' own lists; latin1 is compared code by code with a server in stream_test (table texts). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/binlog_log.h"
#include "producer/binlog/charset.h"

static enum charset charset_by_name(const char *name)
{
    if (strcmp(name, "utf8mb4") == 0 || strcmp(name, "utf8mb3") == 0 || strcmp(name, "utf8") == 0) {
        return CHARSET_UTF8;
    }
    if (strcmp(name, "ascii") == 0) {
        return CHARSET_ASCII;
    }
    if (strcmp(name, "latin1") == 0) {
        return CHARSET_LATIN1;
    }
    return strcmp(name, "binary") == 0 ? CHARSET_BINARY : CHARSET_UNKNOWN;
}

static void compare_collations(enum binlog_flavor flavor, const char *list_name)
{
    struct buffer list = log_load(list_name);
    unsigned id;
    char name[64];
    size_t count = 0;
    char *rest;

    for (char *line = strtok_r((char *)(uintptr_t)buffer_text(&list), "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        assert_int_equal(sscanf(line, "%u %63s", &id, name), 2);
        if (charset_of_collation(flavor, id) != charset_by_name(name)) {
            fail_msg("collation %u is of %s", id, name);
        }
        count++;
    }
    assert_true(count > 200);
    buffer_deinit(&list);
}

static void test_charset__of_every_collation_is_what_the_server_says(void **state)
{
    (void)state;
    compare_collations(BINLOG_MYSQL, "mysql-9.7.4.collations");
    compare_collations(BINLOG_MARIADB, "mariadb-10.11.19.collations");
}

static void test_charset__of_an_unknown_collation_is_unknown(void **state)
{
    static const uint64_t ids[] = {0, 95, 324, 2047, 4096, UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        assert_int_equal(charset_of_collation(BINLOG_MYSQL, ids[i]), CHARSET_UNKNOWN);
    }
    assert_int_equal(charset_of_collation(BINLOG_MYSQL, 2304), CHARSET_UNKNOWN);
    assert_int_equal(charset_of_collation(BINLOG_MARIADB, 2304), CHARSET_UTF8);
}

static bool is_utf8(const char *text)
{
    return charset_is_utf8((const uint8_t *)text, strlen(text));
}

static void test_charset__takes_only_utf8_for_utf8(void **state)
{
    static const char *const bad[] = {"\x80",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x80\x80",
                                      "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "plain text and then \xff",
                                      "cut \xe3\x81", "12345678\xc3"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(is_utf8(bad[i]));
    }
    assert_true(is_utf8(""));
    assert_true(is_utf8("twelve plain"));
    assert_true(is_utf8("12345678é9 表ソ 𝄞 \xf4\x8f\xbf\xbf"));
    assert_true(charset_is_ascii((const uint8_t *)"123456789", 9));
    assert_false(charset_is_ascii((const uint8_t *)"12345678\x80", 9));
}

static void test_charset__latin1_is_code_page_1252_without_holes(void **state)
{
    static const uint8_t codes[] = {'a', 0x80, 0x81, 0x8d, 0x8f, 0x90, 0x9d, 0x9f, 0xa0, 0xe9, 0xff};
    static const char expected[] = "a€\xc2\x81\xc2\x8d\xc2\x8f\xc2\x90\xc2\x9dŸ\xc2\xa0éÿ";
    uint8_t out[sizeof codes * CHARSET_LATIN1_GROWTH];
    size_t size = charset_latin1_to_utf8(out, codes, sizeof codes);

    (void)state;
    assert_int_equal(size, sizeof expected - 1);
    assert_memory_equal(out, expected, size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_charset__of_every_collation_is_what_the_server_says),
        cmocka_unit_test(test_charset__of_an_unknown_collation_is_unknown),
        cmocka_unit_test(test_charset__takes_only_utf8_for_utf8),
        cmocka_unit_test(test_charset__latin1_is_code_page_1252_without_holes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
