/* SPDX-License-Identifier: Apache-2.0 */
/* The gRPC client against a server on the same loop, plaintext: what goes over the wire, and how calls end whatever happens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "tests/unit/grpc_world.h"

/* A server that leaves everything to the test, but counts. */
struct script {
    unsigned request_count;
    unsigned half_closed_count;
    unsigned reset_count;
    unsigned accepted_count;
};

static void on_accepted(void *context, struct h2_connection *connection)
{
    (void)connection;
    ((struct script *)context)->accepted_count++;
}

static void on_request(void *context, struct h2_stream *stream)
{
    (void)stream;
    ((struct script *)context)->request_count++;
}

static void on_half_closed(void *context, struct h2_stream *stream)
{
    (void)stream;
    ((struct script *)context)->half_closed_count++;
}

static void on_reset(void *context, struct h2_stream *stream)
{
    (void)stream;
    ((struct script *)context)->reset_count++;
}

static const struct h2_events script_events = {
    .accepted = on_accepted, .request = on_request, .half_closed = on_half_closed, .reset = on_reset};

/* A server that answers each message with the same bytes and each half-close with OK. */
static void echo_request(void *context, struct h2_stream *stream)
{
    (void)context;
    h2_stream_answer(stream, "200", "application/grpc", NULL);
}

static void echo_data(void *context, struct h2_stream *stream, const uint8_t *bytes, size_t size)
{
    (void)context;
    h2_stream_data(stream, bytes, size);
}

static void echo_half_closed(void *context, struct h2_stream *stream)
{
    (void)context;
    h2_stream_end(stream, "0", NULL, NULL);
}

static const struct h2_events echo_events = {.request = echo_request, .data = echo_data, .half_closed = echo_half_closed};

static const struct h2_options plain = {0};

/* One call that is open at the server, which has answered nothing. */
static struct h2_stream *open_call(struct world *world, struct script *script, struct told *told)
{
    unsigned before = script->request_count;

    told_open(world, told);
    grpc_call_send(told->call, "abc", 3);
    world_run_until_count(world, &script->request_count, before + 1);
    return h2_server_stream(world->server, before);
}

/* ---- unary */

static void test_grpc__unary_call_sends_what_the_protocol_wants(void **state)
{
    struct script script = {0};
    struct world world;
    struct told told;
    struct h2_stream *stream;
    char value[128];

    (void)state;
    world_new(&world, &plain, &script_events, &script, &(struct grpc_options){.quota_project = "payer"});
    told_unary(&world, &told, "ask", 3, 5000);
    world_run_until_count(&world, &script.half_closed_count, 1);
    stream = h2_server_stream(world.server, 0);
    assert_true(h2_stream_header(stream, ":method", value, sizeof value));
    assert_string_equal(value, "POST");
    assert_true(h2_stream_header(stream, ":path", value, sizeof value));
    assert_string_equal(value, "/test.Service/Ask");
    assert_true(h2_stream_header(stream, ":scheme", value, sizeof value));
    assert_string_equal(value, "http");
    assert_true(h2_stream_header(stream, ":authority", value, sizeof value));
    assert_string_equal(value, world.endpoint + strlen("http://"));
    assert_true(h2_stream_header(stream, "te", value, sizeof value));
    assert_string_equal(value, "trailers");
    assert_true(h2_stream_header(stream, "content-type", value, sizeof value));
    assert_string_equal(value, "application/grpc");
    assert_true(h2_stream_header(stream, "x-goog-request-params", value, sizeof value));
    assert_string_equal(value, "parent=projects/p");
    assert_true(h2_stream_header(stream, "authorization", value, sizeof value));
    assert_string_equal(value, "Bearer secret");
    assert_true(h2_stream_header(stream, "x-goog-user-project", value, sizeof value));
    assert_string_equal(value, "payer");
    assert_true(h2_stream_header(stream, "grpc-timeout", value, sizeof value));
    assert_true(value[strlen(value) - 1] == 'm' && strtol(value, NULL, 10) > 0 && strtol(value, NULL, 10) <= 5000);
    assert_false(h2_stream_header(stream, "grpc-encoding", value, sizeof value));
    assert_int_equal(stream->received.size, 8);
    assert_memory_equal(stream->received.bytes, "\0\0\0\0\3ask", 8);
    world_end(&world);
    told_deinit(&told);
}

static void test_grpc__unary_answer_comes_once_and_never_inside_the_call(void **state)
{
    struct world world;
    struct told told;

    (void)state;
    world_new(&world, &plain, &echo_events, NULL, NULL);
    told_unary(&world, &told, "hello", 5, 0);
    assert_int_equal(told.end_count, 0);
    world_run_until_ended(&world, &told);
    assert_int_equal(told.code, GRPC_OK);
    assert_true(told.sent && told.server);
    assert_int_equal(told.messages.size, 5);
    assert_memory_equal(told.messages.bytes, "hello", 5);
    world_end(&world);
    assert_int_equal(told.end_count, 1);
    told_deinit(&told);
}

