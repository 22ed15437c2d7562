/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must not happen: a value that arrives changed, a row that is half there after an error, a value that BigQuery refuses
 * (it would refuse the whole request), a read behind the end. Each type with its edges; each conversion; each cut of a message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/decimal.h"
#include "schemas/record.h"
#include "tests/unit/make_table.h"
#include "tests/unit/row_read.h"
#include "workers/bigquery/row_program.h"
#include "workers/bigquery/row_value.h"

#define INGEST_DAY    20778 /* 2026-11-21 */
#define VALUE_FIELD   1     /* the tested column is the layout's first */
#define META_FIELD(m) (2 + (uint32_t)(m))

static const struct record_meta meta_plain = {'u', 1795222923456789, 1795222923456790, 6, "shop", 4, "0-1-17", 6};

/* One column, as its source has it and as its history has it. */
struct one {
    struct table *table;
    struct bigquery_column columns[1 + BIGQUERY_META_COUNT];
    struct bigquery_layout layout;
    struct row_program *program;
    struct buffer avro;
    struct buffer row;
    struct err err;
};

static void one_init(struct one *one, const char *column, enum bigquery_type type, bool packed)
{
    const size_t target = 0;

    *one = (struct one){.table = make_table("shop", "orders", "", column)};
    one->columns[0] = (struct bigquery_column){"v", type};
    memcpy(one->columns + 1, bigquery_meta_columns, sizeof bigquery_meta_columns);
    one->layout = (struct bigquery_layout){one->columns, 1 + BIGQUERY_META_COUNT, packed};
    assert_int_equal(row_program_new(one->table, &one->layout, &target, &one->program, &one->err), 0);
}

static void one_deinit(struct one *one)
{
    row_program_free(one->program);
    table_free(one->table);
    buffer_deinit(&one->avro);
    buffer_deinit(&one->row);
}

/* The row of the cell, made of bytes in memory of exactly their size. */
static int one_run(struct one *one, const struct cell *cell)
{
    uint8_t *exact;
    int result;

    buffer_clear(&one->avro);
    assert_int_equal(record_encode_value(&one->avro, one->table, cell, &meta_plain, &one->err), 0);
    exact = malloc(one->avro.size);
    assert_non_null(exact);
    memcpy(exact, one->avro.bytes, one->avro.size);
    buffer_clear(&one->row);
    buffer_append_text(&one->row, "before");
    result = row_program_append(one->program, exact, one->avro.size, INGEST_DAY, &one->row, &one->err);
    free(exact);
    assert_memory_equal(one->row.bytes, "before", 6);
    return result;
}

static struct protobuf_field one_field(struct one *one, const struct cell *cell)
{
    struct protobuf_field field;

    if (one_run(one, cell) != 0) {
        fail_msg("%s", one->err.text);
    }
    assert_true(row_read(one->row.bytes + 6, one->row.size - 6, VALUE_FIELD, &field));
    return field;
}

static void check_varint(struct one *one, struct cell cell, int64_t expected)
{
    struct protobuf_field field = one_field(one, &cell);

    assert_int_equal(field.wire, PROTOBUF_VARINT);
    assert_int_equal((int64_t)field.value, expected);
}

static void check_double(struct one *one, struct cell cell, double expected)
{
    struct protobuf_field field = one_field(one, &cell);

    assert_int_equal(field.wire, PROTOBUF_FIXED64);
    assert_memory_equal(&field.value, &expected, sizeof expected); /* NaN and -0.0 too */
}

static void check_bytes(struct one *one, struct cell cell, const void *expected, size_t size)
{
    struct protobuf_field field = one_field(one, &cell);

    assert_int_equal(field.wire, PROTOBUF_BYTES);
    assert_int_equal(field.size, size);
    assert_memory_equal(field.bytes, expected, size);
}

static void check_text(struct one *one, struct cell cell, const char *expected)
{
    check_bytes(one, cell, expected, strlen(expected));
}

static void check_refused(struct one *one, struct cell cell, const char *text)
{
    assert_int_equal(one_run(one, &cell), -1);
    assert_int_equal(one->err.class, ERR_POISON);
    assert_string_equal(one->err.text, text);
    assert_int_equal(one->row.size, 6);
}

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

/* The bytes live until the next call but seven. */
static struct cell decimal_of(const char *digits, bool negative)
{
    static uint8_t bytes[8][DECIMAL_BYTES_MAX];
    static unsigned next;
    uint8_t *to = bytes[next++ % 8];

    return bytes_of(to, decimal_from_digits(digits, strlen(digits), negative, to));
}

/* ---- values that BigQuery can't hold */

