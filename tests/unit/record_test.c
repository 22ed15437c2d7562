/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Avro C is the oracle, both ways: its generic reader must read with the schema's text what the encoder writes, and the decoder
 * must read what its generic writer writes. Both get the same cells.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <avro.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/decimal.h"
#include "schemas/record.h"
#include "tests/unit/make_table.h"

#define CELLS_MAX 32

static const struct record_meta meta_plain = {'u', 1795222923456789, 1795222923456790, 6, "shop", 4, "0-1-17", 6};

static struct cell integer(int64_t value)
{
    return (struct cell){.state = CELL_VALUE, .integer = value};
}

static struct cell real(double value)
{
    return (struct cell){.state = CELL_VALUE, .real = value};
}

static struct cell bytes_of(const void *bytes, size_t size)
{
    return (struct cell){.state = CELL_VALUE, .bytes = bytes, .size = size};
}

static struct cell text_of(const char *text)
{
    return bytes_of(text, strlen(text));
}

/* ---- Avro C's side */

static void check_bytes(avro_value_t *value, const struct cell *cell)
{
    const void *bytes;
    size_t size = 0;

    assert_int_equal(avro_value_get_bytes(value, &bytes, &size), 0);
    assert_int_equal(size, cell->size);
    assert_memory_equal(bytes, cell->bytes, size);
}

static void check_string(avro_value_t *value, const char *text, size_t text_size)
{
    const char *string;
    size_t size = 0;

    assert_int_equal(avro_value_get_string(value, &string, &size), 0);
    assert_int_equal(size, text_size + 1);
    assert_memory_equal(string, text, text_size);
}

static void check_ulong(avro_value_t *value, const struct cell *cell)
{
    const void *bytes;
    size_t size = 0;
    char text[DECIMAL_TEXT_MAX];
    char expected[DECIMAL_TEXT_MAX];
    struct err err;

    assert_int_equal(avro_value_get_bytes(value, &bytes, &size), 0);
    assert_int_equal(decimal_to_text(bytes, size, 0, text, &err), 0);
    (void)snprintf(expected, sizeof expected, "%llu", (unsigned long long)cell->integer);
    assert_string_equal(text, expected);
}

static void check_value(avro_value_t *value, enum column_type type, const struct cell *cell)
{
    int32_t narrow = 0;
    int64_t wide = 0;
    float single = 0;
    double twice = 0;
    int truth = 0;

    switch (type) {
    case COLUMN_LONG:
    case COLUMN_DATETIME:
    case COLUMN_TIMESTAMP:
    case COLUMN_TIME:
        assert_int_equal(avro_value_get_long(value, &wide), 0);
        assert_true(wide == cell->integer);
        break;
    case COLUMN_DATE:
    case COLUMN_YEAR:
        assert_int_equal(avro_value_get_int(value, &narrow), 0);
        assert_true(narrow == cell->integer);
        break;
    case COLUMN_ULONG:
        check_ulong(value, cell);
        break;
    case COLUMN_FLOAT:
        assert_int_equal(avro_value_get_float(value, &single), 0);
        assert_true((double)single == cell->real);
        break;
    case COLUMN_DOUBLE:
        assert_int_equal(avro_value_get_double(value, &twice), 0);
        assert_true(twice == cell->real);
        break;
    case COLUMN_BOOLEAN:
        assert_int_equal(avro_value_get_boolean(value, &truth), 0);
        assert_int_equal(truth, cell->integer);
        break;
    case COLUMN_DECIMAL:
    case COLUMN_BYTES:
        check_bytes(value, cell);
        break;
    default:
        check_string(value, (const char *)cell->bytes, cell->size);
        break;
    }
}

