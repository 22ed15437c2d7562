/* SPDX-License-Identifier: Apache-2.0 */
/* Ten bytes, spelled out: readers in other languages are written against them. */
#include "schemas/framing.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/must.h"

#define MARKER_0   0xc3
#define MARKER_1   0x01
#define FRAME_SIZE 10

void framing_write(struct buffer *out, enum framing framing, uint64_t schema_id)
{
    uint8_t *to = buffer_reserve(out, FRAME_SIZE);

    must(framing == FRAMING_SINGLE_OBJECT);
    to[0] = MARKER_0;
    to[1] = MARKER_1;
    for (int i = 0; i < 8; i++) {
        to[2 + i] = (uint8_t)(schema_id >> (8 * i));
    }
    out->size += FRAME_SIZE;
}

int framing_read(enum framing framing, const uint8_t *bytes, size_t size, uint64_t *ret_schema_id, size_t *ret_size,
                 struct err *err)
{
    uint64_t schema_id = 0;

    must(framing == FRAMING_SINGLE_OBJECT);
    if (size < FRAME_SIZE || bytes[0] != MARKER_0 || bytes[1] != MARKER_1) {
        return err_set(err, ERR_POISON, "a message of %zu bytes that does not begin with the frame of an Avro single object",
                       size);
    }
    for (int i = 0; i < 8; i++) {
        schema_id |= (uint64_t)bytes[2 + i] << (8 * i);
    }
    *ret_schema_id = schema_id;
    *ret_size = FRAME_SIZE;
    return 0;
}

void framing_key_text(uint64_t schema_id, char text[FRAMING_KEY_TEXT_SIZE])
{
    (void)snprintf(text, FRAMING_KEY_TEXT_SIZE, "%016" PRIx64, schema_id);
}
