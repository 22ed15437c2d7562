/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls at random against a server that fails at random, by seed: it resets, refuses, ends early, says GOAWAY, cuts
 * connections, while owners cancel, half-close, send more and open new calls, also inside callbacks. Whatever happens:
 *
 *   a call ends exactly once, and nothing is told behind its end or its cancel;
 *   what comes back is what was sent, in order, without a gap;
 *   OK is told only of a call whose messages all came back;
 *   `sent` is false only of a call that the server did not act on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/grpc_world.h"

#define SEEDS         150
#define CALLS         60
#define MESSAGES_MAX  6
#define MESSAGE_BYTES 3000

struct storm;

struct visit {
    struct storm *storm;
    struct grpc_call *call; /* NULL: not opened, or ended */
    char name[16];
    unsigned wanted_count; /* messages that it will send */
    unsigned given_count;
    unsigned echoed_count;
    unsigned end_count;
    bool canceled;
    bool acted; /* the server did something with it */
    uint8_t messages[MESSAGES_MAX][MESSAGE_BYTES];
};

struct storm {
    struct world world;
    uint32_t random;
    unsigned opened_count;
    unsigned ended_count;
    unsigned ok_count;
    unsigned unsent_count;
    struct visit visits[CALLS];
};

static unsigned one_of(struct storm *storm, unsigned count)
{
    storm->random = storm->random * 1664525 + 1013904223;
    return (storm->random >> 10) % count;
}

/* ---- owners */

static void open_visit(struct storm *storm);

static size_t message_size(const struct visit *visit, unsigned number)
{
    return (size_t)(visit->name[0] * 37 + number * 401) % MESSAGE_BYTES;
}

static void give(struct visit *visit)
{
    uint8_t *message;

    if (visit->given_count == visit->wanted_count) {
        grpc_call_half_close(visit->call);
        return;
    }
    message = visit->messages[visit->given_count];
    memset(message, (int)(visit->given_count + 1), MESSAGE_BYTES);
    grpc_call_send(visit->call, message, message_size(visit, visit->given_count));
    visit->given_count++;
}

static void cancel(struct visit *visit)
{
    visit->canceled = true;
    grpc_call_cancel(visit->call);
}

static void on_sent(void *context)
{
    struct visit *visit = context;

    assert_false(visit->canceled);
    assert_int_equal(visit->end_count, 0);
    if (one_of(visit->storm, 25) == 0) {
        cancel(visit);
    } else {
        give(visit);
    }
}

static void on_message(void *context, const uint8_t *message, size_t size)
{
    struct visit *visit = context;

    assert_false(visit->canceled);
    assert_int_equal(visit->end_count, 0);
    assert_true(visit->echoed_count < visit->given_count);
    assert_int_equal(size, message_size(visit, visit->echoed_count));
    assert_true(size == 0 || message[size / 2] == visit->echoed_count + 1);
    visit->echoed_count++;
    if (one_of(visit->storm, 40) == 0) {
        cancel(visit);
    }
    if (one_of(visit->storm, 20) == 0) {
        open_visit(visit->storm);
    }
}

static void on_end(void *context, const struct grpc_status *status)
{
    struct visit *visit = context;

    visit->end_count++;
    visit->call = NULL;
    visit->storm->ended_count++;
    assert_int_equal(visit->end_count, 1);
    assert_true(status->sent || !visit->acted);
    visit->storm->unsent_count += status->sent ? 0 : 1;
    if (status->code == GRPC_OK) {
        assert_true(status->server && !visit->canceled);
        assert_int_equal(visit->echoed_count, visit->wanted_count);
        visit->storm->ok_count++;
    }
    open_visit(visit->storm);
}

static const struct grpc_events visit_events = {.sent = on_sent, .message = on_message, .end = on_end};

static void open_visit(struct storm *storm)
{
    struct visit *visit = &storm->visits[storm->opened_count];
    struct grpc_target target = {.method = "/test.Service/Stream", .params = visit->name};

    if (storm->opened_count == CALLS) {
        return;
    }
    visit->storm = storm;
    (void)snprintf(visit->name, sizeof visit->name, "%u", storm->opened_count++);
    visit->wanted_count = 1 + one_of(storm, MESSAGES_MAX);
    visit->call = grpc_call_open(storm->world.grpc, &target, &visit_events, visit);
    give(visit);
}

/* ---- the server */

