/* SPDX-License-Identifier: Apache-2.0 */
/* The session from bytes to bytes: what a server may do wrong within HTTP/2, and what we say to it. No sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "workers/bigquery/http2.h"

#define FRAME_HEADER 9

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

/* One stream, and what it was told. */
struct stream {
    int32_t number;
    size_t body_left;
    bool last;
    unsigned leaving_count;
    unsigned end_count;
    unsigned reset_count;
    uint32_t reset_code;
    unsigned header_count;
    char status[8];
    size_t data_size;
};

struct session {
    struct http2 *http2;
    struct stream stream;
    struct buffer out; /* everything produced since the last look */
    unsigned going_away_count;
    uint32_t going_away_code;
    char going_away_text[256];
};

static void on_going_away(void *connection, uint32_t code, const char *text)
{
    struct session *session = connection;

    session->going_away_count++;
    session->going_away_code = code;
    (void)snprintf(session->going_away_text, sizeof session->going_away_text, "%s", text);
}

static void on_leaving(void *stream)
{
    ((struct stream *)stream)->leaving_count++;
}

static size_t on_body(void *context, uint8_t *to, size_t size, bool *ret_last)
{
    struct stream *stream = context;
    size_t count = size < stream->body_left ? size : stream->body_left;

    memset(to, 'b', count);
    stream->body_left -= count;
    *ret_last = stream->last && stream->body_left == 0;
    return count;
}

static void on_header(void *context, const char *name, const char *value, size_t value_size)
{
    struct stream *stream = context;

    stream->header_count++;
    if (strcmp(name, ":status") == 0) {
        (void)snprintf(stream->status, sizeof stream->status, "%.*s", (int)value_size, value);
    }
}

static void on_data(void *context, const uint8_t *bytes, size_t size)
{
    (void)bytes;
    ((struct stream *)context)->data_size += size;
}

static void on_end(void *context)
{
    ((struct stream *)context)->end_count++;
}

static void on_reset(void *context, uint32_t code)
{
    struct stream *stream = context;

    stream->reset_count++;
    stream->reset_code = code;
}

static const struct http2_events events = {.going_away = on_going_away,
                                           .leaving = on_leaving,
                                           .body = on_body,
                                           .header = on_header,
                                           .data = on_data,
                                           .end = on_end,
                                           .reset = on_reset};

/* ---- bytes of the server */

