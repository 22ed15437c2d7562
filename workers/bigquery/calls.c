/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   LINE --room--> TOKEN --token--> OPEN --end--> gone
 *     |              |               |
 *     +--release-----+--release------+--release, idle, old--> CLOSING --end--> gone
 *
 * | state   | counts | waits for                    |
 * | LINE    | no     | another call's end           |
 * | TOKEN   | yes    | the token source             |
 * | OPEN    | yes    | its owner, and the service   |
 * | CLOSING | yes    | the service; for CLOSE_MS    |
 *
 * K1  At most calls_max calls count.
 * K2  A call without an owner (events NULL) gives no event.
 *
 * Who is half-closed for want of room hears of it by the end of the call, as of any other: an owner that has nothing under way drops
 * it and opens another when it has.
 */
#include "workers/bigquery/calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "common/sm.h"

#define AGE_MS   (23 * UINT64_C(3600000))
#define CLOSE_MS 30000 /* for the service to end a call that was half-closed */

enum { LINE, TOKEN, OPEN, CLOSING };

static const struct sm_state states[] = {
    [LINE] = {"LINE", SM_TO(TOKEN) | SM_TO(CLOSING)},
    [TOKEN] = {"TOKEN", SM_TO(OPEN) | SM_TO(CLOSING)},
    [OPEN] = {"OPEN", SM_TO(CLOSING)},
    [CLOSING] = {"CLOSING", 0},
};

struct call {
    struct sm sm;
    struct calls *calls;
    struct call *next;
    const struct call_events *events; /* K2 */
    void *context;
    char *write_stream;
    char *token; /* that it was opened with */
    struct token_wait wait;
    struct grpc_call *grpc_call;
    struct later later; /* opened, or failed for want of a token */
    struct rpc_error error;
    bool told; /* `opened` was said */
    bool in_use;
    bool going_away;
    bool cancelled;
    uint64_t opened_ms;
    uint64_t used_ms; /* when it was last in use; CLOSING: when that began */
};

struct calls {
    const struct lane_world *world;
    struct calls_limits limits;
    struct call *first;
    uint64_t opened_count;
    void (*freed)(void *context); /* set: no new ones */
    void *freed_context;
    struct later later;
};

static bool no_invariant(const struct sm *machine)
{
    (void)machine;
    return true;
}

static uint64_t now_ms(const struct calls *calls)
{
    return world_now_ms(calls->world);
}

static size_t count(const struct calls *calls, int state)
{
    size_t found = 0;

    for (const struct call *call = calls->first; call != NULL; call = call->next) {
        found += sm_at(&call->sm) == state;
    }
    return found;
}

static void grant(struct calls *calls);

static void finish_if_empty(struct calls *calls)
{
    if (calls->freed != NULL && calls->first == NULL && !calls->later.queued) {
        void (*freed)(void *context) = calls->freed;
        void *context = calls->freed_context;

        free(calls);
        freed(context);
    }
}

static void forget_token(struct call *call)
{
    if (call->token != NULL) {
        explicit_bzero(call->token, strlen(call->token));
        free(call->token);
        call->token = NULL;
    }
}

/* Off the list; there is room for another then. */
static void remove_call(struct call *call)
{
    struct calls *calls = call->calls;
    struct call **at = &calls->first;

    while (*at != call) {
        at = &(*at)->next;
    }
    *at = call->next;
    forget_token(call);
    free(call->write_stream);
    free(call);
    grant(calls);
}

/* ---- open */

static void on_sent(void *context)
{
    const struct call *call = context;

    if (call->events != NULL) {
        call->events->sent(call->context);
    }
}

static void on_message(void *context, const uint8_t *message, size_t size)
{
    const struct call *call = context;

    if (call->events != NULL) {
        call->events->message(call->context, message, size);
    }
}

static void on_going_away(void *context)
{
    ((struct call *)context)->going_away = true;
}

void call_refuse_token(struct call *call)
{
    if (call->token != NULL) {
        call->calls->world->token_refused(call->calls->world->tokens, call->token);
    }
}

