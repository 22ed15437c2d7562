/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_wire: what is said to a schema registry and what it answers: Confluent's REST API (docs.confluent.io, "Schema Registry API
 * Reference"), as Confluent's own, Apicurio, Karapace and Redpanda speak it. Bytes in, values out; nothing here connects.
 *
 *   POST <url>/subjects/<subject>/versions   {"schema":"<text>"}   -> {"id":N}; the same text again: the same N
 *   GET  <url>/schemas/ids/<N>                                     -> {"schema":"<text>"}, "schemaType" absent or AVRO
 *   GET  <url>/schemas/types                                       -> ["AVRO", ...]
 *   GET  <url>/config                                              -> {"compatibilityLevel":"BACKWARD"}
 *
 * An error is a status and {"error_code":N,"message":"words"}:
 *
 *   | status          | class      | meaning                                                                     |
 *   | 409, 413, 422   | ERR_POISON | this schema is refused: it will be each time, until a person changes something |
 *   | all others      | ERR_RETRY  | not now: down, overloaded, sign-in refused, wrong address, something between |
 */
#ifndef KAKEHI_COMMON_REGISTRY_WIRE_H
#define KAKEHI_COMMON_REGISTRY_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"

#define REGISTRY_CONTENT_TYPE "application/vnd.schemaregistry.v1+json"

/* What the server said; body is borrowed. */
struct registry_reply {
    int status;
    const char *body;
    size_t size;
};

/* Appends the body of a registration. A text that is no UTF-8 goes out as it is: the registry refuses it. */
void registry_wire_body(struct buffer *out, const char *text);
int registry_wire_id(const struct registry_reply *reply, uint32_t *ret_id, struct err *err) MUST_CHECK;
/* Appends the schema's text. ERR_POISON: there is one, and it is not Avro; never because of a status. */
int registry_wire_schema(const struct registry_reply *reply, struct buffer *ret_text, struct err *err) MUST_CHECK;
/* ERR_FATAL: it knows no Avro. */
int registry_wire_types(const struct registry_reply *reply, struct err *err) MUST_CHECK;
/* Appends BACKWARD, FULL, NONE ... */
int registry_wire_compatibility(const struct registry_reply *reply, struct buffer *ret_level, struct err *err) MUST_CHECK;

#endif
