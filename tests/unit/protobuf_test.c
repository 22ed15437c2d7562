/* SPDX-License-Identifier: Apache-2.0 */
/* The examples of protobuf's encoding document, then what must not get through: whatever the bytes, the reader stays inside of
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "workers/bigquery/protobuf.h"

/* Walks the bytes in memory of exactly their size, so that one read behind them is found. Returns how many fields there were;
 * *ret_bad: what was wrong, or NULL. */
static size_t walk(const void *bytes, size_t size, const char **ret_bad)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);
    struct protobuf_reader reader;
    struct protobuf_field field;
    size_t count = 0;

    assert_non_null(exact);
    memcpy(exact, bytes, size);
    reader = protobuf_read(exact, size);
    while (protobuf_next(&reader, &field)) {
        count++;
    }
    assert_false(protobuf_next(&reader, &field)); /* it stays at its end */
    *ret_bad = reader.bad;
    free(exact);
    return count;
}

static void check_bad(const char *bytes, size_t size, const char *why)
{
    const char *bad;

    (void)walk(bytes, size, &bad);
    assert_non_null(bad);
    assert_string_equal(bad, why);
}

#define CHECK_BAD(bytes, why) check_bad(bytes, sizeof(bytes) - 1, why)

static void test_protobuf__refuses_what_is_no_message(void **state)
{
    (void)state;
    CHECK_BAD("\x08", "the bytes end inside a number");
    CHECK_BAD("\x08\xff", "the bytes end inside a number");
    CHECK_BAD("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", "a number of more than 64 bits");
    CHECK_BAD("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a number of more than 64 bits");
    CHECK_BAD("\x12\x03"
              "ab",
              "a field is longer than its message");
    CHECK_BAD("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a field is longer than its message");
    CHECK_BAD("\x09\x01\x02\x03\x04\x05\x06\x07", "the bytes end inside a number");
    CHECK_BAD("\x0d\x01\x02\x03", "the bytes end inside a number");
    CHECK_BAD("\x02\x00", "a field number that can't be");
    CHECK_BAD("\x80\x80\x80\x80\x80\x01\x00", "a field number that can't be");
    CHECK_BAD("\x0e\x00", "a wire type that can't be");
    CHECK_BAD("\x0f\x00", "a wire type that can't be");
}

static void test_protobuf__refuses_groups_that_do_not_end_or_are_too_deep(void **state)
{
    char deep[200];
    const char *bad;

    (void)state;
    CHECK_BAD("\x0c", "a wire type that can't be"); /* ends what never began */
    CHECK_BAD("\x0b", "the bytes end inside a number");
    CHECK_BAD("\x0b\x08\x01", "the bytes end inside a number");
    CHECK_BAD("\x0b\x14", "a group that ends as another");
    CHECK_BAD("\x0b\x12\x05\x0c", "a field is longer than its message");
    memset(deep, 0x0b, 100);
    memset(deep + 100, 0x0c, 100);
    check_bad(deep, sizeof deep, "groups too deep in one another");
    assert_int_equal(walk(deep + 68, 64, &bad), 0); /* 32 deep */
    assert_null(bad);
}

static void test_protobuf__passes_over_groups(void **state)
{
    static const char bytes[] = "\x0b\x08\x01\x13\x1a\x01\x0c\x14\x0c"
                                "\x10\x07"; /* group 1 {1: 1, group 2 {3: "\x0c"}}, then 2: 7 */
    struct protobuf_reader reader = protobuf_read(bytes, sizeof bytes - 1);
    struct protobuf_field field;

    (void)state;
    assert_true(protobuf_next(&reader, &field));
    assert_true(protobuf_is(&field, 2, PROTOBUF_VARINT));
    assert_int_equal(field.value, 7);
    assert_false(protobuf_next(&reader, &field));
    assert_null(reader.bad);
}

