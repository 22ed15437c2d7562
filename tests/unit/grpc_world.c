/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing here asserts: what a call was told is for the test to judge. A wait without an end is the one failure of this file.
 */
#include "tests/unit/grpc_world.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/must.h"

#define LIMIT_MS 30000

/* ---- what owners are told */

static void on_sent(void *context)
{
    ((struct told *)context)->sent_count++;
}

static void on_message(void *context, const uint8_t *message, size_t size)
{
    struct told *told = context;

    must(told->end_count == 0);
    told->message_count++;
    buffer_append(&told->messages, message, size);
}

static void on_going_away(void *context)
{
    ((struct told *)context)->going_away_count++;
}

static void on_end(void *context, const struct grpc_status *status)
{
    struct told *told = context;

    told->end_count++;
    told->call = NULL;
    told->code = status->code;
    told->sent = status->sent;
    told->server = status->server;
    (void)snprintf(told->text, sizeof told->text, "%s", status->message);
    must(status->details_size <= sizeof told->details);
    told->details_size = status->details_size;
    if (status->details_size > 0) {
        memcpy(told->details, status->details, status->details_size);
    }
}

static void on_answered(void *context, const struct grpc_status *status, const uint8_t *message, size_t size)
{
    struct told *told = context;

    told->null_message = message == NULL;
    if (message != NULL) {
        on_message(told, message, size);
    }
    on_end(told, status);
}

const struct grpc_events told_events = {.sent = on_sent, .message = on_message, .going_away = on_going_away, .end = on_end};

void told_open(struct world *world, struct told *told)
{
    struct grpc_target target = {.method = "/test.Service/Stream"};

    *told = (struct told){0};
    told->call = grpc_call_open(world->grpc, &target, &told_events, told);
}

void told_unary(struct world *world, struct told *told, const void *message, size_t size, uint64_t timeout_ms)
{
    struct grpc_target target = {.method = "/test.Service/Ask",
                                 .params = "parent=projects/p",
                                 .authorization = "Bearer secret",
                                 .timeout_ms = timeout_ms};

    *told = (struct told){0};
    told->call = grpc_unary(world->grpc, &target, message, size, on_answered, told);
}

void told_deinit(struct told *told)
{
    buffer_deinit(&told->messages);
}

/* ---- the world */

static void on_limit(uv_timer_t *limit)
{
    ((struct world *)limit->data)->late = true;
}

static void set_endpoint(struct world *world, const char *wanted, const struct h2_options *server)
{
    const char *start = wanted;

    if (wanted == NULL) {
        start = server->tls != NULL ? "https://localhost:" : "http://127.0.0.1:";
    }
    if (start[strlen(start) - 1] == ':') {
        (void)snprintf(world->endpoint, sizeof world->endpoint, "%s%u", start, h2_server_port(world->server));
    } else {
        (void)snprintf(world->endpoint, sizeof world->endpoint, "%s", start);
    }
}

void world_new(struct world *world, const struct h2_options *server, const struct h2_events *events, void *context,
               const struct grpc_options *options)
{
    static const struct h2_events no_events = {0};
    struct grpc_options used = {0};
    struct err err = {0};

    (void)signal(SIGPIPE, SIG_IGN); /* as the worker does */
    *world = (struct world){0};
    must(uv_loop_init(&world->loop) == 0 && uv_timer_init(&world->loop, &world->limit) == 0);
    world->limit.data = world;
    must(uv_timer_start(&world->limit, on_limit, LIMIT_MS, 0) == 0);
    if (server != NULL) {
        world->server = h2_server_new(&world->loop, server, events != NULL ? events : &no_events, context);
    }
    if (options != NULL) {
        used = *options;
    }
    set_endpoint(world, used.endpoint, server);
    used.endpoint = world->endpoint;
    if (grpc_new(&world->loop, &used, &world->grpc, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        must(false);
    }
}

void world_run(struct world *world, bool (*condition)(void *context), void *context)
{
    while (!condition(context)) {
        must(!world->late);
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

static bool has_ended(void *context)
{
    return ((struct told *)context)->end_count > 0;
}

void world_run_until_ended(struct world *world, struct told *told)
{
    world_run(world, has_ended, told);
}

struct count {
    const unsigned *count;
    unsigned at_least;
};

static bool is_reached(void *context)
{
    const struct count *count = context;

    return *count->count >= count->at_least;
}

void world_run_until_count(struct world *world, const unsigned *count, unsigned at_least)
{
    struct count wanted = {.count = count, .at_least = at_least};

    world_run(world, is_reached, &wanted);
}

static void on_freed(void *context)
{
    ((struct world *)context)->freed = true;
}

static bool is_freed(void *context)
{
    return ((struct world *)context)->freed;
}

void world_free_channel(struct world *world)
{
    grpc_free(world->grpc, on_freed, world);
    must(!world->freed);
    world_run(world, is_freed, world);
}

void world_end(struct world *world)
{
    if (!world->freed) {
        world_free_channel(world);
    }
    if (world->server != NULL) {
        h2_server_free(world->server);
    }
    uv_close((uv_handle_t *)&world->limit, NULL);
    must(uv_run(&world->loop, UV_RUN_DEFAULT) == 0);
    must(uv_loop_close(&world->loop) == 0);
}
