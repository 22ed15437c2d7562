/* SPDX-License-Identifier: Apache-2.0 */
/* The collations are the servers' own lists; each character of each set is compared with the servers in the integration tests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/binlog_log.h"
#include "common/utf8.h"
#include "producer/binlog/charset.h"

static const struct {
    const char *name;
    enum charset charset;
    size_t one; /* characters of one byte, of two, ... that MySQL 9.7 and MariaDB 10.11 have */
    size_t two;
    size_t three;
} charsets[] = {
    {"binary", CHARSET_BINARY, 0, 0, 0},       {"utf8mb4", CHARSET_UTF8, 0, 0, 0},
    {"utf8mb3", CHARSET_UTF8, 0, 0, 0},        {"utf8", CHARSET_UTF8, 0, 0, 0},
    {"ascii", CHARSET_ASCII, 128, 0, 0},       {"ucs2", CHARSET_UCS2, 0, 63488, 0},
    {"utf16", CHARSET_UTF16, 0, 63488, 0},     {"utf16le", CHARSET_UTF16LE, 0, 63488, 0},
    {"utf32", CHARSET_UTF32, 0, 0, 0},         {"armscii8", CHARSET_ARMSCII8, 256, 0, 0},
    {"cp1250", CHARSET_CP1250, 251, 0, 0},     {"cp1251", CHARSET_CP1251, 255, 0, 0},
    {"cp1256", CHARSET_CP1256, 248, 0, 0},     {"cp1257", CHARSET_CP1257, 244, 0, 0},
    {"cp850", CHARSET_CP850, 256, 0, 0},       {"cp852", CHARSET_CP852, 256, 0, 0},
    {"cp866", CHARSET_CP866, 256, 0, 0},       {"dec8", CHARSET_DEC8, 242, 0, 0},
    {"geostd8", CHARSET_GEOSTD8, 215, 0, 0},   {"greek", CHARSET_GREEK, 250, 0, 0},
    {"hebrew", CHARSET_HEBREW, 220, 0, 0},     {"hp8", CHARSET_HP8, 255, 0, 0},
    {"keybcs2", CHARSET_KEYBCS2, 256, 0, 0},   {"koi8r", CHARSET_KOI8R, 256, 0, 0},
    {"koi8u", CHARSET_KOI8U, 256, 0, 0},       {"latin1", CHARSET_LATIN1, 256, 0, 0},
    {"latin2", CHARSET_LATIN2, 256, 0, 0},     {"latin5", CHARSET_LATIN5, 256, 0, 0},
    {"latin7", CHARSET_LATIN7, 256, 0, 0},     {"macce", CHARSET_MACCE, 256, 0, 0},
    {"macroman", CHARSET_MACROMAN, 256, 0, 0}, {"swe7", CHARSET_SWE7, 127, 0, 0},
    {"tis620", CHARSET_TIS620, 256, 0, 0},     {"big5", CHARSET_BIG5, 128, 13717, 0},
    {"cp932", CHARSET_CP932, 191, 9604, 0},    {"eucjpms", CHARSET_EUCJPMS, 128, 7965, 7113},
    {"euckr", CHARSET_EUCKR, 128, 17048, 0},   {"gb18030", CHARSET_GB18030, 128, 23940, 0},
    {"gb2312", CHARSET_GB2312, 128, 7445, 0},  {"gbk", CHARSET_GBK, 128, 21791, 0},
    {"sjis", CHARSET_SJIS, 191, 6879, 0},      {"ujis", CHARSET_UJIS, 128, 7882, 7007},
};

#define CHARSETS (sizeof charsets / sizeof charsets[0])

