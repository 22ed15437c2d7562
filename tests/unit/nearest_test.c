/* SPDX-License-Identifier: Apache-2.0 */
/* The likely name is offered, an unlikely one is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/nearest.h"

static const char *find(const char *name)
{
    static const char *const candidates[] = {"source.name", "source.password", "source.port", "worker.group", "prefix"};
    struct nearest nearest;

    nearest_init(&nearest, name);
    for (size_t index = 0; index < sizeof candidates / sizeof candidates[0]; index++) {
        nearest_offer(&nearest, candidates[index]);
    }
    return nearest.best;
}

static void test_nearest__offers_nothing_that_is_far(void **state)
{
    (void)state;
    assert_null(find("colour"));
    assert_null(find("x"));
    assert_null(find(""));
    assert_null(find("source.replication.topology"));
}

static void test_nearest__ignores_names_that_are_too_long(void **state)
{
    char name[1000];

    (void)state;
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_null(find(name));
}

static void test_nearest__forgives_a_slip_of_the_finger(void **state)
{
    (void)state;
    assert_string_equal(find("source.pasword"), "source.password");
    assert_string_equal(find("soucre.name"), "source.name");
    assert_string_equal(find("source.prot"), "source.port");
    assert_string_equal(find("perfix"), "prefix");
}

static void test_nearest__finds_the_right_word_in_another_section(void **state)
{
    (void)state;
    assert_string_equal(find("password"), "source.password");
    assert_string_equal(find("group"), "worker.group");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nearest__offers_nothing_that_is_far),
        cmocka_unit_test(test_nearest__ignores_names_that_are_too_long),
        cmocka_unit_test(test_nearest__forgives_a_slip_of_the_finger),
        cmocka_unit_test(test_nearest__finds_the_right_word_in_another_section),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