static void receive(struct session *session, int type, int flags, int32_t stream, const void *payload, size_t size)
{
    uint8_t frame[300] = {(uint8_t)(size >> 16),   (uint8_t)(size >> 8),   (uint8_t)size,
                          (uint8_t)type,           (uint8_t)flags,         (uint8_t)(stream >> 24),
                          (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};

    assert_true(size <= sizeof frame - FRAME_HEADER);
    memcpy(frame + FRAME_HEADER, payload, size);
    http2_receive(session->http2, frame, FRAME_HEADER + size);
}

static void produce(struct session *session)
{
    buffer_clear(&session->out);
    http2_produce(session->http2, &session->out, SIZE_MAX / 8);
}

/* The first frame of this type in what was produced last; NULL: none. */
static const uint8_t *find_frame(const struct session *session, int type)
{
    size_t at = memcmp(session->out.bytes, "PRI * ", 6) == 0 ? 24 : 0;

    while (at + FRAME_HEADER <= session->out.size) {
        const uint8_t *frame = session->out.bytes + at;

        if (frame[3] == type) {
            return frame;
        }
        at += FRAME_HEADER + ((size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2]);
    }
    return NULL;
}

static void session_begin(struct session *session)
{
    *session = (struct session){0};
    session->http2 = http2_new(&events, session);
}

/* SETTINGS came, and one stream is open whose headers are out. */
static void session_open(struct session *session, size_t body_size)
{
    static const struct http2_header headers[] = {
        {.name = ":method", .value = "POST"}, {.name = ":scheme", .value = "http"}, {.name = ":path", .value = "/"}};

    session_begin(session);
    produce(session);
    receive(session, SETTINGS, 0, 0, "", 0);
    receive(session, SETTINGS, ACK, 0, "", 0);
    session->stream.body_left = body_size;
    session->stream.number = http2_open(session->http2, headers, 3, &session->stream);
    produce(session);
}

static void session_end(struct session *session)
{
    http2_free(session->http2);
    buffer_deinit(&session->out);
}

/* :status 200 of HPACK's static table. */
static const uint8_t status_200[] = {0x88};
/* :status 103, a literal. */
static const uint8_t status_103[] = {0x08, 0x03, '1', '0', '3'};

/* ---- tests */

static void test_http2__first_bytes_are_the_preface_and_settings_without_push(void **state)
{
    struct session session;
    const uint8_t *settings;

    (void)state;
    session_begin(&session);
    assert_false(http2_ready(session.http2));
    produce(&session);
    assert_memory_equal(session.out.bytes, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    settings = find_frame(&session, SETTINGS);
    assert_non_null(settings);
    assert_memory_equal(settings + FRAME_HEADER, "\0\2\0\0\0\0", 6); /* ENABLE_PUSH = 0 */
    assert_non_null(find_frame(&session, WINDOW_UPDATE));
    session_end(&session);
}

static void test_http2__stream_leaves_when_its_headers_are_produced(void **state)
{
    struct session session;

    (void)state;
    session_begin(&session);
    receive(&session, SETTINGS, 0, 0, "", 0);
    assert_true(http2_ready(session.http2));
    session_end(&session);
    session_open(&session, 0);
    assert_int_equal(session.stream.leaving_count, 1);
    assert_non_null(find_frame(&session, HEADERS));
    assert_null(find_frame(&session, DATA));
    session_end(&session);
}

static void test_http2__servers_limit_of_streams_is_known(void **state)
{
    struct session session;

    (void)state;
    session_begin(&session);
    receive(&session, SETTINGS, 0, 0, "\0\3\0\0\0\7", 6);
    assert_int_equal(http2_streams_max(session.http2), 7);
    session_end(&session);
}

static void test_http2__production_stops_at_its_limit_and_goes_on_from_there(void **state)
{
    struct session session;
    size_t total = 0;

    (void)state;
    session_open(&session, 0);
    receive(&session, SETTINGS, 0, 0, "\0\4\0\xff\xff\xff", 6); /* INITIAL_WINDOW_SIZE */
    receive(&session, WINDOW_UPDATE, 0, 0, "\0\xff\xff\xff", 4);
    session.stream.body_left = 1000000;
    session.stream.last = true;
    http2_resume(session.http2, session.stream.number);
    do {
        buffer_clear(&session.out);
        http2_produce(session.http2, &session.out, 50000);
        assert_true(session.out.size < 50000 + 16384 + FRAME_HEADER);
        total += session.out.size;
    } while (session.out.size > 0);
    assert_true(total > 1000000 && total < 1002000);
    assert_int_equal(session.stream.body_left, 0);
    session_end(&session);
}

static void test_http2__body_never_exceeds_the_window(void **state)
{
    struct session session;

    (void)state;
    session_open(&session, 200000);
    assert_int_equal(session.stream.body_left, 200000 - 65535);
    produce(&session);
    assert_int_equal(session.out.size, 0);
    receive(&session, WINDOW_UPDATE, 0, session.stream.number, "\0\0\0\12", 4);
    produce(&session);
    assert_int_equal(session.out.size, 0); /* the connection's window is closed, too */
    receive(&session, WINDOW_UPDATE, 0, 0, "\0\0\0\5", 4);
    produce(&session);
    assert_int_equal(session.out.size, FRAME_HEADER + 5);
    session_end(&session);
}

static void test_http2__interim_answers_are_not_told(void **state)
{
    struct session session;

    (void)state;
    session_open(&session, 1);
    receive(&session, HEADERS, END_HEADERS, session.stream.number, status_103, sizeof status_103);
    assert_int_equal(session.stream.header_count, 0);
    receive(&session, HEADERS, END_HEADERS, session.stream.number, status_200, sizeof status_200);
    assert_string_equal(session.stream.status, "200");
    assert_int_equal(session.stream.end_count, 0);
    session_end(&session);
}

static void test_http2__end_of_the_servers_side_is_the_end_and_ours_is_reset(void **state)
{
    struct session session;
    const uint8_t *frame;

    (void)state;
    session_open(&session, 1);
    receive(&session, HEADERS, END_HEADERS | END_STREAM, session.stream.number, status_200, sizeof status_200);
    assert_int_equal(session.stream.end_count, 1);
    produce(&session);
    frame = find_frame(&session, RST_STREAM);
    assert_non_null(frame);
    assert_memory_equal(frame + FRAME_HEADER, "\0\0\0\x08", 4);
    assert_int_equal(session.stream.reset_count, 0);
    session_end(&session);
}

static void test_http2__reset_stream_is_named_no_more(void **state)
{
    struct session session;

    (void)state;
    session_open(&session, 1);
    http2_reset(session.http2, session.stream.number, HTTP2_CANCEL);
    receive(&session, HEADERS, END_HEADERS, session.stream.number, status_200, sizeof status_200);
    receive(&session, DATA, END_STREAM, session.stream.number, "xyz", 3);
    receive(&session, RST_STREAM, 0, session.stream.number, "\0\0\0\2", 4);
    assert_int_equal(
        session.stream.header_count + session.stream.data_size + session.stream.end_count + session.stream.reset_count, 0);
    session_end(&session);
}

static void test_http2__stream_that_goaway_leaves_out_is_refused(void **state)
{
    struct session session;
    struct err err = {0};

    (void)state;
    session_open(&session, 1);
    receive(&session, GOAWAY, 0, 0,
            "\0\0\0\0\0\0\0\0by\x01"
            "e",
            12);
    assert_int_equal(session.going_away_count, 1);
    assert_int_equal(session.going_away_code, HTTP2_NO_ERROR);
    assert_string_equal(session.going_away_text, "by e");
    assert_int_equal(session.stream.reset_count, 1);
    assert_int_equal(session.stream.reset_code, HTTP2_REFUSED_STREAM);
    assert_false(http2_may_open(session.http2));
    produce(&session);
    assert_int_equal(http2_check(session.http2, &err), -1);
    session_end(&session);
}

/* Each breaks the protocol: the connection is over, and the server is told why by a GOAWAY. */
static void test_http2__breaches_end_the_connection(void **state)
{
    static const struct {
        int type;
        int flags;
        int32_t stream;
        const char *payload;
        size_t size;
        const char *why;
    } cases[] = {
        {DATA, 0, 0, "x", 1, "PROTOCOL_ERROR"},
        {SETTINGS, 0, 0, "12345", 5, "FRAME_SIZE_ERROR"},
        {SETTINGS, 0, 0, "\0\4\xff\xff\xff\xff", 6, "FLOW_CONTROL_ERROR"},
        {WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff", 4, "FLOW_CONTROL_ERROR"},
        {PUSH_PROMISE, END_HEADERS, 1, "\0\0\0\2\x82", 5, "PROTOCOL_ERROR"},
        {HEADERS, END_HEADERS, 1, "\xff\xff\xff\xff\xff\xff", 6, "COMPRESSION_ERROR"},
        {HEADERS, END_HEADERS, 2, "\x88", 1, "PROTOCOL_ERROR"},
        {PING, 0, 0, "1234567", 7, "FRAME_SIZE_ERROR"},
        {GOAWAY, 0, 1, "\0\0\0\0\0\0\0\0", 8, "PROTOCOL_ERROR"},
    };

    (void)state;
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        struct session session;
        struct err err = {0};

        session_open(&session, 1);
        assert_int_equal(http2_check(session.http2, &err), 0);
        receive(&session, cases[at].type, cases[at].flags, cases[at].stream, cases[at].payload, cases[at].size);
        produce(&session);
        if (find_frame(&session, GOAWAY) == NULL) {
            fail_msg("case %zu: no GOAWAY", at);
        }
        assert_int_equal(http2_check(session.http2, &err), -1);
        assert_int_equal(err.class, ERR_RETRY);
        if (strstr(err.text, cases[at].why) == NULL) {
            fail_msg("case %zu: %s", at, err.text);
        }
        session_end(&session);
    }
}

static void test_http2__answers_to_pings_are_bounded_when_the_server_reads_none(void **state)
{
    struct session session;
    struct err err = {0};
    unsigned count = 0;

    (void)state;
    session_open(&session, 1);
    while (http2_check(session.http2, &err) == 0) {
        assert_true(count++ < 10000);
        receive(&session, PING, 0, 0, "12345678", 8);
    }
    session_end(&session);
}

static void test_http2__ping_goes_before_what_waits(void **state)
{
    struct session session;

    (void)state;
    session_open(&session, 1000000);
    receive(&session, WINDOW_UPDATE, 0, 0, "\0\xff\xff\xff", 4);
    receive(&session, WINDOW_UPDATE, 0, session.stream.number, "\0\xff\xff\xff", 4);
    http2_ping(session.http2);
    buffer_clear(&session.out);
    http2_produce(session.http2, &session.out, 1);
    assert_int_equal(session.out.bytes[3], PING);
    session_end(&session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http2__first_bytes_are_the_preface_and_settings_without_push),
        cmocka_unit_test(test_http2__stream_leaves_when_its_headers_are_produced),
        cmocka_unit_test(test_http2__servers_limit_of_streams_is_known),
        cmocka_unit_test(test_http2__production_stops_at_its_limit_and_goes_on_from_there),
        cmocka_unit_test(test_http2__body_never_exceeds_the_window),
        cmocka_unit_test(test_http2__interim_answers_are_not_told),
        cmocka_unit_test(test_http2__end_of_the_servers_side_is_the_end_and_ours_is_reset),
        cmocka_unit_test(test_http2__reset_stream_is_named_no_more),
        cmocka_unit_test(test_http2__stream_that_goaway_leaves_out_is_refused),
        cmocka_unit_test(test_http2__breaches_end_the_connection),
        cmocka_unit_test(test_http2__answers_to_pings_are_bounded_when_the_server_reads_none),
        cmocka_unit_test(test_http2__ping_goes_before_what_waits),
    };

    return cmocka_run_group_tests_name("http2", tests, NULL, NULL);
}
