/* SPDX-License-Identifier: Apache-2.0 */
/* One event is one line in both formats, whatever a value holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "common/log.h"
#include "tests/unit/capture.h"

/* What stands behind the time stamp. */
static const char *end(void)
{
    const char *line = capture_end(STDERR_FILENO);

    return line[0] != '\0' ? strchr(line, ' ') + 1 : line;
}

static int set_up(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_LOGFMT);
    capture_start(STDERR_FILENO);
    return 0;
}

static int set_up_json(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_JSON);
    capture_start(STDERR_FILENO);
    return 0;
}

static void test_log__keeps_a_forged_line_inside_its_value(void **state)
{
    (void)state;
    log_info("stopped", "why=%q", "bad\n2026-11-21T01:02:03.456Z info committed rows=9");
    assert_string_equal(end(), "info stopped why=\"bad\\n2026-11-21T01:02:03.456Z info committed rows=9\"\n");
}

static void test_log__quotes_a_plain_conversion_that_would_break_the_line(void **state)
{
    (void)state;
    log_info("stopped", "table=%s next=%d", "a b\nc", 1);
    assert_string_equal(end(), "info stopped table=\"a b\\nc\" next=1\n");
}

static void test_log__replaces_bytes_that_are_not_utf8(void **state)
{
    (void)state;
    log_info("x", "a=%q b=%q", "\xff ok \xc3\xa4", "\xe2\x82");
    assert_string_equal(end(), "info x a=\"\xef\xbf\xbd ok \xc3\xa4\" b=\"\xef\xbf\xbd\xef\xbf\xbd\"\n");
}

static void test_log__refuses_overlong_and_surrogate_forms(void **state)
{
    (void)state;
    log_info("x", "a=%q", "\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80");
    assert_null(strpbrk(end(), "\xc0\xed\xf4"));
}

static void test_log__leaves_out_what_is_below_its_level(void **state)
{
    (void)state;
    log_setup(LOG_WARN, LOG_LOGFMT);
    log_info("seen", "a=%d", 1);
    log_debug("seen", "a=%d", 2);
    assert_string_equal(end(), "");
}

static void test_log__cuts_a_value_that_is_too_long(void **state)
{
    char *text = calloc(1, 10000);

    (void)state;
    memset(text, 'a', 9999);
    log_info("x", "a=%s b=%d", text, 1);
    free(text);
    assert_non_null(strstr(end(), "aaa... b=1\n"));
}

static void test_log__knows_every_conversion(void **state)
{
    (void)state;
    log_warn("x", "d=%d u=%u zu=%zu ld=%ld lu=%lu lld=%lld llu=%llu f=%.3f i=%" PRId64 " s=%s at=%s:%d", -1, 4294967295U,
             (size_t)-1, -2L, 3UL, INT64_MIN + 0LL, 18446744073709551615ULL, 0.5, (int64_t)7, "text", "::1", 80);
    assert_string_equal(end(), "warn x d=-1 u=4294967295 zu=18446744073709551615 ld=-2 lu=3 lld=-9223372036854775808 "
                               "llu=18446744073709551615 f=0.500 i=7 s=text at=::1:80\n");
}

static void test_log__takes_no_text_for_one(void **state)
{
    (void)state;
    log_info("x", "a=%s b=%s c=%q", NULL, "", "");
    assert_string_equal(end(), "info x a=(none) b=\"\" c=\"\"\n");
}

static void test_log__stamps_the_time_in_utc_with_milliseconds(void **state)
{
    const char *line;
    int parts[7];

    (void)state;
    log_error("x", "");
    line = capture_end(STDERR_FILENO);
    assert_int_equal(sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ error x\n", &parts[0], &parts[1], &parts[2], &parts[3],
                            &parts[4], &parts[5], &parts[6]),
                     7);
}

static void test_log__is_one_json_object_a_line(void **state)
{
    const char *line;
    json_t *object;

    (void)state;
    log_info("committed", "source=%s rows=%zu rate=%.1f bad=%.1f at=%s:%d quote=%q", "shop", (size_t)5, -0.5, NAN, "h", 3,
             "\"\\\n\x01\xff");
    line = capture_end(STDERR_FILENO);
    object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(object);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    assert_string_equal(json_string_value(json_object_get(object, "level")), "info");
    assert_string_equal(json_string_value(json_object_get(object, "event")), "committed");
    assert_string_equal(json_string_value(json_object_get(object, "source")), "shop");
    assert_int_equal(json_integer_value(json_object_get(object, "rows")), 5);
    assert_true(json_is_real(json_object_get(object, "rate")));
    assert_true(json_is_string(json_object_get(object, "bad")));
    assert_string_equal(json_string_value(json_object_get(object, "at")), "h:3");
    assert_string_equal(json_string_value(json_object_get(object, "quote")), "\"\\\n\x01\xef\xbf\xbd");
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_log__keeps_a_forged_line_inside_its_value, set_up),
        cmocka_unit_test_setup(test_log__quotes_a_plain_conversion_that_would_break_the_line, set_up),
        cmocka_unit_test_setup(test_log__replaces_bytes_that_are_not_utf8, set_up),
        cmocka_unit_test_setup(test_log__refuses_overlong_and_surrogate_forms, set_up),
        cmocka_unit_test_setup(test_log__leaves_out_what_is_below_its_level, set_up),
        cmocka_unit_test_setup(test_log__cuts_a_value_that_is_too_long, set_up),
        cmocka_unit_test_setup(test_log__knows_every_conversion, set_up),
        cmocka_unit_test_setup(test_log__takes_no_text_for_one, set_up),
        cmocka_unit_test_setup(test_log__stamps_the_time_in_utc_with_milliseconds, set_up),
        cmocka_unit_test_setup(test_log__is_one_json_object_a_line, set_up_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
