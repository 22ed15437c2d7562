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

#define LABELS_MAX 3

struct metric {
    struct metric *next;
    char *values[LABELS_MAX]; /* of the labels; NULL where the family has none */
    _Atomic double value;
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
        cell->values[index] = strdup(values[index]);
        must(cell->values[index] != NULL);
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

static void print_cell(struct buffer *out, const struct metric_family *family, const struct metric *cell)
{
    double value = metric_get(cell);

    if (isnan(value)) {
        return;
    }
    buffer_append_text(out, family->name);
    for (int index = 0; index < LABELS_MAX && family->labels[index] != NULL; index++) {
        buffer_printf(out, "%s%s=\"", index == 0 ? "{" : ",", family->labels[index]);
        print_label_value(out, cell->values[index]);
        buffer_append_byte(out, '"');
    }
    buffer_append_text(out, family->labels[0] != NULL ? "} " : " ");
    print_number(out, value);
    buffer_append_byte(out, '\n');
}

void metrics_print(struct buffer *out)
{
    for (const struct metric_family *family = families; family != NULL; family = family->_next) {
        buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
                      family->kind == METRIC_COUNTER ? "counter" : "gauge");
        for (const struct metric *cell = family->_cells; cell != NULL; cell = cell->next) {
            print_cell(out, family, cell);
        }
    }
}
