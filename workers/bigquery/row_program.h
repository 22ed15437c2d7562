/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row_program: from the Avro bytes of a message (the bytes behind the frame, as schemas/record.c writes them) straight to the
 * serialized row of AppendRows, with no value in between. Compiled once for each pair of an Avro version and a layout.
 *
 * How a value stands in the row (the forms that BigQuery documents, and of these the ones that emulators read too):
 *   INT64 int64; FLOAT64 double; BOOL bool; STRING, JSON string; BYTES bytes; DATE int32, days since 1970-01-01;
 *   TIMESTAMP int64, microseconds; NUMERIC, BIGNUMERIC string "-123.4500"; DATETIME string "2026-11-21 01:02:03.456789", or
 *   packed (bigquery_layout.datetime_packed).
 * A null is a field that is not there.
 *
 * What the column's type in BigQuery can't hold is refused, never bent: a date or time outside of the years 1 to 9999, a
 * decimal with too many digits, a text that is not UTF-8 (BigQuery would refuse the whole request for it). NaN and infinities
 * are values of FLOAT64.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_ROW_PROGRAM_H
#define KAKEHI_WORKERS_BIGQUERY_ROW_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"
#include "schemas/table.h"
#include "workers/bigquery/bigquery_types.h"

struct row_program;

/* Can values of the column stand in a history column of that type, without loss? */
enum row_fit {
    ROW_FIT_NEVER,
    ROW_FIT_BY_VALUE, /* those that do not are refused one by one: a BIGINT above 2^53 in a FLOAT64, a BIGINT UNSIGNED in an
                         INT64 */
    ROW_FIT_ALWAYS,
};
enum row_fit row_fit(const struct column *column, enum bigquery_type type);

#define ROW_NO_TARGET SIZE_MAX /* the column is not stored */

/*
 * targets: for each column of the table its place in the layout, or ROW_NO_TARGET; no two the same. The caller maps names (and
 * decides about further columns); the metadata columns are found by their names. The table is borrowed until row_program_free;
 * layout and targets only for the call.
 *
 * Fails (ERR_POISON, naming the column) where row_fit says NEVER: let the caller choose a further column of another type;
 * ERR_FATAL where the layout lacks a metadata column or has it in another type.
 */
int row_program_new(const struct table *table, const struct bigquery_layout *layout, const size_t *targets,
                    struct row_program **ret_program, struct err *err) MUST_CHECK;
void row_program_free(struct row_program *program); /* takes NULL */

/* Appends the row of one message, without tag and length. ingest_day: days since 1970-01-01, UTC. ERR_POISON names the column
 * and appends nothing; so do Avro bytes that are not exactly one record. */
int row_program_append(const struct row_program *program, const uint8_t *avro, size_t avro_size, int32_t ingest_day,
                       struct buffer *out, struct err *err) MUST_CHECK;

#endif
