/* SPDX-License-Identifier: Apache-2.0 */
/* Hand-made events get true lengths and checksums unless a test damages them on purpose. */
#include "tests/unit/binlog_log.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "common/must.h"
#include "producer/binlog/event.h"
#include "schemas/decimal.h"
#include "schemas/value_text.h"

#define HEX_BYTES_MAX 1000 /* longer values stand as their CRC32 */

struct buffer log_load(const char *name)
{
    struct buffer log = {0};
    char path[256];
    gzFile file;
    int size;

    (void)snprintf(path, sizeof path, "tests/data/binlog/%s", name);
    file = gzopen(path, "rb");
    must(file != NULL);
    while ((size = gzread(file, buffer_reserve(&log, 65536), 65536)) > 0) {
        log.size += (size_t)size;
    }
    must(size == 0 && gzclose(file) == Z_OK);
    return log;
}

static uint32_t read_u32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void write_u32(uint8_t *bytes, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
}

uint32_t log_event_size(const struct buffer *log, size_t offset)
{
    return read_u32(log->bytes + offset + 9);
}

size_t log_event_at(const struct buffer *log, size_t number)
{
    size_t at = 4;

    while (number-- > 0 && at < log->size) {
        at += log_event_size(log, at);
    }
    return at;
}

size_t log_find(const struct buffer *log, uint8_t type, size_t nth)
{
    size_t at = 4;

    while (at < log->size && (log->bytes[at + 4] != type || nth-- > 0)) {
        at += log_event_size(log, at);
    }
    must(at < log->size);
    return at;
}

struct buffer log_begin(const char *like)
{
    struct buffer log = log_load(like);

    log.size = log_event_at(&log, 1);
    return log;
}

void log_mend(struct buffer *log, size_t offset)
{
    uint32_t size = log_event_size(log, offset);
    uint8_t head[EVENT_HEADER_SIZE];
    uint32_t crc;

    memcpy(head, log->bytes + offset, sizeof head);
    if (head[4] == EVENT_FORMAT_DESCRIPTION) {
        head[17] &= (uint8_t)~EVENT_FLAG_IN_USE;
    }
    crc = (uint32_t)crc32(crc32(0, head, sizeof head), log->bytes + offset + sizeof head, (unsigned)(size - sizeof head - 4));
    write_u32(log->bytes + offset + size - 4, crc);
}

void log_event_add(struct buffer *log, uint8_t type, uint16_t flags, const void *body, size_t body_size, bool checksummed)
{
    uint8_t head[EVENT_HEADER_SIZE] = {0x10, 0x20, 0x30, 0x40, type, 1};
    size_t offset = log->size;
    uint32_t size = (uint32_t)(sizeof head + body_size + (checksummed ? 4 : 0));

    write_u32(head + 9, size);
    write_u32(head + 13, (uint32_t)(log->size + size));
    head[17] = (uint8_t)flags;
    head[18] = (uint8_t)(flags >> 8);
    buffer_append(log, head, sizeof head);
    buffer_append(log, body, body_size);
    if (checksummed) {
        buffer_append(log, "\0\0\0\0", 4);
        log_mend(log, offset);
    }
}

void log_query_add(struct buffer *log, const char *text)
{
    struct buffer body = {0};

    buffer_append(&body, "\0\0\0\0\0\0\0\0\2\0\0\0\0db\0", 16);
    buffer_append_text(&body, text);
    log_event_add(log, EVENT_QUERY, 0, body.bytes, body.size, true);
    buffer_deinit(&body);
}

void log_query_add_in(struct buffer *log, uint16_t collation, const char *text)
{
    struct buffer body = {0};

    buffer_append(&body, "\0\0\0\0\0\0\0\0\2\0\0\31\0", 13);
    buffer_append(&body, "\0\1\2\3\4", 5);            /* flags2 */
    buffer_append(&body, "\1\1\2\3\4\5\6\7\10", 9); /* sql_mode */
    buffer_append(&body, "\6\3std\4", 6);              /* catalog; charset */
    buffer_append_byte(&body, (uint8_t)collation);
    buffer_append_byte(&body, (uint8_t)(collation >> 8));
    buffer_append(&body, "\10\0\10db", 6);
    buffer_append_text(&body, text);
    log_event_add(log, EVENT_QUERY, 0, body.bytes, body.size, true);
    buffer_deinit(&body);
}

