/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program is a list of steps (row_steps.h), one for each Avro field in the order of the Avro bytes.
 *
 * Running it is one walk over both sides. There is no second pass and no growing on the way: a row is at most as long as its
 * message plus what each step can add (a number of one Avro byte may become a text of 20), a sum that the compiler makes. The
 * buffer grows once, and its size moves only when the whole row is right, so on an error nothing is appended.
 *
 * Fields stand in the row in the order of the Avro bytes, not of their numbers; protobuf asks for no order.
 */
#include "workers/bigquery/row_program.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/must.h"
#include "workers/bigquery/descriptor.h"
#include "workers/bigquery/protobuf.h"
#include "workers/bigquery/row_steps.h"
#include "workers/bigquery/row_value.h"

#define UNION_NULL  0
#define UNION_VALUE 2

#define META_STEPS BIGQUERY_META_INGEST_DAY /* the metadata in the Avro record: all but the last one, which we add */

struct row_program {
    const struct table *table; /* for errors; borrowed */
    size_t growth;             /* how much longer than its Avro bytes a row can be */
    uint64_t ingest_day_tag;
    size_t step_count;
    struct row_step steps[]; /* the columns, then META_STEPS */
};

/* ---- compiling */

#define NUMERIC_WHOLE_DIGITS    29
#define BIGNUMERIC_WHOLE_DIGITS 38 /* of 39 only some */
#define BIGNUMERIC_SCALE_MAX    38

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

/* A schema comes from outside: what it calls a decimal may have any scale. */
static enum row_fit fit_decimal(const struct column *column, enum bigquery_type type)
{
    bool fits = type == bigquery_type_of(column) || type == BIGQUERY_BIGNUMERIC || type == BIGQUERY_STRING;

    return always_if(fits && column->scale <= BIGNUMERIC_SCALE_MAX);
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
        return fit_decimal(column, type);
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

static uint64_t tag_of(size_t place, enum protobuf_wire wire)
{
    return (uint64_t)descriptor_field(place) << 3 | wire;
}

static struct row_step make_step(struct row_program *program, row_step_run run, enum protobuf_wire wire, size_t place)
{
    struct row_step step = {.run = run};
    uint64_t tag = tag_of(place, wire);

    must(run != NULL);
    step.tag_size = (uint8_t)protobuf_varint_size(tag);
    must(step.tag_size <= ROW_TAG_MAX);
    (void)protobuf_write_varint(step.tag, tag);
    program->growth += ROW_TAG_MAX + row_step_growth(run, wire);
    return step;
}

static int compile_column(struct row_program *program, size_t index, const struct bigquery_layout *layout, size_t place,
                          struct err *err)
{
    const struct table *table = program->table;
    const struct column *column = &table->columns[index];
    struct row_step *step = &program->steps[index];
    enum bigquery_type type;
    enum protobuf_wire wire;

    if (place == ROW_NO_TARGET) {
        *step = (struct row_step){.run = row_step_skip(column->type), .nullable = true};
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
    *step = make_step(program, row_step_into(column->type, type, wire), wire, place);
    step->nullable = true;
    step->scale = column->scale;
    step->whole_digits_max = UINT8_MAX;
    if (is_numeric(type)) {
        step->whole_digits_max = type == BIGQUERY_NUMERIC ? NUMERIC_WHOLE_DIGITS : BIGNUMERIC_WHOLE_DIGITS;
    }
    return 0;
}

static int find_meta(const struct row_program *program, enum bigquery_meta meta, const struct bigquery_layout *layout,
                     size_t *ret_place, struct err *err)
{
    const struct bigquery_column *column = &bigquery_meta_columns[meta];
    size_t place = bigquery_layout_find(layout, column->name);

    if (place == layout->column_count || layout->columns[place].type != column->type) {
        return err_set(err, ERR_FATAL, "the history of %s.%s has no column %s of type %s", program->table->database,
                       program->table->name, column->name, bigquery_type_word(column->type));
    }
    *ret_place = place;
    return 0;
}

static int compile_meta(struct row_program *program, const struct bigquery_layout *layout, struct err *err)
{
    struct row_step *steps = &program->steps[program->table->column_count];
    size_t place;

    for (int meta = 0; meta < META_STEPS; meta++) {
        enum protobuf_wire wire = descriptor_wire(bigquery_meta_columns[meta].type, layout->datetime_packed);

        if (find_meta(program, (enum bigquery_meta)meta, layout, &place, err) != 0) {
            return -1;
        }
        steps[meta] = make_step(program, row_step_meta((enum bigquery_meta)meta), wire, place);
    }
    if (find_meta(program, BIGQUERY_META_INGEST_DAY, layout, &place, err) != 0) {
        return -1;
    }
    program->ingest_day_tag = tag_of(place, PROTOBUF_VARINT);
    program->growth += ROW_TAG_MAX + PROTOBUF_VARINT_MAX;
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
    if (compile_meta(program, layout, err) != 0) {
        goto out;
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
static inline bool take_branch(struct row_place *place, struct row_walk *walk)
{
    uint8_t branch;

    if (place->at == walk->end) {
        walk->bad = "the bytes end too early";
        return false;
    }
    branch = *place->at++;
    if (branch != UNION_NULL && branch != UNION_VALUE) {
        walk->bad = "neither null nor a value";
    }
    return branch == UNION_VALUE;
}

int row_program_append(const struct row_program *program, const uint8_t *avro, size_t avro_size, int32_t ingest_day,
                       struct buffer *out, struct err *err)
{
    struct row_place place = {avro, buffer_reserve(out, avro_size + program->growth)};
    struct row_walk walk = {.end = avro + avro_size};

    must(ingest_day >= ROW_DATE_MIN && ingest_day <= ROW_DATE_MAX);
    for (size_t i = 0; i < program->step_count; i++) {
        const struct row_step *step = &program->steps[i];

        if (!step->nullable || take_branch(&place, &walk)) {
            place = step->run(place, &walk, step);
        }
        if (walk.bad != NULL) {
            return refuse(program, i, walk.bad, err);
        }
    }
    if (place.at != walk.end) {
        return err_set(err, ERR_POISON, "a change of %s.%s: bytes behind the end of the record", program->table->database,
                       program->table->name);
    }
    place.to = protobuf_write_varint(place.to, program->ingest_day_tag);
    place.to = protobuf_write_varint(place.to, (uint64_t)(int64_t)ingest_day);
    out->size = (size_t)(place.to - out->bytes);
    return 0;
}
