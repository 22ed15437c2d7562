/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call is an easy handle of libcurl's with a place in the one list, which is in the order of sending:
 *
 *   http_send --> WAITING --fewer than calls_max--> UNDER_WAY --libcurl is done--> answered, gone
 *                 REFUSED (headers that would break the request) --next turn of the loop--> answered, gone
 *
 * The line is ours and not libcurl's, so that a time-out begins when a call leaves it. Urgent calls pass it.
 *
 * | answer's err | when                                                                                          |
 * | ERR_RETRY    | no name, no connection, cut off, time-out, garbage where HTTP should be                       |
 * | ERR_POISON   | the answer is longer than the request allows                                                  |
 * | ERR_FATAL    | certificate, CA file, URL, or headers that can't be sent: a person must act                   |
 * | ERR_CANCELED | http_close                                                                                    |
 *
 * `sent` is what libcurl counted as handed to the socket; a request of which half its head was sent counts as sent.
 *
 * Names are resolved by libcurl in a thread. By default it joins that thread when a transfer ends early, and a name server that
 * is silent would stop the loop for its whole time-out: CURLOPT_QUICK_EXIT lets go of the thread, which then cleans up alone.
 *
 * Error texts are libcurl's: they name the host, never the query, the headers or the body.
 */
#include "common/http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/curl_loop.h"
#include "common/must.h"
#include "common/version.h"

#define MAGIC              0x68747470
#define CONNECT_TIMEOUT_MS 10000
#define TIMEOUT_MS         60000
#define CALLS_MAX          16

enum state { WAITING, UNDER_WAY, REFUSED };

struct http_call {
    uint32_t magic;
    struct http *http;
    struct http_call *next;
    struct http_call *previous;
    enum state state;
    CURL *easy;
    struct curl_slist *headers;
    http_answered answered;
    void *context;
    struct buffer body;
    size_t body_max;
    size_t header_bytes;
    bool too_long;
    bool secret;
    bool urgent;
    struct err refused;
    char trouble[CURL_ERROR_SIZE];
};

struct http {
    struct curl_loop *curl;
    uv_timer_t refusals; /* runs in the next turn while there are REFUSED calls */
    struct http_call *first;
    struct http_call *last;
    unsigned under_way;
    unsigned calls_max;
    uint64_t connect_timeout_ms;
    char *ca_file;
    char *certificate_file;
    char *key_file;
    bool closing;
    void (*closed)(void *context);
    void *closed_context;
};

static struct http_call *checked(void *pointer)
{
    struct http_call *call = pointer;

    must(call->magic == MAGIC);
    return call;
}

/* ---- the list */

static void append(struct http *http, struct http_call *call)
{
    call->previous = http->last;
    if (http->last != NULL) {
        http->last->next = call;
    } else {
        http->first = call;
    }
    http->last = call;
}

static void unlink_call(struct http *http, struct http_call *call)
{
    if (call->previous != NULL) {
        call->previous->next = call->next;
    } else {
        http->first = call->next;
    }
    if (call->next != NULL) {
        call->next->previous = call->previous;
    } else {
        http->last = call->previous;
    }
}

static struct http_call *find(const struct http *http, enum state state)
{
    struct http_call *call = http->first;

    while (call != NULL && call->state != state) {
        call = call->next;
    }
    return call;
}

static void start(struct http *http, struct http_call *call)
{
    call->state = UNDER_WAY;
    http->under_way += call->urgent ? 0 : 1;
    curl_loop_add(http->curl, call->easy);
}

static void start_more(struct http *http)
{
    struct http_call *call;

    while (!http->closing && http->under_way < http->calls_max && (call = find(http, WAITING)) != NULL) {
        start(http, call);
    }
}

/* ---- the answer, as it comes */

static size_t on_body(char *bytes, size_t one, size_t size, void *context)
{
    struct http_call *call = checked(context);

    (void)one;
    if (size > call->body_max - call->body.size) {
        call->too_long = true;
        return 0;
    }
    buffer_append(&call->body, bytes, size);
    return size;
}

