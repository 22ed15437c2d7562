/* SPDX-License-Identifier: Apache-2.0 */
/*
 * views: the latest views that this worker looks after: those of the topics whose partition 0 it owns. A round (refresh.h) for
 * each at once, then whenever its columns changed, and once a day, a while after midnight UTC.
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
};

struct views *views_open(const struct views_options *options);

/* Its view is to be looked after, and looked at now. Again with each newer history of the table. */
void views_keep(struct views *views, struct history *history);
/* The topic's partition 0 is somebody else's now. Nothing happens if no view of it is kept. */
void views_leave(struct views *views, const char *topic);

/* {"shop.orders": {"view": .., "kind": "base", "watermark": "2026-11-19", "trouble": ..}, ...}; the caller owns it. */
json_t *views_status(const struct views *views);
/* Why a view is not as it should be: the first that is so. False: all are. */
bool views_trouble(const struct views *views, char *text, size_t size);

/* Asynchronous, last. Takes NULL (closed is called at once). */
void views_close(struct views *views, void (*closed)(void *context), void *context);

#endif
