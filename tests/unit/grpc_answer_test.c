/* SPDX-License-Identifier: Apache-2.0 */
/* Headers, messages and trailers of a server into one status; the rest of it is tested over a connection in grpc_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workers/bigquery/grpc_answer.h"
#include "workers/bigquery/http2.h"

static void on_message(void *context, const uint8_t *message, size_t size)
{
    (void)message;
    *(size_t *)context += size + 1000000; /* a million a message, one a byte */
}

static void header(struct grpc_answer *answer, const char *name, const char *value)
{
    grpc_answer_header(answer, name, value, strlen(value));
}

static void begin(struct grpc_answer *answer, size_t *seen)
{
    *seen = 0;
    grpc_answer_init(answer, on_message, seen);
    header(answer, ":status", "200");
    header(answer, "content-type", "application/grpc+proto");
}

/* The status after this trailer. */
static struct grpc_status end_with(struct grpc_answer *answer, const char *name, const char *value)
{
    struct grpc_status status;

    header(answer, "grpc-status", "3");
    header(answer, name, value);
    grpc_answer_end(answer);
    grpc_answer_status(answer, &status);
    return status;
}

static void test_grpc_answer__texts_are_percent_decoded(void **state)
{
    static const char *const cases[][2] = {
        {"plain", "plain"}, {"a%20b", "a b"},   {"%E2%82%ac", "\xe2\x82\xac"}, {"100%", "100%"},
        {"%4", "%4"},       {"%zz%41", "%zzA"}, {"%25%32%35", "%25"},          {"%00end", "?end"},
        {"%%41", "%A"},     {"", ""},
    };

    (void)state;
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        struct grpc_answer answer;
        size_t seen;

        begin(&answer, &seen);
        assert_string_equal(end_with(&answer, "grpc-message", cases[at][0]).message, cases[at][1]);
        grpc_answer_deinit(&answer);
    }
}

static void test_grpc_answer__long_texts_are_cut(void **state)
{
    char *text = calloc(1, 60001);
    struct grpc_answer answer;
    size_t seen;

    (void)state;
    memset(text, 'x', 60000);
    begin(&answer, &seen);
    assert_int_equal(strlen(end_with(&answer, "grpc-message", text).message), GRPC_STATUS_TEXT_BYTES_MAX);
    grpc_answer_deinit(&answer);
    free(text);
}

static void test_grpc_answer__details_are_base64_with_and_without_padding(void **state)
{
    static const struct {
        const char *text;
        const char *bytes;
        size_t size;
    } cases[] = {
        {"AQ==", "\1", 1}, {"AQ", "\1", 1}, {"AQI=", "\1\2", 2}, {"AQI", "\1\2", 2}, {"AQID", "\1\2\3", 3}, {"", "", 0},
        {"A", "", 0},      {"A===", "", 0}, {"====", "", 0},     {"AQ*D", "", 0},    {"=AQI", "", 0},       {"AQI=AQI=", "", 0},
    };

    (void)state;
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        struct grpc_answer answer;
        struct grpc_status status;
        size_t seen;

        begin(&answer, &seen);
        status = end_with(&answer, "grpc-status-details-bin", cases[at].text);
        assert_int_equal(status.details_size, cases[at].size);
        assert_int_equal(status.details == NULL, cases[at].size == 0);
        if (cases[at].size > 0) {
            assert_memory_equal(status.details, cases[at].bytes, cases[at].size);
        }
        grpc_answer_deinit(&answer);
    }
}

static void test_grpc_answer__statuses_that_are_no_code_are_unknown_and_never_ok(void **state)
{
    static const char *const texts[] = {"17", "99", "", "-1", "0x0", "0 ", "1234", "OK"};

    (void)state;
    for (size_t at = 0; at < sizeof texts / sizeof *texts; at++) {
        struct grpc_answer answer;
        struct grpc_status status;
        size_t seen;

        begin(&answer, &seen);
        header(&answer, "grpc-status", texts[at]);
        grpc_answer_end(&answer);
        grpc_answer_status(&answer, &status);
        assert_int_equal(status.code, GRPC_UNKNOWN);
        grpc_answer_deinit(&answer);
    }
}

