/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query: what the text of a QUERY event means for a reader of rows.
 *
 * No parser of SQL: only the beginning is looked at, behind comments, as far as it decides. Transaction control, TRUNCATE and
 * DROP of tables (which empty them without row events), ALTER, RENAME and REPAIR (which may change rows without row events, and RENAME takes
 * all from the old name), and changes of rows that were logged as statements, which a reader of rows would lose. Everything else is
 * QUERY_OTHER and holds nothing for us: a new shape of a table shows in its next TABLE_MAP.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_QUERY_H
#define KAKEHI_PRODUCER_BINLOG_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "producer/binlog/column_names.h"

enum query_kind {
    QUERY_OTHER,
    QUERY_BEGIN,
    QUERY_COMMIT,
    QUERY_ROLLBACK, /* of the whole transaction, not to a savepoint */
    QUERY_XA_START,
    QUERY_XA_COMMIT, /* of a transaction that was prepared before: `xid` */
    QUERY_XA_ROLLBACK,
    QUERY_EMPTIES_TABLES, /* TRUNCATE, DROP TABLE, CREATE OR REPLACE TABLE of `tables` */
    QUERY_EMPTIES_DATABASE, /* DROP DATABASE: `tables` is one, whose name is empty */
    QUERY_REWRITES_TABLES,  /* may change stored rows of `tables` without row events, or give a table rows that were never logged as its
                               own: ALTER, RENAME, REPAIR. A hint: words are looked for, so it may be said too often. Not so of those that `left` */
    QUERY_ALTERS_COLUMNS,   /* ALTER that drops columns of `tables`, or adds some that are NULL in the rows that are there */
    QUERY_CHANGES_ROWS,   /* INSERT and the like, CREATE TABLE of a query; `tables` names the one it is about, or is empty where that is not sure */
};

struct query_table {
    char *database;
    char *name;
    bool left; /* of QUERY_REWRITES_TABLES: the table of this name has another now, and none has this one: as by DROP it has no rows */
};

struct query {
    enum query_kind kind;
    struct query_table *tables; /* owned */
    size_t table_count;
    struct column_names drops; /* columns that an ALTER drops, or gives another name: hints, too; owned */
    struct column_names adds;
    const char *xid; /* of QUERY_XA_COMMIT and _ROLLBACK: "X'7831',X'',1"; borrowed from the text */
    size_t xid_size;
};

/* Of a client's sql_mode, as it stands in the event: what decides where a text or a name in quotes ends. */
#define QUERY_ANSI_QUOTES          (UINT64_C(1) << 2)
#define QUERY_NO_BACKSLASH_ESCAPES (UINT64_C(1) << 20)

/* text need not end with a NUL. database: where unqualified names live. */
void query_read(struct query *ret_query, const char *text, size_t size, const char *database, uint64_t sql_mode);
void query_deinit(struct query *query);
void query_add_table(struct query *query, const char *database, const char *name);

#endif
