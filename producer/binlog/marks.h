/* SPDX-License-Identifier: Apache-2.0 */
/*
 * marks: what MariaDB's log does not tell of columns, as the server said it at one moment.
 *
 * In the log a UUID is a BINARY(16), an INET6 too, an INET4 a BINARY(4), a VECTOR a VARBINARY, and JSON a LONGTEXT.
 * information_schema knows, but it speaks of now, and the log of then. So the marks hold also which transactions the server had
 * executed when it was asked, and all tables that have columns of such doubtful types: a statement about one of them that comes
 * behind makes the marks stale for it (tables.c asks anew), one that comes before may have changed what rows before it were
 * (stream_events.c).
 */
#ifndef KAKEHI_PRODUCER_BINLOG_MARKS_H
#define KAKEHI_PRODUCER_BINLOG_MARKS_H

#include <stdbool.h>
#include <stddef.h>

#include "producer/binlog/gtid_set.h"

enum binlog_mark { MARK_NONE, MARK_UUID, MARK_INET4, MARK_INET6, MARK_VECTOR, MARK_JSON };

struct binlog_marks;

struct binlog_marks *binlog_marks_new(void);
void binlog_marks_free(struct binlog_marks *marks);                       /* takes NULL */
struct binlog_marks *binlog_marks_copy(const struct binlog_marks *marks); /* NULL of NULL */

/* A column of a doubtful type. `type`: information_schema's DATA_TYPE, or "json" where a CHECK says so; MARK_NONE of any other.
 */
void binlog_marks_add(struct binlog_marks *marks, const char *database, const char *table, const char *column,
                      const char *type);
/* What the server had executed before it was asked: a GTID set of MariaDB. */
int binlog_marks_set_executed(struct binlog_marks *marks, const char *executed, struct err *err) MUST_CHECK;

enum binlog_mark binlog_marks_find(const struct binlog_marks *marks, const char *database, const char *table,
                                   const char *column);
bool binlog_marks_has_table(const struct binlog_marks *marks, const char *database, const char *table);
/* The tables, one a call from *at = 0 on; false: that was the last. */
bool binlog_marks_next_table(const struct binlog_marks *marks, size_t *at, const char **ret_database, const char **ret_table);
/* Had the transaction been executed before the server was asked? */
bool binlog_marks_know(const struct binlog_marks *marks, const char *gtid);

#endif
