/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nghttp2 behind a seam that has only what gRPC needs.
 *
 * nghttp2 answers most breaches of the protocol by itself: it queues a GOAWAY with a code and ignores what follows. So the one
 * place where we learn of them is the moment when that GOAWAY is produced.
 *
 * A stream's end is told at END_STREAM and not when nghttp2 closes the stream: that happens only when both sides are closed,
 * and a server that refuses a call ends its side while ours is still open.
 *
 * DATA is copied once, from the message into nghttp2's frame: it is sealed for TLS behind that in any case, and frames that
 * refer to memory of a call which may be canceled meanwhile (NO_COPY) are worth more care than the copy costs.
 *
 * Deliberately absent: priorities, push (refused by our SETTINGS), and window updates by hand: nghttp2 sends them as data is
 * handed to the events, which consume it at once.
 */
#include "workers/bigquery/http2.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

#define STREAM_WINDOW_BYTES     (1 << 20) /* answers are small; a large one is not to wait for a round trip each 64 KiB */
#define CONNECTION_WINDOW_BYTES (4 << 20)
#define HEADER_LIST_BYTES       (64 << 10) /* what we say that we take; nghttp2 itself bounds what it takes */
#define HEADERS_MAX             16
#define TEXT_BYTES_MAX          160

struct http2 {
    nghttp2_session *session;
    const struct http2_events *events;
    void *connection;
    bool ready;   /* SETTINGS came */
    bool interim; /* the header block being received is of a 1xx answer */
    int fatal;                 /* nghttp2's error code that ended receiving; 0 */
    uint32_t broken_code;      /* of the GOAWAY that we sent */
    char text[TEXT_BYTES_MAX]; /* nghttp2's latest words on what it did not like */
};

const char *http2_code_name(uint32_t code)
{
    return nghttp2_http2_strerror(code); /* "unknown" by itself */
}

/* ---- what nghttp2 calls */

static void copy_text(char *to, const uint8_t *from, size_t size)
{
    size_t count = size < TEXT_BYTES_MAX - 1 ? size : TEXT_BYTES_MAX - 1;

    for (size_t at = 0; at < count; at++) {
        to[at] = from[at] >= ' ' && from[at] <= '~' ? (char)from[at] : ' ';
    }
    to[count] = '\0';
}

static void *stream_of(nghttp2_session *session, int32_t number)
{
    return nghttp2_session_get_stream_user_data(session, number);
}

static void forget(nghttp2_session *session, int32_t number)
{
    (void)nghttp2_session_set_stream_user_data(session, number, NULL); /* fails if it is gone already */
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    (void)session;
    (void)frame;
    ((struct http2 *)context)->interim = false;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
                     const uint8_t *value, size_t value_size, uint8_t flags, void *context)
{
    struct http2 *http2 = context;
    void *stream = stream_of(session, frame->hd.stream_id);

    (void)flags;
    if (value_size > 0 && value[0] == '1' && name_size == strlen(":status") && memcmp(name, ":status", name_size) == 0) {
        http2->interim = true;
    }
    if (stream != NULL && !http2->interim) {
        http2->events->header(stream, (const char *)name, (const char *)value, value_size);
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t number, const uint8_t *bytes, size_t size, void *context)
{
    struct http2 *http2 = context;
    void *stream = stream_of(session, number);

    (void)flags;
    if (stream != NULL) {
        http2->events->data(stream, bytes, size);
    }
    return 0;
}

static void on_end(struct http2 *http2, int32_t number)
{
    void *stream = stream_of(http2->session, number);

    if (stream != NULL) {
        forget(http2->session, number);
        if (nghttp2_session_get_stream_local_close(http2->session, number) == 0) {
            must(nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, number, HTTP2_CANCEL) == 0);
        }
        http2->events->end(stream);
    }
}

static void on_goaway(struct http2 *http2, const nghttp2_goaway *goaway)
{
    char text[TEXT_BYTES_MAX];

    copy_text(text, goaway->opaque_data, goaway->opaque_data_len);
    http2->events->going_away(http2->connection, goaway->error_code, text);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *http2 = context;

    (void)session;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
            on_end(http2, frame->hd.stream_id);
        }
        break;
    case NGHTTP2_SETTINGS:
        http2->ready = http2->ready || !(frame->hd.flags & NGHTTP2_FLAG_ACK);
        break;
    case NGHTTP2_GOAWAY:
        on_goaway(http2, &frame->goaway);
        break;
    default:
        break;
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t number, uint32_t code, void *context)
{
    struct http2 *http2 = context;
    void *stream = stream_of(session, number);

    if (stream != NULL) {
        forget(session, number);
        http2->events->reset(stream, code);
    }
    return 0;
}

static int before_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *http2 = context;
    void *stream = frame->hd.type == NGHTTP2_HEADERS ? stream_of(session, frame->hd.stream_id) : NULL;

    if (stream != NULL) {
        http2->events->leaving(stream);
    }
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        http2->broken_code = frame->goaway.error_code;
    }
    return 0;
}

