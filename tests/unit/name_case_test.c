/* SPDX-License-Identifier: Apache-2.0 */
/* Capitals are those that servers know, no more; and a name is never cut or made longer. libc knows them all, and later ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <string.h>
#include <wctype.h>

#include "common/utf8.h"
#include "producer/binlog/name_case.h"

#define SERVERS_CAPITALS 696 /* as counted on each of the five servers */

static void assert_lower(const char *text, const char *lower)
{
    struct buffer out = {0};

    name_case_lower(text, strlen(text), &out);
    assert_string_equal(buffer_text(&out), lower);
    assert_int_equal(name_case_has_upper(text), strcmp(text, lower) != 0);
    buffer_deinit(&out);
}

static void test_name_case__leaves_what_servers_leave(void **state)
{
    (void)state;
    assert_lower("", "");
    assert_lower("orders_2026$", "orders_2026$");
    assert_lower("größe鱼表", "größe鱼表");
    assert_lower("\xe1\x82\xa0\xc8\xa0\xe1\xba\x9e", "\xe1\x82\xa0\xc8\xa0\xe1\xba\x9e"); /* Georgian, N with a long leg, the capital sharp s */
    assert_lower("A\xff\xc3", "a\xff\xc3");                                                 /* no characters */
    assert_lower("😀A", "😀a");
}

static void test_name_case__makes_names_as_servers_do(void **state)
{
    (void)state;
    assert_lower("Shop.ORDERS", "shop.orders");
    assert_lower("ÄÖÜ×Þß", "äöü×þß");
    assert_lower("ŸŽĀā", "ÿžāā");
    assert_lower("ΑΣΩЯЁԱ", "ασωяёա");
    assert_lower("İK", "ik"); /* with a dot; the sign of Kelvin */
}

static void test_name_case__knows_the_servers_capitals_as_libc_does(void **state)
{
    locale_t unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    unsigned count = 0;

    (void)state;
    assert_non_null(unicode);
    for (uint32_t character = 1; character < 0x10000; character++) {
        char text[5] = "";
        char lower[5] = "";

        if ((character >= 0xd800 && character < 0xe000) || utf8_encode(character, text) == 0 || !name_case_has_upper(text)) {
            continue;
        }
        (void)utf8_encode((uint32_t)towlower_l((wint_t)character, unicode), lower);
        assert_lower(text, lower);
        assert_true(strlen(lower) <= strlen(text));
        count++;
    }
    assert_int_equal(count, SERVERS_CAPITALS);
    freelocale(unicode);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_case__leaves_what_servers_leave),
        cmocka_unit_test(test_name_case__makes_names_as_servers_do),
        cmocka_unit_test(test_name_case__knows_the_servers_capitals_as_libc_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