static void test_row_program__refuses_times_outside_of_the_years_1_to_9999(void **state)
{
    struct one one;

    (void)state;
    one_init(&one, "v date", BIGQUERY_DATE, false);
    check_refused(&one, integer(ROW_DATE_MIN - 1), "column v of shop.orders: a date outside of the years 1 to 9999");
    check_refused(&one, integer(ROW_DATE_MAX + 1), "column v of shop.orders: a date outside of the years 1 to 9999");
    check_refused(&one, integer(INT32_MIN), "column v of shop.orders: a date outside of the years 1 to 9999");
    one_deinit(&one);
    one_init(&one, "v date", BIGQUERY_DATETIME, false);
    check_refused(&one, integer(INT32_MAX), "column v of shop.orders: a date outside of the years 1 to 9999");
    one_deinit(&one);
    one_init(&one, "v datetime 6", BIGQUERY_DATETIME, false);
    check_refused(&one, integer(ROW_MICROS_MIN - 1), "column v of shop.orders: a time outside of the years 1 to 9999");
    check_refused(&one, integer(ROW_MICROS_MAX + 1), "column v of shop.orders: a time outside of the years 1 to 9999");
    one_deinit(&one);
    one_init(&one, "v datetime 6", BIGQUERY_DATETIME, true);
    check_refused(&one, integer(INT64_MIN), "column v of shop.orders: a time outside of the years 1 to 9999");
    one_deinit(&one);
    one_init(&one, "v timestamp 6", BIGQUERY_TIMESTAMP, false);
    check_refused(&one, integer(ROW_MICROS_MIN - 1), "column v of shop.orders: a time outside of the years 1 to 9999");
    check_refused(&one, integer(INT64_MAX), "column v of shop.orders: a time outside of the years 1 to 9999");
    one_deinit(&one);
}

static void test_row_program__refuses_texts_that_are_not_utf8(void **state)
{
    struct one one;

    (void)state;
    one_init(&one, "v text", BIGQUERY_STRING, false);
    check_refused(&one, text_of("abc\xff"), "column v of shop.orders: a text that is not UTF-8");
    check_refused(&one, text_of("\xed\xa0\x80"), "column v of shop.orders: a text that is not UTF-8");
    one_deinit(&one);
    one_init(&one, "v json", BIGQUERY_JSON, false);
    check_refused(&one, text_of("\"\xc3\""), "column v of shop.orders: a text that is not UTF-8");
    check_refused(&one, text_of(""), "column v of shop.orders: an empty JSON text");
    one_deinit(&one);
    one_init(&one, "v decimal_text 65", BIGQUERY_STRING, false);
    check_refused(&one, text_of("1\x80"), "column v of shop.orders: a text that is not UTF-8");
    one_deinit(&one);
}

static void test_row_program__refuses_decimals_beyond_their_type(void **state)
{
    static const char text[] = "column v of shop.orders: a decimal with more digits than its type in BigQuery holds";
    struct one one;

    (void)state;
    one_init(&one, "v decimal 29 0", BIGQUERY_NUMERIC, false);
    check_text(&one, decimal_of("99999999999999999999999999999", true), "-99999999999999999999999999999");
    check_refused(&one, decimal_of("100000000000000000000000000000", false), text);
    one_deinit(&one);
    one_init(&one, "v decimal 38 9", BIGQUERY_NUMERIC, false);
    check_text(&one, decimal_of("99999999999999999999999999999999999999", false), "99999999999999999999999999999.999999999");
    check_refused(&one, decimal_of("100000000000000000000000000000000000000", true), text);
    one_deinit(&one);
    one_init(&one, "v decimal 38 0", BIGQUERY_BIGNUMERIC, false);
    check_text(&one, decimal_of("99999999999999999999999999999999999999", true), "-99999999999999999999999999999999999999");
    check_refused(&one, decimal_of("100000000000000000000000000000000000000", false), text);
    one_deinit(&one);
    one_init(&one, "v decimal 38 0", BIGQUERY_STRING, false);
    check_text(&one, decimal_of("100000000000000000000000000000000000000", false), "100000000000000000000000000000000000000");
    one_deinit(&one);
}

static void test_row_program__refuses_one_by_one_what_only_fits_by_value(void **state)
{
    struct one one;

    (void)state;
    one_init(&one, "v long", BIGQUERY_FLOAT64, false);
    check_double(&one, integer(INT64_C(1) << 53), 9007199254740992.0);
    check_double(&one, integer(-(INT64_C(1) << 53)), -9007199254740992.0);
    check_refused(&one, integer((INT64_C(1) << 53) + 1),
                  "column v of shop.orders: a number that FLOAT64 does not hold exactly");
    check_refused(&one, integer(INT64_MIN), "column v of shop.orders: a number that FLOAT64 does not hold exactly");
    one_deinit(&one);
    one_init(&one, "v ulong", BIGQUERY_FLOAT64, false);
    check_double(&one, integer(7), 7);
    check_refused(&one, integer(-1), "column v of shop.orders: a number that FLOAT64 does not hold exactly");
    one_deinit(&one);
    one_init(&one, "v ulong", BIGQUERY_INT64, false);
    check_varint(&one, integer(INT64_MAX), INT64_MAX);
    check_refused(&one, integer(INT64_MIN), "column v of shop.orders: a number that INT64 does not hold"); /* 2^63 */
    one_deinit(&one);
}

/* ---- bytes that are no record */

/* A program over each type, once stored and once passed over. */
struct every {
    struct table *table;
    struct bigquery_column columns[COLUMN_TYPE_COUNT + BIGQUERY_META_COUNT];
    struct bigquery_layout layout;
    struct row_program *stored;
    struct row_program *skipped;
    struct buffer avro;
};

