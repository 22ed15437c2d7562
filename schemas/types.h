/* SPDX-License-Identifier: Apache-2.0 */
/*
 * types: the one type table. For each column_type: how its values stand in Avro, in SQLite and in BigQuery, and what MySQL
 * types become it. The encoder, the decoder, the table makers and the documentation read it; nobody else decides.
 */
#ifndef KAKEHI_SCHEMAS_TYPES_H
#define KAKEHI_SCHEMAS_TYPES_H

#include <stdio.h>

#include "common/buffer.h"
#include "schemas/table.h"

struct type_facts {
    const char *name;     /* "long", "ulong", ...: the property kakehi.type of the Avro schema */
    const char *avro;     /* the Avro type as JSON; %p and %s stand for precision and scale: type_avro */
    const char *sqlite;   /* INTEGER, REAL, TEXT, BLOB; for people: columns there have no type */
    const char *bigquery; /* INT64, ...; NUMERIC stands for NUMERIC or BIGNUMERIC by precision and scale */
    const char *mysql;    /* for the documentation page: "TINYINT to BIGINT, ..." */
};

const struct type_facts *type_facts(enum column_type type);
/* The table as the documentation page has it. */
void types_print_markdown(FILE *out);
/* -1 if no type has that name. */
int type_by_name(const char *name);
/* Appends the Avro type of the column as JSON. */
void type_avro(struct buffer *out, const struct column *column);
/* BigQuery's BIGNUMERIC: 38 digits behind the point, 38 whole ones in front (the 39th can't hold every digit). */
#define TYPES_DECIMAL_WHOLE_MAX    38
#define TYPES_DECIMAL_FRACTION_MAX 38

/* COLUMN_DECIMAL where BigQuery's NUMERIC or BIGNUMERIC holds it (s <= 38 and p - s <= 38), else COLUMN_DECIMAL_TEXT. */
enum column_type type_of_decimal(unsigned precision, unsigned scale);

#endif
