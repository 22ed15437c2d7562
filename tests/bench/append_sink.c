/* SPDX-License-Identifier: Apache-2.0 */
/*
 * append_sink: the Storage Write API as fast as it can be: a TLS server that counts rows and throws them away.
 *
 *     append_sink CA_FILE COUNT
 *
 * Makes a certificate for localhost, writes it to CA_FILE for the client to trust, and prints "ready PORT". When COUNT rows
 * have been appended it prints one line of JSON: rows, the seconds from the first request to the last, bytes, requests,
 * streams. It stays until it is killed.
 *
 * Parsed is what must be: a request's stream, offset, and how many rows it has; so offsets are answered rightly (ALREADY_EXISTS
 * and OUT_OF_RANGE in-band, without details), FinalizeWriteStream knows its count, and a row that came twice would not be
 * counted twice. Not looked at: the schema, the rows' bytes, whether the table exists. Streams live as long as the sink.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/buffer.h"
#include "common/must.h"
#include "tests/unit/certificate.h"
#include "tests/unit/h2_server.h"
#include "workers/bigquery/protobuf.h"

#define WINDOW_BYTES        (16 << 20)
#define MESSAGE_BYTES_MAX   (20 << 20)
#define SERVICE             "/google.cloud.bigquery.storage.v1.BigQueryWrite/"
#define CODE_NOT_FOUND      5
#define CODE_ALREADY_EXISTS 6
#define CODE_OUT_OF_RANGE   11

struct sink_stream {
    struct sink_stream *next;
    char *name;
    uint64_t row_count;
    bool finalized;
};

struct sink {
    uv_loop_t loop;
    struct sink_stream *streams;
    unsigned stream_count;
    uint64_t wanted_count;
    uint64_t row_count;
    uint64_t request_count;
    uint64_t byte_count; /* of messages, as they came */
    uint64_t first_ns;   /* when the first request came */
    struct buffer inflated;
    struct buffer answer;
};

struct append {
    struct protobuf_field stream;
    int64_t offset; /* -1: none */
    uint64_t row_count;
};

/* ---- streams */

static struct sink_stream *find(struct sink *sink, const struct protobuf_field *name)
{
    struct sink_stream *stream = sink->streams;

    while (stream != NULL && (strlen(stream->name) != name->size || memcmp(stream->name, name->bytes, name->size) != 0)) {
        stream = stream->next;
    }
    return stream;
}

static struct sink_stream *make(struct sink *sink, const struct protobuf_field *parent)
{
    struct sink_stream *stream = calloc(1, sizeof *stream);
    struct buffer name = {0};

    must(stream != NULL);
    buffer_printf(&name, "%.*s/streams/s%u", (int)parent->size, (const char *)parent->bytes, sink->stream_count++);
    stream->name = strdup(buffer_text(&name));
    must(stream->name != NULL);
    buffer_deinit(&name);
    stream->next = sink->streams;
    sink->streams = stream;
    return stream;
}

/* Field 1 of every request but AppendRows is the name of something. */
static struct protobuf_field name_of(const uint8_t *message, size_t size)
{
    struct protobuf_reader reader = protobuf_read(message, size);
    struct protobuf_field field;

    while (protobuf_next(&reader, &field)) {
        if (protobuf_is(&field, 1, PROTOBUF_BYTES)) {
            return field;
        }
    }
    return (struct protobuf_field){.bytes = (const uint8_t *)""};
}

/* ---- AppendRows */

static uint64_t count_fields(const struct protobuf_field *message, uint32_t number)
{
    struct protobuf_reader reader = protobuf_read_inner(message);
    struct protobuf_field field;
    uint64_t count = 0;

    while (protobuf_next(&reader, &field)) {
        count += protobuf_is(&field, number, PROTOBUF_BYTES) ? 1 : 0;
    }
    must(reader.bad == NULL);
    return count;
}

static int64_t int64_value(const struct protobuf_field *message)
{
    struct protobuf_reader reader = protobuf_read_inner(message);
    struct protobuf_field field;
    int64_t value = 0;

    while (protobuf_next(&reader, &field)) {
        value = protobuf_is(&field, 1, PROTOBUF_VARINT) ? (int64_t)field.value : value;
    }
    return value;
}

