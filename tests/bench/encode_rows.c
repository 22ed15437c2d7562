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
#include <time.h>
#include <zlib.h>

#include "common/must.h"
#include "schemas/decimal.h"
#include "schemas/record.h"
#include "schemas/types.h"
#include "schemas/value_text.h"
#include "workers/bigquery/append_request.h"
#include "workers/bigquery/descriptor.h"
#include "workers/bigquery/protobuf.h"

#define MESSAGE_COUNT 8192
#define COLUMN_COUNT  12
#define REQUEST_BYTES 9000000
#define INGEST_DAY    20778

struct message {
    size_t start;
    size_t size;
};

struct bench {
    struct table *table;
    struct bigquery_column columns[COLUMN_COUNT + BIGQUERY_META_COUNT];
    struct bigquery_layout layout;
    struct row_program *program;
    struct buffer bytes;
    struct message messages[MESSAGE_COUNT];
    size_t row_count;
};

static const struct {
    const char *name;
    enum column_type type;
    uint8_t precision;
    uint8_t scale;
} shop[COLUMN_COUNT] = {
    {"id", COLUMN_LONG, 0, 0},           {"customer", COLUMN_LONG, 0, 0}, {"status", COLUMN_TEXT, 0, 0},
    {"price", COLUMN_DECIMAL, 10, 2},    {"quantity", COLUMN_LONG, 0, 0}, {"weight", COLUMN_DOUBLE, 0, 0},
    {"name", COLUMN_TEXT, 0, 0},         {"note", COLUMN_TEXT, 0, 0},     {"created", COLUMN_DATETIME, 6, 0},
    {"updated", COLUMN_TIMESTAMP, 6, 0}, {"ship_day", COLUMN_DATE, 0, 0}, {"paid", COLUMN_BOOLEAN, 1, 0},
};

static double seconds_of(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The same numbers in each run. */
static uint32_t next_random(void)
{
    static uint64_t state = 1;

    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33);
}

static struct cell integer(int64_t value)
{
    return (struct cell){.state = CELL_VALUE, .integer = value};
}

static struct cell bytes_of(const void *bytes, size_t size)
{
    return (struct cell){.state = CELL_VALUE, .bytes = bytes, .size = size};
}

static void encode_message(struct bench *bench, size_t i)
{
    static const char *const states[] = {"new", "paid", "shipped", "returned"};
    int64_t now = INT64_C(1795222923456789) + (int64_t)i * 1000;
    struct record_meta meta = {"cud"[i % 3], now, now, (int64_t)i * 2, "shop", 4, "0-1-12345678", 12};
    const char *state = states[next_random() % 4];
    char digits[10];
    uint8_t decimal[DECIMAL_BYTES_MAX];
    char name[40];
    char note[80];
    struct err err;

    (void)snprintf(digits, sizeof digits, "%09u", next_random() % 1000000000);
    (void)snprintf(name, sizeof name, "article %08x %08x", next_random(), next_random());
    (void)snprintf(note, sizeof note, "%08x of %08x, as asked for by %s %08x%08x", next_random(), next_random(),
                   i % 10 == 0 ? "Zoë" : "Bob", next_random(), next_random());
    struct cell cells[COLUMN_COUNT] = {
        integer((int64_t)i + 1000000),
        integer(next_random() % 5000000),
        bytes_of(state, strlen(state)),
        bytes_of(decimal, decimal_from_digits(digits, 9, false, decimal)),
        integer(next_random() % 20),
        {.state = CELL_VALUE, .real = next_random() / 1000.0},
        bytes_of(name, strlen(name)),
        bytes_of(note, strlen(note)),
        integer(now - next_random() * INT64_C(10000)),
        integer(now),
        integer(20000 + next_random() % 800),
        integer(i % 2),
    };

    if (next_random() % 4 == 0) {
        cells[10].state = CELL_NULL;
    }
    bench->messages[i].start = bench->bytes.size;
    must(record_encode_value(&bench->bytes, bench->table, cells, &meta, &err) == 0);
    bench->messages[i].size = bench->bytes.size - bench->messages[i].start;
}

static void bench_init(struct bench *bench, size_t row_count)
{
    size_t targets[COLUMN_COUNT];
    struct err err;

    *bench = (struct bench){.table = table_new("shop", "orders", COLUMN_COUNT, 1), .row_count = row_count};
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        bench->table->columns[i] =
            (struct column){strdup(shop[i].name), strdup("bench"), shop[i].type, shop[i].precision, shop[i].scale};
        bench->columns[i] = (struct bigquery_column){shop[i].name, bigquery_type_of(&bench->table->columns[i])};
        targets[i] = i;
    }
    memcpy(bench->columns + COLUMN_COUNT, bigquery_meta_columns, sizeof bigquery_meta_columns);
    bench->layout = (struct bigquery_layout){bench->columns, COLUMN_COUNT + BIGQUERY_META_COUNT, false};
    must(row_program_new(bench->table, &bench->layout, targets, &bench->program, &err) == 0);
    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        encode_message(bench, i);
    }
}

