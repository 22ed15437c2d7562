/* SPDX-License-Identifier: Apache-2.0 */
/* What must not happen: a topic that librdkafka's subscription reads is not counted, or one is that it does not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <regex.h>

#include "workers/subscription.h"

static bool pattern_matches(const char *prefix, const char *topic)
{
    struct buffer pattern = {0};
    regex_t regex;
    bool matches;

    subscription_pattern(&pattern, prefix);
    assert_int_equal(regcomp(&regex, buffer_text(&pattern), REG_EXTENDED | REG_NOSUB), 0);
    matches = regexec(&regex, topic, 0, NULL, 0) == 0;
    regfree(&regex);
    buffer_deinit(&pattern);
    return matches;
}

static void test_subscription__says_what_its_pattern_says(void **state)
{
    static const struct {
        const char *prefix;
        const char *topic;
        bool read;
    } cases[] = {
        {"kakehi", "kakehi.shop.orders", true},
        {"kakehi", "kakehi.shop_x0020_2.Orders_", true},
        {"a.b", "a.b.shop.orders", true},
        {"a.b", "aXb.shop.orders", false},
        {"a+b", "a+b.shop.orders", true},
        {"kakehi", "kakehi.schemas", false},
        {"kakehi", "kakehi.positions", false},
        {"kakehi", "kakehi.dead", false},
        {"kakehi", "kakehi.shop.orders.2", false},
        {"kakehi", "kakehi.shop.", false},
        {"kakehi", "kakehi..orders", false},
        {"kakehi", "kakehi.shop.or-ders", false},
        {"kakehi", "kakehi2.shop.orders", false},
        {"kakehi", "x.kakehi.shop.orders", false},
        {"kakehi", "kakehi", false},
        {"kakehi", "", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct settings settings = {.prefix = (char *)(uintptr_t)cases[i].prefix};

        assert_int_equal(subscription_has(&settings, cases[i].topic), cases[i].read);
        assert_int_equal(pattern_matches(cases[i].prefix, cases[i].topic), cases[i].read);
    }
}

static void test_subscription__a_topic_that_has_a_name_of_its_own_is_read(void **state)
{
    struct settings settings = {.prefix = (char *)(uintptr_t) "kakehi"};

    (void)state;
    text_pairs_set(&settings.topics.topic, "shop.orders", "orders-of-old");
    assert_true(subscription_has(&settings, "orders-of-old"));
    assert_true(subscription_has(&settings, "kakehi.shop.orders"));
    assert_false(subscription_has(&settings, "orders-of"));
    text_pairs_deinit(&settings.topics.topic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subscription__says_what_its_pattern_says),
        cmocka_unit_test(test_subscription__a_topic_that_has_a_name_of_its_own_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
