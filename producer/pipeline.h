/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipeline: one source to Kafka: election, fencing, position, rows, commits, and what to do when any of it fails.
 *
 * It joins the source (producer/source.h), the publisher and the election; it decides, they do. Loop thread only. Time, the
 * loop's turns and the end come in through a world, so that tests can inject them.
 */
#ifndef KAKEHI_PRODUCER_PIPELINE_H
#define KAKEHI_PRODUCER_PIPELINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/settings.h"
#include "producer/source.h"

/* Changes of one Kafka transaction that are larger than Kafka takes; each is found by a refusal of its own (producer.too_large). */
#define PIPELINE_OVERSIZED_MAX 64

struct pipeline;

struct pipeline_world {
    void *context;
    uv_loop_t *loop;                                  /* for publisher and election */
    uint64_t (*now_ms)(void *context);                /* monotonic */
    int64_t (*clock_us)(void *context);               /* wall clock, UTC */
    void (*wake_at)(void *context, uint64_t when_ms); /* then pipeline_wake; replaces an earlier wish */
    void (*soon)(void *context);                      /* pipeline_turn in the next round of the loop; many wishes are one */
    void (*ended)(void *context, int exit_code);      /* the last call; then pipeline_free */
};

/* Borrows settings and world until freed; takes the source, also when it fails. */
int pipeline_new(const struct settings *settings, const struct pipeline_world *world, struct source *source,
                 struct pipeline **ret_pipeline, struct err *err) MUST_CHECK;
void pipeline_free(struct pipeline *pipeline); /* only when ended, or never started */

void pipeline_start(struct pipeline *pipeline);
/* Commits what is whole, if that is quickly done; leaves the group; `ended` comes within seconds. */
void pipeline_stop(struct pipeline *pipeline);

void pipeline_turn(struct pipeline *pipeline);
void pipeline_wake(struct pipeline *pipeline);

/* For the admin port. */
bool pipeline_ready(const struct pipeline *pipeline, char *text, size_t size);
bool pipeline_healthy(const struct pipeline *pipeline, char *text, size_t size);
json_t *pipeline_status(const struct pipeline *pipeline);

#endif
