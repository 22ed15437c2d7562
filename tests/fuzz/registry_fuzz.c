/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of a schema registry, and frames of messages: whatever comes is read into a value of its form or an error of one printable line;
 * a schema that is taken for ours is one that schema.c writes again. Input: a byte that says which question was asked, two of status, the body.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "common/registry_wire.h"
#include "schemas/framing.h"
#include "schemas/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const struct err *err, const struct registry_reply *reply)
{
    must(err->class == ERR_RETRY || err->class == ERR_POISON || err->class == ERR_FATAL);
    must(err->class != ERR_FATAL || reply->status == 200);
    must(strlen(err->text) > 0);
    for (const char *text = err->text; *text != '\0'; text++) {
        must((unsigned char)*text >= ' ' && *text != 0x7f);
    }
}

static void read_id(const struct registry_reply *reply)
{
    struct err err = {0};
    uint32_t id = UINT32_MAX;

    if (registry_wire_id(reply, &id, &err) != 0) {
        check_error(&err, reply);
        must(id == UINT32_MAX);
    } else {
        must(reply->status == 200 && id <= INT32_MAX);
    }
}

static void read_schema(const struct registry_reply *reply)
{
    struct buffer text = {0};
    struct schema *schema = NULL;
    struct err err = {0};

    if (registry_wire_schema(reply, &text, &err) != 0) {
        check_error(&err, reply);
        must(err.class != ERR_POISON || reply->status == 200);
    } else if (schema_parse(buffer_text(&text), text.size, &schema, &err) == 0) {
        must(schema_texts_agree(schema->value_text, buffer_text(&text), text.size));
        schema_free(schema);
    }
    buffer_deinit(&text);
}

static void read_check(const struct registry_reply *reply)
{
    struct buffer level = {0};
    struct err err = {0};

    if (registry_wire_types(reply, &err) != 0) {
        check_error(&err, reply);
    }
    if (registry_wire_compatibility(reply, &level, &err) != 0) {
        check_error(&err, reply);
    }
    buffer_deinit(&level);
}

static void read_frame(const uint8_t *data, size_t size)
{
    struct buffer out = {0};
    struct frame frame;
    struct err err;
    size_t frame_size;

    if (framing_read(data, size, &frame, &frame_size, &err) == 0) {
        framing_write(&out, frame.framing, frame.schema_id);
        must(out.size == frame_size && frame_size <= size && memcmp(out.bytes, data, frame_size) == 0);
    }
    buffer_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct registry_reply reply;
    char *body;

    read_frame(data, size);
    if (size < 3) {
        return 0;
    }
    body = malloc(size - 3 + 1);
    must(body != NULL);
    memcpy(body, data + 3, size - 3);
    body[size - 3] = '\0';
    reply = (struct registry_reply){data[1] << 8 | data[2], body, size - 3};
    switch (data[0] % 3) {
    case 0:
        read_id(&reply);
        break;
    case 1:
        read_schema(&reply);
        break;
    default:
        read_check(&reply);
        break;
    }
    free(body);
    return 0;
}