static void every_init(struct every *every)
{
    size_t targets[COLUMN_TYPE_COUNT];
    size_t nothing[COLUMN_TYPE_COUNT];
    struct cell cells[COLUMN_TYPE_COUNT];
    struct err err;

    *every = (struct every){.table = make_table("shop", "orders", "a_long", EVERY_TYPE)};
    for (size_t i = 0; i < COLUMN_TYPE_COUNT; i++) {
        every->columns[i] =
            (struct bigquery_column){every->table->columns[i].name, bigquery_type_of(&every->table->columns[i])};
        targets[i] = i;
        nothing[i] = ROW_NO_TARGET;
        cells[i] = integer(1);
    }
    memcpy(every->columns + COLUMN_TYPE_COUNT, bigquery_meta_columns, sizeof bigquery_meta_columns);
    every->layout = (struct bigquery_layout){every->columns, COLUMN_TYPE_COUNT + BIGQUERY_META_COUNT, false};
    assert_int_equal(row_program_new(every->table, &every->layout, targets, &every->stored, &err), 0);
    assert_int_equal(row_program_new(every->table, &every->layout, nothing, &every->skipped, &err), 0);
    cells[COLUMN_DECIMAL] = decimal_of("12345678901234567890123", true);
    cells[COLUMN_DECIMAL_TEXT] = text_of("-12");
    cells[COLUMN_FLOAT] = real(0.5);
    cells[COLUMN_DOUBLE] = real(-0.1);
    cells[COLUMN_BYTES] = bytes_of("\0\xff", 2);
    cells[COLUMN_TEXT] = text_of("日本");
    cells[COLUMN_JSON] = text_of("{}");
    assert_int_equal(record_encode_value(&every->avro, every->table, cells, &meta_plain, &err), 0);
}

static void every_deinit(struct every *every)
{
    row_program_free(every->stored);
    row_program_free(every->skipped);
    table_free(every->table);
    buffer_deinit(&every->avro);
}

static bool says_value(const struct err *err)
{
    return strstr(err->text, "a text that is not UTF-8") != NULL || strstr(err->text, "outside of the years 1 to 9999") != NULL;
}

/* What the decoder of schemas/ refuses, no program takes. What it takes, the one that stores nothing refuses only for a value
 * of the metadata. */
static bool every_takes(const struct every *every, const uint8_t *bytes, size_t size)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);
    struct cell cells[COLUMN_TYPE_COUNT];
    struct buffer out = {0};
    struct record_meta meta;
    struct err decode_err;
    struct err err;
    int stored;
    int skipped;
    int decoded;

    assert_non_null(exact);
    memcpy(exact, bytes, size);
    stored = row_program_append(every->stored, exact, size, INGEST_DAY, &out, &err);
    assert_true(stored == 0 || (out.size == 0 && err.class == ERR_POISON));
    skipped = row_program_append(every->skipped, exact, size, INGEST_DAY, &out, &err);
    decoded = record_decode_value(every->table, exact, size, cells, &meta, &decode_err);
    assert_true(decoded == 0 || (stored != 0 && skipped != 0));
    assert_true(decoded != 0 || skipped == 0 || says_value(&err));
    buffer_deinit(&out);
    free(exact);
    return stored == 0;
}

static void test_row_program__a_cut_message_is_no_row(void **state)
{
    struct every every;

    (void)state;
    every_init(&every);
    for (size_t size = 0; size < every.avro.size; size++) {
        assert_false(every_takes(&every, every.avro.bytes, size));
    }
    assert_true(every_takes(&every, every.avro.bytes, every.avro.size));
    buffer_append_byte(&every.avro, 0);
    assert_false(every_takes(&every, every.avro.bytes, every.avro.size));
    every_deinit(&every);
}

static void test_row_program__a_changed_byte_is_refused_as_the_decoder_refuses_it(void **state)
{
    struct every every;

    (void)state;
    every_init(&every);
    for (size_t at = 0; at < every.avro.size; at++) {
        uint8_t before = every.avro.bytes[at];

        for (int byte = 0; byte < 256; byte++) {
            every.avro.bytes[at] = (uint8_t)byte;
            (void)every_takes(&every, every.avro.bytes, every.avro.size);
        }
        every.avro.bytes[at] = before;
    }
    every_deinit(&every);
}

static void check_raw(const char *column, const char *avro, size_t size, const char *text)
{
    struct one one;

    one_init(&one, column, strcmp(column, "v boolean") == 0 ? BIGQUERY_BOOL : BIGQUERY_INT64, false);
    assert_int_equal(row_program_append(one.program, (const uint8_t *)avro, size, INGEST_DAY, &one.row, &one.err), -1);
    assert_int_equal(one.err.class, ERR_POISON);
    assert_string_equal(one.err.text, text);
    one_deinit(&one);
}

