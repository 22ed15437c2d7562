/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics: counters, gauges and histograms with at most three labels, printed in Prometheus's text format 0.0.4.
 *
 * A family is declared once, static, by the module that counts:
 *
 *   static struct metric_family commits METRIC_FAMILY = {
 *       .name = "kakehi_commits_total", .help = "Commits.", .kind = METRIC_COUNTER, .labels = {"source"}};
 *
 * METRIC_FAMILY puts it into a section of the program that holds nothing else, so that the program knows its families before
 * anything was counted: docs/metrics.md is made of them, and lint finds a family without it. A cell (one set of label values) is
 * looked up once and kept. Loop thread only, except metric_add, metric_set and metric_observe, which are atomic.
 *
 * Names follow Prometheus's conventions (https://prometheus.io/docs/practices/naming): kakehi_ first, the unit behind (seconds,
 * bytes, or what is counted), _total behind a counter.
 */
#ifndef KAKEHI_COMMON_METRICS_H
#define KAKEHI_COMMON_METRICS_H

#include <stdint.h>
#include <stdio.h>

#include "common/buffer.h"

/* Aligned as the struct is: a compiler that aligns large objects further would leave holes in the section. */
#define METRIC_FAMILY __attribute__((section("metric_families"), aligned(8), used))

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric; /* one cell */

struct metric_family {
    const char *name; /* "kakehi_rows_appended_total" */
    const char *help;
    enum metric_kind kind;
    const char *labels[3]; /* names, NULL where none */
    struct metric *_cells; /* owned by metrics.c */
    struct metric_family *_next;
};

/* The cell of these label values (as many as the family has labels), made at first use. Never NULL, never freed, copies the
 * values. */
struct metric *metric_cell(struct metric_family *family, const char *const *values);
void metric_add(struct metric *metric, double more);
/* NaN hides the cell until it is set again (a partition that went to another worker). */
void metric_set(struct metric *metric, double value);
/* Of a histogram: one more that took so long. Its buckets reach from a millisecond to a minute. */
void metric_observe(struct metric *metric, double seconds);
double metric_get(const struct metric *metric); /* of a histogram: the sum of what was observed */
void metrics_print(struct buffer *out);
/* A table of all families of the program in Markdown, by name. */
void metrics_print_markdown(FILE *out);

#endif
