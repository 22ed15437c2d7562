/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   AppendRowsRequest { 1: write_stream  2: offset { 1: int64 }  6: trace_id  4: proto_rows {              <- head
 *                         1: writer_schema { 1: descriptor }  2: rows {                                  <- head
 *                           1: row  1: row ... } } }                                                     <- made once
 *
 * Both messages around the rows end where the rows end, so the head can hold their lengths and nothing stands behind. Fields
 * may come in any order; that proto_rows is the last one makes this layout possible.
 *
 * Not sent: missing_value_interpretations. A column that is not set is NULL unless a request asks for the column's default
 * value, and a history holds what the source said.
 */
#include "workers/bigquery/append_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "common/version.h"
#include "workers/bigquery/protobuf.h"

enum { APPEND_WRITE_STREAM = 1, APPEND_OFFSET = 2, APPEND_PROTO_ROWS = 4, APPEND_TRACE_ID = 6 };
enum { INT64_VALUE = 1 };
enum { PROTO_WRITER_SCHEMA = 1, PROTO_ROWS = 2 };
enum { SCHEMA_DESCRIPTOR = 1 };
enum { ROWS_SERIALIZED = 1 };

#define BYTES_MAX    ((size_t)1 << 30) /* places of rows are 32 bits */
#define TRACE_ID_MAX 64

/* The place of a row is made before its size is known: most rows have a length of two bytes (128 bytes to 16 KiB), others are
 * moved. */
#define ROW_TAG         (ROWS_SERIALIZED << 3 | PROTOBUF_BYTES)
#define ROW_LENGTH_SIZE 2

struct append_row {
    uint32_t start; /* of its tag in bytes */
    uint32_t index; /* among all that were added */
};

/* ---- rows */

static size_t rows_size(const struct append_rows *rows)
{
    return rows->_bytes.size - rows->_begin;
}

void append_rows_init(struct append_rows *rows, size_t head_bytes_max, size_t request_bytes_max)
{
    must(request_bytes_max > head_bytes_max && request_bytes_max <= BYTES_MAX);
    *rows = (struct append_rows){._begin = head_bytes_max, ._bytes_max = request_bytes_max - head_bytes_max};
    append_rows_clear(rows);
}

void append_rows_deinit(struct append_rows *rows)
{
    buffer_deinit(&rows->_bytes);
    free(rows->_rows);
    *rows = (struct append_rows){0};
}

void append_rows_clear(struct append_rows *rows)
{
    (void)buffer_reserve(&rows->_bytes, rows->_begin);
    rows->_bytes.size = rows->_begin;
    rows->row_count = 0;
    rows->_added_count = 0;
}

size_t append_rows_memory(const struct append_rows *rows)
{
    return rows->_bytes.size + rows->_capacity * sizeof *rows->_rows;
}

static void remember_row(struct append_rows *rows, size_t start)
{
    if (rows->row_count == rows->_capacity) {
        rows->_capacity = rows->_capacity > 0 ? 2 * rows->_capacity : 256;
        rows->_rows = reallocarray(rows->_rows, rows->_capacity, sizeof *rows->_rows);
        must(rows->_rows != NULL);
    }
    rows->_rows[rows->row_count++] = (struct append_row){(uint32_t)start, (uint32_t)rows->_added_count++};
}

/* Writes tag and length in front of the row that stands ROW_LENGTH_SIZE + 1 bytes behind start. */
static void close_row(struct buffer *bytes, size_t start)
{
    size_t row = start + 1 + ROW_LENGTH_SIZE;
    size_t row_size = bytes->size - row;
    size_t length_size = protobuf_varint_size(row_size);

    if (length_size != ROW_LENGTH_SIZE) {
        (void)buffer_reserve(bytes, PROTOBUF_VARINT_MAX);
        memmove(bytes->bytes + start + 1 + length_size, bytes->bytes + row, row_size);
        bytes->size = start + 1 + length_size + row_size;
    }
    bytes->bytes[start] = ROW_TAG;
    (void)protobuf_write_varint(bytes->bytes + start + 1, row_size);
}

enum append_added append_rows_add(struct append_rows *rows, const struct row_program *program, const uint8_t *avro,
                                  size_t avro_size, int32_t ingest_day, struct err *err)
{
    size_t start = rows->_bytes.size;
    size_t taken;

    (void)buffer_reserve(&rows->_bytes, 1 + ROW_LENGTH_SIZE);
    rows->_bytes.size += 1 + ROW_LENGTH_SIZE;
    if (row_program_append(program, avro, avro_size, ingest_day, &rows->_bytes, err) != 0) {
        rows->_bytes.size = start;
        return APPEND_BAD;
    }
    close_row(&rows->_bytes, start);
    taken = rows->_bytes.size - start;
    if (rows_size(rows) > rows->_bytes_max) {
        rows->_bytes.size = start;
        if (taken <= rows->_bytes_max) {
            return APPEND_FULL;
        }
        (void)err_set(err, ERR_POISON, "a row of %zu bytes, and a request has room for %zu", taken, rows->_bytes_max);
        return APPEND_BAD;
    }
    remember_row(rows, start);
    return APPEND_ADDED;
}