/* libcurl keeps the headers; here they are counted. */
static size_t on_header(char *bytes, size_t one, size_t size, void *context)
{
    struct http_call *call = checked(context);

    (void)one;
    (void)bytes;
    call->header_bytes += size;
    call->too_long = call->too_long || call->header_bytes > HTTP_HEADERS_BYTES_MAX;
    return call->too_long ? 0 : size;
}

const char *http_answer_header(const struct http_answer *answer, const char *name)
{
    struct curl_header *header;
    size_t last;

    if (answer->_call == NULL || curl_easy_header(answer->_call->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) {
        return NULL;
    }
    last = header->amount - 1;
    return last == 0 || curl_easy_header(answer->_call->easy, name, last, CURLH_HEADER, -1, &header) == CURLHE_OK
               ? header->value
               : NULL;
}

static enum err_class class_of(CURLcode code, bool sent)
{
    switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL: /* of the URL; or, once sent, of the answer ("HTTP/0.9") */
        return sent ? ERR_RETRY : ERR_FATAL;
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
        return ERR_FATAL;
    default:
        return ERR_RETRY;
    }
}

static bool was_sent(const struct http_call *call)
{
    long head_bytes = 0;
    curl_off_t body_bytes = 0;

    must(curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &head_bytes) == CURLE_OK);
    must(curl_easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &body_bytes) == CURLE_OK);
    return head_bytes > 0 || body_bytes > 0;
}

static void explain(const struct http_call *call, CURLcode code, struct err *err)
{
    if (call->too_long) {
        (void)err_set(err, ERR_POISON, "the answer is longer than %zu bytes, or its headers than %d", call->body_max,
                      HTTP_HEADERS_BYTES_MAX);
    } else {
        (void)err_set(err, class_of(code, was_sent(call)), "%s",
                      call->trouble[0] != '\0' ? call->trouble : curl_easy_strerror(code));
    }
}

/* ---- the end of a call */

static void forget(struct http_call *call)
{
    if (call->state == UNDER_WAY) {
        curl_loop_remove(call->http->curl, call->easy);
        call->http->under_way -= call->urgent ? 0 : 1;
    }
    unlink_call(call->http, call);
}

static void call_free(struct http_call *call)
{
    if (call->secret && call->body.bytes != NULL) {
        explicit_bzero(call->body.bytes, call->body.size);
    }
    buffer_deinit(&call->body);
    curl_easy_cleanup(call->easy);
    for (struct curl_slist *line = call->headers; line != NULL; line = line->next) {
        explicit_bzero(line->data, strlen(line->data)); /* one may hold a token */
    }
    curl_slist_free_all(call->headers);
    call->magic = 0;
    free(call);
}

static void fail(struct http_call *call, const struct err *err)
{
    struct http_answer answer = {.err = err, .sent = call->state == UNDER_WAY && was_sent(call), .body = ""};

    forget(call);
    call->answered(call->context, &answer);
    call_free(call);
}

static void succeed(struct http_call *call)
{
    struct http_answer answer = {.sent = true, ._call = call};
    long status = 0;

    must(curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK);
    answer.status = (int)status;
    answer.body = buffer_text(&call->body);
    answer.body_size = call->body.size;
    forget(call);
    call->answered(call->context, &answer);
    call_free(call);
}

static void on_done(void *context, CURL *easy, CURLcode code)
{
    struct http *http = context;
    struct err err = {0};
    char *private = NULL;
    struct http_call *call;

    must(curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private) == CURLE_OK);
    call = checked(private);
    if (code == CURLE_OK) {
        succeed(call);
    } else {
        explain(call, code, &err);
        fail(call, &err);
    }
    start_more(http);
}

static void on_refusals(uv_timer_t *timer)
{
    struct http *http = timer->data;
    struct http_call *call;

    while ((call = find(http, REFUSED)) != NULL && !http->closing) {
        const struct err err = call->refused;

        fail(call, &err);
    }
}

