/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MariaDB (from 12.3) cuts a rows event that is larger than binlog_row_event_fragment_threshold into PARTIAL_ROW_DATA events, one behind
 * the other. Joined, what they carry is the rows event as it would stand in the log: its header, its head, its rows; only a checksum it has
 * none. While they are open, the event in hand is that rows event, out of the inner assembly, as with a payload (stream_payload.c):
 *
 *   FIELDS --the fields fit; of the first, the rows event's header--> DATA --used up, not the last--> NEXT --a fragment--> FIELDS
 *                                                                      \--used up, the last, and nothing is missing--> closed
 *
 * What fragments say is compared with what is due: how many there are, which one this is, and the size of the rows event, which the
 * first tells. Nothing but heartbeats, which belong to the connection, may come between. So one that is missing, comes twice or in another
 * place stops the stream. Each fragment has a checksum of its own: what was yielded can be committed as with any event (binlog_stream_cuttable).
 *
 * In memory is one row, and the piece of a fragment that was read last.
 *
 * The header's own size counts a checksum that is not there, or not (the server does not look at it either): the size that the
 * first fragment tells takes its place. A rows event that is compressed besides (log_bin_compress) is refused: of such the server puts
 * the rows in as they are, under a type that says otherwise, and whether they are can't be told from the bytes.
 *
 * Fields: fragments u32, number u32 from 1, flags u8, and with flag 1 (of the first, always) the rows event's size u64.
 * Source: https://mariadb.com/docs/server/reference/clientserver-protocol/replication-protocol/partial_row_data_event, sql/log_event.h
 * and sql/log_event_server.cc of MariaDB 12.3 (Partial_rows_log_event, Rows_log_event_fragmenter).
 */
#include <inttypes.h>

#include "producer/binlog/stream_parts.h"

#define FLAG_SIZE      1
#define ROWS_SIZE_MIN  (EVENT_HEADER_SIZE + 8) /* header, table id, flags */

struct fields {
    uint32_t total;
    uint32_t number;
    uint8_t flags;
    uint64_t size; /* of the rows event; 0: not told */
};

static int refuse(struct binlog_stream *stream, const char *why)
{
    return stream_refuse(stream, "PARTIAL_ROW_DATA: %s", why);
}

bool stream_in_fragments(const struct binlog_stream *stream)
{
    return stream->fragments.phase != FRAGMENTS_CLOSED;
}

static struct fields read_fields(struct cursor *cursor)
{
    struct fields fields = {0};

    fields.total = cursor_u32(cursor);
    fields.number = cursor_u32(cursor);
    fields.flags = cursor_u8(cursor);
    if ((fields.flags & FLAG_SIZE) != 0) {
        fields.size = cursor_u64(cursor);
    }
    return fields;
}

static int compare_fields(struct binlog_stream *stream, const struct fields *fields)
{
    const struct fragments *fragments = &stream->fragments;
    uint32_t due = fragments->number + 1;

    if (fields->number != due || (due > 1 && fields->total != fragments->total)) {
        return stream_refuse(stream, "PARTIAL_ROW_DATA: fragment %" PRIu32 " of %" PRIu32 " stands where number %" PRIu32 "%s was due",
                             fields->number, fields->total, due, due > 1 ? " of the rows event before it" : "");
    }
    if (fields->number > fields->total) {
        return refuse(stream, "there are fewer fragments than its number");
    }
    if ((fields->flags & ~FLAG_SIZE) != 0) {
        return refuse(stream, "it has flags that this version does not know");
    }
    if ((fields->size != 0) != (due == 1)) {
        return refuse(stream, "the first fragment, and no other, must tell the size of the rows event");
    }
    return GO_ON;
}

