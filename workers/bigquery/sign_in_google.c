/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds that Google itself knows.
 *
 * Service account (RFC 7523): a JWT that says who, to whom and for how long, signed with the account's key, for an access
 * token. POST token_url  grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer & assertion Its time is this machine's: a clock
 * that is minutes wrong is refused as invalid_grant.
 *
 * User (RFC 6749, 6): gcloud's refresh token for an access token, with the scopes that it was given.
 *   POST token_url  grant_type=refresh_token & client_id & client_secret & refresh_token
 *
 * Metadata server (GCE, GKE): whoever can reach it is the machine's, or by GKE the pod's, service account.
 *   GET /computeMetadata/v1/instance/service-accounts/default/email
 *   GET /computeMetadata/v1/instance/service-accounts/default/token
 * Both with Metadata-Flavor: Google, in the answer too: else something else answers at that address. Never by a proxy. The
 * token has the scopes of the machine; on GKE, of everything.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/must.h"
#include "workers/bigquery/jwt.h"
#include "workers/bigquery/sign_in_parts.h"

#define ASSERTION_LIVES_S   3600
#define AUDIENCE            "https://oauth2.googleapis.com/token" /* always, wherever it is sent */
#define METADATA_TIMEOUT_MS 5000

/* ---- service account */

static void on_service_account(struct sign_in *sign_in, const struct http_answer *answer)
{
    sign_in_read_token(sign_in, answer, "signing in with the service account's key",
                       "the key may be deleted, the account disabled, or this machine's clock wrong");
}

static char *make_claims(const struct sign_in *sign_in)
{
    const struct credentials *credentials = sign_in->options.credentials;
    json_int_t now_s = (json_int_t)time(NULL);
    json_t *claims = json_pack("{s:s, s:s, s:s, s:I, s:I}", "iss", credentials->client_email, "scope", sign_in_scopes(sign_in),
                               "aud", AUDIENCE, "iat", now_s, "exp", now_s + ASSERTION_LIVES_S);
    char *text = json_dumps(claims, JSON_COMPACT);

    json_decref(claims);
    return text;
}

void sign_in_service_account(struct sign_in *sign_in)
{
    const struct credentials *credentials = sign_in->options.credentials;
    char *claims = make_claims(sign_in);
    struct err err = {0};

    if (claims == NULL) { /* an e-mail that is no UTF-8 */
        (void)err_set(&err, ERR_FATAL, "the service account's e-mail in the file of credentials is no text");
        sign_in_failed(sign_in, &err);
        return;
    }
    sign_in_form(sign_in, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    buffer_append_text(&sign_in->body, "&assertion=");
    if (jwt_sign(credentials->key, credentials->key_id, claims, &sign_in->body, &err) != 0) {
        sign_in_failed(sign_in, &err);
    } else {
        sign_in_post_form(sign_in, credentials->token_url, on_service_account);
    }
    free(claims);
}

/* ---- user */

static void on_user(struct sign_in *sign_in, const struct http_answer *answer)
{
    sign_in_read_token(sign_in, answer, "signing in with gcloud's refresh token",
                       "it may have expired: run gcloud auth application-default login");
}

void sign_in_user(struct sign_in *sign_in)
{
    const struct credentials *credentials = sign_in->options.credentials;

    sign_in_form(sign_in, "grant_type", "refresh_token");
    sign_in_form(sign_in, "client_id", credentials->client_id);
    sign_in_form(sign_in, "client_secret", credentials->client_secret);
    sign_in_form(sign_in, "refresh_token", credentials->refresh_token);
    sign_in_post_form(sign_in, credentials->token_url, on_user);
}

/* ---- metadata server */

static const char doing_metadata[] = "asking the metadata server (no credentials are set)";
static const char advice_metadata[] =
    "is a service account attached to this machine or pod? If this is not Google's cloud, set bigquery.credentials";

static void ask_metadata(struct sign_in *sign_in, const char *what, sign_in_step step)
{
    const struct http_header flavor = {"Metadata-Flavor", "Google"};
    struct http_request request = {
        .method = "GET", .headers = &flavor, .header_count = 1, .timeout_ms = METADATA_TIMEOUT_MS, .direct = true};
    char *url = NULL;

    must(asprintf(&url, "http://%s/computeMetadata/v1/instance/service-accounts/default/%s",
                  sign_in->options.credentials->place, what) > 0);
    request.url = url;
    sign_in_ask(sign_in, &request, step);
    free(url);
}

static int check_metadata(struct sign_in *sign_in, const struct http_answer *answer, struct err *err)
{
    const char *flavor = answer->err == NULL ? http_answer_header(answer, "Metadata-Flavor") : NULL;

    if (answer->err == NULL && (flavor == NULL || strcmp(flavor, "Google") != 0)) {
        return err_set(err, ERR_FATAL, "%s: what answers at %s is not Google's; %s", doing_metadata,
                       sign_in->options.credentials->place, advice_metadata);
    }
    if (answer->err != NULL) {
        return err_set(err, answer->err->class, "%s: %s; %s", doing_metadata, answer->err->text, advice_metadata);
    }
    if (sign_in_check(answer, doing_metadata, advice_metadata, err) != 0) {
        return -1;
    }
    return 0;
}

static void on_metadata_token(struct sign_in *sign_in, const struct http_answer *answer)
{
    struct err err = {0};

    if (check_metadata(sign_in, answer, &err) != 0) {
        sign_in_failed(sign_in, &err);
        return;
    }
    sign_in_read_token(sign_in, answer, doing_metadata, advice_metadata);
}

static void on_metadata_email(struct sign_in *sign_in, const struct http_answer *answer)
{
    struct err err = {0};

    if (check_metadata(sign_in, answer, &err) != 0) {
        sign_in_failed(sign_in, &err);
        return;
    }
    if (sign_in_plain(answer->body, sizeof sign_in->email - 1)) {
        (void)snprintf(sign_in->email, sizeof sign_in->email, "%s", answer->body);
    }
    ask_metadata(sign_in, "token", on_metadata_token);
}

void sign_in_metadata(struct sign_in *sign_in)
{
    if (sign_in->email[0] == '\0') {
        ask_metadata(sign_in, "email", on_metadata_email);
    } else {
        ask_metadata(sign_in, "token", on_metadata_token);
    }
}