static void test_row_program__says_which_field_is_wrong(void **state)
{
    (void)state;
    check_raw("v long", "\x01", 1, "column v of shop.orders: neither null nor a value");
    check_raw("v long", "\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11,
              "column v of shop.orders: a number of more than 64 bits");
    check_raw("v year", "\x02\x80\x80\x80\x80\x10", 6, "column v of shop.orders: a number of more than 32 bits");
    check_raw("v boolean", "\x02\x02", 2, "column v of shop.orders: a boolean that is neither 0 nor 1");
    check_raw("v long", "\x00\x0a", 2, "column __op of shop.orders: an unknown operation");
    check_raw("v long", "\x00\x01", 2, "column __op of shop.orders: an unknown operation");
    check_raw("v long", "\x00\x00", 2, "column __ts of shop.orders: the bytes end too early");
    check_raw("v long", "\x00\x00\x02\x02\x02\x01", 6, "column __source of shop.orders: a negative length");
    check_raw("v long", "\x00\x00\x02\x02\x02\x00\x02", 7, "column __txid of shop.orders: the bytes end too early");
    check_raw("v long", "\x00\x00\x02\x02\x02\x00\x02\xff", 8, "column __txid of shop.orders: a text that is not UTF-8");
    check_raw("v long", "\x00\x00\x02\x02\x02\x00\x00\x00", 8, "a change of shop.orders: bytes behind the end of the record");
}

/* ---- values */

static void test_row_program__numbers(void **state)
{
    static const int64_t numbers[] = {0, 1, -1, 63, 64, -64, -65, 127, 128, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    struct one as_number;
    struct one as_numeric;
    struct one as_string;

    (void)state;
    one_init(&as_number, "v long", BIGQUERY_INT64, false);
    one_init(&as_numeric, "v long", BIGQUERY_NUMERIC, false);
    one_init(&as_string, "v time", BIGQUERY_STRING, false);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char text[24];

        (void)snprintf(text, sizeof text, "%lld", (long long)numbers[i]);
        check_varint(&as_number, integer(numbers[i]), numbers[i]);
        check_text(&as_numeric, integer(numbers[i]), text);
        check_text(&as_string, integer(numbers[i]), text);
    }
    one_deinit(&as_number);
    one_deinit(&as_numeric);
    one_deinit(&as_string);
}

static void test_row_program__unsigned_numbers(void **state)
{
    struct one one;

    (void)state;
    one_init(&one, "v ulong", BIGQUERY_NUMERIC, false);
    check_text(&one, integer(0), "0");
    check_text(&one, integer(99), "99");
    check_text(&one, integer(100), "100");
    check_text(&one, integer(INT64_MAX), "9223372036854775807");
    check_text(&one, integer(INT64_MIN), "9223372036854775808");
    check_text(&one, integer(-1), "18446744073709551615");
    one_deinit(&one);
}

static void test_row_program__decimals(void **state)
{
    struct one one;

    (void)state;
    one_init(&one, "v decimal 10 2", BIGQUERY_NUMERIC, false);
    check_text(&one, decimal_of("0", false), "0.00");
    check_text(&one, decimal_of("1", false), "0.01");
    check_text(&one, decimal_of("1", true), "-0.01");
    check_text(&one, decimal_of("10", true), "-0.10");
    check_text(&one, decimal_of("100", false), "1.00");
    check_text(&one, decimal_of("9999999999", true), "-99999999.99");
    one_deinit(&one);
    one_init(&one, "v decimal 20 0", BIGQUERY_BIGNUMERIC, false);
    check_text(&one, decimal_of("9223372036854775807", false), "9223372036854775807"); /* 8 bytes */
    check_text(&one, decimal_of("9223372036854775808", true), "-9223372036854775808");
    check_text(&one, decimal_of("9223372036854775808", false), "9223372036854775808"); /* 9 */
    check_text(&one, decimal_of("9223372036854775809", true), "-9223372036854775809");
    check_text(&one, decimal_of("99999999999999999999", false), "99999999999999999999");
    one_deinit(&one);
    one_init(&one, "v decimal 65 30", BIGQUERY_BIGNUMERIC, false);
    check_text(&one, decimal_of("1", true), "-0.000000000000000000000000000001");
    check_text(&one, decimal_of("99999999999999999999999999999999999999999999999999999999999999999", true),
               "-99999999999999999999999999999999999.999999999999999999999999999999");
    one_deinit(&one);
}