static void set_value(avro_value_t *value, enum column_type type, const struct cell *cell)
{
    uint8_t bytes[DECIMAL_U64_BYTES_MAX];

    switch (type) {
    case COLUMN_LONG:
    case COLUMN_DATETIME:
    case COLUMN_TIMESTAMP:
    case COLUMN_TIME:
        avro_value_set_long(value, cell->integer);
        break;
    case COLUMN_DATE:
    case COLUMN_YEAR:
        avro_value_set_int(value, (int32_t)cell->integer);
        break;
    case COLUMN_ULONG:
        avro_value_set_bytes(value, bytes, decimal_from_u64((uint64_t)cell->integer, bytes));
        break;
    case COLUMN_FLOAT:
        avro_value_set_float(value, (float)cell->real);
        break;
    case COLUMN_DOUBLE:
        avro_value_set_double(value, cell->real);
        break;
    case COLUMN_BOOLEAN:
        avro_value_set_boolean(value, (int)cell->integer);
        break;
    case COLUMN_DECIMAL:
    case COLUMN_BYTES:
        avro_value_set_bytes(value, cell->bytes != NULL ? (void *)(uintptr_t)cell->bytes : "",
                             cell->size); /* NULL it refuses */
        break;
    default: { /* Avro C wants the NUL behind a string */
        char *string = strndup((const char *)cell->bytes, cell->size);

        avro_value_set_string_len(value, string, cell->size + 1);
        free(string);
    }
    }
}

static void field(avro_value_t *record, const char *name, avro_value_t *ret_value)
{
    assert_int_equal(avro_value_get_by_name(record, name, ret_value, NULL), 0);
}

static void check_meta(avro_value_t *record, const struct record_meta *meta)
{
    avro_value_t value;
    int64_t wide = 0;
    int op = 0;

    field(record, "__op", &value);
    assert_int_equal(avro_value_get_enum(&value, &op), 0);
    assert_int_equal("cudrt"[op], meta -> op);
    field(record, "__ts", &value);
    assert_true(avro_value_get_long(&value, &wide) == 0 && wide == meta->ts_us);
    field(record, "__seq", &value);
    assert_true(avro_value_get_long(&value, &wide) == 0 && wide == meta->seq);
    field(record, "__idx", &value);
    assert_true(avro_value_get_long(&value, &wide) == 0 && wide == meta->idx);
    field(record, "__source", &value);
    check_string(&value, meta->source, meta->source_size);
    field(record, "__txid", &value);
    check_string(&value, meta->txid, meta->txid_size);
}

static void set_meta(avro_value_t *record, const struct record_meta *meta)
{
    avro_value_t value;

    field(record, "__op", &value);
    avro_value_set_enum(&value, (int)(strchr("cudrt", meta->op) - "cudrt"));
    field(record, "__ts", &value);
    avro_value_set_long(&value, meta->ts_us);
    field(record, "__seq", &value);
    avro_value_set_long(&value, meta->seq);
    field(record, "__idx", &value);
    avro_value_set_long(&value, meta->idx);
    field(record, "__source", &value);
    avro_value_set_string(&value, meta->source);
    field(record, "__txid", &value);
    avro_value_set_string(&value, meta->txid);
}

/* A generic value of the schema's text; the caller decrefs it. */
static avro_value_t generic(const char *schema_text)
{
    avro_schema_t avro;
    avro_value_iface_t *class;
    avro_value_t record;

    assert_int_equal(avro_schema_from_json_length(schema_text, strlen(schema_text), &avro), 0);
    class = avro_generic_class_from_schema(avro);
    assert_int_equal(avro_generic_value_new(class, &record), 0);
    avro_value_iface_decref(class);
    avro_schema_decref(avro);
    return record;
}

/* Avro C reads the bytes, all of them. */
static void generic_read(avro_value_t *record, const struct buffer *bytes)
{
    avro_reader_t reader = avro_reader_memory((const char *)bytes->bytes, (int64_t)bytes->size);
    char rest;

    if (avro_value_read(reader, record) != 0) {
        fail_msg("%s", avro_strerror());
    }
    assert_int_not_equal(avro_read(reader, &rest, 1), 0);
    avro_reader_free(reader);
}

static void generic_write(avro_value_t *record, struct buffer *out)
{
    size_t size = 0;
    avro_writer_t writer;

    assert_int_equal(avro_value_sizeof(record, &size), 0);
    writer = avro_writer_memory((char *)buffer_reserve(out, size), (int64_t)size);
    if (avro_value_write(writer, record) != 0) {
        fail_msg("%s", avro_strerror());
    }
    out->size += size;
    avro_writer_free(writer);
}

