/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libcurl 7.88 failed: uploads while the socket, and not the window of HTTP/2, is what is full. Every byte is compared at
 * the server, of several calls that share one connection, plaintext, TLS and compressed; and what waits in memory is bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "tests/unit/certificate.h"
#include "tests/unit/grpc_world.h"
#include "workers/bigquery/transport.h"

#define CALLS         4
#define MESSAGES      250 /* a call */
#define MESSAGE_BYTES 32768
#define AHEAD         8 /* messages given to a call and not yet sent */

struct load;

/* One call: what its owner gave, and what the server has of it. */
struct sender {
    struct load *load;
    struct told told;
    unsigned given;
    unsigned arrived; /* messages that the server compared */
    struct buffer gathered;
    char name[32];
    uint8_t messages[AHEAD + 1][MESSAGE_BYTES]; /* borrowed by the call until sent: each is written again only then */
};

struct load {
    struct world world;
    struct sender senders[CALLS];
    unsigned stream_of[CALLS]; /* by the server's number: which sender */
    unsigned done;             /* calls whose messages have all arrived */
    bool gzip;
    json_int_t queued_bytes_max;
};

/* Bytes and size of a message follow from who sends it and its number. */
static size_t make_message(unsigned sender, unsigned number, uint8_t *to)
{
    uint32_t seed = sender * 7919 + number * 104729 + 1;
    size_t size;

    seed = seed * 1664525 + 1013904223;
    size = (seed >> 8) % (MESSAGE_BYTES + 1);
    for (size_t at = 0; at < size; at++) {
        if (at % 16 == 0) { /* runs, so that gzip has something to do */
            seed = seed * 1664525 + 1013904223;
        }
        to[at] = (uint8_t)(seed >> 24);
    }
    return size;
}

static void give(struct sender *sender)
{
    unsigned index = (unsigned)(sender - sender->load->senders);

    while (sender->given < MESSAGES && sender->given < sender->told.sent_count + AHEAD) {
        uint8_t *message = sender->messages[sender->given % (AHEAD + 1)];

        grpc_call_send(sender->told.call, message, make_message(index, sender->given, message));
        sender->given++;
    }
    if (sender->given == MESSAGES) {
        grpc_call_half_close(sender->told.call);
    }
}

static void watch_queue(struct load *load)
{
    json_t *report = grpc_report(load->world.grpc);
    json_t *connection = json_array_get(json_object_get(report, "connections"), 0);
    json_int_t queued = json_integer_value(json_object_get(connection, "queued_bytes"));

    load->queued_bytes_max = queued > load->queued_bytes_max ? queued : load->queued_bytes_max;
    json_decref(report);
}

static void on_sent(void *context)
{
    struct sender *sender = context;

    sender->told.sent_count++;
    memset(sender->messages[(sender->told.sent_count - 1) % (AHEAD + 1)], 0xee, MESSAGE_BYTES); /* it is ours again */
    give(sender);
    watch_queue(sender->load);
}

static void on_message(void *context, const uint8_t *message, size_t size)
{
    (void)message;
    (void)size;
    ((struct sender *)context)->told.message_count++;
}

static void on_end(void *context, const struct grpc_status *status)
{
    struct sender *sender = context;

    sender->told.code = status->code;
    sender->told.end_count++;
}

static const struct grpc_events sender_events = {.sent = on_sent, .message = on_message, .end = on_end};

/* ---- the server */

static struct sender *sender_of(struct load *load, const struct h2_stream *stream)
{
    return &load->senders[load->stream_of[stream->number]];
}

static void on_request(void *context, struct h2_stream *stream)
{
    struct load *load = context;
    char value[32];

    assert_true(h2_stream_header(stream, "x-goog-request-params", value, sizeof value));
    assert_true(stream->number < CALLS);
    load->stream_of[stream->number] = (unsigned)strtoul(value, NULL, 10);
    h2_stream_answer(stream, "200", "application/grpc", NULL);
}

static size_t inflate_into(const uint8_t *from, size_t size, uint8_t *to, size_t room)
{
    z_stream stream = {.next_in = (uint8_t *)from, .avail_in = (uInt)size, .next_out = to, .avail_out = (uInt)room};

    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    (void)inflateEnd(&stream);
    return stream.total_out;
}

static void compare(struct load *load, struct sender *sender, const uint8_t *frame, size_t size)
{
    static uint8_t expected[MESSAGE_BYTES];
    static uint8_t inflated[MESSAGE_BYTES];
    size_t expected_size = make_message((unsigned)(sender - load->senders), sender->arrived, expected);
    const uint8_t *message = frame + 5;

    if (frame[0] == 1) {
        size = inflate_into(message, size, inflated, sizeof inflated);
        message = inflated;
    }
    assert_true(load->gzip || frame[0] == 0);
    assert_int_equal(size, expected_size);
    assert_memory_equal(message, expected, size);
    sender->arrived++;
}

