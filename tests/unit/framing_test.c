/* SPDX-License-Identifier: Apache-2.0 */
/* The ten bytes and the five, byte by byte, and everything that is neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/framing.h"

static const uint8_t single_object[] = {0xc3, 0x01, 0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01};
static const uint8_t of_registry[] = {0x00, 0x01, 0x02, 0x03, 0x04};

static void assert_refused(const uint8_t *bytes, size_t size)
{
    struct frame frame;
    size_t frame_size;
    struct err err = {0};

    assert_int_equal(framing_read(bytes, size, &frame, &frame_size, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
}

static void test_framing__refuses_every_shorter_size(void **state)
{
    (void)state;
    assert_refused(NULL, 0);
    for (size_t size = 0; size < sizeof single_object; size++) {
        assert_refused(single_object, size);
    }
    for (size_t size = 0; size < sizeof of_registry; size++) {
        assert_refused(of_registry, size);
    }
}

static void test_framing__refuses_another_marker(void **state)
{
    uint8_t other[sizeof single_object] = {0};

    (void)state;
    for (int first = 1; first < 256; first++) {
        other[0] = (uint8_t)first;
        assert_refused(other, sizeof other); /* C3 among them: 01 does not follow */
    }
}

static void assert_frame(enum framing framing, uint64_t schema_id, const uint8_t *bytes, size_t bytes_size)
{
    struct buffer out = {0};
    struct frame frame;
    size_t size = 0;
    struct err err;

    framing_write(&out, framing, schema_id);
    assert_int_equal(out.size, bytes_size);
    assert_memory_equal(out.bytes, bytes, bytes_size);
    assert_int_equal(framing_read(bytes, bytes_size, &frame, &size, &err), 0);
    assert_int_equal(frame.framing, framing);
    assert_true(frame.schema_id == schema_id);
    assert_int_equal(size, bytes_size);
    buffer_deinit(&out);
}

static void test_framing__fingerprint_is_little_endian_behind_the_marker(void **state)
{
    (void)state;
    assert_frame(FRAMING_SINGLE_OBJECT, UINT64_C(0x0102030405060708), single_object, sizeof single_object);
}

static void test_framing__id_of_a_registry_is_big_endian_behind_a_zero(void **state)
{
    static const uint8_t largest[] = {0x00, 0xff, 0xff, 0xff, 0xff};

    (void)state;
    assert_frame(FRAMING_REGISTRY, 0x01020304, of_registry, sizeof of_registry);
    assert_frame(FRAMING_REGISTRY, UINT32_MAX, largest, sizeof largest);
}

static void assert_text(enum framing framing, uint64_t schema_id, const char *expected)
{
    const struct frame frame = {framing, schema_id};
    char text[FRAMING_ID_TEXT_SIZE];

    framing_id_text(&frame, text);
    assert_string_equal(text, expected);
}

static void test_framing__id_reads_as_hex_digits_or_as_the_registrys_number(void **state)
{
    (void)state;
    assert_text(FRAMING_SINGLE_OBJECT, UINT64_C(0xab), "00000000000000ab");
    assert_text(FRAMING_SINGLE_OBJECT, UINT64_MAX, "ffffffffffffffff");
    assert_text(FRAMING_REGISTRY, 171, "171");
    assert_text(FRAMING_REGISTRY, UINT32_MAX, "4294967295");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_framing__refuses_every_shorter_size),
        cmocka_unit_test(test_framing__refuses_another_marker),
        cmocka_unit_test(test_framing__fingerprint_is_little_endian_behind_the_marker),
        cmocka_unit_test(test_framing__id_of_a_registry_is_big_endian_behind_a_zero),
        cmocka_unit_test(test_framing__id_reads_as_hex_digits_or_as_the_registrys_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
