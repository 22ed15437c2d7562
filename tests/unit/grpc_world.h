/* SPDX-License-Identifier: Apache-2.0 */
/* grpc_world: a loop, a channel, a server on the same loop, and what calls were told. For the tests of the gRPC client. */
#ifndef KAKEHI_TESTS_UNIT_GRPC_WORLD_H
#define KAKEHI_TESTS_UNIT_GRPC_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/buffer.h"
#include "tests/unit/h2_server.h"
#include "workers/bigquery/grpc.h"

/* What the owner of one call was told. */
struct told {
    struct grpc_call *call; /* NULL when it has ended */
    unsigned sent_count;
    unsigned message_count;
    unsigned going_away_count;
    unsigned end_count;
    struct buffer messages; /* all, one behind the other */
    int code;
    bool sent;
    bool server;
    char text[5000];
    uint8_t details[256];
    size_t details_size;
    bool null_message; /* unary: the answer was given as NULL */
};

struct world {
    uv_loop_t loop;
    uv_timer_t limit;
    bool late;
    struct h2_server *server;
    struct grpc *grpc;
    bool freed;
    char endpoint[64];
};

extern const struct grpc_events told_events; /* context: struct told */

/* Any of the options may be NULL: no server; a channel with standards. options->endpoint NULL: the server, https if it has TLS.
 */
void world_new(struct world *world, const struct h2_options *server, const struct h2_events *events, void *context,
               const struct grpc_options *options);
/* Frees channel (if it is not yet) and server, and runs until nothing is left. */
void world_end(struct world *world);
/* Runs until the condition is true; a test that is not through in 30 s fails. */
void world_run(struct world *world, bool (*condition)(void *context), void *context);
void world_run_until_ended(struct world *world, struct told *told);
void world_run_until_count(struct world *world, const unsigned *count, unsigned at_least);
void world_free_channel(struct world *world);

void told_open(struct world *world, struct told *told);
void told_unary(struct world *world, struct told *told, const void *message, size_t size, uint64_t timeout_ms);
void told_deinit(struct told *told);

#endif