static void avro_reads(const struct schema *schema, const struct buffer *bytes, const struct cell *cells,
                       const struct record_meta *meta)
{
    avro_value_t record = generic(schema->value_text);

    generic_read(&record, bytes);
    for (size_t i = 0; i < schema->table->column_count; i++) {
        avro_value_t value;
        avro_value_t branch;
        int chosen = 0;

        assert_int_equal(avro_value_get_by_index(&record, i, &value, NULL), 0);
        assert_int_equal(avro_value_get_discriminant(&value, &chosen), 0);
        assert_int_equal(chosen, cells != NULL && cells[i].state == CELL_VALUE);
        if (chosen == 1) {
            assert_int_equal(avro_value_get_current_branch(&value, &branch), 0);
            check_value(&branch, schema->table->columns[i].type, &cells[i]);
        }
    }
    check_meta(&record, meta);
    avro_value_decref(&record);
}

static void avro_writes(const struct schema *schema, const struct cell *cells, const struct record_meta *meta,
                        struct buffer *out)
{
    avro_value_t record = generic(schema->value_text);

    for (size_t i = 0; i < schema->table->column_count; i++) {
        avro_value_t value;
        avro_value_t branch;

        assert_int_equal(avro_value_get_by_index(&record, i, &value, NULL), 0);
        assert_int_equal(avro_value_set_branch(&value, cells[i].state == CELL_VALUE, &branch), 0);
        if (cells[i].state == CELL_VALUE) {
            set_value(&branch, schema->table->columns[i].type, &cells[i]);
        }
    }
    set_meta(&record, meta);
    generic_write(&record, out);
    avro_value_decref(&record);
}

/* ---- ours */

static void assert_decodes(const struct table *table, const struct buffer *bytes, const struct cell *cells,
                           const struct record_meta *meta)
{
    struct cell read[CELLS_MAX];
    struct record_meta read_meta;
    struct err err = {0};
    struct buffer again = {0};

    if (record_decode_value(table, bytes->bytes, bytes->size, read, &read_meta, &err) != 0) {
        fail_msg("%s", err.text);
    }
    for (size_t i = 0; i < table->column_count; i++) {
        assert_int_equal(read[i].state, cells != NULL ? cells[i].state : CELL_NULL);
    }
    assert_int_equal(read_meta.op, meta->op);
    assert_true(read_meta.ts_us == meta->ts_us && read_meta.seq == meta->seq && read_meta.idx == meta->idx);
    assert_int_equal(read_meta.source_size, meta->source_size);
    assert_memory_equal(read_meta.source, meta->source, meta->source_size);
    assert_int_equal(read_meta.txid_size, meta->txid_size);
    assert_memory_equal(read_meta.txid, meta->txid, meta->txid_size);
    assert_int_equal(record_encode_value(&again, table, read, &read_meta, &err),
                     0); /* the values are the same: so are the bytes */
    assert_int_equal(again.size, bytes->size);
    assert_memory_equal(again.bytes, bytes->bytes, bytes->size);
    buffer_deinit(&again);
}

static void assert_both_ways(const struct schema *schema, const struct cell *cells, const struct record_meta *meta)
{
    struct buffer ours = {0};
    struct buffer theirs = {0};
    struct err err = {0};

    if (record_encode_value(&ours, schema->table, cells, meta, &err) != 0) {
        fail_msg("%s", err.text);
    }
    avro_reads(schema, &ours, cells, meta);
    avro_writes(schema, cells, meta, &theirs);
    assert_int_equal(ours.size, theirs.size);
    assert_memory_equal(ours.bytes, theirs.bytes, ours.size);
    assert_decodes(schema->table, &theirs, cells, meta);
    buffer_deinit(&ours);
    buffer_deinit(&theirs);
}

/* One column, one value. */
static void assert_value(const char *column, struct cell cell)
{
    struct schema *schema = make_schema("shop", "t", "", column);

    assert_both_ways(schema, &cell, &meta_plain);
    schema_free(schema);
}

