/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   sign_in_run --> the kind's chain --> sign_in_got --a service account to act as is left--> generateAccessToken --+
 *                        |                   ^   |                                                                  |
 *                        v                   |   +--none is left--> done                                            |
 *                  sign_in_failed            +----------------------------------------------------------------------+
 *
 * One request is under way at most. Time-outs are short: who waits for a token stands still, and the token source asks again.
 *
 * What a server says about a refusal goes into the error's text, since it alone says what is wrong (which condition of a pool
 * refused, which permission is missing). It may echo what was sent, so runs of letters and digits longer than any word are left
 * out (hide_secrets), and whatever is a secret of ours word by word.
 *
 * Classes: no answer, garbage, 408, 429 and 5xx are ERR_RETRY; any other status is ERR_FATAL, with advice: somebody must grant,
 * enable, or give another file.
 */
#include "workers/bigquery/sign_in.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/must.h"
#include "workers/bigquery/rest.h"
#include "workers/bigquery/secret_json.h"
#include "workers/bigquery/sign_in_parts.h"

#define TIMEOUT_MS       10000
#define ANSWER_BYTES_MAX (64 << 10)
#define LIFE_MAX_S       43200
#define WORD_MAX         32 /* longer runs of letters, digits, "-_+=%" in a server's words may be secrets */
#define SAID_SIZE        300
#define IAM_URL          "https://iamcredentials.googleapis.com"
#define IMPERSONATOR     "https://www.googleapis.com/auth/iam" /* the scope that generateAccessToken wants */

/* ---- secrets */

void sign_in_wipe(char **secret)
{
    if (*secret != NULL) {
        explicit_bzero(*secret, strlen(*secret));
        free(*secret);
        *secret = NULL;
    }
}

void sign_in_clear(struct sign_in *sign_in)
{
    explicit_bzero(sign_in->body.bytes, sign_in->body.size);
    buffer_clear(&sign_in->body);
}

bool sign_in_plain(const char *text, size_t max)
{
    size_t size = 0;

    while (text[size] > ' ' && text[size] <= '~') {
        size++;
    }
    return text[size] == '\0' && size > 0 && size <= max;
}

static bool in_run(char c)
{
    return isalnum((unsigned char)c) != 0 || (c != '\0' && strchr("-_+=%", c) != NULL);
}

/* Copies a server's words, cut to size; long runs and control characters are left out. */
static void hide_secrets(const char *said, char *out, size_t size)
{
    size_t used = 0;

    while (*said != '\0' && used + WORD_MAX + 1 < size) {
        size_t run = 0;

        while (in_run(said[run])) {
            run++;
        }
        if (run == 0) {
            out[used++] = (unsigned char)*said >= ' ' && (unsigned char)*said < 0x7f ? *said : ' ';
            said++;
        } else if (run > WORD_MAX) {
            memcpy(out + used, "...", 3);
            used += 3;
        } else {
            memcpy(out + used, said, run);
            used += run;
        }
        said += run;
    }
    out[used] = '\0';
}

/* ---- asking */

static void on_answer(void *context, const struct http_answer *answer)
{
    struct sign_in *sign_in = context;

    sign_in->call = NULL;
    sign_in_clear(sign_in);
    sign_in->step(sign_in, answer);
}

void sign_in_ask(struct sign_in *sign_in, const struct http_request *request, sign_in_step step)
{
    struct http_request full = *request;

    must(sign_in->call == NULL);
    full.timeout_ms = full.timeout_ms > 0 ? full.timeout_ms : TIMEOUT_MS;
    full.answer_bytes_max = ANSWER_BYTES_MAX;
    full.secret = true;
    full.urgent = true;
    sign_in->step = step;
    sign_in->call = http_send(sign_in->options.http, &full, on_answer, sign_in);
}

void sign_in_form(struct sign_in *sign_in, const char *name, const char *value)
{
    buffer_append_text(&sign_in->body, sign_in->body.size > 0 ? "&" : "");
    buffer_append_text(&sign_in->body, name);
    buffer_append_byte(&sign_in->body, '=');
    rest_append_encoded(&sign_in->body, value);
}

void sign_in_post_form(struct sign_in *sign_in, const char *url, sign_in_step step)
{
    const struct http_header headers[] = {{"Content-Type", "application/x-www-form-urlencoded"},
                                          {"Accept", "application/json"}};
    const struct http_request request = {.method = "POST",
                                         .url = url,
                                         .headers = headers,
                                         .header_count = 2,
                                         .body = sign_in->body.bytes,
                                         .body_size = sign_in->body.size};

    sign_in_ask(sign_in, &request, step);
}

/* ---- reading */

