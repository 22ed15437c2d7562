/* SPDX-License-Identifier: Apache-2.0 */
/* A question is one request, its URL and body made here and its answer read by registry_wire.c. */
#include "common/registry.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/http.h"
#include "common/must.h"
#include "common/registry_wire.h"

#define ANSWER_BYTES_MAX (16 << 20) /* a schema of 8 MiB, with each quote escaped */
#define CALLS_MAX        8

struct registry {
    const struct settings_registry *settings;
    struct http *http;
    char *authorization; /* the header's value; NULL: none */
    void (*closed)(void *context);
    void *closed_context;
};

struct asked {
    enum registry_verb verb;
    struct buffer body; /* of the request */
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

    must(registry != NULL && settings->url != NULL);
    registry->settings = settings;
    if (http_new(loop, &options, &registry->http, err) != 0) {
        free(registry);
        return -1;
    }
    registry->authorization = make_authorization(settings);
    *ret_registry = registry;
    return 0;
}

static void make_url(const struct registry *registry, const struct registry_question *question, struct buffer *url)
{
    size_t size = strlen(registry->settings->url);

    while (size > 0 && registry->settings->url[size - 1] == '/') {
        size--;
    }
    buffer_append(url, registry->settings->url, size);
    switch (question->verb) {
    case REGISTRY_REGISTER:
        buffer_printf(url, "/subjects/%s/versions", question->subject);
        break;
    case REGISTRY_FETCH:
        buffer_printf(url, "/schemas/ids/%u", question->id);
        break;
    case REGISTRY_TYPES:
        buffer_append_text(url, "/schemas/types");
        break;
    case REGISTRY_COMPATIBILITY:
        buffer_append_text(url, "/config");
        break;
    }
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

static void on_reply(void *context, const struct http_answer *http)
{
    struct asked *asked = context;
    const struct registry_reply reply = {http->status, http->body, http->body_size};
    struct registry_answer answer = {0};
    struct buffer text = {0};
    struct err err = {0};

    if (http->err != NULL) {
        err = *http->err;
        err.class = err.class == ERR_POISON ? ERR_RETRY : err.class; /* too long: it says nothing of the schema */
        (void)err_while(&err, "asking the registry");
        answer.err = &err;
    } else if (read_reply(asked->verb, &reply, &answer.id, &text, &err) != 0) {
        answer.err = &err;
    } else {
        answer.text = buffer_text(&text);
        answer.text_size = text.size;
    }
    asked->answered(asked->context, &answer);
    buffer_deinit(&text);
    buffer_deinit(&asked->body);
    free(asked);
}

void registry_ask(struct registry *registry, const struct registry_question *question, registry_answered answered, void *context)
{
    bool registers = question->verb == REGISTRY_REGISTER;
    const struct http_header headers[] = {{"Accept", REGISTRY_CONTENT_TYPE ", application/json"},
                                          {"Content-Type", REGISTRY_CONTENT_TYPE},
                                          {"Authorization", registry->authorization}};
    struct asked *asked = calloc(1, sizeof *asked);
    struct buffer url = {0};

    must(asked != NULL);
    *asked = (struct asked){.verb = question->verb, .answered = answered, .context = context};
    if (registers) {
        registry_wire_body(&asked->body, question->text);
    }
    make_url(registry, question, &url);
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
