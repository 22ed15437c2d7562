/* SPDX-License-Identifier: Apache-2.0 */
/* Well-formed documents of every type are compared with MySQL's own text in stream_test (table documents). Here: bytes that no
 * server writes, and the shapes that are easy to count by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "producer/binlog/jsonb.h"

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static void assert_prints(const uint8_t *bytes, size_t size, const char *expected)
{
    struct buffer out = {0};
    const char *why = jsonb_print(bytes, size, &out);

    if (why != NULL) {
        fail_msg("%s", why);
    }
    assert_string_equal(buffer_text(&out), expected);
    buffer_deinit(&out);
}

static void assert_refuses(const uint8_t *bytes, size_t size, const char *expected)
{
    struct buffer out = {0};
    const char *why = jsonb_print(bytes, size, &out);

    assert_non_null(why);
    assert_non_null(strstr(why, expected));
    buffer_deinit(&out);
}

static void test_jsonb__refuses_what_points_outside(void **state)
{
    (void)state;
    assert_refuses(NULL, 0, "too early");
    assert_refuses(BYTES(12), "outside");
    assert_refuses(BYTES(12, 5, 'a'), "outside");
    assert_refuses(BYTES(12, 0xff, 0xff, 0xff, 0xff, 0xff, 1), "outside");
    assert_refuses(BYTES(2, 1, 0, 99, 0, 5, 1, 0), "larger than its document");
    assert_refuses(BYTES(2, 1, 0, 7, 0, 12, 90, 0), "outside");
    assert_refuses(BYTES(2, 9, 0, 7, 0, 5, 1, 0), "more elements than bytes");
    assert_refuses(BYTES(0, 1, 0, 11, 0, 50, 0, 1, 0, 4, 0, 0), "key");
    assert_refuses(BYTES(15, 246, 2, 70, 2, 0), "DECIMAL");
    assert_refuses(BYTES(15, 12, 3, 1, 2, 3), "too early");
    assert_refuses(BYTES(4, 3), "literal");
    assert_refuses(BYTES(13, 1), "unknown type");
    assert_refuses(BYTES(12, 1, 0xff), "not UTF-8");
    assert_refuses(BYTES(11, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f), "not finite");
}

/* An array whose element is itself. */
static void test_jsonb__ends_where_a_document_points_at_itself(void **state)
{
    (void)state;
    assert_refuses(BYTES(2, 1, 0, 7, 0, 2, 0, 0), "nested more deeply");
    assert_refuses(BYTES(2, 3, 0, 13, 0, 2, 0, 0, 2, 0, 0, 2, 0, 0), "JSON: ");
}

/* Twenty elements share one long text: more output than a real document of that size can have. */
static void test_jsonb__bounds_the_text_of_shared_parts(void **state)
{
    uint8_t bytes[1 + 4 + 60 + 2 + 1000] = {2, 20, 0};
    size_t text_at = 4 + 60;

    (void)state;
    bytes[3] = (uint8_t)(sizeof bytes - 1);
    bytes[4] = (uint8_t)((sizeof bytes - 1) >> 8);
    for (size_t i = 0; i < 20; i++) {
        bytes[5 + 3 * i] = 12;
        bytes[6 + 3 * i] = (uint8_t)text_at;
    }
    bytes[1 + text_at] = 0xe8; /* 1000 */
    bytes[2 + text_at] = 0x07;
    memset(bytes + 3 + text_at, 'x', 1000);
    assert_refuses(bytes, sizeof bytes, "more than once");
}

static void test_jsonb__prints_as_mysql_does(void **state)
{
    (void)state;
    assert_prints(BYTES(4, 0), "null");
    assert_prints(BYTES(5, 0xff, 0xff), "-1");
    assert_prints(BYTES(6, 0xff, 0xff), "65535");
    assert_prints(BYTES(2, 0, 0, 4, 0), "[]");
    assert_prints(BYTES(0, 0, 0, 4, 0), "{}");
    assert_prints(BYTES(2, 2, 0, 10, 0, 5, 1, 0, 4, 1, 0), "[1, true]");
    assert_prints(BYTES(0, 1, 0, 12, 0, 11, 0, 1, 0, 5, 7, 0, 'a'), "{\"a\": 7}");
    assert_prints(BYTES(12, 4, 'a', '"', '\\', 7), "\"a\\\"\\\\\\u0007\"");
    assert_prints(BYTES(11, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f), "1.0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jsonb__refuses_what_points_outside),
        cmocka_unit_test(test_jsonb__ends_where_a_document_points_at_itself),
        cmocka_unit_test(test_jsonb__bounds_the_text_of_shared_parts),
        cmocka_unit_test(test_jsonb__prints_as_mysql_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
