/* SPDX-License-Identifier: Apache-2.0 */
/* The expected bytes are what Google's Python library writes for the same descriptor. That it takes any other,
 * tests/integration shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workers/bigquery/descriptor.h"

static const struct bigquery_column columns[] = {{"id", BIGQUERY_INT64}, {"note", BIGQUERY_JSON}, {"at", BIGQUERY_DATETIME}};

static void check(bool datetime_packed, const char *expected, size_t size)
{
    const struct bigquery_layout layout = {columns, sizeof columns / sizeof *columns, datetime_packed};
    struct buffer out = {0};

    descriptor_encode(&out, &layout);
    assert_int_equal(out.size, size);
    assert_memory_equal(out.bytes, expected, size);
    buffer_deinit(&out);
}

static void test_descriptor__is_one_optional_field_a_column(void **state)
{
    static const char text[] = "\x0a\x03Row"
                               "\x12\x0a\x0a\x02id\x18\x01\x20\x01\x28\x03"
                               "\x12\x0c\x0a\x04note\x18\x02\x20\x01\x28\x09"
                               "\x12\x0a\x0a\x02"
                               "at\x18\x03\x20\x01\x28\x09";
    static const char packed[] = "\x0a\x03Row"
                                 "\x12\x0a\x0a\x02id\x18\x01\x20\x01\x28\x03"
                                 "\x12\x0c\x0a\x04note\x18\x02\x20\x01\x28\x09"
                                 "\x12\x0a\x0a\x02"
                                 "at\x18\x03\x20\x01\x28\x03";

    (void)state;
    check(false, text, sizeof text - 1);
    check(true, packed, sizeof packed - 1);
}

static void test_descriptor__wires_are_those_of_the_types(void **state)
{
    (void)state;
    assert_int_equal(descriptor_wire(BIGQUERY_INT64, false), PROTOBUF_VARINT);
    assert_int_equal(descriptor_wire(BIGQUERY_FLOAT64, false), PROTOBUF_FIXED64);
    assert_int_equal(descriptor_wire(BIGQUERY_NUMERIC, false), PROTOBUF_BYTES);
    assert_int_equal(descriptor_wire(BIGQUERY_BYTES, false), PROTOBUF_BYTES);
    assert_int_equal(descriptor_wire(BIGQUERY_DATE, false), PROTOBUF_VARINT);
    assert_int_equal(descriptor_wire(BIGQUERY_DATETIME, false), PROTOBUF_BYTES);
    assert_int_equal(descriptor_wire(BIGQUERY_DATETIME, true), PROTOBUF_VARINT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptor__is_one_optional_field_a_column),
        cmocka_unit_test(test_descriptor__wires_are_those_of_the_types),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
