/* SPDX-License-Identifier: Apache-2.0 */
/* The ten bytes, byte by byte, and everything that is not them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/framing.h"

static const uint8_t frame[] = {0xc3, 0x01, 0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01};

static void assert_refused(const uint8_t *bytes, size_t size)
{
    uint64_t schema_id;
    size_t frame_size;
    struct err err = {0};

    assert_int_equal(framing_read(FRAMING_SINGLE_OBJECT, bytes, size, &schema_id, &frame_size, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
}

static void test_framing__refuses_every_shorter_size(void **state)
{
    (void)state;
    assert_refused(NULL, 0);
    for (size_t size = 0; size < sizeof frame; size++) {
        assert_refused(frame, size);
    }
}

static void test_framing__refuses_another_marker(void **state)
{
    uint8_t other[sizeof frame] = {0xc3, 0x02};
    uint8_t registry[sizeof frame] = {0};

    (void)state;
    assert_refused(other, sizeof other);
    assert_refused(registry, sizeof registry);
}

static void test_framing__id_is_little_endian_behind_the_marker(void **state)
{
    struct buffer out = {0};
    uint64_t schema_id = 0;
    size_t size = 0;
    struct err err;

    (void)state;
    framing_write(&out, FRAMING_SINGLE_OBJECT, UINT64_C(0x0102030405060708));
    assert_int_equal(out.size, sizeof frame);
    assert_memory_equal(out.bytes, frame, sizeof frame);
    assert_int_equal(framing_read(FRAMING_SINGLE_OBJECT, frame, sizeof frame, &schema_id, &size, &err), 0);
    assert_true(schema_id == UINT64_C(0x0102030405060708));
    assert_int_equal(size, sizeof frame);
    buffer_deinit(&out);
}

static void test_framing__key_text_is_sixteen_hex_digits(void **state)
{
    char text[FRAMING_KEY_TEXT_SIZE];

    (void)state;
    framing_key_text(UINT64_C(0xab), text);
    assert_string_equal(text, "00000000000000ab");
    framing_key_text(UINT64_MAX, text);
    assert_string_equal(text, "ffffffffffffffff");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_framing__refuses_every_shorter_size),
        cmocka_unit_test(test_framing__refuses_another_marker),
        cmocka_unit_test(test_framing__id_is_little_endian_behind_the_marker),
        cmocka_unit_test(test_framing__key_text_is_sixteen_hex_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
