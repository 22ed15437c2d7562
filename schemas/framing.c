/* SPDX-License-Identifier: Apache-2.0 */
/* Ten bytes, or five, spelled out: readers in other languages are written against them. */
#include "schemas/framing.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/must.h"

#define MARKER_0           0xc3
#define MARKER_1           0x01
#define SINGLE_OBJECT_SIZE 10
#define REGISTRY_MARKER    0x00
#define REGISTRY_SIZE      5

static void write_single_object(struct buffer *out, uint64_t schema_id)
{
    uint8_t *to = buffer_reserve(out, SINGLE_OBJECT_SIZE);

    to[0] = MARKER_0;
    to[1] = MARKER_1;
    for (int i = 0; i < 8; i++) {
        to[2 + i] = (uint8_t)(schema_id >> (8 * i));
    }
    out->size += SINGLE_OBJECT_SIZE;
}

static void write_registry(struct buffer *out, uint64_t schema_id)
{
    uint8_t *to = buffer_reserve(out, REGISTRY_SIZE);

    must(schema_id <= UINT32_MAX);
    to[0] = REGISTRY_MARKER;
    for (int i = 0; i < 4; i++) {
        to[1 + i] = (uint8_t)(schema_id >> (24 - 8 * i));
    }
    out->size += REGISTRY_SIZE;
}

void framing_write(struct buffer *out, enum framing framing, uint64_t schema_id)
{
    if (framing == FRAMING_REGISTRY) {
        write_registry(out, schema_id);
    } else {
        write_single_object(out, schema_id);
    }
}

int framing_read(const uint8_t *bytes, size_t size, struct frame *ret_frame, size_t *ret_size, struct err *err)
{
    *ret_frame = (struct frame){0};
    if (size >= SINGLE_OBJECT_SIZE && bytes[0] == MARKER_0 && bytes[1] == MARKER_1) {
        for (int i = 0; i < 8; i++) {
            ret_frame->schema_id |= (uint64_t)bytes[2 + i] << (8 * i);
        }
        *ret_size = SINGLE_OBJECT_SIZE;
        return 0;
    }
    if (size >= REGISTRY_SIZE && bytes[0] == REGISTRY_MARKER) {
        ret_frame->framing = FRAMING_REGISTRY;
        for (int i = 0; i < 4; i++) {
            ret_frame->schema_id = ret_frame->schema_id << 8 | bytes[1 + i];
        }
        *ret_size = REGISTRY_SIZE;
        return 0;
    }
    return err_set(err, ERR_POISON, "a message of %zu bytes that begins neither as an Avro single object nor with a registry's id", size);
}

void framing_id_text(const struct frame *frame, char text[FRAMING_ID_TEXT_SIZE])
{
    const char *format = frame->framing == FRAMING_REGISTRY ? "%" PRIu64 : "%016" PRIx64;

    (void)snprintf(text, FRAMING_ID_TEXT_SIZE, format, frame->schema_id);
}
