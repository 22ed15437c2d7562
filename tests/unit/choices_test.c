/* SPDX-License-Identifier: Apache-2.0 */
/* What the settings make of columns: a DECIMAL that no number of a destination holds must not lose digits unless they say so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "producer/binlog/choices.h"
#include "producer/binlog/shape.h"

/* What the column `price` of shop.orders, a DECIMAL(precision, scale), is with source.wide_decimals: {pattern: policy}. */
struct world {
    struct settings_source settings;
    struct choices *choices;
    struct shape *shape;
    const struct column *column;
    const struct value_column *value;
};

static struct table_map_text text_of(const char *text)
{
    return (struct table_map_text){.bytes = (const uint8_t *)text, .size = strlen(text)};
}

/* pattern NULL: nothing is set. */
static void world_init(struct world *world, uint16_t precision, uint8_t scale, const char *pattern, const char *policy)
{
    struct table_map_column price = {.type = WIRE_NEWDECIMAL, .length = precision, .scale = scale, .name = text_of("price")};
    struct table_map map = {
        .database = text_of("shop"), .name = text_of("orders"), .columns = &price, .column_count = 1, .has_names = true, .has_signs = true};
    struct binlog_stream_options options = {.choose = choices_choose};
    struct err err;

    *world = (struct world){0};
    if (pattern != NULL) {
        text_pairs_set(&world->settings.wide_decimals, pattern, policy);
    }
    assert_int_equal(choices_new(&world->settings, &world->choices, &err), 0);
    options.choose_context = world->choices;
    world->shape = shape_new(&map, BINLOG_MYSQL, &options, NULL);
    assert_int_equal(world->shape->trouble.class, ERR_NONE);
    world->column = &world->shape->table->columns[0];
    world->value = &world->shape->columns[0];
}

static void world_deinit(struct world *world)
{
    shape_free(world->shape);
    choices_free(world->choices);
    text_pairs_deinit(&world->settings.wide_decimals);
}

static void assert_is_text(uint16_t precision, uint8_t scale, const char *pattern, const char *policy)
{
    struct world world;

    world_init(&world, precision, scale, pattern, policy);
    assert_int_equal(world.column->type, COLUMN_DECIMAL_TEXT);
    assert_ptr_equal(world.value->decode, value_decimal_text);
    world_deinit(&world);
}

static void test_choices__a_wide_decimal_is_text_where_nothing_says_otherwise(void **state)
{
    (void)state;
    assert_is_text(65, 10, NULL, NULL);
    assert_is_text(39, 0, "shop.orders.price", "text");
    assert_is_text(39, 0, "shop.orders.other", "null");
}

/* source.unrepresentable: null for all was written for dates: it must not take digits from a column that is a text. */
static void test_choices__the_policy_of_other_values_takes_no_digits(void **state)
{
    struct world world;
    struct binlog_choice choice;

    (void)state;
    world_init(&world, 65, 10, NULL, NULL);
    text_pairs_set(&world.settings.unrepresentable, "*", "null");
    choices_choose(world.choices, "shop", "orders", "price", &choice);
    assert_int_equal(choice.unrepresentable, BINLOG_NULL);
    assert_int_equal(choice.wide_decimal, BINLOG_TEXT);
    text_pairs_deinit(&world.settings.unrepresentable);
    world_deinit(&world);
}

static void assert_is_number(const char *policy, enum binlog_unrepresentable expected)
{
    struct world world;

    world_init(&world, 65, 10, "shop.*", policy);
    assert_int_equal(world.column->type, COLUMN_DECIMAL);
    assert_int_equal(world.column->precision, 48);
    assert_int_equal(world.column->scale, 10);
    assert_string_equal(world.column->source_type, "decimal(65,10)");
    assert_ptr_equal(expected == BINLOG_STOP ? world.value->decode : world.value->plain, value_decimal_bounded);
    assert_int_equal(world.value->choice, expected);
    assert_int_equal(world.value->precision, 65); /* as it stands in the log */
    world_deinit(&world);
}

/* Its schema says as many digits as the number type has, so appends and load jobs make the same column of it. */
static void test_choices__a_wide_decimal_is_a_number_of_38_whole_digits_by_policy(void **state)
{
    (void)state;
    assert_is_number("null", BINLOG_NULL);
    assert_is_number("dead_letter", BINLOG_LETTER);
    assert_is_number("stop", BINLOG_STOP);
}

static void test_choices__a_decimal_that_fits_is_left_alone(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, 65, 27, "*", "null");
    assert_int_equal(world.column->type, COLUMN_DECIMAL);
    assert_int_equal(world.column->precision, 65);
    assert_ptr_equal(world.value->decode, value_decimal);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choices__a_wide_decimal_is_text_where_nothing_says_otherwise),
        cmocka_unit_test(test_choices__the_policy_of_other_values_takes_no_digits),
        cmocka_unit_test(test_choices__a_wide_decimal_is_a_number_of_38_whole_digits_by_policy),
        cmocka_unit_test(test_choices__a_decimal_that_fits_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
