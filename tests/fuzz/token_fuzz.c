/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of credentials, and answers of token endpoints.
 *
 * First byte 0: the rest is a file of credentials. Else it chooses the kind that signs in, and the rest are the answers to its
 * requests, in their order: two bytes of status, two of size, the body; the first bit of a status says that no answer came, the
 * second that a metadata server does not name itself.
 *
 * What must hold beside "no crash": a sign-in ends exactly once, with a token that can stand in a header or an error of one
 * printable line; no secret that was sent is in the error, also if the answer repeats it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/credentials.h"
#include "workers/bigquery/sign_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET       "s3cr3tAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define REQUESTS_MAX 16
#define PLACE        "/place"

static const char *const files[] = {
    "{\"type\":\"authorized_user\",\"client_id\":\"id\",\"client_secret\":\"" SECRET "\",\"refresh_token\":\"" SECRET "\"}",
    "{\"type\":\"impersonated_service_account\",\"service_account_impersonation_url\":"
    "\"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b:generateAccessToken\",\"source_credentials\":"
    "{\"type\":\"authorized_user\",\"client_id\":\"id\",\"client_secret\":\"" SECRET "\",\"refresh_token\":\"" SECRET "\"}}",
    "{\"type\":\"external_account\",\"audience\":\"//"
    "iam\",\"subject_token_type\":\"urn:ietf:params:aws:token-type:aws4_request\","
    "\"credential_source\":{\"environment_id\":\"aws1\",\"region_url\":\"http://169.254.169.254/z\",\"url\":"
    "\"http://169.254.169.254/r\",\"imdsv2_session_token_url\":\"http://169.254.169.254/s\",\"regional_cred_verification_url\":"
    "\"https://sts.{region}.amazonaws.com?Action=GetCallerIdentity\"}}",
};

struct http {
    const uint8_t *at;
    const uint8_t *end;
    http_answered answered; /* of the one call under way; NULL: none */
    void *context;
    bool names_itself;
    unsigned requests;
    unsigned ends;
};

/* ---- in the place of common/http.c */

struct http_call *http_send(struct http *http, const struct http_request *request, http_answered answered, void *context)
{
    static char nothing;

    must(http->answered == NULL && request->url != NULL && request->secret);
    http->answered = answered;
    http->context = context;
    http->requests++;
    for (size_t i = 0; i < request->header_count; i++) {
        must(strpbrk(request->headers[i].value, "\r\n") == NULL);
    }
    return (struct http_call *)&nothing;
}

void http_cancel(struct http_call *call)
{
    (void)call;
}

static struct http *current;

const char *http_answer_header(const struct http_answer *answer, const char *name)
{
    (void)answer;
    must(strcmp(name, "Metadata-Flavor") == 0 || strcmp(name, "Date") == 0);
    if (!current->names_itself) {
        return NULL;
    }
    return strcmp(name, "Date") == 0 ? "Sat, 21 Nov 2026 13:00:00 GMT" : "Google";
}

/* ---- answers */

static uint16_t take_number(struct http *http)
{
    uint16_t number = http->end - http->at >= 2 ? (uint16_t)(http->at[0] << 8 | http->at[1]) : 0;

    http->at += http->end - http->at >= 2 ? 2 : http->end - http->at;
    return number;
}

static void answer_next(struct http *http)
{
    static const struct err cut = {.class = ERR_RETRY, .text = "the connection was cut"};
    http_answered answered = http->answered;
    uint16_t status = take_number(http);
    size_t size = take_number(http);
    struct http_answer answer = {.status = status % 600, .err = (status & 0x8000) != 0 ? &cut : NULL, .sent = true};
    char *body;

    size = size < (size_t)(http->end - http->at) ? size : (size_t)(http->end - http->at);
    body = calloc(1, size + 1);
    must(body != NULL);
    memcpy(body, http->at, size);
    http->at += size;
    http->names_itself = (status & 0x4000) == 0;
    answer.body = body;
    answer.body_size = size;
    http->answered = NULL;
    answered(http->context, &answer);
    free(body);
}

static void on_done(void *context, const char *token, uint64_t lives_ms, const struct err *err)
{
    struct http *http = context;

    http->ends++;
    must((token == NULL) == (err != NULL));
    for (const char *at = token; token != NULL && *at != '\0'; at++) {
        must(*at > ' ' && *at <= '~');
    }
    must(token == NULL || (token[0] != '\0' && lives_ms > 0));
    for (const char *at = err != NULL ? err->text : ""; *at != '\0'; at++) {
        must((unsigned char)*at >= ' ' && (unsigned char)*at < 0x7f);
    }
    must(err == NULL || (err->class == ERR_RETRY || err->class == ERR_FATAL));
    must(err == NULL || strstr(err->text, SECRET) == NULL);
}

static void sign_in_with(struct credentials *credentials, const uint8_t *data, size_t size)
{
    struct http http = {.at = data, .end = data + size};
    const struct sign_in_options options = {
        .http = &http, .credentials = credentials, .scopes = "a b", .done = on_done, .context = &http};
    struct sign_in *sign_in = sign_in_new(&options);

    current = &http;
    sign_in_run(sign_in);
    while (http.answered != NULL) {
        must(http.ends == 0 && http.requests <= REQUESTS_MAX);
        answer_next(&http);
    }
    must(http.ends == 1);
    sign_in_free(sign_in);
}

static void read_file(const uint8_t *data, size_t size)
{
    struct credentials credentials = {0};
    struct err err = {0};

    if (credentials_read((const char *)data, size, PLACE, false, &credentials, &err) != 0) {
        /* The text may name a type or host that is not known, and the fuzzer writes anything there. */
        must(err.class == ERR_FATAL && strstr(err.text, PLACE) != NULL);
    } else {
        must(credentials.kind != CREDENTIALS_NOBODY && credentials.kind != CREDENTIALS_METADATA);
    }
    credentials_deinit(&credentials);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t file_count = sizeof files / sizeof files[0];
    struct credentials credentials = {0};
    struct err err = {0};
    size_t kind = size > 0 ? data[0] % (file_count + 2) : 0;

    if (kind == 0) {
        read_file(data + (size > 0), size - (size > 0));
        return 0;
    }
    if (kind > file_count) {
        (void)setenv("GCE_METADATA_HOST", "metadata.example", 1);
        (void)setenv("CLOUDSDK_CONFIG", "/nowhere", 1);
        (void)unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
        must(credentials_find(&(struct credentials_options){0}, &credentials, &err) == 0);
    } else {
        must(credentials_read(files[kind - 1], strlen(files[kind - 1]), PLACE, false, &credentials, &err) == 0);
    }
    sign_in_with(&credentials, data + 1, size - 1);
    credentials_deinit(&credentials);
    return 0;
}
