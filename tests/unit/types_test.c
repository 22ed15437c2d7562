/* SPDX-License-Identifier: Apache-2.0 */
/* The type table is whole, and its Avro words are those of the specification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "schemas/types.h"

static void test_types__unknown_name_is_none(void **state)
{
    (void)state;
    assert_int_equal(type_by_name(""), -1);
    assert_int_equal(type_by_name("LONG"), -1);
    assert_int_equal(type_by_name("long "), -1);
}

static void test_types__each_has_all_its_facts_and_a_name_of_its_own(void **state)
{
    (void)state;
    for (int type = 0; type < COLUMN_TYPE_COUNT; type++) {
        const struct type_facts *facts = type_facts((enum column_type)type);

        assert_true(facts->name && facts->avro && facts->sqlite && facts->bigquery && facts->mysql);
        assert_int_equal(type_by_name(facts->name), type);
    }
}

static void test_types__avro_decimal_carries_precision_and_scale(void **state)
{
    struct buffer out = {0};

    (void)state;
    type_avro(&out, &(struct column){.type = COLUMN_DECIMAL, .precision = 38, .scale = 9});
    assert_string_equal(buffer_text(&out), "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":38,\"scale\":9}");
    buffer_deinit(&out);
}

static void test_types__decimal_that_bigquery_cannot_hold_is_text(void **state)
{
    (void)state;
    assert_int_equal(type_of_decimal(38, 9), COLUMN_DECIMAL);
    assert_int_equal(type_of_decimal(38, 0), COLUMN_DECIMAL);
    assert_int_equal(type_of_decimal(65, 30), COLUMN_DECIMAL);
    assert_int_equal(type_of_decimal(39, 0), COLUMN_DECIMAL_TEXT);
    assert_int_equal(type_of_decimal(65, 26), COLUMN_DECIMAL_TEXT);
    assert_int_equal(type_of_decimal(30, 30), COLUMN_DECIMAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types__unknown_name_is_none),
        cmocka_unit_test(test_types__each_has_all_its_facts_and_a_name_of_its_own),
        cmocka_unit_test(test_types__avro_decimal_carries_precision_and_scale),
        cmocka_unit_test(test_types__decimal_that_bigquery_cannot_hold_is_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
