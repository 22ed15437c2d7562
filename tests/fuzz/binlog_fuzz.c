/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets, events and rows: any bytes as a binlog. The first byte chooses: bit 0 packets or file, bit 1 whether names are
 * optional, bit 2 whether tables are selected, bits 3 and 4 the size of the pieces, bit 5 whether the checksums are mended
 * first, bit 6 whether values without a place in their type follow a policy, bit 7 whether there is a ceiling of memory. Without the
 * checksums, hardly a changed byte would get past the first one.
 *
 * What must hold beside "no crash": each cell of a row that is yielded can be read over its whole size; a failure lasts; rows
 * and ends come only inside a transaction.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/must.h"
#include "producer/binlog/event.h"
#include "producer/binlog/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink;

static bool never(void *context, const char *database, const char *table)
{
    (void)context;
    (void)database;
    (void)table;
    return false;
}

/* A policy by the column's name, so that each is met. */
static void choose(void *context, const char *database, const char *table, const char *column, struct binlog_choice *ret_choice)
{
    static const enum binlog_unrepresentable policies[] = {BINLOG_STOP, BINLOG_NULL, BINLOG_TEXT, BINLOG_LETTER};
    enum binlog_unrepresentable policy = policies[(unsigned char)column[0] % 4];

    (void)context;
    (void)database;
    (void)table;
    *ret_choice = (struct binlog_choice){.unrepresentable = policy, .wide_decimal = policy};
}

/* Gives each event of the file the checksum that it should have. */
static void mend_checksums(uint8_t *bytes, size_t size)
{
    size_t at = 4;

    while (size >= at + EVENT_HEADER_SIZE + EVENT_CRC_SIZE) {
        struct event_header header;
        struct err err;
        uint32_t crc;

        if (event_header_read(bytes + at, &header, &err) != 0 || header.size > size - at ||
            header.size < EVENT_HEADER_SIZE + EVENT_CRC_SIZE) {
            return;
        }
        if (header.type == EVENT_FORMAT_DESCRIPTION) {
            bytes[at + EVENT_HEADER_SIZE - 2] &= (uint8_t)~EVENT_FLAG_IN_USE;
        }
        crc = (uint32_t)crc32(0, bytes + at, header.size - EVENT_CRC_SIZE);
        at += header.size;
        for (unsigned i = 0; i < EVENT_CRC_SIZE; i++) {
            bytes[at - EVENT_CRC_SIZE + i] = (uint8_t)(crc >> (8 * i));
        }
    }
}

static void touch(const struct table *table, const struct cell *cells)
{
    for (size_t c = 0; cells != NULL && c < table->column_count; c++) {
        for (size_t i = 0; cells[c].state != CELL_NULL && cells[c].bytes != NULL && i < cells[c].size; i++) {
            sink += cells[c].bytes[i];
        }
        sink += (unsigned)cells[c].state + (unsigned)strlen(table->columns[c].name) +
                (unsigned)strlen(table->columns[c].source_type);
    }
}

static void check_row(const struct binlog_row *row)
{
    must(row->table != NULL && strchr("cudt", row->op) != NULL);
    must((row->before != NULL) == (row->op == 'u' || row->op == 'd'));
    must((row->after != NULL) == (row->op == 'u' || row->op == 'c'));
    touch(row->table->table, row->before);
    touch(row->table->table, row->after);
}

/* Takes all items that the piece has. False: the stream has failed. */
static bool drain(struct binlog_stream *stream, bool *inside)
{
    struct err err;

    for (;;) {
        switch (binlog_stream_next(stream, &err)) {
        case BINLOG_INPUT:
            return true;
        case BINLOG_FAILED:
            must(err.class != ERR_NONE && strchr(err.text, '\n') == NULL);
            must(binlog_stream_next(stream, &err) == BINLOG_FAILED);
            return false;
        case BINLOG_BEGIN:
            must(!*inside);
            *inside = true;
            break;
        case BINLOG_ROW:
            must(*inside);
            check_row(binlog_stream_row(stream));
            break;
        case BINLOG_COMMIT:
        case BINLOG_ROLLED_BACK:
            must(*inside);
            *inside = false;
            break;
        case BINLOG_IDLE:
            must(!*inside);
            break;
        case BINLOG_ALTERED:
            must(*inside && binlog_stream_row(stream)->table != NULL);
            break;
        case BINLOG_ASK:
        case BINLOG_AGAIN:
            must(!"asked without the option to");
            break;
        }
    }
}

/* Each piece has memory of its own, so that a read behind it, or after it, shows. */
static void feed(struct binlog_stream *stream, const uint8_t *bytes, size_t size, size_t piece_size)
{
    bool inside = false;
    bool alive = true;

    for (size_t at = 0; at < size && alive;) {
        size_t step = size - at < piece_size ? size - at : piece_size;
        uint8_t *piece = malloc(step);

        must(piece != NULL);
        memcpy(piece, bytes + at, step);
        binlog_stream_give(stream, piece, step);
        alive = drain(stream, &inside);
        free(piece);
        at += step;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t piece_sizes[4] = {SIZE_MAX, 1, 7, 4096};
    struct binlog_stream_options options = {0};
    struct binlog_stream *stream;
    struct err err = {0};
    uint8_t *bytes;

    if (size < 1) {
        return 0;
    }
    options.framing = (data[0] & 1) != 0 ? BINLOG_PACKETS : BINLOG_FILE;
    options.names_optional = (data[0] & 2) != 0;
    options.selected = (data[0] & 4) != 0 ? never : NULL;
    options.memory_bytes = (data[0] & 128) != 0 ? 16 << 20 : 0;
    options.choose = (data[0] & 64) != 0 ? choose : NULL;
    bytes = malloc(size);
    must(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    if ((data[0] & 32) != 0 && options.framing == BINLOG_FILE) {
        mend_checksums(bytes, size - 1);
    }
    stream = binlog_stream_new(&options);
    binlog_stream_take_name_case(stream, (data[0] & 128) != 0);
    binlog_stream_open(stream, "fuzz", 4);
    feed(stream, bytes, size - 1, piece_sizes[data[0] >> 3 & 3]);
    must(binlog_stream_end(stream, &err) == 0 || err.class != ERR_NONE);
    binlog_stream_free(stream);
    free(bytes);
    return 0;
}
