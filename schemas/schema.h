/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema: the Avro schemas of a table's messages, made from a struct table, and read back into one.
 *
 * The value is a flat record: the columns in table order, each ["null", T], then `__op` (enum c,u,d,r,t), `__ts`
 * (timestamp-micros), `__seq` (long), `__idx` (long), `__source` (string), `__txid` (string). The key is a record of the key
 * columns in key order, not nullable; a table without a primary key has the key record {"hash": bytes}, 16 bytes. A table without
 * columns is one whose rows nobody has seen yet, only that it was emptied: such messages have no key, and nothing is known of it, so
 * there is no key schema. A made-up one would stand in the way of the real one where a registry compares them.
 *
 * Field names are mapped (name.h); no mapped name begins with `__`, so no column collides with our metadata. The originals, and
 * what Avro has no word for, are properties:
 *   on the record  kakehi.database, kakehi.table, kakehi.key (list of column names)
 *   on a field     kakehi.column, kakehi.type (types.h), kakehi.source_type, and where not 0 kakehi.precision, kakehi.scale
 *
 * The id of a schema is CRC-64-AVRO over its whole text in our spelling, not over Avro's parsing canonical form: that form
 * drops logical types, so DECIMAL(10,2) and DECIMAL(10,4) would share one id. A reader takes the text for an id from the topic
 * of schemas and need not compute it. The key schema holds nothing but names and types, so that a changed non-key column leaves
 * the key's bytes, and so the partition, alone.
 */
#ifndef KAKEHI_SCHEMAS_SCHEMA_H
#define KAKEHI_SCHEMAS_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "schemas/table.h"

struct schema {
    struct table *table; /* owned */
    char *value_text;    /* JSON, one line; owned */
    uint64_t value_id;
    char *key_text; /* owned; NULL, and its id 0: of a table without columns */
    uint64_t key_id;
};

/* Takes the table. Fails (ERR_POISON) if a name can't be mapped; the table is freed then too. */
int schema_new(struct table *table, struct schema **ret_schema, struct err *err) MUST_CHECK;
void schema_free(struct schema *schema); /* takes NULL */

/* The table behind the text of a value schema that schema_new made; ERR_POISON on anything else. key_text stays NULL. */
int schema_parse(const char *text, size_t size, struct schema **ret_schema, struct err *err) MUST_CHECK;

/* Does a text that somebody else has kept for us still say what ours says? All members of ours must be there and equal; their order,
 * spelling, and members that were added do not matter. */
bool schema_texts_agree(const char *ours, const char *theirs, size_t theirs_size);

/* CRC-64-AVRO (Avro 1.11 specification, "Schema Fingerprints"). */
uint64_t schema_fingerprint(const char *text, size_t size);

#endif