/* Longer than the shortest form: what some other writer may have made. */
static void test_row_program__decimals_with_bytes_to_spare(void **state)
{
    struct one one;

    (void)state;
    one_init(&one, "v decimal 10 2", BIGQUERY_NUMERIC, false);
    check_text(&one, bytes_of("\0\0\0\0\0\0\0\0\0\0\0\x7b", 12), "1.23");
    check_text(&one, bytes_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x85", 10), "-1.23");
    check_text(&one, bytes_of("\xff\xff\x85", 3), "-1.23");
    check_refused(&one, bytes_of("", 0), "column v of shop.orders: a decimal of no or too many bytes");
    check_refused(&one, bytes_of("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 29),
                  "column v of shop.orders: a decimal of no or too many bytes");
    one_deinit(&one);
}

static void test_row_program__reals(void **state)
{
    struct one one;

    (void)state;
    one_init(&one, "v double", BIGQUERY_FLOAT64, false);
    check_double(&one, real(0.1), 0.1);
    check_double(&one, real(-0.0), -0.0);
    check_double(&one, real(DBL_MAX), DBL_MAX);
    check_double(&one, real(DBL_TRUE_MIN), DBL_TRUE_MIN);
    check_double(&one, real((double)INFINITY), (double)INFINITY);
    check_double(&one, real((double)NAN), (double)NAN);
    one_deinit(&one);
    one_init(&one, "v float", BIGQUERY_FLOAT64, false);
    check_double(&one, real((double)0.1F), (double)0.1F);
    check_double(&one, real((double)-FLT_MAX), (double)-FLT_MAX);
    check_double(&one, real((double)FLT_TRUE_MIN), (double)FLT_TRUE_MIN);
    one_deinit(&one);
}

static void test_row_program__booleans_and_years(void **state)
{
    struct one one;

    (void)state;
    one_init(&one, "v boolean 1", BIGQUERY_BOOL, false);
    check_varint(&one, integer(0), 0);
    check_varint(&one, integer(1), 1);
    one_deinit(&one);
    one_init(&one, "v boolean 1", BIGQUERY_INT64, false);
    check_varint(&one, integer(1), 1);
    one_deinit(&one);
    one_init(&one, "v year", BIGQUERY_INT64, false);
    check_varint(&one, integer(0), 0);
    check_varint(&one, integer(2155), 2155);
    one_deinit(&one);
    one_init(&one, "v year", BIGQUERY_FLOAT64, false);
    check_double(&one, integer(1901), 1901);
    one_deinit(&one);
    one_init(&one, "v year", BIGQUERY_NUMERIC, false);
    check_text(&one, integer(1901), "1901");
    one_deinit(&one);
}

static void test_row_program__bytes_and_texts_of_every_size(void **state)
{
    static char many[40000];
    static const size_t sizes[] = {0,  1,  7,  8,   9,   15,  16,   17,   31,    32,    33,
                                   63, 64, 65, 127, 128, 129, 8191, 8192, 16383, 16384, 40000};
    struct one as_bytes;
    struct one as_text;

    (void)state;
    memset(many, 'x', sizeof many);
    one_init(&as_bytes, "v bytes", BIGQUERY_BYTES, false);
    one_init(&as_text, "v text", BIGQUERY_STRING, false);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check_bytes(&as_bytes, bytes_of(many, sizes[i]), many, sizes[i]);
        check_bytes(&as_text, bytes_of(many, sizes[i]), many, sizes[i]);
    }
    check_bytes(&as_bytes, bytes_of("\xff\0\x80", 3), "\xff\0\x80", 3);
    check_text(&as_text, text_of("日本語😀ß"), "日本語😀ß");
    check_bytes(&as_text, bytes_of("a\0b", 3), "a\0b", 3);
    one_deinit(&as_bytes);
    one_deinit(&as_text);
    one_init(&as_text, "v json", BIGQUERY_JSON, false);
    check_text(&as_text, text_of("{\"a\": \"日\"}"), "{\"a\": \"日\"}");
    one_deinit(&as_text);
    one_init(&as_text, "v json", BIGQUERY_STRING, false);
    check_text(&as_text, text_of("null"), "null");
    one_deinit(&as_text);
}

/* Each position of a byte that is not UTF-8 in texts of each size: the check goes in steps of several bytes. */
static void test_row_program__no_bad_byte_hides_in_a_text(void **state)
{
    struct one one;

    (void)state;
    one_init(&one, "v text", BIGQUERY_STRING, false);
    for (size_t size = 1; size <= 40; size++) {
        for (size_t at = 0; at < size; at++) {
            char text[40];

            memset(text, 'x', sizeof text);
            text[at] = (char)0x80;
            check_refused(&one, bytes_of(text, size), "column v of shop.orders: a text that is not UTF-8");
        }
    }
    one_deinit(&one);
}

static void test_row_program__dates(void **state)
{
    struct one one;

    (void)state;
    one_init(&one, "v date", BIGQUERY_DATE, false);
    check_varint(&one, integer(0), 0);
    check_varint(&one, integer(-1), -1);
    check_varint(&one, integer(ROW_DATE_MIN), ROW_DATE_MIN);
    check_varint(&one, integer(ROW_DATE_MAX), ROW_DATE_MAX);
    one_deinit(&one);
    one_init(&one, "v date", BIGQUERY_DATETIME, false);
    check_text(&one, integer(0), "1970-01-01 00:00:00.000000");
    check_text(&one, integer(-1), "1969-12-31 00:00:00.000000");
    check_text(&one, integer(ROW_DATE_MIN), "0001-01-01 00:00:00.000000");
    check_text(&one, integer(ROW_DATE_MAX), "9999-12-31 00:00:00.000000");
    one_deinit(&one);
}

static int64_t packed(int64_t year, int64_t month, int64_t day, int64_t clock_seconds, int64_t micros)
{
    int64_t hour = clock_seconds / 3600;
    int64_t minute = clock_seconds / 60 % 60;

    return year << 46 | month << 42 | day << 37 | hour << 32 | minute << 26 | (clock_seconds % 60) << 20 | micros;
}

static void test_row_program__times(void **state)
{
    struct one one;

    (void)state;
    one_init(&one, "v datetime 6", BIGQUERY_DATETIME, false);
    check_text(&one, integer(0), "1970-01-01 00:00:00.000000");
    check_text(&one, integer(-1), "1969-12-31 23:59:59.999999");
    check_text(&one, integer(INT64_C(1795222923456789)), "2026-11-21 01:02:03.456789");
    check_text(&one, integer(INT64_C(951782400000001)), "2000-02-29 00:00:00.000001");
    check_text(&one, integer(ROW_MICROS_MIN), "0001-01-01 00:00:00.000000");
    check_text(&one, integer(ROW_MICROS_MAX), "9999-12-31 23:59:59.999999");
    one_deinit(&one);
    one_init(&one, "v datetime 6", BIGQUERY_DATETIME, true);
    check_varint(&one, integer(INT64_C(1795222923456789)), packed(2026, 11, 21, 3723, 456789));
    check_varint(&one, integer(ROW_MICROS_MIN), packed(1, 1, 1, 0, 0));
    check_varint(&one, integer(ROW_MICROS_MAX), packed(9999, 12, 31, 86399, 999999));
    one_deinit(&one);
    one_init(&one, "v date", BIGQUERY_DATETIME, true);
    check_varint(&one, integer(-1), packed(1969, 12, 31, 0, 0));
    one_deinit(&one);
    one_init(&one, "v timestamp 6", BIGQUERY_TIMESTAMP, false);
    check_varint(&one, integer(-1), -1);
    check_varint(&one, integer(ROW_MICROS_MIN), ROW_MICROS_MIN);
    check_varint(&one, integer(ROW_MICROS_MAX), ROW_MICROS_MAX);
    one_deinit(&one);
}

static void test_row_program__a_null_is_not_there(void **state)
{
    const struct cell null = {.state = CELL_NULL};
    struct protobuf_field field;
    struct one one;

    (void)state;
    one_init(&one, "v long", BIGQUERY_INT64, false);
    assert_int_equal(one_run(&one, &null), 0);
    assert_false(row_read(one.row.bytes + 6, one.row.size - 6, VALUE_FIELD, &field));
    one_deinit(&one);
}

static void check_meta_number(const struct one *one, enum bigquery_meta meta, int64_t expected)
{
    struct protobuf_field field;

    assert_true(row_read(one->row.bytes + 6, one->row.size - 6, META_FIELD(meta), &field));
    assert_int_equal(field.wire, PROTOBUF_VARINT);
    assert_int_equal((int64_t)field.value, expected);
}

static void check_meta_text(const struct one *one, enum bigquery_meta meta, const char *expected)
{
    struct protobuf_field field;

    assert_true(row_read(one->row.bytes + 6, one->row.size - 6, META_FIELD(meta), &field));
    assert_int_equal(field.wire, PROTOBUF_BYTES);
    assert_int_equal(field.size, strlen(expected));
    assert_memory_equal(field.bytes, expected, field.size);
}

static void test_row_program__the_metadata_of_the_change(void **state)
{
    const struct cell cell = integer(1);
    struct one one;

    (void)state;
    one_init(&one, "v long", BIGQUERY_INT64, false);
    assert_int_equal(one_run(&one, &cell), 0);
    check_meta_text(&one, BIGQUERY_META_OP, "u");
    check_meta_number(&one, BIGQUERY_META_TS, meta_plain.ts_us);
    check_meta_number(&one, BIGQUERY_META_SEQ, meta_plain.seq);
    check_meta_number(&one, BIGQUERY_META_IDX, meta_plain.idx);
    check_meta_text(&one, BIGQUERY_META_SOURCE, "shop");
    check_meta_text(&one, BIGQUERY_META_TXID, "0-1-17");
    check_meta_number(&one, BIGQUERY_META_INGEST_DAY, INGEST_DAY);
    one_deinit(&one);
}

/* ---- layouts */

static void check_compile(const struct table *table, const struct bigquery_layout *layout, const size_t *targets,
                          enum err_class class, const char *text)
{
    struct row_program *program;
    struct err err;

    assert_int_equal(row_program_new(table, layout, targets, &program, &err), -1);
    assert_int_equal(err.class, class);
    assert_string_equal(err.text, text);
}

static void test_row_program__does_not_compile_what_would_lose(void **state)
{
    struct table *table = make_table("shop", "orders", "", "v decimal 20 10");
    struct bigquery_column columns[1 + BIGQUERY_META_COUNT] = {{"v", BIGQUERY_NUMERIC}};
    struct bigquery_layout layout = {columns, 1 + BIGQUERY_META_COUNT, false};
    const size_t target = 0;

    (void)state;
    memcpy(columns + 1, bigquery_meta_columns, sizeof bigquery_meta_columns);
    check_compile(table, &layout, &target, ERR_POISON,
                  "column v of shop.orders: decimal does not go into the column v of type NUMERIC");
    columns[0].type = BIGQUERY_BIGNUMERIC;
    columns[3].type = BIGQUERY_STRING;
    check_compile(table, &layout, &target, ERR_FATAL, "the history of shop.orders has no column __seq of type INT64");
    layout.column_count--;
    columns[3].type = BIGQUERY_INT64;
    check_compile(table, &layout, &target, ERR_FATAL, "the history of shop.orders has no column __ingest_day of type DATE");
    table_free(table);
}

/* The history of a table that has seen several versions: other places, columns of others in between, names in another case. */
static void test_row_program__columns_go_where_the_layout_has_them(void **state)
{
    struct table *table = make_table("shop", "orders", "id", "id long, gone text, note text");
    static const struct bigquery_column columns[] = {
        {"__INGEST_DAY", BIGQUERY_DATE}, {"note", BIGQUERY_STRING}, {"other", BIGQUERY_BOOL},  {"__op", BIGQUERY_STRING},
        {"__ts", BIGQUERY_TIMESTAMP},    {"__seq", BIGQUERY_INT64}, {"__idx", BIGQUERY_INT64}, {"__source", BIGQUERY_STRING},
        {"__txid", BIGQUERY_STRING},     {"id", BIGQUERY_NUMERIC},
    };
    const struct bigquery_layout layout = {columns, sizeof columns / sizeof *columns, false};
    const size_t targets[] = {9, ROW_NO_TARGET, 1};
    const struct cell cells[] = {integer(-7), text_of("gone"), text_of("here")};
    struct row_program *program;
    struct protobuf_field field;
    struct buffer avro = {0};
    struct buffer row = {0};
    struct err err;

    (void)state;
    assert_int_equal(row_program_new(table, &layout, targets, &program, &err), 0);
    assert_int_equal(record_encode_value(&avro, table, cells, &meta_plain, &err), 0);
    assert_int_equal(row_program_append(program, avro.bytes, avro.size, INGEST_DAY, &row, &err), 0);
    assert_true(row_read(row.bytes, row.size, 10, &field));
    assert_memory_equal(field.bytes, "-7", 2);
    assert_true(row_read(row.bytes, row.size, 2, &field));
    assert_memory_equal(field.bytes, "here", 4);
    assert_false(row_read(row.bytes, row.size, 3, &field));
    assert_true(row_read(row.bytes, row.size, 1, &field));
    assert_int_equal(field.value, INGEST_DAY);
    row_program_free(program);
    table_free(table);
    buffer_deinit(&avro);
    buffer_deinit(&row);
}

#define WIDE_COLUMNS 4090

/* Tags of one, two and three bytes; the room for the row is the sum of what each column may add. */
static void test_row_program__a_row_of_thousands_of_columns(void **state)
{
    struct table *table = table_new("shop", "wide", WIDE_COLUMNS, 0);
    struct bigquery_column *columns = calloc(WIDE_COLUMNS + BIGQUERY_META_COUNT, sizeof *columns);
    size_t *targets = calloc(WIDE_COLUMNS, sizeof *targets);
    struct cell *cells = calloc(WIDE_COLUMNS, sizeof *cells);
    struct bigquery_layout layout = {columns, WIDE_COLUMNS + BIGQUERY_META_COUNT, false};
    struct row_program *program;
    struct protobuf_field field;
    struct buffer avro = {0};
    struct buffer row = {0};
    struct err err;

    (void)state;
    assert_true(columns != NULL && targets != NULL && cells != NULL);
    for (size_t i = 0; i < WIDE_COLUMNS; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "c%zu", i);
        table->columns[i] = (struct column){strdup(name), strdup("date"), COLUMN_DATE, 0, 0};
        columns[i] = (struct bigquery_column){table->columns[i].name, BIGQUERY_DATETIME};
        targets[i] = WIDE_COLUMNS - 1 - i;
        cells[i] = integer((int64_t)i % 60);
    }
    memcpy(columns + WIDE_COLUMNS, bigquery_meta_columns, sizeof bigquery_meta_columns);
    assert_int_equal(row_program_new(table, &layout, targets, &program, &err), 0);
    assert_int_equal(record_encode_value(&avro, table, cells, &meta_plain, &err), 0);
    assert_int_equal(row_program_append(program, avro.bytes, avro.size, INGEST_DAY, &row, &err), 0);
    assert_true(row_read(row.bytes, row.size, WIDE_COLUMNS, &field));
    assert_memory_equal(field.bytes, "1970-01-01", 10);
    assert_true(row_read(row.bytes, row.size, WIDE_COLUMNS - 31, &field));
    assert_memory_equal(field.bytes, "1970-02-01", 10);
    row_program_free(program);
    table_free(table);
    free(columns);
    free(targets);
    free(cells);
    buffer_deinit(&avro);
    buffer_deinit(&row);
}

