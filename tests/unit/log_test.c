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
#include <pthread.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/log_repeats.h"
#include "tests/unit/capture.h"

/* What stands behind the time stamp. */
static const char *end(void)
{
    const char *line = capture_end(STDERR_FILENO);

    return line[0] != '\0' ? strchr(line, ' ') + 1 : line;
}

static uint64_t clock_ms;

static uint64_t our_clock(void)
{
    return clock_ms;
}

static int set_up(void **state)
{
    (void)state;
    log_flush();
    clock_ms += 10 * (uint64_t)LOG_INTERVAL_MS; /* what other tests have logged is forgotten */
    log_set_clock(our_clock);
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

/* What was written, without the times. */
static const char *ends(void)
{
    static char text[4096];
    size_t size = 0;

    for (const char *line = capture_end(STDERR_FILENO); *line != '\0'; line = strchr(line, '\n') + 1) {
        const char *from = strchr(line, ' ') + 1;

        size += (size_t)snprintf(text + size, sizeof text - size, "%.*s", (int)(strchr(from, '\n') + 1 - from), from);
    }
    text[size] = '\0';
    return text;
}

static void test_log__counts_warnings_that_differ_in_numbers_only(void **state)
{
    (void)state;
    for (int i = 1; i <= 5; i++) {
        log_warn("trouble", "source=%s because=%q retry_ms=%d", "shop", "it is down", i);
    }
    assert_string_equal(ends(), "warn trouble source=shop because=\"it is down\" retry_ms=1\n");
    capture_start(STDERR_FILENO);
    clock_ms += LOG_INTERVAL_MS - 1;
    log_warn("trouble", "source=%s because=%q retry_ms=%d", "shop", "it is down", 6);
    assert_string_equal(ends(), "");
    capture_start(STDERR_FILENO);
    clock_ms++;
    log_warn("trouble", "source=%s because=%q retry_ms=%d", "shop", "it is down", 7);
    assert_string_equal(ends(), "warn trouble source=shop because=\"it is down\" retry_ms=7 repeated=6\n");
}

static void test_log__writes_what_differs_in_words_at_once(void **state)
{
    (void)state;
    log_warn("trouble", "because=%q", "it is down");
    log_warn("trouble", "because=%q", "it is up");
    log_error("trouble", "because=%q", "it is up");
    log_warn("lost", "because=%q", "it is up");
    log_warn("lost", "then=%q", "it is up");
    log_warn("a", "b=%s c=%s", "x", "yz");
    log_warn("a", "b=%s c=%s", "xy", "z");
    assert_string_equal(ends(), "warn trouble because=\"it is down\"\nwarn trouble because=\"it is up\"\nerror trouble because=\"it is up\"\n"
                                "warn lost because=\"it is up\"\nwarn lost then=\"it is up\"\nwarn a b=x c=yz\nwarn a b=xy c=z\n");
}

static void test_log__takes_the_number_of_a_partition_for_a_name(void **state)
{
    (void)state;
    log_warn("recover", "topic=%s partition=%d again_ms=%d", "t", 1, 5);
    log_warn("recover", "topic=%s partition=%d again_ms=%d", "t", 2, 6);
    log_warn("recover", "topic=%s partition=%d again_ms=%d", "t", 1, 7);
    assert_string_equal(ends(), "warn recover topic=t partition=1 again_ms=5\nwarn recover topic=t partition=2 again_ms=6\n");
}

static void test_log__tells_what_it_holds_with_the_next_line_that_comes(void **state)
{
    (void)state;
    log_warn("trouble", "in_ms=%d", 1);
    log_warn("trouble", "in_ms=%d", 2);
    log_warn("trouble", "in_ms=%d", 3);
    clock_ms += LOG_INTERVAL_MS;
    log_info("heartbeat", "rows=%d", 0);
    clock_ms += LOG_INTERVAL_MS;
    log_info("heartbeat", "rows=%d", 0);
    clock_ms += LOG_INTERVAL_MS;
    log_warn("trouble", "in_ms=%d", 4);
    assert_string_equal(ends(), "warn trouble in_ms=1\ninfo heartbeat rows=0\nwarn trouble in_ms=3 repeated=2\ninfo heartbeat rows=0\n"
                                "warn trouble in_ms=4\n");
}

static void test_log__loses_no_count_at_the_end(void **state)
{
    uint64_t before = log_count(LOG_WARN);

    (void)state;
    log_warn("trouble", "in_ms=%d", 1);
    log_warn("trouble", "in_ms=%d", 2);
    log_flush();
    log_flush();
    assert_string_equal(ends(), "warn trouble in_ms=1\nwarn trouble in_ms=2\n");
    assert_int_equal(log_count(LOG_WARN) - before, 2);
}

static void test_log__holds_nothing_back_that_is_no_warning(void **state)
{
    (void)state;
    log_info("joined", "members=%d", 1);
    log_info("joined", "members=%d", 1);
    assert_string_equal(ends(), "info joined members=1\ninfo joined members=1\n");
}

static void test_log__holds_nothing_back_at_debug(void **state)
{
    (void)state;
    log_setup(LOG_DEBUG, LOG_LOGFMT);
    log_warn("trouble", "in_ms=%d", 1);
    log_warn("trouble", "in_ms=%d", 1);
    assert_string_equal(ends(), "warn trouble in_ms=1\nwarn trouble in_ms=1\n");
}

static void test_log__says_a_count_in_json_too(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_JSON);
    for (int i = 0; i < 3; i++) {
        log_error("trouble", "in_ms=%d", i);
    }
    log_flush();
    assert_non_null(strstr(capture_end(STDERR_FILENO), ",\"level\":\"error\",\"event\":\"trouble\",\"in_ms\":2,\"repeated\":2}\n"));
}

