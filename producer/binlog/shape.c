/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table of types (`kinds`) says for each type on the wire how long its values are, who decodes them, and what column they
 * become. Types whose decoder depends on more (sign, character set, precision) have a function of their own.
 *
 * Deliberately absent: guesses. UUID and INET of MariaDB look exactly like BINARY here: the server must say what they are. Temporal columns that
 * MariaDB keeps in the form from before 5.6 do not tell how many digits of a fraction they have, so where a row ends is not
 * known.
 */
#include "producer/binlog/shape.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "schemas/types.h"

#define BIT_MAX       64
#define FRACTION_MAX  6
#define PRECISION_MAX 65
#define SCALE_MAX     30
#define LABELS_MAX    65535
#define SET_MAX       64

#define VECTOR_ELEMENT_BYTES 4

/* What one column is made of. */
struct making {
    struct shape *shape;
    const struct table_map_column *map;
    struct value_column *value;
    struct column *column;
    enum binlog_flavor flavor;
    bool names_optional;
    const struct binlog_stream_options *options;
    const struct binlog_marks *marks; /* NULL: the server was not asked */
    size_t number;                    /* from 1 */
};

__attribute__((format(printf, 2, 3))) static void set_trouble(struct making *making, const char *format, ...)
{
    struct shape *shape = making->shape;
    char why[256];
    va_list list;

    if (shape->trouble.class != ERR_NONE) {
        return;
    }
    va_start(list, format);
    (void)vsnprintf(why, sizeof why, format, list);
    va_end(list);
    (void)err_set(&shape->trouble, ERR_FATAL, "table %.64s.%.64s, column %.64s: %s", shape->table->database, shape->table->name,
                  making->column->name, why);
}

__attribute__((format(printf, 2, 3))) static void set_source_type(struct making *making, const char *format, ...)
{
    va_list list;
    char *text;

    va_start(list, format);
    must(vasprintf(&text, format, list) >= 0);
    va_end(list);
    free(making->column->source_type);
    making->column->source_type = text;
}

static char *copy_text(struct table_map_text text)
{
    char *copy = strndup((const char *)text.bytes, text.size);

    must(copy != NULL);
    return copy;
}

static void need_sign(struct making *making)
{
    making->value->is_unsigned = making->map->is_unsigned;
}

static void make_integer(struct making *making)
{
    static const struct {
        uint8_t wire;
        uint8_t width;
        const char *name;
    } integers[] = {{WIRE_TINY, 1, "tinyint"},
                    {WIRE_SHORT, 2, "smallint"},
                    {WIRE_INT24, 3, "mediumint"},
                    {WIRE_LONG, 4, "int"},
                    {WIRE_LONGLONG, 8, "bigint"}};
    size_t i = 0;

    while (integers[i].wire != making->map->type) {
        i++;
    }
    need_sign(making);
    making->value->decode = value_integer;
    making->value->width = integers[i].width;
    making->column->type = integers[i].width == 8 && making->value->is_unsigned ? COLUMN_ULONG : COLUMN_LONG;
    set_source_type(making, "%s%s", integers[i].name, making->value->is_unsigned ? " unsigned" : "");
}

static void make_real(struct making *making)
{
    bool is_float = making->map->type == WIRE_FLOAT;

    making->value->decode = is_float ? value_float : value_double;
    making->value->width = is_float ? 4 : 8;
    making->column->type = is_float ? COLUMN_FLOAT : COLUMN_DOUBLE;
    set_source_type(making, "%s%s", is_float ? "float" : "double", making->map->is_unsigned ? " unsigned" : "");
}

static void make_decimal(struct making *making)
{
    unsigned precision = making->map->length;
    unsigned scale = making->map->scale;

    if (precision < 1 || precision > PRECISION_MAX || scale > SCALE_MAX || scale > precision) {
        set_trouble(making, "no server has DECIMAL(%u,%u)", precision, scale);
        making->shape->walkable = false;
        return;
    }
    making->column->type = type_of_decimal(precision, scale);
    making->value->decode = making->column->type == COLUMN_DECIMAL ? value_decimal : value_decimal_text;
    making->value->width = (uint8_t)value_decimal_width(precision, scale);
    making->value->precision = making->column->precision = (uint8_t)precision;
    making->value->scale = making->column->scale = (uint8_t)scale;
    set_source_type(making, "decimal(%u,%u)%s", precision, scale, making->map->is_unsigned ? " unsigned" : "");
}

