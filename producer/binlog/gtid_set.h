/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gtid_set: which transactions are in. MySQL: sets of intervals by UUID (and tag); MariaDB: the last sequence number by domain.
 *
 * Text forms are the servers' own: "uuid:1-5:7,uuid2:tag:1-3" (https://dev.mysql.com/doc/refman/9.4/en/replication-gtids-concepts.html)
 * and "0-1-100,7-2-5" (https://mariadb.com/kb/en/gtid/). White space and line breaks between members are fine.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_GTID_SET_H
#define KAKEHI_PRODUCER_BINLOG_GTID_SET_H

#include <stdbool.h>

#include "common/buffer.h"
#include "common/err.h"
#include "producer/binlog/stream.h"

struct gtid_set;

struct gtid_set *gtid_set_new(enum binlog_flavor flavor);
void gtid_set_free(struct gtid_set *set); /* takes NULL */
/* Replaces the content. ERR_FATAL on a text that is not a set of that flavor. "" is the empty set. */
int gtid_set_parse(struct gtid_set *set, const char *text, struct err *err) MUST_CHECK;
/* Adds one GTID. MariaDB: replaces the domain's; a lower number than the one in is ERR_FATAL (out of order). */
int gtid_set_add(struct gtid_set *set, const char *gtid, struct err *err) MUST_CHECK;
bool gtid_set_contains(const struct gtid_set *set, const char *gtid);
/* Is every transaction of `inner` in `outer`? MariaDB: by sequence number in each domain. */
bool gtid_set_covers(const struct gtid_set *outer, const struct gtid_set *inner);
bool gtid_set_empty(const struct gtid_set *set);
void gtid_set_text(const struct gtid_set *set, struct buffer *out);
/* MySQL: the set of COM_BINLOG_DUMP_GTID (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_binlog_dump_gtid.html),
 * which is the body of a PREVIOUS_GTIDS event too. */
void gtid_set_encode(const struct gtid_set *set, struct buffer *out);

#endif