static enum row_fit fit(enum column_type type, uint8_t precision, uint8_t scale, enum bigquery_type into)
{
    return row_fit(&(struct column){.type = type, .precision = precision, .scale = scale}, into);
}

static void test_row_fit__says_what_widens_without_loss(void **state)
{
    (void)state;
    assert_int_equal(fit(COLUMN_LONG, 0, 0, BIGQUERY_INT64), ROW_FIT_ALWAYS);
    assert_int_equal(fit(COLUMN_LONG, 0, 0, BIGQUERY_NUMERIC), ROW_FIT_ALWAYS);
    assert_int_equal(fit(COLUMN_LONG, 0, 0, BIGQUERY_FLOAT64), ROW_FIT_BY_VALUE);
    assert_int_equal(fit(COLUMN_YEAR, 0, 0, BIGQUERY_FLOAT64), ROW_FIT_ALWAYS);
    assert_int_equal(fit(COLUMN_ULONG, 0, 0, BIGQUERY_INT64), ROW_FIT_BY_VALUE);
    assert_int_equal(fit(COLUMN_LONG, 0, 0, BIGQUERY_BOOL), ROW_FIT_NEVER);
    assert_int_equal(fit(COLUMN_DECIMAL, 10, 2, BIGQUERY_BIGNUMERIC), ROW_FIT_ALWAYS);
    assert_int_equal(fit(COLUMN_DECIMAL, 10, 2, BIGQUERY_FLOAT64), ROW_FIT_NEVER);
    assert_int_equal(fit(COLUMN_DECIMAL, 10, 0, BIGQUERY_INT64), ROW_FIT_NEVER);
    assert_int_equal(fit(COLUMN_DECIMAL, 40, 2, BIGQUERY_NUMERIC), ROW_FIT_NEVER);
    assert_int_equal(fit(COLUMN_DECIMAL, 38, 38, BIGQUERY_BIGNUMERIC), ROW_FIT_ALWAYS);
    assert_int_equal(fit(COLUMN_DECIMAL, 65, 39, BIGQUERY_BIGNUMERIC), ROW_FIT_NEVER); /* no schema of ours has such */
    assert_int_equal(fit(COLUMN_DECIMAL, 1, 255, BIGQUERY_STRING), ROW_FIT_NEVER);
    assert_int_equal(fit(COLUMN_FLOAT, 0, 0, BIGQUERY_STRING), ROW_FIT_NEVER);
    assert_int_equal(fit(COLUMN_DATE, 0, 0, BIGQUERY_DATETIME), ROW_FIT_ALWAYS);
    assert_int_equal(fit(COLUMN_DATE, 0, 0, BIGQUERY_TIMESTAMP), ROW_FIT_NEVER);
    assert_int_equal(fit(COLUMN_DATETIME, 6, 0, BIGQUERY_TIMESTAMP), ROW_FIT_NEVER);
    assert_int_equal(fit(COLUMN_TIMESTAMP, 6, 0, BIGQUERY_DATETIME), ROW_FIT_NEVER);
    assert_int_equal(fit(COLUMN_TEXT, 0, 0, BIGQUERY_JSON), ROW_FIT_NEVER);
    assert_int_equal(fit(COLUMN_TEXT, 0, 0, BIGQUERY_BYTES), ROW_FIT_NEVER);
    assert_int_equal(fit(COLUMN_BYTES, 0, 0, BIGQUERY_STRING), ROW_FIT_NEVER);
}

