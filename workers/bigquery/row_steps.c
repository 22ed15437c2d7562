/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names say what a step does: `long_to_varint` reads an Avro long and writes a protobuf varint. The rules of the Avro bytes
 * are those of schemas/record.c: what one of the two refuses as no record, the other refuses too (the fuzzer compares them).
 *
 * A take on a place at the end gives zero, or NULL, and leaves the first thing wrong as it was. So a step looks only where it
 * would write something wrong, and the program checks once a field.
 */
#include "workers/bigquery/row_steps.h"

#include <string.h>

#include "common/must.h"
#include "common/utf8.h"
#include "schemas/civil.h"
#include "workers/bigquery/row_value.h"

_Static_assert(sizeof(float) == 4 && sizeof(double) == 8 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the floats and doubles of Avro and protobuf are IEEE, little-endian: copied as they are");

#define EXACT_MAX (INT64_C(1) << 53) /* up to here, each integer is a double */

static const char op_letters[] = "cudrt"; /* in the order of the enum's symbols */

/* ---- the Avro side */

static void spoil(struct row_place *place, struct row_walk *walk, const char *why)
{
    if (walk->bad == NULL) {
        walk->bad = why;
    }
    place->at = walk->end;
}

static inline uint64_t take_varint(struct row_place *place, struct row_walk *walk)
{
    const uint8_t *at = place->at;
    uint64_t value = 0;

    for (unsigned shift = 0; at != walk->end; shift += 7) {
        uint8_t byte = *at++;

        if (shift == 63 && byte > 1) {
            spoil(place, walk, "a number of more than 64 bits");
            return 0;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            place->at = at;
            return value;
        }
    }
    spoil(place, walk, "the bytes end too early");
    return 0;
}

static inline int64_t take_long(struct row_place *place, struct row_walk *walk)
{
    uint64_t value = take_varint(place, walk);

    return (int64_t)(value >> 1 ^ -(value & 1));
}

static inline int64_t take_int(struct row_place *place, struct row_walk *walk)
{
    int64_t value = take_long(place, walk);

    if (value < INT32_MIN || value > INT32_MAX) {
        spoil(place, walk, "a number of more than 32 bits");
        return 0;
    }
    return value;
}

/* Bytes of a size that is known, or NULL. */
static inline const uint8_t *take(struct row_place *place, struct row_walk *walk, size_t size)
{
    const uint8_t *bytes = place->at;

    if (size > (size_t)(walk->end - place->at)) {
        spoil(place, walk, "the bytes end too early");
        return NULL;
    }
    place->at += size;
    return bytes;
}

/* Bytes with their size in front, or NULL. */
static inline const uint8_t *take_bytes(struct row_place *place, struct row_walk *walk, size_t *ret_size)
{
    int64_t size = take_long(place, walk);

    if (size < 0) {
        spoil(place, walk, "a negative length");
        return NULL;
    }
    *ret_size = (size_t)size;
    return take(place, walk, (size_t)size);
}

static inline const uint8_t *take_decimal(struct row_place *place, struct row_walk *walk, size_t *ret_size)
{
    const uint8_t *bytes = take_bytes(place, walk, ret_size);

    if (bytes != NULL && (*ret_size == 0 || *ret_size > DECIMAL_BYTES_MAX)) {
        spoil(place, walk, "a decimal of no or too many bytes");
        return NULL;
    }
    return bytes;
}

static uint64_t take_ulong(struct row_place *place, struct row_walk *walk)
{
    size_t size;
    const uint8_t *bytes = take_bytes(place, walk, &size);
    uint64_t value = 0;
    struct err err;

    if (bytes != NULL && decimal_to_u64(bytes, size, &value, &err) != 0) {
        spoil(place, walk, "a number outside of 0 to 18446744073709551615");
    }
    return value;
}

static double take_float(struct row_place *place, struct row_walk *walk)
{
    const uint8_t *bytes = take(place, walk, sizeof(float));
    float real = 0;

    if (bytes != NULL) {
        memcpy(&real, bytes, sizeof real);
    }
    return (double)real;
}

static double take_double(struct row_place *place, struct row_walk *walk)
{
    const uint8_t *bytes = take(place, walk, sizeof(double));
    double real = 0;

    if (bytes != NULL) {
        memcpy(&real, bytes, sizeof real);
    }
    return real;
}

static uint64_t take_boolean(struct row_place *place, struct row_walk *walk)
{
    const uint8_t *byte = take(place, walk, 1);

    if (byte != NULL && *byte > 1) {
        spoil(place, walk, "a boolean that is neither 0 nor 1");
    }
    return byte != NULL && *byte != 0;
}

static int64_t take_day(struct row_place *place, struct row_walk *walk)
{
    int64_t days = take_int(place, walk);

    if (days < ROW_DATE_MIN || days > ROW_DATE_MAX) {
        spoil(place, walk, "a date outside of the years 1 to 9999");
        return 0;
    }
    return days;
}

static inline int64_t take_micros(struct row_place *place, struct row_walk *walk)
{
    int64_t micros = take_long(place, walk);

    if (micros < ROW_MICROS_MIN || micros > ROW_MICROS_MAX) {
        spoil(place, walk, "a time outside of the years 1 to 9999");
        return 0;
    }
    return micros;
}

/* ---- the row's side */

static inline uint8_t *put_tag(uint8_t *to, const struct row_step *step)
{
    memcpy(to, step->tag, ROW_TAG_MAX);
    return to + step->tag_size;
}

static inline void put_varint(struct row_place *place, const struct row_step *step, uint64_t value)
{
    uint8_t *to = put_tag(place->to, step);

    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    place->to = to;
}

static inline void put_double(struct row_place *place, const struct row_step *step, double real)
{
    uint8_t *to = put_tag(place->to, step);

    memcpy(to, &real, sizeof real);
    place->to = to + sizeof real;
}

static inline void put_bytes(struct row_place *place, const struct row_step *step, const uint8_t *bytes, size_t size)
{
    uint8_t *to = protobuf_write_varint(put_tag(place->to, step), size);

    memcpy(to, bytes, size);
    place->to = to + size;
}

/* A short text that is made in place: it begins at what this gives, and put_end says where it ended. */
static inline uint8_t *put_begin(struct row_place *place, const struct row_step *step)
{
    return put_tag(place->to, step) + 1;
}

static inline void put_end(struct row_place *place, uint8_t *begin, uint8_t *end)
{
    must(end - begin < 0x80);
    begin[-1] = (uint8_t)(end - begin);
    place->to = end;
}

/* ---- the steps */

static struct row_place long_skip(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    (void)step;
    (void)take_long(&place, walk);
    return place;
}

static struct row_place long_to_varint(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    put_varint(&place, step, (uint64_t)take_long(&place, walk));
    return place;
}

static struct row_place long_to_text(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    int64_t value = take_long(&place, walk);
    uint8_t *begin = put_begin(&place, step);

    put_end(&place, begin, row_put_integer(begin, value));
    return place;
}

static struct row_place long_to_double(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    int64_t value = take_long(&place, walk);

    if (value < -EXACT_MAX || value > EXACT_MAX) {
        spoil(&place, walk, "a number that FLOAT64 does not hold exactly");
    }
    put_double(&place, step, (double)value);
    return place;
}

/* The same of a number that has 32 bits: one with more is no record. */
static struct row_place int_skip(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    (void)step;
    (void)take_int(&place, walk);
    return place;
}

static struct row_place int_to_varint(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    put_varint(&place, step, (uint64_t)take_int(&place, walk));
    return place;
}

static struct row_place int_to_text(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    int64_t value = take_int(&place, walk);
    uint8_t *begin = put_begin(&place, step);

    put_end(&place, begin, row_put_integer(begin, value));
    return place;
}

static struct row_place int_to_double(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    put_double(&place, step, (double)take_int(&place, walk));
    return place;
}

static struct row_place ulong_skip(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    (void)step;
    (void)take_ulong(&place, walk);
    return place;
}

static struct row_place ulong_to_varint(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    uint64_t value = take_ulong(&place, walk);

    if (value > INT64_MAX) {
        spoil(&place, walk, "a number that INT64 does not hold");
    }
    put_varint(&place, step, value);
    return place;
}

static struct row_place ulong_to_text(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    uint64_t value = take_ulong(&place, walk);
    uint8_t *begin = put_begin(&place, step);

    put_end(&place, begin, row_put_unsigned(begin, value));
    return place;
}

static struct row_place ulong_to_double(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    uint64_t value = take_ulong(&place, walk);

    if (value > EXACT_MAX) {
        spoil(&place, walk, "a number that FLOAT64 does not hold exactly");
    }
    put_double(&place, step, (double)value);
    return place;
}

static struct row_place decimal_skip(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    size_t size;

    (void)step;
    (void)take_decimal(&place, walk, &size);
    return place;
}

static struct row_place decimal_to_numeric(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    size_t size;
    const uint8_t *bytes = take_decimal(&place, walk, &size);
    uint8_t *begin = put_begin(&place, step);
    uint8_t *end;

    if (bytes == NULL) {
        return place;
    }
    end = row_put_decimal(begin, bytes, size, step->scale, step->whole_digits_max);
    if (end == NULL) {
        spoil(&place, walk, "a decimal with more digits than its type in BigQuery holds");
        return place;
    }
    put_end(&place, begin, end);
    return place;
}

static struct row_place float_skip(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    (void)step;
    (void)take_float(&place, walk);
    return place;
}

static struct row_place float_to_double(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    put_double(&place, step, take_float(&place, walk));
    return place;
}

static struct row_place double_skip(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    (void)step;
    (void)take_double(&place, walk);
    return place;
}

static struct row_place double_to_double(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    put_double(&place, step, take_double(&place, walk));
    return place;
}

static struct row_place boolean_skip(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    (void)step;
    (void)take_boolean(&place, walk);
    return place;
}

static struct row_place boolean_to_varint(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    put_varint(&place, step, take_boolean(&place, walk));
    return place;
}

static struct row_place bytes_skip(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    size_t size;

    (void)step;
    (void)take_bytes(&place, walk, &size);
    return place;
}

static struct row_place bytes_to_bytes(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    size_t size;
    const uint8_t *bytes = take_bytes(&place, walk, &size);

    if (bytes != NULL) {
        put_bytes(&place, step, bytes, size);
    }
    return place;
}

/* The same, and nothing but UTF-8. */
static struct row_place bytes_to_text(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    size_t size;
    const uint8_t *bytes = take_bytes(&place, walk, &size);

    if (bytes != NULL && !utf8_valid((const char *)bytes, size)) {
        spoil(&place, walk, "a text that is not UTF-8");
    } else if (bytes != NULL) {
        put_bytes(&place, step, bytes, size);
    }
    return place;
}

/* The same, and not empty. Whether it is JSON, BigQuery says. */
static struct row_place bytes_to_json(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    const uint8_t *at = place.at;

    if (take_long(&place, walk) == 0) {
        spoil(&place, walk, "an empty JSON text");
    } else if (walk->bad == NULL) {
        place.at = at;
        place = bytes_to_text(place, walk, step);
    }
    return place;
}

static struct row_place date_to_varint(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    put_varint(&place, step, (uint64_t)take_day(&place, walk));
    return place;
}

static struct row_place date_to_datetime(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    int64_t days = take_day(&place, walk);
    uint8_t *begin = put_begin(&place, step);

    put_end(&place, begin, row_put_datetime(begin, days * CIVIL_DAY_US));
    return place;
}

static struct row_place date_to_packed(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    put_varint(&place, step, row_pack_datetime(take_day(&place, walk) * CIVIL_DAY_US));
    return place;
}

static struct row_place timestamp_to_varint(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    put_varint(&place, step, (uint64_t)take_micros(&place, walk));
    return place;
}

static struct row_place datetime_to_text(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    int64_t micros = take_micros(&place, walk);
    uint8_t *begin = put_begin(&place, step);

    put_end(&place, begin, row_put_datetime(begin, micros));
    return place;
}

static struct row_place datetime_to_packed(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    put_varint(&place, step, row_pack_datetime(take_micros(&place, walk)));
    return place;
}

static struct row_place operation_to_text(struct row_place place, struct row_walk *walk, const struct row_step *step)
{
    const uint8_t *symbol = take(&place, walk, 1);
    uint8_t *begin = put_begin(&place, step);

    if (symbol == NULL) {
        return place;
    }
    if (*symbol % 2 != 0 || *symbol / 2 >= sizeof op_letters - 1) {
        spoil(&place, walk, "an unknown operation");
        return place;
    }
    *begin = (uint8_t)op_letters[*symbol / 2];
    put_end(&place, begin, begin + 1);
    return place;
}

/* ---- which step */

/* How a value is read over, and how it goes into each kind of field; NULL where row_fit says NEVER. */
struct steps_of {
    row_step_run skip;
    row_step_run varint; /* INT64, BOOL, DATE, TIMESTAMP, and DATETIME packed */
    row_step_run real;   /* FLOAT64 */
    row_step_run text;   /* all others */
};

static const struct steps_of steps_of[COLUMN_TYPE_COUNT] = {
    [COLUMN_LONG] = {long_skip, long_to_varint, long_to_double, long_to_text},
    [COLUMN_ULONG] = {ulong_skip, ulong_to_varint, ulong_to_double, ulong_to_text},
    [COLUMN_DECIMAL] = {decimal_skip, NULL, NULL, decimal_to_numeric},
    [COLUMN_DECIMAL_TEXT] = {bytes_skip, NULL, NULL, bytes_to_text},
    [COLUMN_FLOAT] = {float_skip, NULL, float_to_double, NULL},
    [COLUMN_DOUBLE] = {double_skip, NULL, double_to_double, NULL},
    [COLUMN_BOOLEAN] = {boolean_skip, boolean_to_varint, NULL, NULL},
    [COLUMN_BYTES] = {bytes_skip, NULL, NULL, bytes_to_bytes},
    [COLUMN_DATE] = {int_skip, date_to_varint, NULL, date_to_datetime},
    [COLUMN_DATETIME] = {long_skip, datetime_to_packed, NULL, datetime_to_text},
    [COLUMN_TIMESTAMP] = {long_skip, timestamp_to_varint, NULL, NULL},
    [COLUMN_TIME] = {long_skip, long_to_varint, long_to_double, long_to_text},
    [COLUMN_YEAR] = {int_skip, int_to_varint, int_to_double, int_to_text},
    [COLUMN_TEXT] = {bytes_skip, NULL, NULL, bytes_to_text},
    [COLUMN_JSON] = {bytes_skip, NULL, NULL, bytes_to_json},
};

row_step_run row_step_skip(enum column_type column_type)
{
    return steps_of[column_type].skip;
}

row_step_run row_step_into(enum column_type column_type, enum bigquery_type type, enum protobuf_wire wire)
{
    if (column_type == COLUMN_DATE && type == BIGQUERY_DATETIME && wire == PROTOBUF_VARINT) {
        return date_to_packed;
    }
    if (wire == PROTOBUF_VARINT) {
        return steps_of[column_type].varint;
    }
    return wire == PROTOBUF_FIXED64 ? steps_of[column_type].real : steps_of[column_type].text;
}

/* How much longer than in Avro a field can be, behind its tag. Bytes that are copied are not: their size in front takes no
 * more. */
size_t row_step_growth(row_step_run run, enum protobuf_wire wire)
{
    if (wire == PROTOBUF_VARINT) {
        return PROTOBUF_VARINT_MAX;
    }
    if (wire == PROTOBUF_FIXED64) {
        return sizeof(double);
    }
    return run == bytes_to_bytes || run == bytes_to_text || run == bytes_to_json ? 0 : 1 + ROW_DECIMAL_SIZE;
}

row_step_run row_step_meta(enum bigquery_meta meta)
{
    static const row_step_run steps[BIGQUERY_META_INGEST_DAY] = {
        [BIGQUERY_META_OP] = operation_to_text, [BIGQUERY_META_TS] = timestamp_to_varint, [BIGQUERY_META_SEQ] = long_to_varint,
        [BIGQUERY_META_IDX] = long_to_varint,   [BIGQUERY_META_SOURCE] = bytes_to_text,   [BIGQUERY_META_TXID] = bytes_to_text,
    };

    must(meta < BIGQUERY_META_INGEST_DAY);
    return steps[meta];
}
