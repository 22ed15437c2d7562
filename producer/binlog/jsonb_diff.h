/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jsonb_diff: a JSON document as a partial update leaves it.
 *
 * With binlog_row_value_options=PARTIAL_JSON, which any session may set, MySQL logs of an updated document only what
 * JSON_SET, JSON_REPLACE and JSON_REMOVE did: a list of diffs (sql/json_diff.h in MySQL's source), each
 *
 *   operation u8    0 replace, 1 insert, 2 remove
 *   path            lenenc size; one value by name and number: $.a[2]."b c"[last]
 *   value           lenenc size, JSONB; not of a remove
 *
 * to be applied in their order to the document before. An empty list: it was not changed. A replace or remove of what is not
 * there, an insert of a member that is, or a path through the wrong kind of value mean that this is not the document that
 * the server had: nothing is guessed.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_JSONB_DIFF_H
#define KAKEHI_PRODUCER_BINLOG_JSONB_DIFF_H

#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"

/* Appends the text of the document `before` with the diffs applied. Returns NULL, or what is wrong with either. */
const char *jsonb_diff_print(const uint8_t *before, size_t before_size, const uint8_t *diffs, size_t diffs_size,
                             struct buffer *out);

#endif