static struct visit *visit_of(struct storm *storm, const struct h2_stream *stream)
{
    char name[16];

    assert_true(h2_stream_header(stream, "x-goog-request-params", name, sizeof name));
    return &storm->visits[strtoul(name, NULL, 10)];
}

static void on_request(void *context, struct h2_stream *stream)
{
    struct storm *storm = context;

    if (one_of(storm, 12) == 0) {
        h2_stream_reset(stream, NGHTTP2_REFUSED_STREAM);
        return;
    }
    visit_of(storm, stream)->acted = true;
    h2_stream_answer(stream, "200", "application/grpc", NULL);
}

static void misbehave(struct storm *storm, struct h2_stream *stream)
{
    nghttp2_session *session = stream->connection->session;

    switch (one_of(storm, 60)) {
    case 0:
        h2_stream_reset(stream, one_of(storm, 2) == 0 ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR);
        break;
    case 1:
        h2_stream_end(stream, "10", "inactive for 600 seconds", NULL);
        break;
    case 2:
        h2_connection_goaway(stream->connection, INT32_MAX, NGHTTP2_NO_ERROR, "max_age");
        break;
    case 3:
        h2_connection_goaway(stream->connection, nghttp2_session_get_last_proc_stream_id(session), NGHTTP2_NO_ERROR, "max_age");
        break;
    case 4:
        h2_connection_close(stream->connection);
        break;
    default:
        break;
    }
}

static void on_data(void *context, struct h2_stream *stream, const uint8_t *bytes, size_t size)
{
    if (!stream->_answering) {
        return; /* refused */
    }
    h2_stream_data(stream, bytes, size);
    misbehave(context, stream);
}

static void on_half_closed(void *context, struct h2_stream *stream)
{
    (void)context;
    if (stream->_answering && !stream->_last) {
        h2_stream_end(stream, "0", NULL, NULL);
    }
}

static const struct h2_events server_events = {.request = on_request, .data = on_data, .half_closed = on_half_closed};

/* ---- */

static bool all_have_ended(void *context)
{
    const struct storm *storm = context;

    return storm->ended_count == CALLS;
}

/* Returns how many ended with OK. */
static unsigned run_storm(uint32_t seed, unsigned *unsent_count)
{
    struct storm *storm = calloc(1, sizeof *storm);
    struct h2_options server = {0};
    struct grpc_options options = {0};
    unsigned ok_count;

    assert_non_null(storm);
    storm->random = seed * 2654435761u + 1;
    server.streams_max = 1 + one_of(storm, 8);
    options.calls_per_connection = 1 + one_of(storm, 8);
    options.connections_max = 1 + one_of(storm, 4);
    world_new(&storm->world, &server, &server_events, storm, &options);
    for (unsigned at = 0; at < 12; at++) {
        open_visit(storm);
    }
    world_run(&storm->world, all_have_ended, storm);
    world_end(&storm->world);
    ok_count = storm->ok_count;
    *unsent_count += storm->unsent_count;
    free(storm);
    return ok_count;
}

static void test_grpc_storm__every_call_ends_once_and_says_the_truth(void **state)
{
    unsigned ok_count = 0;
    unsigned unsent_count = 0;

    (void)state;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        ok_count += run_storm(seed, &unsent_count);
    }
    assert_true(ok_count > SEEDS * CALLS / 4); /* else the storm tells nothing of calls that go well ... */
    assert_true(unsent_count > SEEDS);         /* ... or of those that never arrived */
}

static void test_grpc_storm__channel_may_be_freed_at_any_moment(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        struct storm *storm = calloc(1, sizeof *storm);
        struct h2_options server = {.streams_max = 3};

        assert_non_null(storm);
        storm->random = seed;
        world_new(&storm->world, &server, &server_events, storm, NULL);
        for (unsigned at = 0; at < 12; at++) {
            open_visit(storm);
        }
        for (unsigned turns = one_of(storm, 40); turns > 0; turns--) {
            (void)uv_run(&storm->world.loop, UV_RUN_NOWAIT);
        }
        world_end(&storm->world);
        assert_int_equal(storm->ended_count, storm->opened_count);
        free(storm);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grpc_storm__every_call_ends_once_and_says_the_truth),
        cmocka_unit_test(test_grpc_storm__channel_may_be_freed_at_any_moment),
    };

    return cmocka_run_group_tests_name("grpc_storm", tests, NULL, NULL);
}
