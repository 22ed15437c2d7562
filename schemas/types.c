/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Avro column is spelled so that a BigQuery load job with useAvroLogicalTypes, and decimalTargetTypes NUMERIC, BIGNUMERIC,
 * STRING, takes the bytes as they are: date is DATE, timestamp-micros is TIMESTAMP, local-timestamp-micros is DATETIME, a
 * decimal goes by its precision and scale, and sqlType JSON is JSON. TIME has no logical type: time-micros is a time of day,
 * MySQL's TIME is a signed span up to 838 hours.
 */
#include "schemas/types.h"

#include <string.h>

#include "common/must.h"

static const struct type_facts facts[COLUMN_TYPE_COUNT] = {
    [COLUMN_LONG] = {"long", "\"long\"", "INTEGER", "INT64", "TINYINT, SMALLINT, MEDIUMINT, INT, signed or not; BIGINT"},
    [COLUMN_ULONG] = {"ulong", "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":20,\"scale\":0}",
                      "INTEGER, TEXT above 9223372036854775807", "NUMERIC", "BIGINT UNSIGNED"},
    [COLUMN_DECIMAL] = {"decimal", "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":%p,\"scale\":%s}", "TEXT",
                        "NUMERIC", "DECIMAL(p,s) where s <= 38 and p - s <= 38"},
    [COLUMN_DECIMAL_TEXT] = {"decimal_text", "\"string\"", "TEXT", "STRING", "a wider DECIMAL(p,s)"},
    [COLUMN_FLOAT] = {"float", "\"float\"", "REAL", "FLOAT64", "FLOAT"},
    [COLUMN_DOUBLE] = {"double", "\"double\"", "REAL", "FLOAT64", "DOUBLE"},
    [COLUMN_BOOLEAN] = {"boolean", "\"boolean\"", "INTEGER", "BOOL", "BIT(1)"},
    [COLUMN_BYTES] = {"bytes", "\"bytes\"", "BLOB", "BYTES", "BINARY, VARBINARY, BLOB, BIT(n), GEOMETRY"},
    [COLUMN_DATE] = {"date", "{\"type\":\"int\",\"logicalType\":\"date\"}", "TEXT", "DATE", "DATE"},
    [COLUMN_DATETIME] = {"datetime", "{\"type\":\"long\",\"logicalType\":\"local-timestamp-micros\"}", "TEXT", "DATETIME",
                         "DATETIME"},
    [COLUMN_TIMESTAMP] = {"timestamp", "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}", "TEXT", "TIMESTAMP",
                          "TIMESTAMP"},
    [COLUMN_TIME] = {"time", "\"long\"", "INTEGER", "INT64", "TIME, as microseconds"},
    [COLUMN_YEAR] = {"year", "\"int\"", "INTEGER", "INT64", "YEAR"},
    [COLUMN_TEXT] = {"text", "\"string\"", "TEXT", "STRING", "CHAR, VARCHAR, TEXT, ENUM, SET; MariaDB's UUID, INET4, INET6"},
    [COLUMN_JSON] = {"json", "{\"type\":\"string\",\"sqlType\":\"JSON\"}", "TEXT", "JSON", "JSON; VECTOR, as an array of numbers"},
};

const struct type_facts *type_facts(enum column_type type)
{
    must((unsigned)type < COLUMN_TYPE_COUNT);
    return &facts[type];
}

int type_by_name(const char *name)
{
    for (int type = 0; type < COLUMN_TYPE_COUNT; type++) {
        if (strcmp(facts[type].name, name) == 0) {
            return type;
        }
    }
    return -1;
}

void type_avro(struct buffer *out, const struct column *column)
{
    for (const char *at = type_facts(column->type)->avro; *at != '\0'; at++) {
        if (at[0] == '%') {
            at++;
            buffer_printf(out, "%u", *at == 'p' ? column->precision : column->scale);
        } else {
            buffer_append_byte(out, (uint8_t)*at);
        }
    }
}

enum column_type type_of_decimal(unsigned precision, unsigned scale)
{
    bool fits = scale <= TYPES_DECIMAL_FRACTION_MAX && precision - scale <= TYPES_DECIMAL_WHOLE_MAX;

    must(scale <= precision);
    return fits ? COLUMN_DECIMAL : COLUMN_DECIMAL_TEXT;
}

void types_print_markdown(FILE *out)
{
    (void)fputs("| column of MySQL, MariaDB | kakehi.type | Avro | SQLite | BigQuery |\n|---|---|---|---|---|\n", out);
    for (int type = 0; type < COLUMN_TYPE_COUNT; type++) {
        const struct type_facts *row = &facts[type];

        (void)fprintf(out, "| %s | %s | `%s` | %s | %s |\n", row->mysql, row->name, row->avro, row->sqlite, row->bigquery);
    }
}
