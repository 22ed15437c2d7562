/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Avro bytes of any table into any history, beside the decoder of schemas/ as oracle: the program makes a row if and only if
 * the decoder finds a record whose every value the history can hold, and then each field of the row is that value.
 *
 * The input: a byte with the number of columns and whether DATETIME is packed; three bytes a column: its type, the type of its
 * history, precision and scale; then the Avro bytes.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "common/utf8.h"
#include "schemas/civil.h"
#include "schemas/decimal.h"
#include "schemas/record.h"
#include "schemas/value_text.h"
#include "workers/bigquery/descriptor.h"
#include "workers/bigquery/protobuf.h"
#include "workers/bigquery/row_program.h"
#include "workers/bigquery/row_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define COLUMNS_MAX 15
#define INGEST_DAY  20778

struct world {
    struct table *table;
    struct bigquery_column columns[COLUMNS_MAX + BIGQUERY_META_COUNT];
    struct bigquery_layout layout;
    size_t targets[COLUMNS_MAX];
    struct buffer expected; /* text of the value in hand */
};

/* Returns how many of the bytes it took. */
static size_t world_init(struct world *world, const uint8_t *bytes, size_t size)
{
    size_t count = size > 0 ? bytes[0] % (COLUMNS_MAX + 1) : 0;
    size_t at = size > 0;

    count = count < (size - at) / 3 ? count : (size - at) / 3;
    *world = (struct world){.table = table_new("d", "t", count, 0)};
    for (size_t i = 0; i < count; i++, at += 3) {
        struct column *column = &world->table->columns[i];
        enum column_type type = bytes[at] % COLUMN_TYPE_COUNT;
        uint8_t scale = bytes[at + 2] % 31;
        uint8_t whole = (uint8_t)(1 + bytes[at + 2] / 7);

        *column = (struct column){strdup("c"), strdup("t"), type, 0, 0};
        if (type == COLUMN_DECIMAL) {
            column->precision = whole + scale <= 65 ? whole + scale : 65;
            column->scale = scale;
        }
        world->columns[i] = (struct bigquery_column){"c", bytes[at + 1] % BIGQUERY_TYPE_COUNT};
        world->targets[i] = i;
        if (row_fit(column, world->columns[i].type) == ROW_FIT_NEVER) {
            world->columns[i].type = bigquery_type_of(column);
            world->targets[i] = bytes[at + 1] % 2 ? i : ROW_NO_TARGET;
        }
    }
    memcpy(world->columns + count, bigquery_meta_columns, sizeof bigquery_meta_columns);
    world->layout = (struct bigquery_layout){world->columns, count + BIGQUERY_META_COUNT, size > 0 && (bytes[0] & 0x80) != 0};
    return at;
}

static void world_deinit(struct world *world)
{
    table_free(world->table);
    buffer_deinit(&world->expected);
}

/* What a field must be; refused: no row at all. */
struct field {
    bool refused;
    bool absent;
    enum protobuf_wire wire;
    uint64_t value;
    const void *bytes;
    size_t size;
};

static struct field number(uint64_t value)
{
    return (struct field){.wire = PROTOBUF_VARINT, .value = value};
}

static struct field bytes_of(const void *bytes, size_t size)
{
    return (struct field){.wire = PROTOBUF_BYTES, .bytes = bytes, .size = size};
}

static struct field refused_if(bool refused, struct field field)
{
    field.refused = refused;
    return field;
}

static struct field real(double value)
{
    struct field field = {.wire = PROTOBUF_FIXED64};

    memcpy(&field.value, &value, sizeof value);
    return field;
}

static struct field datetime(struct world *world, int64_t micros)
{
    char text[64];
    unsigned year;
    unsigned month;
    unsigned day;
    unsigned hour;
    unsigned minute;
    unsigned second;
    unsigned fraction;

    if (micros < ROW_MICROS_MIN || micros > ROW_MICROS_MAX) {
        return (struct field){.refused = true};
    }
    value_text_datetime(&world->expected, micros, ' ');
    if (!world->layout.datetime_packed) {
        return bytes_of(world->expected.bytes, world->expected.size);
    }
    (void)snprintf(text, sizeof text, "%s", buffer_text(&world->expected));
    must(sscanf(text, "%u-%u-%u %u:%u:%u.%u", &year, &month, &day, &hour, &minute, &second, &fraction) == 7);
    return number((uint64_t)year << 46 | (uint64_t)month << 42 | (uint64_t)day << 37 | (uint64_t)hour << 32 |
                  (uint64_t)minute << 26 | (uint64_t)second << 20 | fraction);
}

static struct field integer(struct world *world, const struct cell *cell, enum bigquery_type type, bool is_unsigned)
{
    const int64_t exact = INT64_C(1) << 53;

    if (type == BIGQUERY_INT64) {
        return refused_if(is_unsigned && cell->integer < 0, number((uint64_t)cell->integer));
    }
    if (type == BIGQUERY_FLOAT64) {
        return refused_if(cell->integer > exact || cell->integer < (is_unsigned ? 0 : -exact), real((double)cell->integer));
    }
    buffer_printf(&world->expected, is_unsigned ? "%" PRIu64 : "%" PRId64, cell->integer);
    return bytes_of(world->expected.bytes, world->expected.size);
}

static struct field decimal(struct world *world, const struct column *column, const struct cell *cell, enum bigquery_type type)
{
    size_t whole_max = type == BIGQUERY_NUMERIC ? 29 : type == BIGQUERY_BIGNUMERIC ? 38 : SIZE_MAX;
    char text[DECIMAL_TEXT_MAX];
    struct err err;

