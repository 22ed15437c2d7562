/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server's bytes, HTTP/2 and the gRPC answers in it, into the client's session: two calls are open, one of which uploads. The
 * same bytes whole and in pieces (of the size that the first byte says) must end the calls alike, with the same messages.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/grpc_answer.h"
#include "workers/bigquery/http2.h"

#define CALLS      2
#define BODY_BYTES 100000

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct call {
    struct grpc_answer answer;
    int32_t number;
    size_t body_left;
    size_t message_count;
    uint64_t message_sum; /* of sizes and bytes, by order */
    bool left;
    bool over; /* no event may name it any more */
};

struct client {
    struct http2 *http2;
    struct call calls[CALLS];
    struct buffer out;
    unsigned going_away_count;
    unsigned reset_count; /* by us */
    struct err err;
};

static void on_going_away(void *connection, uint32_t code, const char *text)
{
    (void)code;
    must(strlen(text) < 200);
    ((struct client *)connection)->going_away_count++;
}

static void on_leaving(void *stream)
{
    ((struct call *)stream)->left = true;
}

static size_t on_body(void *stream, uint8_t *to, size_t size, bool *ret_last)
{
    struct call *call = stream;
    size_t count = size < call->body_left ? size : call->body_left;

    must(!call->over);
    memset(to, 0, count);
    call->body_left -= count;
    *ret_last = call->body_left == 0;
    return count;
}

static void on_header(void *stream, const char *name, const char *value, size_t value_size)
{
    struct call *call = stream;

    must(!call->over && strlen(name) > 0);
    grpc_answer_header(&call->answer, name, value, value_size);
}

static void on_data(void *stream, const uint8_t *bytes, size_t size)
{
    struct call *call = stream;

    must(!call->over);
    grpc_answer_data(&call->answer, bytes, size);
}

static void on_end(void *stream)
{
    struct call *call = stream;

    must(!call->over);
    call->over = true;
    grpc_answer_end(&call->answer);
    must(grpc_answer_settled(&call->answer));
}

static void on_reset(void *stream, uint32_t code)
{
    struct call *call = stream;

    must(!call->over);
    call->over = true;
    grpc_answer_reset(&call->answer, code);
}

static const struct http2_events events = {.going_away = on_going_away,
                                           .leaving = on_leaving,
                                           .body = on_body,
                                           .header = on_header,
                                           .data = on_data,
                                           .end = on_end,
                                           .reset = on_reset};

static void on_message(void *context, const uint8_t *message, size_t size)
{
    struct call *call = context;

    must(size <= GRPC_MESSAGE_BYTES_MAX);
    call->message_count++;
    call->message_sum = call->message_sum * 31 + size;
    for (size_t at = 0; at < size && at < 1000; at++) {
        call->message_sum = call->message_sum * 31 + message[at];
    }
}

static void send_all(struct client *client)
{
    buffer_clear(&client->out);
    http2_produce(client->http2, &client->out, 1 << 20);
}

static void begin(struct client *client)
{
    static const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    static const struct http2_header headers[] = {{.name = ":method", .value = "POST"},
                                                  {.name = ":scheme", .value = "https"},
                                                  {.name = ":path", .value = "/a/b"},
                                                  {.name = ":authority", .value = "localhost"},
                                                  {.name = "content-type", .value = "application/grpc"}};

    *client = (struct client){0};
    client->http2 = http2_new(&events, client);
    http2_receive(client->http2, settings, sizeof settings);
    must(http2_ready(client->http2) && http2_may_open(client->http2));
    for (unsigned at = 0; at < CALLS; at++) {
        struct call *call = &client->calls[at];

        grpc_answer_init(&call->answer, on_message, call);
        call->body_left = at * BODY_BYTES;
        call->number = http2_open(client->http2, headers, sizeof headers / sizeof *headers, call);
    }
    send_all(client);
}

/* What the channel does when an answer is broken: the stream is reset, and the server may go on sending. */
static void reset_broken(struct client *client)
{
    for (unsigned at = 0; at < CALLS; at++) {
        struct call *call = &client->calls[at];

        if (!call->over && grpc_answer_settled(&call->answer)) {
            call->over = true;
            client->reset_count++;
            http2_reset(client->http2, call->number, HTTP2_CANCEL);
        }
    }
}

static void run(struct client *client, const uint8_t *bytes, size_t size, size_t piece)
{
    begin(client);
    for (size_t at = 0; at < size; at += piece) {
        http2_receive(client->http2, bytes + at, piece < size - at ? piece : size - at);
        reset_broken(client);
    }
    send_all(client);
    (void)http2_check(client->http2, &client->err);
}

static void finish(struct client *client)
{
    for (unsigned at = 0; at < CALLS; at++) {
        grpc_answer_deinit(&client->calls[at].answer);
    }
    http2_free(client->http2);
    buffer_deinit(&client->out);
}

/* nghttp2 counts a CONTINUATION frame again for each piece of its nine first bytes, and allows eight. */
static bool is_limit_of_pieces(const struct client *client)
{
    return strstr(client->err.text, "CONTINUATION") != NULL;
}

/* Not compared: what was reset by us, because what the server sends to such a stream is ignored from then on. */
static void compare(struct client *whole, struct client *pieces)
{
    if (whole->reset_count + pieces->reset_count > 0 || is_limit_of_pieces(whole) || is_limit_of_pieces(pieces)) {
        return;
    }
    must((whole->going_away_count > 0) == (pieces->going_away_count > 0)); /* behind one that ended all nghttp2 may not look */
    must(whole->err.class == pieces->err.class);
    for (unsigned at = 0; at < CALLS; at++) {
        struct call *one = &whole->calls[at];
        struct call *other = &pieces->calls[at];
        struct grpc_status one_status = {0};
        struct grpc_status other_status = {0};

        must(one->message_count == other->message_count && one->message_sum == other->message_sum);
        must(grpc_answer_settled(&one->answer) == grpc_answer_settled(&other->answer));
        if (grpc_answer_settled(&one->answer)) {
            grpc_answer_status(&one->answer, &one_status);
            grpc_answer_status(&other->answer, &other_status);
            must(one_status.code == other_status.code && strcmp(one_status.message, other_status.message) == 0);
            must(one_status.details_size == other_status.details_size);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct client whole;
    struct client pieces;

    if (size < 2) {
        return 0;
    }
    run(&whole, bytes + 1, size - 1, size);
    run(&pieces, bytes + 1, size - 1, (size_t)bytes[0] + 1);
    compare(&whole, &pieces);
    finish(&whole);
    finish(&pieces);
    return 0;
}
