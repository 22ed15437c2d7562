/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the event into bytes and pointers; what the columns mean is decided in shape.c. */
#include "producer/binlog/table_map.h"

#include <stdlib.h>

#include "common/must.h"

enum { /* optional metadata */
       META_SIGNEDNESS = 1,
       META_DEFAULT_CHARSET = 2,
       META_COLUMN_CHARSET = 3,
       META_COLUMN_NAME = 4,
       META_SET_VALUES = 5,
       META_ENUM_VALUES = 6,
       META_SIMPLE_KEY = 8,
       META_KEY_WITH_PREFIX = 9,
       META_LABEL_DEFAULT_CHARSET = 10,
       META_LABEL_COLUMN_CHARSET = 11,
};

static const char CONTRADICTION[] = "its optional metadata does not fit its columns";

void table_map_deinit(struct table_map *map)
{
    free(map->columns);
    free(map->key);
    *map = (struct table_map){0};
}

/* Names have a length in front and a NUL behind. */
static struct table_map_text read_name(struct cursor *cursor)
{
    uint8_t size = cursor_u8(cursor);
    const uint8_t *bytes = cursor_bytes(cursor, size);

    if (cursor_u8(cursor) != 0 || (bytes != NULL && memchr(bytes, 0, size) != NULL)) {
        cursor_fail(cursor, "a name does not end with a NUL");
    }
    return (struct table_map_text){bytes, size};
}

/* CHAR, BINARY, ENUM and SET: the real type, and a length whose bits 8 and 9 are hidden, inverted, in the type. */
static void read_string_metadata(struct table_map_column *column, struct cursor *cursor)
{
    uint8_t type = cursor_u8(cursor);
    uint8_t length = cursor_u8(cursor);

    column->type = type | 0x30;
    column->length = (uint16_t)(((type & 0x30) ^ 0x30) << 4 | length);
    if (column->type != WIRE_STRING && column->type != WIRE_ENUM && column->type != WIRE_SET) {
        cursor_fail(cursor, "a column of characters has an unknown real type");
    }
}

static void read_column_metadata(struct table_map_column *column, struct cursor *cursor)
{
    switch (column->type) {
    case WIRE_STRING:
    case WIRE_ENUM:
    case WIRE_SET:
        read_string_metadata(column, cursor);
        break;
    case WIRE_VARCHAR:
    case WIRE_VAR_STRING:
    case WIRE_MARIADB_VARCHAR_COMPRESSED:
        column->length = cursor_u16(cursor);
        break;
    case WIRE_BIT: /* the bits over whole bytes, then the bytes */
        column->length = cursor_u8(cursor);
        column->length = (uint16_t)(column->length + 8 * cursor_u8(cursor));
        break;
    case WIRE_NEWDECIMAL:
        column->length = cursor_u8(cursor);
        column->scale = cursor_u8(cursor);
        break;
    case WIRE_TYPED_ARRAY: /* the type of the elements and its metadata; the array itself travels like JSON */
        column->type = cursor_u8(cursor);
        if (column->type == WIRE_VARCHAR || column->type == WIRE_VAR_STRING) {
            cursor_skip(cursor, 3);
        } else if (column->type != WIRE_TYPED_ARRAY) {
            read_column_metadata(column, cursor);
        }
        column->type = WIRE_TYPED_ARRAY;
        column->length = 4;
        break;
    case WIRE_FLOAT:
    case WIRE_DOUBLE:
    case WIRE_TIMESTAMP2:
    case WIRE_DATETIME2:
    case WIRE_TIME2:
    case WIRE_VECTOR:
    case WIRE_JSON:
    case WIRE_TINY_BLOB:
    case WIRE_MEDIUM_BLOB:
    case WIRE_LONG_BLOB:
    case WIRE_BLOB:
    case WIRE_GEOMETRY:
    case WIRE_MARIADB_BLOB_COMPRESSED:
        column->length = cursor_u8(cursor);
        break;
    default: /* no metadata */
        break;
    }
}

static bool is_numeric(const struct table_map_column *column)
{
    switch (column->type) {
    case WIRE_TINY:
    case WIRE_SHORT:
    case WIRE_INT24:
    case WIRE_LONG:
    case WIRE_LONGLONG:
    case WIRE_FLOAT:
    case WIRE_DOUBLE:
    case WIRE_DECIMAL:
    case WIRE_NEWDECIMAL:
    case WIRE_YEAR:
        return true;
    default:
        return false;
    }
}