static uint64_t rows_of(const struct protobuf_field *proto_data)
{
    struct protobuf_reader reader = protobuf_read_inner(proto_data);
    struct protobuf_field field;
    uint64_t count = 0;

    while (protobuf_next(&reader, &field)) {
        count += protobuf_is(&field, 2, PROTOBUF_BYTES) ? count_fields(&field, 1) : 0;
    }
    return count;
}

static struct append read_append(const uint8_t *message, size_t size)
{
    struct append append = {.stream.bytes = (const uint8_t *)"", .offset = -1};
    struct protobuf_reader reader = protobuf_read(message, size);
    struct protobuf_field field;

    while (protobuf_next(&reader, &field)) {
        if (protobuf_is(&field, 1, PROTOBUF_BYTES)) {
            append.stream = field;
        } else if (protobuf_is(&field, 2, PROTOBUF_BYTES)) {
            append.offset = int64_value(&field);
        } else if (protobuf_is(&field, 4, PROTOBUF_BYTES)) {
            append.row_count = rows_of(&field);
        }
    }
    must(reader.bad == NULL);
    return append;
}

/* AppendRowsResponse: append_result {offset {value}}. */
static void answer_offset(struct buffer *out, uint64_t offset)
{
    size_t value_size = offset > 0 ? 1 + protobuf_varint_size(offset) : 0;

    protobuf_put_begin(out, 1, protobuf_field_size(1, value_size));
    protobuf_put_begin(out, 1, value_size);
    if (offset > 0) {
        protobuf_put_varint(out, 1, offset);
    }
}

/* AppendRowsResponse: error {code}. */
static void answer_error(struct buffer *out, int code)
{
    protobuf_put_begin(out, 2, 1 + protobuf_varint_size((uint64_t)code));
    protobuf_put_varint(out, 1, (uint64_t)code);
}

static void print_if_done(struct sink *sink)
{
    if (sink->row_count >= sink->wanted_count && sink->wanted_count > 0) {
        sink->wanted_count = 0;
        printf("{\"rows\": %" PRIu64 ", \"seconds\": %.3f, \"bytes\": %" PRIu64 ", \"requests\": %" PRIu64
               ", \"streams\": %u}\n",
               sink->row_count, (double)(uv_hrtime() - sink->first_ns) / 1e9, sink->byte_count, sink->request_count,
               sink->stream_count);
        must(fflush(stdout) == 0);
    }
}

static void take_append(struct sink *sink, const uint8_t *message, size_t size)
{
    struct append append = read_append(message, size);
    struct sink_stream *stream = find(sink, &append.stream);

    sink->first_ns = sink->first_ns > 0 ? sink->first_ns : uv_hrtime();
    sink->request_count++;
    if (stream == NULL || stream->finalized) {
        answer_error(&sink->answer, CODE_NOT_FOUND);
    } else if (append.offset >= 0 && (uint64_t)append.offset < stream->row_count) {
        answer_error(&sink->answer, CODE_ALREADY_EXISTS);
    } else if (append.offset >= 0 && (uint64_t)append.offset > stream->row_count) {
        answer_error(&sink->answer, CODE_OUT_OF_RANGE);
    } else {
        answer_offset(&sink->answer, stream->row_count);
        stream->row_count += append.row_count;
        sink->row_count += append.row_count;
        print_if_done(sink);
    }
}

/* ---- unary */

/* WriteStream: name, type COMMITTED. */
static void describe(struct buffer *out, const struct sink_stream *stream)
{
    protobuf_put_text(out, 1, stream->name);
    protobuf_put_varint(out, 2, 1);
}

static bool is_method(const struct h2_stream *call, const char *method)
{
    char path[128];

    return h2_stream_header(call, ":path", path, sizeof path) && strncmp(path, SERVICE, strlen(SERVICE)) == 0 &&
           strcmp(path + strlen(SERVICE), method) == 0;
}

