/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells are found by walking a list: that happens once a cell, which its owner then keeps; counting itself is one atomic
 * step.
 */
#include "common/metrics.h"

#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

#define LABELS_MAX   3
#define BUCKET_COUNT 15

/* Upper bounds in seconds; what takes longer is in +Inf alone. One ladder for all: a commit takes milliseconds, a load job a minute. */
static const double bounds[BUCKET_COUNT] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};

/* Made by the linker, if the program has a family at all. */
extern struct metric_family section_start[] __asm__("__start_metric_families") __attribute__((weak));
extern struct metric_family section_stop[] __asm__("__stop_metric_families") __attribute__((weak));

struct metric {
    struct metric *next;
    char *values[LABELS_MAX]; /* of the labels; NULL where the family has none */
    _Atomic double value;
    _Atomic uint64_t *buckets; /* of a histogram: BUCKET_COUNT and one for +Inf, each counting its own; else NULL */
};

static struct metric_family *families; /* those that have a cell, in the order of their first one */

static bool same_labels(const struct metric *cell, const struct metric_family *family, const char *const *values)
{
    for (int index = 0; index < LABELS_MAX && family->labels[index] != NULL; index++) {
        if (strcmp(cell->values[index], values[index]) != 0) {
            return false;
        }
    }
    return true;
}

static void enlist(struct metric_family *family)
{
    struct metric_family **end = &families;

    for (; *end != NULL; end = &(*end)->_next) {
        must(strcmp((*end)->name, family->name) != 0); /* one family, one declaration */
    }
    *end = family;
}

static struct metric *cell_new(const struct metric_family *family, const char *const *values)
{
    struct metric *cell = calloc(1, sizeof *cell);

    must(cell != NULL);
    for (int index = 0; index < LABELS_MAX && family->labels[index] != NULL; index++) {
        cell->values[index] = must_strdup(values[index]);
    }
    if (family->kind == METRIC_HISTOGRAM) {
        cell->buckets = calloc(BUCKET_COUNT + 1, sizeof *cell->buckets);
        must(cell->buckets != NULL);
    }
    return cell;
}

struct metric *metric_cell(struct metric_family *family, const char *const *values)
{
    struct metric **end = &family->_cells;

    if (family->_cells == NULL) {
        enlist(family);
    }
    for (; *end != NULL; end = &(*end)->next) {
        if (same_labels(*end, family, values)) {
            return *end;
        }
    }
    *end = cell_new(family, values);
    return *end;
}

void metric_add(struct metric *metric, double more)
{
    double old = atomic_load(&metric->value);

    while (!atomic_compare_exchange_weak(&metric->value, &old, old + more)) {
        /* old is fresh now */
    }
}

void metric_set(struct metric *metric, double value)
{
    atomic_store(&metric->value, value);
}

void metric_observe(struct metric *metric, double seconds)
{
    size_t bucket = 0;

    while (bucket < BUCKET_COUNT && seconds > bounds[bucket]) {
        bucket++;
    }
    (void)atomic_fetch_add(&metric->buckets[bucket], 1);
    metric_add(metric, seconds);
}

double metric_get(const struct metric *metric)
{
    return atomic_load(&metric->value);
}

static void print_label_value(struct buffer *out, const char *value)
{
    for (; *value != '\0'; value++) {
        switch (*value) {
        case '\\':
            buffer_append_text(out, "\\\\");
            break;
        case '"':
            buffer_append_text(out, "\\\"");
            break;
        case '\n':
            buffer_append_text(out, "\\n");
            break;
        default:
            buffer_append_byte(out, (uint8_t)*value);
        }
    }
}

/* 15 digits where they read back the same: 0.1 is 0.1, and every count below 2^49 is whole. */
static void print_number(struct buffer *out, double value)
{
    char text[32];

    if (isinf(value)) {
        buffer_append_text(out, value > 0 ? "+Inf" : "-Inf");
        return;
    }
    (void)snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value) {
        (void)snprintf(text, sizeof text, "%.17g", value);
    }
    buffer_append_text(out, text);
}