static void assert_decode_refuses(const struct table *table, const uint8_t *bytes, size_t size, const char *why)
{
    struct cell cells[CELLS_MAX];
    struct record_meta meta;
    struct err err = {0};
    uint8_t *exact = malloc(size + 1); /* the sanitizer sees a byte read beyond */

    assert_non_null(exact);
    exact = realloc(exact, size > 0 ? size : 1);
    memcpy(exact, bytes, size);
    assert_int_equal(record_decode_value(table, exact, size, cells, &meta, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
    if (why != NULL && strstr(err.text, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
    }
    free(exact);
}

static void every_cell(struct cell cells[COLUMN_TYPE_COUNT])
{
    const struct cell values[COLUMN_TYPE_COUNT] = {
        [COLUMN_LONG] = integer(-300),
        [COLUMN_ULONG] = integer(-1),
        [COLUMN_DECIMAL] = bytes_of("\x01\x02\x03", 3),
        [COLUMN_DECIMAL_TEXT] = text_of("-123.4500"),
        [COLUMN_FLOAT] = real(1.5),
        [COLUMN_DOUBLE] = real(0.1),
        [COLUMN_BOOLEAN] = integer(1),
        [COLUMN_BYTES] = bytes_of("\0\xff\0", 3),
        [COLUMN_DATE] = integer(20778),
        [COLUMN_DATETIME] = integer(1795222923456789),
        [COLUMN_TIMESTAMP] = integer(1795222923456000),
        [COLUMN_TIME] = integer(-3723000000),
        [COLUMN_YEAR] = integer(2026),
        [COLUMN_TEXT] = text_of("größe 😀"),
        [COLUMN_JSON] = text_of("{\"a\": 1}"),
    };

    memcpy(cells, values, sizeof values);
}

static void test_record__truncated_at_every_length_is_refused(void **state)
{
    struct schema *schema = make_schema("shop", "types", "a_long", EVERY_TYPE);
    struct cell cells[COLUMN_TYPE_COUNT];
    struct buffer bytes = {0};
    struct err err;

    (void)state;
    every_cell(cells);
    assert_int_equal(record_encode_value(&bytes, schema->table, cells, &meta_plain, &err), 0);
    for (size_t size = 0; size < bytes.size; size++) {
        assert_decode_refuses(schema->table, bytes.bytes, size, "the bytes end too early");
    }
    buffer_append_byte(&bytes, 0);
    assert_decode_refuses(schema->table, bytes.bytes, bytes.size, "bytes behind the end");
    buffer_deinit(&bytes);
    schema_free(schema);
}

static void test_record__bytes_that_avro_cannot_mean_are_refused(void **state)
{
    static const struct {
        const char *column;
        const char *bytes;
        size_t size;
        const char *why;
    } cases[] = {
        {"c long", "\x04\x00", 2, "neither null nor a value"},
        {"c long", "\x01\x00", 2, "neither null nor a value"},
        {"c long", "\x82\x00\x00", 3, "neither null nor a value"},
        {"c long", "\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, "more than 64 bits"},
        {"c long", "\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", 12, "more than 64 bits"},
        {"c date", "\x02\x80\x80\x80\x80\x10", 6, "more than 32 bits"},
        {"c year", "\x02\x81\x80\x80\x80\x10", 6, "more than 32 bits"},
        {"c boolean", "\x02\x02", 2, "a boolean"},
        {"c text", "\x02\x01", 2, "a negative length"},
        {"c text",
         "\x02\x04"
         "a",
         3, "end too early"},
        {"c text", "\x02\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "end too early"},
        {"c decimal 10 2", "\x02\x00", 2, "a decimal of no or too many bytes"},
        {"c decimal 10 2",
         "\x02\x3a"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         31, "a decimal of no or too many bytes"},
        {"c ulong", "\x02\x02\xff", 3, "18446744073709551615"},
        {"c ulong", "\x02\x12\x01\0\0\0\0\0\0\0\0", 11, "18446744073709551615"},
        {"c ulong", "\x02\x00", 2, "18446744073709551615"},
        {"c float", "\x02\0\0\0", 4, "end too early"},
        {"c double", "\x02\0\0\0\0\0\0\0", 8, "end too early"},
        {"c long", "\x00\x0a\0\0\0\0\0", 7, "an unknown operation"},
        {"c long", "\x00\x01\0\0\0\0\0", 7, "an unknown operation"},
        {"c long", "\x00\x00\0\0\0\0\x01", 7, "a negative length"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct table *table = make_table("shop", "t", "", cases[i].column);

        assert_decode_refuses(table, (const uint8_t *)cases[i].bytes, cases[i].size, cases[i].why);
        table_free(table);
    }
}

/* Any bytes: an error or a record, never a read beyond them (the sanitizers watch). */
static void test_record__random_bytes_are_survived(void **state)
{
    struct table *table = make_table("shop", "types", "", EVERY_TYPE);
    struct cell cells[COLUMN_TYPE_COUNT];
    struct buffer good = {0};
    struct err err;
    int refused = 0;

    (void)state;
    srandom(11);
    every_cell(cells);
    assert_int_equal(record_encode_value(&good, table, cells, &meta_plain, &err), 0);
    for (int round = 0; round < 20000; round++) {
        uint8_t *bytes = malloc(good.size);
        struct cell read[COLUMN_TYPE_COUNT];
        struct record_meta meta;

        assert_non_null(bytes);
        memcpy(bytes, good.bytes, good.size);
        for (int change = (int)(random() % 4); change >= 0; change--) {
            bytes[(size_t)random() % good.size] = (uint8_t)random();
        }
        if (record_decode_value(table, bytes, good.size, read, &meta, &err) != 0) {
            assert_int_equal(err.class, ERR_POISON);
            refused++;
        }
        free(bytes);
    }
    assert_in_range(refused, 1, 19999);
    buffer_deinit(&good);
    table_free(table);
}

static void test_record__unrepresentable_value_is_refused_by_name(void **state)
{
    struct table *table = make_table("shop", "t", "id", "id long, born date");
    struct cell cells[] = {integer(1), {.state = CELL_UNREPRESENTABLE, .bytes = (const uint8_t *)"0000-00-00", .size = 10}};
    struct buffer out = {0};
    struct err err = {0};

    (void)state;
    buffer_append_text(&out, "kept");
    assert_int_equal(record_encode_value(&out, table, cells, &meta_plain, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
    assert_non_null(strstr(err.text, "column born of shop.t"));
    assert_int_equal(record_encode_hash_key(&out, table, cells, &err), -1);
    assert_int_equal(record_encode_key(&out, table, cells, &err), 0);
    cells[0].state = CELL_UNREPRESENTABLE;
    assert_int_equal(record_encode_key(&out, table, cells, &err), -1);
    assert_int_equal(out.size, 5); /* "kept" and the one key */
    buffer_deinit(&out);
    table_free(table);
}

static void test_record__null_in_the_key_is_refused(void **state)
{
    struct table *table = make_table("shop", "t", "id", "note text, id long");
    const struct cell cells[] = {{.state = CELL_NULL}, {.state = CELL_NULL}};
    struct buffer out = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(record_encode_key(&out, table, cells, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
    assert_non_null(strstr(err.text, "column id of shop.t: a null in the primary key"));
    table_free(table);
    buffer_deinit(&out);
}

static void test_record__numbers_at_their_limits(void **state)
{
    const int64_t longs[] = {0, -1, 1, 63, 64, -64, -65, 8191, 8192, INT32_MIN, INT32_MAX, INT64_MIN, INT64_MAX, INT64_MIN + 1};
    const uint64_t ulongs[] = {0, 1, 127, 128, 255, 256, UINT32_MAX, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof longs / sizeof *longs; i++) {
        assert_value("c long", integer(longs[i]));
        assert_value("c time", integer(longs[i]));
        assert_value("c datetime 6", integer(longs[i]));
        assert_value("c timestamp 6", integer(longs[i]));
    }
    for (size_t i = 0; i < sizeof ulongs / sizeof *ulongs; i++) {
        assert_value("c ulong", integer((int64_t)ulongs[i]));
    }
    assert_value("c date", integer(INT32_MIN));
    assert_value("c date", integer(INT32_MAX));
    assert_value("c date", integer(-719528));
    assert_value("c year", integer(0));
    assert_value("c year", integer(2155));
    assert_value("c boolean", integer(0));
    assert_value("c boolean", integer(1));
}

static void test_record__real_numbers_keep_their_bits(void **state)
{
    (void)state;
    assert_value("c double", real(0));
    assert_value("c double", real(-0.0));
    assert_value("c double", real(DBL_MAX));
    assert_value("c double", real(-DBL_MIN));
    assert_value("c double", real(5e-324));
    assert_value("c float", real((double)FLT_MAX));
    assert_value("c float", real((double)FLT_MIN));
    assert_value("c float", real((double)0.1f));
}

static void test_record__decimals_of_every_size(void **state)
{
    (void)state;
    for (size_t digit_count = 1; digit_count <= DECIMAL_DIGITS_MAX; digit_count++) {
        char digits[DECIMAL_DIGITS_MAX];
        uint8_t bytes[DECIMAL_BYTES_MAX];

        memset(digits, '9', sizeof digits);
        assert_value("c decimal 65 30", bytes_of(bytes, decimal_from_digits(digits, digit_count, false, bytes)));
        assert_value("c decimal 65 30", bytes_of(bytes, decimal_from_digits(digits, digit_count, true, bytes)));
    }
}

static void test_record__strings_empty_and_huge(void **state)
{
    size_t huge_size = 3 * 1024 * 1024;
    char *huge = malloc(huge_size);

    (void)state;
    assert_non_null(huge);
    memset(huge, 'h', huge_size);
    assert_value("c text", text_of(""));
    assert_value("c bytes", bytes_of("", 0));
    assert_value("c bytes", bytes_of(NULL, 0));
    assert_value("c json", text_of("null"));
    assert_value("c text", bytes_of(huge, huge_size));
    assert_value("c bytes", bytes_of(huge, huge_size));
    for (size_t size = 60; size < 70; size++) { /* the length grows by a byte at 64 */
        assert_value("c text", bytes_of(huge, size));
    }
    free(huge);
}

static void test_record__every_type_and_every_null(void **state)
{
    struct schema *schema = make_schema("shop", "types", "a_long", EVERY_TYPE);
    struct cell cells[COLUMN_TYPE_COUNT];

    (void)state;
    every_cell(cells);
    assert_both_ways(schema, cells, &meta_plain);
    for (size_t i = 0; i < COLUMN_TYPE_COUNT; i++) {
        cells[i].state = CELL_NULL;
        assert_both_ways(schema, cells, &meta_plain);
    }
    schema_free(schema);
}

/* 64 random bits, of random length: all sizes of numbers come up. */
static int64_t random_integer(void)
{
    uint64_t bits = (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();

    return (int64_t)bits >> random() % 64;
}

static struct cell random_cell(enum column_type type, const uint8_t *bytes, size_t size)
{
    struct cell cell = {.state = random() % 4 == 0 ? CELL_NULL : CELL_VALUE};

    switch (type) {
    case COLUMN_FLOAT:
    case COLUMN_DOUBLE:
        cell.real = ldexp((double)(random() - (1 << 30)), (int)(random() % 100) - 50);
        cell.real = type == COLUMN_FLOAT ? (double)(float)cell.real : cell.real;
        break;
    case COLUMN_BOOLEAN:
        cell.integer = random() % 2;
        break;
    case COLUMN_DATE:
    case COLUMN_YEAR:
        cell.integer = (int32_t)random_integer();
        break;
    case COLUMN_DECIMAL:
        cell.bytes = bytes;
        cell.size = 1 + (size_t)random() % DECIMAL_BYTES_MAX;
        break;
    case COLUMN_DECIMAL_TEXT:
    case COLUMN_BYTES:
    case COLUMN_TEXT:
    case COLUMN_JSON:
        cell.bytes = bytes;
        cell.size = (size_t)random() % size;
        break;
    default:
        cell.integer = random_integer();
        break;
    }
    return cell;
}

static void test_record__random_rows(void **state)
{
    struct schema *schema = make_schema("shop", "types", "a_long", EVERY_TYPE);
    uint8_t bytes[300];

    (void)state;
    srandom(17);
    for (int round = 0; round < 500; round++) {
        struct cell cells[COLUMN_TYPE_COUNT];
        struct record_meta meta = meta_plain;

        for (size_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (uint8_t)('a' + random() % 26);
        }
        for (int type = 0; type < COLUMN_TYPE_COUNT; type++) {
            cells[type] = random_cell((enum column_type)type, bytes, sizeof bytes);
        }
        meta.op = "cudr"[random() % 4];
        meta.seq = random_integer();
        meta.idx = random_integer();
        assert_both_ways(schema, cells, &meta);
    }
    schema_free(schema);
}

static void test_record__metadata_at_its_limits(void **state)
{
    struct schema *schema = make_schema("shop", "t", "", "c long");
    const struct cell cell = integer(1);
    struct record_meta meta = {'c', INT64_MIN, INT64_MAX, INT64_MAX, "", 0, "", 0};

    (void)state;
    for (const char *op = "cudrt"; *op != '\0'; op++) {
        meta.op = *op;
        assert_both_ways(schema, &cell, &meta);
    }
    schema_free(schema);
}

static void test_record__truncate_has_null_columns(void **state)
{
    struct schema *schema = make_schema("shop", "types", "a_long", EVERY_TYPE);
    struct record_meta meta = meta_plain;
    struct buffer bytes = {0};
    struct err err;

    (void)state;
    meta.op = 't';
    assert_int_equal(record_encode_value(&bytes, schema->table, NULL, &meta, &err), 0);
    avro_reads(schema, &bytes, NULL, &meta);
    assert_decodes(schema->table, &bytes, NULL, &meta);
    buffer_deinit(&bytes);
    schema_free(schema);
}

static void test_record__without_columns(void **state)
{
    struct schema *schema = make_schema("shop", "unseen", "", "");
    struct buffer bytes = {0};
    struct record_meta meta = meta_plain;
    struct err err;

    (void)state;
    meta.op = 't';
    assert_int_equal(record_encode_value(&bytes, schema->table, NULL, &meta, &err), 0);
    avro_reads(schema, &bytes, NULL, &meta);
    assert_decodes(schema->table, &bytes, NULL, &meta);
    buffer_deinit(&bytes);
    schema_free(schema);
}

static void test_record__is_appended_to_what_is_there(void **state)
{
    struct table *table = make_table("shop", "t", "", "c long");
    const struct cell cell = integer(1);
    struct buffer out = {0};
    struct record_meta meta = {'c', 0, 0, 0, "", 0, "", 0};
    struct err err;

    (void)state;
    buffer_append_text(&out, "kept");
    assert_int_equal(record_encode_value(&out, table, &cell, &meta, &err), 0);
    assert_int_equal(out.size, 12);
    assert_memory_equal(out.bytes, "kept\x02\x02\0\0\0\0\0\0", 12);
    buffer_deinit(&out);
    table_free(table);
}

/* The key's columns stand in key order and Avro C reads them by the key's schema. */
static void test_record__key_of_every_type(void **state)
{
    struct schema *schema = make_schema("shop", "types", "a_text, a_long, a_decimal", EVERY_TYPE);
    struct cell cells[COLUMN_TYPE_COUNT];
    avro_value_t record = generic(schema->key_text);
    struct buffer bytes = {0};
    struct err err;

    (void)state;
    every_cell(cells);
    assert_int_equal(record_encode_key(&bytes, schema->table, cells, &err), 0);
    generic_read(&record, &bytes);
    for (size_t i = 0; i < schema->table->key_count; i++) {
        size_t column = schema->table->key[i];
        avro_value_t value;

        field(&record, schema->table->columns[column].name, &value);
        check_value(&value, schema->table->columns[column].type, &cells[column]);
    }
    avro_value_decref(&record);
    buffer_deinit(&bytes);
    schema_free(schema);
}

static void test_record__hash_key_is_sixteen_bytes_of_sha_256(void **state)
{
    struct schema *schema = make_schema("shop", "t", "", "c text");
    const struct cell cell = text_of("a"); /* encoded: 02 02 61 */
    avro_value_t record = generic(schema->key_text);
    avro_value_t value;
    struct buffer bytes = {0};
    struct err err;
    const struct cell expected = bytes_of("\xec\x01\x3e\x35\x16\xc7\x62\xc0\xff\x10\x87\x91\x4f\xd8\x98\x8c", 16);

    (void)state;
    assert_int_equal(record_encode_hash_key(&bytes, schema->table, &cell, &err), 0);
    generic_read(&record, &bytes);
    field(&record, "hash", &value);
    check_bytes(&value, &expected);
    avro_value_decref(&record);
    buffer_deinit(&bytes);
    schema_free(schema);
}

static void test_record__hash_key_tells_rows_apart(void **state)
{
    struct table *table = make_table("shop", "t", "", "a text, b text");
    const struct cell rows[][2] = {
        {text_of("a"), text_of("b")},          {text_of("ab"), text_of("")},          {text_of(""), text_of("ab")},
        {text_of("ab"), {.state = CELL_NULL}}, {{.state = CELL_NULL}, text_of("ab")},
    };
    size_t count = sizeof rows / sizeof *rows;
    struct buffer keys = {0};
    struct err err;

    (void)state;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(record_encode_hash_key(&keys, table, rows[i], &err), 0);
        assert_int_equal(keys.size, 17 * (i + 1));
        for (size_t before = 0; before < i; before++) {
            assert_memory_not_equal(keys.bytes + 17 * i, keys.bytes + 17 * before, 17);
        }
    }
    buffer_deinit(&keys);
    table_free(table);
}

static void test_record__key_is_same_only_if_every_key_column_is(void **state)
{
    struct table *table = make_table("shop", "t", "a, b", "a text, b long, c long");
    const struct cell row[] = {text_of("x"), integer(1), integer(1)};
    const struct cell other_value[] = {text_of("x"), integer(1), integer(2)};
    const struct cell other_text[] = {text_of("xy"), integer(1), integer(1)};
    const struct cell other_number[] = {text_of("x"), integer(2), integer(1)};
    const struct cell with_null[] = {text_of("x"), {.state = CELL_NULL}, integer(1)};

    (void)state;
    assert_true(record_key_same(table, row, other_value));
    assert_false(record_key_same(table, row, other_text));
    assert_false(record_key_same(table, row, other_number));
    assert_false(record_key_same(table, row, with_null));
    table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record__truncated_at_every_length_is_refused),
        cmocka_unit_test(test_record__bytes_that_avro_cannot_mean_are_refused),
        cmocka_unit_test(test_record__random_bytes_are_survived),
        cmocka_unit_test(test_record__unrepresentable_value_is_refused_by_name),
        cmocka_unit_test(test_record__null_in_the_key_is_refused),
        cmocka_unit_test(test_record__numbers_at_their_limits),
        cmocka_unit_test(test_record__real_numbers_keep_their_bits),
        cmocka_unit_test(test_record__decimals_of_every_size),
        cmocka_unit_test(test_record__strings_empty_and_huge),
        cmocka_unit_test(test_record__every_type_and_every_null),
        cmocka_unit_test(test_record__random_rows),
        cmocka_unit_test(test_record__metadata_at_its_limits),
        cmocka_unit_test(test_record__truncate_has_null_columns),
        cmocka_unit_test(test_record__without_columns),
        cmocka_unit_test(test_record__is_appended_to_what_is_there),
        cmocka_unit_test(test_record__key_of_every_type),
        cmocka_unit_test(test_record__hash_key_is_sixteen_bytes_of_sha_256),
        cmocka_unit_test(test_record__hash_key_tells_rows_apart),
        cmocka_unit_test(test_record__key_is_same_only_if_every_key_column_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
