/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pull: one item a call. An event may yield several (BEGIN, rows, COMMIT); what it still owes is kept in the stream and
 * given in that order before the next event is read.
 *
 * Positions. In a file the place of an event is counted. In a dump it comes from the header, which has 32 bits and wraps in
 * files above 4 GiB, and which MariaDB leaves 0 inside transactions since 11.4: so lengths are summed, and corrected by what
 * the header says. Events that the server made up stand nowhere and move nothing.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "producer/binlog/stream_parts.h"

#define ROW_BYTES_MAX ((size_t)1 << 30)
#define FIRST_EVENT   4 /* behind the magic */

struct binlog_stream *binlog_stream_new(const struct binlog_stream_options *options)
{
    struct binlog_stream *stream = calloc(1, sizeof *stream);

    must(stream != NULL);
    stream->options = *options;
    if (stream->options.row_bytes_max == 0) {
        stream->options.row_bytes_max = ROW_BYTES_MAX;
    }
    assembly_init(&stream->outer, options->framing);
    stream->outer.seals = options->twice ? &stream->seals : NULL;
    stream->assembly = &stream->outer;
    stream->payload.memory_bytes = options->memory_bytes;
    stream->tables = tables_new(&stream->options, &stream->doubts);
    stream->end_due = GO_ON;
    stream->position = FIRST_EVENT;
    stream_group_init(stream);
    return stream;
}

void binlog_stream_free(struct binlog_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    stream_close_payload(stream);
    assembly_deinit(&stream->outer);
    seals_deinit(&stream->seals);
    payload_deinit(&stream->payload);
    tables_free(stream->tables);
    table_free(stream->xa_table);
    doubts_deinit(&stream->doubts);
    query_deinit(&stream->query);
    buffer_deinit(&stream->query_text);
    buffer_deinit(&stream->query_lower);
    text_list_deinit(&stream->prepared);
    scratch_deinit(&stream->scratch);
    free(stream->before);
    free(stream->after);
    free(stream);
}

void binlog_stream_know(struct binlog_stream *stream, const char *database, const char *table)
{
    (void)tables_rewritten(stream->tables, database, table); /* it may have rows that this log does not show */
}

void binlog_stream_give(struct binlog_stream *stream, const uint8_t *bytes, size_t size)
{
    packet_give(&stream->outer.packets, bytes, size);
}

void binlog_stream_open(struct binlog_stream *stream, const char *file, uint64_t position)
{
    (void)snprintf(stream->file, sizeof stream->file, "%s", file);
    stream->position = stream->event_position = stream->event_end = position;
    stream->failure = (struct err){0};
    stream->rows_phase = ROWS_NONE;
    stream->begin_due = false;
    stream->end_due = GO_ON;
    query_deinit(&stream->query);
    tables_unmap(stream->tables);
    stream_close_payload(stream);
    assembly_reset(&stream->outer);
    if (stream->options.framing == BINLOG_PACKETS) {
        stream_group_init(stream);
    }
}

void binlog_stream_take_marks(struct binlog_stream *stream, struct binlog_marks *marks)
{
    doubts_take_marks(&stream->doubts, marks);
    tables_forget_doubtful(stream->tables);
}

void binlog_stream_take_name_case(struct binlog_stream *stream, bool lower)
{
    stream->names_lower = lower;
}

int binlog_stream_end(struct binlog_stream *stream, struct err *err)
{
    if (stream->failure.class != ERR_NONE) {
        *err = stream->failure;
        return -1;
    }
    if (!assembly_idle(&stream->outer) || stream_in_payload(stream)) {
        (void)stream_refuse(stream, "the %s ends in the middle of an event",
                            stream->options.framing == BINLOG_FILE ? "file" : "stream");
        *err = stream->failure;
        return -1;
    }
    return 0;
}

int stream_failed(struct binlog_stream *stream, const struct err *err)
{
    stream->failure = *err;
    (void)err_while(&stream->failure, "%s, position %" PRIu64, stream->file, stream->event_position);
    for (char *at = stream->failure.text; *at != '\0'; at++) {
        *at = (unsigned char)*at < ' ' ? '?' : *at; /* names come from outside; a message is one line */
    }
    return BINLOG_FAILED;
}

int stream_refuse(struct binlog_stream *stream, const char *format, ...)
{
    struct err err = {0};
    char text[sizeof err.text];
    va_list list;

    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    (void)err_set(&err, ERR_FATAL, "%s", text);
    return stream_failed(stream, &err);
}

/* The 64-bit position whose low half is `low`, near `base`. */
static uint64_t extend_position(uint64_t base, uint32_t low)
{
    uint64_t position = (base & ~(uint64_t)UINT32_MAX) | low;

    return position + (UINT32_MAX / 2) < base ? position + UINT32_MAX + 1 : position;
}

