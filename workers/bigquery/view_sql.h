/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view_sql: the SQL of latest views, of the base behind them, and of the as-of function. Pure: a definition in, text out.
 *
 *   plain        the newest row of each key out of the whole history
 *   base + tail  the same out of the base table and the history's days from the watermark on (rules F1 to F7)
 *   as of        a table function: the same, out of the changes up to a time. Where the history's days expire, out of the base too
 *
 * The texts that tests/unit/view_sql_test.c expects stand in tests/data/view_sql; tests/integration/test_bigquery_view_sql.py
 * runs the same files.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_VIEW_SQL_H
#define KAKEHI_WORKERS_BIGQUERY_VIEW_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "workers/bigquery/bigquery_types.h"
#include "workers/bigquery/names.h"

#define VIEW_DAY_NONE  INT32_MIN
#define VIEW_DAY_FIRST INT32_C(-719162) /* 0001-01-01, the first of BigQuery's */

struct view_column {
    const char *name; /* as BigQuery has it */
    enum bigquery_type type;
    bool shown; /* in the view; bigquery.columns: current leaves dropped ones out */
};

/* All borrowed. */
struct view_definition {
    const struct bigquery_names *names;
    const struct view_column *columns; /* of the source, in the history's order; no metadata */
    size_t column_count;
    const size_t *key; /* places in columns, in key order */
    size_t key_count;  /* not 0: a table without a key has no view */
    bool keep_deletes; /* show deleted rows too, with __deleted */
    bool filtered;     /* the history requires a partition filter */
    bool expires;      /* the history's days do; there is a base then (F6) */
};

/* The view's query. watermark: days since 1970-01-01; the base holds all of the days before it. VIEW_DAY_NONE: plain. */
void view_sql_view(struct buffer *out, const struct view_definition *definition, int32_t watermark);

/* Puts the newest change of each key, out of the ingest days from that one on, into the base. */
void view_sql_merge(struct buffer *out, const struct view_definition *definition, int32_t from_day);
/* The same for the newest truncate. */
void view_sql_merge_truncate(struct buffer *out, const struct view_definition *definition, int32_t from_day);

/* What a refresh must know beforehand, as rows (day DATE, row_count INT64, truncates INT64): one for each ingest day from that
 * one on that has rows, and one for today by BigQuery's clock, whose row_count is -1. */
void view_sql_days(struct buffer *out, const struct view_definition *definition, int32_t from_day);

/* CREATE OR REPLACE TABLE FUNCTION <view>_as_of(TIMESTAMP). */
void view_sql_as_of(struct buffer *out, const struct view_definition *definition);

#endif
