/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing that a server says is believed before its form was looked at; its words go into error texts as one printable line. */
#include "common/registry_wire.h"

#include <jansson.h>
#include <string.h>

#include "common/must.h"

#define WORDS_SIZE 240 /* of the registry's own, which can be pages long: the schemas are repeated in them */

/* One line, without control characters; cut in the middle of no character. */
static void copy_line(char *to, size_t size, const char *from)
{
    size_t count = strnlen(from, size - 1);

    while (from[count] != '\0' && count > 0 && ((unsigned char)from[count] & 0xc0) == 0x80) {
        count--;
    }
    for (size_t i = 0; i < count; i++) {
        to[i] = (unsigned char)from[i] < ' ' || from[i] == 0x7f ? ' ' : from[i];
    }
    to[count] = '\0';
}

static const char *remedy(int status)
{
    switch (status) {
    case 401:
    case 403:
        return ": see registry.user, registry.password and what they are allowed";
    case 404:
        return ": see registry.url, which may need a base path";
    case 409:
        return ": it is not compatible with an earlier version. Set the subject's compatibility to NONE for this change, or delete the "
               "subject's versions";
    default:
        return "";
    }
}

static int refuse(const struct registry_reply *reply, const json_t *body, struct err *err)
{
    const char *message = json_string_value(json_object_get(body, "message"));
    json_int_t code = json_integer_value(json_object_get(body, "error_code"));
    bool for_good = reply->status == 409 || reply->status == 413 || reply->status == 422;
    char words[WORDS_SIZE];

    copy_line(words, sizeof words, message != NULL ? message : "(no message)");
    return err_set(err, for_good ? ERR_POISON : ERR_RETRY, "the registry answers %d, error %lld%s: %s", reply->status, (long long)code,
                   remedy(reply->status), words);
}

/* *ret_body: owned; NULL if it fails. */
static int open_reply(const struct registry_reply *reply, json_t **ret_body, struct err *err)
{
    json_t *body = json_loadb(reply->body, reply->size, JSON_REJECT_DUPLICATES, NULL);
    int status = 0;

    *ret_body = NULL;
    if (reply->status != 200) {
        status = refuse(reply, body, err);
    } else if (body == NULL) {
        status = err_set(err, ERR_RETRY, "what answers at registry.url is no schema registry: its answer is not JSON");
    } else {
        *ret_body = body;
        return 0;
    }
    json_decref(body);
    return status;
}

static int refuse_form(const char *what, struct err *err)
{
    return err_set(err, ERR_RETRY, "what answers at registry.url is no schema registry: its answer has no %s", what);
}

void registry_wire_body(struct buffer *out, const char *text)
{
    buffer_append_text(out, "{\"schema\":\"");
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            buffer_append_byte(out, '\\');
            buffer_append_byte(out, (uint8_t)*text);
        } else if ((unsigned char)*text < ' ') {
            buffer_printf(out, "\\u%04x", (unsigned)(unsigned char)*text);
        } else {
            buffer_append_byte(out, (uint8_t)*text);
        }
    }
    buffer_append_text(out, "\"}");
}

int registry_wire_id(const struct registry_reply *reply, uint32_t *ret_id, struct err *err)
{
    json_t *body;
    const json_t *id;
    int status = 0;

    if (open_reply(reply, &body, err) != 0) {
        return -1;
    }
    id = json_object_get(body, "id");
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX) {
        status = refuse_form("id of 31 bits", err);
    } else {
        *ret_id = (uint32_t)json_integer_value(id);
    }
    json_decref(body);
    return status;
}

int registry_wire_schema(const struct registry_reply *reply, struct buffer *ret_text, struct err *err)
{
    json_t *body;
    const json_t *text, *type;
    int status = 0;

    if (open_reply(reply, &body, err) != 0) {
        err->class = ERR_RETRY; /* no status says that the id will never stand for anything */
        return -1;
    }
    text = json_object_get(body, "schema");
    type = json_object_get(body, "schemaType");
    if (!json_is_string(text)) {
        status = refuse_form("schema", err);
    } else if (type != NULL && (!json_is_string(type) || strcmp(json_string_value(type), "AVRO") != 0)) {
        status = err_set(err, ERR_POISON, "no Avro schema");
    } else {
        buffer_append(ret_text, json_string_value(text), json_string_length(text)); /* jansson lets no NUL in */
    }
    json_decref(body);
    return status;
}

int registry_wire_types(const struct registry_reply *reply, struct err *err)
{
    json_t *body;
    const json_t *type;
    size_t index;
    int status = -1;

    if (open_reply(reply, &body, err) != 0) {
        return -1;
    }
    json_array_foreach(body, index, type) {
        status = json_is_string(type) && strcmp(json_string_value(type), "AVRO") == 0 ? 0 : status;
    }
    if (!json_is_array(body)) {
        status = refuse_form("list of types", err);
    } else if (status != 0) {
        (void)err_set(err, ERR_FATAL, "the registry knows no Avro schemas");
    }
    json_decref(body);
    return status;
}

int registry_wire_compatibility(const struct registry_reply *reply, struct buffer *ret_level, struct err *err)
{
    json_t *body;
    const char *level;
    char line[64];
    int status = 0;

    if (open_reply(reply, &body, err) != 0) {
        return -1;
    }
    level = json_string_value(json_object_get(body, "compatibilityLevel"));
    if (level == NULL) {
        status = refuse_form("compatibilityLevel", err);
    } else {
        copy_line(line, sizeof line, level);
        buffer_append_text(ret_level, line);
    }
    json_decref(body);
    return status;
}
