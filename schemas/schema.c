/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing is printing: the same table always gives the same text, byte for byte, so that two producers name one schema alike. A
 * change of the spelling here gives every table a new id; that is harmless (both ids stay readable), but needless.
 *
 * Reading takes the names and types from our properties and then writes the schema again and compares each field's name and
 * Avro type with what was read: the decoder walks the bytes by struct table alone, so a text whose fields say something else
 * must not pass. Properties that we don't know are let through: a later release may add some.
 */
#include "schemas/schema.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/must.h"
#include "schemas/decimal.h"
#include "schemas/name.h"
#include "schemas/types.h"
#include "schemas/value_text.h"

#define FINGERPRINT_EMPTY UINT64_C(0xc15d213aa4d7a795)
#define TEXT_SIZE_MAX     (8 * 1024 * 1024) /* 4096 columns with the longest names are below 6 MiB */

static const char meta_fields[] =
    "{\"name\":\"__op\",\"type\":{\"type\":\"enum\",\"name\":\"__op\",\"symbols\":[\"c\",\"u\",\"d\",\"r\",\"t\"]}},"
    "{\"name\":\"__ts\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}},"
    "{\"name\":\"__seq\",\"type\":\"long\"},"
    "{\"name\":\"__idx\",\"type\":\"long\"},"
    "{\"name\":\"__source\",\"type\":\"string\"},"
    "{\"name\":\"__txid\",\"type\":\"string\"}";
#define META_FIELD_COUNT 6

uint64_t schema_fingerprint(const char *text, size_t size)
{
    uint64_t fingerprint = FINGERPRINT_EMPTY;

    for (size_t i = 0; i < size; i++) {
        fingerprint ^= (uint8_t)text[i];
        for (int bit = 0; bit < 8; bit++) {
            fingerprint = fingerprint >> 1 ^ (FINGERPRINT_EMPTY & -(fingerprint & 1));
        }
    }
    return fingerprint;
}

/* ---- writing */

static void append_string(struct buffer *out, const char *text)
{
    value_text_json_string(out, text, strlen(text));
}

/* ,"property":"text" */
static void append_property(struct buffer *out, const char *property, const char *text)
{
    buffer_printf(out, ",\"%s\":", property);
    append_string(out, text);
}

static int append_record_begin(struct buffer *out, const struct table *table, const char *suffix, struct err *err)
{
    buffer_append_text(out, "{\"type\":\"record\",\"name\":\"");
    if (name_map(out, table->name, err) != 0) {
        return -1;
    }
    buffer_printf(out, "%s\",\"namespace\":\"", suffix);
    if (name_map(out, table->database, err) != 0) {
        return -1;
    }
    buffer_append_byte(out, '"');
    return 0;
}

static int append_field_name(struct buffer *out, const struct column *column, struct err *err)
{
    buffer_append_text(out, "{\"name\":\"");
    if (name_map(out, column->name, err) != 0) {
        return err_while(err, "a column's name");
    }
    buffer_append_text(out, "\",\"type\":");
    return 0;
}

static int append_column(struct buffer *out, const struct column *column, struct err *err)
{
    if (append_field_name(out, column, err) != 0) {
        return -1;
    }
    buffer_append_text(out, "[\"null\",");
    type_avro(out, column);
    buffer_append_text(out, "],\"default\":null");
    append_property(out, "kakehi.column", column->name);
    append_property(out, "kakehi.type", type_facts(column->type)->name);
    append_property(out, "kakehi.source_type", column->source_type);
    if (column->precision != 0) {
        buffer_printf(out, ",\"kakehi.precision\":%u", column->precision);
    }
    if (column->scale != 0) {
        buffer_printf(out, ",\"kakehi.scale\":%u", column->scale);
    }
    buffer_append_text(out, "},");
    return 0;
}

static int append_value_schema(struct buffer *out, const struct table *table, struct err *err)
{
    if (append_record_begin(out, table, "", err) != 0) {
        return -1;
    }
    append_property(out, "kakehi.database", table->database);
    append_property(out, "kakehi.table", table->name);
    buffer_append_text(out, ",\"kakehi.key\":[");
    for (size_t i = 0; i < table->key_count; i++) {
        buffer_append_text(out, i > 0 ? "," : "");
        append_string(out, table->columns[table->key[i]].name);
    }
    buffer_append_text(out, "],\"fields\":[");
    for (size_t i = 0; i < table->column_count; i++) {
        if (append_column(out, &table->columns[i], err) != 0) {
            return -1;
        }
    }
    buffer_printf(out, "%s]}", meta_fields);
    return 0;
}

