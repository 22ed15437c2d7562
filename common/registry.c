/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question is one request, its URL and body made here and its answer read by registry_wire.c.
 *
 * With several URLs there is one that is asked, `current`, until it fails; then the next one in the list is, and stays. A question goes
 * round once at most. There is no way back to the first but by trouble of the others: servers of one registry are equal, and a registration
 * and the fetch that proves it are best asked of the same one.
 *
 * | what came            | then                                                                                                      |
 * | no answer, 5xx       | the next URL; after the last, the answer is this trouble. It is for now if that of any URL was            |
 * | any other status     | the answer: another server of the registry would say the same. So 401 and 404 are no reason to go on       |
 */
#include "common/registry.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/http.h"
#include "common/log.h"
#include "common/must.h"
#include "common/registry_wire.h"

#define ANSWER_BYTES_MAX (16 << 20) /* a schema of 8 MiB, with each quote escaped */
#define CALLS_MAX        8

struct registry {
    const struct settings_registry *settings;
    struct http *http;
    char *authorization; /* the header's value; NULL: none */
    size_t current;      /* place of the URL that is asked */
    void (*closed)(void *context);
    void *closed_context;
};

struct asked {
    struct registry *registry;
    enum registry_verb verb;
    struct buffer path; /* behind a URL of the registry */
    struct buffer body; /* of the request */
    size_t at;          /* place of the URL that was asked */
    size_t failed;      /* so many URLs had trouble */
    bool passing;       /* that of one of them was for now */
    registry_answered answered;
    void *context;
};

/* "Basic " and base64 of user:password. */
static char *make_authorization(const struct settings_registry *settings)
{
    char *pair, *value;
    int size;

    if (settings->user == NULL) {
        return NULL;
    }
    size = asprintf(&pair, "%s:%s", settings->user, settings->password != NULL ? settings->password : "");
    must(size >= 0);
    value = malloc(6 + 4 * (((size_t)size + 2) / 3) + 1);
    must(value != NULL);
    memcpy(value, "Basic ", 6);
    (void)EVP_EncodeBlock((unsigned char *)value + 6, (const unsigned char *)pair, size);
    explicit_bzero(pair, (size_t)size);
    free(pair);
    return value;
}

int registry_new(uv_loop_t *loop, const struct settings_registry *settings, struct registry **ret_registry, struct err *err)
{
    const struct http_options options = {.ca_file = settings->ca_file,
                                         .certificate_file = settings->certificate_file,
                                         .key_file = settings->key_file,
                                         .connect_timeout_ms = (uint64_t)settings->timeout_ms,
                                         .calls_max = CALLS_MAX};
    struct registry *registry = calloc(1, sizeof *registry);

    must(registry != NULL && settings->urls.count > 0);
    registry->settings = settings;
    if (http_new(loop, &options, &registry->http, err) != 0) {
        free(registry);
        return -1;
    }
    registry->authorization = make_authorization(settings);
    *ret_registry = registry;
    return 0;
}

static void make_path(const struct registry_question *question, struct buffer *path)
{
    switch (question->verb) {
    case REGISTRY_REGISTER:
        buffer_printf(path, "/subjects/%s/versions", question->subject);
        break;
    case REGISTRY_FETCH:
        buffer_printf(path, "/schemas/ids/%u", question->id);
        break;
    case REGISTRY_TYPES:
        buffer_append_text(path, "/schemas/types");
        break;
    case REGISTRY_COMPATIBILITY:
        buffer_append_text(path, "/config");
        break;
    }
}

static void make_url(const char *base, const struct buffer *path, struct buffer *url)
{
    size_t size = strlen(base);

    while (size > 0 && base[size - 1] == '/') {
        size--;
    }
    buffer_append(url, base, size);
    buffer_append(url, path->bytes, path->size);
}

static int read_reply(enum registry_verb verb, const struct registry_reply *reply, uint32_t *ret_id, struct buffer *ret_text, struct err *err)
{
    switch (verb) {
    case REGISTRY_REGISTER:
        return registry_wire_id(reply, ret_id, err);
    case REGISTRY_FETCH:
        return registry_wire_schema(reply, ret_text, err);
    case REGISTRY_TYPES:
        return registry_wire_types(reply, err);
    default:
        return registry_wire_compatibility(reply, ret_text, err);
    }
}

/* ---- one URL after the other */

static void send_question(struct asked *asked);

static bool is_unwell(const struct http_answer *http)
{
    return http->err != NULL ? http->err->class == ERR_RETRY || http->err->class == ERR_FATAL : http->status >= 500;
}

