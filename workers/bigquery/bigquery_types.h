/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bigquery_types: the types of history columns, and what a column of the source becomes. The word of each type stands in the
 * one type table (schemas/types.c); only NUMERIC is decided here, between NUMERIC and BIGNUMERIC by precision and scale.
 *
 * Precision and scale are not declared in BigQuery: the source has checked them, and a declared one would need a patch of the
 * table each time the source widens its column. A BIGINT UNSIGNED is a NUMERIC: INT64 ends at 2^63 - 1.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_BIGQUERY_TYPES_H
#define KAKEHI_WORKERS_BIGQUERY_BIGQUERY_TYPES_H

#include <stdbool.h>
#include <stddef.h>

#include "schemas/table.h"

/* The types that we write. A table may hold columns of other types that somebody added; they are no part of a layout. */
enum bigquery_type {
    BIGQUERY_INT64,
    BIGQUERY_FLOAT64,
    BIGQUERY_NUMERIC,    /* 29 digits before the point, 9 behind */
    BIGQUERY_BIGNUMERIC, /* 38 digits before the point (not every 39th), 38 behind */
    BIGQUERY_BOOL,
    BIGQUERY_STRING,
    BIGQUERY_BYTES,
    BIGQUERY_DATE,
    BIGQUERY_DATETIME,
    BIGQUERY_TIMESTAMP,
    BIGQUERY_JSON,
    BIGQUERY_TYPE_COUNT
};

/* "INT64": the word of SQL, and what we send in a table's schema. */
const char *bigquery_type_word(enum bigquery_type type);
/* The type of a word, also of the older words in which tables.get answers (INTEGER, FLOAT, BOOLEAN); -1 if it is none of ours.
 */
int bigquery_type_by_word(const char *word);
/* What a column of the source is in its history. */
enum bigquery_type bigquery_type_of(const struct column *column);

/* One column of a history table. */
struct bigquery_column {
    const char *name; /* as BigQuery has it; letters, digits and '_', not beginning with a digit */
    enum bigquery_type type;
};

/* The metadata of a change, in this order; each history table has them, behind the columns that it was made with. */
enum bigquery_meta {
    BIGQUERY_META_OP,         /* __op STRING: c u d r t */
    BIGQUERY_META_TS,         /* __ts TIMESTAMP */
    BIGQUERY_META_SEQ,        /* __seq INT64 */
    BIGQUERY_META_IDX,        /* __idx INT64 */
    BIGQUERY_META_SOURCE,     /* __source STRING */
    BIGQUERY_META_TXID,       /* __txid STRING */
    BIGQUERY_META_INGEST_DAY, /* __ingest_day DATE: set by the worker, the table's partition; not in the Avro record */
    BIGQUERY_META_COUNT
};
extern const struct bigquery_column bigquery_meta_columns[BIGQUERY_META_COUNT];

/*
 * A history table as a writer sees it: its columns in the table's order. The place of a column is its number in the writer's
 * descriptor and in the rows, so descriptor and row programs of one call are made of the same layout. Columns are added at the
 * end only, and a longer layout needs a new descriptor (and so a new call); rows that were made with the shorter one stay
 * right.
 */
struct bigquery_layout {
    const struct bigquery_column *columns; /* borrowed */
    size_t column_count;
    /* DATETIME as a packed int64 (civil time) instead of text: 11 bytes a value where text takes 28. No emulator reads it. */
    bool datetime_packed;
};

/* The place of the column, or column_count. BigQuery does not tell upper from lower case in names. */
size_t bigquery_layout_find(const struct bigquery_layout *layout, const char *name);

#endif
