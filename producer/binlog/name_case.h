/* SPDX-License-Identifier: Apache-2.0 */
/*
 * name_case: names of databases and tables in lower case, as servers make them with lower_case_table_names=1.
 *
 * Such a server keeps each name in lower case, and so do its TABLE_MAPs; but a statement stands in the log as the client wrote it: a TRUNCATE
 * of Orders empties orders. Without this it would be of a table that nobody has, and lost.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_NAME_CASE_H
#define KAKEHI_PRODUCER_BINLOG_NAME_CASE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buffer.h"

/* Appends the UTF-8 text in lower case; it never gets longer. Bytes that are no character stay. */
void name_case_lower(const char *text, size_t size, struct buffer *out);
/* Would a server with lower_case_table_names=1 give it another name? */
bool name_case_has_upper(const char *text);

#endif