/* error may be the call's own. */
static void tell_end(struct call *call, const struct rpc_error *error)
{
    const struct call_events *events = call->events;
    const struct rpc_error copy = *error;
    void *context = call->context;

    call->events = NULL;
    remove_call(call);
    if (events != NULL) {
        events->end(context, &copy);
    }
}

static void on_end(void *context, const struct grpc_status *status)
{
    struct call *call = context;
    struct calls *calls = call->calls;
    struct rpc_error error;

    rpc_error_read(status, &error);
    if (error.code == GRPC_UNAUTHENTICATED) {
        call_refuse_token(call);
    }
    call->grpc_call = NULL;
    if (call->later.queued) { /* it is still to say `opened`; the end comes behind */
        call->error = error;
        return;
    }
    tell_end(call, &error);
    finish_if_empty(calls);
}

static const struct grpc_events grpc_events = {.sent = on_sent, .message = on_message, .going_away = on_going_away, .end = on_end};

static void on_later(void *context)
{
    struct call *call = context;
    struct calls *calls = call->calls;

    if (call->grpc_call == NULL) {
        tell_end(call, &call->error);
        finish_if_empty(calls);
    } else if (call->events != NULL) {
        call->told = true;
        call->events->opened(call->context);
    }
}

static void open_call(struct call *call, const char *token)
{
    const struct lane_world *world = call->calls->world;
    char *params = NULL;
    char *authorization = NULL;

    call->token = must_strdup(token);
    must(asprintf(&params, "write_stream=%s", call->write_stream) > 0 &&
         asprintf(&authorization, "%s%s", token[0] != '\0' ? "Bearer " : "", token) >= 0);
    call->grpc_call = world->call_open(world->grpc,
                                       &(struct grpc_target){.method = RPC_SERVICE "AppendRows",
                                                             .params = params,
                                                             .authorization = authorization},
                                       &grpc_events, call);
    call->calls->opened_count++;
    call->opened_ms = now_ms(call->calls);
    sm_move(&call->sm, OPEN, "token at hand");
    explicit_bzero(authorization, strlen(authorization));
    free(authorization);
    free(params);
}

static void on_token(struct token_wait *wait, const char *token, const struct err *err)
{
    struct call *call = wait->context;

    if (token != NULL) {
        open_call(call, token);
    } else {
        call->error = (struct rpc_error){.code = GRPC_UNAUTHENTICATED};
        (void)snprintf(call->error.text, sizeof call->error.text, "%s", err->text);
        sm_move(&call->sm, CLOSING, "no token");
    }
    call->later = (struct later){.run = on_later, .context = call};
    world_later(call->calls->world, &call->later);
}

static void get_token(struct call *call)
{
    sm_move(&call->sm, TOKEN, "room");
    call->wait = (struct token_wait){.answer = on_token, .context = call};
    call->calls->world->token_get(call->calls->world->tokens, &call->wait);
}

/* ---- room */

static void half_close(struct call *call, const char *why)
{
    call->used_ms = now_ms(call->calls);
    sm_move(&call->sm, CLOSING, why);
    if (call->grpc_call != NULL) {
        call->calls->world->call_half_close(call->grpc_call);
    }
}

static struct call *least_used(const struct calls *calls)
{
    struct call *found = NULL;

    for (struct call *call = calls->first; call != NULL; call = call->next) {
        if (sm_at(&call->sm) == OPEN && !call->in_use && (found == NULL || call->used_ms < found->used_ms)) {
            found = call;
        }
    }
    return found;
}

static struct call *first_in_line(const struct calls *calls)
{
    struct call *call = calls->first;

    while (call != NULL && sm_at(&call->sm) != LINE) {
        call = call->next;
    }
    return call;
}

/* K1. Who waits goes on where there is room; else room is made, one call for each that waits. */
static void grant(struct calls *calls)
{
    struct call *call;
    size_t closing = count(calls, CLOSING);
    size_t open = count(calls, OPEN) + count(calls, TOKEN) + closing;
    size_t waiting = count(calls, LINE);

    while (open < calls->limits.calls_max && (call = first_in_line(calls)) != NULL) {
        open++;
        waiting--;
        get_token(call);
    }
    for (; closing < waiting && (call = least_used(calls)) != NULL; closing++) {
        half_close(call, "room for another");
    }
}

