/* SPDX-License-Identifier: Apache-2.0 */
/* What a server logs is compared with the server's own documents in stream_test (partial.sql). Here: diffs that do not fit, and
 * bytes that no server writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "producer/binlog/jsonb_diff.h"

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

/* {"a": 1, "b": [2, 3]} */
static const uint8_t document[] = {0, 2,   0,   34, 0, 18, 0, 1, 0, 19, 0, 1, 0, 5, 1, 0, 2, 20,
                                   0, 'a', 'b', 2,  0, 10, 0, 5, 2, 0,  5, 3, 0, 0, 0, 0, 0};

/* A diff: operation, path, and where there is one the number as value. */
static void append_diff(struct buffer *diffs, uint8_t operation, const char *path, int number)
{
    uint8_t value[] = {3, 5, (uint8_t)number, 0};

    buffer_append_byte(diffs, operation);
    buffer_append_byte(diffs, (uint8_t)strlen(path));
    buffer_append_text(diffs, path);
    if (operation != 2) {
        buffer_append(diffs, value, sizeof value);
    }
}

static void assert_after(uint8_t operation, const char *path, const char *expected)
{
    struct buffer diffs = {0};
    struct buffer out = {0};
    const char *why;

    append_diff(&diffs, operation, path, 9);
    why = jsonb_diff_print(document, sizeof document, diffs.bytes, diffs.size, &out);
    if (strcmp(why != NULL ? why : buffer_text(&out), expected) != 0) {
        fail_msg("%u %s: %s", operation, path, why != NULL ? why : buffer_text(&out));
    }
    buffer_deinit(&out);
    buffer_deinit(&diffs);
}

static void test_jsonb_diff__does_what_the_operation_says(void **state)
{
    (void)state;
    assert_after(0, "$.a", "{\"a\": 9, \"b\": [2, 3]}");
    assert_after(0, "$.b[1]", "{\"a\": 1, \"b\": [2, 9]}");
    assert_after(0, "$.b[last-1]", "{\"a\": 1, \"b\": [9, 3]}");
    assert_after(1, "$.aa", "{\"a\": 1, \"b\": [2, 3], \"aa\": 9}");
    assert_after(1, "$.\"\"", "{\"\": 9, \"a\": 1, \"b\": [2, 3]}");
    assert_after(1, "$.\"\\u00e9\\ud83d\\ude00\\n\"", "{\"a\": 1, \"b\": [2, 3], \"\xc3\xa9\xf0\x9f\x98\x80\\n\": 9}");
    assert_after(1, "$.b[0]", "{\"a\": 1, \"b\": [9, 2, 3]}");
    assert_after(1, "$.b[77]", "{\"a\": 1, \"b\": [2, 3, 9]}");
    assert_after(1, "$.b[last-77]", "{\"a\": 1, \"b\": [9, 2, 3]}");
    assert_after(2, "$.b", "{\"a\": 1}");
    assert_after(2, "$.b[0]", "{\"a\": 1, \"b\": [3]}");
}

/* P1: then this is not the document that the server had. */
static void test_jsonb_diff__refuses_what_does_not_fit(void **state)
{
    static const struct {
        uint8_t operation;
        const char *path;
    } misfits[] = {{0, "$.c"}, {0, "$.b[2]"}, {0, "$.b[last-2]"}, {0, "$[0]"},  {0, "$.b.a"}, {0, "$.a[0]"}, {0, "$.a.b.c"},
                   {1, "$.a"}, {1, "$[0]"},   {1, "$.b.x"},       {1, "$.c.d"}, {2, "$.c"},   {2, "$.b[2]"}, {2, "$.b.a"}};

    (void)state;
    for (size_t i = 0; i < sizeof misfits / sizeof misfits[0]; i++) {
        assert_after(misfits[i].operation, misfits[i].path, "JSON: a partial update does not fit the document before it");
    }
}

static void test_jsonb_diff__refuses_paths_that_are_none(void **state)
{
    static const char *const paths[] = {"",
                                        "a",
                                        "$",
                                        "$.",
                                        "$.*",
                                        "$[*]",
                                        "$**.a",
                                        "$.b[",
                                        "$.b[1",
                                        "$.b[]",
                                        "$.b[-1]",
                                        "$.b[last-",
                                        "$.b[1 to 2]",
                                        "$.\"a",
                                        "$.\"\\x\"",
                                        "$.\"\\u12\"",
                                        "$.\"\\udc00\"",
                                        "$.b[99999999999999999999]"};

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_after(0, paths[i], "JSON: a path that none is");
    }
}

static void refuse_bytes(const uint8_t *diffs, size_t size)
{
    struct buffer out = {0};

    assert_non_null(jsonb_diff_print(document, sizeof document, diffs, size, &out));
    buffer_deinit(&out);
}

static void test_jsonb_diff__refuses_bytes_that_are_cut_off(void **state)
{
    (void)state;
    refuse_bytes(BYTES(3, 3, '$', '.', 'a', 3, 5, 1, 0));
    refuse_bytes(BYTES(0));
    refuse_bytes(BYTES(0, 3, '$', '.'));
    refuse_bytes(BYTES(0, 3, '$', '.', 'a'));
    refuse_bytes(BYTES(0, 3, '$', '.', 'a', 0));
    refuse_bytes(BYTES(0, 3, '$', '.', 'a', 3, 5, 1));
    refuse_bytes(BYTES(0, 3, '$', '.', 'a', 2, 5, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jsonb_diff__does_what_the_operation_says),
        cmocka_unit_test(test_jsonb_diff__refuses_what_does_not_fit),
        cmocka_unit_test(test_jsonb_diff__refuses_paths_that_are_none),
        cmocka_unit_test(test_jsonb_diff__refuses_bytes_that_are_cut_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
