/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tables: the tables that a stream has seen, as far as they are needed, and which number stands for which at the moment.
 *
 * A TABLE_MAP is known by its whole content, never by its table id: ids are used again after a restart, and a table gets a new
 * one with each DDL. Content that was seen before costs a hash and a comparison. A content that is new but says the same of the
 * table (another flag) keeps its binlog_table, so that only real changes of shape are seen outside. Numbers are valid within
 * one statement.
 *
 * Bounded, whatever names come and go (P6): of contents a few MiB are kept; of shapes see shown.h. A table that is not selected leaves
 * nothing behind.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_TABLES_H
#define KAKEHI_PRODUCER_BINLOG_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "producer/binlog/doubts.h"
#include "producer/binlog/query.h"
#include "producer/binlog/shape.h"
#include "producer/binlog/stream.h"

struct tables;

struct tables_entry {
    const struct shape *shape;
    const struct binlog_table *table; /* NULL: not selected */
};

/* options and doubts are borrowed. */
struct tables *tables_new(const struct binlog_stream_options *options, const struct doubts *doubts);
void tables_free(struct tables *tables); /* takes NULL */

/* From now on `table_id` is the table of this TABLE_MAP (its bytes behind the id). */
int tables_map(struct tables *tables, uint64_t table_id, enum binlog_flavor flavor, const uint8_t *body, size_t size,
               struct err *err) MUST_CHECK;
/* NULL: no TABLE_MAP of the statement has that id. Lives until tables_unmap. */
const struct tables_entry *tables_find(const struct tables *tables, uint64_t table_id);
/* Forgets how rows of tables were read whose types the log does not tell: there are new marks. Numbers stand for nothing then. */
void tables_forget_doubtful(struct tables *tables);
/* Were rows of such a table read since? context: struct tables. */
bool tables_has_doubtful(const void *context, const char *database, const char *name);
/* The statement is over. */
void tables_unmap(struct tables *tables);
/* The table as it was last seen, for TRUNCATE and DROP (it has no rows any more), or for what may have changed rows that are not in the log.
 * One that is not known gets no columns and no key. NULL: not selected. Valid until the next call that changes `tables`. */
const struct binlog_table *tables_emptied(struct tables *tables, const char *database, const char *name);
const struct binlog_table *tables_rewritten(struct tables *tables, const char *database, const char *name);
/* Puts all tables of the database that are selected and had rows since they were last emptied in the place of the query's one table; it empties
 * tables then. */
void tables_of_database(const struct tables *tables, struct query *query);
bool tables_selected(const struct tables *tables, const char *database, const char *name);
bool tables_excluded(const struct tables *tables, const char *database, const char *name); /* by name, not as one of those that are not selected */
/* How many shapes of selected tables are kept, and how much (about) of TABLE_MAPs. */
size_t tables_shown(const struct tables *tables);
size_t tables_remembered_bytes(const struct tables *tables);

#endif
