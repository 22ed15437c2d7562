/* SPDX-License-Identifier: Apache-2.0 */
/* The binlog of a live server behind the seam of producer/source.h. */
#ifndef KAKEHI_PRODUCER_BINLOG_SOURCE_H
#define KAKEHI_PRODUCER_BINLOG_SOURCE_H

#include <uv.h>

#include "common/err.h"
#include "common/settings.h"
#include "producer/binlog/reader.h"
#include "producer/source.h"

/* Borrows settings until freed. Fails only on settings that no retry mends. Before there are threads, because of time zones (zone.h). */
int binlog_source_new(uv_loop_t *loop, const struct settings *settings, struct source **ret_source, struct err *err) MUST_CHECK;

/* What the source needs of the world: connections and patience. Tests hand in their own. */
struct binlog_world {
    void *context;
    /* A connection that will look for its place by this wish (copied). */
    struct binlog_connection *(*connect)(const struct binlog_world *world, const struct settings_source *settings, const struct binlog_wish *wish);
    uint32_t server_id;      /* ours, among the replicas of the server */
    uint64_t pause_first_ms; /* doubles with each failure in a row, up to a minute */
    size_t ring_bytes;
    uint64_t memory_bytes;   /* producer.memory; 0: there is no ceiling */
    struct choices *choices; /* taken; NULL: nothing is chosen */
};

struct source *binlog_source_new_in(uv_loop_t *loop, const struct settings_source *settings, const struct binlog_world *world);

#endif
