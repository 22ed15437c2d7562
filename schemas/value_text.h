/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value_text: a cell as people and JSON read it: dates as 2026-11-21, DATETIME as 2026-11-21T01:02:03.456789, TIMESTAMP the
 * same with a Z, TIME as -838:59:59.000000, decimals with all their digits, floats by the shortest digits that read back the
 * same.
 */
#ifndef KAKEHI_SCHEMAS_VALUE_TEXT_H
#define KAKEHI_SCHEMAS_VALUE_TEXT_H

#include "common/buffer.h"
#include "common/err.h"
#include "schemas/table.h"

/* Appends the value as JSON: null, numbers as they are, decimals and times as strings, bytes as base64, JSON columns as JSON
 * (on one line). A CELL_UNREPRESENTABLE is a string of its text; of its base64 if that is not UTF-8. ERR_POISON: a decimal's
 * bytes are none, a number is not finite, a text is not UTF-8. */
int value_text_json(struct buffer *out, const struct column *column, const struct cell *cell, struct err *err) MUST_CHECK;
/* Appends the row as a JSON object {"column":value, ...}; cells NULL: null. */
int value_text_json_row(struct buffer *out, const struct table *table, const struct cell *cells, struct err *err) MUST_CHECK;
/* Appends bytes as a JSON string of their base64; NULL: null. */
void value_text_json_base64(struct buffer *out, const void *bytes, size_t size);
/* Appends a JSON string, quoted; bytes must be UTF-8. */
void value_text_json_string(struct buffer *out, const char *text, size_t size);

/* Appends a finite number. */
void value_text_float(struct buffer *out, float value);
/* "2026-11-21" of days since the epoch; "2026-11-21<separator>01:02:03.456789" of microseconds; "-01:02:03.000000". */
void value_text_date(struct buffer *out, int64_t days);
void value_text_datetime(struct buffer *out, int64_t microseconds, char separator);
void value_text_time(struct buffer *out, int64_t microseconds);

#endif
