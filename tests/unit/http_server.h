/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server: an HTTP/1.1 server on the test's own loop, that answers as the test says and can misbehave: cut a connection
 * before or in the middle of an answer, be silent, send garbage. Keeps connections open as a real one does.
 */
#ifndef KAKEHI_TESTS_UNIT_HTTP_SERVER_H
#define KAKEHI_TESTS_UNIT_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define HTTP_SERVER_BYTES_MAX (1 << 20) /* of a request */

struct http_server_connection;

struct http_server_request {
    const char *method;
    const char *path; /* with the query */
    const char *body; /* a NUL behind it */
    size_t body_size;
    unsigned number;     /* of the request, from 1, over all connections */
    unsigned connection; /* from 1 */
    const char *head;    /* the lines behind the first */
};

struct http_server_reply {
    int status;          /* 200 unless set */
    const char *headers; /* lines, each with \r\n; NULL: none */
    const char *body;    /* NULL: none */
    size_t body_size;    /* 0: strlen */
    const char *raw;     /* sent instead of all that */
    bool cut;            /* closed after the reply (after nothing, if `nothing`) */
    bool nothing;        /* no reply */
};

/* What the reply points at is copied. */
typedef void (*http_server_handler)(void *context, const struct http_server_request *request, struct http_server_reply *reply);

struct http_server {
    uv_tcp_t listener;
    uint16_t port;
    char url[64]; /* "http://127.0.0.1:PORT" */
    unsigned request_count;
    unsigned connection_count;
    bool cut_at_once; /* a connection is closed as soon as its request begins */
    http_server_handler _handler;
    void *_context;
    struct http_server_connection *_connections;
    uv_loop_t *_loop;
};

/* Takes proxies out of the environment, too: they would come between. */
void http_server_start(struct http_server *server, uv_loop_t *loop, http_server_handler handler, void *context);
/* The value of a header of the request, as sent; NULL: not there. Valid until the next call. */
const char *http_server_header(const struct http_server_request *request, const char *name);
/* Closes everything; done after the loop has run on. */
void http_server_stop(struct http_server *server);

#endif