static int append_key_schema(struct buffer *out, const struct table *table, struct err *err)
{
    if (append_record_begin(out, table, "_key", err) != 0) {
        return -1;
    }
    buffer_append_text(out, ",\"fields\":[");
    for (size_t i = 0; i < table->key_count; i++) {
        const struct column *column = &table->columns[table->key[i]];

        buffer_append_text(out, i > 0 ? "," : "");
        if (append_field_name(out, column, err) != 0) {
            return -1;
        }
        type_avro(out, column);
        buffer_append_byte(out, '}');
    }
    buffer_append_text(out, table->key_count == 0 ? "{\"name\":\"hash\",\"type\":\"bytes\"}]}" : "]}");
    return 0;
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(*(const char *const *)one, *(const char *const *)other);
}

/* Two columns of one name would make an invalid Avro schema. */
static int check_names(const struct table *table, struct err *err)
{
    const char **names = calloc(table->column_count + 1, sizeof *names);
    int result = 0;

    must(names != NULL);
    for (size_t i = 0; i < table->column_count; i++) {
        names[i] = table->columns[i].name;
    }
    qsort(names, table->column_count, sizeof *names, compare_names);
    for (size_t i = 1; i < table->column_count && result == 0; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            result = err_set(err, ERR_POISON, "two columns of the name %s", names[i]);
        }
    }
    free(names);
    return result;
}

static char *text_of(struct buffer *buffer, uint64_t *ret_id)
{
    *ret_id = schema_fingerprint(buffer_text(buffer), buffer->size);
    return (char *)buffer->bytes; /* the memory changes its owner */
}

int schema_new(struct table *table, struct schema **ret_schema, struct err *err)
{
    struct buffer value = {0};
    struct buffer key = {0};
    struct schema *schema;

    if (check_names(table, err) != 0 || append_value_schema(&value, table, err) != 0 ||
        (table->column_count > 0 && append_key_schema(&key, table, err) != 0)) {
        goto out;
    }
    schema = calloc(1, sizeof *schema);
    must(schema != NULL);
    schema->table = table;
    schema->value_text = text_of(&value, &schema->value_id);
    if (table->column_count > 0) {
        schema->key_text = text_of(&key, &schema->key_id);
    }
    *ret_schema = schema;
    return 0;

out:
    (void)err_while(err, "the Avro schema of %s.%s", table->database, table->name);
    buffer_deinit(&value);
    buffer_deinit(&key);
    table_free(table);
    return -1;
}

void schema_free(struct schema *schema)
{
    if (schema == NULL) {
        return;
    }
    table_free(schema->table);
    free(schema->value_text);
    free(schema->key_text);
    free(schema);
}

/* ---- reading */

static int refuse(struct err *err, const char *what)
{
    return err_set(err, ERR_POISON, "no schema of ours: %s", what);
}

/* An absent number is 0. */
static int read_number(const json_t *field, const char *property, uint8_t *ret_value, struct err *err)
{
    const json_t *number = json_object_get(field, property);
    json_int_t value = json_integer_value(number);

    if ((number != NULL && !json_is_integer(number)) || value < 0 || value > DECIMAL_DIGITS_MAX) {
        return refuse(err, property);
    }
    *ret_value = (uint8_t)value;
    return 0;
}

static int read_column(const json_t *field, struct column *column, struct err *err)
{
    const char *name = json_string_value(json_object_get(field, "kakehi.column"));
    const char *type_name = json_string_value(json_object_get(field, "kakehi.type"));
    const char *source_type = json_string_value(json_object_get(field, "kakehi.source_type"));
    int type = type_name != NULL ? type_by_name(type_name) : -1;

    if (name == NULL || source_type == NULL) {
        return refuse(err, "a field without kakehi.column or kakehi.source_type");
    }
    if (type < 0) {
        return refuse(err, "a field of an unknown kakehi.type (written by a later release?)");
    }
    column->type = (enum column_type)type;
    column->name = must_strdup(name);
    column->source_type = must_strdup(source_type);
    if (read_number(field, "kakehi.precision", &column->precision, err) != 0 ||
        read_number(field, "kakehi.scale", &column->scale, err) != 0) {
        return -1;
    }
    return 0;
}

