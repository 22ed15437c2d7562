/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row_value: numbers and times as BigQuery reads them in text, and what it can hold at all. For row_program.c, which calls
 * these for each value of each row: each writes at `to`, where there is room for its maximum, and returns where the next byte
 * goes, or NULL for a value that the type can't hold.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_ROW_VALUE_H
#define KAKEHI_WORKERS_BIGQUERY_ROW_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schemas/decimal.h"

#define ROW_DATE_MIN      (-719162)                   /* 0001-01-01, in days since 1970-01-01 */
#define ROW_DATE_MAX      2932896                     /* 9999-12-31 */
#define ROW_MICROS_MIN    INT64_C(-62135596800000000) /* 0001-01-01 00:00:00 */
#define ROW_MICROS_MAX    INT64_C(253402300799999999) /* 9999-12-31 23:59:59.999999 */
#define ROW_DECIMAL_SIZE  (DECIMAL_TEXT_MAX - 1)
#define ROW_INTEGER_SIZE  20 /* "-9223372036854775808", "18446744073709551615" */
#define ROW_DATETIME_SIZE 26 /* always: "2026-11-21 01:02:03.456789" */

uint8_t *row_put_integer(uint8_t *to, int64_t value);
uint8_t *row_put_unsigned(uint8_t *to, uint64_t value);
/* bytes: 1 to DECIMAL_BYTES_MAX, two's complement, big-endian. NULL if there are more than whole_digits_max before the point.
 */
uint8_t *row_put_decimal(uint8_t *to, const uint8_t *bytes, size_t size, unsigned scale, unsigned whole_digits_max);
/* Microseconds on the wall clock since 1970; between ROW_MICROS_MIN and ROW_MICROS_MAX. */
uint8_t *row_put_datetime(uint8_t *to, int64_t micros);
/* The same as BigQuery's packed civil time: year, month, day, hour, minute, second, microsecond in 14, 4, 5, 5, 6, 6, 20 bits.
 */
uint64_t row_pack_datetime(int64_t micros);

#endif
