/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a row of AppendRows costs: the row program, beside decoding into cells and encoding these in the plain way (what it
 * saves), and beside a copy of the message's bytes (what no encoder can beat). Rows go into requests of the default size, as
 * the lane makes them.
 *
 * The table has 12 columns as in a shop, and a message of about 200 bytes. Prints nanoseconds of CPU a row, rows and bytes a
 * second; then what gzip makes of a request, at what cost.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "schemas/decimal.h"
#include "schemas/record.h"
#include "schemas/types.h"
#include "schemas/value_text.h"
#include "tests/bench/shop_rows.h"
#include "workers/bigquery/append_request.h"
#include "workers/bigquery/grpc_message.h"
#include "workers/bigquery/protobuf.h"

#define REQUEST_BYTES 9000000

struct bench {
    struct shop shop;
    struct row_program *program;
    size_t row_count;
};

static void bench_init(struct bench *bench, size_t row_count)
{
    struct err err;

    *bench = (struct bench){.row_count = row_count};
    shop_init(&bench->shop);
    must(row_program_new(bench->shop.table, &bench->shop.layout, bench->shop.targets, &bench->program, &err) == 0);
}

static const uint8_t *message_of(const struct bench *bench, size_t row, size_t *ret_size)
{
    return shop_message(&bench->shop, row, ret_size);
}

/* ---- the ways; each gives the number of bytes it made */

/* Bytes of the request as it goes out. */
static const uint8_t *request_of(struct append_rows *rows, size_t *ret_size)
{
    const struct append_head head = {"projects/p/datasets/d/tables/t/streams/s1", 1000000, NULL};

    return append_rows_request(rows, &head, ret_size);
}

static uint64_t run_program(const struct bench *bench)
{
    struct append_rows rows;
    uint64_t made = 0;
    struct err err;

    append_rows_init(&rows, append_head_bound(100, 1000), REQUEST_BYTES);
    for (size_t row = 0; row < bench->row_count;) {
        size_t size;
        const uint8_t *avro = message_of(bench, row, &size);
        enum append_added added = append_rows_add(&rows, bench->program, avro, size, SHOP_INGEST_DAY, &err);

        must(added != APPEND_BAD);
        if (added == APPEND_FULL) {
            (void)request_of(&rows, &size);
            made += size;
            append_rows_clear(&rows);
        } else {
            row++;
        }
    }
    if (rows.row_count > 0) {
        size_t size;

        (void)request_of(&rows, &size);
        made += size;
    }
    append_rows_deinit(&rows);
    return made;
}

static void put_cell(struct buffer *out, uint32_t field, const struct column *column, const struct cell *cell)
{
    struct buffer text = {0};
    char decimal[DECIMAL_TEXT_MAX];
    struct err err;
    uint64_t bits;

    switch (column->type) {
    case COLUMN_TEXT:
        protobuf_put_bytes(out, field, cell->bytes, cell->size);
        break;
    case COLUMN_DECIMAL:
        must(decimal_to_text(cell->bytes, cell->size, column->scale, decimal, &err) == 0);
        protobuf_put_text(out, field, decimal);
        break;
    case COLUMN_DATETIME:
        value_text_datetime(&text, cell->integer, ' ');
        protobuf_put_bytes(out, field, text.bytes, text.size);
        buffer_deinit(&text);
        break;
    case COLUMN_DOUBLE:
        memcpy(&bits, &cell->real, sizeof bits);
        buffer_append_byte(out, (uint8_t)(field << 3 | PROTOBUF_FIXED64));
        buffer_append(out, &bits, sizeof bits);
        break;
    default:
        protobuf_put_varint(out, field, (uint64_t)cell->integer);
    }
}

static void put_row(const struct bench *bench, struct buffer *out, const struct cell *cells, const struct record_meta *meta)
{
    for (uint32_t i = 0; i < SHOP_COLUMN_COUNT; i++) {
        if (cells[i].state == CELL_VALUE) {
            put_cell(out, i + 1, &bench->shop.table->columns[i], &cells[i]);
        }
    }
    protobuf_put_bytes(out, SHOP_COLUMN_COUNT + 1, &meta->op, 1);
    protobuf_put_varint(out, SHOP_COLUMN_COUNT + 2, (uint64_t)meta->ts_us);
    protobuf_put_varint(out, SHOP_COLUMN_COUNT + 3, (uint64_t)meta->seq);
    protobuf_put_varint(out, SHOP_COLUMN_COUNT + 4, (uint64_t)meta->idx);
    protobuf_put_bytes(out, SHOP_COLUMN_COUNT + 5, meta->source, meta->source_size);
    protobuf_put_bytes(out, SHOP_COLUMN_COUNT + 6, meta->txid, meta->txid_size);
    protobuf_put_varint(out, SHOP_COLUMN_COUNT + 7, SHOP_INGEST_DAY);
}

static uint64_t run_cells(const struct bench *bench)
{
    struct buffer rows = {0};
    struct buffer one = {0};
    uint64_t made = 0;

    for (size_t row = 0; row < bench->row_count; row++) {
        size_t size;
        const uint8_t *avro = message_of(bench, row, &size);
        struct cell cells[SHOP_COLUMN_COUNT];
        struct record_meta meta;
        struct err err;

        must(record_decode_value(bench->shop.table, avro, size, cells, &meta, &err) == 0);
        buffer_clear(&one);
        put_row(bench, &one, cells, &meta);
        if (rows.size + one.size > REQUEST_BYTES) {
            made += rows.size;
            buffer_clear(&rows);
        }
        protobuf_put_bytes(&rows, 1, one.bytes, one.size);
    }
    made += rows.size;
    buffer_deinit(&rows);
    buffer_deinit(&one);
    return made;
}