/* grpc-status of the call's end. */
static const char *take_unary(struct sink *sink, const struct h2_stream *call, const uint8_t *message, size_t size)
{
    struct protobuf_field name = name_of(message, size);
    struct sink_stream *stream;

    if (is_method(call, "CreateWriteStream")) {
        describe(&sink->answer, make(sink, &name));
        return "0";
    }
    stream = find(sink, &name);
    if (stream == NULL) {
        return "5";
    }
    if (is_method(call, "GetWriteStream")) {
        describe(&sink->answer, stream);
        return "0";
    }
    if (is_method(call, "FinalizeWriteStream")) {
        stream->finalized = true;
        protobuf_put_varint(&sink->answer, 1, stream->row_count);
        return "0";
    }
    return "12";
}

/* ---- calls */

static void inflate_message(struct sink *sink, const uint8_t *bytes, size_t size)
{
    z_stream stream = {.next_in = (uint8_t *)bytes, .avail_in = (uInt)size};

    buffer_clear(&sink->inflated);
    stream.next_out = buffer_reserve(&sink->inflated, MESSAGE_BYTES_MAX);
    stream.avail_out = MESSAGE_BYTES_MAX;
    must(inflateInit2(&stream, 15 + 16) == Z_OK);
    must(inflate(&stream, Z_FINISH) == Z_STREAM_END);
    sink->inflated.size = stream.total_out;
    (void)inflateEnd(&stream);
}

static void take_message(struct sink *sink, struct h2_stream *call, const uint8_t *frame, size_t size)
{
    const uint8_t *message = frame + 5;
    const char *status = NULL;

    sink->byte_count += size;
    if (frame[0] == 1) {
        inflate_message(sink, message, size);
        message = sink->inflated.bytes;
        size = sink->inflated.size;
    }
    buffer_clear(&sink->answer);
    if (is_method(call, "AppendRows")) {
        take_append(sink, message, size);
    } else {
        status = take_unary(sink, call, message, size);
    }
    if (status == NULL || strcmp(status, "0") == 0) {
        h2_stream_message(call, sink->answer.bytes, sink->answer.size);
    }
    if (status != NULL) {
        h2_stream_end(call, status, NULL, NULL);
    }
}

static void on_request(void *context, struct h2_stream *call)
{
    (void)context;
    h2_stream_answer(call, "200", "application/grpc", NULL);
}

/* The bytes are in call->received already: messages are taken off its front. */
static void on_data(void *context, struct h2_stream *call, const uint8_t *bytes, size_t size)
{
    struct buffer *received = &call->received;
    size_t at = 0;

    (void)bytes;
    (void)size;
    while (received->size - at >= 5) {
        const uint8_t *frame = received->bytes + at;
        size_t message_size = (size_t)frame[1] << 24 | (size_t)frame[2] << 16 | (size_t)frame[3] << 8 | frame[4];

        must(message_size <= MESSAGE_BYTES_MAX);
        if (received->size - at - 5 < message_size) {
            break;
        }
        take_message(context, call, frame, message_size);
        at += 5 + message_size;
    }
    if (at > 0) {
        buffer_drop(received, at);
    }
}

static void on_half_closed(void *context, struct h2_stream *call)
{
    (void)context;
    if (is_method(call, "AppendRows")) {
        h2_stream_end(call, "0", NULL, NULL);
    }
}

int main(int argc, char **argv)
{
    static const struct h2_events events = {.request = on_request, .data = on_data, .half_closed = on_half_closed};
    struct h2_options options = {.window_bytes = WINDOW_BYTES, .streams_max = 100};
    struct sink sink = {0};
    struct h2_server *server;

    if (argc != 3) {
        (void)fprintf(stderr, "usage: append_sink CA_FILE COUNT\n");
        return 64;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    sink.wanted_count = strtoull(argv[2], NULL, 10);
    options.tls = certificate_server("DNS:localhost", "h2", argv[1]);
    must(uv_loop_init(&sink.loop) == 0);
    server = h2_server_new(&sink.loop, &options, &events, &sink);
    printf("ready %u\n", h2_server_port(server));
    must(fflush(stdout) == 0);
    (void)uv_run(&sink.loop, UV_RUN_DEFAULT);
    return 0;
}
