/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest: one call of BigQuery's REST API: signed in, tried again where that is safe, its error read into a class.
 *
 * Tried again, by back-off and the server's Retry-After, until the deadline: 429, 5xx, 403 with a reason of rate or quota, and
 * connections that failed. Where the server may have acted already (5xx, a connection lost after something was sent) only if
 * the method repeats safely (GET, PUT, DELETE, or If-Match) or the caller says so (`repeatable`: jobs.insert with an id of our
 * own). A 401 fetches one new token, once a call.
 *
 * What the caller must know of a repeated call: its first try may have been the one that worked. A DELETE may answer NOT_FOUND,
 * an insert with an id `duplicate`, a patch with If-Match 412; rest_error.repeated says that an earlier try was unclear.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_REST_H
#define KAKEHI_WORKERS_BIGQUERY_REST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/buffer.h"
#include "common/err.h"
#include "common/http.h"
#include "workers/bigquery/token.h"

struct rest;
struct rest_call;

enum rest_class {
    REST_RETRY,     /* may work later: the deadline ended the tries, or a repetition would not have been safe */
    REST_AUTH,      /* nobody signs us in, or a new token was refused too */
    REST_CONFLICT,  /* 409 (duplicate, already exists) or 412 (the ETag is not the newest) */
    REST_NOT_FOUND, /* 404 */
    REST_DENIED,    /* 403: a permission is missing, billing is off ...: the text says which. Also a bad certificate */
    REST_INVALID,   /* any other status: the same request will never work. Also an answer above answer_bytes_max */
    REST_CANCELED,  /* rest_close while it was under way */
};

struct rest_error {
    enum rest_class class;
    int status;      /* HTTP; 0: no answer came */
    bool unclear;    /* the server may have acted on this call */
    bool repeated;   /* an earlier try of this call may have been acted on: see above */
    char reason[64]; /* "duplicate", "notFound", "rateLimitExceeded", "quotaExceeded", "backendError" ...; "": none */
    struct err err; /* RETRY, POISON (INVALID, CONFLICT, NOT_FOUND), FATAL (AUTH, DENIED) or CANCELED, with a text for people */
};

struct rest_options {
    const char *endpoint;      /* "https://bigquery.googleapis.com", no "/" behind it */
    const char *quota_project; /* x-goog-user-project; NULL: none */
    uint64_t retry_ms;         /* a call is tried again for so long */
    uint64_t first_pause_ms;   /* doubled from there up to 32 s; 0: half a second */
};

struct rest_request {
    const char *method;
    const char *path; /* from the host on, with query, percent-encoded (rest_append_encoded): "/bigquery/v2/projects/p/jobs" */
    const char *host; /* "https://cloudresourcemanager.googleapis.com": another API than the endpoint's; NULL */
    const json_t *body;                /* sent as JSON; NULL: none. Borrowed for the time of rest_send */
    const char *if_match;              /* ETag; NULL */
    const struct http_header *headers; /* further ones (X-Upload-Content-Type); copied */
    size_t header_count;
    bool repeatable;         /* a POST or PATCH that may arrive twice */
    uint64_t retry_ms;       /* 0: as the options say */
    uint64_t timeout_ms;     /* of one try; 0: 60 s */
    size_t answer_bytes_max; /* 0: HTTP_ANSWER_BYTES_MAX */
};

/* Borrowed for the time of the call; json_incref what you keep. */
struct rest_answer {
    const struct rest_error *error; /* NULL: 2xx */
    int status;
    json_t *body;                   /* an object (2xx without a body: an empty one); NULL with error */
    const struct http_answer *http; /* for headers (Location, ETag); NULL: the error is not of an answer */
};

typedef void (*rest_answered)(void *context, const struct rest_answer *answer);

/* All borrowed until rest_close; options are copied. */
struct rest *rest_new(uv_loop_t *loop, struct http *http, struct token_source *tokens, const struct rest_options *options);

/* Answers exactly once, never inside this call. Everything in the request is copied. */
struct rest_call *rest_send(struct rest *rest, const struct rest_request *request, rest_answered answered, void *context);
/* No answer comes; the server may have acted. */
void rest_cancel(struct rest_call *call);

/* What REST calls have trouble with now: "POST /bigquery/v2/projects/p/jobs: HTTP 503 backendError: ... (for 40 s)". False:
 * none of those under way has failed once. For /healthz. */
bool rest_trouble(const struct rest *rest, char *text, size_t size);

/* Asynchronous. Calls that are left are answered with REST_CANCELED before `closed`. Takes NULL (closed is called at once). */
void rest_close(struct rest *rest, void (*closed)(void *context), void *context);

/* ---- for those who speak HTTP themselves (uploads) */

/* Reads an answer that is no 2xx, or a failed call, into an error. Pure. `doing`: "PUT of bytes 0-262143": begins the text. */
void rest_error_read(const struct http_answer *answer, const char *doing, struct rest_error *error);
/* What time it was by the clock of who answered, seconds since 1970; by ours where it says none. What it says of times is by its clock. */
int64_t rest_time_s(const struct http_answer *answer);
/* Seconds or an HTTP date; 0: none, or unreadable. At most REST_RETRY_AFTER_MS_MAX. */
uint64_t rest_retry_after_ms(const struct http_answer *answer);
#define REST_RETRY_AFTER_MS_MAX 300000

/* Percent-encodes all but A-Z a-z 0-9 - . _ ~ */
void rest_append_encoded(struct buffer *out, const char *text);

#endif
