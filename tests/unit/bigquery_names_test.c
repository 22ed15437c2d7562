/* SPDX-License-Identifier: Apache-2.0 */
/* What BigQuery refuses or would take for another; then random names out of an alphabet that is all traps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "workers/bigquery/names.h"

static void assert_named(const char *original, const char *expected)
{
    struct buffer name = {0};
    struct buffer back = {0};
    struct err err = {0};

    bigquery_column_name(&name, original);
    assert_string_equal(buffer_text(&name), expected);
    assert_int_equal(bigquery_column_original(&back, expected, &err), 0);
    assert_string_equal(buffer_text(&back), original);
    buffer_deinit(&name);
    buffer_deinit(&back);
}

static void test_bigquery_names__ordinary_names_stay_as_they_are(void **state)
{
    (void)state;
    assert_named("price", "price");
    assert_named("Price2", "Price2");
    assert_named("_private", "_private");
    assert_named("select", "select");
}

static void test_bigquery_names__refused_prefixes_are_escaped(void **state)
{
    (void)state;
    assert_named("_PARTITIONTIME", "_x005F_PARTITIONTIME");
    assert_named("_table_suffix", "_x005F_table_suffix");
    assert_named("_FILE_NAME", "_x005F_FILE_NAME");
    assert_named("_row_timestamp", "_x005F_row_timestamp");
    assert_named("_CHANGE_TYPE", "_x005F_CHANGE_TYPE");
    assert_named("_colidentifier1", "_x005F_colidentifier1");
    assert_named("__ROOT__", "_x005F__ROOT__");
    assert_named("a_TABLE_", "a_TABLE_");
}

static void test_bigquery_names__what_reads_as_an_escape_in_any_case_is_escaped(void **state)
{
    (void)state;
    assert_named("\xc3\xa9", "_x00E9_");
    assert_named("_x00e9_", "_x005F_x00e9_");
    assert_named("_X00E9_", "_x005F_X00E9_");
    assert_named("_x00E9_", "_x005F_x00E9_");
    assert_named("a_x00e9\xc3\xa9", "a_x005F_x00e9_x00E9_");
}

static void test_bigquery_names__no_column_is_called_like_a_further_one(void **state)
{
    struct buffer further = {0};

    (void)state;
    bigquery_further_column_name(&further, "price", BIGQUERY_STRING);
    assert_string_equal(buffer_text(&further), "price__string");
    buffer_deinit(&further);
    assert_named("price__string", "price__x005F_string");
    assert_named("__string", "_x005F__x005F_string");
    assert_named("price_string", "price_string");
    assert_named("price__strings", "price__strings");
}

static void test_bigquery_names__a_long_name_is_cut_and_told_from_its_like(void **state)
{
    char long_name[64 * 3 + 1] = "";
    struct buffer one = {0};
    struct buffer other = {0};
    struct buffer further = {0};
    struct buffer back = {0};
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < 64; i++) {
        memcpy(long_name + 3 * i, "\xe4\xbe\xa1", 3);
    }
    bigquery_column_name(&one, long_name);
    long_name[sizeof long_name - 2] = '\xa2';
    bigquery_column_name(&other, long_name);
    assert_int_equal(one.size, BIGQUERY_COLUMN_NAME_MAX);
    assert_int_equal(other.size, BIGQUERY_COLUMN_NAME_MAX);
    assert_string_not_equal(buffer_text(&one), buffer_text(&other));
    assert_int_equal(bigquery_column_original(&back, buffer_text(&one), &err), -1);
    bigquery_further_column_name(&further, buffer_text(&one), BIGQUERY_BIGNUMERIC);
    assert_int_equal(further.size, BIGQUERY_COLUMN_NAME_MAX);
    assert_string_not_equal(buffer_text(&one), buffer_text(&further));
    buffer_deinit(&one);
    buffer_deinit(&other);
    buffer_deinit(&further);
    buffer_deinit(&back);
}

static void random_name(struct buffer *name, size_t parts)
{
    static const char *const alphabet[] = {"_",      "__",    "x",       "X", "0", "00e9",     "00E9", "_x00E9_",   "_x00e9_",
                                           "string", "int64", "_TABLE_", "a", "A", "\xc3\xa9", "-",    "_PARTITION"};

    for (size_t i = 0; i < parts; i++) {
        buffer_append_text(name, alphabet[(size_t)rand() % (sizeof alphabet / sizeof *alphabet)]);
    }
}

static bool same_but_for_case(const char *one, const char *other)
{
    return strcasecmp(one, other) == 0; /* of ASCII: the test's locale is C */
}

