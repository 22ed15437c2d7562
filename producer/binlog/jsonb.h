/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jsonb: MySQL's binary JSON to JSON text, as MySQL itself prints it: `{"a": 1, "b": [2.5, "x"]}`.
 *
 * Layout: the comment in sql-common/json_binary.h of MySQL's source. Values inside point to where they stand, so a damaged or
 * hostile document may point in circles or at itself: depth and size of the output are bounded by what a real document can
 * have.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_JSONB_H
#define KAKEHI_PRODUCER_BINLOG_JSONB_H

#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"

#define JSONB_DEPTH_MAX 100 /* MySQL's own limit */

/* Appends the text. Returns NULL, or what is wrong with the bytes. */
const char *jsonb_print(const uint8_t *bytes, size_t size, struct buffer *out);

#endif