static void test_grpc__empty_unary_answer_is_not_no_answer(void **state)
{
    struct world world;
    struct told told;

    (void)state;
    world_new(&world, &plain, &echo_events, NULL, NULL);
    told_unary(&world, &told, NULL, 0, 0);
    world_run_until_ended(&world, &told);
    assert_int_equal(told.code, GRPC_OK);
    assert_int_equal(told.message_count, 1);
    assert_int_equal(told.messages.size, 0);
    assert_false(told.null_message);
    world_end(&world);
    told_deinit(&told);
}

static void test_grpc__unary_answer_of_none_or_two_messages_is_an_error(void **state)
{
    struct script script = {0};
    struct world world;
    struct told told[2];

    (void)state;
    world_new(&world, &plain, &script_events, &script, NULL);
    for (unsigned at = 0; at < 2; at++) {
        struct h2_stream *stream;

        told_unary(&world, &told[at], "x", 1, 0);
        world_run_until_count(&world, &script.half_closed_count, at + 1);
        stream = h2_server_stream(world.server, at);
        h2_stream_answer(stream, "200", "application/grpc", NULL);
        for (unsigned count = 0; count < 2 * at; count++) {
            h2_stream_message(stream, "y", 1);
        }
        h2_stream_end(stream, "0", NULL, NULL);
        world_run_until_ended(&world, &told[at]);
        assert_int_equal(told[at].code, GRPC_INTERNAL);
        assert_true(told[at].null_message);
        assert_false(told[at].server);
        told_deinit(&told[at]);
    }
    world_end(&world);
}

static void test_grpc__trailers_only_error_carries_code_text_and_details(void **state)
{
    struct script script = {0};
    struct world world;
    struct told told;

    (void)state;
    world_new(&world, &plain, &script_events, &script, NULL);
    told_unary(&world, &told, "x", 1, 0);
    world_run_until_count(&world, &script.half_closed_count, 1);
    h2_stream_trailers_only(h2_server_stream(world.server, 0), "5", "not there: 100%25 %E2%82%AC%", "CAUSAf8");
    world_run_until_ended(&world, &told);
    assert_int_equal(told.code, GRPC_NOT_FOUND);
    assert_string_equal(told.text, "not there: 100% \xe2\x82\xac%");
    assert_int_equal(told.details_size, 5);
    assert_memory_equal(told.details, "\x08\x05\x12\x01\xff", 5);
    assert_true(told.sent && told.server && told.null_message);
    world_end(&world);
    told_deinit(&told);
}

/* ---- bidirectional */

static void test_grpc__messages_go_both_ways_in_order(void **state)
{
    struct world world;
    struct told told;

    (void)state;
    world_new(&world, &plain, &echo_events, NULL, NULL);
    told_open(&world, &told);
    grpc_call_send(told.call, "one", 3);
    grpc_call_send(told.call, "", 0);
    world_run_until_count(&world, &told.message_count, 2);
    assert_int_equal(told.sent_count, 2);
    grpc_call_send(told.call, "three", 5);
    grpc_call_half_close(told.call);
    world_run_until_ended(&world, &told);
    assert_int_equal(told.code, GRPC_OK);
    assert_int_equal(told.message_count, 3);
    assert_int_equal(told.messages.size, 8);
    assert_memory_equal(told.messages.bytes, "onethree", 8);
    world_end(&world);
    assert_int_equal(told.end_count, 1);
    told_deinit(&told);
}

static void test_grpc__early_end_is_told_while_the_upload_is_stuck(void **state)
{
    static uint8_t large[500000];
    const struct h2_options stalled = {.stalled = true};
    struct script script = {0};
    struct world world;
    struct told told;
    struct h2_stream *stream;

    (void)state;
    world_new(&world, &stalled, &script_events, &script, NULL);
    told_open(&world, &told);
    grpc_call_send(told.call, large, sizeof large);
    world_run_until_count(&world, &script.request_count, 1);
    stream = h2_server_stream(world.server, 0);
    h2_stream_answer(stream, "200", "application/grpc", NULL);
    h2_stream_end(stream, "9", "stream is finalized", NULL);
    world_run_until_ended(&world, &told);
    assert_int_equal(told.code, GRPC_FAILED_PRECONDITION);
    assert_string_equal(told.text, "stream is finalized");
    assert_int_equal(told.sent_count, 0);
    world_run_until_count(&world, &script.reset_count, 1);
    assert_int_equal(stream->reset_code, NGHTTP2_CANCEL);
    world_end(&world);
    told_deinit(&told);
}

