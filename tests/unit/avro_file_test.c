/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Avro C is the oracle: its file reader must find in the file, record by record, the bytes that went in and the ingest day,
 * under the schema of the header. Blocks by zstd, which Debian's Avro C does not know, are unpacked here and must hold what the
 * file without compression holds. On libuv's threads, as loads fill their files, ThreadSanitizer looks on in the check.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <avro.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <zstd.h>

#include "common/must.h"
#include "schemas/record.h"
#include "tests/unit/make_table.h"
#include "workers/bigquery/avro_file.h"

#define COLUMNS_MAX 32
#define ROWS        1000
#define DAY         20778 /* 2026-11-21 */
#define VALUE_MAX   4096

static const uint8_t sync_marker[AVRO_FILE_SYNC_SIZE] = "0123456789abcdef";

/* A table and its history, column by column the same. */
struct world {
    struct table *table;
    struct bigquery_column columns[COLUMNS_MAX];
    size_t targets[COLUMNS_MAX];
    struct bigquery_layout layout;
    struct buffer schema;
    struct err err;
};

static void world_init(struct world *world, const char *columns)
{
    *world = (struct world){.table = make_table("shop", "orders", "", columns)};
    world->layout = (struct bigquery_layout){.columns = world->columns, .column_count = world->table->column_count};
    for (size_t i = 0; i < world->table->column_count; i++) {
        world->columns[i] =
            (struct bigquery_column){world->table->columns[i].name, bigquery_type_of(&world->table->columns[i])};
        world->targets[i] = i;
    }
}

static void world_deinit(struct world *world)
{
    table_free(world->table);
    buffer_deinit(&world->schema);
}

static int make_schema_text(struct world *world)
{
    return avro_file_schema(world->table, &world->layout, world->targets, &world->schema, &world->err);
}

/* Row `i` of a table of `a_long, a_text, a_decimal`. */
static void make_row(const struct world *world, int i, struct buffer *row)
{
    static const uint8_t decimal[] = {0x01, 0x86, 0xa0};
    char text[64];
    struct cell cells[3] = {{.state = CELL_VALUE, .integer = i * 1000003LL - 7},
                            {.state = i % 5 == 0 ? CELL_NULL : CELL_VALUE, .bytes = (const uint8_t *)text},
                            {.state = CELL_VALUE, .bytes = decimal, .size = sizeof decimal}};
    const struct record_meta meta = {'u', 1795222923456789 + i, 1795222923456790 + i, 2 * i, "shop", 4, "0-1-17", 6};
    struct err err;

    cells[1].size = (size_t)snprintf(text, sizeof text, "note %d", i);
    assert_int_equal(record_encode_value(row, world->table, cells, &meta, &err), 0);
}

static void make_file(struct world *world, enum avro_file_codec codec, size_t block_bytes, struct buffer *out,
                      struct buffer *rows)
{
    struct avro_coder *coder = avro_coder_new(codec);
    struct avro_file file;

    avro_file_begin(&file, coder, buffer_text(&world->schema), sync_marker, block_bytes, out);
    for (int i = 0; i < ROWS; i++) {
        size_t before = rows->size;

        make_row(world, i, rows);
        avro_file_add(&file, rows->bytes + before, rows->size - before, DAY + i % 2, out);
    }
    avro_file_flush(&file, out);
    avro_file_flush(&file, out); /* nothing waits: nothing is added */
    assert_int_equal(file.row_count, ROWS);
    avro_file_deinit(&file);
    avro_coder_free(coder);
}

/* The record as Avro C writes it: the source's bytes, then the day. */
static void check_record(avro_value_t *value, const struct world *world, int i)
{
    static char written[VALUE_MAX];
    avro_writer_t writer = avro_writer_memory(written, sizeof written);
    struct buffer row = {0};
    avro_value_t day;
    int32_t days = 0;

    make_row(world, i, &row);
    assert_int_equal(avro_value_write(writer, value), 0);
    assert_true((size_t)avro_writer_tell(writer) > row.size);
    assert_memory_equal(written, row.bytes, row.size);
    assert_int_equal(avro_value_get_by_name(value, "__ingest_day", &day, NULL), 0);
    assert_int_equal(avro_value_get_int(&day, &days), 0);
    assert_int_equal(days, DAY + i % 2);
    buffer_deinit(&row);
    avro_writer_free(writer);
}

