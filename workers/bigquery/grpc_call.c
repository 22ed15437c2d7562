/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call, from its owner's first word to the end.
 *
 *    waits for a connection --grpc_call_start--> on a stream --status settled--> off it --told--> freed
 *         |                                                                       ^
 *         +------------------ canceled, too late, no connection ------------------+
 *
 * What settles the status is in the answer (grpc_answer.h): the server's trailers, a reset, or our own reasons; whoever is
 * first. Everything else follows from that in the channel's turn: off the stream, off the lists, the owner is told.
 *
 * `sent` of a status errs to the safe side: from the moment when HEADERS are produced the server may have acted, even if the
 * bytes then never left this machine. Only the server's own word (REFUSED_STREAM, GOAWAY with a lower number) takes it back.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "common/version.h"
#include "workers/bigquery/grpc_parts.h"

#define TIMEOUT_MS_MAX 99999999 /* eight digits are allowed; longer ones are rounded up to seconds */

/* ---- new */

static void link_call(struct grpc *grpc, struct grpc_call *call)
{
    call->next = grpc->calls;
    call->place = &grpc->calls;
    if (call->next != NULL) {
        call->next->place = &call->next;
    }
    grpc->calls = call;
    call->waits = true;
    *grpc->waiting_end = call;
    grpc->waiting_end = &call->next_waiting;
}

static void on_message(void *context, const uint8_t *message, size_t size);

struct grpc_call *grpc_call_open(struct grpc *grpc, const struct grpc_target *target, const struct grpc_events *events,
                                 void *context)
{
    struct grpc_call *call = calloc(1, sizeof *call);

    must(call != NULL);
    call->grpc = grpc;
    call->method = must_strdup(target->method);
    call->params = must_strdup(target->params);
    call->authorization =
        target->authorization != NULL && target->authorization[0] != '\0' ? must_strdup(target->authorization) : NULL;
    call->timeout_ms = target->timeout_ms;
    call->deadline_ms = target->timeout_ms > 0 ? uv_now(grpc->loop) + target->timeout_ms : UINT64_MAX;
    call->events = events;
    call->context = context;
    grpc_answer_init(&call->answer, on_message, call);
    link_call(grpc, call);
    grpc_wake(grpc);
    return call;
}

/* ---- unary: a bidirectional call of one message each way */

static void on_unary_message(void *context, const uint8_t *message, size_t size)
{
    struct grpc_call *call = context;

    if (call->unary_answer_came) {
        grpc_call_fail(call, GRPC_INTERNAL, "the server answered a unary call with several messages");
        return;
    }
    call->unary_answer_came = true;
    buffer_append(&call->unary_answer, message, size);
}

static void on_unary_end(void *context, const struct grpc_status *status)
{
    struct grpc_call *call = context;
    struct grpc_status empty = *status;

    if (status->code != GRPC_OK) {
        call->answered(call->context, status, NULL, 0);
    } else if (!call->unary_answer_came) {
        empty.code = GRPC_INTERNAL;
        empty.message = "the server answered a unary call with no message";
        empty.server = false;
        call->answered(call->context, &empty, NULL, 0);
    } else {
        (void)buffer_reserve(&call->unary_answer, 1); /* a message of no bytes is no NULL */
        call->answered(call->context, status, call->unary_answer.bytes, call->unary_answer.size);
    }
}

static const struct grpc_events unary_events = {.message = on_unary_message, .end = on_unary_end};

struct grpc_call *grpc_unary(struct grpc *grpc, const struct grpc_target *target, const void *message, size_t size,
                             grpc_answered answered, void *context)
{
    struct grpc_call *call = grpc_call_open(grpc, target, &unary_events, context);

    call->answered = answered;
    buffer_append(&call->unary_request, message, size);
    grpc_call_send(call, call->unary_request.bytes, size);
    grpc_call_half_close(call);
    return call;
}

static void *context_of(struct grpc_call *call)
{
    return call->answered != NULL ? call : call->context;
}

/* ---- what its owner does */

static bool is_over(const struct grpc_call *call)
{
    return call->ended || grpc_answer_settled(&call->answer);
}

void grpc_call_touch(struct grpc_call *call)
{
    struct grpc *grpc = call->grpc;

    if (!call->touched) {
        call->touched = true;
        call->next_touched = NULL;
        *grpc->touched_end = call;
        grpc->touched_end = &call->next_touched;
    }
    grpc_wake(grpc);
}

void grpc_call_send(struct grpc_call *call, const void *message, size_t size)
{
    if (is_over(call) || call->half_closed) {
        return;
    }
    must(call->queue_count < GRPC_QUEUE_MAX && size <= UINT32_MAX);
    call->queue[(call->queue_first + call->queue_count) % GRPC_QUEUE_MAX] =
        (struct grpc_sending){.bytes = message, .size = size};
    call->queue_count++;
    grpc_call_touch(call);
}