/* {"error": "invalid_grant", "error_description": "..."} of OAuth, {"error": {"status": ..., "message": ...}} of IAM. */
static void read_refusal(const struct http_answer *answer, char *said, size_t size)
{
    json_t *root = secret_json_load(answer->body, answer->body_size);
    const json_t *object = json_object_get(root, "error");
    const char *word = secret_json_text(json_is_object(object) ? object : root, json_is_object(object) ? "status" : "error");
    const char *text =
        secret_json_text(json_is_object(object) ? object : root, json_is_object(object) ? "message" : "error_description");
    struct buffer joined = {0};

    buffer_printf(&joined, "%s%.40s%s%.*s", word != NULL ? " " : "", word != NULL ? word : "", text != NULL ? ": " : "",
                  SAID_SIZE, text != NULL ? text : "");
    hide_secrets(buffer_text(&joined), said, size);
    explicit_bzero(joined.bytes, joined.size);
    buffer_deinit(&joined);
    secret_json_free(root);
}

int sign_in_check(const struct http_answer *answer, const char *doing, const char *advice, struct err *err)
{
    int status = answer->status;
    bool later = status == 408 || status == 429 || status >= 500;
    char said[SAID_SIZE];

    if (answer->err != NULL) {
        *err = *answer->err;
        return err_while(err, "%s", doing);
    }
    if (status == 200) {
        return 0;
    }
    read_refusal(answer, said, sizeof said);
    return err_set(err, later ? ERR_RETRY : ERR_FATAL, "%s: HTTP %d%s%s%s", doing, status, said, later ? "" : "; ",
                   later ? "" : advice);
}

int sign_in_read_file(const char *path, char **ret_text, struct err *err)
{
    FILE *file = fopen(path, "re");
    char *text;
    size_t size;

    if (file == NULL) {
        return err_set(err, ERR_RETRY, "the token file %s: %s", path, strerror(errno));
    }
    text = calloc(1, SIGN_IN_FORM_BYTES);
    must(text != NULL);
    (void)setvbuf(file, NULL, _IONBF, 0);
    size = fread(text, 1, SIGN_IN_FORM_BYTES - 1, file);
    (void)fclose(file);
    while (size > 0 && isspace((unsigned char)text[size - 1]) != 0) {
        text[--size] = '\0';
    }
    *ret_text = text;
    if (size == 0 || strlen(text) != size) {
        sign_in_wipe(ret_text);
        return err_set(err, ERR_RETRY, "the token file %s is empty, or no text", path);
    }
    return 0;
}

static int take_token(const json_t *root, char **ret_token, uint64_t *ret_lives_ms, struct err *err)
{
    const char *token = secret_json_text(root, "access_token");
    json_int_t lives_s = json_integer_value(json_object_get(root, "expires_in"));

    if (token == NULL || !sign_in_plain(token, SIGN_IN_TOKEN_MAX)) {
        return err_set(err, ERR_RETRY, "the answer holds no usable access_token");
    }
    if (lives_s <= 0) {
        return err_set(err, ERR_RETRY, "the answer holds a token that has expired, or does not say when it will");
    }
    *ret_token = must_strdup(token);
    *ret_lives_ms = (uint64_t)(lives_s < LIFE_MAX_S ? lives_s : LIFE_MAX_S) * 1000;
    return 0;
}

void sign_in_read_token(struct sign_in *sign_in, const struct http_answer *answer, const char *doing, const char *advice)
{
    struct err err = {0};
    char *token = NULL;
    uint64_t lives_ms = 0;
    json_t *root;
    int result;

    if (sign_in_check(answer, doing, advice, &err) != 0) {
        sign_in_failed(sign_in, &err);
        return;
    }
    root = secret_json_load(answer->body, answer->body_size);
    result = take_token(root, &token, &lives_ms, &err);
    secret_json_free(root);
    if (result != 0) {
        (void)err_while(&err, "%s", doing);
        sign_in_failed(sign_in, &err);
        return;
    }
    sign_in_got(sign_in, token, lives_ms);
    sign_in_wipe(&token);
}

/* ---- acting as a service account */

static bool acts_still(const struct sign_in *sign_in)
{
    const struct credentials *credentials = sign_in->options.credentials;

    return (credentials->impersonation_url != NULL && !sign_in->acted) ||
           (credentials->impersonate != NULL && !sign_in->acted_again);
}

const char *sign_in_scopes(const struct sign_in *sign_in)
{
    return acts_still(sign_in) ? IMPERSONATOR : sign_in->options.scopes;
}