static void make_year(struct making *making)
{
    making->value->decode = value_year;
    making->value->width = 1;
    making->column->type = COLUMN_YEAR;
    set_source_type(making, "year");
}

static void make_date(struct making *making)
{
    making->value->decode = value_date;
    making->value->width = 3;
    making->column->type = COLUMN_DATE;
    set_source_type(making, "date");
}

struct temporal_kind {
    uint8_t wire;
    uint8_t width; /* without the fraction */
    value_decode decode;
    enum column_type type;
    const char *name;
    bool old;
};

static const struct temporal_kind temporal_kinds[] = {
    {WIRE_TIMESTAMP2, 4, value_timestamp, COLUMN_TIMESTAMP, "timestamp", false},
    {WIRE_DATETIME2, 5, value_datetime, COLUMN_DATETIME, "datetime", false},
    {WIRE_TIME2, 3, value_time, COLUMN_TIME, "time", false},
    {WIRE_TIMESTAMP, 4, value_old_timestamp, COLUMN_TIMESTAMP, "timestamp", true},
    {WIRE_DATETIME, 8, value_old_datetime, COLUMN_DATETIME, "datetime", true},
    {WIRE_TIME, 3, value_old_time, COLUMN_TIME, "time", true},
};

static void make_temporal(struct making *making)
{
    const struct temporal_kind *kind = temporal_kinds;
    unsigned digits = making->map->length;

    while (kind->wire != making->map->type) {
        kind++;
    }
    if (digits > FRACTION_MAX) {
        set_trouble(making, "no server has %s(%u)", kind->name, digits);
        making->shape->walkable = false;
        return;
    }
    making->value->width = (uint8_t)(kind->width + value_fraction_width(digits));
    making->value->precision = making->column->precision = (uint8_t)digits;
    making->column->type = kind->type;
    set_source_type(making, digits > 0 ? "%s(%u)" : "%s", kind->name, digits);
    if (kind->old && making->flavor == BINLOG_MARIADB) {
        making->shape->opaque = true;
        set_trouble(making,
                    "a %s of the form before MariaDB 10.1: the log does not tell its fraction; set mysql56_temporal_format=ON "
                    "and rebuild the table (ALTER TABLE ... FORCE)",
                    kind->name);
        return;
    }
    making->value->decode = kind->decode;
}

static void make_bit(struct making *making)
{
    unsigned bits = making->map->length;

    if (bits < 1 || bits > BIT_MAX) {
        set_trouble(making, "no server has BIT(%u)", bits);
        making->shape->walkable = false;
        return;
    }
    making->value->decode = bits == 1 ? value_boolean : value_bit;
    making->value->width = (uint8_t)((bits + 7) / 8);
    making->value->precision = making->column->precision = (uint8_t)bits;
    making->column->type = bits == 1 ? COLUMN_BOOLEAN : COLUMN_BYTES;
    set_source_type(making, "bit(%u)", bits);
}

/* What the server says of a column whose type looks like another's in MariaDB's log. */
static enum binlog_mark doubt(struct making *making)
{
    const struct table *table = making->shape->table;

    if (making->flavor != BINLOG_MARIADB) {
        return MARK_NONE;
    }
    making->shape->doubtful = true;
    return making->marks != NULL ? binlog_marks_find(making->marks, table->database, table->name, making->column->name) : MARK_NONE;
}

