/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that grow: nothing is lost by a move, nothing is freed twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buffer.h"

static void test_buffer__that_is_empty_needs_no_memory(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    buffer_append(&buffer, NULL, 0);
    buffer_drop(&buffer, 0);
    assert_null(buffer.bytes);
    buffer_deinit(&buffer);
    buffer_deinit(&buffer); /* twice is harmless */
}

static void test_buffer__does_not_count_the_nul(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    assert_string_equal(buffer_text(&buffer), "");
    assert_int_equal(buffer.size, 0);
    buffer_append_text(&buffer, "ab");
    assert_string_equal(buffer_text(&buffer), "ab");
    buffer_append_byte(&buffer, 'c');
    assert_string_equal(buffer_text(&buffer), "abc");
    assert_int_equal(buffer.size, 3);
    buffer_deinit(&buffer);
}

static void test_buffer__keeps_its_bytes_when_it_grows(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    for (unsigned index = 0; index < 100000; index++) {
        buffer_append_byte(&buffer, (uint8_t)index);
    }
    for (unsigned index = 0; index < 100000; index++) {
        assert_int_equal(buffer.bytes[index], (uint8_t)index);
    }
    buffer_deinit(&buffer);
}

static void test_buffer__prints_any_length(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    buffer_append_text(&buffer, "x");
    buffer_printf(&buffer, "%01000d", 7);
    buffer_printf(&buffer, "%s", "");
    assert_int_equal(buffer.size, 1001);
    assert_int_equal(buffer.bytes[1], '0');
    assert_int_equal(buffer.bytes[1000], '7');
    buffer_deinit(&buffer);
}

static void test_buffer__reserves_without_counting(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    buffer_append_text(&buffer, "ab");
    memcpy(buffer_reserve(&buffer, 1000), "cd", 2);
    assert_int_equal(buffer.size, 2);
    buffer.size += 2;
    assert_string_equal(buffer_text(&buffer), "abcd");
    buffer_deinit(&buffer);
}

static void test_buffer__drops_at_the_front_only(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    buffer_append_text(&buffer, "abcdef");
    buffer_drop(&buffer, 4);
    assert_string_equal(buffer_text(&buffer), "ef");
    buffer_drop(&buffer, 2);
    assert_int_equal(buffer.size, 0);
    buffer_append_text(&buffer, "g");
    buffer_clear(&buffer);
    assert_int_equal(buffer.size, 0);
    assert_non_null(buffer.bytes); /* the memory stays */
    buffer_deinit(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffer__that_is_empty_needs_no_memory), cmocka_unit_test(test_buffer__does_not_count_the_nul),
        cmocka_unit_test(test_buffer__keeps_its_bytes_when_it_grows), cmocka_unit_test(test_buffer__prints_any_length),
        cmocka_unit_test(test_buffer__reserves_without_counting),     cmocka_unit_test(test_buffer__drops_at_the_front_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
