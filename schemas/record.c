/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding: one pass over the cells finds how many bytes the record can take at most, the buffer grows once, and a second pass
 * writes without asking again. Decoding: a cursor that remembers the first thing wrong; each take on a bad cursor gives zero,
 * so the walk needs one check a column. Nothing is copied: texts and bytes point into the message.
 *
 * A column is a union of null and its type: one byte, 0 or 2 (the long 0 or 1), then the value. Other spellings of these
 * numbers are valid Avro, but nobody writes them to our topics, and they are refused.
 */
#include "schemas/record.h"

#include <openssl/sha.h>
#include <string.h>

#include "common/must.h"
#include "schemas/decimal.h"

_Static_assert(sizeof(float) == 4 && sizeof(double) == 8 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "Avro's float and double are IEEE, little-endian: copied as they are");

#define UNION_NULL    0
#define UNION_VALUE   2
#define LONG_MAX_SIZE 10 /* bytes of the longest long; no fixed-size type and no BIGINT UNSIGNED is longer */
#define HASH_SIZE     16

static const char op_letters[] = "cudrt"; /* in the order of the enum's symbols */

/* ---- writing */

static uint8_t *put_long(uint8_t *to, int64_t value)
{
    uint64_t left = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);

    while (left >= 0x80) {
        *to++ = (uint8_t)(left | 0x80);
        left >>= 7;
    }
    *to++ = (uint8_t)left;
    return to;
}

static uint8_t *put_bytes(uint8_t *to, const void *bytes, size_t size)
{
    to = put_long(to, (int64_t)size);
    if (size > 0) {
        memcpy(to, bytes, size);
    }
    return to + size;
}

static uint8_t *put_value(uint8_t *to, enum column_type type, const struct cell *cell)
{
    uint8_t bytes[DECIMAL_U64_BYTES_MAX];
    float real;

    switch (type) {
    case COLUMN_LONG:
    case COLUMN_DATE:
    case COLUMN_DATETIME:
    case COLUMN_TIMESTAMP:
    case COLUMN_TIME:
    case COLUMN_YEAR:
        return put_long(to, cell->integer);
    case COLUMN_ULONG:
        return put_bytes(to, bytes, decimal_from_u64((uint64_t)cell->integer, bytes));
    case COLUMN_FLOAT:
        real = (float)cell->real;
        memcpy(to, &real, sizeof real);
        return to + sizeof real;
    case COLUMN_DOUBLE:
        memcpy(to, &cell->real, sizeof cell->real);
        return to + sizeof cell->real;
    case COLUMN_BOOLEAN:
        *to = cell->integer != 0;
        return to + 1;
    case COLUMN_DECIMAL:
    case COLUMN_DECIMAL_TEXT:
    case COLUMN_BYTES:
    case COLUMN_TEXT:
    case COLUMN_JSON:
        return put_bytes(to, cell->bytes, cell->size);
    case COLUMN_TYPE_COUNT:
        break;
    }
    must(!"a column type that record.c knows");
    return NULL;
}

static bool has_bytes(enum column_type type)
{
    switch (type) {
    case COLUMN_DECIMAL:
    case COLUMN_DECIMAL_TEXT:
    case COLUMN_BYTES:
    case COLUMN_TEXT:
    case COLUMN_JSON:
        return true;
    default:
        return false;
    }
}

/* At most so many bytes does one column take. */
static size_t cell_bound(enum column_type type, const struct cell *cell)
{
    return 1 + LONG_MAX_SIZE + (cell->state == CELL_VALUE && has_bytes(type) ? cell->size : 0);
}

static size_t row_bound(const struct table *table, const struct cell *cells)
{
    size_t bound = 0;

    for (size_t i = 0; i < table->column_count; i++) {
        bound += cell_bound(table->columns[i].type, &cells[i]);
    }
    return bound;
}

static int refuse(const struct table *table, size_t column, const char *why, struct err *err)
{
    return err_set(err, ERR_POISON, "column %s of %s.%s: %s", table->columns[column].name, table->database, table->name, why);
}

/* Returns where the next byte goes, or NULL and err. */
static uint8_t *put_columns(uint8_t *to, const struct table *table, const struct cell *cells, struct err *err)
{
    for (size_t i = 0; i < table->column_count; i++) {
        switch (cells[i].state) {
        case CELL_NULL:
            *to++ = UNION_NULL;
            break;
        case CELL_VALUE:
            *to++ = UNION_VALUE;
            to = put_value(to, table->columns[i].type, &cells[i]);
            break;
        case CELL_UNREPRESENTABLE:
            (void)refuse(table, i, "a value that the column's type can't hold", err);
            return NULL;
        }
    }
    return to;
}

static uint8_t *put_meta(uint8_t *to, const struct record_meta *meta)
{
    const char *op = strchr(op_letters, meta->op);

    must(op != NULL && meta->op != '\0');
    to = put_long(to, op - op_letters);
    to = put_long(to, meta->ts_us);
    to = put_long(to, meta->seq);
    to = put_long(to, meta->idx);
    to = put_bytes(to, meta->source, meta->source_size);
    return put_bytes(to, meta->txid, meta->txid_size);
}