void stream_place_event(struct binlog_stream *stream, const struct event *event)
{
    const struct event_header *header = &event->header;
    bool outside = sm_at(&stream->group) == GROUP_OUTSIDE;

    if (stream->options.framing == BINLOG_FILE) {
        stream->event_position = event->offset;
        stream->event_end = event->offset + header->size;
        return;
    }
    stream->event_position = stream->event_end;
    if (event_is_heartbeat(header->type) || (header->flags & EVENT_FLAG_ARTIFICIAL) != 0 ||
        (header->next_position == 0 && outside)) {
        return;
    }
    stream->event_end += header->size;
    if (header->next_position != 0) {
        stream->event_end = extend_position(stream->event_end, header->next_position);
        stream->event_position = stream->event_end - (header->size < stream->event_end ? header->size : stream->event_end);
    }
}

static int next_event(struct binlog_stream *stream)
{
    struct err err = {0};
    enum assembly_result result = assembly_next(stream->assembly, &err);

    if (result == ASSEMBLY_INPUT) {
        return stream_input(stream);
    }
    if (result == ASSEMBLY_FAILED) {
        if (!stream_in_payload(stream)) {
            stream->event_position = stream->options.framing == BINLOG_FILE ? stream->outer.offset : stream->event_end;
        }
        return stream_failed(stream, &err);
    }
    if (!stream_in_payload(stream)) {
        stream_place_event(stream, &stream->outer.event);
    }
    return stream->assembly->event.sealed_only ? BINLOG_AGAIN : stream_on_event(stream);
}

static int step(struct binlog_stream *stream)
{
    int item;

    if (stream->failure.class != ERR_NONE) {
        return BINLOG_FAILED;
    }
    if (stream->begin_due) {
        stream->begin_due = false;
        return BINLOG_BEGIN;
    }
    if (stream->payload_due) {
        return stream_open_payload(stream);
    }
    if (stream->emptied < stream->query.table_count) {
        return stream_next_emptied(stream);
    }
    if (stream->rows_phase != ROWS_NONE) {
        return stream_next_row(stream);
    }
    if (sm_at(&stream->group) == GROUP_OUTSIDE) {
        stream->position = stream->event_end;
    }
    if (stream->end_due != GO_ON) {
        item = stream->end_due;
        stream->end_due = GO_ON;
        return item;
    }
    return next_event(stream);
}

enum binlog_item binlog_stream_next(struct binlog_stream *stream, struct err *err)
{
    int item = GO_ON;

    while (item == GO_ON) {
        item = step(stream);
    }
    if (item == BINLOG_FAILED) {
        *err = stream->failure;
    }
    return (enum binlog_item)item;
}

const struct binlog_row *binlog_stream_row(const struct binlog_stream *stream)
{
    return &stream->row;
}

const struct binlog_transaction *binlog_stream_transaction(const struct binlog_stream *stream)
{
    return &stream->transaction;
}

const char *binlog_stream_file(const struct binlog_stream *stream)
{
    return stream->file;
}

uint64_t binlog_stream_position(const struct binlog_stream *stream)
{
    return stream->position;
}

uint64_t binlog_stream_event_position(const struct binlog_stream *stream)
{
    return stream->event_position;
}

uint64_t binlog_stream_images(const struct binlog_stream *stream)
{
    return stream->images;
}

bool binlog_stream_inside(const struct binlog_stream *stream)
{
    return sm_at(&stream->group) != GROUP_OUTSIDE || stream->end_due == BINLOG_COMMIT || stream->end_due == BINLOG_ROLLED_BACK;
}

enum binlog_flavor binlog_stream_flavor(const struct binlog_stream *stream)
{
    return stream->outer.format.flavor;
}

const char *binlog_stream_server_version(const struct binlog_stream *stream)
{
    return stream->outer.format.server_version;
}

/* Which tables a dropped database had is known of this reading alone: another life would find fewer, and could not count on (A5). */
static bool is_dropping_database(const struct binlog_stream *stream)
{
    return stream->transaction.dropped_database[0] != '\0' &&
           (stream->emptied < stream->query.table_count || stream->end_due == BINLOG_COMMIT);
}

bool binlog_stream_cuttable(const struct binlog_stream *stream)
{
    bool verified = stream->outer.phase != ASSEMBLY_PARTS || !stream->outer.format.checksums || stream->outer.verified;

    return verified && stream->xa_table == NULL && !is_dropping_database(stream);
}

unsigned binlog_stream_server_error(const struct binlog_stream *stream)
{
    return stream->outer.packets.server_error;
}