struct sized {
    const struct buffer *buffer;
    size_t size;
};

static bool has_size(void *context)
{
    const struct sized *sized = context;

    return sized->buffer->size >= sized->size;
}

static void test_grpc__stalled_window_holds_the_upload_until_it_opens(void **state)
{
    static uint8_t large[300000];
    const struct h2_options stalled = {.stalled = true};
    struct script script = {0};
    struct world world;
    struct told told;
    struct h2_stream *stream;

    (void)state;
    memset(large, 0x5a, sizeof large);
    world_new(&world, &stalled, &script_events, &script, NULL);
    told_open(&world, &told);
    grpc_call_send(told.call, large, sizeof large);
    world_run_until_count(&world, &script.request_count, 1);
    stream = h2_server_stream(world.server, 0);
    for (size_t window = 65535; window < sizeof large; window += 65535) {
        world_run(&world, has_size, &(struct sized){&stream->received, window});
        assert_int_equal(stream->received.size, window); /* not a byte over what was granted */
        assert_int_equal(told.sent_count, 0);
        h2_connection_consume(stream->connection);
    }
    world_run(&world, has_size, &(struct sized){&stream->received, sizeof large + 5});
    world_run_until_count(&world, &told.sent_count, 1);
    assert_memory_equal(stream->received.bytes + 5, large, sizeof large);
    world_end(&world);
    assert_int_equal(told.code, GRPC_CANCELLED);
    told_deinit(&told);
}

/* An owner that cancels inside its first message. */
static void cancel_at_message(void *context, const uint8_t *message, size_t size)
{
    struct told *told = context;

    (void)message;
    (void)size;
    told->message_count++;
    grpc_call_cancel(told->call);
}

static void test_grpc__after_a_cancel_nothing_is_told_but_the_end(void **state)
{
    struct grpc_events events = told_events;
    struct grpc_target target = {.method = "/test.Service/Stream"};
    struct script script = {0};
    struct world world;
    struct told told = {0};
    struct h2_stream *stream;

    (void)state;
    events.message = cancel_at_message;
    world_new(&world, &plain, &script_events, &script, NULL);
    told.call = grpc_call_open(world.grpc, &target, &events, &told);
    world_run_until_count(&world, &script.request_count, 1);
    stream = h2_server_stream(world.server, 0);
    h2_stream_answer(stream, "200", "application/grpc", NULL);
    h2_stream_data(stream, "\0\0\0\0\1a\0\0\0\0\1b", 12);
    world_run_until_ended(&world, &told);
    assert_int_equal(told.message_count, 1);
    assert_int_equal(told.code, GRPC_CANCELLED);
    assert_true(told.sent);
    world_run_until_count(&world, &script.reset_count, 1);
    assert_int_equal(stream->reset_code, NGHTTP2_CANCEL);
    world_end(&world);
    assert_int_equal(told.end_count, 1);
}

static void test_grpc__cancel_before_a_connection_sends_nothing(void **state)
{
    struct script script = {0};
    struct world world;
    struct told told;

    (void)state;
    world_new(&world, &plain, &script_events, &script, NULL);
    told_unary(&world, &told, "x", 1, 0);
    grpc_call_cancel(told.call);
    assert_int_equal(told.end_count, 0);
    world_run_until_ended(&world, &told);
    assert_int_equal(told.code, GRPC_CANCELLED);
    assert_false(told.sent);
    world_end(&world);
    assert_int_equal(script.request_count, 0);
    told_deinit(&told);
}

/* ---- resets and GOAWAY */

static void test_grpc__reset_codes_become_grpc_codes(void **state)
{
    static const struct {
        uint32_t http2;
        int grpc;
        bool sent;
    } cases[] = {
        {NGHTTP2_NO_ERROR, GRPC_INTERNAL, true},
        {NGHTTP2_INTERNAL_ERROR, GRPC_INTERNAL, true},
        {NGHTTP2_REFUSED_STREAM, GRPC_UNAVAILABLE, false},
        {NGHTTP2_CANCEL, GRPC_CANCELLED, true},
        {NGHTTP2_ENHANCE_YOUR_CALM, GRPC_RESOURCE_EXHAUSTED, true},
        {NGHTTP2_INADEQUATE_SECURITY, GRPC_PERMISSION_DENIED, true},
        {NGHTTP2_HTTP_1_1_REQUIRED, GRPC_UNKNOWN, true},
    };
    struct script script = {0};
    struct world world;

    (void)state;
    world_new(&world, &plain, &script_events, &script, NULL);
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        struct told told;

        h2_stream_reset(open_call(&world, &script, &told), cases[at].http2);
        world_run_until_ended(&world, &told);
        assert_int_equal(told.code, cases[at].grpc);
        assert_int_equal(told.sent, cases[at].sent);
        assert_false(told.server);
        told_deinit(&told);
    }
    assert_int_equal(h2_server_connection_count(world.server), 1);
    world_end(&world);
}