static uint64_t run_decode(const struct bench *bench)
{
    uint64_t read = 0;

    for (size_t row = 0; row < bench->row_count; row++) {
        size_t size;
        const uint8_t *avro = message_of(bench, row, &size);
        struct cell cells[SHOP_COLUMN_COUNT];
        struct record_meta meta;
        struct err err;

        must(record_decode_value(bench->shop.table, avro, size, cells, &meta, &err) == 0);
        read += size;
    }
    return read;
}

static uint64_t run_copy(const struct bench *bench)
{
    struct buffer rows = {0};
    uint64_t made = 0;

    for (size_t row = 0; row < bench->row_count; row++) {
        size_t size;
        const uint8_t *avro = message_of(bench, row, &size);

        if (rows.size + size > REQUEST_BYTES) {
            made += rows.size;
            buffer_clear(&rows);
        }
        buffer_append(&rows, avro, size);
    }
    made += rows.size;
    buffer_deinit(&rows);
    return made;
}

static double measure(const struct bench *bench, const char *name, uint64_t (*run)(const struct bench *bench))
{
    double began = shop_seconds(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t made = run(bench);
    double took = shop_seconds(CLOCK_PROCESS_CPUTIME_ID) - began;
    double rows = (double)bench->row_count;

    printf("%-36s %7.1f ns/row %12.0f rows/s %8.1f MB/s %6.1f bytes/row\n", name, took / rows * 1e9, rows / took,
           (double)made / took / 1e6, (double)made / rows);
    return took;
}

/* ---- gzip */

struct expected {
    const uint8_t *bytes;
    size_t size;
    bool came;
};

static void compare(void *context, const uint8_t *message, size_t size)
{
    struct expected *expected = context;

    must(size == expected->size && memcmp(message, expected->bytes, size) == 0);
    expected->came = true;
}

/* What was deflated comes out as it went in. */
static void check_inflates(const struct buffer *deflated, struct expected expected)
{
    struct grpc_reader reader = {.message = compare, .context = &expected, .gzip = true};
    uint8_t prefix[GRPC_PREFIX_BYTES];
    struct err err;

    grpc_prefix_write(prefix, true, deflated->size);
    must(grpc_reader_feed(&reader, prefix, sizeof prefix, &err) == GRPC_OK);
    must(grpc_reader_feed(&reader, deflated->bytes, deflated->size, &err) == GRPC_OK);
    must(expected.came && !grpc_reader_inside(&reader));
    grpc_reader_deinit(&reader);
}

/* The client's own compression, on a request of that size. */
static void measure_gzip(const struct bench *bench, size_t request_bytes)
{
    struct append_rows rows;
    struct buffer deflated = {0};
    struct err err;
    size_t size;
    size_t row = 0;
    const uint8_t *avro = message_of(bench, row, &size);
    const uint8_t *request;
    double began;
    double took;

    append_rows_init(&rows, append_head_bound(100, 1000), request_bytes);
    while (append_rows_add(&rows, bench->program, avro, size, SHOP_INGEST_DAY, &err) == APPEND_ADDED) {
        avro = message_of(bench, ++row, &size);
    }
    request = request_of(&rows, &size);
    began = shop_seconds(CLOCK_PROCESS_CPUTIME_ID);
    must(grpc_message_deflate(request, size, &deflated));
    took = shop_seconds(CLOCK_PROCESS_CPUTIME_ID) - began;
    check_inflates(&deflated, (struct expected){request, size, false});
    printf("gzip of a request of %6zu rows      %7.1f ns/row %12.0f rows/s %8.1f MB/s %6.1f bytes/row, %.0f %%\n",
           rows.row_count, took / (double)rows.row_count * 1e9, (double)rows.row_count / took, (double)size / took / 1e6,
           (double)deflated.size / (double)rows.row_count, 100.0 * (double)deflated.size / (double)size);
    append_rows_deinit(&rows);
    buffer_deinit(&deflated);
}

int main(int argc, char **argv)
{
    size_t row_count = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;
    struct bench *bench = calloc(1, sizeof *bench);
    double program;
    double cells;
    double copy;

    must(bench != NULL && row_count > 0);
    bench_init(bench, row_count);
    printf("%zu rows of %.1f Avro bytes\n", row_count, (double)bench->shop.bytes.size / SHOP_MESSAGE_COUNT);
    copy = measure(bench, "copy of the Avro bytes", run_copy);
    (void)measure(bench, "record_decode_value alone", run_decode);
    cells = measure(bench, "cells, then protobuf", run_cells);
    program = measure(bench, "row program into requests", run_program);
    printf("row program: %.1f x as fast as cells, %.1f x the copy\n", cells / program, program / copy);
    measure_gzip(bench, 100000);
    measure_gzip(bench, REQUEST_BYTES);
    row_program_free(bench->program);
    shop_deinit(&bench->shop);
    free(bench);
    return 0;
}