static const uint8_t *message_of(const struct bench *bench, size_t row, size_t *ret_size)
{
    const struct message *message = &bench->messages[row % MESSAGE_COUNT];

    *ret_size = message->size;
    return bench->bytes.bytes + message->start;
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
        enum append_added added = append_rows_add(&rows, bench->program, avro, size, INGEST_DAY, &err);

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
    for (uint32_t i = 0; i < COLUMN_COUNT; i++) {
        if (cells[i].state == CELL_VALUE) {
            put_cell(out, i + 1, &bench->table->columns[i], &cells[i]);
        }
    }
    protobuf_put_bytes(out, COLUMN_COUNT + 1, &meta->op, 1);
    protobuf_put_varint(out, COLUMN_COUNT + 2, (uint64_t)meta->ts_us);
    protobuf_put_varint(out, COLUMN_COUNT + 3, (uint64_t)meta->seq);
    protobuf_put_varint(out, COLUMN_COUNT + 4, (uint64_t)meta->idx);
    protobuf_put_bytes(out, COLUMN_COUNT + 5, meta->source, meta->source_size);
    protobuf_put_bytes(out, COLUMN_COUNT + 6, meta->txid, meta->txid_size);
    protobuf_put_varint(out, COLUMN_COUNT + 7, INGEST_DAY);
}

static uint64_t run_cells(const struct bench *bench)
{
    struct buffer rows = {0};
    struct buffer one = {0};
    uint64_t made = 0;

    for (size_t row = 0; row < bench->row_count; row++) {
        size_t size;
        const uint8_t *avro = message_of(bench, row, &size);
        struct cell cells[COLUMN_COUNT];
        struct record_meta meta;
        struct err err;

        must(record_decode_value(bench->table, avro, size, cells, &meta, &err) == 0);
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
        struct cell cells[COLUMN_COUNT];
        struct record_meta meta;
        struct err err;

        must(record_decode_value(bench->table, avro, size, cells, &meta, &err) == 0);
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
    double began = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t made = run(bench);
    double took = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - began;
    double rows = (double)bench->row_count;

    printf("%-36s %7.1f ns/row %12.0f rows/s %8.1f MB/s %6.1f bytes/row\n", name, took / rows * 1e9, rows / took,
           (double)made / took / 1e6, (double)made / rows);
    return took;
}

/* ---- gzip */

static void measure_gzip(struct append_rows *rows, int level)
{
    z_stream stream = {0};
    size_t size;
    const uint8_t *request = request_of(rows, &size);
    size_t room;
    uint8_t *out;
    double began;
    double took;

    must(deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    room = deflateBound(&stream, size);
    out = malloc(room);
    must(out != NULL);
    stream.next_in = (uint8_t *)request;
    stream.avail_in = (unsigned)size;
    stream.next_out = out;
    stream.avail_out = (unsigned)room;
    began = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    must(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    took = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - began;
    printf("gzip -%d of a request of %zu rows        %7.1f ns/row %8.1f MB/s, %zu -> %lu bytes (%.1f %%)\n", level,
           rows->row_count, took / (double)rows->row_count * 1e9, (double)size / took / 1e6, size, stream.total_out,
           100.0 * (double)stream.total_out / (double)size);
    must(deflateEnd(&stream) == Z_OK);
    free(out);
}

static void measure_gzips(const struct bench *bench)
{
    struct append_rows rows;
    struct err err;
    size_t size;
    size_t row = 0;
    const uint8_t *avro = message_of(bench, row, &size);

    append_rows_init(&rows, append_head_bound(100, 1000), REQUEST_BYTES);
    while (append_rows_add(&rows, bench->program, avro, size, INGEST_DAY, &err) == APPEND_ADDED) {
        avro = message_of(bench, ++row, &size);
    }
    measure_gzip(&rows, 1);
    measure_gzip(&rows, 6);
    append_rows_deinit(&rows);
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
    printf("%zu rows of %.1f Avro bytes\n", row_count, (double)bench->bytes.size / MESSAGE_COUNT);
    copy = measure(bench, "copy of the Avro bytes", run_copy);
    (void)measure(bench, "record_decode_value alone", run_decode);
    cells = measure(bench, "cells, then protobuf", run_cells);
    program = measure(bench, "row program into requests", run_program);
    printf("row program: %.1f x as fast as cells, %.1f x the copy\n", cells / program, program / copy);
    measure_gzips(bench);
    row_program_free(bench->program);
    buffer_deinit(&bench->bytes);
    table_free(bench->table);
    free(bench);
    return 0;
}
