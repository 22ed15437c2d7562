/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport: one connection to a server on the loop: name, socket, TLS if wanted; then bytes both ways.
 *
 * A name's addresses are tried one after the other. No event is called inside a function of this header. It ends at most once,
 * by `failed`; then, as at any other time, transport_close.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_TRANSPORT_H
#define KAKEHI_WORKERS_BIGQUERY_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/buffer.h"
#include "common/err.h"
#include "workers/bigquery/tls.h"

#define TRANSPORT_QUEUE_BYTES_MAX (1 << 20) /* taken and not yet in the system's buffer */
/* Of one transport_send; up to 16 KiB more do no harm, and sealed it then still fits into 64 KiB. */
#define TRANSPORT_CHUNK_BYTES (44 << 10)

struct transport;

struct transport_options {
    const char *host;          /* a name or an address; copied, as is the port */
    const char *port;          /* a number */
    struct tls_context *tls;   /* borrowed until the transport is connected; NULL: plaintext */
    uint64_t address_share_ms; /* all addresses of the name but the last get a share of this time; there is no other time-out */
    int socket_send_bytes;     /* SO_SNDBUF; 0: the system's */
};

struct transport_events {
    void (*open)(void *context);
    void (*received)(void *context, const uint8_t *bytes, size_t size);
    /* The system took something: transport_room is larger than before. */
    void (*written)(void *context);
    /* It could not be opened, or it is over (the server's end included). */
    void (*failed)(void *context, const struct err *err);
};

/* The events are borrowed until closed. */
struct transport *transport_new(uv_loop_t *loop, const struct transport_options *options, const struct transport_events *events,
                                void *context);

/* How many bytes may be sent now; 0: none, `written` comes. */
size_t transport_room(const struct transport *transport);
/* Only when open, and with room. Copies or seals them. */
void transport_send(struct transport *transport, const struct buffer *bytes);

/* Bytes that were given to transport_send and to the system, ever. With TLS what is counted is what goes over the wire. */
uint64_t transport_taken_bytes(const struct transport *transport);
uint64_t transport_written_bytes(const struct transport *transport);
uint64_t transport_received_bytes(const struct transport *transport);

/* What it does or did last: "looking up h", "connecting to h (192.0.2.1)", "TLS with h (...)", "h (...)". Borrowed until the
 * next event. */
const char *transport_describe(struct transport *transport);

/* Asynchronous, last. No other event comes before `closed`. */
void transport_close(struct transport *transport, void (*closed)(void *context));

#endif
