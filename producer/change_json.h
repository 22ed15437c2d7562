/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change_json: the members of a change as a JSON object, as `decode` prints it and as it stands in a dead letter; what of them comes in
 * which order, and the end of the object, is the caller's. All of them append. Pure.
 */
#ifndef KAKEHI_PRODUCER_CHANGE_JSON_H
#define KAKEHI_PRODUCER_CHANGE_JSON_H

#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"
#include "schemas/table.h"

/* {"table":"d.t","op":"u" */
void change_json_head(struct buffer *out, const struct table *table, char op);
/* ,"before":{...},"after":{...} (NULL: null). ERR_POISON: a value that no source should give (schemas/value_text.h). */
int change_json_images(struct buffer *out, const struct table *table, const struct cell *before, const struct cell *after,
                       struct err *err) MUST_CHECK;
/* ,"ts":"2026-11-21T13:00:00.000000Z" */
void change_json_time(struct buffer *out, int64_t ts_us);
/* ,"key":"text"; UTF-8. */
void change_json_text(struct buffer *out, const char *key, const char *text);

#endif
