/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call:
 *
 *   PAUSE --the pause is over--> TOKEN --a token--> SENT --2xx, or an error that stays--> GONE, answered
 *     ^                            |                  |
 *     +--no token for now----------+                  +--401, the first--> TOKEN, with another token
 *     +--later, and a repetition is safe--------------+
 *   any --rest_cancel--> GONE;  any --rest_close--> GONE, answered with CANCELED
 *
 * A call begins with a pause of nothing: so no answer can come inside rest_send.
 *
 * | state | under way          | waits for    |
 * | PAUSE | nothing            | its timer    |
 * | TOKEN | its token_wait     | the source   |
 * | SENT  | one http_call      | its answer   |
 * | GONE  | its timer's close  | that         |
 *
 * R1  What the server may have acted on is sent again only if that is safe: the method repeats, If-Match guards it, or the
 *     caller said so. All but GET goes on a connection of its own: on a kept one libcurl might send it twice by itself, and
 *     nobody could say that it was repeated.
 * R2  No try begins after the deadline. A Retry-After that lies behind it ends the call now, not then.
 *
 * Pauses double and half of each is random: workers that were refused at once don't come back at once.
 *
 * Log: one line for a failed try, at most one a second for all calls ("also": how many were left out). The end of a call is for
 * its owner to log.
 */
#include "workers/bigquery/rest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/backoff.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/must.h"
#include "common/sm.h"

#define MAGIC          0x72657374
#define FIRST_PAUSE_MS 500
#define PAUSE_MAX_MS   32000
#define LOG_EVERY_MS   1000
#define HEADERS_OWN    5 /* that we may add to the caller's */

enum { PAUSE, TOKEN, SENT, GONE };

static const struct sm_state states[] = {
    [PAUSE] = {"PAUSE", SM_TO(TOKEN) | SM_TO(GONE)},
    [TOKEN] = {"TOKEN", SM_TO(SENT) | SM_TO(PAUSE) | SM_TO(GONE)},
    [SENT] = {"SENT", SM_TO(PAUSE) | SM_TO(TOKEN) | SM_TO(GONE)},
    [GONE] = {"GONE", 0},
};

struct rest_call {
    struct sm sm; /* first: the invariant gets at the call by it */
    uint32_t magic;
    struct rest *rest;
    struct rest_call *next;
    struct rest_call **place;
    uv_timer_t timer;
    struct token_wait wait;
    struct http_call *http_call; /* in SENT */
    rest_answered answered;
    void *context;
    char *doing; /* "POST /bigquery/v2/projects/p/jobs": for people; the machine's id is the part behind the blank */
    char *method;
    char *url;
    char *body; /* NULL: none */
    char *if_match;
    char *bearer;                /* the token of this try, with "Bearer " before it; wiped */
    struct http_header *headers; /* the caller's */
    size_t header_count;
    bool safe;        /* may be repeated after the server may have acted (R1) */
    bool reuses;      /* a kept connection will do: it does not matter if libcurl sends it twice */
    bool token_tried; /* a token was refused once */
    bool unclear;     /* of an earlier try */
    uint32_t tries;   /* that failed */
    uint64_t began_ms;
    uint64_t deadline_ms;
    uint64_t timeout_ms;
    size_t answer_bytes_max;
    struct err trouble; /* of the last try; ERR_NONE: none has failed */
};

struct rest {
    uv_loop_t *loop;
    struct http *http;
    struct token_source *tokens;
    char *endpoint;
    char *quota_project;
    uint64_t retry_ms;
    uint64_t first_pause_ms;
    struct rest_call *calls;
    unsigned open_handles; /* the gate, and each call's timer */
    uint64_t logged_ms;
    unsigned log_left_out;
    uv_timer_t gate; /* never runs: its close callback is where a close goes on */
    bool closing;
    void (*closed)(void *context);
    void *closed_context;
};

static struct metric_family tries_total METRIC_FAMILY = {.name = "kakehi_rest_tries_total",
                                           .help = "Requests to BigQuery's REST interface by HTTP status; 0: no answer came",
                                           .kind = METRIC_COUNTER,
                                           .labels = {"method", "status"}};

static bool invariant(const struct sm *machine)
{
    const struct rest_call *call = (const struct rest_call *)machine;

    return (call->http_call != NULL) == (sm_at(machine) == SENT);
}

static struct rest_call *checked(void *pointer)
{
    struct rest_call *call = pointer;

    must(call->magic == MAGIC);
    return call;
}