/* ---- the owner's side */

struct call *call_open(struct calls *calls, const char *write_stream, const struct call_events *events, void *context)
{
    struct call *call = calloc(1, sizeof *call);
    struct call **last = &calls->first;

    must(call != NULL && calls->freed == NULL);
    call->calls = calls;
    call->write_stream = must_strdup(write_stream);
    call->events = events;
    call->context = context;
    call->in_use = true;
    call->used_ms = now_ms(calls);
    sm_init(&call->sm, "call", call->write_stream, states, LINE, no_invariant);
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = call;
    grant(calls);
    return call;
}

void call_send(struct call *call, const void *bytes, size_t size)
{
    must(call->told);
    call->calls->world->call_send(call->grpc_call, bytes, size);
}

void call_use(struct call *call, bool in_use)
{
    call->in_use = in_use;
    call->used_ms = now_ms(call->calls);
    if (!in_use) {
        grant(call->calls);
    }
}

static bool is_old(const struct call *call)
{
    uint64_t limit_ms = call->calls->limits.age_ms > 0 ? call->calls->limits.age_ms : AGE_MS;

    return now_ms(call->calls) - call->opened_ms >= limit_ms;
}

bool call_is_worn(const struct call *call)
{
    return sm_at(&call->sm) == CLOSING || (sm_at(&call->sm) == OPEN && (call->going_away || is_old(call)));
}

const char *call_waits_for(const struct call *call)
{
    return sm_at(&call->sm) == LINE ? "one of the open calls (bigquery.calls)" : sm_at(&call->sm) == TOKEN ? "an access token" : NULL;
}

static void cancel(struct call *call)
{
    if (call->grpc_call != NULL && !call->cancelled) {
        call->cancelled = true;
        call->calls->world->call_cancel(call->grpc_call);
    }
}

void call_release(struct call *call, bool in_peace)
{
    int state = sm_at(&call->sm);

    call->events = NULL;
    call->in_use = false;
    if (state == LINE || state == TOKEN) {
        call->calls->world->token_withdraw(&call->wait);
        remove_call(call);
        return;
    }
    if (state == OPEN) {
        half_close(call, "released");
    }
    if (!in_peace) {
        cancel(call);
    }
}

void calls_tick(struct calls *calls)
{
    uint64_t now = now_ms(calls);

    for (struct call *call = calls->first; call != NULL; call = call->next) {
        int state = sm_at(&call->sm);

        if (state == OPEN && !call->in_use && (now - call->used_ms >= calls->limits.idle_ms || call_is_worn(call))) {
            half_close(call, "not used");
        } else if (state == CLOSING && now - call->used_ms >= CLOSE_MS) {
            cancel(call);
        }
    }
}

/* ---- beginning and end */

struct calls *calls_new(const struct lane_world *world, const struct calls_limits *limits)
{
    struct calls *calls = calloc(1, sizeof *calls);

    must(calls != NULL && limits->calls_max > 0);
    calls->world = world;
    calls->limits = *limits;
    return calls;
}

static void on_free(void *context)
{
    finish_if_empty(context);
}

void calls_free(struct calls *calls, void (*freed)(void *context), void *context)
{
    for (struct call *call = calls->first; call != NULL; call = call->next) {
        must(call->events == NULL);
        cancel(call);
    }
    calls->freed = freed;
    calls->freed_context = context;
    calls->later = (struct later){.run = on_free, .context = calls};
    world_later(calls->world, &calls->later);
}

json_t *calls_report(const struct calls *calls)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "open", (json_int_t)count(calls, OPEN) + (json_int_t)count(calls, TOKEN), "waiting",
                     (json_int_t)count(calls, LINE), "closing", (json_int_t)count(calls, CLOSING), "opened",
                     (json_int_t)calls->opened_count);
}
