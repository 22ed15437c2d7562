/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program is a list of steps, one for each Avro field in the order of the Avro bytes. A step is a function (`long_to_varint`:
 * what stands in Avro, what goes into the row) and what it needs: the tag of the field in the row, the scale of a decimal.
 *
 * Running it is one walk over both sides: a cursor in the Avro bytes, a pointer where the row goes on. There is no second pass
 * and no growing on the way: a row is at most as long as its message plus what each step can add (a number of one Avro byte may
 * become a text of 20), a sum that the compiler makes. The buffer grows once, and its size moves only when the whole row is
 * right, so on an error nothing is appended.
 *
 * The cursor remembers the first thing wrong and then stands at the end, where each take gives zero; so one check a field is
 * enough, and what a step writes after something went wrong is bounded like everything that it writes.
 *
 * The rules of the Avro bytes are those of schemas/record.c: what one of the two refuses as no record, the other refuses too
 * (the fuzzer compares them).
 */
#include "workers/bigquery/row_program.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "common/utf8.h"
#include "workers/bigquery/descriptor.h"
#include "schemas/civil.h"
#include "workers/bigquery/protobuf.h"
#include "workers/bigquery/row_value.h"

_Static_assert(sizeof(float) == 4 && sizeof(double) == 8 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the floats and doubles of Avro and protobuf are IEEE, little-endian: copied as they are");

#define UNION_NULL  0
#define UNION_VALUE 2
#define TAG_MAX     4                  /* bytes; written whole, whatever the tag's size: the next thing goes over the rest */
#define EXACT_MAX   (INT64_C(1) << 53) /* up to here, each integer is a double */

struct walk {
    const uint8_t *at;
    const uint8_t *end;
    uint8_t *to;
    const char *bad; /* the first thing wrong, or NULL */
};

struct step {
    void (*run)(struct walk *walk, const struct step *step);
    uint8_t tag[TAG_MAX];
    uint8_t tag_size;
    bool nullable;            /* a union with null stands in front */
    uint8_t scale;            /* of a decimal */
    uint8_t whole_digits_max; /* of a decimal: digits before the point that every value of the type may have */
};

#define META_STEPS BIGQUERY_META_INGEST_DAY /* the metadata in the Avro record: all but the last */

struct row_program {
    const struct table *table; /* for errors; borrowed */
    size_t growth;             /* how much longer than its Avro bytes a row can be */
    struct step ingest_day;
    size_t step_count;
    struct step steps[]; /* the columns, then META_STEPS */
};

static const char op_letters[] = "cudrt"; /* in the order of the enum's symbols */

/* ---- running: the Avro side */

static void spoil(struct walk *walk, const char *why)
{
    if (walk->bad == NULL) {
        walk->bad = why;
    }
    walk->at = walk->end;
}

static inline uint64_t take_varint(struct walk *walk)
{
    const uint8_t *at = walk->at;
    uint64_t value = 0;

    for (unsigned shift = 0; at != walk->end; shift += 7) {
        uint8_t byte = *at++;

        if (shift == 63 && byte > 1) {
            spoil(walk, "a number of more than 64 bits");
            return 0;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            walk->at = at;
            return value;
        }
    }
    spoil(walk, "the bytes end too early");
    return 0;
}

static inline int64_t take_long(struct walk *walk)
{
    uint64_t value = take_varint(walk);

    return (int64_t)(value >> 1 ^ -(value & 1));
}

static inline int64_t take_int(struct walk *walk)
{
    int64_t value = take_long(walk);

    if (value < INT32_MIN || value > INT32_MAX) {
        spoil(walk, "a number of more than 32 bits");
        return 0;
    }
    return value;
}

/* Bytes of a size that is known, or NULL. */
static inline const uint8_t *take(struct walk *walk, size_t size)
{
    const uint8_t *bytes = walk->at;

    if (size > (size_t)(walk->end - walk->at)) {
        spoil(walk, "the bytes end too early");
        return NULL;
    }
    walk->at += size;
    return bytes;
}

/* Bytes with their size in front, or NULL. */
static inline const uint8_t *take_bytes(struct walk *walk, size_t *ret_size)
{
    int64_t size = take_long(walk);

    if (size < 0) {
        spoil(walk, "a negative length");
        return NULL;
    }
    *ret_size = (size_t)size;
    return take(walk, (size_t)size);
}

static inline const uint8_t *take_decimal(struct walk *walk, size_t *ret_size)
{
    const uint8_t *bytes = take_bytes(walk, ret_size);

    if (bytes != NULL && (*ret_size == 0 || *ret_size > DECIMAL_BYTES_MAX)) {
        spoil(walk, "a decimal of no or too many bytes");
        return NULL;
    }
    return bytes;
}

static uint64_t take_ulong(struct walk *walk)
{
    size_t size;
    const uint8_t *bytes = take_bytes(walk, &size);
    uint64_t value = 0;
    struct err err;

    if (bytes != NULL && decimal_to_u64(bytes, size, &value, &err) != 0) {
        spoil(walk, "a number outside of 0 to 18446744073709551615");
    }
    return value;
}

static double take_float(struct walk *walk)
{
    const uint8_t *bytes = take(walk, sizeof(float));
    float real = 0;

    if (bytes != NULL) {
        memcpy(&real, bytes, sizeof real);
    }
    return (double)real;
}

static double take_double(struct walk *walk)
{
    const uint8_t *bytes = take(walk, sizeof(double));
    double real = 0;

    if (bytes != NULL) {
        memcpy(&real, bytes, sizeof real);
    }
    return real;
}

static uint64_t take_boolean(struct walk *walk)
{
    const uint8_t *byte = take(walk, 1);

    if (byte != NULL && *byte > 1) {
        spoil(walk, "a boolean that is neither 0 nor 1");
    }
    return byte != NULL && *byte != 0;
}

static int64_t take_day(struct walk *walk)
{
    int64_t days = take_int(walk);

    if (days < ROW_DATE_MIN || days > ROW_DATE_MAX) {
        spoil(walk, "a date outside of the years 1 to 9999");
        return 0;
    }
    return days;
}

static inline int64_t take_micros(struct walk *walk)
{
    int64_t micros = take_long(walk);

    if (micros < ROW_MICROS_MIN || micros > ROW_MICROS_MAX) {
        spoil(walk, "a time outside of the years 1 to 9999");
        return 0;
    }
    return micros;
}

/* ---- running: the row's side */

static inline uint8_t *put_tag(uint8_t *to, const struct step *step)
{
    memcpy(to, step->tag, TAG_MAX);
    return to + step->tag_size;
}

static inline void put_varint(struct walk *walk, const struct step *step, uint64_t value)
{
    uint8_t *to = put_tag(walk->to, step);

    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    walk->to = to;
}

static inline void put_double(struct walk *walk, const struct step *step, double real)
{
    uint8_t *to = put_tag(walk->to, step);

    memcpy(to, &real, sizeof real);
    walk->to = to + sizeof real;
}

static inline void put_bytes(struct walk *walk, const struct step *step, const uint8_t *bytes, size_t size)
{
    uint8_t *to = protobuf_write_varint(put_tag(walk->to, step), size);

    memcpy(to, bytes, size);
    walk->to = to + size;
}

/* A short text that is made in place: it begins at what this gives, and put_end says where it ended. */
static inline uint8_t *put_begin(struct walk *walk, const struct step *step)
{
    return put_tag(walk->to, step) + 1;
}

static inline void put_end(struct walk *walk, uint8_t *begin, uint8_t *end)
{
    must(end - begin < 0x80);
    begin[-1] = (uint8_t)(end - begin);
    walk->to = end;
}

/* ---- running: the steps */

static void long_skip(struct walk *walk, const struct step *step)
{
    (void)step;
    (void)take_long(walk);
}

static void long_to_varint(struct walk *walk, const struct step *step)
{
    put_varint(walk, step, (uint64_t)take_long(walk));
}

static void long_to_text(struct walk *walk, const struct step *step)
{
    int64_t value = take_long(walk);
    uint8_t *begin = put_begin(walk, step);

    put_end(walk, begin, row_put_integer(begin, value));
}

static void long_to_double(struct walk *walk, const struct step *step)
{
    int64_t value = take_long(walk);

    if (value < -EXACT_MAX || value > EXACT_MAX) {
        spoil(walk, "a number that FLOAT64 does not hold exactly");
    }
    put_double(walk, step, (double)value);
}

/* The same of a number that has 32 bits: one with more is no record. */
static void int_skip(struct walk *walk, const struct step *step)
{
    (void)step;
    (void)take_int(walk);
}

static void int_to_varint(struct walk *walk, const struct step *step)
{
    put_varint(walk, step, (uint64_t)take_int(walk));
}

static void int_to_text(struct walk *walk, const struct step *step)
{
    int64_t value = take_int(walk);
    uint8_t *begin = put_begin(walk, step);

    put_end(walk, begin, row_put_integer(begin, value));
}

static void int_to_double(struct walk *walk, const struct step *step)
{
    put_double(walk, step, (double)take_int(walk));
}

static void ulong_skip(struct walk *walk, const struct step *step)
{
    (void)step;
    (void)take_ulong(walk);
}

static void ulong_to_varint(struct walk *walk, const struct step *step)
{
    uint64_t value = take_ulong(walk);

    if (value > INT64_MAX) {
        spoil(walk, "a number that INT64 does not hold");
    }
    put_varint(walk, step, value);
}

static void ulong_to_text(struct walk *walk, const struct step *step)
{
    uint64_t value = take_ulong(walk);
    uint8_t *begin = put_begin(walk, step);

    put_end(walk, begin, row_put_unsigned(begin, value));
}

static void ulong_to_double(struct walk *walk, const struct step *step)
{
    uint64_t value = take_ulong(walk);

    if (value > EXACT_MAX) {
        spoil(walk, "a number that FLOAT64 does not hold exactly");
    }
    put_double(walk, step, (double)value);
}

static void decimal_skip(struct walk *walk, const struct step *step)
{
    size_t size;

    (void)step;
    (void)take_decimal(walk, &size);
}

static void decimal_text(struct walk *walk, const struct step *step)
{
    size_t size;
    const uint8_t *bytes = take_decimal(walk, &size);
    uint8_t *begin = put_begin(walk, step);
    uint8_t *end;

    if (bytes == NULL) {
        return;
    }
    end = row_put_decimal(begin, bytes, size, step->scale, step->whole_digits_max);
    if (end == NULL) {
        spoil(walk, "a decimal with more digits than its type in BigQuery holds");
        return;
    }
    put_end(walk, begin, end);
}

static void float_skip(struct walk *walk, const struct step *step)
{
    (void)step;
    (void)take_float(walk);
}

static void float_to_double(struct walk *walk, const struct step *step)
{
    put_double(walk, step, take_float(walk));
}

static void double_skip(struct walk *walk, const struct step *step)
{
    (void)step;
    (void)take_double(walk);
}

static void double_to_double(struct walk *walk, const struct step *step)
{
    put_double(walk, step, take_double(walk));
}

static void boolean_skip(struct walk *walk, const struct step *step)
{
    (void)step;
    (void)take_boolean(walk);
}

static void boolean_to_varint(struct walk *walk, const struct step *step)
{
    put_varint(walk, step, take_boolean(walk));
}

static void bytes_skip(struct walk *walk, const struct step *step)
{
    size_t size;

    (void)step;
    (void)take_bytes(walk, &size);
}

static void bytes_to_bytes(struct walk *walk, const struct step *step)
{
    size_t size;
    const uint8_t *bytes = take_bytes(walk, &size);

    if (bytes != NULL) {
        put_bytes(walk, step, bytes, size);
    }
}

/* The same, and nothing but UTF-8. */
static void bytes_to_text(struct walk *walk, const struct step *step)
{
    size_t size;
    const uint8_t *bytes = take_bytes(walk, &size);

    if (bytes != NULL && !utf8_valid((const char *)bytes, size)) {
        spoil(walk, "a text that is not UTF-8");
    } else if (bytes != NULL) {
        put_bytes(walk, step, bytes, size);
    }
}

/* The same, and not empty. Whether it is JSON, BigQuery says. */
static void bytes_to_json(struct walk *walk, const struct step *step)
{
    const uint8_t *at = walk->at;

    if (take_long(walk) == 0) {
        spoil(walk, "an empty JSON text");
    } else if (walk->bad == NULL) {
        walk->at = at;
        bytes_to_text(walk, step);
    }
}

static void date_to_varint(struct walk *walk, const struct step *step)
{
    put_varint(walk, step, (uint64_t)take_day(walk));
}

static void date_to_datetime(struct walk *walk, const struct step *step)
{
    int64_t days = take_day(walk);
    uint8_t *begin = put_begin(walk, step);

    put_end(walk, begin, row_put_datetime(begin, days * CIVIL_DAY_US));
}

static void date_to_packed(struct walk *walk, const struct step *step)
{
    put_varint(walk, step, row_pack_datetime(take_day(walk) * CIVIL_DAY_US));
}

static void timestamp_to_varint(struct walk *walk, const struct step *step)
{
    put_varint(walk, step, (uint64_t)take_micros(walk));
}

static void datetime_to_text(struct walk *walk, const struct step *step)
{
    int64_t micros = take_micros(walk);
    uint8_t *begin = put_begin(walk, step);

    put_end(walk, begin, row_put_datetime(begin, micros));
}

static void datetime_to_packed(struct walk *walk, const struct step *step)
{
    put_varint(walk, step, row_pack_datetime(take_micros(walk)));
}

static void operation_to_text(struct walk *walk, const struct step *step)
{
    const uint8_t *byte = take(walk, 1);
    uint8_t *begin = put_begin(walk, step);

    if (byte != NULL && (*byte % 2 != 0 || *byte / 2 >= (int)sizeof op_letters - 1)) {
        spoil(walk, "an unknown operation");
    }
    if (walk->bad == NULL) {
        *begin = (uint8_t)op_letters[*byte / 2];
        put_end(walk, begin, begin + 1);
    }
}

/* ---- compiling */

#define NUMERIC_WHOLE_DIGITS    29
#define BIGNUMERIC_WHOLE_DIGITS 38 /* of 39 only some */

typedef void (*step_run)(struct walk *walk, const struct step *step);

static bool is_numeric(enum bigquery_type type)
{
    return type == BIGQUERY_NUMERIC || type == BIGQUERY_BIGNUMERIC;
}

static enum row_fit always_if(bool fits)
{
    return fits ? ROW_FIT_ALWAYS : ROW_FIT_NEVER;
}

static enum row_fit fit_integer(enum column_type column_type, enum bigquery_type type)
{
    if (type == BIGQUERY_FLOAT64 && column_type != COLUMN_YEAR) {
        return ROW_FIT_BY_VALUE;
    }
    if (type == BIGQUERY_INT64 && column_type == COLUMN_ULONG) {
        return ROW_FIT_BY_VALUE;
    }
    return always_if(type == BIGQUERY_INT64 || type == BIGQUERY_FLOAT64 || is_numeric(type) || type == BIGQUERY_STRING);
}

enum row_fit row_fit(const struct column *column, enum bigquery_type type)
{
    switch (column->type) {
    case COLUMN_LONG:
    case COLUMN_TIME:
    case COLUMN_YEAR:
    case COLUMN_ULONG:
        return fit_integer(column->type, type);
    case COLUMN_DECIMAL:
        return always_if(type == bigquery_type_of(column) || type == BIGQUERY_BIGNUMERIC || type == BIGQUERY_STRING);
    case COLUMN_BOOLEAN:
        return always_if(type == BIGQUERY_BOOL || type == BIGQUERY_INT64);
    case COLUMN_DATE:
        return always_if(type == BIGQUERY_DATE || type == BIGQUERY_DATETIME);
    case COLUMN_JSON:
        return always_if(type == BIGQUERY_JSON || type == BIGQUERY_STRING);
    case COLUMN_DECIMAL_TEXT:
    case COLUMN_FLOAT:
    case COLUMN_DOUBLE:
    case COLUMN_BYTES:
    case COLUMN_DATETIME:
    case COLUMN_TIMESTAMP:
    case COLUMN_TEXT:
        return always_if(type == bigquery_type_of(column));
    case COLUMN_TYPE_COUNT:
        break;
    }
    must(!"a column type that row_program.c knows");
    return ROW_FIT_NEVER;
}

/* How a value is read over, and how it goes into each kind of field; NULL where row_fit says NEVER. */
struct steps_of {
    step_run skip;
    step_run varint; /* INT64, BOOL, DATE, TIMESTAMP, and DATETIME packed */
    step_run real;   /* FLOAT64 */
    step_run text;   /* all others */
};

static const struct steps_of steps_of[COLUMN_TYPE_COUNT] = {
    [COLUMN_LONG] = {long_skip, long_to_varint, long_to_double, long_to_text},
    [COLUMN_ULONG] = {ulong_skip, ulong_to_varint, ulong_to_double, ulong_to_text},
    [COLUMN_DECIMAL] = {decimal_skip, NULL, NULL, decimal_text},
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

static step_run run_of(enum column_type column_type, enum bigquery_type type, enum protobuf_wire wire)
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
static size_t growth_of(step_run run, enum protobuf_wire wire)
{
    if (wire == PROTOBUF_VARINT) {
        return PROTOBUF_VARINT_MAX;
    }
    if (wire == PROTOBUF_FIXED64) {
        return sizeof(double);
    }
    return run == bytes_to_bytes || run == bytes_to_text || run == bytes_to_json ? 0 : 1 + ROW_DECIMAL_SIZE;
}

static struct step make_step(struct row_program *program, step_run run, enum protobuf_wire wire, size_t place)
{
    struct step step = {.run = run};
    uint64_t tag = (uint64_t)descriptor_field(place) << 3 | wire;

    must(run != NULL);
    step.tag_size = (uint8_t)protobuf_varint_size(tag);
    must(step.tag_size <= TAG_MAX);
    (void)protobuf_write_varint(step.tag, tag);
    program->growth += TAG_MAX + growth_of(run, wire);
    return step;
}

static int compile_column(struct row_program *program, size_t index, const struct bigquery_layout *layout, size_t place,
                          struct err *err)
{
    const struct table *table = program->table;
    const struct column *column = &table->columns[index];
    struct step *step = &program->steps[index];
    enum bigquery_type type;
    enum protobuf_wire wire;

    if (place == ROW_NO_TARGET) {
        *step = (struct step){.run = steps_of[column->type].skip, .nullable = true};
        return 0;
    }
    must(place < layout->column_count);
    type = layout->columns[place].type;
    if (row_fit(column, type) == ROW_FIT_NEVER) {
        return err_set(err, ERR_POISON, "column %s of %s.%s: %s does not go into the column %s of type %s", column->name,
                       table->database, table->name, column->source_type, layout->columns[place].name,
                       bigquery_type_word(type));
    }
    wire = descriptor_wire(type, layout->datetime_packed);
    *step = make_step(program, run_of(column->type, type, wire), wire, place);
    step->nullable = true;
    step->scale = column->scale;
    step->whole_digits_max = UINT8_MAX;
    if (is_numeric(type)) {
        step->whole_digits_max = type == BIGQUERY_NUMERIC ? NUMERIC_WHOLE_DIGITS : BIGNUMERIC_WHOLE_DIGITS;
    }
    return 0;
}

static const step_run meta_steps[BIGQUERY_META_COUNT] = {
    [BIGQUERY_META_OP] = operation_to_text,      [BIGQUERY_META_TS] = timestamp_to_varint, [BIGQUERY_META_SEQ] = long_to_varint,
    [BIGQUERY_META_IDX] = long_to_varint,        [BIGQUERY_META_SOURCE] = bytes_to_text,   [BIGQUERY_META_TXID] = bytes_to_text,
    [BIGQUERY_META_INGEST_DAY] = date_to_varint,
};

static int compile_meta(struct row_program *program, enum bigquery_meta meta, const struct bigquery_layout *layout,
                        struct err *err)
{
    const struct bigquery_column *column = &bigquery_meta_columns[meta];
    const struct table *table = program->table;
    size_t place = bigquery_layout_find(layout, column->name);
    struct step step;

    if (place == layout->column_count || layout->columns[place].type != column->type) {
        return err_set(err, ERR_FATAL, "the history of %s.%s has no column %s of type %s", table->database, table->name,
                       column->name, bigquery_type_word(column->type));
    }
    step = make_step(program, meta_steps[meta], descriptor_wire(column->type, layout->datetime_packed), place);
    if (meta == BIGQUERY_META_INGEST_DAY) {
        program->ingest_day = step;
    } else {
        program->steps[table->column_count + meta] = step;
    }
    return 0;
}

int row_program_new(const struct table *table, const struct bigquery_layout *layout, const size_t *targets,
                    struct row_program **ret_program, struct err *err)
{
    size_t step_count = table->column_count + META_STEPS;
    struct row_program *program = calloc(1, sizeof *program + step_count * sizeof *program->steps);

    must(program != NULL);
    program->table = table;
    program->step_count = step_count;
    for (size_t i = 0; i < table->column_count; i++) {
        if (compile_column(program, i, layout, targets[i], err) != 0) {
            goto out;
        }
    }
    for (int meta = 0; meta < BIGQUERY_META_COUNT; meta++) {
        if (compile_meta(program, (enum bigquery_meta)meta, layout, err) != 0) {
            goto out;
        }
    }
    *ret_program = program;
    return 0;
out:
    row_program_free(program);
    return -1;
}

void row_program_free(struct row_program *program)
{
    free(program);
}

/* ---- running */

static int refuse(const struct row_program *program, size_t step, const char *why, struct err *err)
{
    const struct table *table = program->table;
    const char *column =
        step < table->column_count ? table->columns[step].name : bigquery_meta_columns[step - table->column_count].name;

    return err_set(err, ERR_POISON, "column %s of %s.%s: %s", column, table->database, table->name, why);
}

/* Is a value there? */
static inline bool take_branch(struct walk *walk)
{
    if (walk->at == walk->end) {
        spoil(walk, "the bytes end too early");
        return false;
    }
    switch (*walk->at++) {
    case UNION_NULL:
        return false;
    case UNION_VALUE:
        return true;
    default:
        spoil(walk, "neither null nor a value");
        return false;
    }
}

int row_program_append(const struct row_program *program, const uint8_t *avro, size_t avro_size, int32_t ingest_day,
                       struct buffer *out, struct err *err)
{
    struct walk walk = {.at = avro, .end = avro + avro_size, .to = buffer_reserve(out, avro_size + program->growth)};

    must(ingest_day >= ROW_DATE_MIN && ingest_day <= ROW_DATE_MAX);
    for (size_t i = 0; i < program->step_count; i++) {
        const struct step *step = &program->steps[i];

        if (!step->nullable || take_branch(&walk)) {
            step->run(&walk, step);
        }
        if (walk.bad != NULL) {
            return refuse(program, i, walk.bad, err);
        }
    }
    if (walk.at != walk.end) {
        return err_set(err, ERR_POISON, "a change of %s.%s: bytes behind the end of the record", program->table->database,
                       program->table->name);
    }
    put_varint(&walk, &program->ingest_day, (uint64_t)(int64_t)ingest_day);
    out->size = (size_t)(walk.to - out->bytes);
    return 0;
}
