/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names: what tables and columns are called in the file.
 *
 * They keep their original names, quoted. One exception: a column whose name begins with `__`, which is how our metadata
 * begins, is called by its mapped form (schemas/name.h): `__op` of the source is `_x005F__op` in the file.
 */
#ifndef KAKEHI_WORKERS_SQLITE_NAMES_H
#define KAKEHI_WORKERS_SQLITE_NAMES_H

#include "common/buffer.h"
#include "schemas/table.h"

#define SQLITE_HISTORY_SUFFIX "_history"

/* Appends the name as an SQL identifier, in quotes. */
void sqlite_append_quoted(struct buffer *out, const char *name);
/* Appends the column's name in the file, unquoted. */
void sqlite_append_column_name(struct buffer *out, const struct column *column);
void sqlite_append_column_quoted(struct buffer *out, const struct column *column);
/* Appends the name of the table's latest view: the pattern with {database} and {table} replaced. */
void sqlite_append_view_name(struct buffer *out, const char *pattern, const struct table *table);

#endif