static int on_complaint(nghttp2_session *session, int code, const char *text, size_t size, void *context)
{
    (void)session;
    (void)code;
    copy_text(((struct http2 *)context)->text, (const uint8_t *)text, size);
    return 0;
}

static ssize_t on_body(nghttp2_session *session, int32_t number, uint8_t *to, size_t size, uint32_t *flags,
                       nghttp2_data_source *source, void *context)
{
    struct http2 *http2 = context;
    void *stream = stream_of(session, number);
    bool last = false;
    size_t count = stream != NULL ? http2->events->body(stream, to, size, &last) : 0;

    (void)source;
    must(count <= size);
    if (last) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return count > 0 || last ? (ssize_t)count : NGHTTP2_ERR_DEFERRED;
}

/* ---- ours */

static nghttp2_session *session_new(struct http2 *http2)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session;

    must(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_before_frame_send_callback(callbacks, before_frame_send);
    nghttp2_session_callbacks_set_error_callback2(callbacks, on_complaint);
    must(nghttp2_session_client_new(&session, callbacks, http2) == 0);
    nghttp2_session_callbacks_del(callbacks);
    return session;
}

struct http2 *http2_new(const struct http2_events *events, void *connection)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_LIST_BYTES},
    };
    struct http2 *http2 = calloc(1, sizeof *http2);

    must(http2 != NULL);
    http2->events = events;
    http2->connection = connection;
    http2->session = session_new(http2);
    must(nghttp2_submit_settings(http2->session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof *settings) == 0);
    must(nghttp2_session_set_local_window_size(http2->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW_BYTES) == 0);
    return http2;
}

void http2_free(struct http2 *http2)
{
    if (http2 != NULL) {
        nghttp2_session_del(http2->session);
        free(http2);
    }
}

void http2_receive(struct http2 *http2, const uint8_t *bytes, size_t size)
{
    ssize_t taken = http2->fatal == 0 ? nghttp2_session_mem_recv(http2->session, bytes, size) : 0;

    if (taken < 0) {
        must(taken != NGHTTP2_ERR_NOMEM);
        http2->fatal = (int)taken;
    }
}

void http2_produce(struct http2 *http2, struct buffer *out, size_t limit)
{
    while (out->size < limit) {
        const uint8_t *bytes;
        ssize_t size = nghttp2_session_mem_send(http2->session, &bytes);

        must(size != NGHTTP2_ERR_NOMEM);
        if (size <= 0) {
            http2->fatal = size < 0 ? (int)size : http2->fatal;
            break;
        }
        buffer_append(out, bytes, (size_t)size);
    }
}

int http2_check(const struct http2 *http2, struct err *err)
{
    if (http2->fatal != 0) {
        return err_set(err, ERR_RETRY, "HTTP/2: %s", nghttp2_strerror(http2->fatal));
    }
    if (http2->broken_code != HTTP2_NO_ERROR) {
        return err_set(err, ERR_RETRY, "HTTP/2: %s: %s", http2_code_name(http2->broken_code), http2->text);
    }
    if (nghttp2_session_want_read(http2->session) == 0 && nghttp2_session_want_write(http2->session) == 0) {
        return err_set(err, ERR_RETRY, "HTTP/2: the server ended the connection (GOAWAY)");
    }
    return 0;
}

bool http2_ready(const struct http2 *http2)
{
    return http2->ready;
}

uint32_t http2_streams_max(const struct http2 *http2)
{
    return nghttp2_session_get_remote_settings(http2->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool http2_may_open(const struct http2 *http2)
{
    return nghttp2_session_check_request_allowed(http2->session) != 0;
}

int32_t http2_open(struct http2 *http2, const struct http2_header *headers, size_t header_count, void *stream)
{
    nghttp2_nv list[HEADERS_MAX];
    nghttp2_data_provider body = {.read_callback = on_body};
    int32_t number;

    must(header_count <= HEADERS_MAX);
    for (size_t at = 0; at < header_count; at++) {
        list[at] = (nghttp2_nv){.name = (uint8_t *)headers[at].name,
                                .value = (uint8_t *)headers[at].value,
                                .namelen = strlen(headers[at].name),
                                .valuelen = strlen(headers[at].value),
                                .flags = headers[at].secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE};
    }
    number = nghttp2_submit_request(http2->session, NULL, list, header_count, &body, stream);
    must(number > 0);
    return number;
}

void http2_resume(struct http2 *http2, int32_t number)
{
    (void)nghttp2_session_resume_data(http2->session, number); /* fails if it waits for nothing, or is gone */
}

void http2_reset(struct http2 *http2, int32_t number, enum http2_code code)
{
    forget(http2->session, number);
    (void)nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, number, code); /* of one that is gone nothing is sent */
}

void http2_ping(struct http2 *http2)
{
    must(nghttp2_submit_ping(http2->session, NGHTTP2_FLAG_NONE, NULL) == 0);
}
