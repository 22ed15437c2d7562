/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http2: the client's side of one HTTP/2 connection (RFC 9113, by nghttp2), from bytes to bytes; no sockets, no clock.
 *
 * Events are called inside http2_receive and http2_produce and must only record: inside an event none of these functions may be
 * called. A stream is named by the pointer that http2_open was given; after its end, its reset, or http2_reset no event names
 * it again.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_HTTP2_H
#define KAKEHI_WORKERS_BIGQUERY_HTTP2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"

/* Error codes of RST_STREAM and GOAWAY, RFC 9113 section 7. */
enum http2_code {
    HTTP2_NO_ERROR,
    HTTP2_PROTOCOL_ERROR,
    HTTP2_INTERNAL_ERROR,
    HTTP2_FLOW_CONTROL_ERROR,
    HTTP2_SETTINGS_TIMEOUT,
    HTTP2_STREAM_CLOSED,
    HTTP2_FRAME_SIZE_ERROR,
    HTTP2_REFUSED_STREAM,
    HTTP2_CANCEL,
    HTTP2_COMPRESSION_ERROR,
    HTTP2_CONNECT_ERROR,
    HTTP2_ENHANCE_YOUR_CALM,
    HTTP2_INADEQUATE_SECURITY,
    HTTP2_HTTP_1_1_REQUIRED,
};

/* "REFUSED_STREAM"; "unknown" for what RFC 9113 does not name. */
const char *http2_code_name(uint32_t code);

struct http2;

struct http2_header {
    const char *name; /* lower case */
    const char *value;
    bool secret; /* never to be indexed, here or by a proxy (RFC 7541 section 7.1.3) */
};

struct http2_events {
    /* Of the connection. text: the server's own words, cut and with blanks for what is not printable; borrowed. */
    void (*going_away)(void *connection, uint32_t code, const char *text);

    /* The stream's HEADERS are about to be produced: from now on the server may see it. */
    void (*leaving)(void *stream);
    /* Copies at most `size` bytes of the body to `to` and returns how many; *ret_last: none are behind these. 0 and not last:
     * nothing for now; http2_resume says when there is. */
    size_t (*body)(void *stream, uint8_t *to, size_t size, bool *ret_last);
    /* A header or a trailer, name in lower case; also ":status". Of interim answers (1xx) none. Borrowed, no NUL within. */
    void (*header)(void *stream, const char *name, const char *value, size_t value_size);
    void (*data)(void *stream, const uint8_t *bytes, size_t size);
    /* The server has said all that it will (END_STREAM); our own side is reset if it is still open. */
    void (*end)(void *stream);
    /* The stream ended early. HTTP2_REFUSED_STREAM: the server surely did nothing with it (also by a GOAWAY that leaves it
     * out). */
    void (*reset)(void *stream, uint32_t code);
};

/* Bytes for the server are there at once. */
struct http2 *http2_new(const struct http2_events *events, void *connection);
void http2_free(struct http2 *http2); /* no events; takes NULL */

/* Bytes of the server. What becomes of the connection by them: http2_over. */
void http2_receive(struct http2 *http2, const uint8_t *bytes, size_t size);
/* Appends to `out` what is to be sent, until it holds `limit` bytes (or up to a frame more), or nothing is left. */
void http2_produce(struct http2 *http2, struct buffer *out, size_t limit);
/* -1: the connection is of no more use, because the server broke the protocol (ERR_RETRY says how), or because it said GOAWAY
 * and no stream is left. Asked after http2_produce, whose bytes still go out: they tell the server why. */
int http2_check(const struct http2 *http2, struct err *err) MUST_CHECK;

/* The server's SETTINGS have come. Before, no stream may be opened. */
bool http2_ready(const struct http2 *http2);
/* How many streams the server takes at once. */
uint32_t http2_streams_max(const struct http2 *http2);
/* false: no further stream can be opened, its number being too high or GOAWAY received. */
bool http2_may_open(const struct http2 *http2);

/* A POST. Headers are copied; method, scheme and te are among them. Returns the stream's number, > 0. */
int32_t http2_open(struct http2 *http2, const struct http2_header *headers, size_t header_count, void *stream);
void http2_resume(struct http2 *http2, int32_t number);
/* RST_STREAM; its pointer is forgotten at once. */
void http2_reset(struct http2 *http2, int32_t number, enum http2_code code);

/* PING. Whatever is received next shows that the server lives. */
void http2_ping(struct http2 *http2);

#endif
