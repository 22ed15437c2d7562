/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view_days: what a refresh has to merge, out of the answer to view_sql_days and what the view remembers. Pure.
 *
 *   F2  the new watermark is BigQuery's today - 2, and never an older one than the view has
 *       It moves, by a MERGE, as seldom as the table's freshness allows: once a day, or once in so many days
 *   F5  a closed day whose rows are not those that were merged is late: it is merged again, with all after it
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_VIEW_DAYS_H
#define KAKEHI_WORKERS_BIGQUERY_VIEW_DAYS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "workers/bigquery/view_state.h"

#define VIEW_LAG_DAYS 2

struct view_late {
    int32_t day;
    int64_t merged; /* rows then */
    int64_t now;
};

struct view_days {
    int32_t today;     /* by BigQuery's clock */
    int32_t watermark; /* as it is to be */
    bool merge;        /* there is something to merge ... */
    int32_t from_day;  /* ... from that ingest day on */
    bool truncates;    /* there are truncates in it */
    bool expired;      /* days expired before they were merged */
    struct view_late late[VIEW_DAYS_KEPT];
    size_t late_count;
    struct view_day closed[VIEW_DAYS_KEPT]; /* what is to be remembered with the new watermark; oldest first */
    size_t closed_count;
};

struct view_days_rules {
    int64_t expiration_ms; /* of the history's partitions; 0: never */
    int64_t freshness_ms;  /* of the table: of less than two days each day is merged; else so many days at once */
};

/* How many days a MERGE takes at least, by a table's freshness. */
int64_t view_days_at_once(int64_t freshness_ms);
/* The first day to ask view_sql_days for. */
int32_t view_days_from(const struct view_state *state);
/* rows: as query.h gives them. ERR_RETRY: no such answer. */
int view_days_read(const json_t *rows, const struct view_state *state, const struct view_days_rules *rules,
                   struct view_days *ret_days, struct err *err) MUST_CHECK;

#endif
