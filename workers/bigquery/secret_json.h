/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_json: JSON that holds secrets: parsed, read, and freed with its memory wiped, the parser's own buffers included.
 *
 * jansson knows one pair of malloc and free for all. From secret_json_load to secret_json_free its free wipes; so the two
 * belong into one function, on the loop's thread, with nothing long between them.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_SECRET_JSON_H
#define KAKEHI_WORKERS_BIGQUERY_SECRET_JSON_H

#include <jansson.h>
#include <stddef.h>

/* NULL: not a JSON object. secret_json_free is due in any case. */
json_t *secret_json_load(const char *bytes, size_t size);
void secret_json_free(json_t *root); /* takes NULL */

/* The field's text; NULL: not there, or no text, or empty. */
const char *secret_json_text(const json_t *object, const char *field);

#endif