static enum charset charset_by_name(const char *name)
{
    for (size_t i = 0; i < CHARSETS; i++) {
        if (strcmp(charsets[i].name, name) == 0) {
            return charsets[i].charset;
        }
    }
    return CHARSET_UNKNOWN;
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
    static const uint64_t ids[] = {0, 17, 324, 2047, 4096, UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        assert_int_equal(charset_of_collation(BINLOG_MYSQL, ids[i]), CHARSET_UNKNOWN);
    }
    assert_int_equal(charset_of_collation(BINLOG_MYSQL, 2304), CHARSET_UNKNOWN);
    assert_int_equal(charset_of_collation(BINLOG_MARIADB, 2304), CHARSET_UTF8);
    assert_int_equal(charset_of_collation(BINLOG_MARIADB, 2048 + 5 * 256), CHARSET_UNKNOWN);
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

static void assert_text(enum charset charset, const char *bytes, size_t size, const char *expected)
{
    uint8_t out[64];
    size_t out_size;

    if (!charset_to_utf8(charset, (const uint8_t *)bytes, size, out, &out_size)) {
        fail_msg("%s can't be had", expected);
    }
    assert_int_equal(out_size, strlen(expected));
    assert_memory_equal(out, expected, out_size);
}

#define TEXT(charset, bytes, expected) assert_text(charset, bytes, sizeof(bytes) - 1, expected)

/* Where libraries differ from the servers. */
static void test_charset__has_the_servers_own_characters(void **state)
{
    (void)state;
    TEXT(CHARSET_LATIN1, "a\x80\x81\x8d\x8f\x90\x9d\x9f\xa0\xe9\xff", "a€\xc2\x81\xc2\x8d\xc2\x8f\xc2\x90\xc2\x9dŸ\xc2\xa0éÿ");
    TEXT(CHARSET_SJIS, "\x5c\x7e\x81\x5f\xb1\x95\x5c", "\\~\\ｱ表");
    TEXT(CHARSET_CP932, "\x5c\x81\x5f\x87\x40\xfa\x40", "\\＼①ⅰ");
    TEXT(CHARSET_UJIS, "\xa1\xc0\x8e\xb1\x8f\xa2\xb7\xa4\xa2", "\\ｱ~あ");
    TEXT(CHARSET_EUCJPMS, "\xa1\xc0\xad\xa1\x8f\xa2\xb7", "＼①～");
    TEXT(CHARSET_EUCKR, "\xb0\xa1\x81\x41", "가갂");
    TEXT(CHARSET_GB18030, "\xd6\xd0\x81\x30\x81\x30\x94\x39\xda\x33\xe3\x32\x9a\x35", "中\xc2\x80💩\xf4\x8f\xbf\xbf");
    TEXT(CHARSET_BIG5, "\xa4\xa4\xc7\xf3", "中⑴");
    TEXT(CHARSET_SWE7, "[\\]{|}@", "ÄÖÅäöåÉ");
    TEXT(CHARSET_UTF16, "\0a\x30\x42\xd8\x3d\xdc\xa9", "aあ💩");
    TEXT(CHARSET_UTF16LE, "a\0\x42\x30\x3d\xd8\xa9\xdc", "aあ💩");
    TEXT(CHARSET_UTF32, "\0\0\0a\0\1\xf4\xa9", "a💩");
    TEXT(CHARSET_UCS2, "\0a\x30\x42", "aあ");
    TEXT(CHARSET_KEYBCS2, "\x80", "Č");
}

static bool has_text(enum charset charset, const uint8_t *bytes, size_t size, size_t *ret_size)
{
    static uint8_t out[4 * CHARSET_GROWTH];

    return charset_is_plain(charset, bytes, size) || charset_to_utf8(charset, bytes, size, out, ret_size);
}

/* Bytes that begin no character, and characters that are cut off, are never taken for something else. */
static void test_charset__refuses_what_is_no_character(void **state)
{
    static const struct {
        enum charset charset;
        const char *bytes;
        size_t size;
    } bad[] = {{CHARSET_ASCII, "\x80", 1},
               {CHARSET_SWE7, "\x7f", 1},
               {CHARSET_CP1250, "\x81", 1},
               {CHARSET_SJIS, "\x81", 1},
               {CHARSET_SJIS, "\x81\x20", 2},
               {CHARSET_SJIS, "\x85\x40", 2},
               {CHARSET_SJIS, "\x80", 1},
               {CHARSET_CP932, "\xfd\xa1", 2},
               {CHARSET_UJIS, "\x8f\xa2", 2},
               {CHARSET_UJIS, "\x8f\xa1\xa1", 3},
               {CHARSET_EUCKR, "\xff\xff", 2},
               {CHARSET_BIG5, "\xa1", 1},
               {CHARSET_GB2312, "\x81\x40", 2},
               {CHARSET_GBK, "\x80\x40", 2},
               {CHARSET_GB18030, "\x81\x30\x81", 3},
               {CHARSET_GB18030, "\xe3\x32\x9a\x36", 4},
               {CHARSET_GB18030, "\x84\x31\xa4\x40", 4},
               {CHARSET_GB18030, "\xff\x30\x81\x30", 4},
               {CHARSET_UTF16, "a", 1},
               {CHARSET_UTF16, "\xd8\x3d", 2},
               {CHARSET_UTF16, "\xd8\x3d\0a", 4},
               {CHARSET_UTF16, "\xdc\xa9\xd8\x3d", 4},
               {CHARSET_UCS2, "\xd8\x3d\xdc\xa9", 4},
               {CHARSET_UTF32, "\0\x11\0\0", 4},
               {CHARSET_UTF32, "\0\0\xd8\0", 4},
               {CHARSET_UTF32, "\0\0a", 3},
               {CHARSET_UTF8, "\xc3", 1}};
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (has_text(bad[i].charset, (const uint8_t *)bad[i].bytes, bad[i].size, &size)) {
            fail_msg("case %zu is a text", i);
        }
    }
}

