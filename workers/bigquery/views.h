/* SPDX-License-Identifier: Apache-2.0 */
/*
 * views: the latest views that this worker looks after: those of the topics whose partition 0 it owns, whether or not that
 * partition ever holds a row. A round (refresh.h) for each at once, then whenever the history's columns changed, and once a day,
 * a while after midnight UTC.
 *
 * Whoever writes a history need not be the one who keeps its view. So the history is looked at again and again (one call), as
 * often as the table's freshness asks: columns that another worker's rows brought stand in the view soon after. Of what the lanes
 * of this worker find the view hears at once.
 *
 * Owning partition 0 only says who has the work; two owners at once do no harm (F1).
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_VIEWS_H
#define KAKEHI_WORKERS_BIGQUERY_VIEWS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/settings.h"
#include "workers/bigquery/rest.h"
#include "workers/bigquery/tables.h"

struct views;

/* All borrowed until closed. */
struct views_options {
    uv_loop_t *loop;
    struct rest *rest;
    const struct settings *settings;
    int64_t (*wall_us)(void *context); /* time of day; NULL: the system's. Tests turn it */
    void *context;
    uint64_t look_min_ms; /* a history is looked at no more often than this; 0: a minute. Tests shorten it */
};

struct views *views_open(const struct views_options *options);

/* The topic's partition 0 is ours: its view is looked after from now on, as soon as there is a history. Nothing happens if it is
 * no topic of a table: its lanes say so. */
void views_keep(struct views *views, const char *topic);
/* A lane of this worker has found that table's history, or made or changed it: it is looked at now, if we keep its view. */
void views_look(struct views *views, const struct bigquery_names *names);
/* Ends one views_keep; behind the last the topic's partition 0 is somebody else's. Nothing happens if no view of it is kept. */
void views_leave(struct views *views, const char *topic);

/* {"shop.orders": {"view": .., "kind": "base", "watermark": "2026-11-19", "trouble": ..}, ...}; the caller owns it. */
json_t *views_status(const struct views *views);
/* Why a view is not as it should be, and what is to be done: the first for which a person must act, or that has been so for
 * worker.stall, or whose round does not end. False: none. */
bool views_trouble(const struct views *views, char *text, size_t size);

/* Asynchronous, last. Takes NULL (closed is called at once). */
void views_close(struct views *views, void (*closed)(void *context), void *context);

#endif