/* Decides between text and bytes by the column's collation. */
static void make_text_or_bytes(struct making *making, const char *text_type, const char *bytes_type)
{
    uint64_t collation = making->map->collation;
    enum charset charset = charset_of_collation(making->flavor, collation);

    if (collation == 0 && making->names_optional) {
        charset = CHARSET_UTF8; /* an old log tells nothing: what is not UTF-8 will show as unrepresentable */
    } else if (collation == 0) {
        set_trouble(making, "the log does not tell its character set: set binlog_row_metadata=FULL at the source");
    } else if (charset == CHARSET_UNKNOWN) {
        set_trouble(making, "collation %llu is not known to this version", (unsigned long long)collation);
    }
    making->value->charset = charset;
    making->value->decode = charset == CHARSET_UNKNOWN ? NULL : charset == CHARSET_BINARY ? value_bytes : value_text;
    making->column->type = charset == CHARSET_BINARY ? COLUMN_BYTES : COLUMN_TEXT;
    set_source_type(making, "%s", charset == CHARSET_BINARY ? bytes_type : text_type);
}

static void make_marked_text(struct making *making, value_decode decode, const char *type)
{
    making->value->decode = decode;
    making->column->type = COLUMN_TEXT;
    set_source_type(making, "%s", type);
}

static void make_binary(struct making *making)
{
    unsigned size = making->map->length;
    enum binlog_mark mark = size == 16 || size == 4 ? doubt(making) : MARK_NONE;

    making->value->padded_size = size;
    set_source_type(making, "binary(%u)", size);
    if (mark == MARK_UUID && size == 16) {
        make_marked_text(making, value_uuid, "uuid");
    } else if (mark == MARK_INET6 && size == 16) {
        make_marked_text(making, value_inet6, "inet6");
    } else if (mark == MARK_INET4 && size == 4) {
        make_marked_text(making, value_inet4, "inet4");
    }
}

static void make_char(struct making *making)
{
    making->value->length_size = making->map->length > 255 ? 2 : 1;
    make_text_or_bytes(making, "char", "binary");
    if (making->value->charset == CHARSET_BINARY) {
        make_binary(making);
    }
}

/* Floats in a row, length in front, on both servers; as JSON: BigQuery's arrays can't be null, and each float keeps its value. */
static void set_vector(struct making *making)
{
    making->value->decode = value_vector;
    making->column->type = COLUMN_JSON;
    set_source_type(making, "vector");
}

static void make_varchar(struct making *making)
{
    making->value->length_size = making->map->length > 255 ? 2 : 1;
    make_text_or_bytes(making, "varchar", "varbinary");
    if (making->value->charset == CHARSET_BINARY && making->map->length % VECTOR_ELEMENT_BYTES == 0 && doubt(making) == MARK_VECTOR) {
        set_vector(making);
    }
}

static bool set_length_size(struct making *making)
{
    if (making->map->length < 1 || making->map->length > 4) {
        set_trouble(making, "a length of %u bytes", making->map->length);
        making->shape->walkable = false;
        return false;
    }
    making->value->length_size = (uint8_t)making->map->length;
    return true;
}

static void make_blob(struct making *making)
{
    static const char *const texts[] = {"", "tinytext", "text", "mediumtext", "longtext"};
    static const char *const blobs[] = {"", "tinyblob", "blob", "mediumblob", "longblob"};

    if (set_length_size(making)) {
        make_text_or_bytes(making, texts[making->map->length], blobs[making->map->length]);
    }
    if (making->map->length == 4 && making->column->type == COLUMN_TEXT && doubt(making) == MARK_JSON) {
        making->column->type = COLUMN_JSON;
        set_source_type(making, "json");
    }
}

static void make_json(struct making *making)
{
    making->shape->json_count++;
    if (set_length_size(making)) {
        making->value->decode = value_json;
        making->column->type = COLUMN_JSON;
        set_source_type(making, "json");
    }
}

static void make_geometry(struct making *making)
{
    if (set_length_size(making)) {
        making->value->decode = value_bytes;
        making->column->type = COLUMN_BYTES;
        set_source_type(making, "geometry");
    }
}

static void free_labels(struct value_column *value)
{
    for (size_t i = 0; i < value->label_count; i++) {
        free(value->labels[i].text);
    }
    free(value->labels);
    value->labels = NULL;
    value->label_count = 0;
}

