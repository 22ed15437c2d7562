/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns and lists of settings, the empty ones first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/text_list.h"

static void test_text_matches__only_the_whole_text(void **state)
{
    (void)state;
    assert_false(text_matches("shop.orders", "shop.orders2"));
    assert_false(text_matches("shop.orders", "xshop.orders"));
    assert_false(text_matches("shop.orders", "shop.order"));
    assert_false(text_matches("", "x"));
    assert_false(text_matches("?", ""));
    assert_true(text_matches("", ""));
    assert_true(text_matches("shop.orders", "shop.orders"));
}

static void test_text_matches__by_case(void **state)
{
    (void)state;
    assert_false(text_matches("shop.Orders", "shop.orders"));
}

static void test_text_matches__nothing_special_but_star_and_question_mark(void **state)
{
    (void)state;
    assert_false(text_matches("shop.[a-z]", "shop.a"));
    assert_false(text_matches("shop.%", "shop.a"));
    assert_true(text_matches("shop.[a-z]", "shop.[a-z]"));
}

static void test_text_matches__a_star_takes_any_run(void **state)
{
    (void)state;
    assert_true(text_matches("shop.*", "shop."));
    assert_true(text_matches("*.orders", "a.b.orders"));
    assert_true(text_matches("*a*ba", "xaxbaba"));
    assert_true(text_matches("**", ""));
    assert_false(text_matches("*a*ba", "xaxbab"));
    assert_false(text_matches("shop.*_log", "shop.orders_logs"));
}

static void test_text_matches__a_question_mark_takes_one_character_not_one_byte(void **state)
{
    (void)state;
    assert_true(text_matches("shop.?rger", "shop.\xc3\xa4rger"));
    assert_false(text_matches("shop.??rger", "shop.\xc3\xa4rger"));
    assert_true(text_matches("*?", "\xe2\x82\xac"));
}

static void test_text_matches__a_hostile_pattern_in_bounded_time(void **state)
{
    char text[2001];
    char pattern[2001];

    (void)state;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (size_t index = 0; index + 2 < sizeof pattern; index += 2) {
        pattern[index] = 'a';
        pattern[index + 1] = '*';
    }
    pattern[sizeof pattern - 2] = 'b';
    pattern[sizeof pattern - 1] = '\0';
    assert_false(text_matches(pattern, text));
}

static void test_text_list__of_no_patterns_matches_nothing(void **state)
{
    struct text_list list = {0};

    (void)state;
    assert_false(text_list_matches(&list, "shop.orders"));
    text_list_add(&list, "other.*");
    assert_false(text_list_matches(&list, "shop.orders"));
    text_list_add(&list, "shop.*");
    assert_true(text_list_matches(&list, "shop.orders"));
    text_list_deinit(&list);
    assert_int_equal(list.count, 0);
}

static void test_text_list__what_is_removed_is_not_found_and_the_others_keep_their_order(void **state)
{
    struct text_list list = {0};

    (void)state;
    assert_int_equal(text_list_find(&list, "a"), 0); /* its count: it is not there */
    text_list_add(&list, "a");
    text_list_add(&list, "b");
    text_list_add(&list, "c");
    assert_int_equal(text_list_find(&list, "b"), 1);
    text_list_remove(&list, 0);
    assert_int_equal(text_list_find(&list, "a"), 2);
    assert_int_equal(text_list_find(&list, "b"), 0);
    assert_int_equal(text_list_find(&list, "c"), 1);
    text_list_remove(&list, 1);
    text_list_remove(&list, 0);
    assert_int_equal(list.count, 0);
    text_list_deinit(&list);
}

static void test_text_pairs__replace_a_key_and_keep_its_place(void **state)
{
    struct text_pairs pairs = {0};

    (void)state;
    text_pairs_set(&pairs, "a", "1");
    text_pairs_set(&pairs, "b", "2");
    text_pairs_set(&pairs, "a", "3");
    assert_int_equal(pairs.count, 2);
    assert_string_equal(pairs.pairs[0].value, "3");
    assert_string_equal(text_pairs_get(&pairs, "b"), "2");
    assert_null(text_pairs_get(&pairs, "c"));
    text_pairs_set(&pairs, "b", text_pairs_get(&pairs, "b")); /* of itself */
    assert_string_equal(text_pairs_get(&pairs, "b"), "2");
    text_pairs_deinit(&pairs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_matches__only_the_whole_text),
        cmocka_unit_test(test_text_matches__by_case),
        cmocka_unit_test(test_text_matches__nothing_special_but_star_and_question_mark),
        cmocka_unit_test(test_text_matches__a_star_takes_any_run),
        cmocka_unit_test(test_text_matches__a_question_mark_takes_one_character_not_one_byte),
        cmocka_unit_test(test_text_matches__a_hostile_pattern_in_bounded_time),
        cmocka_unit_test(test_text_list__of_no_patterns_matches_nothing),
        cmocka_unit_test(test_text_list__what_is_removed_is_not_found_and_the_others_keep_their_order),
        cmocka_unit_test(test_text_pairs__replace_a_key_and_keep_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