int append_rows_index(const struct append_rows *rows, int64_t place, size_t *ret_index, struct err *err)
{
    if (place < 0 || (uint64_t)place >= rows->row_count) {
        return err_set(err, ERR_POISON, "row %lld of a request of %zu rows", (long long)place, rows->row_count);
    }
    *ret_index = rows->_rows[place].index;
    return 0;
}

static int compare_indexes(const void *one, const void *other)
{
    size_t a = *(const size_t *)one;
    size_t b = *(const size_t *)other;

    return (a > b) - (a < b);
}

/* Rows stand in the order of their indexes, so one walk along both finds those that go. */
void append_rows_drop(struct append_rows *rows, const size_t *indexes, size_t index_count)
{
    size_t *gone = reallocarray(NULL, index_count + 1, sizeof *gone);
    size_t kept_count = 0;
    size_t kept_end = rows->_begin;

    must(gone != NULL);
    if (index_count > 0) {
        memcpy(gone, indexes, index_count * sizeof *gone);
        qsort(gone, index_count, sizeof *gone, compare_indexes);
    }
    for (size_t i = 0, next = 0; i < rows->row_count; i++) {
        struct append_row row = rows->_rows[i];
        size_t end = i + 1 < rows->row_count ? rows->_rows[i + 1].start : rows->_bytes.size;

        while (next < index_count && gone[next] < row.index) {
            next++;
        }
        if (next < index_count && gone[next] == row.index) {
            continue;
        }
        memmove(rows->_bytes.bytes + kept_end, rows->_bytes.bytes + row.start, end - row.start);
        rows->_rows[kept_count++] = (struct append_row){(uint32_t)kept_end, row.index};
        kept_end += end - row.start;
    }
    rows->row_count = kept_count;
    rows->_bytes.size = kept_end;
    free(gone);
}

/* ---- head */

static void put_offset(struct buffer *out, int64_t offset)
{
    struct buffer value = {0};

    protobuf_put_varint(&value, INT64_VALUE, (uint64_t)offset);
    protobuf_put_bytes(out, APPEND_OFFSET, value.bytes, value.size);
    buffer_deinit(&value);
}

static void put_trace_id(struct buffer *out)
{
    char trace_id[TRACE_ID_MAX];

    (void)snprintf(trace_id, sizeof trace_id, "kakehi/%s", version_text());
    protobuf_put_text(out, APPEND_TRACE_ID, trace_id);
}

static void put_head(struct buffer *out, const struct append_head *head, size_t rows_bytes)
{
    size_t rows_field = protobuf_field_size(PROTO_ROWS, rows_bytes);
    size_t descriptor_size = 0;
    size_t schema_field = 0;

    if (head->writer_schema != NULL) {
        descriptor_size = protobuf_field_size(SCHEMA_DESCRIPTOR, head->writer_schema->size);
        schema_field = protobuf_field_size(PROTO_WRITER_SCHEMA, descriptor_size);
    }
    protobuf_put_text(out, APPEND_WRITE_STREAM, head->write_stream);
    if (head->offset >= 0) {
        put_offset(out, head->offset);
    }
    if (head->writer_schema != NULL) {
        put_trace_id(out); /* only that of a call's first request counts */
    }
    protobuf_put_begin(out, APPEND_PROTO_ROWS, schema_field + rows_field);
    if (head->writer_schema != NULL) {
        protobuf_put_begin(out, PROTO_WRITER_SCHEMA, descriptor_size);
        protobuf_put_bytes(out, SCHEMA_DESCRIPTOR, head->writer_schema->bytes, head->writer_schema->size);
    }
    protobuf_put_begin(out, PROTO_ROWS, rows_bytes);
}

/* Makes the room in front of the rows at least so large. */
static void widen_room(struct append_rows *rows, size_t room)
{
    size_t more = room - rows->_begin;

    (void)buffer_reserve(&rows->_bytes, more);
    memmove(rows->_bytes.bytes + room, rows->_bytes.bytes + rows->_begin, rows_size(rows));
    rows->_bytes.size += more;
    rows->_begin = room;
    for (size_t i = 0; i < rows->row_count; i++) {
        rows->_rows[i].start += (uint32_t)more;
    }
}

const uint8_t *append_rows_request(struct append_rows *rows, const struct append_head *head, size_t *ret_size)
{
    struct buffer bytes = {0};
    uint8_t *begin;

    must(rows->row_count > 0);
    put_head(&bytes, head, rows_size(rows));
    if (bytes.size > rows->_begin) {
        widen_room(rows, bytes.size);
    }
    begin = rows->_bytes.bytes + rows->_begin - bytes.size;
    memcpy(begin, bytes.bytes, bytes.size);
    *ret_size = bytes.size + rows_size(rows);
    buffer_deinit(&bytes);
    return begin;
}

size_t append_head_bound(size_t stream_name_size, size_t writer_schema_size)
{
    return stream_name_size + writer_schema_size + TRACE_ID_MAX + (size_t)9 * PROTOBUF_VARINT_MAX;
}