/* A value of ENUM or SET in the column's character set, as UTF-8. False: it can't be. */
static bool make_label(struct value_label *label, enum charset charset, const uint8_t *bytes, size_t size)
{
    label->text = malloc(size * CHARSET_GROWTH + 1);
    must(label->text != NULL);
    if (charset_is_plain(charset == CHARSET_BINARY ? CHARSET_UTF8 : charset, bytes, size)) {
        memcpy(label->text, bytes, size);
        label->size = size;
        return true;
    }
    return charset != CHARSET_UNKNOWN && charset_to_utf8(charset, bytes, size, (uint8_t *)label->text, &label->size);
}

static void make_labels(struct making *making, size_t count_max)
{
    struct cursor cursor = making->map->labels;
    uint64_t count = cursor_lenenc(&cursor);
    enum charset charset = charset_of_collation(making->flavor, making->map->collation);
    struct value_column *value = making->value;

    if (count > count_max) {
        set_trouble(making, "it has %llu values", (unsigned long long)count);
        return;
    }
    value->labels = calloc((size_t)count + 1, sizeof *value->labels);
    must(value->labels != NULL);
    for (uint64_t i = 0; i < count; i++) {
        size_t size = (size_t)cursor_lenenc(&cursor);
        const uint8_t *bytes = cursor_bytes(&cursor, size);

        must(bytes != NULL); /* table_map.c has walked it */
        value->label_count++;
        if (!make_label(&value->labels[i], charset, bytes, size)) {
            set_trouble(making, "its values are in the character set of collation %llu, which is not handled yet",
                        (unsigned long long)making->map->collation);
        }
    }
}

static void make_enum_or_set(struct making *making)
{
    bool is_enum = making->map->type == WIRE_ENUM;
    unsigned width = making->map->length;

    set_source_type(making, is_enum ? "enum" : "set");
    if (width < 1 || width > (is_enum ? 2 : 8)) {
        set_trouble(making, "a value of %u bytes", width);
        making->shape->walkable = false;
        return;
    }
    making->value->width = (uint8_t)width;
    making->column->type = COLUMN_TEXT;
    making->value->decode = is_enum ? value_enum : value_set;
    if (making->map->labels.at != NULL) {
        make_labels(making, is_enum ? LABELS_MAX : SET_MAX);
    } else if (making->names_optional) {
        making->value->decode = value_label_number;
        making->column->type = width == 8 ? COLUMN_ULONG : COLUMN_LONG;
    } else {
        set_trouble(making, "the log does not tell its values: set binlog_row_metadata=FULL at the source");
    }
}

static void make_compressed(struct making *making)
{
    making->value->compressed = true;
    if (making->map->type == WIRE_MARIADB_VARCHAR_COMPRESSED) {
        make_varchar(making);
    } else {
        make_blob(making);
    }
}

static void make_vector(struct making *making)
{
    if (set_length_size(making)) {
        set_vector(making);
    }
}

/* Known by name, not handled; a length stands in front. Nobody makes a column of it: it is the hidden one of an index over the members of a
 * JSON array, which MySQL 8.0.17 has in its TABLE_MAPs. */
static void make_unhandled(struct making *making)
{
    set_source_type(making, "typed array");
    making->column->type = COLUMN_BYTES;
    if (set_length_size(making)) {
        set_trouble(making, "columns of type typed array are not handled: leave the table out (source.exclude)");
    }
}

static void make_unknown(struct making *making)
{
    making->column->type = COLUMN_BYTES;
    set_trouble(making, "type %u is not known to this version", making->map->type);
    making->shape->walkable = false;
}

