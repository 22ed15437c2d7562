/* SPDX-License-Identifier: Apache-2.0 */
/* What is not UTF-8 must not pass, wherever in a text it stands: the check goes eight bytes at a time where it can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/utf8.h"

#define PLAIN_MAX 20

/* The bytes with `before` plain ones in front and `behind` plain ones behind. */
static bool valid_inside(const char *bytes, size_t before, size_t behind)
{
    char text[64];
    int size = snprintf(text, sizeof text, "%.*s%s%.*s", (int)before, "abcdefghijklmnopqrstuvwxyz", bytes, (int)behind,
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

    return utf8_valid(text, (size_t)size);
}

static void check_everywhere(const char *bytes, bool valid)
{
    for (size_t before = 0; before <= PLAIN_MAX; before++) {
        for (size_t behind = 0; behind <= PLAIN_MAX; behind++) {
            assert_int_equal(valid_inside(bytes, before, behind), valid);
        }
    }
}

static void test_utf8__refuses_what_is_not_strict_wherever_it_stands(void **state)
{
    static const char *const bad[] = {
        "\x80",             /* continues nothing */
        "\xc3",             /* is not continued */
        "\xc0\xaf",         /* overlong '/' */
        "\xe0\x80\xaf",     /* overlong */
        "\xed\xa0\x80",     /* half of a surrogate pair */
        "\xf0\x80\x80\xaf", /* overlong */
        "\xf4\x90\x80\x80", /* beyond U+10FFFF */
        "\xf8\x88\x80\x80\x80",
        "\xff",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        check_everywhere(bad[i], false);
    }
}

static void test_utf8__takes_each_size_of_character_wherever_it_stands(void **state)
{
    (void)state;
    check_everywhere("", true);
    check_everywhere("\x7f", true);
    check_everywhere("ß\u00a0é", true);
    check_everywhere("日本語", true);
    check_everywhere("a😀b", true);
    check_everywhere("\xf4\x8f\xbf\xbf", true);
    assert_true(utf8_valid("a\0b", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8__refuses_what_is_not_strict_wherever_it_stands),
        cmocka_unit_test(test_utf8__takes_each_size_of_character_wherever_it_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