/* Whatever fits has a step; whatever has the column's own type fits. */
static void test_row_fit__all_that_fits_compiles(void **state)
{
    (void)state;
    for (int column_type = 0; column_type < COLUMN_TYPE_COUNT; column_type++) {
        struct table *table = table_new("shop", "orders", 1, 0);
        const size_t target = 0;

        table->columns[0] = (struct column){strdup("v"), strdup("t"), (enum column_type)column_type, 9, 2};
        assert_int_equal(row_fit(&table->columns[0], bigquery_type_of(&table->columns[0])), ROW_FIT_ALWAYS);
        for (int type = 0; type < 2 * BIGQUERY_TYPE_COUNT; type++) {
            struct bigquery_column columns[1 + BIGQUERY_META_COUNT] = {{"v", (enum bigquery_type)(type / 2)}};
            const struct bigquery_layout layout = {columns, 1 + BIGQUERY_META_COUNT, type % 2 == 1};
            bool fits = row_fit(&table->columns[0], columns[0].type) != ROW_FIT_NEVER;
            struct row_program *program = NULL;
            struct err err;

            memcpy(columns + 1, bigquery_meta_columns, sizeof bigquery_meta_columns);
            assert_int_equal(row_program_new(table, &layout, &target, &program, &err) == 0, fits);
            row_program_free(program);
        }
        table_free(table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row_program__refuses_times_outside_of_the_years_1_to_9999),
        cmocka_unit_test(test_row_program__refuses_texts_that_are_not_utf8),
        cmocka_unit_test(test_row_program__refuses_decimals_beyond_their_type),
        cmocka_unit_test(test_row_program__refuses_one_by_one_what_only_fits_by_value),
        cmocka_unit_test(test_row_program__a_cut_message_is_no_row),
        cmocka_unit_test(test_row_program__a_changed_byte_is_refused_as_the_decoder_refuses_it),
        cmocka_unit_test(test_row_program__says_which_field_is_wrong),
        cmocka_unit_test(test_row_program__numbers),
        cmocka_unit_test(test_row_program__unsigned_numbers),
        cmocka_unit_test(test_row_program__decimals),
        cmocka_unit_test(test_row_program__decimals_with_bytes_to_spare),
        cmocka_unit_test(test_row_program__reals),
        cmocka_unit_test(test_row_program__booleans_and_years),
        cmocka_unit_test(test_row_program__bytes_and_texts_of_every_size),
        cmocka_unit_test(test_row_program__no_bad_byte_hides_in_a_text),
        cmocka_unit_test(test_row_program__dates),
        cmocka_unit_test(test_row_program__times),
        cmocka_unit_test(test_row_program__a_null_is_not_there),
        cmocka_unit_test(test_row_program__the_metadata_of_the_change),
        cmocka_unit_test(test_row_program__does_not_compile_what_would_lose),
        cmocka_unit_test(test_row_program__columns_go_where_the_layout_has_them),
        cmocka_unit_test(test_row_program__a_row_of_thousands_of_columns),
        cmocka_unit_test(test_row_fit__says_what_widens_without_loss),
        cmocka_unit_test(test_row_fit__all_that_fits_compiles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