    must(decimal_to_text(cell->bytes, cell->size, column->scale, text, &err) == 0);
    buffer_append_text(&world->expected, text);
    return refused_if(strcspn(text + (text[0] == '-'), ".") > whole_max, bytes_of(world->expected.bytes, world->expected.size));
}

static struct field expect(struct world *world, size_t i, const struct cell *cell)
{
    const struct column *column = &world->table->columns[i];
    enum bigquery_type type = world->columns[i].type;

    buffer_clear(&world->expected);
    if (cell->state == CELL_NULL || world->targets[i] == ROW_NO_TARGET) {
        return (struct field){.absent = true};
    }
    switch (column->type) {
    case COLUMN_LONG:
    case COLUMN_TIME:
    case COLUMN_YEAR:
    case COLUMN_ULONG:
        return integer(world, cell, type, column->type == COLUMN_ULONG);
    case COLUMN_DECIMAL:
        return decimal(world, column, cell, type);
    case COLUMN_FLOAT:
    case COLUMN_DOUBLE:
        return real(cell->real);
    case COLUMN_BOOLEAN:
        return number((uint64_t)cell->integer);
    case COLUMN_BYTES:
        return bytes_of(cell->bytes, cell->size);
    case COLUMN_DATE:
        if (cell->integer < ROW_DATE_MIN || cell->integer > ROW_DATE_MAX) {
            return (struct field){.refused = true};
        }
        return type == BIGQUERY_DATE ? number((uint64_t)cell->integer) : datetime(world, cell->integer * CIVIL_DAY_US);
    case COLUMN_DATETIME:
        return datetime(world, cell->integer);
    case COLUMN_TIMESTAMP:
        return refused_if(cell->integer < ROW_MICROS_MIN || cell->integer > ROW_MICROS_MAX, number((uint64_t)cell->integer));
    case COLUMN_JSON:
        return refused_if(cell->size == 0 || !utf8_valid((const char *)cell->bytes, cell->size),
                          bytes_of(cell->bytes, cell->size));
    case COLUMN_DECIMAL_TEXT:
    case COLUMN_TEXT:
        return refused_if(!utf8_valid((const char *)cell->bytes, cell->size), bytes_of(cell->bytes, cell->size));
    case COLUMN_TYPE_COUNT:
        break;
    }
    abort();
}

/* Is the field in the row just that? */
static void check_field(const struct buffer *row, size_t place, const struct field *expected)
{
    struct protobuf_reader reader = protobuf_read(row->bytes, row->size);
    struct protobuf_field field;
    size_t found = 0;

    while (protobuf_next(&reader, &field)) {
        if (field.number == descriptor_field(place)) {
            found++;
            must(field.wire == expected->wire);
            must(field.wire == PROTOBUF_BYTES || field.value == expected->value);
            must(field.wire != PROTOBUF_BYTES ||
                 (field.size == expected->size && (field.size == 0 || memcmp(field.bytes, expected->bytes, field.size) == 0)));
        }
    }
    must(reader.bad == NULL && found == !expected->absent);
}

static struct field expect_meta(const struct record_meta *meta, enum bigquery_meta which)
{
    switch (which) {
    case BIGQUERY_META_OP:
        return bytes_of(&meta->op, 1);
    case BIGQUERY_META_TS:
        return refused_if(meta->ts_us < ROW_MICROS_MIN || meta->ts_us > ROW_MICROS_MAX, number((uint64_t)meta->ts_us));
    case BIGQUERY_META_SEQ:
        return number((uint64_t)meta->seq);
    case BIGQUERY_META_IDX:
        return number((uint64_t)meta->idx);
    case BIGQUERY_META_SOURCE:
        return refused_if(!utf8_valid(meta->source, meta->source_size), bytes_of(meta->source, meta->source_size));
    case BIGQUERY_META_TXID:
        return refused_if(!utf8_valid(meta->txid, meta->txid_size), bytes_of(meta->txid, meta->txid_size));
    case BIGQUERY_META_INGEST_DAY:
        return number(INGEST_DAY);
    case BIGQUERY_META_COUNT:
        break;
    }
    abort();
}

/* row NULL: only whether all of it can be held. */
static bool check_row(struct world *world, const struct cell *cells, const struct record_meta *meta, const struct buffer *row)
{
    size_t count = world->table->column_count;
    bool refused = false;

    for (size_t i = 0; i < count + BIGQUERY_META_COUNT; i++) {
        struct field field = i < count ? expect(world, i, &cells[i]) : expect_meta(meta, (enum bigquery_meta)(i - count));

        refused = refused || field.refused;
        if (row != NULL) {
            must(!field.refused);
            check_field(row, i, &field);
        }
    }
    return !refused;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct world world;
    struct cell cells[COLUMNS_MAX];
    struct record_meta meta;
    struct row_program *program;
    struct buffer row = {0};
    struct err err;
    size_t taken = world_init(&world, bytes, size);
    bool is_record = record_decode_value(world.table, bytes + taken, size - taken, cells, &meta, &err) == 0;

    must(row_program_new(world.table, &world.layout, world.targets, &program, &err) == 0);
    if (row_program_append(program, bytes + taken, size - taken, INGEST_DAY, &row, &err) == 0) {
        must(is_record);
        (void)check_row(&world, cells, &meta, &row);
    } else {
        must(err.class == ERR_POISON && row.size == 0);
        must(!is_record || !check_row(&world, cells, &meta, NULL));
    }
    row_program_free(program);
    buffer_deinit(&row);
    world_deinit(&world);
    return 0;
}
