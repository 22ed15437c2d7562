/* SPDX-License-Identifier: Apache-2.0 */
/*
 * framing: which schema a message was written with, in front of its Avro bytes.
 *
 *   FRAMING_SINGLE_OBJECT  C3 01 and the 8-byte fingerprint of the schema's text, little-endian (Avro 1.11 specification, "Single-object
 *                          encoding"); the texts are in the compacted topic <prefix>.schemas (key: the fingerprint as 16 lower-case
 *                          hex digits; value: the schema's JSON)
 *   FRAMING_REGISTRY       00 and the 4-byte id, big-endian, that a schema registry gave to the text (Confluent's wire format)
 *
 * A message says by its first byte which of them it has, so readers need no setting, and a topic may hold both.
 */
#ifndef KAKEHI_SCHEMAS_FRAMING_H
#define KAKEHI_SCHEMAS_FRAMING_H

#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"

enum framing { FRAMING_SINGLE_OBJECT, FRAMING_REGISTRY };

/* What a message says of its schema. */
struct frame {
    enum framing framing;
    uint64_t schema_id;
};

/* What a table's messages are framed with. */
struct framing_ids {
    enum framing framing;
    uint64_t value_id;
    uint64_t key_id;
};

/* schema_id: of FRAMING_REGISTRY it has 32 bits. */
void framing_write(struct buffer *out, enum framing framing, uint64_t schema_id);
/* ERR_POISON if the bytes begin like neither. *ret_size: how many bytes of the message the frame takes. */
int framing_read(const uint8_t *bytes, size_t size, struct frame *ret_frame, size_t *ret_size, struct err *err) MUST_CHECK;

#define FRAMING_ID_TEXT_SIZE 17
/* For people, and the key in <prefix>.schemas: 16 hex digits; of a registry the decimal number; and a NUL. */
void framing_id_text(const struct frame *frame, char text[FRAMING_ID_TEXT_SIZE]);

#endif