/* How many codes of `size` bytes are one character? A code that begins with a shorter one is two. */
static size_t count_codes(enum charset charset, size_t size)
{
    uint32_t first = size == 1 || charset < CHARSET_ARMSCII8 ? 0 : 0x80;
    size_t count = 0;

    for (uint32_t code = first << (8 * (size - 1)); code >> (8 * (size - 1)) <= 0xff; code++) {
        uint8_t bytes[4];
        size_t out_size;
        bool begins = false;

        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)(code >> (8 * (size - 1 - i)));
        }
        for (size_t i = 1; i < size && !begins; i++) {
            begins = has_text(charset, bytes, i, &out_size);
        }
        count += !begins && has_text(charset, bytes, size, &out_size);
    }
    return count;
}

/* Their own numbers; every single one is compared with the servers in the integration tests. */
static void test_charset__has_as_many_characters_as_the_servers(void **state)
{
    (void)state;
    for (size_t i = 0; i < CHARSETS; i++) {
        if (charsets[i].one + charsets[i].two > 0) {
            assert_int_equal(count_codes(charsets[i].charset, 1), charsets[i].one);
            assert_int_equal(count_codes(charsets[i].charset, 2), charsets[i].two);
        }
        if (charsets[i].charset >= CHARSET_BIG5) {
            assert_int_equal(count_codes(charsets[i].charset, 3), charsets[i].three);
        }
    }
}

/* Each character of Unicode has exactly one code of gb18030. */
static void test_charset__gb18030_is_all_of_unicode_once(void **state)
{
    uint8_t *seen = calloc(0x110000, 1);
    size_t count = 0;

    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            for (unsigned rest = 0; rest < (second >= '0' && second <= '9' ? 1260U : 1U); rest++) {
                const uint8_t bytes[4] = {(uint8_t)first, (uint8_t)second, (uint8_t)(0x81 + rest / 10),
                                          (uint8_t)('0' + rest % 10)};
                size_t size = first < 0x80 ? 1 : second >= '0' && second <= '9' ? 4 : 2;
                uint8_t out[12];
                size_t out_size;
                uint32_t character;

                if ((size == 1 && second > 0) || !charset_to_utf8(CHARSET_GB18030, bytes, size, out, &out_size)) {
                    continue;
                }
                assert_int_equal(utf8_decode((char *)out, out_size, &character), out_size);
                assert_int_equal(seen[character], 0);
                seen[character] = 1;
                count++;
            }
        }
    }
    assert_int_equal(count, 0x110000 - 0x800);
    free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_charset__of_every_collation_is_what_the_server_says),
        cmocka_unit_test(test_charset__of_an_unknown_collation_is_unknown),
        cmocka_unit_test(test_charset__takes_only_utf8_for_utf8),
        cmocka_unit_test(test_charset__has_the_servers_own_characters),
        cmocka_unit_test(test_charset__refuses_what_is_no_character),
        cmocka_unit_test(test_charset__has_as_many_characters_as_the_servers),
        cmocka_unit_test(test_charset__gb18030_is_all_of_unicode_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