static void test_grpc_answer__end_without_a_status_is_not_ok(void **state)
{
    struct grpc_answer answer;
    struct grpc_status status;
    size_t seen;

    (void)state;
    begin(&answer, &seen);
    grpc_answer_data(&answer, (const uint8_t *)"\0\0\0\0\1x", 6);
    grpc_answer_end(&answer);
    grpc_answer_status(&answer, &status);
    assert_int_equal(status.code, GRPC_UNKNOWN);
    assert_false(status.server);
    assert_int_equal(seen, 1000001);
    grpc_answer_deinit(&answer);
}

static void test_grpc_answer__first_reason_stays(void **state)
{
    struct grpc_answer answer;
    struct grpc_status status;
    size_t seen;

    (void)state;
    begin(&answer, &seen);
    grpc_answer_data(&answer, (const uint8_t *)"\7", 1);
    grpc_answer_data(&answer, (const uint8_t *)"\0\0\0\0", 4);
    assert_true(grpc_answer_settled(&answer));
    header(&answer, "grpc-status", "0");
    grpc_answer_end(&answer);
    grpc_answer_reset(&answer, HTTP2_CANCEL);
    grpc_answer_settle(&answer, GRPC_CANCELLED, "canceled");
    grpc_answer_status(&answer, &status);
    assert_int_equal(status.code, GRPC_INTERNAL);
    grpc_answer_deinit(&answer);
}

static void test_grpc_answer__messages_may_come_in_any_pieces(void **state)
{
    static const uint8_t bytes[] = "\0\0\0\0\3abc\0\0\0\0\0\0\0\0\0\1d";
    size_t size = sizeof bytes - 1;

    (void)state;
    for (size_t piece = 1; piece <= size; piece++) {
        struct grpc_answer answer;
        struct grpc_status status;
        size_t seen;

        begin(&answer, &seen);
        for (size_t at = 0; at < size; at += piece) {
            grpc_answer_data(&answer, bytes + at, piece < size - at ? piece : size - at);
        }
        header(&answer, "grpc-status", "0");
        grpc_answer_end(&answer);
        grpc_answer_status(&answer, &status);
        assert_int_equal(status.code, GRPC_OK);
        assert_int_equal(seen, 3000004);
        grpc_answer_deinit(&answer);
    }
}

static void test_grpc_answer__what_does_not_get_smaller_is_not_compressed(void **state)
{
    static const uint8_t text[] = "row after row after row after row after row after row after row after row after row";
    uint8_t noise[64];
    struct buffer out = {0};

    (void)state;
    srand(7);
    for (size_t at = 0; at < sizeof noise; at++) {
        noise[at] = (uint8_t)rand();
    }
    assert_false(grpc_message_deflate(noise, sizeof noise, &out));
    assert_false(grpc_message_deflate(noise, 1, &out));
    assert_false(grpc_message_deflate(noise, 0, &out));
    assert_true(grpc_message_deflate(text, sizeof text, &out));
    assert_true(out.size < sizeof text);
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grpc_answer__texts_are_percent_decoded),
        cmocka_unit_test(test_grpc_answer__long_texts_are_cut),
        cmocka_unit_test(test_grpc_answer__details_are_base64_with_and_without_padding),
        cmocka_unit_test(test_grpc_answer__statuses_that_are_no_code_are_unknown_and_never_ok),
        cmocka_unit_test(test_grpc_answer__end_without_a_status_is_not_ok),
        cmocka_unit_test(test_grpc_answer__first_reason_stays),
        cmocka_unit_test(test_grpc_answer__messages_may_come_in_any_pieces),
        cmocka_unit_test(test_grpc_answer__what_does_not_get_smaller_is_not_compressed),
    };

    return cmocka_run_group_tests_name("grpc_answer", tests, NULL, NULL);
}