static bool is_closed(void *context)
{
    return ((struct h2_connection *)context)->closed;
}

static void test_grpc__graceful_goaway_leaves_calls_and_moves_new_ones(void **state)
{
    struct script script = {0};
    struct world world;
    struct told old;
    struct told new;
    struct h2_stream *stream;

    (void)state;
    world_new(&world, &plain, &script_events, &script, NULL);
    stream = open_call(&world, &script, &old);
    h2_connection_goaway(stream->connection, INT32_MAX, NGHTTP2_NO_ERROR, "max_age");
    world_run_until_count(&world, &old.going_away_count, 1);
    (void)open_call(&world, &script, &new);
    assert_int_equal(h2_server_stream(world.server, 1)->connection->number, 1);
    h2_connection_goaway(stream->connection, stream->id, NGHTTP2_NO_ERROR, "max_age");
    h2_stream_answer(stream, "200", "application/grpc", NULL);
    h2_stream_message(stream, "late", 4);
    grpc_call_half_close(old.call);
    world_run_until_count(&world, &script.half_closed_count, 1);
    h2_stream_end(stream, "0", NULL, NULL);
    world_run_until_ended(&world, &old);
    assert_int_equal(old.code, GRPC_OK);
    assert_int_equal(old.messages.size, 4);
    assert_int_equal(old.going_away_count, 1);
    world_run(&world, is_closed, stream->connection);
    assert_int_equal(new.end_count, 0);
    assert_int_equal(new.going_away_count, 0);
    world_end(&world);
    told_deinit(&old);
    told_deinit(&new);
}

static void test_grpc__call_that_goaway_leaves_out_was_surely_not_sent(void **state)
{
    struct script script = {0};
    struct world world;
    struct told first;
    struct told second;
    struct h2_stream *stream;

    (void)state;
    world_new(&world, &plain, &script_events, &script, NULL);
    stream = open_call(&world, &script, &first);
    (void)open_call(&world, &script, &second);
    h2_connection_goaway(stream->connection, stream->id, NGHTTP2_NO_ERROR, "");
    world_run_until_ended(&world, &second);
    assert_int_equal(second.code, GRPC_UNAVAILABLE);
    assert_false(second.sent);
    assert_int_equal(first.end_count, 0);
    h2_stream_trailers_only(stream, "0", NULL, NULL);
    world_run_until_ended(&world, &first);
    assert_int_equal(first.code, GRPC_OK);
    world_end(&world);
    told_deinit(&first);
    told_deinit(&second);
}

static void test_grpc__goaway_at_once_fails_who_waits_and_is_not_tried_for_ever(void **state)
{
    static const uint8_t bytes[] = "\0\0\0\4\0\0\0\0\0"                    /* SETTINGS */
                                   "\0\0\10\7\0\0\0\0\0\0\0\0\0\0\0\0\13"; /* GOAWAY, last 0, ENHANCE_YOUR_CALM */
    const struct h2_options mute = {.mute = true};
    struct script script = {0};
    struct world world;
    struct told told;

    (void)state;
    world_new(&world, &mute, &script_events, &script, NULL);
    told_open(&world, &told);
    world_run_until_count(&world, &script.accepted_count, 1);
    h2_connection_write(h2_server_connection(world.server, 0), bytes, sizeof bytes - 1);
    world_run_until_ended(&world, &told);
    assert_int_equal(told.code, GRPC_UNAVAILABLE);
    assert_false(told.sent);
    world_end(&world);
    assert_int_equal(script.accepted_count, 1);
    told_deinit(&told);
}

/* ---- connections that break */

static void test_grpc__connection_cut_within_a_frame_ends_the_call_as_sent(void **state)
{
    struct script script = {0};
    struct world world;
    struct told told;
    struct h2_stream *stream;

    (void)state;
    world_new(&world, &plain, &script_events, &script, NULL);
    stream = open_call(&world, &script, &told);
    h2_stream_answer(stream, "200", "application/grpc", NULL);
    h2_connection_write(stream->connection, "\0\1\0\0\0\0\0\0\1\0\0\0", 12); /* DATA of 256 bytes, of which 3 */
    h2_connection_close(stream->connection);
    world_run_until_ended(&world, &told);
    assert_int_equal(told.code, GRPC_UNAVAILABLE);
    assert_true(told.sent);
    assert_false(told.server);
    assert_int_equal(told.message_count, 0);
    assert_non_null(strstr(told.text, "closed the connection"));
    world_end(&world);
    told_deinit(&told);
}

