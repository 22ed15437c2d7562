/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_parts: what the files of the channel know of each other. For grpc.c, grpc_call.c and grpc_connection.c alone.
 *
 * Who owns whom: the channel owns calls and connections. A call has a connection from when its stream is opened until it has
 * ended. Everything that is called from outside, and every event of HTTP/2, only records and wakes the channel; its turn, in
 * the same iteration of the loop or the next, tells owners, opens streams and connections, and writes. So nghttp2 is never
 * called inside one of its own callbacks (an owner's `message` is such a place), and what several callbacks wanted is written
 * at once.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_GRPC_PARTS_H
#define KAKEHI_WORKERS_BIGQUERY_GRPC_PARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/buffer.h"
#include "common/sm.h"
#include "workers/bigquery/grpc.h"
#include "workers/bigquery/grpc_answer.h"
#include "workers/bigquery/http2.h"
#include "workers/bigquery/tls.h"
#include "workers/bigquery/transport.h"

/* ---- the channel (grpc.c) */

struct grpc {
    uv_loop_t *loop;
    struct grpc_options options; /* numbers only: its strings are not kept */
    char *endpoint;              /* as it was given, for the report */
    char *host;
    char *port;
    char *authority;           /* host, and the port where it is not the scheme's own */
    char *quota_project;       /* NULL: none */
    struct tls_context *tls;   /* NULL: plaintext */
    uint64_t ping_interval_ms; /* doubled when a server complains of too many */
    uv_idle_t turn;            /* active: something waits for the channel's turn */
    uv_timer_t deadlines;      /* of calls */
    unsigned handle_count;     /* of the two, not yet closed */
    struct grpc_call *calls;   /* all, newest first */
    struct grpc_call *waiting; /* for a connection, oldest first; further ones go to *waiting_end */
    struct grpc_call **waiting_end;
    struct grpc_call *touched; /* something happened to them since the last turn, oldest first */
    struct grpc_call **touched_end;
    struct grpc_connection *connections;
    unsigned connection_count;
    uint64_t sent_bytes;     /* of connections that are gone */
    uint64_t received_bytes; /* the same */
    bool freeing;
    void (*freed)(void *context);
    void *freed_context;
};

void grpc_wake(struct grpc *grpc);
/* A connection could not be made: those who wait for one hear of it. */
void grpc_fail_waiting(struct grpc *grpc, const struct err *err);
/* A connection is closed; it is freed when this returns. */
void grpc_connection_gone(struct grpc_connection *connection);

/* ---- a call (grpc_call.c) */

struct grpc_sending {
    const uint8_t *bytes;
    size_t size;
};

struct grpc_call {
    struct grpc *grpc;
    struct grpc_call *next; /* of all */
    struct grpc_call **place;
    struct grpc_call *next_waiting; /* while `waits` */
    struct grpc_call *next_touched; /* while `touched` */
    bool waits;
    bool touched;

    char *method;
    char *params;
    char *authorization; /* wiped when the stream is opened */
    uint64_t timeout_ms;
    uint64_t deadline_ms; /* by uv_now; UINT64_MAX: none */
    const struct grpc_events *events;
    void *context;

    struct grpc_connection *connection; /* NULL: waits, or is off it */
    struct grpc_call *next_on_connection;
    struct grpc_call **place_on_connection;
    int32_t stream;
    bool stream_over; /* nothing more will come of it: no need to reset it */
    bool left;        /* HEADERS were produced: the server may know of it */
    bool refused;     /* the server said that it did nothing with it */
    bool going_away;  /* the owner is to be told */

    struct grpc_sending queue[GRPC_QUEUE_MAX]; /* a ring; the first may be partly sent */
    unsigned queue_first;
    unsigned queue_count;
    unsigned sent_count; /* sent, and the owner is to be told */
    bool half_closed;
    bool packed; /* the first is being sent: prefix, then packed_bytes */
    uint8_t prefix[GRPC_PREFIX_BYTES];
    struct grpc_sending packed_message; /* the first itself, or `compressed` */
    size_t packed_at;                   /* how much of prefix and message was sent */
    struct buffer compressed;

    struct grpc_answer answer;
    bool canceled; /* by its owner: nothing but the end is told */
    bool ended;    /* the end is being told */

    grpc_answered answered; /* unary; else NULL */
    struct buffer unary_request;
    struct buffer unary_answer;
    bool unary_answer_came;
};

/* Events of its stream. */
void grpc_call_on_leaving(void *stream);
size_t grpc_call_on_body(void *stream, uint8_t *to, size_t size, bool *ret_last);
void grpc_call_on_header(void *stream, const char *name, const char *value, size_t value_size);
void grpc_call_on_data(void *stream, const uint8_t *bytes, size_t size);
void grpc_call_on_end(void *stream);
void grpc_call_on_reset(void *stream, uint32_t code);

/* It has something to do in the channel's turn. */
void grpc_call_touch(struct grpc_call *call);
/* Its stream is opened on a connection that has room. */
void grpc_call_start(struct grpc_call *call, struct grpc_connection *connection);
/* Ends it for a reason of our side, if it has not ended. Told in the next turn. */
__attribute__((format(printf, 3, 4))) void grpc_call_fail(struct grpc_call *call, enum grpc_code code, const char *format, ...);
/* What happened since the last turn; may free it. */
void grpc_call_step(struct grpc_call *call);

/* ---- a connection (grpc_connection.c) */

struct grpc_connection {
    struct sm sm;
    struct grpc *grpc;
    struct grpc_connection *next;
    struct transport *transport;
    struct http2 *http2;
    uv_timer_t timer; /* CONNECTING: the time-out; then silence, the answer to PING, idleness */
    unsigned alive;   /* transport and timer, not yet closed */
    struct grpc_call *calls;
    unsigned call_count;
    uint64_t heard_ms; /* when something was received, or it opened */
    uint64_t idle_ms;  /* since when it has no call */
    bool pinged;       /* a PING is under way, and nothing came since */
    uint64_t ping_end; /* transport_taken_bytes behind the PING; UINT64_MAX: it is not taken yet */
    uint64_t ping_ms;  /* when we pinged, or the queue before the PING last moved */
    bool dirty;        /* to be flushed in the channel's turn */
    struct buffer out;
};

struct grpc_connection *grpc_connection_new(struct grpc *grpc);
bool grpc_connection_connecting(const struct grpc_connection *connection);
/* Its transport may be gone. */
bool grpc_connection_closing(const struct grpc_connection *connection);
/* May a call be opened on it now? */
bool grpc_connection_has_room(const struct grpc_connection *connection);
void grpc_connection_add(struct grpc_connection *connection, struct grpc_call *call);
void grpc_connection_remove(struct grpc_connection *connection, struct grpc_call *call);
/* Something is to be written. */
void grpc_connection_touch(struct grpc_connection *connection);
/* Writes what there is to write; retires what is of no more use. */
void grpc_connection_step(struct grpc_connection *connection);
/* Its calls must have ended. Nothing happens if it is closing already. */
void grpc_connection_close(struct grpc_connection *connection, const char *why);
/* Not when closing. */
json_t *grpc_connection_report(const struct grpc_connection *connection);

#endif
