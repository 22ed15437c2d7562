/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compressed transaction: while it is open, the events in hand are those inside, out of an assembly of their own, and `input`
 * means its next piece before it means bytes from outside.
 *
 *   outer event --more--> its bytes --payload_inflate--> pieces --inner assembly--> TABLE_MAP, rows, XID, as ever
 *
 * The place of everything inside is the place of the whole event; row images are counted as if nothing were compressed, so a
 * restart in its middle passes over the same ones (A5). Up to CHECKED_WHOLE_MAX it is verified before it is opened; of a larger
 * one nothing may be committed before its end was verified, as of a large rows event.
 *
 * What belongs to a file or a connection (FORMAT_DESCRIPTION, ROTATE, heartbeats), a GTID, or another payload has no place
 * inside.
 */
#include "producer/binlog/stream_parts.h"

static int refuse(struct binlog_stream *stream, const char *why)
{
    return stream_refuse(stream, "TRANSACTION_PAYLOAD: %s", why);
}

static int failed(struct binlog_stream *stream, struct err *err)
{
    (void)err_while(err, "TRANSACTION_PAYLOAD");
    return stream_failed(stream, err);
}

bool stream_in_payload(const struct binlog_stream *stream)
{
    return stream->assembly == &stream->inner;
}

void stream_close_payload(struct binlog_stream *stream)
{
    if (stream_in_payload(stream)) {
        assembly_deinit(&stream->inner);
        stream->assembly = &stream->outer;
    }
    stream->payload_due = false;
}

/* More of the compressed bytes are needed. */
static int more(struct binlog_stream *stream)
{
    struct err err = {0};

    switch (assembly_more(&stream->outer, &err)) {
    case ASSEMBLY_EVENT:
        return GO_ON;
    case ASSEMBLY_INPUT:
        return BINLOG_INPUT;
    default:
        return stream_failed(stream, &err);
    }
}

static void open_inner(struct binlog_stream *stream)
{
    assembly_init(&stream->inner, BINLOG_FILE);
    stream->inner.magic_left = 0;
    stream->inner.format = stream->outer.format;
    stream->inner.format.checksums = false;
    stream->inner.format_known = true;
    stream->assembly = &stream->inner;
    stream->payload_due = false;
}

/* The event in hand is a payload that was not opened yet. */
int stream_open_payload(struct binlog_stream *stream)
{
    const struct event *event = &stream->outer.event;
    struct cursor cursor = cursor_over(event->body, event->size);

    payload_begin(&stream->payload, &cursor);
    if (cursor.why == CURSOR_SHORT && !event->complete) {
        return more(stream);
    }
    if (cursor.why != NULL) {
        return refuse(stream, cursor.why);
    }
    assembly_take(&stream->outer, event->size - cursor_left(&cursor));
    open_inner(stream);
    return GO_ON;
}

static int end_payload(struct binlog_stream *stream)
{
    struct err err = {0};

    if (payload_end(&stream->payload, &err) != 0) {
        return failed(stream, &err);
    }
    if (!assembly_idle(&stream->inner)) {
        return refuse(stream, "it ends in the middle of an event");
    }
    stream_close_payload(stream);
    return GO_ON;
}

static int feed_inner(struct binlog_stream *stream)
{
    const struct event *event = &stream->outer.event;
    struct cursor input = cursor_over(event->body, event->size);
    struct err err = {0};
    size_t size;

    if (payload_inflate(&stream->payload, &input, &size, &err) != 0) {
        return failed(stream, &err);
    }
    assembly_take(&stream->outer, event->size - cursor_left(&input));
    if (size > 0) {
        packet_give(&stream->inner.packets, stream->payload.piece, size);
        return GO_ON;
    }
    return event->complete ? end_payload(stream) : more(stream);
}

int stream_input(struct binlog_stream *stream)
{
    return stream_in_payload(stream) ? feed_inner(stream) : BINLOG_INPUT;
}

bool stream_belongs_outside(uint8_t event_type)
{
    switch (event_type) {
    case EVENT_FORMAT_DESCRIPTION:
    case EVENT_ROTATE:
    case EVENT_STOP:
    case EVENT_HEARTBEAT:
    case EVENT_HEARTBEAT_V2:
    case EVENT_TRANSACTION_PAYLOAD:
        return true;
    default: /* a GTID finds a transaction open */
        return false;
    }
}
