/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   put --no session yet--> OPENING --session--> SIGNING --token--> SENDING --all held--> IDLE
 *    |                                             ^  ^                | |
 *    +--else--> PAUSING (for nothing) --timer------+  +---308: a part--+ |
 *                  ^                                                     |
 *                  +-------------- trouble: a probe comes first ---------+
 *   any --the answer can't be mended--> IDLE, answered
 *
 * A last put that is also the first has no session: it goes as one multipart request.
 *
 * | state   | asked and not yet answered          |
 * | IDLE    | nothing; no put is at hand          |
 * | OPENING | the session, from rest              |
 * | SIGNING | a token                             |
 * | SENDING | one HTTP request: a part of the put's bytes, a probe, or the multipart body |
 * | PAUSING | nothing: the timer runs             |
 *
 * I1  `held` only grows, and is what the server said (308, Range) or, behind a put, where it ends.
 *
 * I2  What is sent begins at `held`. After an answer that leaves open what arrived, a probe comes first.
 *
 * I3  Only a last put names the file's size, so only it can make the job.
 *
 * A pause ends with the retry time of the put, which begins anew whenever the server holds more than before.
 */
#include "workers/bigquery/upload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/backoff.h"
#include "common/buffer.h"
#include "common/must.h"
#include "common/sm.h"

#define PAUSE_MAX_MS       32000
#define TIMEOUT_MS         600000
#define SESSION_BYTES_MAX  8192
#define BOUNDARY_SIZE      33 /* 32 hex digits and a NUL */
#define HEADERS_MAX        5
#define AUTHORIZATION_MORE 8 /* "Bearer ", NUL */

enum { IDLE, OPENING, SIGNING, SENDING, PAUSING };

static const struct sm_state states[] = {
    [IDLE] = {"IDLE", SM_TO(OPENING) | SM_TO(PAUSING)},
    [OPENING] = {"OPENING", SM_TO(SIGNING) | SM_TO(IDLE)},
    [SIGNING] = {"SIGNING", SM_TO(SENDING) | SM_TO(PAUSING) | SM_TO(IDLE)},
    [SENDING] = {"SENDING", SM_TO(SIGNING) | SM_TO(PAUSING) | SM_TO(IDLE)},
    [PAUSING] = {"PAUSING", SM_TO(SIGNING)},
};

struct upload {
    struct sm sm;
    struct upload_options options;
    json_t *job;
    char *id;      /* for the trace: the job's */
    char *session; /* NULL: none */
    struct rest_call *opening;
    struct http_call *call;
    struct token_wait wait;
    uv_timer_t *timer;  /* freed by its own close */
    char *token;        /* of the request under way; secret */
    struct buffer body; /* multipart: the whole request */
    char boundary[BOUNDARY_SIZE];

    const uint8_t *bytes; /* the put at hand; borrowed */
    size_t size;
    bool last;
    bool unsure;          /* what the server holds must be asked first (I2) */
    uint64_t base;        /* where the put begins in the file */
    uint64_t held;        /* I1 */
    uint64_t deadline_ms; /* of the tries */
    uint32_t tries;       /* without progress */
    struct err trouble;   /* why the last one failed */
    upload_answered answer;
    void *context;
};

/* ---- the put's end */

static void forget_request(struct upload *upload)
{
    if (upload->token != NULL) {
        explicit_bzero(upload->token, strlen(upload->token));
        free(upload->token);
        upload->token = NULL;
    }
    buffer_deinit(&upload->body);
}

static void finish(struct upload *upload, enum upload_answer answer, const struct err *err)
{
    upload_answered answered = upload->answer;
    void *context = upload->context;
    struct err kept = {0};

    if (err != NULL) {
        kept = *err;
    }
    forget_request(upload);
    upload->answer = NULL;
    sm_move(&upload->sm, IDLE, err != NULL ? kept.text : "held");
    answered(context, answer, err != NULL ? &kept : NULL); /* may free the upload */
}

static void taken(struct upload *upload)
{
    upload->base += upload->size;
    upload->held = upload->base;
    upload->unsure = false;
    finish(upload, UPLOAD_TAKEN, NULL);
}

/* ---- the requests */

static void sign(struct upload *upload);

static void on_timer(uv_timer_t *timer)
{
    struct upload *upload = timer->data;

    sign(upload);
}

static uint64_t now_ms(const struct upload *upload)
{
    return uv_now(upload->options.loop);
}

