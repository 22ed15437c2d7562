/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view_sql: the SQL of latest views, of the base behind them, and of the as-of function. Pure: a definition in, text out.
 *
 *   plain        the newest row of each key out of the whole history
 *   base + tail  the same out of the base table and the history's days from the watermark on (rules F1 to F7)
 *   as of        a table function: the same, out of changes up to a time
 *
 * All pick whole rows by ROW_NUMBER: MAX_BY of each column would take an older value where the newest is NULL.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_VIEW_SQL_H
#define KAKEHI_WORKERS_BIGQUERY_VIEW_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "workers/bigquery/bigquery_types.h"
#include "workers/bigquery/names.h"

#define VIEW_DAY_NONE INT32_MIN

struct view_column {
    const char *name; /* as BigQuery has it */
    bool shown;       /* in the view: bigquery.columns: current leaves dropped ones out */
};

/* All borrowed. */
struct view_definition {
    const struct bigquery_names *names;
    const struct view_column *columns; /* of the source, in the history's order; no metadata */
    size_t column_count;
    const size_t *key; /* places in columns, in key order */
    size_t key_count;  /* not 0: a table without a key has no view */
    bool keep_deletes; /* show deleted rows, with __deleted */
    bool filtered;     /* the history requires a partition filter */
};

/* The view's query. watermark: days since 1970-01-01; the base holds all of the days before it. VIEW_DAY_NONE: plain. */
void view_sql_view(struct buffer *out, const struct view_definition *definition, int32_t watermark);

/* Puts the newest change of each key, from that ingest day on, into the base: F4. VIEW_DAY_NONE: from the beginning. */
void view_sql_merge(struct buffer *out, const struct view_definition *definition, int32_t from_day);
/* The same for the newest truncate; its own statement, since a truncate has no key to join by. */
void view_sql_merge_truncate(struct buffer *out, const struct view_definition *definition, int32_t from_day);

/* What a refresh must know beforehand: rows (day DATE or NULL, rows INT64): the ingest days from that one on with their rows,
 * one with NULL for truncates in them, and, first, today by BigQuery's clock with -1. */
void view_sql_days(struct buffer *out, const struct view_definition *definition, int32_t from_day);

/* CREATE OR REPLACE TABLE FUNCTION <view>_as_of(at TIMESTAMP). */
void view_sql_as_of(struct buffer *out, const struct view_definition *definition);

#endif