static void test_protobuf__reads_each_wire_type(void **state)
{
    static const char bytes[] = "\x08\x96\x01"
                                "\x12\x07testing"
                                "\x19\x01\x02\x03\x04\x05\x06\x07\x08"
                                "\x25\xff\xff\xff\xff"
                                "\x2a\x00"
                                "\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    struct protobuf_reader reader = protobuf_read(bytes, sizeof bytes - 1);
    struct protobuf_field field;

    (void)state;
    assert_true(protobuf_next(&reader, &field) && protobuf_is(&field, 1, PROTOBUF_VARINT));
    assert_int_equal(field.value, 150);
    assert_true(protobuf_next(&reader, &field) && protobuf_is(&field, 2, PROTOBUF_BYTES));
    assert_int_equal(field.size, 7);
    assert_memory_equal(field.bytes, "testing", 7);
    assert_true(protobuf_next(&reader, &field) && protobuf_is(&field, 3, PROTOBUF_FIXED64));
    assert_int_equal(field.value, UINT64_C(0x0807060504030201));
    assert_true(protobuf_next(&reader, &field) && protobuf_is(&field, 4, PROTOBUF_FIXED32));
    assert_int_equal(field.value, UINT32_MAX);
    assert_true(protobuf_next(&reader, &field) && protobuf_is(&field, 5, PROTOBUF_BYTES));
    assert_int_equal(field.size, 0);
    assert_non_null(field.bytes);
    assert_true(protobuf_next(&reader, &field) && protobuf_is(&field, 6, PROTOBUF_VARINT));
    assert_true((int64_t)field.value == -1);
    assert_false(protobuf_is(&field, 6, PROTOBUF_BYTES));
    assert_false(protobuf_next(&reader, &field));
    assert_null(reader.bad);
}

static void test_protobuf__nothing_is_an_empty_message(void **state)
{
    const char *bad;

    (void)state;
    assert_int_equal(walk("", 0, &bad), 0);
    assert_null(bad);
}

static void test_protobuf__says_what_could_not_be_read(void **state)
{
    struct protobuf_reader reader = protobuf_read("\x08", 1);
    struct protobuf_field field;
    struct err err;

    (void)state;
    assert_false(protobuf_next(&reader, &field));
    assert_int_equal(protobuf_read_end(&reader, "a thing", &err), -1);
    assert_int_equal(err.class, ERR_POISON);
    assert_string_equal(err.text, "a thing: the bytes end inside a number");
}

static void test_protobuf__writes_as_the_document_shows(void **state)
{
    static const char expected[] = "\x08\x96\x01"
                                   "\x12\x07testing"
                                   "\x1a\x03\x08\x96\x01"
                                   "\x20\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    struct buffer inner = {0};
    struct buffer out = {0};

    (void)state;
    protobuf_put_varint(&inner, 1, 150);
    protobuf_put_varint(&out, 1, 150);
    protobuf_put_text(&out, 2, "testing");
    protobuf_put_bytes(&out, 3, inner.bytes, inner.size);
    protobuf_put_varint(&out, 4, (uint64_t)INT64_C(-2));
    assert_int_equal(out.size, sizeof expected - 1);
    assert_memory_equal(out.bytes, expected, out.size);
    buffer_deinit(&inner);
    buffer_deinit(&out);
}

static void test_protobuf__sizes_are_those_of_what_is_written(void **state)
{
    static const uint64_t values[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, INT64_MAX, UINT64_MAX};
    static const uint32_t fields[] = {1, 15, 16, 2047, 2048, (UINT32_C(1) << 29) - 1};

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        uint8_t room[PROTOBUF_VARINT_MAX];

        assert_int_equal(protobuf_write_varint(room, values[i]) - room, protobuf_varint_size(values[i]));
    }
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        for (size_t size = 100; size < 200; size++) {
            uint8_t bytes[200] = {0};
            struct buffer out = {0};

            protobuf_put_bytes(&out, fields[i], bytes, size);
            assert_int_equal(out.size, protobuf_field_size(fields[i], size));
            buffer_deinit(&out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protobuf__refuses_what_is_no_message),
        cmocka_unit_test(test_protobuf__refuses_groups_that_do_not_end_or_are_too_deep),
        cmocka_unit_test(test_protobuf__passes_over_groups),
        cmocka_unit_test(test_protobuf__reads_each_wire_type),
        cmocka_unit_test(test_protobuf__nothing_is_an_empty_message),
        cmocka_unit_test(test_protobuf__says_what_could_not_be_read),
        cmocka_unit_test(test_protobuf__writes_as_the_document_shows),
        cmocka_unit_test(test_protobuf__sizes_are_those_of_what_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
