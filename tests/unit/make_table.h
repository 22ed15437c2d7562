/* SPDX-License-Identifier: Apache-2.0 */
/* make_table: a table in one line, for tests: make_table("shop", "orders", "id", "id long, price decimal 10 2, note text"). */
#ifndef KAKEHI_TESTS_UNIT_MAKE_TABLE_H
#define KAKEHI_TESTS_UNIT_MAKE_TABLE_H

#include "schemas/schema.h"
#include "schemas/table.h"

/* key: names of columns, parted by ", "; "" for none. columns: "name type [precision [scale]]", types as types.h names them. */
struct table *make_table(const char *database, const char *name, const char *key, const char *columns);
/* The schema of such a table. */
struct schema *make_schema(const char *database, const char *name, const char *key, const char *columns);

/* A column of each type: a_long, a_ulong, ... in the order of enum column_type; a_long is the key. */
#define EVERY_TYPE                                                                                                             \
    "a_long long, a_ulong ulong, a_decimal decimal 65 30, a_decimal_text decimal_text 65 0, a_float float, a_double double, "  \
    "a_boolean boolean 1, a_bytes bytes, a_date date, a_datetime datetime 6, a_timestamp timestamp 3, a_time time, "           \
    "a_year year, a_text text, a_json json"

#endif
