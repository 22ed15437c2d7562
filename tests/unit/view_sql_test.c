/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts stand in tests/data/view_sql, where people and the integration test read them too. To change one: change it there
 * first, run tests/integration/test_bigquery_view_sql.py on it, then make view_sql.c write it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workers/bigquery/view_sql.h"

#define WATERMARK 20776 /* 2026-11-19 */

static struct bigquery_names names = {
    .project = (char *)"p",
    .dataset = (char *)"shop",
    .view = (char *)"orders",
    .history = (char *)"orders_history",
    .base = (char *)"orders_base",
    .as_of = (char *)"orders_as_of",
    .source = (char *)"shop.orders",
};

static const struct view_column columns[] = {
    {"region", BIGQUERY_STRING, true},
    {"id", BIGQUERY_INT64, true},
    {"note", BIGQUERY_STRING, true},
    {"price", BIGQUERY_NUMERIC, true},
};

static const size_t key[] = {1, 0};

static struct view_definition orders(void)
{
    return (struct view_definition){
        .names = &names, .columns = columns, .column_count = sizeof columns / sizeof *columns, .key = key, .key_count = 2};
}

static void assert_text(struct buffer *text, const char *name)
{
    char path[256];
    char expected[16384];
    FILE *file;
    size_t size;

    (void)snprintf(path, sizeof path, "tests/data/view_sql/%s.sql", name);
    if (getenv("KAKEHI_WRITE_GOLDEN") != NULL) {
        file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(text->bytes, 1, text->size, file), text->size);
        assert_int_equal(fclose(file), 0);
    }
    file = fopen(path, "r");
    assert_non_null(file);
    size = fread(expected, 1, sizeof expected - 1, file);
    expected[size] = '\0';
    (void)fclose(file);
    assert_string_equal(buffer_text(text), expected);
    buffer_deinit(text);
}

static void test_view_sql__plain_reads_the_whole_history(void **state)
{
    struct view_definition definition = orders();
    struct buffer out = {0};

    (void)state;
    view_sql_view(&out, &definition, VIEW_DAY_NONE);
    assert_text(&out, "plain");
}

static void test_view_sql__plain_names_every_day_where_a_filter_is_required(void **state)
{
    struct view_definition definition = orders();
    struct buffer out = {0};

    (void)state;
    definition.filtered = true;
    view_sql_view(&out, &definition, VIEW_DAY_NONE);
    assert_text(&out, "plain_filtered");
}

static void test_view_sql__base_and_tail_meet_at_a_literal(void **state)
{
    struct view_definition definition = orders();
    struct buffer out = {0};

    (void)state;
    view_sql_view(&out, &definition, WATERMARK);
    assert_text(&out, "base");
}

static void test_view_sql__deleted_rows_can_be_shown(void **state)
{
    struct view_definition definition = orders();
    struct buffer out = {0};

    (void)state;
    definition.keep_deletes = true;
    view_sql_view(&out, &definition, VIEW_DAY_NONE);
    assert_text(&out, "plain_deletes");
    view_sql_view(&out, &definition, WATERMARK);
    assert_text(&out, "base_deletes");
    view_sql_merge(&out, &definition, WATERMARK);
    assert_text(&out, "merge_deletes");
}

static void test_view_sql__merge_keeps_the_newest_change_of_each_key(void **state)
{
    struct view_definition definition = orders();
    struct buffer out = {0};

    (void)state;
    view_sql_merge(&out, &definition, WATERMARK);
    assert_text(&out, "merge");
    view_sql_merge_truncate(&out, &definition, WATERMARK);
    assert_text(&out, "merge_truncate");
}

static void test_view_sql__days_tell_what_there_is_to_merge(void **state)
{
    struct view_definition definition = orders();
    struct buffer out = {0};

    (void)state;
    view_sql_days(&out, &definition, VIEW_DAY_FIRST);
    assert_text(&out, "days");
}

static void test_view_sql__as_of_takes_changes_up_to_a_time(void **state)
{
    struct view_definition definition = orders();
    struct buffer out = {0};

    (void)state;
    view_sql_as_of(&out, &definition);
    assert_text(&out, "as_of");
}

static void test_view_sql__as_of_reads_the_base_where_days_expire(void **state)
{
    struct view_definition definition = orders();
    struct buffer out = {0};

    (void)state;
    definition.expires = true;
    definition.filtered = true;
    view_sql_as_of(&out, &definition);
    assert_text(&out, "as_of_expiring");
}

static void test_view_sql__a_hidden_column_is_in_the_base_but_not_in_the_view(void **state)
{
    struct view_column hidden[4];
    struct view_definition definition = orders();
    struct buffer out = {0};

    (void)state;
    memcpy(hidden, columns, sizeof hidden);
    hidden[2].shown = false;
    definition.columns = hidden;
    view_sql_view(&out, &definition, WATERMARK);
    assert_null(strstr(buffer_text(&out), "note"));
    buffer_clear(&out);
    view_sql_merge(&out, &definition, WATERMARK);
    assert_non_null(strstr(buffer_text(&out), "`note` = change.`note`"));
    buffer_deinit(&out);
}

static void test_view_sql__a_key_of_floats_is_told_apart_by_its_text(void **state)
{
    const struct view_column floats[] = {{"x", BIGQUERY_FLOAT64, true}};
    const size_t first[] = {0};
    const struct view_definition definition = {
        .names = &names, .columns = floats, .column_count = 1, .key = first, .key_count = 1};
    struct buffer out = {0};

    (void)state;
    view_sql_view(&out, &definition, VIEW_DAY_NONE);
    assert_non_null(strstr(buffer_text(&out), "PARTITION BY CAST(`x` AS STRING) ORDER BY"));
    buffer_clear(&out);
    view_sql_merge(&out, &definition, VIEW_DAY_FIRST);
    assert_non_null(strstr(buffer_text(&out), "UPDATE SET __op = change.__op"));
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view_sql__plain_reads_the_whole_history),
        cmocka_unit_test(test_view_sql__plain_names_every_day_where_a_filter_is_required),
        cmocka_unit_test(test_view_sql__base_and_tail_meet_at_a_literal),
        cmocka_unit_test(test_view_sql__deleted_rows_can_be_shown),
        cmocka_unit_test(test_view_sql__merge_keeps_the_newest_change_of_each_key),
        cmocka_unit_test(test_view_sql__days_tell_what_there_is_to_merge),
        cmocka_unit_test(test_view_sql__as_of_takes_changes_up_to_a_time),
        cmocka_unit_test(test_view_sql__as_of_reads_the_base_where_days_expire),
        cmocka_unit_test(test_view_sql__a_hidden_column_is_in_the_base_but_not_in_the_view),
        cmocka_unit_test(test_view_sql__a_key_of_floats_is_told_apart_by_its_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
