/* SPDX-License-Identifier: Apache-2.0 */
/* The text that Prometheus reads, exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/metrics.h"

/* Cells live as long as the process, so each test has a family of its own. */

static struct buffer page;

static const char *print(void)
{
    buffer_clear(&page);
    metrics_print(&page);
    return buffer_text(&page);
}

static int tear_down(void **state)
{
    (void)state;
    buffer_deinit(&page);
    return 0;
}

static void test_metrics__escape_what_would_break_a_label(void **state)
{
    static struct metric_family family = {.name = "a_total", .help = "A.", .labels = {"table"}};
    const char *values[] = {"a\"b\\c\nd"};

    (void)state;
    metric_add(metric_cell(&family, values), 1);
    assert_non_null(strstr(print(), "a_total{table=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

static void test_metrics__set_to_nan_are_hidden(void **state)
{
    static struct metric_family family = {.name = "lag", .help = "Lag.", .kind = METRIC_GAUGE, .labels = {"partition"}};
    const char *first[] = {"0"};
    const char *second[] = {"1"};

    (void)state;
    metric_set(metric_cell(&family, first), 5);
    metric_set(metric_cell(&family, second), NAN);
    assert_non_null(strstr(print(), "lag{partition=\"0\"} 5\n"));
    assert_null(strstr(print(), "lag{partition=\"1\"}"));
}

static void test_metrics__find_the_same_cell_again(void **state)
{
    static struct metric_family family = {.name = "b_total", .help = "B.", .labels = {"topic", "partition"}};
    char topic[] = "shop";
    const char *one[] = {topic, "0"};
    const char *other[] = {"shop", "1"};
    const char *again[] = {"shop", "0"};
    struct metric *cell;

    (void)state;
    cell = metric_cell(&family, one);
    topic[0] = 'x'; /* the values were copied */
    assert_ptr_not_equal(metric_cell(&family, other), cell);
    assert_ptr_equal(metric_cell(&family, again), cell);
}

static void test_metrics__print_head_and_cells_together(void **state)
{
    static struct metric_family family = {.name = "c", .help = "Cells.", .kind = METRIC_GAUGE, .labels = {"x", "y", "z"}};
    const char *one[] = {"1", "2", "3"};
    const char *other[] = {"4", "5", "6"};

    (void)state;
    metric_set(metric_cell(&family, one), 0.1);
    metric_set(metric_cell(&family, other), -1);
    assert_non_null(
        strstr(print(), "# HELP c Cells.\n# TYPE c gauge\nc{x=\"1\",y=\"2\",z=\"3\"} 0.1\nc{x=\"4\",y=\"5\",z=\"6\"} -1\n"));
}

static void test_metrics__print_numbers_exactly(void **state)
{
    static struct metric_family family = {.name = "d", .help = "D.", .kind = METRIC_GAUGE};
    struct metric *cell = metric_cell(&family, NULL);

    (void)state;
    metric_set(cell, 9007199254740991);
    assert_non_null(strstr(print(), "\nd 9007199254740991\n"));
    metric_set(cell, 123456789012345);
    assert_non_null(strstr(print(), "\nd 123456789012345\n"));
    metric_set(cell, INFINITY);
    assert_non_null(strstr(print(), "\nd +Inf\n"));
    metric_set(cell, -INFINITY);
    assert_non_null(strstr(print(), "\nd -Inf\n"));
}

static void *add_many(void *cell)
{
    for (int count = 0; count < 20000; count++) {
        metric_add(cell, 1);
    }
    return NULL;
}

static void test_metrics__lose_no_count_between_threads(void **state)
{
    static struct metric_family family = {.name = "e_total", .help = "E."};
    struct metric *cell = metric_cell(&family, NULL);
    pthread_t threads[4];

    (void)state;
    for (int index = 0; index < 4; index++) {
        assert_int_equal(pthread_create(&threads[index], NULL, add_many, cell), 0);
    }
    for (int index = 0; index < 4; index++) {
        assert_int_equal(pthread_join(threads[index], NULL), 0);
    }
    assert_int_equal(metric_get(cell), 80000);
}

static void test_metrics__sort_what_took_long_into_buckets_that_add_up(void **state)
{
    static struct metric_family family = {.name = "f_seconds", .help = "F.", .kind = METRIC_HISTOGRAM, .labels = {"x"}};
    struct metric *cell = metric_cell(&family, (const char *const[]){"y"});

    (void)state;
    metric_observe(cell, 0.001); /* a bound belongs to its bucket */
    metric_observe(cell, 0.3);
    metric_observe(cell, 61);
    assert_non_null(strstr(print(), "# TYPE f_seconds histogram\nf_seconds_bucket{x=\"y\",le=\"0.001\"} 1\n"));
    assert_non_null(strstr(print(), "le=\"0.25\"} 1\nf_seconds_bucket{x=\"y\",le=\"0.5\"} 2\n"));
    assert_non_null(strstr(print(), "le=\"60\"} 2\nf_seconds_bucket{x=\"y\",le=\"+Inf\"} 3\n"
                                    "f_seconds_sum{x=\"y\"} 61.301\nf_seconds_count{x=\"y\"} 3\n"));
}

static void test_metrics__a_histogram_without_labels_has_its_buckets_alone(void **state)
{
    static struct metric_family family = {.name = "g_seconds", .help = "G.", .kind = METRIC_HISTOGRAM};

    (void)state;
    metric_observe(metric_cell(&family, NULL), 1);
    assert_non_null(strstr(print(), "g_seconds_bucket{le=\"1\"} 1\n"));
    assert_non_null(strstr(print(), "g_seconds_sum 1\ng_seconds_count 1\n"));
}

static struct metric_family later METRIC_FAMILY = {.name = "z_total", .help = "Later.", .labels = {"a", "b"}};
static struct metric_family sooner METRIC_FAMILY = {.name = "a_seconds", .help = "Sooner.", .kind = METRIC_HISTOGRAM};

static void test_metrics__stand_on_the_page_before_anything_was_counted(void **state)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    assert_null(later._cells);
    assert_null(sooner._cells);
    metrics_print_markdown(out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "|---|---|---|---|\n| `a_seconds` | histogram | | Sooner. |\n"));
    assert_non_null(strstr(text, "| `z_total` | counter | `a`, `b` | Later. |\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_metrics__escape_what_would_break_a_label, tear_down),
        cmocka_unit_test_teardown(test_metrics__set_to_nan_are_hidden, tear_down),
        cmocka_unit_test_teardown(test_metrics__find_the_same_cell_again, tear_down),
        cmocka_unit_test_teardown(test_metrics__print_head_and_cells_together, tear_down),
        cmocka_unit_test_teardown(test_metrics__print_numbers_exactly, tear_down),
        cmocka_unit_test_teardown(test_metrics__lose_no_count_between_threads, tear_down),
        cmocka_unit_test_teardown(test_metrics__sort_what_took_long_into_buckets_that_add_up, tear_down),
        cmocka_unit_test_teardown(test_metrics__a_histogram_without_labels_has_its_buckets_alone, tear_down),
        cmocka_unit_test_teardown(test_metrics__stand_on_the_page_before_anything_was_counted, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