/* Is it counted in the lists of character sets? Binary columns are; JSON, ENUM and SET are not; GEOMETRY only by MariaDB. */
static bool has_charset(const struct table_map_column *column, enum binlog_flavor flavor)
{
    switch (column->type) {
    case WIRE_STRING:
    case WIRE_VARCHAR:
    case WIRE_VAR_STRING:
    case WIRE_TINY_BLOB:
    case WIRE_MEDIUM_BLOB:
    case WIRE_LONG_BLOB:
    case WIRE_BLOB:
        return true;
    case WIRE_VECTOR:
        return flavor == BINLOG_MYSQL;
    case WIRE_GEOMETRY:
    case WIRE_MARIADB_BLOB_COMPRESSED:
    case WIRE_MARIADB_VARCHAR_COMPRESSED:
        return flavor == BINLOG_MARIADB;
    default:
        return false;
    }
}

static bool has_labels(const struct table_map_column *column, enum binlog_flavor flavor)
{
    (void)flavor;
    return column->type == WIRE_ENUM || column->type == WIRE_SET;
}

typedef bool (*column_test)(const struct table_map_column *column, enum binlog_flavor flavor);

static void read_signs(struct table_map *map, struct cursor *value)
{
    size_t count = 0;
    size_t i = 0;
    const uint8_t *bits;

    for (size_t c = 0; c < map->column_count; c++) {
        count += is_numeric(&map->columns[c]);
    }
    bits = cursor_bytes(value, (count + 7) / 8);
    for (size_t c = 0; bits != NULL && c < map->column_count; c++) {
        if (is_numeric(&map->columns[c])) {
            map->columns[c].is_unsigned = bitmap_high_first(bits, i++);
        }
    }
    map->has_signs = bits != NULL;
}

/* One collation for all, then pairs of column (counted among those with one) and collation. */
static void read_default_charset(struct table_map *map, struct cursor *value, enum binlog_flavor flavor, column_test counts)
{
    uint64_t collation = cursor_lenenc(value);
    struct table_map_column *counted[TABLE_MAP_COLUMNS_MAX];
    size_t count = 0;

    for (size_t c = 0; c < map->column_count; c++) {
        if (counts(&map->columns[c], flavor)) {
            map->columns[c].collation = collation;
            counted[count++] = &map->columns[c];
        }
    }
    while (cursor_left(value) > 0) {
        uint64_t which = cursor_lenenc(value);
        uint64_t other = cursor_lenenc(value);

        if (which >= count) {
            cursor_fail(value, CONTRADICTION);
            return;
        }
        counted[which]->collation = other;
    }
}

static void read_column_charsets(struct table_map *map, struct cursor *value, enum binlog_flavor flavor, column_test counts)
{
    for (size_t c = 0; c < map->column_count; c++) {
        if (counts(&map->columns[c], flavor)) {
            map->columns[c].collation = cursor_lenenc(value);
        }
    }
}

static void read_column_names(struct table_map *map, struct cursor *value)
{
    for (size_t c = 0; c < map->column_count; c++) {
        struct table_map_text *name = &map->columns[c].name;

        name->size = (size_t)cursor_lenenc(value);
        name->bytes = cursor_bytes(value, name->size);
        if (name->size == 0 || (name->bytes != NULL && memchr(name->bytes, 0, name->size) != NULL)) {
            cursor_fail(value, "a column's name is empty or holds a NUL");
        }
    }
    map->has_names = true;
}

static void read_labels(struct table_map *map, struct cursor *value, uint8_t type)
{
    for (size_t c = 0; c < map->column_count; c++) {
        uint64_t count;

        if (map->columns[c].type != type) {
            continue;
        }
        map->columns[c].labels = *value;
        count = cursor_lenenc(value);
        for (uint64_t i = 0; i < count && value->why == NULL; i++) {
            cursor_skip(value, (size_t)cursor_lenenc(value));
        }
    }
}