/* Another try after a pause, unless the time for tries is over. */
static void pause_then_retry(struct upload *upload, const struct err *err, uint64_t at_least_ms)
{
    uint64_t wait_ms = backoff_ms(++upload->tries, upload->options.retry_first_ms, PAUSE_MAX_MS);

    wait_ms = wait_ms > at_least_ms ? wait_ms : at_least_ms;
    if (now_ms(upload) + wait_ms >= upload->deadline_ms) {
        struct err retry = *err;

        retry.class = ERR_RETRY;
        finish(upload, UPLOAD_FAILED, &retry);
        return;
    }
    forget_request(upload);
    upload->trouble = *err;
    sm_move(&upload->sm, PAUSING, err->text);
    (void)uv_timer_start(upload->timer, on_timer, wait_ms, 0);
}

static bool is_multipart(const struct upload *upload)
{
    return upload->session == NULL;
}

/* What the server holds, as a 308 says it: "bytes=0-1048575", or no Range at all for nothing. -1: it says something else. */
static int read_held(const struct http_answer *answer, uint64_t *ret_held)
{
    const char *range = http_answer_header(answer, "Range");
    unsigned long long last;
    int end = 0;

    if (range == NULL) {
        *ret_held = 0;
        return 0;
    }
    if (sscanf(range, "bytes=0-%19llu%n", &last, &end) != 1 || range[end] != '\0') {
        return -1;
    }
    *ret_held = last + 1;
    return 0;
}

/* The server says how much it holds: of the piece that was sent, or because it was asked. */
static void on_held(struct upload *upload, const struct http_answer *answer)
{
    struct err err = {0};
    uint64_t end = upload->base + upload->size;
    bool probed = upload->unsure;
    bool progress;
    uint64_t held;

    if (read_held(answer, &held) != 0 || held > end || held < upload->held) {
        (void)err_set(&err, ERR_RETRY, "the upload session held %" PRIu64 " of %" PRIu64 " bytes, and now says \"%s\"",
                      upload->held, end,
                      http_answer_header(answer, "Range") != NULL ? http_answer_header(answer, "Range") : "");
        finish(upload, UPLOAD_GONE, &err);
        return;
    }
    if (held == end && !upload->last) {
        taken(upload);
        return;
    }
    progress = held > upload->held;
    upload->deadline_ms = progress ? now_ms(upload) + upload->options.retry_ms : upload->deadline_ms;
    upload->tries = progress ? 0 : upload->tries;
    upload->held = held;
    upload->unsure = held == end; /* whole, and yet no job: ask again */
    if (upload->unsure || (!progress && !probed)) {
        (void)err_set(&err, ERR_RETRY, "the upload session holds %" PRIu64 " of %" PRIu64 " bytes and does not get on", held,
                      end);
        pause_then_retry(upload, &err, 0);
    } else {
        sign(upload);
    }
}

static void on_refused(struct upload *upload, const struct http_answer *answer)
{
    struct rest_error error;

    rest_error_read(answer, is_multipart(upload) ? "sending the load file" : "sending a piece of the load file", &error);
    if (answer->err == NULL && !is_multipart(upload) && (answer->status == 404 || answer->status == 410)) {
        finish(upload, UPLOAD_GONE, &error.err);
    } else if (error.class == REST_CONFLICT) {
        finish(upload, UPLOAD_EXISTS, &error.err);
    } else if (error.class == REST_RETRY || answer->status == 401 || answer->status == 408) {
        upload->unsure = true;
        pause_then_retry(upload, &error.err, answer->err == NULL ? rest_retry_after_ms(answer) : 0);
    } else {
        finish(upload, UPLOAD_FAILED, &error.err);
    }
}

static void on_answer(void *context, const struct http_answer *answer)
{
    struct upload *upload = context;
    struct err err = {0};

    upload->call = NULL;
    if (answer->err == NULL && answer->status == 401 && upload->token != NULL) {
        token_refused(upload->options.tokens, upload->token);
    }
    if (answer->err == NULL && answer->status == 308 && !is_multipart(upload)) {
        on_held(upload, answer);
    } else if (answer->err != NULL || answer->status < 200 || answer->status > 299) {
        on_refused(upload, answer);
    } else if (upload->last) {
        taken(upload);
    } else {
        (void)err_set(&err, ERR_FATAL, "the server took an unfinished load file for a whole one: its rows may be in already");
        finish(upload, UPLOAD_EARLY, &err);
    }
}

/* Beside what is given: who signs in, and who pays. Returns how many there are. */
static size_t add_headers(const struct upload *upload, const char *authorization, struct http_header *headers, size_t count)
{
    if (authorization[0] != '\0') {
        headers[count++] = (struct http_header){"Authorization", authorization};
    }
    if (upload->options.quota_project != NULL) {
        headers[count++] = (struct http_header){"X-Goog-User-Project", upload->options.quota_project};
    }
    return count;
}

