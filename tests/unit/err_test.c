/* SPDX-License-Identifier: Apache-2.0 */
/* The class stays on the way out, and the cause is never pushed out by what stands in front. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/err.h"

static void test_err__keeps_the_cause_when_the_doing_is_too_long(void **state)
{
    struct err err = {0};
    char doing[2000];

    (void)state;
    memset(doing, 'a', sizeof doing - 1);
    doing[sizeof doing - 1] = '\0';
    (void)err_set(&err, ERR_RETRY, "the cause");
    assert_int_equal(err_while(&err, "%s", doing), -1);
    assert_non_null(strstr(err.text, "aaa: the cause"));
    assert_true(strlen(err.text) < sizeof err.text);
}

static void test_err__keeps_its_class_on_the_way_out(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(err_set(&err, ERR_POISON, "HTTP %d", 503), -1);
    (void)err_while(&err, "fetching %s", "it");
    (void)err_while(&err, "starting");
    assert_int_equal(err.class, ERR_POISON);
    assert_string_equal(err.text, "starting: fetching it: HTTP 503");
}

static void test_err__cuts_a_cause_that_is_too_long(void **state)
{
    struct err err = {0};

    (void)state;
    (void)err_set(&err, ERR_FATAL, "%02000d", 1);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    (void)err_while(&err, "doing");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_int_equal(strncmp(err.text, "doing: 000", 10), 0);
}

static void test_err__names_its_class(void **state)
{
    (void)state;
    assert_string_equal(err_class_name(ERR_NONE), "none");
    assert_string_equal(err_class_name(ERR_RETRY), "retry");
    assert_string_equal(err_class_name(ERR_POISON), "poison");
    assert_string_equal(err_class_name(ERR_FATAL), "fatal");
    assert_string_equal(err_class_name(ERR_CANCELED), "canceled");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err__keeps_the_cause_when_the_doing_is_too_long),
        cmocka_unit_test(test_err__keeps_its_class_on_the_way_out),
        cmocka_unit_test(test_err__cuts_a_cause_that_is_too_long),
        cmocka_unit_test(test_err__names_its_class),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