/* ---- the end of a call */

static void close_if_last(struct rest *rest)
{
    if (rest->open_handles == 0) {
        void (*closed)(void *context) = rest->closed;
        void *context = rest->closed_context;

        free(rest->endpoint);
        free(rest->quota_project);
        free(rest);
        closed(context);
    }
}

static void wipe(char **secret)
{
    if (*secret != NULL) {
        explicit_bzero(*secret, strlen(*secret));
        free(*secret);
        *secret = NULL;
    }
}

static void headers_free(struct http_header *headers, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        free((char *)headers[index].name);
        free((char *)headers[index].value);
    }
    free(headers);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct rest_call *call = checked(handle->data);
    struct rest *rest = call->rest;

    wipe(&call->bearer);
    headers_free(call->headers, call->header_count);
    free(call->doing);
    free(call->method);
    free(call->url);
    free(call->body);
    free(call->if_match);
    call->magic = 0;
    free(call);
    rest->open_handles--;
    close_if_last(rest);
}

static void leave(struct rest_call *call, const char *why)
{
    token_withdraw(&call->wait);
    if (call->http_call != NULL) {
        http_cancel(call->http_call);
        call->http_call = NULL;
    }
    *call->place = call->next;
    if (call->next != NULL) {
        call->next->place = call->place;
    }
    sm_move(&call->sm, GONE, why);
    uv_close((uv_handle_t *)&call->timer, on_timer_closed);
}

static void finish(struct rest_call *call, const struct rest_answer *answer, const char *why)
{
    leave(call, why);
    call->answered(call->context, answer);
}

static void finish_with(struct rest_call *call, struct rest_error *error, const struct http_answer *http)
{
    struct rest_answer answer = {.error = error, .status = error->status, .http = http};

    error->repeated = call->unclear;
    finish(call, &answer, "failed");
}

/* ---- again, or not */

static uint64_t pause_ms(const struct rest_call *call, uint64_t wanted_ms)
{
    uint64_t full_ms = backoff_ms(call->tries, call->rest->first_pause_ms, PAUSE_MAX_MS);
    uint16_t random = 0;

    must(getrandom(&random, sizeof random, 0) == sizeof random);
    full_ms = full_ms / 2 + full_ms * random / UINT16_MAX / 2;
    return full_ms > wanted_ms ? full_ms : wanted_ms;
}

static void log_retry(struct rest_call *call, uint64_t wait_ms)
{
    struct rest *rest = call->rest;
    uint64_t now_ms = uv_now(rest->loop);

    if (rest->logged_ms > 0 && now_ms < rest->logged_ms + LOG_EVERY_MS) {
        rest->log_left_out++;
        return;
    }
    log_warn("rest_retry", "reason=%q retry_ms=%llu tries=%u also=%u", call->trouble.text, (unsigned long long)wait_ms,
             call->tries, rest->log_left_out);
    rest->logged_ms = now_ms;
    rest->log_left_out = 0;
}

static void on_pause_over(uv_timer_t *timer);

/* R1, R2. error is what the caller gets if this was the last try. */
static void try_again(struct rest_call *call, struct rest_error *error, const struct http_answer *http)
{
    uint64_t now_ms = uv_now(call->rest->loop);
    uint64_t wait_ms;

    call->tries++;
    call->trouble = error->err;
    wait_ms = pause_ms(call, http != NULL ? rest_retry_after_ms(http) : 0);
    if ((error->unclear && !call->safe) || now_ms + wait_ms > call->deadline_ms) {
        if (call->tries > 1) {
            (void)err_while(&error->err, "given up after %u tries", call->tries);
        }
        finish_with(call, error, http);
        return;
    }
    call->unclear = call->unclear || error->unclear;
    log_retry(call, wait_ms);
    sm_move(&call->sm, PAUSE, "again later");
    must(uv_timer_start(&call->timer, on_pause_over, wait_ms, 0) == 0);
}

/* ---- one try */

static void get_token(struct rest_call *call, const char *why)
{
    sm_move(&call->sm, TOKEN, why);
    token_get(call->rest->tokens, &call->wait);
}

static void on_refused_token(struct rest_call *call)
{
    call->token_tried = true;
    token_refused(call->rest->tokens, call->bearer + strlen("Bearer "));
    get_token(call, "the token was refused");
}