/* `ending`: what stands behind the family's name; `bound`: the value of the label le, or NULL. */
static void print_head(struct buffer *out, const struct metric_family *family, const struct metric *cell, const char *ending, const char *bound)
{
    const char *before = "{";

    buffer_printf(out, "%s%s", family->name, ending);
    for (int index = 0; index < LABELS_MAX && family->labels[index] != NULL; index++) {
        buffer_printf(out, "%s%s=\"", before, family->labels[index]);
        print_label_value(out, cell->values[index]);
        buffer_append_byte(out, '"');
        before = ",";
    }
    if (bound != NULL) {
        buffer_printf(out, "%sle=\"%s\"", before, bound);
        before = ",";
    }
    buffer_append_text(out, before[0] == ',' ? "} " : " ");
}

static void print_line(struct buffer *out, double value)
{
    print_number(out, value);
    buffer_append_byte(out, '\n');
}

/* The count is what the buckets hold, so that the two agree whatever is observed meanwhile. */
static void print_histogram(struct buffer *out, const struct metric_family *family, const struct metric *cell)
{
    uint64_t count = 0;

    for (size_t bucket = 0; bucket <= BUCKET_COUNT; bucket++) {
        char bound[32] = "+Inf";

        if (bucket < BUCKET_COUNT) {
            (void)snprintf(bound, sizeof bound, "%g", bounds[bucket]);
        }
        count += atomic_load(&cell->buckets[bucket]);
        print_head(out, family, cell, "_bucket", bound);
        print_line(out, (double)count);
    }
    print_head(out, family, cell, "_sum", NULL);
    print_line(out, metric_get(cell));
    print_head(out, family, cell, "_count", NULL);
    print_line(out, (double)count);
}

static void print_cell(struct buffer *out, const struct metric_family *family, const struct metric *cell)
{
    double value = metric_get(cell);

    if (family->kind == METRIC_HISTOGRAM) {
        print_histogram(out, family, cell);
    } else if (!isnan(value)) {
        print_head(out, family, cell, "", NULL);
        print_line(out, value);
    }
}

static const char *kind_name(enum metric_kind kind)
{
    static const char *const names[] = {"counter", "gauge", "histogram"};

    return names[kind];
}

void metrics_print(struct buffer *out)
{
    for (const struct metric_family *family = families; family != NULL; family = family->_next) {
        buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
                      kind_name(family->kind));
        for (const struct metric *cell = family->_cells; cell != NULL; cell = cell->next) {
            print_cell(out, family, cell);
        }
    }
}

/* ---- the page */

static int by_name(const void *one, const void *other)
{
    return strcmp((*(const struct metric_family *const *)one)->name, (*(const struct metric_family *const *)other)->name);
}

static void print_row(const struct metric_family *family, FILE *out)
{
    (void)fprintf(out, "| `%s` | %s |", family->name, kind_name(family->kind));
    for (int index = 0; index < LABELS_MAX && family->labels[index] != NULL; index++) {
        (void)fprintf(out, "%s `%s`", index > 0 ? "," : "", family->labels[index]);
    }
    (void)fprintf(out, " | %s |\n", family->help);
}

void metrics_print_markdown(FILE *out)
{
    size_t count = section_start != NULL ? (size_t)(section_stop - section_start) : 0;
    const struct metric_family **sorted = calloc(count + 1, sizeof *sorted);

    must(sorted != NULL);
    for (size_t index = 0; index < count; index++) {
        sorted[index] = &section_start[index];
    }
    qsort(sorted, count, sizeof *sorted, by_name);
    (void)fputs("| metric | type | labels | what it says |\n|---|---|---|---|\n", out);
    for (size_t index = 0; index < count; index++) {
        print_row(sorted[index], out);
    }
    free(sorted);
}
