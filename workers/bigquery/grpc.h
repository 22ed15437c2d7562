/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc: calls of one gRPC server (a channel), on the loop: unary ones and bidirectional streams, many on few connections.
 *
 * HTTP/2 by nghttp2 over TLS (OpenSSL; chain and host name are verified, ALPN h2) or, for emulators, plaintext with prior
 * knowledge. Written after gRPC's documents PROTOCOL-HTTP2.md, http-grpc-status-mapping.md and compression.md.
 *
 * Nothing is retried here, and no token is known: each call is given its authorization, and its end says by code and `sent`
 * whether it may be made again. A connection is made when a call needs one; if that fails, all calls that wait for one end with
 * UNAVAILABLE, so whoever calls again waits a little longer each time.
 *
 * All callbacks happen on the loop's thread and never inside a function of this header; inside a callback every function may be
 * called. A call ends exactly once, by its last callback, and is freed behind it. The process must ignore SIGPIPE.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_GRPC_H
#define KAKEHI_WORKERS_BIGQUERY_GRPC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "workers/bigquery/grpc_status.h"

#define GRPC_QUEUE_MAX 64 /* messages given to a call and not yet sent */

struct grpc;
struct grpc_call;

struct grpc_options {
    const char *endpoint;          /* "https://bigquerystorage.googleapis.com", "http://127.0.0.1:9060"; no path */
    const char *ca_file;           /* PEM, instead of the system's; NULL: the system's */
    const char *quota_project;     /* x-goog-user-project of each call; NULL: none */
    unsigned connections_max;      /* 0: 1000. When all are full, calls wait in line */
    unsigned calls_per_connection; /* and no more than the server's MAX_CONCURRENT_STREAMS; 0: 25 */
    uint64_t connect_timeout_ms;   /* name, TCP, TLS and the server's SETTINGS; 0: 20 s */
    uint64_t ping_interval_ms;     /* a connection with calls that was silent for so long is asked by PING; 0: 60 s */
    uint64_t ping_timeout_ms;      /* PING without an answer for so long: the connection is dead; 0: 20 s */
    uint64_t idle_ms;              /* a connection without calls is closed after so long; 0: 5 min */
    bool gzip;                     /* compress the messages sent; received ones are inflated in any case */
    int socket_send_bytes;         /* SO_SNDBUF, for tests; 0: the system's */
};

/* Options are copied. Connects to nobody yet. ERR_FATAL: the endpoint is no URL of a server, or the CA file can't be read. */
int grpc_new(uv_loop_t *loop, const struct grpc_options *options, struct grpc **ret_grpc, struct err *err) MUST_CHECK;

/* Asynchronous, last. All calls end with CANCELLED, sockets are closed, then `freed`. Takes NULL (freed is called at once). */
void grpc_free(struct grpc *grpc, void (*freed)(void *context), void *context);

/* All of it is copied before the function returns. */
struct grpc_target {
    const char *method;        /* "/google.cloud.bigquery.storage.v1.BigQueryWrite/AppendRows" */
    const char *params;        /* x-goog-request-params: "write_stream=projects/p/..."; NULL: none */
    const char *authorization; /* "Bearer ..."; NULL or "": none */
    uint64_t timeout_ms;       /* from now until the end of the call, waiting for a connection included; 0: none */
};

/* ---- unary */

/* message: NULL unless status->code is GRPC_OK. Borrowed as status is. */
typedef void (*grpc_answered)(void *context, const struct grpc_status *status, const uint8_t *message, size_t size);

/* Answers exactly once. The message is copied. The call is for grpc_call_cancel only. */
struct grpc_call *grpc_unary(struct grpc *grpc, const struct grpc_target *target, const void *message, size_t size,
                             grpc_answered answered, void *context);

/* ---- bidirectional */

struct grpc_events {
    /* The oldest message given by grpc_call_send is copied towards the socket and no more borrowed. Once for each, in order; at
     * most 1 MiB of a connection stands between here and the system, so messages that are given as these come are held back
     * as the server reads. NULL: of no interest. */
    void (*sent)(void *context);
    void (*message)(void *context, const uint8_t *message, size_t size); /* borrowed for the time of the call */
    /* The server is closing the connection (GOAWAY): the call goes on, but not for long. Send no more, half-close when all is
     * answered, and go on with a new call, which will have another connection. At most once. NULL: of no interest. */
    void (*going_away)(void *context);
    void (*end)(void *context, const struct grpc_status *status); /* exactly once, the last */
};

/* The events are borrowed until the end. Messages may be sent at once; they wait for the connection. */
struct grpc_call *grpc_call_open(struct grpc *grpc, const struct grpc_target *target, const struct grpc_events *events,
                                 void *context);
/* The bytes are borrowed until `sent`, the end, or grpc_call_cancel, whatever comes first. At most GRPC_QUEUE_MAX wait. Nothing
 * happens after the half-close's or the call's end; no `sent` then. */
void grpc_call_send(struct grpc_call *call, const void *message, size_t size);
/* No more messages behind those that were given; the server's end follows. */
void grpc_call_half_close(struct grpc_call *call);
/* Ends the call with CANCELLED, soon; no other callback comes before that, and nothing is borrowed any more. */
void grpc_call_cancel(struct grpc_call *call);

/* {"endpoint", "connections": [{"peer", "state", "calls", "queued_bytes", "sent_bytes", "received_bytes"}], "calls_waiting",
 * "sent_bytes", "received_bytes"}: the latter two of all connections that ever were. */
json_t *grpc_report(const struct grpc *grpc);

#endif