void grpc_call_half_close(struct grpc_call *call)
{
    if (!is_over(call)) {
        call->half_closed = true;
        grpc_call_touch(call);
    }
}

void grpc_call_cancel(struct grpc_call *call)
{
    if (!call->ended) {
        call->canceled = true;
        call->queue_count = 0;
        grpc_call_fail(call, GRPC_CANCELLED, "canceled");
    }
}

void grpc_call_fail(struct grpc_call *call, enum grpc_code code, const char *format, ...)
{
    char text[sizeof((struct err *)NULL)->text];
    va_list list;

    if (is_over(call)) {
        return;
    }
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    grpc_answer_settle(&call->answer, code, "%s", text);
    grpc_call_touch(call);
}

/* ---- on a stream */

static void timeout_text(const struct grpc_call *call, char *text, size_t size)
{
    uint64_t now_ms = uv_now(call->grpc->loop);
    uint64_t left_ms = call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 1;

    if (left_ms <= TIMEOUT_MS_MAX) {
        (void)snprintf(text, size, "%" PRIu64 "m", left_ms);
    } else {
        (void)snprintf(text, size, "%" PRIu64 "S", left_ms / 1000 + 1);
    }
}

static void wipe(char **text)
{
    if (*text != NULL) {
        explicit_bzero(*text, strlen(*text));
        free(*text);
        *text = NULL;
    }
}

void grpc_call_start(struct grpc_call *call, struct grpc_connection *connection)
{
    const struct grpc *grpc = call->grpc;
    char timeout[32];
    char agent[96];
    struct http2_header headers[16] = {
        {.name = ":method", .value = "POST"},     {.name = ":scheme", .value = grpc->tls != NULL ? "https" : "http"},
        {.name = ":path", .value = call->method}, {.name = ":authority", .value = grpc->authority},
        {.name = "te", .value = "trailers"},      {.name = "content-type", .value = "application/grpc"},
        {.name = "user-agent", .value = agent},   {.name = "grpc-accept-encoding", .value = "identity,gzip"},
    };
    size_t count = 8;

    (void)snprintf(agent, sizeof agent, "kakehi/%s", version_text());
    if (grpc->options.gzip) {
        headers[count++] = (struct http2_header){.name = "grpc-encoding", .value = "gzip"};
    }
    if (call->deadline_ms != UINT64_MAX) {
        timeout_text(call, timeout, sizeof timeout);
        headers[count++] = (struct http2_header){.name = "grpc-timeout", .value = timeout};
    }
    if (call->params != NULL) {
        headers[count++] = (struct http2_header){.name = "x-goog-request-params", .value = call->params};
    }
    if (grpc->quota_project != NULL) {
        headers[count++] = (struct http2_header){.name = "x-goog-user-project", .value = grpc->quota_project};
    }
    if (call->authorization != NULL) {
        headers[count++] = (struct http2_header){.name = "authorization", .value = call->authorization, .secret = true};
    }
    grpc_connection_add(connection, call);
    call->stream = http2_open(connection->http2, headers, count, call);
    wipe(&call->authorization);
}

void grpc_call_on_leaving(void *stream)
{
    ((struct grpc_call *)stream)->left = true;
}

/* The first message of the queue gets its prefix, and is compressed if that helps. */
static void pack(struct grpc_call *call)
{
    struct grpc_sending message = call->queue[call->queue_first];
    bool deflated = call->grpc->options.gzip && grpc_message_deflate(message.bytes, message.size, &call->compressed);

    if (deflated) {
        message = (struct grpc_sending){.bytes = call->compressed.bytes, .size = call->compressed.size};
    }
    grpc_prefix_write(call->prefix, deflated, message.size);
    call->packed_message = message;
    call->packed_at = 0;
    call->packed = true;
}

static size_t copy_part(uint8_t *to, size_t room, const uint8_t *from, size_t from_size)
{
    size_t count = from_size < room ? from_size : room;

    if (count > 0) {
        memcpy(to, from, count);
    }
    return count;
}

/* Copies what fits of the first message; one that is through leaves the queue. */
static size_t copy_first(struct grpc_call *call, uint8_t *to, size_t room)
{
    const struct grpc_sending *message = &call->packed_message;
    size_t count = 0;

    if (call->packed_at < GRPC_PREFIX_BYTES) {
        count = copy_part(to, room, call->prefix + call->packed_at, GRPC_PREFIX_BYTES - call->packed_at);
        call->packed_at += count;
    }
    if (call->packed_at >= GRPC_PREFIX_BYTES) {
        size_t at = call->packed_at - GRPC_PREFIX_BYTES;
        size_t more = copy_part(to + count, room - count, message->bytes + at, message->size - at);

        call->packed_at += more;
        count += more;
    }
    if (call->packed_at == GRPC_PREFIX_BYTES + message->size) {
        call->packed = false;
        call->queue_first = (call->queue_first + 1) % GRPC_QUEUE_MAX;
        call->queue_count--;
        call->sent_count++;
        buffer_deinit(&call->compressed);
        grpc_call_touch(call);
    }
    return count;
}

