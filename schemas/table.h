/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table: the shape of one table at one moment: its columns in order, their types, its primary key.
 *
 * This is the common language of sources, the Avro schema and the warehouses. A source fills it from its own metadata; a worker
 * gets the same back from the Avro schema (schema.h).
 */
#ifndef KAKEHI_SCHEMAS_TABLE_H
#define KAKEHI_SCHEMAS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_COLUMNS_MAX 4096 /* MySQL's own limit */

/* What a column holds on its way, not what MySQL calls it. types.h says how each is written in Avro, SQLite and BigQuery. */
enum column_type {
    COLUMN_LONG,         /* integers but BIGINT UNSIGNED; cell.integer */
    COLUMN_ULONG,        /* BIGINT UNSIGNED; cell.integer holds the bits of the uint64_t; Avro decimal(20,0) */
    COLUMN_DECIMAL,      /* DECIMAL(precision, scale) that a destination can hold; cell.bytes: decimal.h */
    COLUMN_DECIMAL_TEXT, /* a wider DECIMAL; cell.bytes: "-123.4500", as MySQL prints it */
    COLUMN_FLOAT,        /* cell.real, exactly a float */
    COLUMN_DOUBLE,       /* cell.real */
    COLUMN_BOOLEAN,      /* BIT(1); cell.integer 0 or 1 */
    COLUMN_BYTES,        /* binary types, BIT(n), GEOMETRY; cell.bytes */
    COLUMN_DATE,         /* cell.integer: days since 1970-01-01 */
    COLUMN_DATETIME,     /* cell.integer: microseconds since 1970-01-01 00:00:00 on the wall clock, no zone */
    COLUMN_TIMESTAMP,    /* cell.integer: microseconds since the epoch, UTC */
    COLUMN_TIME,         /* cell.integer: microseconds, signed, up to +-838:59:59.999999 */
    COLUMN_YEAR,         /* cell.integer: 0, 1901 to 2155 */
    COLUMN_TEXT,         /* CHAR, VARCHAR, TEXT, ENUM, SET; cell.bytes: UTF-8 */
    COLUMN_JSON,         /* cell.bytes: JSON text, UTF-8 */
    COLUMN_TYPE_COUNT
};

struct column {
    char *name;        /* as the database has it, UTF-8 */
    char *source_type; /* for people: "decimal(10,2)", "varchar", "datetime(6)" */
    enum column_type type;
    uint8_t precision; /* COLUMN_DECIMAL*: 1 to 65; temporal types: digits of the fraction, 0 to 6; BIT: its bits; else 0 */
    uint8_t scale;     /* COLUMN_DECIMAL*: 0 to 30 */
};

struct table {
    char *database;
    char *name;
    struct column *columns;
    size_t column_count; /* 0 to TABLE_COLUMNS_MAX */
    size_t *key;         /* column indexes in key order; a key column is never null */
    size_t key_count;    /* 0: no primary key */
};

/* An empty table; columns (name and source_type: allocated, never NULL in the end) and key are filled by the caller. */
struct table *table_new(const char *database, const char *name, size_t column_count, size_t key_count);
struct table *table_copy(const struct table *table);
void table_free(struct table *table); /* takes NULL */
bool table_same(const struct table *one, const struct table *other);

/* "database.table" with its end. A name in MySQL has 64 characters of at most 4 bytes ("Identifier Length Limits"). */
#define TABLE_FULL_NAME_SIZE (2 * 256 + 2)
void table_full_name(const char *database, const char *name, char ret_text[TABLE_FULL_NAME_SIZE]);

enum cell_state {
    CELL_NULL,
    CELL_VALUE,
    CELL_UNREPRESENTABLE, /* zero or partial date, too many digits, bytes invalid in their character set: `bytes` says it as MySQL
                             would print it (dates, digits) or holds the raw bytes (text); the column's policy decides */
};

/* One value. bytes are borrowed from whoever decoded it, until its next row. */
struct cell {
    enum cell_state state;
    bool to_letter; /* CELL_UNREPRESENTABLE: its policy is that the row goes to the dead letters */
    union {
        int64_t integer;
        double real;
    };
    const uint8_t *bytes;
    size_t size;
};

#endif
