/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics: counters and gauges with at most three labels, printed in Prometheus's text format 0.0.4.
 *
 * A family is declared once, static, by the module that counts; a cell (one set of label values) is looked up once and kept.
 * Loop thread only, except metric_add and metric_set, which are atomic.
 */
#ifndef KAKEHI_COMMON_METRICS_H
#define KAKEHI_COMMON_METRICS_H

#include <stdint.h>

#include "common/buffer.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

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
double metric_get(const struct metric *metric);
void metrics_print(struct buffer *out);

#endif