static void ask(struct upload *upload, const struct http_request *wanted)
{
    struct http_request request = *wanted;
    struct http_header headers[HEADERS_MAX];
    size_t size = strlen(upload->token) + AUTHORIZATION_MORE;
    char *authorization = calloc(1, size);

    must(authorization != NULL && wanted->header_count + 2 <= HEADERS_MAX);
    if (upload->token[0] != '\0') {
        (void)snprintf(authorization, size, "Bearer %s", upload->token);
    }
    memcpy(headers, wanted->headers, wanted->header_count * sizeof headers[0]);
    request.headers = headers;
    request.header_count = add_headers(upload, authorization, headers, wanted->header_count);
    request.timeout_ms = upload->options.timeout_ms != 0 ? upload->options.timeout_ms : TIMEOUT_MS;
    upload->call = http_send(upload->options.http, &request, on_answer, upload);
    explicit_bzero(authorization, size);
    free(authorization);
}

/* The rest of the put's bytes, or none at all: a probe. */
static void send_piece(struct upload *upload)
{
    uint64_t end = upload->base + upload->size;
    size_t done = (size_t)(upload->held - upload->base);
    char total[24] = "*";
    char range[80];

    if (upload->last) {
        (void)snprintf(total, sizeof total, "%" PRIu64, end);
    }
    if (upload->unsure) {
        (void)snprintf(range, sizeof range, "bytes */%s", total);
    } else {
        (void)snprintf(range, sizeof range, "bytes %" PRIu64 "-%" PRIu64 "/%s", upload->held, end - 1, total);
    }
    ask(upload, &(struct http_request){.method = "PUT",
                                       .url = upload->session,
                                       .headers = (struct http_header[]){{"Content-Range", range}},
                                       .header_count = 1,
                                       .body = upload->unsure ? NULL : upload->bytes + done,
                                       .body_size = upload->unsure ? 0 : upload->size - done});
}

static void make_boundary(char boundary[BOUNDARY_SIZE])
{
    uint8_t bits[(BOUNDARY_SIZE - 1) / 2];

    must(getrandom(bits, sizeof bits, 0) == (ssize_t)sizeof bits);
    for (size_t i = 0; i < sizeof bits; i++) {
        (void)snprintf(boundary + 2 * i, 3, "%02x", bits[i]);
    }
}

static void make_multipart(struct upload *upload)
{
    char *job = json_dumps(upload->job, JSON_COMPACT);

    must(job != NULL);
    make_boundary(upload->boundary);
    buffer_printf(&upload->body, "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n", upload->boundary);
    buffer_append_text(&upload->body, job);
    buffer_printf(&upload->body, "\r\n--%s\r\nContent-Type: application/octet-stream\r\n\r\n", upload->boundary);
    buffer_append(&upload->body, upload->bytes, upload->size);
    buffer_printf(&upload->body, "\r\n--%s--\r\n", upload->boundary);
    free(job);
}

static void append_path(const struct upload *upload, struct buffer *out, const char *type)
{
    buffer_append_text(out, "/upload/bigquery/v2/projects/");
    rest_append_encoded(out, upload->options.project);
    buffer_printf(out, "/jobs?uploadType=%s", type);
}

static void send_whole(struct upload *upload)
{
    struct buffer url = {0};
    char type[80];

    buffer_append_text(&url, upload->options.endpoint);
    append_path(upload, &url, "multipart");
    make_multipart(upload);
    (void)snprintf(type, sizeof type, "multipart/related; boundary=%s", upload->boundary);
    ask(upload, &(struct http_request){.method = "POST",
                                       .url = buffer_text(&url),
                                       .headers = (struct http_header[]){{"Content-Type", type}},
                                       .header_count = 1,
                                       .body = upload->body.bytes,
                                       .body_size = upload->body.size});
    buffer_deinit(&url);
}

/* ---- what comes before them: a token, a session */

static void on_token(struct token_wait *wait, const char *token, const struct err *err)
{
    struct upload *upload = wait->context;

    if (token == NULL && err->class == ERR_RETRY) {
        pause_then_retry(upload, err, 0);
    } else if (token == NULL) {
        finish(upload, UPLOAD_FAILED, err);
    } else {
        upload->token = must_strdup(token);
        sm_move(&upload->sm, SENDING, "signed in");
        (is_multipart(upload) ? send_whole : send_piece)(upload);
    }
}

static void sign(struct upload *upload)
{
    forget_request(upload);
    sm_move(&upload->sm, SIGNING, "wants a token");
    upload->wait = (struct token_wait){.answer = on_token, .context = upload};
    token_get(upload->options.tokens, &upload->wait);
}

