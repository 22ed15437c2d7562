/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cost: a month's estimate of what one table costs in BigQuery. Pure: figures in, money out.
 *
 *   writing  = bytes in a month x append_gib             0 by load jobs
 *   storage  = bytes of history and base, half a month's growth included, x storage_gib_month
 *   queries  = bytes that one query of the whole view reads x queries_a_day x 30 x scan_tib
 *   refresh  = bytes that one MERGE reads x refreshes a month x scan_tib     0 with a plain view
 *
 * What it leaves out: the free amounts (2 TiB of appends, 10 GiB of storage, 1 TiB of scans a project and month), long-term storage's
 * half price, and queries that prune. So it is what the table costs at most, and what it is good for is comparing settings.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_COST_H
#define KAKEHI_WORKERS_BIGQUERY_COST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/settings.h"

struct cost_prices {
    double append_gib;        /* Storage Write API */
    double storage_gib_month; /* active logical storage */
    double scan_tib;          /* queries on demand */
    const char *date;         /* borrowed from the settings, or static */
};

/* The defaults with bigquery.prices over them. ERR_FATAL: a name that is no price, or no number. */
int cost_prices_read(const struct settings_bigquery *settings, struct cost_prices *ret_prices, struct err *err) MUST_CHECK;

struct cost_facts {
    double bytes_a_day;      /* that the history grew, as seen so far */
    double stored_bytes;     /* history and base, now */
    double query_bytes;      /* of the whole view: a dry run's */
    double queries_a_day;
    double refresh_bytes;    /* of one MERGE; 0: plain */
    double refreshes_a_day;
    bool loads;              /* by load jobs */
};

struct cost {
    double writing;
    double storage;
    double queries;
    double refresh;
};

struct cost cost_month(const struct cost_facts *facts, const struct cost_prices *prices);
double cost_sum(const struct cost *cost);

#endif