static void test_bigquery_names__random_names_come_back_and_never_meet(void **state)
{
    enum { COUNT = 300 };
    static struct buffer originals[COUNT];
    static struct buffer names[COUNT];

    (void)state;
    srand(4);
    for (size_t i = 0; i < COUNT; i++) {
        struct buffer back = {0};
        struct err err = {0};

        random_name(&originals[i], 1 + (size_t)rand() % 5);
        bigquery_column_name(&names[i], buffer_text(&originals[i]));
        assert_int_equal(bigquery_column_original(&back, buffer_text(&names[i]), &err), 0);
        assert_string_equal(buffer_text(&back), buffer_text(&originals[i]));
        for (size_t j = 0; j < i; j++) {
            assert_int_equal(same_but_for_case(buffer_text(&names[i]), buffer_text(&names[j])),
                             same_but_for_case(buffer_text(&originals[i]), buffer_text(&originals[j])));
        }
        buffer_deinit(&back);
    }
    for (size_t i = 0; i < COUNT; i++) {
        buffer_deinit(&names[i]);
        buffer_deinit(&originals[i]);
    }
}

static void test_bigquery_names__foreign_names_are_no_columns(void **state)
{
    const char *const foreign[] = {"", "price__string", "_PARTITIONTIME", "_x00e9_", "a_x0041_", "__op"};
    struct buffer out = {0};
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        assert_int_equal(bigquery_column_original(&out, foreign[i], &err), -1);
    }
    buffer_deinit(&out);
}

static void test_bigquery_names__tables_follow_the_patterns(void **state)
{
    struct settings_bigquery settings = {
        .project = (char *)"p", .dataset = (char *)"raw_{database}", .table = (char *)"{table}"};
    struct bigquery_names names;
    struct err err = {0};

    (void)state;
    assert_int_equal(bigquery_names_init(&names, &settings, "shop-eu", "orders", &err), 0);
    assert_string_equal(names.dataset, "raw_shop_x002D_eu");
    assert_string_equal(names.view, "orders");
    assert_string_equal(names.history, "orders_history");
    assert_string_equal(names.base, "orders_base");
    assert_string_equal(names.as_of, "orders_as_of");
    assert_string_equal(names.source, "shop-eu.orders");
    assert_int_equal(strlen(names.source_id), 16);
    bigquery_names_deinit(&names);
}

static void test_bigquery_names__a_name_too_long_for_bigquery_is_refused(void **state)
{
    char pattern[1100];
    struct settings_bigquery settings = {.project = (char *)"p", .dataset = (char *)"d", .table = pattern};
    struct bigquery_names names;
    struct err err = {0};

    (void)state;
    memset(pattern, 'a', sizeof pattern);
    memcpy(pattern + sizeof pattern - 8, "{table}", 8);
    assert_int_equal(bigquery_names_init(&names, &settings, "shop", "orders", &err), -1);
    assert_int_equal(err.class, ERR_FATAL);
}

static void test_bigquery_names__a_topic_names_its_table(void **state)
{
    struct settings settings = {.prefix = (char *)"kakehi"};
    char *database;
    char *table;
    struct err err = {0};

    (void)state;
    text_pairs_set(&settings.topics.topic, "shop.a.b", "other.name");
    assert_int_equal(bigquery_names_of_topic(&settings, "kakehi.shop.or_x002D_ders", &database, &table, &err), 0);
    assert_string_equal(database, "shop");
    assert_string_equal(table, "or-ders");
    free(database);
    free(table);
    assert_int_equal(bigquery_names_of_topic(&settings, "other.name", &database, &table, &err), 0);
    assert_string_equal(database, "shop");
    assert_string_equal(table, "a.b");
    free(database);
    free(table);
    assert_int_equal(bigquery_names_of_topic(&settings, "kakehi.shop", &database, &table, &err), -1);
    assert_int_equal(bigquery_names_of_topic(&settings, "kakehix.shop.orders", &database, &table, &err), -1);
    assert_int_equal(bigquery_names_of_topic(&settings, "kakehi.shop.a-b", &database, &table, &err), -1);
    assert_int_equal(err.class, ERR_FATAL);
    text_pairs_deinit(&settings.topics.topic);
}

static void test_bigquery_names__literals_hold_what_they_are_given(void **state)
{
    struct buffer out = {0};

    (void)state;
    bigquery_append_literal(&out, "it's \\ \n \xc3\xa9");
    assert_string_equal(buffer_text(&out), "'it\\'s \\\\ \\u000a \xc3\xa9'");
    buffer_clear(&out);
    bigquery_append_day(&out, 20778);
    assert_string_equal(buffer_text(&out), "DATE '2026-11-21'");
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bigquery_names__ordinary_names_stay_as_they_are),
        cmocka_unit_test(test_bigquery_names__refused_prefixes_are_escaped),
        cmocka_unit_test(test_bigquery_names__what_reads_as_an_escape_in_any_case_is_escaped),
        cmocka_unit_test(test_bigquery_names__no_column_is_called_like_a_further_one),
        cmocka_unit_test(test_bigquery_names__a_long_name_is_cut_and_told_from_its_like),
        cmocka_unit_test(test_bigquery_names__random_names_come_back_and_never_meet),
        cmocka_unit_test(test_bigquery_names__foreign_names_are_no_columns),
        cmocka_unit_test(test_bigquery_names__tables_follow_the_patterns),
        cmocka_unit_test(test_bigquery_names__a_name_too_long_for_bigquery_is_refused),
        cmocka_unit_test(test_bigquery_names__a_topic_names_its_table),
        cmocka_unit_test(test_bigquery_names__literals_hold_what_they_are_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
