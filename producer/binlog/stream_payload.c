/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compressed event: while it is open, the events in hand are those inside, out of an assembly of their own, and `input` means
 * its next piece before it means bytes from outside. Inside of MySQL's TRANSACTION_PAYLOAD are all events of a transaction.
 * MariaDB compresses the rows behind the head of a rows event, or the text of a statement: inside is the same event, not
 * compressed, whose first piece is made here of its plain head.
 *
 *   outer event --more--> its bytes --payload_inflate--> pieces --inner assembly--> TABLE_MAP, rows, XID, as ever
 *
 * The place of everything inside is the place of the whole event; row images are counted as if nothing were compressed, so a
 * restart in its middle passes over the same ones (A5). Up to CHECKED_WHOLE_MAX it is verified before it is opened; a larger one is read
 * twice, where that can be had (seals.h), and then verified piece by piece; else nothing of it may be committed before its end was
 * verified, as of a large rows event.
 *
 * What belongs to a file or a connection (FORMAT_DESCRIPTION, ROTATE, heartbeats), a GTID, or another payload has no place
 * inside.
 */
#include <string.h>

#include "producer/binlog/stream_parts.h"

static int refuse(struct binlog_stream *stream, const char *why)
{
    return stream_refuse(stream, "%s: %s", event_name(stream->outer.event.header.type), why);
}

static int failed(struct binlog_stream *stream, struct err *err)
{
    (void)err_while(err, "%s", event_name(stream->outer.event.header.type));
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
    stream->fragments = (struct fragments){0};
}

int stream_more_payload(struct binlog_stream *stream)
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

void stream_open_inner(struct binlog_stream *stream)
{
    assembly_init(&stream->inner, BINLOG_FILE);
    stream->inner.magic_left = 0;
    stream->inner.format = stream->outer.format;
    stream->inner.format.checksums = false;
    stream->inner.format_known = true;
    stream->assembly = &stream->inner;
    stream->payload_due = false;
}

/* thread u32, seconds u32, database's size u8, error u16, status variables' size u16, variables, database, NUL */
static void skip_query_head(struct cursor *cursor)
{
    uint8_t database_size;

    cursor_skip(cursor, 4 + 4);
    database_size = cursor_u8(cursor);
    cursor_skip(cursor, 2);
    cursor_skip(cursor, (size_t)cursor_u16(cursor) + database_size + 1);
}

static void put_u32(uint8_t *bytes, uint32_t number)
{
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(number >> (8 * i));
    }
}

void stream_make_header(uint8_t ret_header[EVENT_HEADER_SIZE], const uint8_t *header, uint8_t type, uint32_t size)
{
    memcpy(ret_header, header, EVENT_HEADER_SIZE);
    ret_header[4] = type;
    put_u32(ret_header + 9, size);
    put_u32(ret_header + 13, 0);
}

/* The header and plain head of the event as it is without compression, as the first piece of the payload. */
static void give_head(struct binlog_stream *stream, uint8_t type, size_t head_size)
{
    uint8_t *piece = stream->payload.piece;

    stream_make_header(piece, stream->outer.head, type, (uint32_t)(EVENT_HEADER_SIZE + head_size + stream->payload.due));
    memcpy(piece + EVENT_HEADER_SIZE, stream->outer.event.body, head_size);
    packet_give(&stream->inner.packets, piece, EVENT_HEADER_SIZE + head_size);
}

/* What is plain of an event that MariaDB compressed; the cursor stands behind it then. */
static void read_plain_head(struct binlog_stream *stream, uint8_t type, struct cursor *cursor)
{
    if (type == EVENT_QUERY) {
        skip_query_head(cursor);
    } else {
        row_read_head(&stream->rows, type, &stream->outer.format, cursor);
    }
}

static int open_mariadb(struct binlog_stream *stream, uint8_t type)
{
    const struct event *event = &stream->outer.event;
    struct cursor cursor = cursor_over(event->body, event->size);
    uint64_t left = event->header.size - EVENT_HEADER_SIZE - (stream->outer.format.checksums ? EVENT_CRC_SIZE : 0);
    size_t head_size;

    read_plain_head(stream, type, &cursor);
    head_size = (size_t)(cursor.at - event->body);
    payload_begin_mariadb(&stream->payload, &cursor, left - head_size);
    if (cursor.why == CURSOR_SHORT && !event->complete) {
        return stream_more_payload(stream);
    }
    if (cursor.why != NULL) {
        return refuse(stream, cursor.why);
    }
    if (EVENT_HEADER_SIZE + head_size > PAYLOAD_PIECE_BYTES ||
        head_size + stream->payload.due > UINT32_MAX - EVENT_HEADER_SIZE) {
        return refuse(stream, "it is larger than an event can be");
    }
    stream_open_inner(stream);
    give_head(stream, type, head_size);
    assembly_take(&stream->outer, event->size - cursor_left(&cursor));
    return GO_ON;
}

static int open_mysql(struct binlog_stream *stream)
{
    const struct event *event = &stream->outer.event;
    struct cursor cursor = cursor_over(event->body, event->size);

    payload_begin(&stream->payload, &cursor);
    if (cursor.why == CURSOR_SHORT && !event->complete) {
        return stream_more_payload(stream);
    }
    if (cursor.why != NULL) {
        return refuse(stream, cursor.why);
    }
    assembly_take(&stream->outer, event->size - cursor_left(&cursor));
    stream_open_inner(stream);
    return GO_ON;
}

/* The event in hand is compressed, or a fragment, and not opened yet. */
int stream_open_payload(struct binlog_stream *stream)
{
    uint8_t type = event_uncompressed(stream->outer.event.header.type);

    if (stream->outer.event.header.type == EVENT_MARIADB_PARTIAL_ROW_DATA) {
        return stream_open_fragment(stream);
    }
    return type != 0 ? open_mariadb(stream, type) : open_mysql(stream);
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
    return event->complete ? end_payload(stream) : stream_more_payload(stream);
}

int stream_input(struct binlog_stream *stream)
{
    if (stream_in_fragments(stream)) {
        return stream_feed_fragment(stream);
    }
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
    case EVENT_MARIADB_PARTIAL_ROW_DATA:
        return true;
    default: /* a GTID finds a transaction open */
        return event_uncompressed(event_type) != 0;
    }
}
