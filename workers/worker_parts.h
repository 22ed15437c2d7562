/* SPDX-License-Identifier: Apache-2.0 */
/* worker_parts: what worker.c, worker_partitions.c and worker_status.c share. Nobody else includes it. */
#ifndef KAKEHI_WORKERS_WORKER_PARTS_H
#define KAKEHI_WORKERS_WORKER_PARTS_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "common/admin.h"
#include "common/settings.h"
#include "workers/consumer.h"
#include "workers/dead_letter.h"
#include "workers/partition.h"
#include "workers/schema_cache.h"
#include "workers/schema_registry.h"
#include "workers/wake.h"

/* A partition machine and what the health check remembers of it. */
struct member {
    struct member *next;
    struct partition *partition;
    struct worker *worker;
    int64_t next_seen;
    uint64_t behind_since_ms; /* it has had lag and no progress since; 0: no lag */
};

struct worker {
    uv_loop_t loop;
    const struct settings *settings;
    uv_signal_t signals[2];
    uv_timer_t tick;
    uv_timer_t timer; /* the earliest wake of a partition */
    uv_prepare_t prepare;
    struct wake *wake;
    struct warehouse *warehouse;
    struct consumer *consumer;
    struct schema_cache *schemas;
    struct schema_registry *registry; /* NULL: the settings name none */
    struct dead_letters *letters;
    struct admin *admin;
    struct accounting *accounting;
    struct budget budget;
    struct dedupe_pool dedupe_pool;
    struct partition_shared shared;
    struct member *members;
    uint64_t heartbeat_ms;   /* of the last one */
    uint64_t heartbeat_rows; /* settled by then */
    uint64_t stop_ms; /* 0: not stopping */
    bool budget_changed;
};

static inline uint64_t now_ms(const struct worker *worker)
{
    return uv_now(&worker->loop);
}

/* worker.c: goes on with the stop when the last of group and partitions is gone. */
void worker_stop_if_empty(struct worker *worker);

/* worker_partitions.c */
extern const struct partition_calls worker_partition_calls;
/* All but its context, the worker. */
extern const struct consumer_calls worker_consumer_calls;
void worker_on_buried(void *context, uint64_t assignment, uint64_t batch_number, const struct err *err);
void worker_on_schemas(void *context, uint64_t asker);
void worker_on_newest(void *context, const struct schema *schema);

/* worker_status.c */
/* What the admin port asks; context is the worker. */
bool worker_is_ready(void *context, char *text, size_t size);
bool worker_is_healthy(void *context, char *text, size_t size);
json_t *worker_status(void *context);
/* Once a tick: lag, and whether there is progress. */
void worker_watch(struct worker *worker);
/* Once a tick: a line that says where the worker stands, when one is due (log.heartbeat). */
void worker_heartbeat(struct worker *worker);

#endif
