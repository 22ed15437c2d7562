/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls: the AppendRows calls that a worker keeps open, one for each lane that writes, but never more than calls_max of them: the
 * one that was used least lately is half-closed for a new one, and those that idle are half-closed before the service does it.
 *
 * A call belongs to its owner until call_release, or until its end; then it lives on here, unseen, until the service has ended it.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_CALLS_H
#define KAKEHI_WORKERS_BIGQUERY_CALLS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workers/bigquery/lane_world.h"
#include "workers/bigquery/rpc.h"

struct calls;
struct call;

struct calls_limits {
    size_t calls_max;
    uint64_t idle_ms; /* a call that is not in use for so long is half-closed */
    uint64_t age_ms;  /* one older than this is not used any more: the service ends it after a day. 0: 23 h */
};

/* None happens inside a function of this header. */
struct call_events {
    void (*opened)(void *context); /* it may send now */
    void (*sent)(void *context);   /* the oldest message is no more borrowed */
    void (*message)(void *context, const uint8_t *message, size_t size);
    /* It is over, and gone. code GRPC_OK: the service ended it in peace. unclear: of what was sent something may be in. */
    void (*end)(void *context, const struct rpc_error *error);
};

/* world is borrowed. */
struct calls *calls_new(const struct lane_world *world, const struct calls_limits *limits);
/* All calls are released; what the service has not ended yet is cancelled. `freed` comes when nothing is left. */
void calls_free(struct calls *calls, void (*freed)(void *context), void *context);
/* Once a second: closes what idles, and what does not end. */
void calls_tick(struct calls *calls);

/* Opens one for the stream, as soon as there is room and a token. write_stream is copied, events are borrowed. It is in use. */
struct call *call_open(struct calls *calls, const char *write_stream, const struct call_events *events, void *context);
/* The bytes are borrowed until `sent`, the end, or call_release. Opened, at most GRPC_QUEUE_MAX at once. */
void call_send(struct call *call, const void *bytes, size_t size);
/* In use: an answer is owed. Not in use: it may be half-closed, which its owner learns by the end. */
void call_use(struct call *call, bool in_use);
/* It can't take further requests: it is old, or its connection is going away. Release it when all is answered. */
bool call_is_worn(const struct call *call);
/* Why it is not opened yet, for people; NULL: it is. */
const char *call_waits_for(const struct call *call);
/* The service refuses the token that it was opened with: none like it is given any more. */
void call_refuse_token(struct call *call);
/* No event comes any more, nothing is borrowed. in_peace: nothing is owed, else the service is told to stop. */
void call_release(struct call *call, bool in_peace);

/* {"open": 3, "waiting": 0, "closing": 1, "opened": 17}; the caller owns it. */
json_t *calls_report(const struct calls *calls);

#endif