int record_encode_value(struct buffer *out, const struct table *table, const struct cell *cells, const struct record_meta *meta,
                        struct err *err)
{
    size_t columns_bound = cells != NULL ? row_bound(table, cells) : table->column_count;
    uint8_t *to = buffer_reserve(out, columns_bound + 6 * (size_t)LONG_MAX_SIZE + meta->source_size + meta->txid_size);

    if (cells == NULL) {
        memset(to, UNION_NULL, table->column_count);
        to += table->column_count;
    } else {
        to = put_columns(to, table, cells, err);
        if (to == NULL) {
            return -1;
        }
    }
    out->size = (size_t)(put_meta(to, meta) - out->bytes);
    return 0;
}

int record_encode_key(struct buffer *out, const struct table *table, const struct cell *cells, struct err *err)
{
    size_t bound = 0;
    uint8_t *to;

    must(table->key_count > 0);
    for (size_t i = 0; i < table->key_count; i++) {
        bound += cell_bound(table->columns[table->key[i]].type, &cells[table->key[i]]);
    }
    to = buffer_reserve(out, bound);
    for (size_t i = 0; i < table->key_count; i++) {
        size_t column = table->key[i];

        if (cells[column].state == CELL_NULL) {
            return refuse(table, column, "a null in the primary key", err);
        }
        if (cells[column].state == CELL_UNREPRESENTABLE) {
            return refuse(table, column, "a value in the primary key that the column's type can't hold", err);
        }
        to = put_value(to, table->columns[column].type, &cells[column]);
    }
    out->size = (size_t)(to - out->bytes);
    return 0;
}

/* The row is encoded behind the end of the buffer, and the hash takes its place. */
int record_encode_hash_key(struct buffer *out, const struct table *table, const struct cell *cells, struct err *err)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    uint8_t *start = buffer_reserve(out, row_bound(table, cells) + 1 + HASH_SIZE);
    uint8_t *end = put_columns(start, table, cells, err);

    if (end == NULL) {
        return -1;
    }
    (void)SHA256(start, (size_t)(end - start), digest);
    out->size = (size_t)(put_bytes(start, digest, HASH_SIZE) - out->bytes);
    return 0;
}

static bool cell_same(enum column_type type, const struct cell *one, const struct cell *other)
{
    if (one->state != other->state) {
        return false;
    }
    if (one->state == CELL_NULL) {
        return true;
    }
    if (one->state == CELL_UNREPRESENTABLE || has_bytes(type)) {
        return one->size == other->size && (one->size == 0 || memcmp(one->bytes, other->bytes, one->size) == 0);
    }
    return one->integer == other->integer; /* of a real number: its bits */
}

bool record_key_same(const struct table *table, const struct cell *one, const struct cell *other)
{
    for (size_t i = 0; i < table->key_count; i++) {
        size_t column = table->key[i];

        if (!cell_same(table->columns[column].type, &one[column], &other[column])) {
            return false;
        }
    }
    return true;
}

/* ---- reading */

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    const char *bad; /* the first thing wrong, or NULL */
};

static void spoil(struct cursor *cursor, const char *why)
{
    if (cursor->bad == NULL) {
        cursor->bad = why;
    }
    cursor->at = cursor->end;
}

static uint8_t take_byte(struct cursor *cursor)
{
    if (cursor->at == cursor->end) {
        spoil(cursor, "the bytes end too early");
        return 0;
    }
    return *cursor->at++; /* NOLINT(clang-analyzer-core.NullDereference): it is below the end; the analyzer lost count */
}

static int64_t zigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ -(value & 1));
}

static int64_t take_varint(struct cursor *cursor)
{
    const uint8_t *at = cursor->at;
    uint64_t value = 0;

    for (unsigned shift = 0; at < cursor->end; shift += 7) {
        uint8_t byte = *at++;

        if (shift == 63 && byte > 1) {
            spoil(cursor, "a number of more than 64 bits");
            return 0;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            cursor->at = at;
            return zigzag(value);
        }
    }
    spoil(cursor, "the bytes end too early");
    return 0;
}

/* The lengths of most texts, and most numbers of a row, are one byte: they are taken on the spot. */
static inline int64_t take_long(struct cursor *cursor)
{
    if (cursor->at < cursor->end && *cursor->at < 0x80) {
        return zigzag(*cursor->at++);
    }
    return take_varint(cursor);
}

static int64_t take_int(struct cursor *cursor)
{
    int64_t value = take_long(cursor);

    if (value < INT32_MIN || value > INT32_MAX) {
        spoil(cursor, "a number of more than 32 bits");
        return 0;
    }
    return value;
}

static const uint8_t *take(struct cursor *cursor, size_t size)
{
    const uint8_t *bytes = cursor->at;

    if (size > (size_t)(cursor->end - cursor->at)) {
        spoil(cursor, "the bytes end too early");
        return NULL;
    }
    cursor->at += size;
    return bytes;
}

