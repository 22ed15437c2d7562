/* SPDX-License-Identifier: Apache-2.0 */
/* Reading beyond the end gives zeros, is remembered, and touches nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "producer/binlog/cursor.h"

static const uint8_t bytes[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x88};

static void test_cursor__reads_nothing_behind_its_end(void **state)
{
    struct cursor cursor = cursor_over(bytes, 3);

    (void)state;
    assert_int_equal(cursor_u16(&cursor), 0x0201);
    assert_int_equal(cursor_u16(&cursor), 0);
    assert_ptr_equal(cursor.why, CURSOR_SHORT);
    assert_int_equal(cursor_u8(&cursor), 0); /* though one byte would have been left */
    assert_int_equal(cursor_left(&cursor), 0);
    assert_null(cursor_bytes(&cursor, 0));
}

static void test_cursor__keeps_its_first_reason(void **state)
{
    struct cursor cursor = cursor_over(bytes, sizeof bytes);

    (void)state;
    cursor_fail(&cursor, "first");
    cursor_fail(&cursor, "second");
    cursor_skip(&cursor, 1);
    assert_string_equal(cursor.why, "first");
}

static void test_cursor__reads_both_byte_orders(void **state)
{
    struct cursor cursor = cursor_over(bytes, sizeof bytes);

    (void)state;
    assert_true(cursor_u64(&cursor) == UINT64_C(0x8807060504030201));
    cursor = cursor_over(bytes, sizeof bytes);
    assert_true(cursor_be(&cursor, 8) == UINT64_C(0x0102030405060788));
    cursor = cursor_over(bytes, sizeof bytes);
    assert_int_equal(cursor_be(&cursor, 3), 0x010203);
    assert_int_equal(cursor_le(&cursor, 3), 0x060504);
    assert_null(cursor.why);
}

static void assert_lenenc(const char *input, size_t size, uint64_t expected)
{
    struct cursor cursor = cursor_over((const uint8_t *)input, size);

    assert_true(cursor_lenenc(&cursor) == expected);
    assert_null(cursor.why);
    assert_int_equal(cursor_left(&cursor), 0);
}

static void test_cursor__reads_lengths_of_every_size(void **state)
{
    struct cursor cursor;

    (void)state;
    assert_lenenc("\x00", 1, 0);
    assert_lenenc("\xfa", 1, 250);
    assert_lenenc("\xfc\xff\x00", 3, 255);
    assert_lenenc("\xfd\x01\x02\x03", 4, 0x030201);
    assert_lenenc("\xfe\x01\x02\x03\x04\x05\x06\x07\x08", 9, UINT64_C(0x0807060504030201));
    cursor = cursor_over((const uint8_t *)"\xfb\x01", 2);
    assert_int_equal(cursor_lenenc(&cursor), 0);
    assert_non_null(cursor.why);
    cursor = cursor_over((const uint8_t *)"\xfe\x01", 2);
    assert_int_equal(cursor_lenenc(&cursor), 0);
    assert_ptr_equal(cursor.why, CURSOR_SHORT);
}

static void test_cursor__gives_no_part_larger_than_itself(void **state)
{
    struct cursor cursor = cursor_over(bytes, sizeof bytes);
    struct cursor part = cursor_part(&cursor, 4);

    (void)state;
    assert_int_equal(cursor_u32(&part), 0x04030201);
    assert_int_equal(cursor_u8(&part), 0);
    assert_null(cursor.why);
    part = cursor_part(&cursor, UINT64_MAX);
    assert_ptr_equal(part.why, CURSOR_SHORT);
    assert_ptr_equal(cursor.why, CURSOR_SHORT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cursor__reads_nothing_behind_its_end),
        cmocka_unit_test(test_cursor__keeps_its_first_reason),
        cmocka_unit_test(test_cursor__reads_both_byte_orders),
        cmocka_unit_test(test_cursor__reads_lengths_of_every_size),
        cmocka_unit_test(test_cursor__gives_no_part_larger_than_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
