/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle for many digits is the text itself: digits in, bytes, digits out. Known byte forms pin the two's complement. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/decimal.h"

static void assert_bytes(const char *digits, bool negative, const char *expected, size_t expected_size)
{
    uint8_t bytes[DECIMAL_BYTES_MAX];

    assert_int_equal(decimal_from_digits(digits, strlen(digits), negative, bytes), expected_size);
    assert_memory_equal(bytes, expected, expected_size);
}

static void assert_text(const char *digits, bool negative, unsigned scale, const char *expected)
{
    uint8_t bytes[DECIMAL_BYTES_MAX];
    char text[DECIMAL_TEXT_MAX];
    struct err err;

    assert_int_equal(decimal_to_text(bytes, decimal_from_digits(digits, strlen(digits), negative, bytes), scale, text, &err),
                     0);
    assert_string_equal(text, expected);
}

static void test_decimal__refuses_sizes_and_scales_that_no_decimal_has(void **state)
{
    const uint8_t bytes[DECIMAL_BYTES_MAX + 1] = {1};
    char text[DECIMAL_TEXT_MAX];
    uint64_t value;
    struct err err;

    (void)state;
    assert_int_equal(decimal_to_text(bytes, 0, 0, text, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
    assert_int_equal(decimal_to_text(bytes, DECIMAL_BYTES_MAX + 1, 0, text, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
    assert_int_equal(decimal_to_text(bytes, 1, DECIMAL_DIGITS_MAX + 1, text, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
    assert_int_equal(decimal_to_u64(bytes, 0, &value, &err), -1);
    assert_int_equal(decimal_to_u64(bytes, DECIMAL_BYTES_MAX + 1, &value, &err), -1);
}

static void test_decimal__u64_refuses_what_is_negative_or_too_large(void **state)
{
    uint64_t value;
    struct err err;

    (void)state;
    assert_int_equal(decimal_to_u64((const uint8_t *)"\xff", 1, &value, &err), -1);
    assert_int_equal(decimal_to_u64((const uint8_t *)"\x01\0\0\0\0\0\0\0\0", 9, &value, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
}

static void test_decimal__bytes_are_the_shortest_twos_complement(void **state)
{
    (void)state;
    assert_bytes("", false, "\0", 1);
    assert_bytes("0", false, "\0", 1);
    assert_bytes("0", true, "\0", 1);
    assert_bytes("000", true, "\0", 1);
    assert_bytes("127", false, "\x7f", 1);
    assert_bytes("128", false, "\0\x80", 2);
    assert_bytes("128", true, "\x80", 1);
    assert_bytes("129", true, "\xff\x7f", 2);
    assert_bytes("1", true, "\xff", 1);
    assert_bytes("256", true, "\xff\0", 2);
    assert_bytes("32768", true, "\x80\0", 2);
    assert_bytes("1000000000", false, "\x3b\x9a\xca\0", 4);
    assert_bytes("18446744073709551615", false, "\0\xff\xff\xff\xff\xff\xff\xff\xff", 9);
    assert_bytes("9223372036854775808", true, "\x80\0\0\0\0\0\0\0", 8);
}

static void test_decimal__text_keeps_the_scale(void **state)
{
    (void)state;
    assert_text("0", false, 0, "0");
    assert_text("0", true, 2, "0.00");
    assert_text("5", true, 2, "-0.05");
    assert_text("1234500", true, 4, "-123.4500");
    assert_text("100", false, 0, "100");
    assert_text("1", false, 30, "0.000000000000000000000000000001");
    assert_text("1000000000000000000", false, 9, "1000000000.000000000");
}

static void test_decimal__sixty_five_digits_stay_exact(void **state)
{
    const char *nines = "99999999999999999999999999999999999999999999999999999999999999999";

    (void)state;
    assert_text(nines, false, 0, nines);
    assert_text(nines, true, 30, "-99999999999999999999999999999999999.999999999999999999999999999999");
}

static void test_decimal__largest_bytes_fit_the_text(void **state)
{
    uint8_t bytes[DECIMAL_BYTES_MAX] = {0x80};
    char text[DECIMAL_TEXT_MAX];
    struct err err;

    (void)state;
    assert_int_equal(decimal_to_text(bytes, sizeof bytes, 1, text, &err), 0);
    assert_string_equal(text, "-1347997333357531989733350754350981533681857221127028624055180512460.8"); /* -(2^223) */
}

static void test_decimal__random_digits_read_back(void **state)
{
    (void)state;
    srandom(1);
    for (int round = 0; round < 20000; round++) {
        size_t digit_count = 1 + (size_t)random() % DECIMAL_DIGITS_MAX;
        char digits[DECIMAL_DIGITS_MAX + 1];
        char expected[DECIMAL_TEXT_MAX];
        bool negative = random() % 2;

        for (size_t i = 0; i < digit_count; i++) {
            digits[i] = (char)('0' + (i == 0 ? 1 + random() % 9 : random() % 10));
        }
        digits[digit_count] = '\0';
        (void)snprintf(expected, sizeof expected, "%s%s", negative ? "-" : "", digits);
        assert_text(digits, negative, 0, expected);
    }
}

static void test_decimal__u64_reads_back(void **state)
{
    const uint64_t values[] = {0, 1, 127, 128, 255, 256, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        uint8_t bytes[DECIMAL_BYTES_MAX];
        uint64_t value;
        struct err err;

        assert_int_equal(decimal_to_u64(bytes, decimal_from_u64(values[i], bytes), &value, &err), 0);
        assert_true(value == values[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decimal__refuses_sizes_and_scales_that_no_decimal_has),
        cmocka_unit_test(test_decimal__u64_refuses_what_is_negative_or_too_large),
        cmocka_unit_test(test_decimal__bytes_are_the_shortest_twos_complement),
        cmocka_unit_test(test_decimal__text_keeps_the_scale),
        cmocka_unit_test(test_decimal__sixty_five_digits_stay_exact),
        cmocka_unit_test(test_decimal__largest_bytes_fit_the_text),
        cmocka_unit_test(test_decimal__random_digits_read_back),
        cmocka_unit_test(test_decimal__u64_reads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
