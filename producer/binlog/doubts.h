/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doubts: of which tables is it known what MariaDB's log does not tell of their columns (marks.h), and until when.
 *
 * A table is settled if the server was asked behind the last statement about it that the stream has met, and never else:
 *
 *   the marks list it, and no statement named it that the server had not executed when it was asked   settled
 *   it was asked for, and is not there any more    settled: its columns stay what the log shows, as bytes
 *   everything else                                the server must be asked before a row of it is decoded
 *
 * A statement that the server had already executed when it was asked says that rows in front of it were read by the marks of a
 * later moment. If it can change a type of the table, and such rows came, what they were can't be known: refused.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_DOUBTS_H
#define KAKEHI_PRODUCER_BINLOG_DOUBTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/text_list.h"
#include "producer/binlog/marks.h"

struct doubts {
    struct binlog_marks *marks; /* owned; NULL: the server was never asked */
    struct text_list stale;     /* "database.table": changed since */
    struct text_list asking;    /* to be asked for next */
    struct text_list gone;      /* asked for, and not there; no statement named them since */
    char asked_in[96];          /* the transaction for whose rows they were: the log comes again from its beginning, with rows of all of them */
};

void doubts_deinit(struct doubts *doubts); /* {0} is valid */
/* What the server says now; takes the marks. */
void doubts_take_marks(struct doubts *doubts, struct binlog_marks *marks);
bool doubts_settled(const struct doubts *doubts, const char *database, const char *table);
/* The next marks must settle this table, of which the transaction `gtid` has rows; and all that it was asked for before. */
void doubts_ask(struct doubts *doubts, const char *gtid, const char *database, const char *table);

/* A statement of the transaction `gtid`. `is_read` says whether rows of a table were decoded by the present marks. NULL, or the
 * table of which it can't be known what these rows were. */
const char *doubts_statement(struct doubts *doubts, const char *gtid, const char *text, size_t size,
                             bool (*is_read)(const void *context, const char *database, const char *table),
                             const void *context);

#endif