static int read_key(const json_t *names, struct table *table, struct err *err)
{
    for (size_t i = 0; i < table->key_count; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        size_t column = 0;

        while (name != NULL && column < table->column_count && strcmp(table->columns[column].name, name) != 0) {
            column++;
        }
        if (name == NULL || column == table->column_count) {
            return refuse(err, "kakehi.key names a column that is not there");
        }
        table->key[i] = column;
        for (size_t before = 0; before < i; before++) {
            if (table->key[before] == column) {
                return refuse(err, "kakehi.key names a column twice");
            }
        }
    }
    return 0;
}

static int read_table(const json_t *json, struct table **ret_table, struct err *err)
{
    const char *database = json_string_value(json_object_get(json, "kakehi.database"));
    const char *name = json_string_value(json_object_get(json, "kakehi.table"));
    const json_t *fields = json_object_get(json, "fields");
    const json_t *key = json_object_get(json, "kakehi.key");
    size_t field_count = json_array_size(fields);
    struct table *table;

    if (database == NULL || name == NULL || !json_is_array(key)) {
        return refuse(err, "kakehi.database, kakehi.table or kakehi.key is missing");
    }
    if (field_count < META_FIELD_COUNT || field_count - META_FIELD_COUNT > TABLE_COLUMNS_MAX ||
        json_array_size(key) > field_count - META_FIELD_COUNT) {
        return refuse(err, "too few or too many fields");
    }
    table = table_new(database, name, field_count - META_FIELD_COUNT, json_array_size(key));
    for (size_t i = 0; i < table->column_count; i++) {
        if (read_column(json_array_get(fields, i), &table->columns[i], err) != 0) {
            table_free(table);
            return -1;
        }
    }
    if (read_key(key, table, err) != 0) {
        table_free(table);
        return -1;
    }
    *ret_table = table;
    return 0;
}

/* Do the bytes of both schemas look alike? */
static int check_layout(const json_t *read, const char *written_text, struct err *err)
{
    json_t *written = json_loads(written_text, 0, NULL);
    const json_t *read_fields = json_object_get(read, "fields");
    const json_t *written_fields = json_object_get(written, "fields");
    int result = 0;

    must(written != NULL);
    if (json_array_size(read_fields) != json_array_size(written_fields)) {
        result = refuse(err, "another number of fields");
    }
    for (size_t i = 0; i < json_array_size(written_fields) && result == 0; i++) {
        const json_t *one = json_array_get(read_fields, i);
        const json_t *other = json_array_get(written_fields, i);

        if (!json_equal(json_object_get(one, "name"), json_object_get(other, "name")) ||
            !json_equal(json_object_get(one, "type"), json_object_get(other, "type"))) {
            result = refuse(err, "a field whose name or Avro type is not that of its kakehi.column and kakehi.type");
        }
    }
    json_decref(written);
    return result;
}

/* The text as it was read stands for the schema, not our spelling of it. */
static void keep_text(struct schema *schema, const char *text, size_t size)
{
    free(schema->value_text);
    free(schema->key_text);
    schema->value_text = strndup(text, size);
    must(schema->value_text != NULL);
    schema->value_id = schema_fingerprint(text, size);
    schema->key_text = NULL;
    schema->key_id = 0;
}

static int parse_json(const char *text, size_t size, json_t **ret_json, struct err *err)
{
    json_error_t error;

    if (size > TEXT_SIZE_MAX) {
        return refuse(err, "a text that is too long");
    }
    *ret_json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    return *ret_json != NULL ? 0 : refuse(err, error.text);
}

bool schema_texts_agree(const char *ours, const char *theirs, size_t theirs_size)
{
    json_t *wanted = json_loads(ours, JSON_REJECT_DUPLICATES, NULL);
    json_t *found = theirs_size <= TEXT_SIZE_MAX ? json_loadb(theirs, theirs_size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool agree = wanted != NULL && json_is_object(found);
    const char *name;
    json_t *value;

    json_object_foreach(wanted, name, value) {
        agree = agree && json_equal(value, json_object_get(found, name));
    }
    json_decref(wanted);
    json_decref(found);
    return agree;
}

int schema_parse(const char *text, size_t size, struct schema **ret_schema, struct err *err)
{
    json_t *json = NULL;
    struct table *table = NULL;
    struct schema *schema = NULL;
    int result = -1;

    if (parse_json(text, size, &json, err) != 0 || read_table(json, &table, err) != 0 || schema_new(table, &schema, err) != 0 ||
        check_layout(json, schema->value_text, err) != 0) {
        goto out;
    }
    keep_text(schema, text, size);
    *ret_schema = schema;
    schema = NULL;
    result = 0;

out:
    schema_free(schema);
    json_decref(json);
    return result;
}
