/* SPDX-License-Identifier: Apache-2.0 */
/* sign_in_parts: what the files of sign_in share: each kind is a chain of requests, each with the step that reads its answer.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_SIGN_IN_PARTS_H
#define KAKEHI_WORKERS_BIGQUERY_SIGN_IN_PARTS_H

#include <stdbool.h>

#include "common/buffer.h"
#include "workers/bigquery/sign_in.h"

#define SIGN_IN_FORM_BYTES  (64 << 10) /* reserved at once, so that no secret is left behind when a buffer grows */
#define SIGN_IN_FIELD_BYTES 8192       /* of a key, token or file that goes into a form */

/* Reads the answer; asks the next question, or ends. */
typedef void (*sign_in_step)(struct sign_in *sign_in, const struct http_answer *answer);

struct aws_state {
    char *region;
    char *session; /* of the metadata service (IMDSv2) */
    char *role;
    char *key_id;
    char *secret;
    char *token; /* NULL: the keys are long-lived ones */
};

struct sign_in {
    struct sign_in_options options;
    struct http_call *call; /* the one request under way */
    sign_in_step step;
    struct buffer body; /* of that request; secret */
    bool acted;         /* the file's impersonation is done */
    bool acted_again;   /* ... and the setting's */
    bool began;         /* sign_in_run was called and has not been answered */
    char email[256];
    struct aws_state aws;
};

/* ---- asking */

/* Sends it; `step` gets the answer. A time-out and a small limit of the answer are filled in; the answer's memory is wiped. */
void sign_in_ask(struct sign_in *sign_in, const struct http_request *request, sign_in_step step);
/* The same of sign_in->body as a form. */
void sign_in_post_form(struct sign_in *sign_in, const char *url, sign_in_step step);
/* Empties the body, wiped. */
void sign_in_clear(struct sign_in *sign_in);
/* Appends name=value to the form, encoded. */
void sign_in_form(struct sign_in *sign_in, const char *name, const char *value);

/* ---- reading: each may fail with what the server said, behind `doing`, and `advice` behind it where only a person can help */

int sign_in_check(const struct http_answer *answer, const char *doing, const char *advice, struct err *err) MUST_CHECK;
/* {access_token, expires_in} of a token endpoint: ends this part of the chain. */
void sign_in_read_token(struct sign_in *sign_in, const struct http_answer *answer, const char *doing, const char *advice);
/* Is it a text that may stand in a header or form: 1 to max printable bytes? */
bool sign_in_plain(const char *text, size_t max);
/* A whole small file, without blanks and line breaks at its end. Owned by the caller, secret. Blocks for the time of a read. */
int sign_in_read_file(const char *path, char **ret_text, struct err *err) MUST_CHECK;
void sign_in_wipe(char **secret); /* frees, and makes it NULL; takes NULL inside */

/* ---- ending */

void sign_in_failed(struct sign_in *sign_in, const struct err *err);
/* A token of who signs in: the answer, or what the next service account is asked for with. */
void sign_in_got(struct sign_in *sign_in, const char *token, uint64_t lives_ms);
/* The scopes of the token that a kind asks for: those of an impersonator, or the last ones. */
const char *sign_in_scopes(const struct sign_in *sign_in);

/* ---- kinds: where each begins */

void sign_in_service_account(struct sign_in *sign_in);
void sign_in_user(struct sign_in *sign_in);
void sign_in_metadata(struct sign_in *sign_in);
void sign_in_token_file(struct sign_in *sign_in);
void sign_in_aws(struct sign_in *sign_in);
/* The subject's token is at hand: asks the security token service for ours. */
void sign_in_exchange(struct sign_in *sign_in, const char *subject_token);
void sign_in_aws_clear(struct aws_state *aws);

#endif