/* False: there is no other one, or each was asked. */
static bool try_next(struct asked *asked, const struct http_answer *http)
{
    struct registry *registry = asked->registry;
    size_t count = registry->settings->urls.count, next = (asked->at + 1) % count;

    if (!is_unwell(http)) {
        return false;
    }
    asked->failed++;
    asked->passing = asked->passing || http->err == NULL || http->err->class == ERR_RETRY;
    if (registry->current == asked->at) { /* else another question has gone on before */
        registry->current = next;
    }
    if (asked->failed == count) {
        return false;
    }
    log_debug("registry_next", "failed=%q status=%d reason=%q next=%q", registry->settings->urls.texts[asked->at], http->status,
              http->err != NULL ? http->err->text : "", registry->settings->urls.texts[next]);
    asked->at = next;
    send_question(asked);
    return true;
}

/* ---- the answer */

/* POISON is an answer that is too long: it says nothing of the schema. */
static enum err_class class_of(const struct asked *asked, enum err_class class)
{
    return class == ERR_POISON || (class == ERR_FATAL && asked->passing) ? ERR_RETRY : class;
}

/* Where each has trouble, the last one's. */
static void tell_trouble(const struct asked *asked, const struct http_answer *http, struct err *err)
{
    size_t count = asked->registry->settings->urls.count;

    if (http->err != NULL) {
        *err = *http->err;
        err->class = class_of(asked, err->class);
        (void)err_while(err, "asking the registry");
    }
    if (asked->failed == count && count > 1) {
        (void)err_while(err, "none of the %zu URLs of registry.url serves; the last one", count);
    }
}

static void on_reply(void *context, const struct http_answer *http)
{
    struct asked *asked = context;
    const struct registry_reply reply = {http->status, http->body, http->body_size};
    struct registry_answer answer = {0};
    struct buffer text = {0};
    struct err err = {0};

    if (try_next(asked, http)) {
        return;
    }
    if (http->err != NULL || read_reply(asked->verb, &reply, &answer.id, &text, &err) != 0) {
        tell_trouble(asked, http, &err);
        answer.err = &err;
    } else {
        answer.text = buffer_text(&text);
        answer.text_size = text.size;
    }
    asked->answered(asked->context, &answer);
    buffer_deinit(&text);
    buffer_deinit(&asked->path);
    buffer_deinit(&asked->body);
    free(asked);
}

static void send_question(struct asked *asked)
{
    const struct registry *registry = asked->registry;
    bool registers = asked->verb == REGISTRY_REGISTER;
    const struct http_header headers[] = {{"Accept", REGISTRY_CONTENT_TYPE ", application/json"},
                                          {"Content-Type", REGISTRY_CONTENT_TYPE},
                                          {"Authorization", registry->authorization}};
    struct buffer url = {0};

    make_url(registry->settings->urls.texts[asked->at], &asked->path, &url);
    (void)http_send(registry->http,
                    &(struct http_request){.method = registers ? "POST" : "GET",
                                           .url = buffer_text(&url),
                                           .headers = headers,
                                           .header_count = registry->authorization != NULL ? 3 : 2,
                                           .body = registers ? asked->body.bytes : NULL,
                                           .body_size = asked->body.size,
                                           .timeout_ms = (uint64_t)registry->settings->timeout_ms,
                                           .answer_bytes_max = ANSWER_BYTES_MAX},
                    on_reply, asked);
    buffer_deinit(&url);
}

void registry_ask(struct registry *registry, const struct registry_question *question, registry_answered answered, void *context)
{
    struct asked *asked = calloc(1, sizeof *asked);

    must(asked != NULL);
    *asked = (struct asked){.registry = registry, .verb = question->verb, .at = registry->current, .answered = answered, .context = context};
    make_path(question, &asked->path);
    if (question->verb == REGISTRY_REGISTER) {
        registry_wire_body(&asked->body, question->text);
    }
    send_question(asked);
}

static void on_closed(void *context)
{
    struct registry *registry = context;
    void (*closed)(void *context) = registry->closed;
    void *closed_context = registry->closed_context;

    if (registry->authorization != NULL) {
        explicit_bzero(registry->authorization, strlen(registry->authorization));
    }
    free(registry->authorization);
    free(registry);
    closed(closed_context);
}

void registry_close(struct registry *registry, void (*closed)(void *context), void *context)
{
    if (registry == NULL) {
        closed(context);
        return;
    }
    registry->closed = closed;
    registry->closed_context = context;
    http_close(registry->http, on_closed, registry);
}