static void test_grpc__bytes_that_are_no_http2_fail_before_anything_was_sent(void **state)
{
    static const char garbage[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    const struct h2_options mute = {.mute = true};
    struct script script = {0};
    struct world world;
    struct told told;

    (void)state;
    world_new(&world, &mute, &script_events, &script, NULL);
    told_open(&world, &told);
    world_run_until_count(&world, &script.accepted_count, 1);
    h2_connection_write(h2_server_connection(world.server, 0), garbage, sizeof garbage - 1);
    world_run_until_ended(&world, &told);
    assert_int_equal(told.code, GRPC_UNAVAILABLE);
    assert_false(told.sent);
    assert_non_null(strstr(told.text, "HTTP/2"));
    world_end(&world);
    told_deinit(&told);
}

static void test_grpc__garbage_on_an_open_connection_ends_its_calls(void **state)
{
    static const uint8_t garbage[] = "\0\0\4\0\0\0\0\0\0zzzz"; /* DATA on stream 0 */
    struct script script = {0};
    struct world world;
    struct told told[2];

    (void)state;
    world_new(&world, &plain, &script_events, &script, NULL);
    (void)open_call(&world, &script, &told[0]);
    (void)open_call(&world, &script, &told[1]);
    h2_connection_write(h2_server_connection(world.server, 0), garbage, sizeof garbage - 1);
    for (unsigned at = 0; at < 2; at++) {
        world_run_until_ended(&world, &told[at]);
        assert_int_equal(told[at].code, GRPC_UNAVAILABLE);
        assert_true(told[at].sent);
        assert_non_null(strstr(told[at].text, "PROTOCOL_ERROR"));
        told_deinit(&told[at]);
    }
    world_end(&world);
}

static void test_grpc__refused_connection_fails_all_who_wait(void **state)
{
    const struct grpc_options options = {.endpoint = "http://127.0.0.1:1"};
    struct world world;
    struct told told[3];

    (void)state;
    world_new(&world, NULL, NULL, NULL, &options);
    for (unsigned at = 0; at < 3; at++) {
        told_open(&world, &told[at]);
    }
    for (unsigned at = 0; at < 3; at++) {
        world_run_until_ended(&world, &told[at]);
        assert_int_equal(told[at].code, GRPC_UNAVAILABLE);
        assert_false(told[at].sent);
        assert_non_null(strstr(told[at].text, "connection refused"));
        told_deinit(&told[at]);
    }
    world_end(&world);
}

static void test_grpc__server_that_says_nothing_is_given_up(void **state)
{
    const struct h2_options mute = {.mute = true};
    const struct grpc_options options = {.connect_timeout_ms = 30};
    struct world world;
    struct told told;

    (void)state;
    world_new(&world, &mute, NULL, NULL, &options);
    told_open(&world, &told);
    world_run_until_ended(&world, &told);
    assert_int_equal(told.code, GRPC_UNAVAILABLE);
    assert_false(told.sent);
    assert_non_null(strstr(told.text, "no connection within 30 ms"));
    world_end(&world);
    told_deinit(&told);
}

static void test_grpc__deadline_ends_the_call_and_resets_the_stream(void **state)
{
    struct script script = {0};
    struct world world;
    struct told told;
    struct told other;

    (void)state;
    world_new(&world, &plain, &script_events, &script, NULL);
    (void)open_call(&world, &script, &other); /* the connection is there */
    told_unary(&world, &told, "x", 1, 50);
    world_run_until_ended(&world, &told);
    assert_int_equal(told.code, GRPC_DEADLINE_EXCEEDED);
    assert_true(told.sent);
    world_run_until_count(&world, &script.reset_count, 1);
    assert_int_equal(other.end_count, 0);
    world_end(&world);
    told_deinit(&told);
    told_deinit(&other);
}

static void test_grpc__ping_without_an_answer_ends_the_calls(void **state)
{
    const struct h2_options silent = {.silent = true};
    const struct grpc_options options = {.ping_interval_ms = 10, .ping_timeout_ms = 10};
    struct script script = {0};
    struct world world;
    struct told told;

    (void)state;
    world_new(&world, &silent, &script_events, &script, &options);
    (void)open_call(&world, &script, &told);
    world_run_until_ended(&world, &told);
    assert_int_equal(told.code, GRPC_UNAVAILABLE);
    assert_true(told.sent);
    assert_non_null(strstr(told.text, "no answer to PING"));
    world_end(&world);
    told_deinit(&told);
}

static bool has_received(void *context)
{
    return ((struct h2_connection *)context)->received_bytes >= 24 + 10 * 17; /* the preface, and the bytes of ten PINGs */
}

static void test_grpc__ping_that_is_answered_keeps_the_call(void **state)
{
    const struct grpc_options options = {.ping_interval_ms = 5};
    struct script script = {0};
    struct world world;
    struct told told;
    struct h2_stream *stream;

    (void)state;
    world_new(&world, &plain, &script_events, &script, &options);
    stream = open_call(&world, &script, &told);
    stream->connection->received_bytes = 0;
    world_run(&world, has_received, stream->connection);
    assert_int_equal(told.end_count, 0);
    h2_stream_trailers_only(stream, "0", NULL, NULL);
    world_run_until_ended(&world, &told);
    assert_int_equal(told.code, GRPC_OK);
    world_end(&world);
    told_deinit(&told);
}

static void test_grpc__connection_without_calls_is_closed(void **state)
{
    const struct grpc_options options = {.idle_ms = 10};
    struct world world;
    struct told told;

    (void)state;
    world_new(&world, &plain, &echo_events, NULL, &options);
    told_unary(&world, &told, "x", 1, 0);
    world_run_until_ended(&world, &told);
    world_run(&world, is_closed, h2_server_connection(world.server, 0));
    told_deinit(&told);
    told_unary(&world, &told, "y", 1, 0);
    world_run_until_ended(&world, &told);
    assert_int_equal(told.code, GRPC_OK);
    assert_int_equal(h2_server_connection_count(world.server), 2);
    world_end(&world);
    told_deinit(&told);
}

/* ---- answers that are wrong */

/* A unary call that is answered with these headers, bytes and status; how it ended. */
static int answer_with(const char *http_status, const char *content_type, const char *encoding, const void *bytes, size_t size,
                       struct told *told)
{
    struct script script = {0};
    struct world world;
    struct h2_stream *stream;

    world_new(&world, &plain, &script_events, &script, NULL);
    told_unary(&world, told, "x", 1, 0);
    world_run_until_count(&world, &script.half_closed_count, 1);
    stream = h2_server_stream(world.server, 0);
    h2_stream_answer(stream, http_status, content_type, encoding);
    h2_stream_data(stream, bytes, size);
    if (strcmp(content_type, "application/grpc") == 0 && strcmp(http_status, "200") == 0) {
        h2_stream_end(stream, "0", NULL, NULL);
    } else {
        h2_stream_end(stream, NULL, NULL, NULL);
    }
    world_run_until_ended(&world, told);
    world_end(&world);
    assert_int_equal(told->end_count, 1);
    assert_true(told->sent);
    return told->code;
}

static void test_grpc__answers_that_are_broken_are_never_taken_for_ok(void **state)
{
    static const struct {
        const char *http_status;
        const char *content_type;
        const char *bytes;
        size_t size;
        int code;
    } cases[] = {
        {"200", "application/grpc", "\0\0\0\0\5hel", 8, GRPC_INTERNAL},                /* cut within the message */
        {"200", "application/grpc", "\0\0\0", 3, GRPC_INTERNAL},                       /* cut within the prefix */
        {"200", "application/grpc", "\0\xff\xff\xff\xff", 5, GRPC_RESOURCE_EXHAUSTED}, /* 4 GiB to come */
        {"200", "application/grpc", "\2\0\0\0\1a", 6, GRPC_INTERNAL},                  /* no such flag */
        {"200", "application/grpc", "\1\0\0\0\1a", 6, GRPC_INTERNAL},                  /* compressed, and nobody said how */
        {"200", "text/html", "<html>", 6, GRPC_UNKNOWN},
        {"503", "text/html", "<html>", 6, GRPC_UNAVAILABLE},
        {"503", "text/html", "", 0, GRPC_UNAVAILABLE},
        {"401", "application/grpc", "", 0, GRPC_UNAUTHENTICATED},
        {"404", "text/plain", "", 0, GRPC_UNIMPLEMENTED},
    };

    (void)state;
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        struct told told;
        int code = answer_with(cases[at].http_status, cases[at].content_type, NULL, cases[at].bytes, cases[at].size, &told);

        assert_int_equal(code, cases[at].code);
        assert_false(told.server);
        told_deinit(&told);
    }
}

