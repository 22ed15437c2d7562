/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http: requests over HTTP/1.1, by libcurl on the loop. For REST calls, sign-in and uploads; never for gRPC.
 *
 * HTTP/1.1 only: libcurl 7.88 sends bytes of an HTTP/2 upload twice when the socket is full. TLS is verified: chain and name.
 * Redirects are not followed: an API that redirects is not the one that was meant, and a token would travel along. A proxy is
 * taken from the environment as curl does (https_proxy, no_proxy ...), unless the request says `direct`.
 *
 * Nothing is retried here, but for one thing that libcurl does: a kept connection that the server had closed already, on which
 * not one byte was answered, is replaced by a new one. Who can't have that, since the server may have acted, says `once`.
 */
#ifndef KAKEHI_COMMON_HTTP_H
#define KAKEHI_COMMON_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"

#define HTTP_ANSWER_BYTES_MAX  (8 << 20)  /* of a body, unless the request says otherwise */
#define HTTP_HEADERS_BYTES_MAX (64 << 10) /* of all header lines of an answer */

struct http;
struct http_call;

struct http_options {
    const char *ca_file;          /* PEM; NULL: the system's */
    const char *certificate_file; /* PEM, ours, for a server that asks for one; NULL: none */
    const char *key_file;         /* of the certificate, PEM, not encrypted; NULL: in the same file */
    uint64_t connect_timeout_ms;  /* name, TCP and TLS; 0: 10 s */
    unsigned calls_max;           /* under way at once, further ones wait in line; 0: 16 */
};

struct http_header {
    const char *name;
    const char *value;
};

/* body is borrowed until the answer; all else is copied by http_send. */
struct http_request {
    const char *method; /* "GET", "POST", "PUT", "PATCH", "DELETE" */
    const char *url;    /* http or https, with the query, percent-encoded; sent as it is (no "/../" is squashed) */
    const struct http_header *headers;
    size_t header_count;
    const void *body; /* NULL: none; a POST, PUT or PATCH then has Content-Length: 0 */
    size_t body_size;
    uint64_t timeout_ms;     /* from when it leaves the line until the whole answer is here; 0: 60 s */
    size_t answer_bytes_max; /* a longer body is an error; 0: HTTP_ANSWER_BYTES_MAX */
    bool direct;             /* never by a proxy: metadata servers of clouds */
    bool once;               /* on a new connection, so that nothing below ever sends it twice (see above) */
    bool urgent;             /* does not wait in line, and is not counted: sign-in, which the others wait for */
    bool secret;             /* the memory of the answer's body is wiped; answer_bytes_max is reserved for it at once */
};

/* Borrowed for the time of the call. */
struct http_answer {
    const struct err *err; /* NULL: an answer came whole, whatever its status. Else why not (classes: http.c) */
    bool sent;             /* with err: bytes of the request may have reached the server, which may have acted on it */
    int status;            /* 200 ...; 0 with err */
    const char *body;      /* never NULL, a NUL behind it */
    size_t body_size;
    const struct http_call *_call; /* its headers */
};

typedef void (*http_answered)(void *context, const struct http_answer *answer);

/* The value of a header of the answer, without blanks around it; NULL: not there. Case of the name does not matter; of several
 * the last. Borrowed as the answer is. */
const char *http_answer_header(const struct http_answer *answer, const char *name);

/* options are copied. */
int http_new(uv_loop_t *loop, const struct http_options *options, struct http **ret_http, struct err *err) MUST_CHECK;

/* Answers exactly once, on the loop and never inside this call; whatever is wrong with the request comes as an answer too. The
 * call is gone once it was answered or canceled. Other requests may be sent inside the answer. */
struct http_call *http_send(struct http *http, const struct http_request *request, http_answered answered, void *context);

/* Withdraws it: no answer comes, and what was borrowed is free again when this returns. The server may have acted on it. */
void http_cancel(struct http_call *call);

/* Asynchronous, last. Calls that are left are answered with ERR_CANCELED before `closed`. Takes NULL (closed is called at
 * once). */
void http_close(struct http *http, void (*closed)(void *context), void *context);

#endif
