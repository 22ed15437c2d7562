/* SPDX-License-Identifier: Apache-2.0 */
/* sign_in: fetches one access token by the credentials, in as many requests as their kind takes. For token.c. */
#ifndef KAKEHI_WORKERS_BIGQUERY_SIGN_IN_H
#define KAKEHI_WORKERS_BIGQUERY_SIGN_IN_H

#include <stdint.h>

#include "common/err.h"
#include "common/http.h"
#include "workers/bigquery/credentials.h"

#define SIGN_IN_TOKEN_MAX 16384 /* bytes of a token that are taken; Google's security token service gives up to 12 KiB */

struct sign_in;

/* token: borrowed for the call. NULL: err says why not (RETRY, FATAL). */
typedef void (*sign_in_done)(void *context, const char *token, uint64_t lives_ms, const struct err *err);

struct sign_in_options {
    struct http *http;                     /* borrowed, as credentials are */
    const struct credentials *credentials; /* not of kind NOBODY */
    const char *scopes;                    /* of the last token, separated by blanks; borrowed */
    const char *iam_url;                   /* where the setting `impersonate` is asked for; NULL: Google's */
    sign_in_done done;
    void *context;
};

struct sign_in *sign_in_new(const struct sign_in_options *options);
/* Answers exactly once, perhaps inside this call. Not again before that. */
void sign_in_run(struct sign_in *sign_in);
/* Takes NULL. What is under way is withdrawn. */
void sign_in_free(struct sign_in *sign_in);

/* METADATA: who this machine is, once it said so; else "". */
const char *sign_in_email(const struct sign_in *sign_in);

#endif
