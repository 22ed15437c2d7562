/* SPDX-License-Identifier: Apache-2.0 */
/* What people and scripts rely on: an error is an exit code, and every finding is one line or one object. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/cli.h"
#include "common/findings.h"

static char *text;
static size_t text_size;

static int check(bool json, enum finding_level worst)
{
    FILE *out = open_memstream(&text, &text_size);
    struct findings *findings = findings_new(out, json);
    int code;

    finding(findings, FINDING_OK, "kafka", NULL, "%d brokers answer", 3);
    finding(findings, worst, "topic t", "do \"this\"", "is %s", "odd");
    assert_int_equal(findings_count(findings, FINDING_OK), 1 + (worst == FINDING_OK));
    code = findings_end(findings);
    assert_int_equal(fclose(out), 0);
    return code;
}

static int tear_down(void **state)
{
    (void)state;
    free(text);
    text = NULL;
    return 0;
}

static void test_findings__only_an_error_fails_the_command(void **state)
{
    (void)state;
    for (enum finding_level level = FINDING_OK; level <= FINDING_ERROR; level++) {
        assert_int_equal(check(level % 2 == 0, level), level == FINDING_ERROR ? CLI_FAILED : CLI_OK);
        (void)tear_down(NULL);
    }
}

static void test_findings__are_a_line_each_with_the_remedy(void **state)
{
    (void)state;
    (void)check(false, FINDING_ERROR);
    assert_string_equal(text, "ok       kafka: 3 brokers answer\n"
                              "error    topic t: is odd. Remedy: do \"this\"\n"
                              "1 errors, 0 warnings, 1 ok\n");
}

static void test_findings__are_one_object_as_json(void **state)
{
    json_t *all, *second;

    (void)state;
    (void)check(true, FINDING_WARNING);
    all = json_loads(text, 0, NULL);
    assert_non_null(all);
    assert_int_equal(json_integer_value(json_object_get(all, "errors")), 0);
    assert_int_equal(json_integer_value(json_object_get(all, "warnings")), 1);
    second = json_array_get(json_object_get(all, "findings"), 1);
    assert_string_equal(json_string_value(json_object_get(second, "level")), "warning");
    assert_string_equal(json_string_value(json_object_get(second, "remedy")), "do \"this\"");
    assert_true(json_is_null(json_object_get(json_array_get(json_object_get(all, "findings"), 0), "remedy")));
    json_decref(all);
}

static const char *text_of(const json_t *one, const char *key)
{
    return json_string_value(json_object_get(one, key));
}

static void test_findings__keep_what_is_right_of_a_text_that_is_cut_in_a_character(void **state)
{
    FILE *out = open_memstream(&text, &text_size);
    struct findings *findings = findings_new(out, true);
    json_t *all, *one;

    (void)state;
    finding(findings, FINDING_ERROR, "table \xe8\xa1", "not \xff\xc0\x80 this", "\xe8\xa1\xa8 and \xf0\x9f\x98");
    assert_int_equal(findings_end(findings), CLI_FAILED);
    assert_int_equal(fclose(out), 0);
    all = json_loads(text, 0, NULL);
    one = json_array_get(json_object_get(all, "findings"), 0);
    assert_string_equal(text_of(one, "subject"), "table \ufffd\ufffd");
    assert_string_equal(text_of(one, "finding"), "\u8868 and \ufffd\ufffd\ufffd");
    assert_string_equal(text_of(one, "remedy"), "not \ufffd\ufffd\ufffd this");
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_findings__only_an_error_fails_the_command),
        cmocka_unit_test_teardown(test_findings__are_a_line_each_with_the_remedy, tear_down),
        cmocka_unit_test_teardown(test_findings__are_one_object_as_json, tear_down),
        cmocka_unit_test_teardown(test_findings__keep_what_is_right_of_a_text_that_is_cut_in_a_character, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