static void (*maker_of(uint8_t type))(struct making *)
{
    switch (type) {
    case WIRE_TINY:
    case WIRE_SHORT:
    case WIRE_INT24:
    case WIRE_LONG:
    case WIRE_LONGLONG:
        return make_integer;
    case WIRE_FLOAT:
    case WIRE_DOUBLE:
        return make_real;
    case WIRE_NEWDECIMAL:
        return make_decimal;
    case WIRE_YEAR:
        return make_year;
    case WIRE_DATE:
    case WIRE_NEWDATE:
        return make_date;
    case WIRE_TIMESTAMP:
    case WIRE_DATETIME:
    case WIRE_TIME:
    case WIRE_TIMESTAMP2:
    case WIRE_DATETIME2:
    case WIRE_TIME2:
        return make_temporal;
    case WIRE_BIT:
        return make_bit;
    case WIRE_STRING:
        return make_char;
    case WIRE_VARCHAR:
    case WIRE_VAR_STRING:
        return make_varchar;
    case WIRE_TINY_BLOB:
    case WIRE_MEDIUM_BLOB:
    case WIRE_LONG_BLOB:
    case WIRE_BLOB:
        return make_blob;
    case WIRE_JSON:
        return make_json;
    case WIRE_GEOMETRY:
        return make_geometry;
    case WIRE_ENUM:
    case WIRE_SET:
        return make_enum_or_set;
    case WIRE_VECTOR:
        return make_vector;
    case WIRE_TYPED_ARRAY:
        return make_unhandled;
    case WIRE_MARIADB_BLOB_COMPRESSED:
    case WIRE_MARIADB_VARCHAR_COMPRESSED:
        return make_compressed;
    default:
        return make_unknown;
    }
}

/* MariaDB's hidden column behind a UNIQUE over long text: DB_ROW_HASH_1. */
static bool is_hidden(struct table_map_text name, enum binlog_flavor flavor)
{
    static const char prefix[] = "DB_ROW_HASH_";
    size_t prefix_size = sizeof prefix - 1;

    if (flavor != BINLOG_MARIADB || name.size <= prefix_size || memcmp(name.bytes, prefix, prefix_size) != 0) {
        return false;
    }
    for (size_t i = prefix_size; i < name.size; i++) {
        if (name.bytes[i] < '0' || name.bytes[i] > '9') {
            return false;
        }
    }
    return true;
}

static void make_name(struct making *making)
{
    struct table_map_text name = making->map->name;

    if (name.bytes == NULL) {
        must(asprintf(&making->column->name, "c%zu", making->number) >= 0);
        return;
    }
    making->column->name = copy_text(name);
    if (!charset_is_utf8(name.bytes, name.size)) {
        set_trouble(making, "its name is not UTF-8");
    }
}

static bool has_moments(enum column_type type)
{
    return type == COLUMN_DATE || type == COLUMN_DATETIME || type == COLUMN_TIMESTAMP;
}

/* Its values are bounded as they are decoded: so the column has no more digits than the number type that holds it. */
static void make_wide_decimal_a_number(struct making *making, enum binlog_unrepresentable policy)
{
    making->value->decode = value_decimal_bounded;
    making->value->choice = policy;
    making->column->type = COLUMN_DECIMAL;
    making->column->precision = (uint8_t)(TYPES_DECIMAL_WHOLE_MAX + making->column->scale);
}

/* What the settings choose for it. */
static void apply_choice(struct making *making)
{
    struct value_column *value = making->value;
    struct column *column = making->column;
    const struct table *table = making->shape->table;
    struct binlog_choice choice = {.wide_decimal = BINLOG_TEXT};

    if (making->options->choose != NULL && value->decode != NULL && !value->hidden) {
        making->options->choose(making->options->choose_context, table->database, table->name, column->name, &choice);
    }
    value->zone = column->type == COLUMN_DATETIME ? choice.zone : NULL;
    if (has_moments(column->type) || value->decode == value_text) {
        value->choice = choice.unrepresentable;
    } else if (column->type == COLUMN_DECIMAL_TEXT && choice.wide_decimal != BINLOG_TEXT) {
        make_wide_decimal_a_number(making, choice.wide_decimal);
    }
    if (value->zone != NULL) {
        column->type = COLUMN_TIMESTAMP;
    }
    if (value->choice == BINLOG_TEXT) {
        value->printed = value->decode == value_text ? COLUMN_TEXT : column->type;
        column->type = value->decode == value_text ? column->type : COLUMN_TEXT;
    }
    if (value->zone != NULL || value->choice != BINLOG_STOP) {
        value->plain = value->decode;
        value->decode = value_by_choice;
    }
}

