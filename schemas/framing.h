/* SPDX-License-Identifier: Apache-2.0 */
/*
 * framing: which schema a message was written with, in front of its Avro bytes.
 *
 * FRAMING_SINGLE_OBJECT: C3 01 and the 8-byte id, little-endian (Avro 1.11 specification, "Single-object encoding"); the texts
 * are in the compacted topic <prefix>.schemas (key: the id as 16 lower-case hex digits; value: the schema's JSON). The wire
 * format of a Confluent-compatible registry (0, 4-byte id, big-endian) is a second kind behind the same two calls.
 */
#ifndef KAKEHI_SCHEMAS_FRAMING_H
#define KAKEHI_SCHEMAS_FRAMING_H

#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"

enum framing { FRAMING_SINGLE_OBJECT };

void framing_write(struct buffer *out, enum framing framing, uint64_t schema_id);
/* ERR_POISON if the bytes don't begin like that. *ret_size: how many bytes of the message the frame takes. */
int framing_read(enum framing framing, const uint8_t *bytes, size_t size, uint64_t *ret_schema_id, size_t *ret_size,
                 struct err *err) MUST_CHECK;

#define FRAMING_KEY_TEXT_SIZE 17
/* The key of the schema in <prefix>.schemas: 16 hex digits and a NUL. */
void framing_key_text(uint64_t schema_id, char text[FRAMING_KEY_TEXT_SIZE]);

#endif