static size_t gzip(const void *from, size_t size, uint8_t *to, size_t room)
{
    z_stream stream = {.next_in = (uint8_t *)from, .avail_in = (uInt)size, .next_out = to, .avail_out = (uInt)room};

    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    (void)deflateEnd(&stream);
    return stream.total_out;
}

/* A compressed message of so many zeros, with its prefix; `wrong` is added to its last byte. */
static size_t compressed_message(size_t size, uint8_t wrong, uint8_t *to, size_t room)
{
    uint8_t *zeros = calloc(1, size);
    size_t packed = gzip(zeros, size, to + 5, room - 5);

    free(zeros);
    to[5 + packed - 9] += wrong;
    to[0] = 1;
    to[1] = (uint8_t)(packed >> 24);
    to[2] = (uint8_t)(packed >> 16);
    to[3] = (uint8_t)(packed >> 8);
    to[4] = (uint8_t)packed;
    return 5 + packed;
}

static void test_grpc__compressed_answers_are_inflated_within_bounds(void **state)
{
    static uint8_t bytes[100000];
    struct told told;

    (void)state;
    assert_int_equal(
        answer_with("200", "application/grpc", "gzip", bytes, compressed_message(70000, 0, bytes, sizeof bytes), &told),
        GRPC_OK);
    assert_int_equal(told.messages.size, 70000);
    told_deinit(&told);
    assert_int_equal(
        answer_with("200", "application/grpc", "gzip", bytes, compressed_message(70000, 1, bytes, sizeof bytes), &told),
        GRPC_INTERNAL);
    told_deinit(&told);
    assert_int_equal(answer_with("200", "application/grpc", "gzip", bytes,
                                 compressed_message(GRPC_MESSAGE_BYTES_MAX, 0, bytes, sizeof bytes), &told),
                     GRPC_OK);
    told_deinit(&told);
    assert_int_equal(answer_with("200", "application/grpc", "gzip", bytes,
                                 compressed_message(GRPC_MESSAGE_BYTES_MAX + 1, 0, bytes, sizeof bytes), &told),
                     GRPC_RESOURCE_EXHAUSTED);
    assert_true(told.null_message);
    told_deinit(&told);
}