static void on_failed_answer(struct rest_call *call, const struct http_answer *answer)
{
    struct rest_error error;

    rest_error_read(answer, call->doing, &error);
    if (error.class == REST_AUTH && !call->token_tried && call->bearer != NULL) {
        on_refused_token(call);
    } else if (error.class == REST_RETRY) {
        try_again(call, &error, answer->err == NULL ? answer : NULL);
    } else {
        finish_with(call, &error, answer->err == NULL ? answer : NULL);
    }
}

static json_t *read_object(const struct http_answer *answer)
{
    json_t *body = answer->body_size == 0 ? json_object() : json_loadb(answer->body, answer->body_size, 0, NULL);

    if (!json_is_object(body)) {
        json_decref(body);
        return NULL;
    }
    return body;
}

static void count_try(const struct rest_call *call, int http_status)
{
    char status[16];

    (void)snprintf(status, sizeof status, "%d", http_status);
    metric_add(metric_cell(&tries_total, (const char *const[]){call->method, status}), 1);
}

static void on_answer(void *context, const struct http_answer *answer)
{
    struct rest_call *call = checked(context);
    bool well = answer->err == NULL && answer->status >= 200 && answer->status < 300;
    json_t *body = well ? read_object(answer) : NULL;

    call->http_call = NULL;
    count_try(call, answer->status);
    if (body == NULL) {
        on_failed_answer(call, answer);
    } else {
        struct rest_answer good = {.status = answer->status, .body = body, .http = answer};

        finish(call, &good, "answered");
        json_decref(body);
    }
}

static void add_header(struct http_header *headers, size_t *count, const char *name, const char *value)
{
    if (value != NULL) {
        headers[(*count)++] = (struct http_header){name, value};
    }
}

static void send_now(struct rest_call *call)
{
    struct http_header *headers = calloc(call->header_count + HEADERS_OWN, sizeof *headers);
    struct http_request request = {.method = call->method,
                                   .url = call->url,
                                   .headers = headers,
                                   .body = call->body,
                                   .body_size = call->body != NULL ? strlen(call->body) : 0,
                                   .timeout_ms = call->timeout_ms,
                                   .answer_bytes_max = call->answer_bytes_max,
                                   .once = !call->reuses};

    must(headers != NULL);
    add_header(headers, &request.header_count, "Authorization", call->bearer);
    add_header(headers, &request.header_count, "Accept", "application/json");
    add_header(headers, &request.header_count, "Content-Type", call->body != NULL ? "application/json; charset=UTF-8" : NULL);
    add_header(headers, &request.header_count, "If-Match", call->if_match);
    add_header(headers, &request.header_count, "X-Goog-User-Project", call->rest->quota_project);
    for (size_t index = 0; index < call->header_count; index++) {
        add_header(headers, &request.header_count, call->headers[index].name, call->headers[index].value);
    }
    call->http_call = http_send(call->rest->http, &request, on_answer, call);
    free(headers);
}

static void on_no_token(struct rest_call *call, const struct err *err)
{
    struct rest_error error = {.class = REST_AUTH, .err = *err};

    (void)err_while(&error.err, "%s", call->doing);
    if (err->class == ERR_RETRY) {
        error.class = REST_RETRY;
        try_again(call, &error, NULL);
    } else {
        error.class = err->class == ERR_CANCELED ? REST_CANCELED : REST_AUTH;
        finish_with(call, &error, NULL);
    }
}

static void on_token(struct token_wait *wait, const char *token, const struct err *err)
{
    struct rest_call *call = checked(wait->context);

    wipe(&call->bearer);
    if (token == NULL) {
        on_no_token(call, err);
        return;
    }
    if (token[0] != '\0') {
        must(asprintf(&call->bearer, "Bearer %s", token) > 0);
    }
    send_now(call);
    sm_move(&call->sm, SENT, "signed in");
}

static void on_pause_over(uv_timer_t *timer)
{
    get_token(checked(timer->data), "begin");
}

/* ---- a call */

static void copy_headers(struct rest_call *call, const struct rest_request *request)
{
    call->headers = calloc(request->header_count + 1, sizeof *call->headers);
    must(call->headers != NULL);
    call->header_count = request->header_count;
    for (size_t index = 0; index < request->header_count; index++) {
        call->headers[index] = (struct http_header){must_strdup(request->headers[index].name), must_strdup(request->headers[index].value)};
    }
}

/* The path without its query: values stand there. */
static char *describe(const struct rest_request *request)
{
    char *doing = NULL;

    must(asprintf(&doing, "%s %s%.*s", request->method, request->host != NULL ? request->host : "",
                  (int)strcspn(request->path, "?"), request->path) > 0);
    return doing;
}