size_t grpc_call_on_body(void *stream, uint8_t *to, size_t size, bool *ret_last)
{
    struct grpc_call *call = stream;
    size_t count = 0;

    if (is_over(call)) {
        return 0; /* it is about to be reset */
    }
    while (count < size && call->queue_count > 0) {
        if (!call->packed) {
            pack(call);
        }
        count += copy_first(call, to + count, size - count);
    }
    *ret_last = call->queue_count == 0 && call->half_closed;
    return count;
}

static void hear(struct grpc_call *call)
{
    if (grpc_answer_settled(&call->answer)) {
        grpc_call_touch(call);
    }
}

static void on_message(void *context, const uint8_t *message, size_t size)
{
    struct grpc_call *call = context;

    if (!is_over(call)) { /* not canceled inside the message before */
        call->events->message(context_of(call), message, size);
    }
}

void grpc_call_on_header(void *stream, const char *name, const char *value, size_t value_size)
{
    struct grpc_call *call = stream;

    grpc_answer_header(&call->answer, name, value, value_size);
    hear(call);
}

void grpc_call_on_data(void *stream, const uint8_t *bytes, size_t size)
{
    struct grpc_call *call = stream;

    grpc_answer_data(&call->answer, bytes, size);
    hear(call);
}

void grpc_call_on_end(void *stream)
{
    struct grpc_call *call = stream;

    call->stream_over = true;
    grpc_answer_end(&call->answer);
    hear(call);
}

void grpc_call_on_reset(void *stream, uint32_t code)
{
    struct grpc_call *call = stream;

    call->stream_over = true;
    call->refused = code == HTTP2_REFUSED_STREAM;
    grpc_answer_reset(&call->answer, code);
    hear(call);
}

/* ---- in the channel's turn */

static void stop_waiting(struct grpc_call *call)
{
    struct grpc *grpc = call->grpc;
    struct grpc_call **place = &grpc->waiting;

    while (*place != call) {
        place = &(*place)->next_waiting;
    }
    *place = call->next_waiting;
    if (grpc->waiting_end == &call->next_waiting) {
        grpc->waiting_end = place;
    }
    call->waits = false;
}

static void leave_connection(struct grpc_call *call)
{
    struct grpc_connection *connection = call->connection;

    if (!call->stream_over) {
        http2_reset(connection->http2, call->stream, HTTP2_CANCEL);
    }
    grpc_connection_remove(connection, call);
    grpc_connection_touch(connection);
}

static void unlink_call(struct grpc_call *call)
{
    *call->place = call->next;
    if (call->next != NULL) {
        call->next->place = call->place;
    }
}

static void end(struct grpc_call *call)
{
    struct grpc_status status;

    call->ended = true;
    if (call->waits) {
        stop_waiting(call);
    }
    if (call->connection != NULL) {
        leave_connection(call);
    }
    unlink_call(call);
    grpc_answer_status(&call->answer, &status);
    status.sent = call->left && !call->refused;
    call->events->end(context_of(call), &status);
    grpc_answer_deinit(&call->answer);
    buffer_deinit(&call->compressed);
    buffer_deinit(&call->unary_request);
    buffer_deinit(&call->unary_answer);
    wipe(&call->authorization);
    free(call->method);
    free(call->params);
    free(call);
}

static void tell_sent(struct grpc_call *call)
{
    while (call->sent_count > 0 && !is_over(call)) {
        call->sent_count--;
        if (call->events->sent != NULL) {
            call->events->sent(context_of(call));
        }
    }
}

static void tell_going_away(struct grpc_call *call)
{
    if (call->going_away && !is_over(call)) {
        call->going_away = false;
        if (call->events->going_away != NULL) {
            call->events->going_away(context_of(call));
        }
    }
}

void grpc_call_step(struct grpc_call *call)
{
    call->touched = false;
    tell_sent(call);
    tell_going_away(call);
    if (call->touched) {
        return; /* its owner did something: in the next turn */
    }
    if (is_over(call)) {
        end(call);
    } else if (call->connection != NULL && (call->queue_count > 0 || call->half_closed)) {
        http2_resume(call->connection->http2, call->stream);
        grpc_connection_touch(call->connection);
    }
}
