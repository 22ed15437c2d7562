/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_server: the other side of the gRPC client: an HTTP/2 server on the test's own loop, by nghttp2's server side, plaintext or
 * TLS. It does by itself only what HTTP/2 demands; what is answered, and what goes wrong, is the test's script.
 */
#ifndef KAKEHI_TESTS_UNIT_H2_SERVER_H
#define KAKEHI_TESTS_UNIT_H2_SERVER_H

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/buffer.h"

struct h2_server;

struct h2_connection {
    struct h2_server *server;
    struct h2_connection *next;
    unsigned number; /* from 0, in order of accept */
    uv_tcp_t tcp;
    nghttp2_session *session;
    SSL *ssl; /* NULL: plaintext */
    bool closed;
    uint64_t received_bytes;
};

struct h2_stream {
    struct h2_connection *connection;
    struct h2_stream *next;
    unsigned number; /* from 0, in order of arrival on the whole server */
    int32_t id;
    char headers[2048];     /* "name: value\n" each */
    struct buffer received; /* DATA as it came */
    bool half_closed;
    bool reset;
    uint32_t reset_code;
    struct buffer _answer; /* DATA to be sent */
    bool _answering;
    bool _last;      /* nothing behind _answer but the trailers */
    char _status[8]; /* of the trailers; "": none, END_STREAM stands on DATA */
    char _message[512];
    char _details[512];
};

/* NULL: nothing is done. */
struct h2_events {
    void (*accepted)(void *context, struct h2_connection *connection);
    void (*request)(void *context, struct h2_stream *stream); /* HEADERS came */
    void (*data)(void *context, struct h2_stream *stream, const uint8_t *bytes, size_t size);
    void (*half_closed)(void *context, struct h2_stream *stream);
    void (*reset)(void *context, struct h2_stream *stream);
};

struct h2_options {
    SSL_CTX *tls;          /* taken; NULL: plaintext */
    uint32_t streams_max;  /* MAX_CONCURRENT_STREAMS; 0: not said */
    uint32_t window_bytes; /* of streams and connection; 0: 65535 */
    bool stalled;          /* no WINDOW_UPDATE until h2_connection_consume */
    bool silent;           /* PING is not answered */
    bool mute;             /* no HTTP/2 at all: accepted connections say only what h2_connection_write says */
    unsigned read_bytes;   /* at most so many a read, and SO_RCVBUF small: a slow reader; 0: 64 KiB */
};

/* Listens on a port of its own of 127.0.0.1. */
struct h2_server *h2_server_new(uv_loop_t *loop, const struct h2_options *options, const struct h2_events *events,
                                void *context);
unsigned h2_server_port(const struct h2_server *server);
unsigned h2_server_connection_count(const struct h2_server *server);
struct h2_connection *h2_server_connection(struct h2_server *server, unsigned number); /* NULL: not yet */
struct h2_stream *h2_server_stream(struct h2_server *server, unsigned number);         /* the same */
/* Closes everything; the memory goes when the loop has closed it. */
void h2_server_free(struct h2_server *server);

/* Value of a header of the request in `text`; false: not there. */
bool h2_stream_header(const struct h2_stream *stream, const char *name, char *text, size_t size);

/* ---- answers: headers, any number of DATA, an end */

/* encoding: grpc-encoding; NULL: none. */
void h2_stream_answer(struct h2_stream *stream, const char *http_status, const char *content_type, const char *encoding);
void h2_stream_data(struct h2_stream *stream, const void *bytes, size_t size);
/* With the five bytes in front. */
void h2_stream_message(struct h2_stream *stream, const void *bytes, size_t size);
/* grpc-status as given (NULL: no trailers, END_STREAM on DATA), grpc-message and details if not NULL. */
void h2_stream_end(struct h2_stream *stream, const char *status, const char *message, const char *details);
/* Headers with END_STREAM and nothing else. */
void h2_stream_trailers_only(struct h2_stream *stream, const char *status, const char *message, const char *details);
void h2_stream_reset(struct h2_stream *stream, uint32_t code);

/* last INT32_MAX, NO_ERROR: the notice of a graceful end, without the text; another with the true last one should follow. */
void h2_connection_goaway(struct h2_connection *connection, int32_t last, uint32_t code, const char *text);
/* Bytes as they are, between the frames (only plaintext). */
void h2_connection_write(struct h2_connection *connection, const void *bytes, size_t size);
/* stalled: what was received so far opens the windows again. */
void h2_connection_consume(struct h2_connection *connection);
void h2_connection_close(struct h2_connection *connection);

#endif
