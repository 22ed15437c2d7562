/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_world: what lanes need of the world: clock, gRPC, tokens, tables. The product puts the functions of those modules here
 * (bigquery_warehouse.c); the tests a small BigQuery in memory and a clock that they turn, so that each answer and each order of
 * answers can be had.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_LANE_WORLD_H
#define KAKEHI_WORKERS_BIGQUERY_LANE_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "workers/bigquery/grpc.h"
#include "workers/bigquery/tables.h"
#include "workers/bigquery/token.h"

/* Something to be done in the next turn of the loop, in the order of asking: the seam never answers inside a request. Embedded. */
struct later {
    void (*run)(void *context);
    void *context;
    bool queued;
    struct later *_next;
};

struct lane_world {
    void *context; /* of the first three and the last three */
    uint64_t (*now_ms)(void *context);
    int64_t (*wall_us)(void *context); /* time of day: for the ingest day */
    void (*later)(void *context, struct later *later);

    struct grpc *grpc;
    struct grpc_call *(*unary)(struct grpc *grpc, const struct grpc_target *target, const void *message, size_t size,
                               grpc_answered answered, void *context);
    struct grpc_call *(*call_open)(struct grpc *grpc, const struct grpc_target *target, const struct grpc_events *events,
                                   void *context);
    void (*call_send)(struct grpc_call *call, const void *message, size_t size);
    void (*call_half_close)(struct grpc_call *call);
    void (*call_cancel)(struct grpc_call *call);

    struct token_source *tokens;
    void (*token_get)(struct token_source *source, struct token_wait *wait);
    void (*token_withdraw)(struct token_wait *wait);
    void (*token_refused)(struct token_source *source, const char *token);

    struct tables *tables;
    void (*find)(struct tables *tables, const char *topic, tables_answered answer, void *context);
    void (*ensure)(struct tables *tables, const struct tables_wish *wish, tables_answered answer, void *context);
    void (*is_empty)(struct tables *tables, struct history *history, history_said answer, void *context);
    void (*has)(struct tables *tables, struct history *history, const struct history_change *change, history_said answer,
                void *context);

    /* Who owns partition 0 of a topic looks after the table's view, and after what its columns say: the partition is ours; some lane has
     * found the table, or changed it; the partition is left. All NULL: nobody does here. */
    void (*keep)(void *context, const char *topic);
    void (*look)(void *context, const struct bigquery_names *names);
    void (*leave)(void *context, const char *topic);
};

static inline uint64_t world_now_ms(const struct lane_world *world)
{
    return world->now_ms(world->context);
}

static inline void world_later(const struct lane_world *world, struct later *later)
{
    if (!later->queued) {
        later->queued = true;
        world->later(world->context, later);
    }
}

#endif