/* ---- many */

static void test_grpc__calls_wait_for_room_rather_than_break_the_servers_limit(void **state)
{
    enum { CALLS = 40 };
    const struct h2_options narrow = {.streams_max = 2};
    const struct grpc_options options = {.connections_max = 3};
    struct world world;
    struct told told[CALLS];

    (void)state;
    world_new(&world, &narrow, &echo_events, NULL, &options);
    for (unsigned at = 0; at < CALLS; at++) {
        told_unary(&world, &told[at], &at, sizeof at, 0);
    }
    for (unsigned at = 0; at < CALLS; at++) {
        world_run_until_ended(&world, &told[at]);
        assert_int_equal(told[at].code, GRPC_OK);
        assert_memory_equal(told[at].messages.bytes, &at, sizeof at);
        told_deinit(&told[at]);
    }
    assert_in_range(h2_server_connection_count(world.server), 1, 3);
    world_end(&world);
}

static void test_grpc__full_connections_are_joined_by_one_more(void **state)
{
    enum { CALLS = 5 };
    const struct grpc_options options = {.calls_per_connection = 2};
    struct script script = {0};
    struct world world;
    struct told told[CALLS];

    (void)state;
    world_new(&world, &plain, &script_events, &script, &options);
    for (unsigned at = 0; at < CALLS; at++) {
        told_open(&world, &told[at]);
    }
    world_run_until_count(&world, &script.request_count, CALLS);
    assert_int_equal(h2_server_connection_count(world.server), 3);
    world_end(&world);
    for (unsigned at = 0; at < CALLS; at++) {
        told_deinit(&told[at]);
    }
}

static void test_grpc__freeing_the_channel_ends_every_call_once(void **state)
{
    enum { CALLS = 6 };
    static uint8_t large[200000];
    const struct h2_options narrow = {.streams_max = 2, .stalled = true};
    const struct grpc_options options = {.connections_max = 1};
    struct script script = {0};
    struct world world;
    struct told told[CALLS];

    (void)state;
    world_new(&world, &narrow, &script_events, &script, &options);
    for (unsigned at = 0; at < CALLS; at++) {
        told_open(&world, &told[at]);
        grpc_call_send(told[at].call, large, sizeof large);
    }
    world_run_until_count(&world, &script.request_count, 2);
    world_free_channel(&world);
    for (unsigned at = 0; at < CALLS; at++) {
        assert_int_equal(told[at].end_count, 1);
        assert_int_equal(told[at].code, GRPC_CANCELLED);
        assert_int_equal(told[at].sent, at < 2);
    }
    world_end(&world);
}

static void test_grpc__channel_is_freed_while_it_connects(void **state)
{
    const struct h2_options mute = {.mute = true};
    struct world world;
    struct told told;

    (void)state;
    world_new(&world, &mute, NULL, NULL, NULL);
    told_open(&world, &told);
    (void)uv_run(&world.loop, UV_RUN_NOWAIT);
    world_free_channel(&world);
    assert_int_equal(told.end_count, 1);
    assert_int_equal(told.code, GRPC_CANCELLED);
    world_end(&world);
}