/* The header of the rows event, with its true size. The cursor stands behind it then. */
static int take_header(struct binlog_stream *stream, struct cursor *cursor, uint64_t size)
{
    struct fragments *fragments = &stream->fragments;
    const uint8_t *header = cursor_bytes(cursor, EVENT_HEADER_SIZE);
    uint8_t type;

    if (header == NULL) {
        return GO_ON; /* the caller looks at the cursor */
    }
    type = header[4];
    if (event_uncompressed(type) != 0) {
        return refuse(stream, "rows that are compressed and in fragments are not read: set log_bin_compress=OFF at the source, or a "
                              "larger binlog_row_event_fragment_threshold, and read the table anew");
    }
    if (!event_is_rows(type)) {
        return stream_refuse(stream, "PARTIAL_ROW_DATA: it holds an event of type %u (%s), and not rows", type, event_name(type));
    }
    if (size < ROWS_SIZE_MIN || size > UINT32_MAX) {
        return refuse(stream, "its rows event has a size that no event can have");
    }
    stream_make_header(fragments->header, header, type, (uint32_t)size);
    fragments->due = size - EVENT_HEADER_SIZE;
    return GO_ON;
}

int stream_open_fragment(struct binlog_stream *stream)
{
    struct fragments *fragments = &stream->fragments;
    const struct event *event = &stream->outer.event;
    struct cursor cursor = cursor_over(event->body, event->size);
    struct fields fields = read_fields(&cursor);
    bool first = fragments->number == 0;
    int result = cursor.why == NULL ? compare_fields(stream, &fields) : GO_ON;

    if (result == GO_ON && cursor.why == NULL && first) {
        result = take_header(stream, &cursor, fields.size);
    }
    if (result != GO_ON) {
        return result;
    }
    if (cursor.why == CURSOR_SHORT && !event->complete) {
        return stream_more_payload(stream);
    }
    if (cursor.why != NULL) {
        return refuse(stream, cursor.why);
    }
    assembly_take(&stream->outer, event->size - cursor_left(&cursor));
    if (first) {
        stream_open_inner(stream);
        packet_give(&stream->inner.packets, fragments->header, sizeof fragments->header);
    }
    fragments->total = fields.total;
    fragments->number = fields.number;
    fragments->phase = FRAGMENTS_DATA;
    return GO_ON;
}

/* The event behind a fragment that was not the last. */
static int next_fragment(struct binlog_stream *stream)
{
    struct fragments *fragments = &stream->fragments;
    struct err err = {0};

    switch (assembly_next(&stream->outer, &err)) {
    case ASSEMBLY_INPUT:
        return BINLOG_INPUT;
    case ASSEMBLY_FAILED:
        return stream_failed(stream, &err);
    default:
        break;
    }
    stream_place_event(stream, &stream->outer.event);
    if (event_is_heartbeat(stream->outer.event.header.type)) {
        return GO_ON;
    }
    if (stream->outer.event.header.type != EVENT_MARIADB_PARTIAL_ROW_DATA) {
        return stream_refuse(stream, "event %u (%s) stands where fragment %" PRIu32 " of %" PRIu32 " of a rows event was due",
                             stream->outer.event.header.type, event_name(stream->outer.event.header.type), fragments->number + 1,
                             fragments->total);
    }
    fragments->phase = FRAGMENTS_FIELDS;
    return GO_ON;
}

/* What is here of the fragment's data goes to the rows event; it is not copied. */
static int give_data(struct binlog_stream *stream)
{
    struct fragments *fragments = &stream->fragments;
    const struct event *event = &stream->outer.event;
    size_t size = event->size;

    if (size > fragments->due) {
        return refuse(stream, "the fragments hold more than the rows event has");
    }
    fragments->due -= size;
    packet_give(&stream->inner.packets, event->body, size);
    assembly_take(&stream->outer, size);
    return GO_ON;
}

/* The fragment in hand is used up. */
static int end_fragment(struct binlog_stream *stream)
{
    struct fragments *fragments = &stream->fragments;

    if (fragments->number < fragments->total) {
        fragments->phase = FRAGMENTS_NEXT;
        return GO_ON;
    }
    if (fragments->due > 0 || !assembly_idle(&stream->inner)) {
        return refuse(stream, "the fragments hold less than the rows event has");
    }
    stream_close_payload(stream);
    return GO_ON;
}

int stream_feed_fragment(struct binlog_stream *stream)
{
    const struct event *event = &stream->outer.event;

    switch (stream->fragments.phase) {
    case FRAGMENTS_NEXT:
        return next_fragment(stream);
    case FRAGMENTS_FIELDS:
        return stream_open_fragment(stream);
    default:
        if (event->size > 0) {
            return give_data(stream);
        }
        return event->complete ? end_fragment(stream) : stream_more_payload(stream);
    }
}