void log_packet_add(struct buffer *packets, uint8_t *sequence, const uint8_t *message, size_t size, size_t packet_max)
{
    size_t step;

    do {
        step = size < packet_max ? size : packet_max;
        buffer_append_byte(packets, (uint8_t)step);
        buffer_append_byte(packets, (uint8_t)(step >> 8));
        buffer_append_byte(packets, (uint8_t)(step >> 16));
        buffer_append_byte(packets, (*sequence)++);
        buffer_append(packets, message, step);
        message += step;
        size -= step;
    } while (step == packet_max);
}

static void add_event_packet(struct buffer *packets, uint8_t *sequence, const uint8_t *event, size_t size)
{
    struct buffer message = {0};

    buffer_append_byte(&message, 0);
    buffer_append(&message, event, size);
    log_packet_add(packets, sequence, message.bytes, message.size, 0xffffff);
    buffer_deinit(&message);
}

struct buffer log_packets(const struct buffer *log)
{
    struct buffer packets = {0};
    struct buffer rotate = {0};
    uint8_t sequence = 1;

    log_event_add(&rotate, EVENT_ROTATE, EVENT_FLAG_ARTIFICIAL, "\4\0\0\0\0\0\0\0binlog.000001", 21, false);
    add_event_packet(&packets, &sequence, rotate.bytes, rotate.size);
    for (size_t at = 4; at < log->size; at += log_event_size(log, at)) {
        add_event_packet(&packets, &sequence, log->bytes + at, log_event_size(log, at));
    }
    buffer_deinit(&rotate);
    return packets;
}

static void append_hex(struct buffer *out, const uint8_t *bytes, size_t size)
{
    if (size > HEX_BYTES_MAX) {
        buffer_printf(out, "crc%lu", crc32(0, bytes, (unsigned)size));
        return;
    }
    for (size_t i = 0; i < size; i++) {
        buffer_printf(out, "%02X", bytes[i]);
    }
}

static void append_bits(struct buffer *out, const struct cell *cell)
{
    uint64_t value = 0;

    for (size_t i = 0; i < cell->size; i++) {
        value = value << 8 | cell->bytes[i];
    }
    buffer_printf(out, "%" PRIu64, value);
}

static void append_cell(struct buffer *out, const struct column *column, const struct cell *cell)
{
    char text[DECIMAL_TEXT_MAX];
    struct err err;

    if (cell->state == CELL_NULL) {
        buffer_append_text(out, "\\N");
        return;
    }
    if (cell->state == CELL_UNREPRESENTABLE) {
        buffer_append(out, cell->bytes, cell->size);
        return;
    }
    switch (column->type) {
    case COLUMN_LONG:
    case COLUMN_BOOLEAN:
        buffer_printf(out, "%" PRId64, cell->integer);
        break;
    case COLUMN_ULONG:
        buffer_printf(out, "%" PRIu64, (uint64_t)cell->integer);
        break;
    case COLUMN_YEAR:
        buffer_printf(out, "%04" PRId64, cell->integer);
        break;
    case COLUMN_DECIMAL:
        must(decimal_to_text(cell->bytes, cell->size, column->scale, text, &err) == 0);
        buffer_append_text(out, text);
        break;
    case COLUMN_DECIMAL_TEXT:
        buffer_append(out, cell->bytes, cell->size);
        break;
    case COLUMN_FLOAT:
    case COLUMN_DOUBLE:
        buffer_printf(out, "%.17g", cell->real);
        break;
    case COLUMN_DATE:
        value_text_date(out, cell->integer);
        break;
    case COLUMN_DATETIME:
    case COLUMN_TIMESTAMP:
        value_text_datetime(out, cell->integer, ' ');
        break;
    case COLUMN_TIME:
        value_text_time(out, cell->integer);
        break;
    case COLUMN_BYTES:
        if (strncmp(column->source_type, "bit", 3) == 0) {
            append_bits(out, cell);
            break;
        }
        append_hex(out, cell->bytes, cell->size);
        break;
    default:
        append_hex(out, cell->bytes, cell->size);
        break;
    }
}

void log_append_cells(struct buffer *out, const struct table *table, const struct cell *cells)
{
    buffer_append_text(out, table->name);
    for (size_t c = 0; c < table->column_count; c++) {
        buffer_append_byte(out, '\t');
        append_cell(out, &table->columns[c], &cells[c]);
    }
}

