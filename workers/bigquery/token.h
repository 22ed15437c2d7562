/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token: the access token with which REST and gRPC calls sign in: one for the whole worker, fetched once however many wait for
 * it, renewed five minutes before it expires while the old one is still given.
 *
 * Who signs in is decided by a JSON file of credentials (workers/bigquery/credentials.h has the kinds and where the file is
 * looked for). Token, keys and assertions never reach a log, an error text or the status; their memory is wiped.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_TOKEN_H
#define KAKEHI_WORKERS_BIGQUERY_TOKEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/http.h"

/* What is asked for. The second lets `check` ask for permissions on the project. */
#define TOKEN_SCOPES "https://www.googleapis.com/auth/bigquery https://www.googleapis.com/auth/cloud-platform.read-only"

struct token_source;

struct token_options {
    const char
        *credentials; /* path of a JSON file; "none": calls are not signed (emulators); NULL: as Google's libraries look */
    const char *impersonate; /* e-mail of the service account whose token is wanted in the end; NULL: who signs in */
    const char *iam_url;     /* tests: where `impersonate` is asked for; NULL: Google's */
    uint64_t pause_max_ms;   /* tests: the longest pause after a failure; 0: a minute */
    bool trust_any_host;     /* tests: the URLs in the credentials may be http, of any host */
};

/* Somebody who waits; embedded in what waits. Set answer and context, then token_get. */
struct token_wait {
    /* token: borrowed for the call; "" when calls are not signed: send no Authorization header then. NULL: err says why not and
     * what to do, ERR_RETRY (the source goes on trying by itself), ERR_FATAL (it tries too, once a minute: a permission may be
     * granted meanwhile) or ERR_CANCELED (the source is closed). */
    void (*answer)(struct token_wait *wait, const char *token, const struct err *err);
    void *context;
    struct token_wait *_next;
    struct token_wait **_place; /* what points at it; NULL: does not wait */
};

/* Reads the credentials; asks nobody yet. http is borrowed until token_source_close. ERR_FATAL: no or bad credentials. The file
 * is read again when who signs in was refused: a key may have been replaced. */
int token_source_new(uv_loop_t *loop, struct http *http, const struct token_options *options, struct token_source **ret_source,
                     struct err *err) MUST_CHECK;

/* Answers inside the call when a token is at hand, or when the last try failed and the next is not due yet; else later, on the
 * loop. Exactly once. */
void token_get(struct token_source *source, struct token_wait *wait);
/* No answer comes any more. Nothing happens if it does not wait. */
void token_withdraw(struct token_wait *wait);

/* A server answered 401 (UNAUTHENTICATED) to this token: if it is still the one at hand, it is given no more and a new one is
 * fetched. However often this is called, a source fetches once a second at most. */
void token_refused(struct token_source *source, const char *token);

/* Who signs in and how: "service account loader@p.iam.gserviceaccount.com (key file /etc/kakehi/key.json)". Nothing secret. The
 * metadata server's e-mail is known after the first token. Borrowed until the next token. */
const char *token_describe(const struct token_source *source);

/* Why there is no (newer) token: what the last try met. NULL: all is well, or nothing was tried yet. */
const struct err *token_trouble(const struct token_source *source);

/* Asynchronous. Who still waits is answered with ERR_CANCELED before `closed`. Takes NULL (closed is called at once). */
void token_source_close(struct token_source *source, void (*closed)(void *context), void *context);

#endif
