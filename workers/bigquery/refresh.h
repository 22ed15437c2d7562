/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refresh: one round over one history: its latest view, as-of function and base are what they should be when it ends. The same
 * round makes them, changes them when columns came or went, and moves the watermark; any number may run at once, in any
 * process, and each may stop anywhere for any time (F1).
 *
 * The names come from a topic or from a label, not from rows that this process wrote: so a round changes nothing before it has
 * seen that the dataset is this owner's.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_REFRESH_H
#define KAKEHI_WORKERS_BIGQUERY_REFRESH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/settings.h"
#include "workers/bigquery/names.h"
#include "workers/bigquery/rest.h"

struct refresh;

/* All borrowed until the answer. */
struct refresh_options {
    struct rest *rest;
    const struct settings *settings;
    const struct bigquery_names *names;
    /* What an earlier round reported as `seen`: if the history is still so, nothing else is looked at (REFRESH_SAME), which costs
     * one call. 0: look at all. */
    uint64_t seen;
};

enum refresh_did {
    REFRESH_NOTHING, /* all is as it should be */
    REFRESH_CHANGED, /* the view or the function was made or changed */
    REFRESH_MERGED,  /* the base got changes, and the watermark was moved */
    REFRESH_NO_KEY,  /* the table has no key, so it has no view */
    REFRESH_GONE,    /* there is no such history */
    REFRESH_SAME,    /* the history is as it was `seen`; the rest of the report says nothing */
};

struct refresh_report {
    enum refresh_did did;
    uint64_t seen;      /* a fingerprint of all that the view takes from the history; never 0. Of GONE and failures: 0 */
    bool base;          /* base + tail; else plain */
    int32_t from_day;   /* MERGED: the first ingest day that was merged; VIEW_DAY_NONE: from the beginning */
    int32_t watermark;  /* base: where the tail begins; else VIEW_DAY_NONE */
    int32_t today;      /* by BigQuery's clock; VIEW_DAY_NONE: it was not asked */
    uint64_t late_rows; /* F5: rows that came into closed days, and were merged now */
};

/* report NULL with err: RETRY, FATAL (a person must act; the text says how), CANCELED. */
typedef void (*refresh_answered)(void *context, const struct refresh_report *report, const struct err *err);

/* Answers exactly once, never inside the call. */
struct refresh *refresh_start(const struct refresh_options *options, refresh_answered answer, void *context);
/* No answer comes; what was begun may run on. Takes NULL. */
void refresh_cancel(struct refresh *refresh);

#endif
