/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table_map: what a TABLE_MAP event says, taken apart and checked against itself, but not yet judged.
 *
 * table id (read by the stream), flags u16, database, table, types, metadata of the types, nullability, and behind that the
 * optional metadata: type, length, value; unknown types are passed by their length. With binlog_row_metadata=FULL it holds all
 * that a reader needs; MySQL's MINIMAL holds signs and character sets; MariaDB's NO_LOG nothing. The lists count only the
 * columns that they are about, and the two servers differ in which those are.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_TABLE_MAP_H
#define KAKEHI_PRODUCER_BINLOG_TABLE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "producer/binlog/cursor.h"
#include "producer/binlog/stream.h"

#define TABLE_MAP_COLUMNS_MAX 4096

enum { /* types on the wire; MySQL's enum_field_types, and two of MariaDB */
       WIRE_DECIMAL = 0,
       WIRE_TINY = 1,
       WIRE_SHORT = 2,
       WIRE_LONG = 3,
       WIRE_FLOAT = 4,
       WIRE_DOUBLE = 5,
       WIRE_NULL = 6,
       WIRE_TIMESTAMP = 7,
       WIRE_LONGLONG = 8,
       WIRE_INT24 = 9,
       WIRE_DATE = 10,
       WIRE_TIME = 11,
       WIRE_DATETIME = 12,
       WIRE_YEAR = 13,
       WIRE_NEWDATE = 14,
       WIRE_VARCHAR = 15,
       WIRE_BIT = 16,
       WIRE_TIMESTAMP2 = 17,
       WIRE_DATETIME2 = 18,
       WIRE_TIME2 = 19,
       WIRE_TYPED_ARRAY = 20,
       WIRE_MARIADB_BLOB_COMPRESSED = 140,
       WIRE_MARIADB_VARCHAR_COMPRESSED = 141,
       WIRE_VECTOR = 242,
       WIRE_JSON = 245,
       WIRE_NEWDECIMAL = 246,
       WIRE_ENUM = 247,
       WIRE_SET = 248,
       WIRE_TINY_BLOB = 249,
       WIRE_MEDIUM_BLOB = 250,
       WIRE_LONG_BLOB = 251,
       WIRE_BLOB = 252,
       WIRE_VAR_STRING = 253,
       WIRE_STRING = 254,
       WIRE_GEOMETRY = 255,
};

struct table_map_text {
    const uint8_t *bytes; /* borrowed from the event's body; NULL: not told */
    size_t size;
};

struct table_map_column {
    uint8_t type;    /* ENUM and SET, which travel as STRING, under their own */
    uint16_t length; /* STRING, VARCHAR: most bytes of a value; BLOB and its like: bytes of the length; ENUM, SET: bytes of a
                        value; BIT: bits; temporal types: digits of the fraction; DECIMAL: precision */
    uint8_t scale;   /* DECIMAL */
    bool nullable;
    bool is_unsigned;
    uint64_t collation; /* 0: not told */
    struct table_map_text name;
    struct cursor labels; /* ENUM, SET: count lenenc, then lenenc length and bytes each; at NULL: not told */
};

struct table_map {
    struct table_map_text database;
    struct table_map_text name;
    struct table_map_column *columns; /* owned */
    size_t column_count;
    uint16_t *key; /* owned; column indexes in key order */
    size_t key_count;
    bool has_signs;
    bool has_names;
};

/* body: behind the table id. ERR_FATAL on bytes that contradict themselves; *ret_map is then freed. */
int table_map_read(struct table_map *ret_map, enum binlog_flavor flavor, const uint8_t *body, size_t size,
                   struct err *err) MUST_CHECK;
void table_map_deinit(struct table_map *map);

#endif