static void append_row(struct played *played, const struct binlog_stream *stream)
{
    const struct binlog_row *row = binlog_stream_row(stream);
    const struct binlog_transaction *transaction = binlog_stream_transaction(stream);

    buffer_printf(&played->lines, "%s %" PRIu64 " %c %s", transaction->gtid, row->index, row->op, row->table->table->name);
    if (row->before != NULL) {
        buffer_append_text(&played->lines, " before ");
        log_append_cells(&played->lines, row->table->table, row->before);
    }
    if (row->after != NULL) {
        buffer_append_text(&played->lines, " after ");
        log_append_cells(&played->lines, row->table->table, row->after);
    }
    buffer_append_byte(&played->lines, '\n');
    played->row_count++;
}

/* What came before is verified: it could have been committed. */
static void note_verified(struct played *played, const struct binlog_stream *stream)
{
    if (binlog_stream_cuttable(stream)) {
        played->verified_size = played->lines.size;
    } else {
        played->came_unverified = true;
    }
}

/* False: the stream has failed. */
static bool play_piece(struct played *played, struct binlog_stream *stream)
{
    static const char letters[] = {[BINLOG_BEGIN] = 'B', [BINLOG_ROW] = 'R',         [BINLOG_COMMIT] = 'C',
                                   [BINLOG_IDLE] = 'I',  [BINLOG_ROLLED_BACK] = 'X', [BINLOG_ALTERED] = 'A', [BINLOG_ASK] = '?', [BINLOG_AGAIN] = 'W',
                                   [BINLOG_FAILED] = 'F'};

    for (;;) {
        played->last = binlog_stream_next(stream, &played->err);
        if (played->last != BINLOG_FAILED) {
            note_verified(played, stream);
        }
        if (played->last == BINLOG_INPUT) {
            return true;
        }
        buffer_append_byte(&played->items, (uint8_t)letters[played->last]);
        if (played->last == BINLOG_FAILED) {
            return false;
        }
        if (played->last == BINLOG_AGAIN) {
            return true;
        }
        if (played->last == BINLOG_ROW) {
            append_row(played, stream);
            note_verified(played, stream);
        }
    }
}

struct played log_play(const struct buffer *log, const struct play_options *options)
{
    struct played played = {0};
    struct binlog_stream *stream = binlog_stream_new(&options->stream);
    size_t piece_size = options->piece_size > 0 ? options->piece_size : log->size + 1;

    binlog_stream_open(stream, "test.000001", 4);
    for (size_t at = 0; at < log->size && !played.failed;) {
        size_t step = log->size - at < piece_size ? log->size - at : piece_size;
        uint8_t *piece = malloc(step);

        must(piece != NULL);
        memcpy(piece, log->bytes + at, step);
        if (played.again && options->flip_again_at >= at && options->flip_again_at < at + step) {
            piece[options->flip_again_at - at] ^= (uint8_t)(options->flip_again_at != 0);
        }
        binlog_stream_give(stream, piece, step);
        played.failed = !play_piece(&played, stream);
        free(piece);
        at += step;
        if (played.last == BINLOG_AGAIN) {
            played.again = true;
            binlog_stream_open(stream, "test.000001", 4);
            at = 0;
        }
    }
    played.failed |= !played.failed && binlog_stream_end(stream, &played.err) != 0;
    binlog_stream_free(stream);
    played.lines.size = played.verified_size;
    (void)buffer_text(&played.lines);
    (void)buffer_text(&played.items);
    return played;
}

void played_deinit(struct played *played)
{
    buffer_deinit(&played->lines);
    buffer_deinit(&played->items);
}

void log_assert_same(const struct buffer *log, const struct buffer *other, const struct play_options *options)
{
    struct played wanted = log_play(log, &(struct play_options){.stream = {.framing = BINLOG_FILE}});
    struct played played = log_play(other, options);
    const char *items;

    assert_false(wanted.failed);
    if (played.failed) {
        fail_msg("%s", played.err.text);
    }
    assert_int_equal(played.row_count, wanted.row_count);
    assert_int_equal(played.lines.size, wanted.lines.size);
    assert_memory_equal(played.lines.bytes, wanted.lines.bytes, wanted.lines.size);
    items = (char *)played.items.bytes + (options->stream.framing == BINLOG_PACKETS); /* the ROTATE in front is one */
    assert_memory_equal(items, wanted.items.bytes, wanted.items.size);                /* and so may be the last */
    played_deinit(&played);
    played_deinit(&wanted);
}