/* "https://x.googleapis.com/...", without a user or port. */
static bool is_google(const char *url)
{
    static const char domain[] = ".googleapis.com";
    const char *host = strncmp(url, "https://", 8) == 0 ? url + 8 : "";
    size_t size = strcspn(host, "/?#@:\\");

    return host[size] == '/' && size > sizeof domain - 1 && strncasecmp(host + size - (sizeof domain - 1), domain, sizeof domain - 1) == 0;
}

/* A token travels to it: so it must be Google's, or of the endpoint that the settings name. */
static bool session_is_safe(const struct upload *upload, const char *url)
{
    const char *endpoint = upload->options.endpoint;
    size_t size = strlen(endpoint);

    return strnlen(url, SESSION_BYTES_MAX) < SESSION_BYTES_MAX && (is_google(url) || (strncmp(url, endpoint, size) == 0 && url[size] == '/'));
}

static void on_opened(void *context, const struct rest_answer *answer)
{
    struct upload *upload = context;
    const char *location = answer->error == NULL ? http_answer_header(answer->http, "Location") : NULL;
    struct err err = {0};

    upload->opening = NULL;
    if (location != NULL && session_is_safe(upload, location)) {
        upload->session = must_strdup(location);
        sign(upload);
    } else if (answer->error == NULL) {
        (void)err_set(&err, ERR_FATAL, "opening the upload: the answer names no session that could be used");
        finish(upload, UPLOAD_FAILED, &err);
    } else {
        err = answer->error->err;
        (void)err_while(&err, "opening the upload of a load file");
        finish(upload, answer->error->class == REST_CONFLICT ? UPLOAD_EXISTS : UPLOAD_FAILED, &err);
    }
}

static void open_session(struct upload *upload)
{
    struct buffer path = {0};

    append_path(upload, &path, "resumable");
    sm_move(&upload->sm, OPENING, "the first piece");
    upload->opening = rest_send(
        upload->options.rest,
        &(struct rest_request){.method = "POST",
                               .path = buffer_text(&path),
                               .body = upload->job,
                               .headers = (struct http_header[]){{"X-Upload-Content-Type", "application/octet-stream"}},
                               .header_count = 1,
                               .repeatable = true,
                               .retry_ms = upload->options.retry_ms},
        on_opened, upload);
    buffer_deinit(&path);
}

/* ---- the calls */

static bool invariant(const struct sm *machine)
{
    const struct upload *upload = (const struct upload *)((const char *)machine - offsetof(struct upload, sm));

    return (sm_at(machine) == IDLE) == (upload->answer == NULL) && upload->held >= upload->base;
}

struct upload *upload_new(const struct upload_options *options)
{
    struct upload *upload = calloc(1, sizeof *upload);
    const char *id = json_string_value(json_object_get(json_object_get(options->job, "jobReference"), "jobId"));

    must(upload != NULL && id != NULL);
    upload->options = *options;
    upload->job = json_deep_copy(options->job);
    upload->id = must_strdup(id);
    upload->timer = malloc(sizeof *upload->timer);
    must(upload->job != NULL && upload->timer != NULL &&
         uv_timer_init(options->loop, upload->timer) == 0);
    upload->timer->data = upload;
    sm_init(&upload->sm, "upload", upload->id, states, IDLE, invariant);
    return upload;
}

void upload_put(struct upload *upload, const uint8_t *bytes, size_t size, bool last, upload_answered answer, void *context)
{
    must(upload->answer == NULL && size > 0 && (last || size % UPLOAD_UNIT == 0));
    upload->bytes = bytes;
    upload->size = size;
    upload->last = last;
    upload->answer = answer;
    upload->context = context;
    upload->tries = 0;
    upload->deadline_ms = now_ms(upload) + upload->options.retry_ms;
    if (upload->session == NULL && !(last && upload->base == 0)) {
        open_session(upload);
    } else {
        sm_move(&upload->sm, PAUSING,
                "a put"); /* none at all, but a token that is at hand would be answered inside this call */
        (void)uv_timer_start(upload->timer, on_timer, 0, 0);
    }
}

static void free_timer(uv_handle_t *handle)
{
    free(handle);
}

void upload_free(struct upload *upload)
{
    if (upload == NULL) {
        return;
    }
    if (upload->opening != NULL) {
        rest_cancel(upload->opening);
    }
    if (upload->call != NULL) {
        http_cancel(upload->call);
    }
    token_withdraw(&upload->wait);
    uv_close((uv_handle_t *)upload->timer, free_timer);
    forget_request(upload);
    json_decref(upload->job);
    free(upload->session);
    free(upload->id);
    free(upload);
}
