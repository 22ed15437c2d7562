/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout: the history table and the latest view of a source table: made, grown, and kept right.
 *
 *   kakehi_tables             which source table owns a name in the file
 *   <table>_history           the source's columns, in the order in which they were met, and SQLITE_METADATA_COLUMNS
 *   <table>_history_by_key    index: the key, then the order of changes; makes the view cheap
 *   <table>_history_truncates index over truncates alone
 *   <table>                   view: the newest row of each key
 */
#ifndef KAKEHI_WORKERS_SQLITE_LAYOUT_H
#define KAKEHI_WORKERS_SQLITE_LAYOUT_H

#include "schemas/table.h"
#include "workers/sqlite/file.h"

#define SQLITE_METADATA_COLUMNS "\"__op\", \"__ts\", \"__seq\", \"__idx\", \"__source\", \"__txid\""
#define SQLITE_METADATA_COUNT   6

/* In a transaction of its own; other workers may do the same at once. ERR_FATAL: names that collide, a history that is gone. */
int sqlite_layout_ensure(struct sqlite_file *file, const char *view_pattern, const struct table *table,
                         struct err *err) MUST_CHECK;

#endif
