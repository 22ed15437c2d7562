/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dropped_columns: which columns tables have dropped since they were last emptied. Pure; it lasts in the position record.
 *
 * A column that was dropped stays in the warehouse, with its values: one of that name that comes later would have them again. In the record:
 * {"db.table": ["a", "b"]}; ["*"] are columns whose names are not known. Earlier versions wrote ["db.table"], without any names.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_DROPPED_COLUMNS_H
#define KAKEHI_PRODUCER_BINLOG_DROPPED_COLUMNS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "producer/binlog/column_names.h"

struct dropped_of_table;

struct dropped_columns { /* {0}: none */
    struct dropped_of_table *_tables;
    size_t _count;
};

/* True: it says more than before. */
bool dropped_columns_note(struct dropped_columns *dropped, const char *table, const struct column_names *names);
/* May one of the names be that of a column which the table has dropped? */
bool dropped_columns_meet(const struct dropped_columns *dropped, const char *table, const struct column_names *names);
/* None of the table's rows is left. False: nothing was known of it. */
bool dropped_columns_forget(struct dropped_columns *dropped, const char *table);
/* NULL: none. Names of tables stand in it as json_text writes them. */
json_t *dropped_columns_json(const struct dropped_columns *dropped);
/* Adds what such a part of a record says; nothing in it is trusted. */
void dropped_columns_read(struct dropped_columns *dropped, const json_t *json);
void dropped_columns_deinit(struct dropped_columns *dropped);

#endif