static void check_by_avro_c(const struct buffer *file, const struct world *world)
{
    FILE *stream = fmemopen(file->bytes, file->size, "r");
    avro_file_reader_t reader;
    avro_schema_t schema;
    avro_value_iface_t *iface;
    avro_value_t value;

    assert_non_null(stream);
    assert_int_equal(avro_file_reader_fp(stream, "memory", 0, &reader), 0);
    schema = avro_file_reader_get_writer_schema(reader);
    iface = avro_generic_class_from_schema(schema);
    assert_int_equal(avro_generic_value_new(iface, &value), 0);
    for (int i = 0; i < ROWS; i++) {
        assert_int_equal(avro_file_reader_read_value(reader, &value), 0);
        check_record(&value, world, i);
        (void)avro_value_reset(&value);
    }
    assert_int_not_equal(avro_file_reader_read_value(reader, &value), 0);
    avro_value_decref(&value);
    avro_value_iface_decref(iface);
    (void)avro_schema_decref(schema);
    (void)avro_file_reader_close(reader);
    (void)fclose(stream);
}

static void test_avro_file__avro_c_reads_back_each_row_and_its_day(void **state)
{
    static const size_t block_sizes[] = {1, 300, 4096, 0}; /* a row a block, some, many, all */

    (void)state;
    for (size_t i = 0; i < sizeof block_sizes / sizeof block_sizes[0]; i++) {
        struct world world;
        struct buffer file = {0};
        struct buffer rows = {0};

        world_init(&world, "a_long long, a_text text, a_decimal decimal 10 2");
        assert_int_equal(make_schema_text(&world), 0);
        make_file(&world, AVRO_FILE_NULL, block_sizes[i], &file, &rows);
        check_by_avro_c(&file, &world);
        buffer_deinit(&file);
        buffer_deinit(&rows);
        world_deinit(&world);
    }
}

/* ---- zstd */

