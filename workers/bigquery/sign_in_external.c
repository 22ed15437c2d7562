/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workload identity federation: a token of somebody else's (the subject) for one of Google's (RFC 8693).
 *
 *   POST token_url  grant_type=urn:ietf:params:oauth:grant-type:token-exchange & audience & scope & requested_token_type
 *                   & subject_token & subject_token_type
 *
 * audience is the provider of the pool; its conditions decide. The subject's token comes out of a file here, read again for
 * each exchange (Kubernetes renews it in place); AWS's is made in sign_in_aws.c.
 */
#include <jansson.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/secret_json.h"
#include "workers/bigquery/sign_in_parts.h"

static void on_exchange(struct sign_in *sign_in, const struct http_answer *answer)
{
    sign_in_read_token(sign_in, answer, "exchanging the token at Google's security token service",
                       "does the pool's provider exist, and do its conditions take this identity?");
}

void sign_in_exchange(struct sign_in *sign_in, const char *subject_token)
{
    const struct credentials *credentials = sign_in->options.credentials;

    sign_in_form(sign_in, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
    sign_in_form(sign_in, "audience", credentials->audience);
    sign_in_form(sign_in, "scope", sign_in_scopes(sign_in));
    sign_in_form(sign_in, "requested_token_type", "urn:ietf:params:oauth:token-type:access_token");
    sign_in_form(sign_in, "subject_token", subject_token);
    sign_in_form(sign_in, "subject_token_type", credentials->subject_token_type);
    sign_in_post_form(sign_in, credentials->token_url, on_exchange);
}

/* The whole file, or a field of it. Owned by the caller. */
static int read_subject_token(const struct credentials *credentials, char **ret_token, struct err *err)
{
    const char *field;
    json_t *root;
    char *text;

    if (sign_in_read_file(credentials->token_file, &text, err) != 0) {
        return -1;
    }
    if (credentials->token_field == NULL) {
        *ret_token = text;
        return 0;
    }
    root = secret_json_load(text, strlen(text));
    field = secret_json_text(root, credentials->token_field);
    *ret_token = must_strdup(field);
    secret_json_free(root);
    sign_in_wipe(&text);
    return *ret_token != NULL ? 0
                              : err_set(err, ERR_RETRY, "the token file %s is no JSON with a field %.40s",
                                        credentials->token_file, credentials->token_field);
}

void sign_in_token_file(struct sign_in *sign_in)
{
    const struct credentials *credentials = sign_in->options.credentials;
    struct err err = {0};
    char *token = NULL;

    if (read_subject_token(credentials, &token, &err) != 0) {
        sign_in_failed(sign_in, &err);
        return;
    }
    if (!sign_in_plain(token, SIGN_IN_FIELD_BYTES)) {
        (void)err_set(&err, ERR_RETRY, "the token file %s does not hold a token", credentials->token_file);
        sign_in_failed(sign_in, &err);
    } else {
        sign_in_exchange(sign_in, token);
    }
    sign_in_wipe(&token);
}
