/* SPDX-License-Identifier: Apache-2.0 */
/* What must not happen: an older schema is told for a table's newest, or a newer one is not told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "tests/unit/make_table.h"
#include "workers/newest_schemas.h"

struct told {
    const struct schema *schemas[8];
    size_t count;
};

static void on_told(void *context, const struct schema *schema)
{
    struct told *told = context;

    told->schemas[told->count++] = schema;
}

static struct told tell(struct newest_schemas *newest)
{
    struct told told = {0};

    newest_schemas_tell(newest, on_told, &told);
    return told;
}

static void test_newest_schemas__tells_the_last_one_of_each_table_once(void **state)
{
    struct newest_schemas *newest = newest_schemas_new();
    struct schema *first = make_schema("shop", "orders", "id", "id long");
    struct schema *second = make_schema("shop", "orders", "id", "id long, note text");
    struct schema *other = make_schema("shop2", "orders", "id", "id long");
    struct told told;

    (void)state;
    newest_schemas_take(newest, first);
    newest_schemas_take(newest, second);
    told = tell(newest);
    assert_int_equal(told.count, 1);
    assert_ptr_equal(told.schemas[0], second);
    assert_int_equal(tell(newest).count, 0);
    newest_schemas_take(newest, other);
    newest_schemas_take(newest, second);
    told = tell(newest);
    assert_int_equal(told.count, 1);
    assert_ptr_equal(told.schemas[0], other);
    newest_schemas_free(newest);
    schema_free(first);
    schema_free(second);
    schema_free(other);
}

static void test_newest_schemas__a_shape_that_comes_back_is_told_again(void **state)
{
    struct newest_schemas *newest = newest_schemas_new();
    struct schema *first = make_schema("shop", "orders", "id", "id long");
    struct schema *second = make_schema("shop", "orders", "id", "id long, note text");
    struct told told;

    (void)state;
    newest_schemas_take(newest, first);
    assert_int_equal(tell(newest).count, 1);
    newest_schemas_take(newest, second);
    assert_int_equal(tell(newest).count, 1);
    newest_schemas_take(newest, first);
    told = tell(newest);
    assert_int_equal(told.count, 1);
    assert_ptr_equal(told.schemas[0], first);
    newest_schemas_free(newest);
    schema_free(first);
    schema_free(second);
}

static void test_newest_schemas__one_without_columns_says_nothing(void **state)
{
    struct newest_schemas *newest = newest_schemas_new();
    struct schema *empty = make_schema("shop", "orders", "", "");
    struct schema *first = make_schema("shop", "orders", "id", "id long");

    (void)state;
    newest_schemas_take(newest, empty);
    assert_int_equal(tell(newest).count, 0);
    newest_schemas_take(newest, first);
    newest_schemas_take(newest, empty);
    assert_int_equal(tell(newest).count, 1);
    newest_schemas_free(newest);
    schema_free(empty);
    schema_free(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_newest_schemas__tells_the_last_one_of_each_table_once),
        cmocka_unit_test(test_newest_schemas__a_shape_that_comes_back_is_told_again),
        cmocka_unit_test(test_newest_schemas__one_without_columns_says_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