static int64_t take_long(const uint8_t **at)
{
    uint64_t bits = 0;
    int shift = 0;

    do {
        bits |= (uint64_t)(**at & 0x7f) << shift;
        shift += 7;
    } while (*(*at)++ >= 0x80);
    return (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
}

/* The data of all blocks, unpacked, one behind the other; returns how many rows they say they have. */
static int64_t unpack(const struct buffer *file, bool zstd, struct buffer *ret_data)
{
    const uint8_t *end = file->bytes + file->size;
    const uint8_t *at = memmem(file->bytes, file->size, sync_marker, sizeof sync_marker);
    int64_t rows = 0;

    at += sizeof sync_marker;
    while (at < end) {
        int64_t size;

        rows += take_long(&at);
        size = take_long(&at);
        if (zstd) {
            unsigned long long unpacked = ZSTD_getFrameContentSize(at, (size_t)size);

            assert_true(unpacked < 1 << 20);
            assert_int_equal(ZSTD_decompress(buffer_reserve(ret_data, unpacked), unpacked, at, (size_t)size), unpacked);
            ret_data->size += unpacked;
        } else {
            buffer_append(ret_data, at, (size_t)size);
        }
        at += size;
        assert_memory_equal(at, sync_marker, sizeof sync_marker);
        at += sizeof sync_marker;
    }
    assert_ptr_equal(at, end);
    return rows;
}

static void test_avro_file__zstd_blocks_hold_the_same_rows_in_less(void **state)
{
    struct world world;
    struct buffer files[2] = {{0}, {0}};
    struct buffer data[2] = {{0}, {0}};
    struct buffer rows = {0};

    (void)state;
    world_init(&world, "a_long long, a_text text, a_decimal decimal 10 2");
    assert_int_equal(make_schema_text(&world), 0);
    make_file(&world, AVRO_FILE_NULL, 8192, &files[0], &rows);
    make_file(&world, AVRO_FILE_ZSTD, 8192, &files[1], &rows);
    assert_non_null(memmem(files[1].bytes, files[1].size, "\x12zstandard", 10));
    assert_int_equal(unpack(&files[0], false, &data[0]), ROWS);
    assert_int_equal(unpack(&files[1], true, &data[1]), ROWS);
    assert_int_equal(data[0].size, data[1].size);
    assert_memory_equal(data[0].bytes, data[1].bytes, data[0].size);
    assert_true(files[1].size < files[0].size / 2);
    for (int i = 0; i < 2; i++) {
        buffer_deinit(&files[i]);
        buffer_deinit(&data[i]);
    }
    buffer_deinit(&rows);
    world_deinit(&world);
}

/* ---- threads */

#define FILES      6  /* more than libuv has threads */
#define BATCH_ROWS 40 /* of a work */

struct filling {
    uv_loop_t *loop;
    uv_work_t work;
    const struct buffer *rows; /* the values of all, one behind the other ... */
    const size_t *ends;        /* ... and where each ends */
    struct avro_file file;
    struct buffer out;
};

/* On a thread of libuv's. */
static void fill(uv_work_t *work)
{
    struct filling *filling = work->data;

    for (int i = 0; i < BATCH_ROWS; i++) {
        size_t row = filling->file.row_count;
        size_t start = row > 0 ? filling->ends[row - 1] : 0;

        avro_file_add(&filling->file, filling->rows->bytes + start, filling->ends[row] - start, DAY, &filling->out);
    }
}

static void on_filled(uv_work_t *work, int status)
{
    struct filling *filling = work->data;

    must(status == 0);
    if (filling->file.row_count < ROWS) {
        must(uv_queue_work(filling->loop, work, fill, on_filled) == 0);
    } else {
        avro_file_flush(&filling->file, &filling->out); /* on the loop's own, beside those that still fill */
    }
}

static void begin_filling(struct filling *filling, uv_loop_t *loop, struct avro_coder *coder, const struct buffer *rows, const size_t *ends)
{
    *filling = (struct filling){.loop = loop, .rows = rows, .ends = ends};
    filling->work.data = filling;
    avro_file_begin(&filling->file, coder, "{}", sync_marker, 1000, &filling->out);
    must(uv_queue_work(loop, &filling->work, fill, on_filled) == 0);
}

/* What one file holds: each row and the bytes of its day. */
static void check_filling(struct filling *filling)
{
    struct buffer data = {0};
    struct buffer expected = {0};

    for (size_t row = 0; row < ROWS; row++) {
        size_t start = row > 0 ? filling->ends[row - 1] : 0;

        buffer_append(&expected, filling->rows->bytes + start, filling->ends[row] - start);
        buffer_append(&expected, "\xd4\xc4\x02", 3); /* DAY as an Avro long */
    }
    assert_int_equal(unpack(&filling->out, true, &data), ROWS);
    assert_int_equal(data.size, expected.size);
    assert_memory_equal(data.bytes, expected.bytes, expected.size);
    buffer_deinit(&data);
    buffer_deinit(&expected);
}

static void test_avro_file__files_that_fill_on_threads_share_a_coder(void **state)
{
    struct avro_coder *coder = avro_coder_new(AVRO_FILE_ZSTD);
    static struct filling fillings[FILES];
    static size_t ends[ROWS];
    struct buffer rows = {0};
    struct world world;
    uv_loop_t loop;

    (void)state;
    _Static_assert(ROWS % BATCH_ROWS == 0, "the last work must find all its rows");
    world_init(&world, "a_long long, a_text text, a_decimal decimal 10 2");
    for (int i = 0; i < ROWS; i++) {
        make_row(&world, i, &rows);
        ends[i] = rows.size;
    }
    must(uv_loop_init(&loop) == 0);
    for (size_t i = 0; i < FILES; i++) {
        begin_filling(&fillings[i], &loop, coder, &rows, ends);
    }
    must(uv_run(&loop, UV_RUN_DEFAULT) == 0 && uv_loop_close(&loop) == 0);
    for (size_t i = 0; i < FILES; i++) {
        check_filling(&fillings[i]);
        avro_file_deinit(&fillings[i].file);
        buffer_deinit(&fillings[i].out);
    }
    avro_coder_free(coder);
    buffer_deinit(&rows);
    world_deinit(&world);
}

static void test_avro_file__a_row_larger_than_a_block_is_a_block(void **state)
{
    struct avro_coder *coder = avro_coder_new(AVRO_FILE_NULL);
    struct avro_file file;
    struct buffer out = {0};
    struct buffer data = {0};
    uint8_t row[3000] = {1};
    size_t header_size;

    (void)state;
    avro_file_begin(&file, coder, "{}", sync_marker, 1000, &out);
    header_size = out.size;
    avro_file_add(&file, row, 10, -1, &out); /* a day before 1970: one byte too */
    assert_int_equal(out.size, header_size); /* it waits for the end of its block */
    avro_file_add(&file, row, sizeof row, 0, &out);
    assert_int_equal(unpack(&out, false, &data), 2);
    assert_int_equal(data.size, 11 + sizeof row + 1);
    avro_file_deinit(&file);
    avro_coder_free(coder);
    buffer_deinit(&out);
    buffer_deinit(&data);
}

/* ---- the schema */

static void test_avro_file__the_schema_has_the_names_of_the_history_and_the_types_of_the_source(void **state)
{
    struct world world;
    avro_schema_t schema;

    (void)state;
    world_init(&world, EVERY_TYPE);
    world.columns[0].name = "renamed";
    assert_int_equal(make_schema_text(&world), 0);
    assert_int_equal(avro_schema_from_json_length((const char *)world.schema.bytes, world.schema.size, &schema), 0);
    assert_int_equal(avro_schema_record_size(schema), world.table->column_count + 7);
    assert_string_equal(avro_schema_record_field_name(schema, 0), "renamed");
    assert_string_equal(avro_schema_record_field_name(schema, (int)world.table->column_count + 6), "__ingest_day");
    assert_non_null(strstr(buffer_text(&world.schema), "{\"type\":\"string\",\"sqlType\":\"JSON\"}"));
    assert_null(strstr(buffer_text(&world.schema), "a_long"));
    (void)avro_schema_decref(schema);
    world_deinit(&world);
}

static void refuses(struct world *world, const char *word)
{
    buffer_append_text(&world->schema, "kept");
    assert_int_equal(make_schema_text(world), -1);
    assert_int_equal(world->err.class, ERR_POISON);
    assert_non_null(strstr(world->err.text, word));
    assert_string_equal(buffer_text(&world->schema), "kept"); /* nothing half is left */
    world_deinit(world);
}

static void test_avro_file__a_column_that_is_not_stored_is_no_load_file(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, "id long, note text");
    world.targets[1] = SIZE_MAX;
    refuses(&world, "note");
}

static void test_avro_file__a_column_that_stands_in_another_type_is_no_load_file(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, "id long, price decimal 10 2");
    world.columns[0].type = BIGQUERY_NUMERIC;
    refuses(&world, "id is INT64 and its history NUMERIC");
    world_init(&world, "id long, price decimal 10 2");
    world.columns[1].type = BIGQUERY_BIGNUMERIC;
    refuses(&world, "price");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_avro_file__avro_c_reads_back_each_row_and_its_day),
        cmocka_unit_test(test_avro_file__zstd_blocks_hold_the_same_rows_in_less),
        cmocka_unit_test(test_avro_file__files_that_fill_on_threads_share_a_coder),
        cmocka_unit_test(test_avro_file__a_row_larger_than_a_block_is_a_block),
        cmocka_unit_test(test_avro_file__the_schema_has_the_names_of_the_history_and_the_types_of_the_source),
        cmocka_unit_test(test_avro_file__a_column_that_is_not_stored_is_no_load_file),
        cmocka_unit_test(test_avro_file__a_column_that_stands_in_another_type_is_no_load_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
