/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record: rows to Avro bytes and back, straight, with no generic value in between.
 *
 * Avro C's generic values are the oracle in the tests, not the hot path.
 */
#ifndef KAKEHI_SCHEMAS_RECORD_H
#define KAKEHI_SCHEMAS_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"
#include "schemas/table.h"

/* The change metadata behind the columns. Texts are borrowed. */
struct record_meta {
    char op;       /* c u d r t */
    int64_t ts_us; /* source commit time */
    int64_t seq;
    int64_t idx;
    const char *source;
    size_t source_size;
    const char *txid;
    size_t txid_size;
};

/* Appends the value record. cells: one a column, or NULL = all null (op t). ERR_POISON on a CELL_UNREPRESENTABLE: the text
 * names the column. On an error nothing is appended; so with the keys. */
int record_encode_value(struct buffer *out, const struct table *table, const struct cell *cells, const struct record_meta *meta,
                        struct err *err) MUST_CHECK;
/* Appends the key record of a table with a key. ERR_POISON on a null in the key. */
int record_encode_key(struct buffer *out, const struct table *table, const struct cell *cells, struct err *err) MUST_CHECK;
/* Appends the key record of a table without one: a 128-bit hash (first half of SHA-256) over the encoded row. */
int record_encode_hash_key(struct buffer *out, const struct table *table, const struct cell *cells, struct err *err) MUST_CHECK;
/* Are the key columns of two rows of the table the same? */
bool record_key_same(const struct table *table, const struct cell *one, const struct cell *other);

/* Reads a value record; cells (table->column_count) and texts borrow from bytes. ERR_POISON on anything but exactly one record;
 * whether a text is UTF-8 is not asked. */
int record_decode_value(const struct table *table, const uint8_t *bytes, size_t size, struct cell *cells,
                        struct record_meta *ret_meta, struct err *err) MUST_CHECK;

#endif
