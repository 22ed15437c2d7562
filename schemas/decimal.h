/* SPDX-License-Identifier: Apache-2.0 */
/* decimal: between digits as text, the unscaled two's complement bytes of Avro's decimal, and back. Up to 65 digits, exact. */
#ifndef KAKEHI_SCHEMAS_DECIMAL_H
#define KAKEHI_SCHEMAS_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define DECIMAL_DIGITS_MAX    65 /* of MySQL's DECIMAL */
#define DECIMAL_BYTES_MAX     28 /* 65 digits need 216 bits and a sign */
#define DECIMAL_U64_BYTES_MAX 9
#define DECIMAL_TEXT_MAX      72 /* what 28 bytes can say: sign, 68 digits, point, NUL */

/* `digits` are digit_count decimal digits ('0' to '9') without a point. Writes the shortest two's complement form, big-endian;
 * returns its size (1 to DECIMAL_BYTES_MAX). At most DECIMAL_DIGITS_MAX digits; none is zero; there is no negative zero. */
size_t decimal_from_digits(const char *digits, size_t digit_count, bool negative, uint8_t bytes[DECIMAL_BYTES_MAX]);
/* The same for a BIGINT UNSIGNED. */
size_t decimal_from_u64(uint64_t value, uint8_t bytes[DECIMAL_U64_BYTES_MAX]);

/* "-123.4500": always `scale` digits behind the point, at least one before. Fails (ERR_POISON) on 0 bytes, on more than
 * DECIMAL_BYTES_MAX, and on a scale above DECIMAL_DIGITS_MAX. Returns 0; the text is NUL-terminated. */
int decimal_to_text(const uint8_t *bytes, size_t size, unsigned scale, char text[DECIMAL_TEXT_MAX], struct err *err) MUST_CHECK;
/* ERR_POISON if the bytes are no number from 0 to 2^64 - 1. */
int decimal_to_u64(const uint8_t *bytes, size_t size, uint64_t *ret_value, struct err *err) MUST_CHECK;

#endif