/* "2026-11-21T14:00:00Z", perhaps with a fraction: how long from `now_s` on. 0: unreadable, or over. */
static uint64_t life_of(const char *expires, int64_t now_s, int lifetime_s)
{
    struct tm tm = {0};
    const char *end = expires != NULL ? strptime(expires, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    int64_t lives_s = end != NULL && (*end == 'Z' || *end == '.') ? (int64_t)timegm(&tm) - now_s : 0;

    return lives_s <= 0 ? 0 : (uint64_t)(lives_s < lifetime_s ? lives_s : lifetime_s) * 1000;
}

static const char doing_act[] = "asking for a token of the service account to act as";

static void on_acting_token(struct sign_in *sign_in, const struct http_answer *answer)
{
    struct err err = {0};
    char *token = NULL;
    uint64_t lives_ms;
    const char *text;
    json_t *root;

    if (sign_in_check(answer, doing_act,
                      "grant who signs in roles/iam.serviceAccountTokenCreator on that account (a federated identity: "
                      "roles/iam.workloadIdentityUser)",
                      &err) != 0) {
        sign_in_failed(sign_in, &err);
        return;
    }
    root = secret_json_load(answer->body, answer->body_size);
    text = secret_json_text(root, "accessToken");
    lives_ms = life_of(secret_json_text(root, "expireTime"), rest_time_s(answer), sign_in->options.credentials->lifetime_s);
    token = text != NULL && sign_in_plain(text, SIGN_IN_TOKEN_MAX) && lives_ms > 0 ? must_strdup(text) : NULL;
    secret_json_free(root);
    if (token == NULL) {
        (void)err_set(&err, ERR_RETRY,
                      "%s: the answer holds no usable token, or an expired one: is this machine's clock right?", doing_act);
        sign_in_failed(sign_in, &err);
        return;
    }
    sign_in_got(sign_in, token, lives_ms);
    sign_in_wipe(&token);
}

static void append_scopes(const char *scopes, struct buffer *out)
{
    while (*scopes != '\0') {
        size_t size = strcspn(scopes, " ");

        buffer_printf(out, "\"%.*s\"%s", (int)size, scopes, scopes[size] == ' ' ? "," : "");
        scopes += size + (scopes[size] == ' ' ? 1 : 0);
    }
}

static void act(struct sign_in *sign_in, const char *token)
{
    const struct credentials *credentials = sign_in->options.credentials;
    struct buffer url = {0};
    struct buffer bearer = {0};
    struct http_request request = {.method = "POST", .header_count = 2};

    if (credentials->impersonation_url != NULL && !sign_in->acted) {
        sign_in->acted = true;
        buffer_append_text(&url, credentials->impersonation_url);
    } else {
        sign_in->acted_again = true;
        buffer_printf(&url, "%s/v1/projects/-/serviceAccounts/",
                      sign_in->options.iam_url != NULL ? sign_in->options.iam_url : IAM_URL);
        rest_append_encoded(&url, credentials->impersonate);
        buffer_append_text(&url, ":generateAccessToken");
    }
    (void)buffer_reserve(&bearer, SIGN_IN_TOKEN_MAX + sizeof "Bearer ");
    buffer_append_text(&bearer, "Bearer ");
    buffer_append_text(&bearer, token);
    buffer_append_text(&sign_in->body, "{\"scope\":[");
    append_scopes(sign_in_scopes(sign_in), &sign_in->body);
    buffer_printf(&sign_in->body, "],\"lifetime\":\"%ds\"}", credentials->lifetime_s);
    request.url = buffer_text(&url);
    request.headers =
        (const struct http_header[]){{"Authorization", buffer_text(&bearer)}, {"Content-Type", "application/json"}};
    request.body = sign_in->body.bytes;
    request.body_size = sign_in->body.size;
    sign_in_ask(sign_in, &request, on_acting_token);
    explicit_bzero(bearer.bytes, bearer.size);
    buffer_deinit(&bearer);
    buffer_deinit(&url);
}

/* ---- ending */

void sign_in_failed(struct sign_in *sign_in, const struct err *err)
{
    must(sign_in->began);
    sign_in->began = false;
    sign_in_clear(sign_in);
    sign_in->options.done(sign_in->options.context, NULL, 0, err);
}

void sign_in_got(struct sign_in *sign_in, const char *token, uint64_t lives_ms)
{
    must(sign_in->began);
    if (acts_still(sign_in)) {
        act(sign_in, token);
        return;
    }
    sign_in->began = false;
    sign_in->options.done(sign_in->options.context, token, lives_ms, NULL);
}

/* ---- life */

struct sign_in *sign_in_new(const struct sign_in_options *options)
{
    struct sign_in *sign_in = calloc(1, sizeof *sign_in);

    must(sign_in != NULL && options->credentials->kind != CREDENTIALS_NOBODY);
    sign_in->options = *options;
    (void)buffer_reserve(&sign_in->body, SIGN_IN_FORM_BYTES);
    return sign_in;
}

void sign_in_run(struct sign_in *sign_in)
{
    static void (*const kinds[])(struct sign_in * sign_in) = {
        [CREDENTIALS_SERVICE_ACCOUNT] = sign_in_service_account,
        [CREDENTIALS_USER] = sign_in_user,
        [CREDENTIALS_AWS] = sign_in_aws,
        [CREDENTIALS_FILE] = sign_in_token_file,
        [CREDENTIALS_METADATA] = sign_in_metadata,
    };

    must(!sign_in->began && sign_in->call == NULL);
    sign_in->began = true;
    sign_in->acted = false;
    sign_in->acted_again = false;
    kinds[sign_in->options.credentials->kind](sign_in);
}

void sign_in_free(struct sign_in *sign_in)
{
    if (sign_in == NULL) {
        return;
    }
    if (sign_in->call != NULL) {
        http_cancel(sign_in->call);
    }
    sign_in_clear(sign_in);
    buffer_deinit(&sign_in->body);
    sign_in_aws_clear(&sign_in->aws);
    free(sign_in);
}

const char *sign_in_email(const struct sign_in *sign_in)
{
    return sign_in->email;
}