static bool is_safe(const struct rest_request *request)
{
    return request->repeatable || request->if_match != NULL || strcmp(request->method, "GET") == 0 ||
           strcmp(request->method, "PUT") == 0 || strcmp(request->method, "DELETE") == 0;
}

static void take_request(struct rest_call *call, const struct rest_request *request)
{
    struct rest *rest = call->rest;

    call->doing = describe(request);
    call->method = must_strdup(request->method);
    must(asprintf(&call->url, "%s%s", request->host != NULL ? request->host : rest->endpoint, request->path) > 0);
    if (request->body != NULL) {
        call->body = json_dumps(request->body, JSON_COMPACT);
        must(call->body != NULL);
    }
    call->if_match = must_strdup(request->if_match);
    copy_headers(call, request);
    call->safe = is_safe(request);
    call->reuses = strcmp(request->method, "GET") == 0;
    call->timeout_ms = request->timeout_ms;
    call->answer_bytes_max = request->answer_bytes_max;
    call->began_ms = uv_now(rest->loop);
    call->deadline_ms = call->began_ms + (request->retry_ms > 0 ? request->retry_ms : rest->retry_ms);
}

struct rest_call *rest_send(struct rest *rest, const struct rest_request *request, rest_answered answered, void *context)
{
    struct rest_call *call = calloc(1, sizeof *call);

    must(call != NULL && !rest->closing);
    call->magic = MAGIC;
    call->rest = rest;
    call->answered = answered;
    call->context = context;
    call->wait = (struct token_wait){.answer = on_token, .context = call};
    take_request(call, request);
    call->next = rest->calls;
    call->place = &rest->calls;
    if (call->next != NULL) {
        call->next->place = &call->next;
    }
    rest->calls = call;
    sm_init(&call->sm, "rest_call", call->doing + strlen(call->method) + 1, states, PAUSE, invariant);
    must(uv_timer_init(rest->loop, &call->timer) == 0);
    call->timer.data = call;
    rest->open_handles++;
    must(uv_timer_start(&call->timer, on_pause_over, 0, 0) == 0);
    return call;
}

void rest_cancel(struct rest_call *call)
{
    leave(checked(call), "canceled");
}

bool rest_trouble(const struct rest *rest, char *text, size_t size)
{
    const struct rest_call *oldest = NULL;

    for (const struct rest_call *call = rest->calls; call != NULL; call = call->next) {
        if (call->trouble.class != ERR_NONE && (oldest == NULL || call->began_ms < oldest->began_ms)) {
            oldest = call;
        }
    }
    if (oldest != NULL) {
        (void)snprintf(text, size, "%s (for %llu s)", oldest->trouble.text,
                       (unsigned long long)((uv_now(rest->loop) - oldest->began_ms) / 1000));
    }
    return oldest != NULL;
}

/* ---- life */

struct rest *rest_new(uv_loop_t *loop, struct http *http, struct token_source *tokens, const struct rest_options *options)
{
    struct rest *rest = calloc(1, sizeof *rest);

    must(rest != NULL);
    rest->loop = loop;
    rest->http = http;
    rest->tokens = tokens;
    rest->endpoint = must_strdup(options->endpoint);
    rest->quota_project = must_strdup(options->quota_project);
    rest->retry_ms = options->retry_ms;
    rest->first_pause_ms = options->first_pause_ms > 0 ? options->first_pause_ms : FIRST_PAUSE_MS;
    must(uv_timer_init(loop, &rest->gate) == 0);
    rest->gate.data = rest;
    rest->open_handles = 1;
    return rest;
}

/* Not in rest_close itself, which may be called inside an answer. */
static void on_gate_closed(uv_handle_t *handle)
{
    struct rest *rest = handle->data;
    struct rest_error error = {.class = REST_CANCELED};

    (void)err_set(&error.err, ERR_CANCELED, "we are stopping");
    while (rest->calls != NULL) {
        error.unclear = sm_at(&rest->calls->sm) == SENT;
        finish_with(rest->calls, &error, NULL);
    }
    rest->open_handles--;
    close_if_last(rest);
}

void rest_close(struct rest *rest, void (*closed)(void *context), void *context)
{
    if (rest == NULL) {
        closed(context);
        return;
    }
    must(!rest->closing);
    rest->closing = true;
    rest->closed = closed;
    rest->closed_context = context;
    uv_close((uv_handle_t *)&rest->gate, on_gate_closed);
}