static void on_data(void *context, struct h2_stream *stream, const uint8_t *bytes, size_t size)
{
    struct load *load = context;
    struct sender *sender = sender_of(load, stream);
    struct buffer *gathered = &sender->gathered;
    size_t at = 0;

    buffer_clear(&stream->received); /* the helper's own copy is not needed */
    buffer_append(gathered, bytes, size);
    while (gathered->size - at >= 5) {
        const uint8_t *frame = gathered->bytes + at;
        size_t message_size = (size_t)frame[1] << 24 | (size_t)frame[2] << 16 | (size_t)frame[3] << 8 | frame[4];

        assert_true(message_size <= MESSAGE_BYTES);
        if (gathered->size - at - 5 < message_size) {
            break;
        }
        compare(load, sender, frame, message_size);
        h2_stream_message(stream, "ok", 2);
        at += 5 + message_size;
    }
    buffer_drop(gathered, at);
}

static void on_half_closed(void *context, struct h2_stream *stream)
{
    struct load *load = context;

    assert_int_equal(sender_of(load, stream)->gathered.size, 0);
    load->done++;
    h2_stream_end(stream, "0", NULL, NULL);
}

static const struct h2_events server_events = {.request = on_request, .data = on_data, .half_closed = on_half_closed};

/* ---- */

static void run_load(const struct h2_options *server, const struct grpc_options *options)
{
    struct load *load = calloc(1, sizeof *load);

    assert_non_null(load);
    load->gzip = options->gzip;
    world_new(&load->world, server, &server_events, load, options);
    for (unsigned at = 0; at < CALLS; at++) {
        struct sender *sender = &load->senders[at];
        struct grpc_target target = {.method = "/test.Service/Stream", .params = sender->name};

        sender->load = load;
        (void)snprintf(sender->name, sizeof sender->name, "%u", at);
        sender->told.call = grpc_call_open(load->world.grpc, &target, &sender_events, sender);
        give(sender);
    }
    for (unsigned at = 0; at < CALLS; at++) {
        struct sender *sender = &load->senders[at];

        world_run_until_count(&load->world, &sender->told.end_count, 1);
        assert_int_equal(sender->told.code, GRPC_OK);
        assert_int_equal(sender->told.sent_count, MESSAGES);
        assert_int_equal(sender->told.message_count, MESSAGES);
        assert_int_equal(sender->arrived, MESSAGES);
    }
    assert_int_equal(load->done, CALLS);
    assert_int_equal(h2_server_connection_count(load->world.server), 1);
    assert_true(load->queued_bytes_max <= TRANSPORT_QUEUE_BYTES_MAX + TRANSPORT_CHUNK_BYTES);
    world_end(&load->world);
    for (unsigned at = 0; at < CALLS; at++) {
        buffer_deinit(&load->senders[at].gathered);
    }
    free(load);
}

/* The window is wide and the socket narrow: that is where bytes were sent twice. */
#define WIDE        .window_bytes = 16 << 20
#define NARROW      .socket_send_bytes = 4096
#define SLOW_READER .read_bytes = 2048

static void test_grpc_load__every_byte_arrives_once_through_a_narrow_socket(void **state)
{
    const struct h2_options server = {WIDE, SLOW_READER};
    const struct grpc_options options = {NARROW};

    (void)state;
    run_load(&server, &options);
}

static void test_grpc_load__every_byte_arrives_once_through_small_windows(void **state)
{
    const struct h2_options server = {0};
    const struct grpc_options options = {NARROW};

    (void)state;
    run_load(&server, &options);
}

static void test_grpc_load__every_byte_arrives_once_over_tls(void **state)
{
    char path[] = "/tmp/kakehi-certificate-XXXXXX";
    int descriptor = mkstemp(path);
    struct h2_options server = {WIDE, SLOW_READER};
    const struct grpc_options options = {NARROW, .ca_file = path};

    (void)state;
    assert_true(descriptor >= 0 && close(descriptor) == 0);
    server.tls = certificate_server("DNS:localhost", "h2", path);
    run_load(&server, &options);
    assert_int_equal(unlink(path), 0);
}

static void test_grpc_load__every_byte_arrives_once_compressed(void **state)
{
    const struct h2_options server = {WIDE, SLOW_READER};
    const struct grpc_options options = {NARROW, .gzip = true};

    (void)state;
    run_load(&server, &options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grpc_load__every_byte_arrives_once_through_a_narrow_socket),
        cmocka_unit_test(test_grpc_load__every_byte_arrives_once_through_small_windows),
        cmocka_unit_test(test_grpc_load__every_byte_arrives_once_over_tls),
        cmocka_unit_test(test_grpc_load__every_byte_arrives_once_compressed),
    };

    return cmocka_run_group_tests_name("grpc_load", tests, NULL, NULL);
}