static void test_grpc__endpoints_that_are_none_are_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "localhost:443",
                                      "ftp://localhost",
                                      "https://",
                                      "http:"
                                      "//:80",
                                      "http://localhost:",
                                      "http://localhost:x",
                                      "http://localhost:123456",
                                      "http://localhost/path",
                                      "http:"
                                      "//[::1",
                                      "http:"
                                      "//[::1]x"};
    uv_loop_t loop;

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    for (size_t at = 0; at < sizeof bad / sizeof *bad; at++) {
        struct grpc_options options = {.endpoint = bad[at]};
        struct grpc *grpc;
        struct err err = {0};

        assert_int_equal(grpc_new(&loop, &options, &grpc, &err), -1);
        assert_int_equal(err.class, ERR_FATAL);
    }
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_grpc__report_counts_what_is_open(void **state)
{
    struct script script = {0};
    struct world world;
    struct told told;
    json_t *report;
    json_t *connection;

    (void)state;
    world_new(&world, &plain, &script_events, &script, NULL);
    (void)open_call(&world, &script, &told);
    report = grpc_report(world.grpc);
    assert_string_equal(json_string_value(json_object_get(report, "endpoint")), world.endpoint);
    assert_int_equal(json_array_size(json_object_get(report, "connections")), 1);
    connection = json_array_get(json_object_get(report, "connections"), 0);
    assert_string_equal(json_string_value(json_object_get(connection, "state")), "OPEN");
    assert_int_equal(json_integer_value(json_object_get(connection, "calls")), 1);
    assert_true(json_integer_value(json_object_get(report, "sent_bytes")) > 24);
    assert_true(json_integer_value(json_object_get(report, "received_bytes")) > 9);
    json_decref(report);
    world_end(&world);
    told_deinit(&told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grpc__unary_call_sends_what_the_protocol_wants),
        cmocka_unit_test(test_grpc__unary_answer_comes_once_and_never_inside_the_call),
        cmocka_unit_test(test_grpc__empty_unary_answer_is_not_no_answer),
        cmocka_unit_test(test_grpc__unary_answer_of_none_or_two_messages_is_an_error),
        cmocka_unit_test(test_grpc__trailers_only_error_carries_code_text_and_details),
        cmocka_unit_test(test_grpc__messages_go_both_ways_in_order),
        cmocka_unit_test(test_grpc__early_end_is_told_while_the_upload_is_stuck),
        cmocka_unit_test(test_grpc__stalled_window_holds_the_upload_until_it_opens),
        cmocka_unit_test(test_grpc__after_a_cancel_nothing_is_told_but_the_end),
        cmocka_unit_test(test_grpc__cancel_before_a_connection_sends_nothing),
        cmocka_unit_test(test_grpc__reset_codes_become_grpc_codes),
        cmocka_unit_test(test_grpc__graceful_goaway_leaves_calls_and_moves_new_ones),
        cmocka_unit_test(test_grpc__call_that_goaway_leaves_out_was_surely_not_sent),
        cmocka_unit_test(test_grpc__goaway_at_once_fails_who_waits_and_is_not_tried_for_ever),
        cmocka_unit_test(test_grpc__connection_cut_within_a_frame_ends_the_call_as_sent),
        cmocka_unit_test(test_grpc__bytes_that_are_no_http2_fail_before_anything_was_sent),
        cmocka_unit_test(test_grpc__garbage_on_an_open_connection_ends_its_calls),
        cmocka_unit_test(test_grpc__refused_connection_fails_all_who_wait),
        cmocka_unit_test(test_grpc__server_that_says_nothing_is_given_up),
        cmocka_unit_test(test_grpc__deadline_ends_the_call_and_resets_the_stream),
        cmocka_unit_test(test_grpc__ping_without_an_answer_ends_the_calls),
        cmocka_unit_test(test_grpc__ping_that_is_answered_keeps_the_call),
        cmocka_unit_test(test_grpc__connection_without_calls_is_closed),
        cmocka_unit_test(test_grpc__answers_that_are_broken_are_never_taken_for_ok),
        cmocka_unit_test(test_grpc__compressed_answers_are_inflated_within_bounds),
        cmocka_unit_test(test_grpc__calls_wait_for_room_rather_than_break_the_servers_limit),
        cmocka_unit_test(test_grpc__full_connections_are_joined_by_one_more),
        cmocka_unit_test(test_grpc__freeing_the_channel_ends_every_call_once),
        cmocka_unit_test(test_grpc__channel_is_freed_while_it_connects),
        cmocka_unit_test(test_grpc__endpoints_that_are_none_are_refused),
        cmocka_unit_test(test_grpc__report_counts_what_is_open),
    };

    return cmocka_run_group_tests_name("grpc", tests, NULL, NULL);
}