static const uint8_t *take_bytes(struct cursor *cursor, size_t *ret_size)
{
    int64_t size = take_long(cursor);
    const uint8_t *bytes = NULL;

    if (size < 0) {
        spoil(cursor, "a negative length");
    } else {
        bytes = take(cursor, (size_t)size);
    }
    *ret_size = bytes != NULL ? (size_t)size : 0;
    return bytes;
}

static double take_float(struct cursor *cursor)
{
    const uint8_t *bytes = take(cursor, sizeof(float));
    float real = 0;

    if (bytes != NULL) {
        memcpy(&real, bytes, sizeof real);
    }
    return (double)real;
}

static double take_double(struct cursor *cursor)
{
    const uint8_t *bytes = take(cursor, sizeof(double));
    double real = 0;

    if (bytes != NULL) {
        memcpy(&real, bytes, sizeof real);
    }
    return real;
}

static int64_t take_boolean(struct cursor *cursor)
{
    uint8_t byte = take_byte(cursor);

    if (byte > 1) {
        spoil(cursor, "a boolean that is neither 0 nor 1");
    }
    return byte;
}

static int64_t take_ulong(struct cursor *cursor)
{
    size_t size;
    const uint8_t *bytes = take_bytes(cursor, &size);
    uint64_t value = 0;
    struct err err;

    if (bytes != NULL && decimal_to_u64(bytes, size, &value, &err) != 0) {
        spoil(cursor, "a number outside of 0 to 18446744073709551615");
    }
    return (int64_t)value;
}

static void take_decimal(struct cursor *cursor, struct cell *cell)
{
    cell->bytes = take_bytes(cursor, &cell->size);
    if (cell->size == 0 || cell->size > DECIMAL_BYTES_MAX) {
        spoil(cursor, "a decimal of no or too many bytes");
    }
}

static void take_value(struct cursor *cursor, enum column_type type, struct cell *cell)
{
    switch (type) {
    case COLUMN_LONG:
    case COLUMN_DATETIME:
    case COLUMN_TIMESTAMP:
    case COLUMN_TIME:
        cell->integer = take_long(cursor);
        break;
    case COLUMN_DATE:
    case COLUMN_YEAR:
        cell->integer = take_int(cursor);
        break;
    case COLUMN_ULONG:
        cell->integer = take_ulong(cursor);
        break;
    case COLUMN_FLOAT:
        cell->real = take_float(cursor);
        break;
    case COLUMN_DOUBLE:
        cell->real = take_double(cursor);
        break;
    case COLUMN_BOOLEAN:
        cell->integer = take_boolean(cursor);
        break;
    case COLUMN_DECIMAL:
        take_decimal(cursor, cell);
        break;
    case COLUMN_DECIMAL_TEXT:
    case COLUMN_BYTES:
    case COLUMN_TEXT:
    case COLUMN_JSON:
        cell->bytes = take_bytes(cursor, &cell->size);
        break;
    case COLUMN_TYPE_COUNT:
        must(!"a column type that record.c knows");
    }
}

static void take_cell(struct cursor *cursor, enum column_type type, struct cell *cell)
{
    uint8_t branch = take_byte(cursor);

    *cell = (struct cell){.state = CELL_NULL};
    if (branch == UNION_VALUE) {
        cell->state = CELL_VALUE;
        take_value(cursor, type, cell);
    } else if (branch != UNION_NULL) {
        spoil(cursor, "neither null nor a value");
    }
}

static void take_meta(struct cursor *cursor, struct record_meta *meta)
{
    uint8_t op = take_byte(cursor);

    if (op % 2 != 0 || op / 2 >= sizeof op_letters - 1) {
        spoil(cursor, "an unknown operation");
        op = 0;
    }
    meta->op = op_letters[op / 2];
    meta->ts_us = take_long(cursor);
    meta->seq = take_long(cursor);
    meta->idx = take_long(cursor);
    meta->source = (const char *)take_bytes(cursor, &meta->source_size);
    meta->txid = (const char *)take_bytes(cursor, &meta->txid_size);
    if (cursor->bad == NULL && cursor->at != cursor->end) {
        spoil(cursor, "bytes behind the end of the record");
    }
}

int record_decode_value(const struct table *table, const uint8_t *bytes, size_t size, struct cell *cells,
                        struct record_meta *ret_meta, struct err *err)
{
    struct cursor cursor = {bytes, bytes + size, NULL};

    for (size_t i = 0; i < table->column_count; i++) {
        take_cell(&cursor, table->columns[i].type, &cells[i]);
        if (cursor.bad != NULL) {
            return refuse(table, i, cursor.bad, err);
        }
    }
    take_meta(&cursor, ret_meta);
    if (cursor.bad != NULL) {
        return err_set(err, ERR_POISON, "the metadata of a change of %s.%s: %s", table->database, table->name, cursor.bad);
    }
    return 0;
}