void http_cancel(struct http_call *call)
{
    struct http *http = checked(call)->http;

    forget(call);
    call_free(call);
    start_more(http);
}

/* ---- a request */

/* A value with a line break would be a header of its own. */
static bool is_line(const char *text)
{
    for (; *text != '\0'; text++) {
        if (iscntrl((unsigned char)*text) != 0 && *text != '\t') {
            return false;
        }
    }
    return true;
}

static void add_line(struct http_call *call, const char *line)
{
    struct curl_slist *headers = curl_slist_append(call->headers, line);

    must(headers != NULL);
    call->headers = headers;
}

static void add_header(struct http_call *call, const struct http_header *header)
{
    struct buffer line = {0};

    if (!is_line(header->name) || !is_line(header->value)) {
        (void)err_set(&call->refused, ERR_FATAL, "the header %s can't be sent: its value holds a control character",
                      header->name);
        return;
    }
    /* "Name;" is how libcurl is told of an empty value. */
    buffer_printf(&line, header->value[0] != '\0' ? "%s: %s" : "%s;", header->name, header->value);
    add_line(call, buffer_text(&line));
    explicit_bzero(line.bytes, line.size); /* it may be the token's */
    buffer_deinit(&line);
}

static bool has_header(const struct http_request *request, const char *name)
{
    for (size_t index = 0; index < request->header_count; index++) {
        if (strcasecmp(request->headers[index].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void set_headers(struct http_call *call, const struct http_request *request)
{
    for (size_t index = 0; index < request->header_count; index++) {
        add_header(call, &request->headers[index]);
    }
    add_line(call, "Expect:"); /* no waiting for "100 Continue" */
    if (!has_header(request, "Content-Type")) {
        add_line(call, "Content-Type:"); /* else libcurl says that it is a form */
    }
}

static void set_text(CURL *easy, CURLoption option, const char *text)
{
    must(curl_easy_setopt(easy, option, text) == CURLE_OK);
}

static void set_number(CURL *easy, CURLoption option, uint64_t number)
{
    must(curl_easy_setopt(easy, option, (long)number) == CURLE_OK);
}

static void set_body(CURL *easy, const struct http_request *request)
{
    bool has_body = request->body != NULL || strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0 ||
                    strcmp(request->method, "PATCH") == 0;

    if (has_body) {
        must(curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size) == CURLE_OK);
        must(curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body != NULL ? request->body : "") ==
             CURLE_OK); /* not copied */
    }
    set_text(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_connection(const struct http *http, CURL *easy, const struct http_request *request)
{
    set_number(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    set_text(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    set_number(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    if (http->ca_file != NULL) {
        set_text(easy, CURLOPT_CAINFO, http->ca_file);
        set_text(easy, CURLOPT_CAPATH, NULL);
    }
    set_text(easy, CURLOPT_SSLCERT, http->certificate_file);
    set_text(easy, CURLOPT_SSLKEY, http->key_file);
    if (request->direct) {
        set_text(easy, CURLOPT_PROXY, "");
    }
    set_number(easy, CURLOPT_FRESH_CONNECT, request->once ? 1 : 0);
    set_number(easy, CURLOPT_CONNECTTIMEOUT_MS, http->connect_timeout_ms);
    set_number(easy, CURLOPT_TIMEOUT_MS, request->timeout_ms > 0 ? request->timeout_ms : TIMEOUT_MS);
    set_number(easy, CURLOPT_TCP_KEEPALIVE, 1);
    set_number(easy, CURLOPT_QUICK_EXIT, 1);
}

static void set_answer(struct http_call *call)
{
    must(curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK);
    must(curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call) == CURLE_OK);
    must(curl_easy_setopt(call->easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK);
    must(curl_easy_setopt(call->easy, CURLOPT_HEADERDATA, call) == CURLE_OK);
    must(curl_easy_setopt(call->easy, CURLOPT_ERRORBUFFER, call->trouble) == CURLE_OK);
    must(curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call) == CURLE_OK);
}

static void set_request(struct http_call *call, const struct http_request *request)
{
    set_text(call->easy, CURLOPT_URL, request->url);
    set_number(call->easy, CURLOPT_PATH_AS_IS, 1);
    set_body(call->easy, request);
    set_headers(call, request);
    set_connection(call->http, call->easy, request);
    set_answer(call);
    must(curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers) == CURLE_OK);
}

static struct http_call *call_new(struct http *http, const struct http_request *request)
{
    struct http_call *call = calloc(1, sizeof *call);
    char agent[64];

    must(call != NULL);
    call->magic = MAGIC;
    call->http = http;
    call->body_max = request->answer_bytes_max > 0 ? request->answer_bytes_max : HTTP_ANSWER_BYTES_MAX;
    call->secret = request->secret;
    call->urgent = request->urgent;
    if (call->secret) {
        (void)buffer_reserve(&call->body, call->body_max + 1); /* so that no copy is left behind when it grows */
    }
    call->easy = curl_easy_init();
    must(call->easy != NULL);
    (void)snprintf(agent, sizeof agent, "kakehi/%s", version_text());
    set_text(call->easy, CURLOPT_USERAGENT, agent);
    set_request(call, request);
    return call;
}

struct http_call *http_send(struct http *http, const struct http_request *request, http_answered answered, void *context)
{
    struct http_call *call;

    must(!http->closing);
    call = call_new(http, request);
    call->answered = answered;
    call->context = context;
    append(http, call);
    if (call->refused.class != ERR_NONE) {
        call->state = REFUSED;
        must(uv_timer_start(&http->refusals, on_refusals, 0, 0) == 0);
    } else if (call->urgent) {
        start(http, call);
    }
    start_more(http);
    return call;
}

/* ---- life */

/* Said now, with the file's name; libcurl would say less, and at the first request. */
static int check_readable(const char *path, struct err *err)
{
    FILE *file = path != NULL ? fopen(path, "re") : NULL;

    if (path != NULL && file == NULL) {
        return err_set(err, ERR_FATAL, "reading the certificates in %s: %s", path, strerror(errno));
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return 0;
}

int http_new(uv_loop_t *loop, const struct http_options *options, struct http **ret_http, struct err *err)
{
    struct http *http;

    if (check_readable(options->ca_file, err) != 0 || check_readable(options->certificate_file, err) != 0 ||
        check_readable(options->key_file, err) != 0) {
        return -1;
    }
    http = calloc(1, sizeof *http);
    must(http != NULL);
    http->calls_max = options->calls_max > 0 ? options->calls_max : CALLS_MAX;
    http->connect_timeout_ms = options->connect_timeout_ms > 0 ? options->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    http->ca_file = must_strdup(options->ca_file);
    http->certificate_file = must_strdup(options->certificate_file);
    http->key_file = must_strdup(options->key_file);
    http->curl = curl_loop_new(loop, on_done, http);
    must(uv_timer_init(loop, &http->refusals) == 0);
    http->refusals.data = http;
    *ret_http = http;
    return 0;
}

static void on_curl_closed(void *context)
{
    struct http *http = context;
    void (*closed)(void *context) = http->closed;
    void *closed_context = http->closed_context;

    free(http->ca_file);
    free(http->certificate_file);
    free(http->key_file);
    free(http);
    closed(closed_context);
}

/* Not in http_close itself, which may be called inside an answer. */
static void on_timer_closed(uv_handle_t *handle)
{
    struct http *http = handle->data;
    struct http_call *call;
    struct err canceled = {0};

    (void)err_set(&canceled, ERR_CANCELED, "we are stopping");
    while ((call = http->first) != NULL) {
        fail(call, &canceled);
        must(http->first != call);
    }
    curl_loop_close(http->curl, on_curl_closed, http);
}

void http_close(struct http *http, void (*closed)(void *context), void *context)
{
    if (http == NULL) {
        closed(context);
        return;
    }
    must(!http->closing);
    http->closing = true;
    http->closed = closed;
    http->closed_context = context;
    uv_close((uv_handle_t *)&http->refusals, on_timer_closed);
}