static void test_log__forgets_no_kind_when_there_are_too_many(void **state)
{
    char name[16];
    int lines = 0;

    (void)state;
    for (int i = 0; i < LOG_REPEATS_KINDS_MAX + 1; i++) {
        (void)snprintf(name, sizeof name, "t%d", i);
        log_warn("trouble", "table=%s", name);
        log_warn("trouble", "table=%s", name);
        clock_ms++;
    }
    /* One line each, and the second one of the first kind, which had to make room. */
    for (const char *at = capture_end(STDERR_FILENO); (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    assert_int_equal(lines, LOG_REPEATS_KINDS_MAX + 2);
}

static void *warn_many(void *ignored)
{
    (void)ignored;
    for (int i = 0; i < 200; i++) {
        log_warn("trouble", "in_ms=%d", i);
    }
    return NULL;
}

static void test_log__loses_no_count_between_threads(void **state)
{
    uint64_t before = log_count(LOG_WARN);
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, warn_many, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    log_flush();
    assert_int_equal(log_count(LOG_WARN) - before, 800);
    assert_non_null(strstr(end(), " repeated=799\n"));
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
        cmocka_unit_test_setup(test_log__counts_warnings_that_differ_in_numbers_only, set_up),
        cmocka_unit_test_setup(test_log__writes_what_differs_in_words_at_once, set_up),
        cmocka_unit_test_setup(test_log__takes_the_number_of_a_partition_for_a_name, set_up),
        cmocka_unit_test_setup(test_log__tells_what_it_holds_with_the_next_line_that_comes, set_up),
        cmocka_unit_test_setup(test_log__loses_no_count_at_the_end, set_up),
        cmocka_unit_test_setup(test_log__holds_nothing_back_that_is_no_warning, set_up),
        cmocka_unit_test_setup(test_log__holds_nothing_back_at_debug, set_up),
        cmocka_unit_test_setup(test_log__loses_no_count_between_threads, set_up),
        cmocka_unit_test_setup(test_log__says_a_count_in_json_too, set_up),
        cmocka_unit_test_setup(test_log__forgets_no_kind_when_there_are_too_many, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