static void read_key(struct table_map *map, struct cursor *value, bool with_prefix)
{
    map->key_count = 0;
    while (cursor_left(value) > 0) {
        uint64_t column = cursor_lenenc(value);

        if (with_prefix) {
            (void)cursor_lenenc(value); /* characters of the prefix: rows hold the whole column */
        }
        if (column >= map->column_count || map->key_count == map->column_count) {
            cursor_fail(value, CONTRADICTION);
            return;
        }
        map->key[map->key_count++] = (uint16_t)column;
    }
}

/* Fields that we do not know, or do not need (types of GEOMETRY, visibility, dimensions of VECTOR), end with their length. */
static void read_optional_field(struct table_map *map, uint8_t type, struct cursor *value, enum binlog_flavor flavor)
{
    switch (type) {
    case META_SIGNEDNESS:
        read_signs(map, value);
        break;
    case META_DEFAULT_CHARSET:
        read_default_charset(map, value, flavor, has_charset);
        break;
    case META_COLUMN_CHARSET:
        read_column_charsets(map, value, flavor, has_charset);
        break;
    case META_COLUMN_NAME:
        read_column_names(map, value);
        break;
    case META_SET_VALUES:
        read_labels(map, value, WIRE_SET);
        break;
    case META_ENUM_VALUES:
        read_labels(map, value, WIRE_ENUM);
        break;
    case META_SIMPLE_KEY:
    case META_KEY_WITH_PREFIX:
        read_key(map, value, type == META_KEY_WITH_PREFIX);
        break;
    case META_LABEL_DEFAULT_CHARSET:
        read_default_charset(map, value, flavor, has_labels);
        break;
    case META_LABEL_COLUMN_CHARSET:
        read_column_charsets(map, value, flavor, has_labels);
        break;
    default:
        value->at = value->end;
        break;
    }
    if (value->why == NULL && cursor_left(value) > 0) {
        cursor_fail(value, CONTRADICTION);
    }
}

static void read_optional(struct table_map *map, struct cursor *cursor, enum binlog_flavor flavor)
{
    while (cursor_left(cursor) > 0) {
        uint8_t type = cursor_u8(cursor);
        struct cursor value = cursor_part(cursor, cursor_lenenc(cursor));

        read_optional_field(map, type, &value, flavor);
        if (value.why != NULL) {
            cursor_fail(cursor, CONTRADICTION);
        }
    }
}

static void read_columns(struct table_map *map, struct cursor *cursor)
{
    uint64_t count = cursor_lenenc(cursor);
    const uint8_t *types = count <= TABLE_MAP_COLUMNS_MAX ? cursor_bytes(cursor, (size_t)count) : NULL;
    struct cursor metadata = cursor_part(cursor, cursor_lenenc(cursor));
    const uint8_t *nullable = types != NULL ? cursor_bytes(cursor, (size_t)(count + 7) / 8) : NULL;

    if (types == NULL || nullable == NULL) {
        cursor_fail(cursor, "it has more columns than bytes, or than a table can have");
        return;
    }
    map->columns = calloc((size_t)count + 1, sizeof *map->columns);
    map->key = calloc((size_t)count + 1, sizeof *map->key);
    must(map->columns != NULL && map->key != NULL);
    map->column_count = (size_t)count;
    for (size_t c = 0; c < map->column_count; c++) {
        map->columns[c].type = types[c];
        map->columns[c].nullable = bitmap_low_first(nullable, c);
        read_column_metadata(&map->columns[c], &metadata);
    }
    if (metadata.why != NULL || cursor_left(&metadata) > 0) {
        cursor_fail(cursor, metadata.why != NULL ? metadata.why : "the metadata of its columns is longer than their types say");
    }
}

int table_map_read(struct table_map *ret_map, enum binlog_flavor flavor, const uint8_t *body, size_t size, struct err *err)
{
    struct cursor cursor = cursor_over(body, size);

    *ret_map = (struct table_map){0};
    cursor_skip(&cursor, 2); /* flags */
    ret_map->database = read_name(&cursor);
    ret_map->name = read_name(&cursor);
    read_columns(ret_map, &cursor);
    read_optional(ret_map, &cursor, flavor);
    if (cursor.why == NULL) {
        return 0;
    }
    table_map_deinit(ret_map);
    return err_set(err, ERR_FATAL, "TABLE_MAP: %s", cursor.why);
}
