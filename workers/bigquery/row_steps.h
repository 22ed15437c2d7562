/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row_steps: what a row program is made of: a step reads one Avro field and writes it into the row. For row_program.c alone.
 *
 * A step gets the place where both sides stand and gives back where they stand behind the field (two pointers, which stay in
 * registers). Whatever is wrong with the field, it says so in the walk and puts the place at the end of the Avro bytes, where
 * each further step finds nothing; what it writes is bounded in any case: the field's Avro bytes, TAG_MAX and row_step_growth.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_ROW_STEPS_H
#define KAKEHI_WORKERS_BIGQUERY_ROW_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schemas/table.h"
#include "workers/bigquery/bigquery_types.h"
#include "workers/bigquery/protobuf.h"

#define ROW_TAG_MAX 4 /* bytes; written whole, whatever the tag's size: what comes next goes over the rest */

struct row_place {
    const uint8_t *at; /* in the Avro bytes */
    uint8_t *to;       /* in the row */
};

struct row_walk {
    const uint8_t *end; /* of the Avro bytes */
    const char *bad;    /* the first thing wrong, or NULL; a static text */
};

struct row_step;
typedef struct row_place (*row_step_run)(struct row_place place, struct row_walk *walk, const struct row_step *step);

struct row_step {
    row_step_run run;
    uint8_t tag[ROW_TAG_MAX]; /* of the field in the row */
    uint8_t tag_size;
    bool nullable;            /* a union with null stands in front; the program reads that */
    uint8_t scale;            /* of a decimal */
    uint8_t whole_digits_max; /* of a decimal: digits before the point that every value of its type in BigQuery may have */
};

/* Reads over a value. */
row_step_run row_step_skip(enum column_type column_type);
/* Puts a value into a field of that type and wire; NULL: there is no way, as row_fit says. */
row_step_run row_step_into(enum column_type column_type, enum bigquery_type type, enum protobuf_wire wire);
/* The metadata in the Avro record: all but BIGQUERY_META_INGEST_DAY. */
row_step_run row_step_meta(enum bigquery_meta meta);
/* How much longer than in Avro the field may be, behind its tag. */
size_t row_step_growth(row_step_run run, enum protobuf_wire wire);

#endif