static size_t count_hidden(const struct table_map *map, enum binlog_flavor flavor)
{
    size_t count = 0;

    for (size_t c = 0; c < map->column_count; c++) {
        count += is_hidden(map->columns[c].name, flavor);
    }
    return count;
}

/* `like`: what is the same for all columns. */
static void make_columns(struct shape *shape, const struct table_map *map, const struct making *like)
{
    struct column hidden = {0};
    size_t visible = 0;

    for (size_t c = 0; c < map->column_count; c++) {
        struct making making = *like;

        making.shape = shape;
        making.map = &map->columns[c];
        making.value = &shape->columns[c];
        making.number = c + 1;
        making.value->hidden = is_hidden(making.map->name, making.flavor);
        making.column = making.value->hidden ? &hidden : &shape->table->columns[visible++];
        make_name(&making);
        set_source_type(&making, "type %u", making.map->type);
        maker_of(making.map->type)(&making);
        apply_choice(&making);
        if (making.value->hidden) {
            free(hidden.name);
            free(hidden.source_type);
            hidden = (struct column){0};
        }
    }
}

/* Key columns are counted in the image; the table lacks the hidden ones in front of them. */
static void make_key(struct shape *shape, const struct table_map *map)
{
    for (size_t k = 0; k < map->key_count; k++) {
        size_t index = 0;

        for (size_t c = 0; c < map->key[k]; c++) {
            index += !shape->columns[c].hidden;
        }
        if (shape->columns[map->key[k]].hidden) {
            (void)err_set(&shape->trouble, ERR_FATAL, "table %.64s.%.64s: a hidden column is part of its key",
                          shape->table->database, shape->table->name);
            index = 0;
        }
        shape->table->key[k] = index;
    }
}

static bool needs_signs(const struct table_map *map)
{
    for (size_t c = 0; c < map->column_count; c++) {
        if (maker_of(map->columns[c].type) == make_integer) {
            return true;
        }
    }
    return false;
}

/* A list that no column needs is not written. */
static void check_metadata(struct shape *shape, const struct table_map *map)
{
    const char *lacks = NULL;

    if (!map->has_names && map->column_count > 0) {
        lacks = "the names of its columns";
    } else if (!map->has_signs && needs_signs(map)) {
        lacks = "the signs of its numbers";
    }
    if (lacks != NULL) {
        (void)err_set(
            &shape->trouble, ERR_FATAL,
            "table %.64s.%.64s: the log does not tell %s: set binlog_row_metadata=FULL at the source, and start behind what "
            "was logged without it",
            shape->table->database, shape->table->name, lacks);
    }
}

struct shape *shape_new(const struct table_map *map, enum binlog_flavor flavor, const struct binlog_stream_options *options,
                        const struct binlog_marks *marks)
{
    struct shape *shape = calloc(1, sizeof *shape);
    char *database = copy_text(map->database);
    char *name = copy_text(map->name);

    must(shape != NULL);
    shape->walkable = true;
    shape->column_count = map->column_count;
    shape->columns = calloc(map->column_count + 1, sizeof *shape->columns);
    must(shape->columns != NULL);
    shape->table = table_new(database, name, map->column_count - count_hidden(map, flavor), map->key_count);
    free(database);
    free(name);
    if (!options->names_optional) {
        check_metadata(shape, map);
    }
    if (!charset_is_utf8(map->database.bytes, map->database.size) || !charset_is_utf8(map->name.bytes, map->name.size)) {
        (void)err_set(&shape->trouble, ERR_FATAL, "a table's name is not UTF-8");
    }
    make_columns(shape, map, &(struct making){.flavor = flavor, .names_optional = options->names_optional, .options = options, .marks = marks});
    make_key(shape, map);
    return shape;
}

void shape_free(struct shape *shape)
{
    if (shape == NULL) {
        return;
    }
    for (size_t c = 0; c < shape->column_count; c++) {
        free_labels(&shape->columns[c]);
    }
    free(shape->columns);
    table_free(shape->table);
    free(shape);
}

struct table *shape_take_table(struct shape *shape)
{
    struct table *table = shape->table;

    shape->table = NULL;
    return table;
}
