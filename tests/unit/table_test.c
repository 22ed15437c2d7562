/* SPDX-License-Identifier: Apache-2.0 */
/* Which differences make another table, and that freeing takes everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "schemas/table.h"

static struct table *orders(void)
{
    struct table *table = table_new("shop", "orders", 2, 1);

    table->columns[0] = (struct column){strdup("id"), strdup("int"), COLUMN_LONG, 0, 0};
    table->columns[1] = (struct column){strdup("price"), strdup("decimal(10,2)"), COLUMN_DECIMAL, 10, 2};
    return table;
}

static void set_text(char **text, const char *to)
{
    free(*text);
    *text = strdup(to);
}

static void make_database(struct table *table)
{
    set_text(&table->database, "shop2");
}

static void make_name(struct table *table)
{
    set_text(&table->name, "order");
}

static void make_column_name(struct table *table)
{
    set_text(&table->columns[1].name, "Price");
}

static void make_source_type(struct table *table)
{
    set_text(&table->columns[0].source_type, "bigint");
}

static void make_type(struct table *table)
{
    table->columns[1].type = COLUMN_DECIMAL_TEXT;
}

static void make_scale(struct table *table)
{
    table->columns[1].scale = 4;
}

static void make_precision(struct table *table)
{
    table->columns[1].precision = 12;
}

static void make_key(struct table *table)
{
    table->key[0] = 1;
}

static void make_key_count(struct table *table)
{
    table->key_count = 0;
}

static void test_table__any_difference_makes_another_table(void **state)
{
    void (*const changes[])(struct table * table) = {make_database,    make_name, make_column_name,
                                                     make_source_type, make_type, make_scale,
                                                     make_precision,   make_key,  make_key_count};

    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct table *one = orders();
        struct table *other = orders();

        assert_true(table_same(one, other));
        changes[i](other);
        assert_false(table_same(one, other));
        table_free(one);
        table_free(other);
    }
}

static void test_table__fewer_columns_make_another_table(void **state)
{
    struct table *one = orders();
    struct table *other = table_new("shop", "orders", 0, 0);

    (void)state;
    assert_false(table_same(one, other));
    table_free(one);
    table_free(other);
    table_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table__any_difference_makes_another_table),
        cmocka_unit_test(test_table__fewer_columns_make_another_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
