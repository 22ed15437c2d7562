/* SPDX-License-Identifier: Apache-2.0 */
/* requirements: what a server must be set to, so that its log holds every change whole. The stream refuses to begin without; `check` says all at once. */
#ifndef KAKEHI_PRODUCER_BINLOG_REQUIREMENTS_H
#define KAKEHI_PRODUCER_BINLOG_REQUIREMENTS_H

#include <stdbool.h>

#include "common/err.h"
#include "common/settings.h"
#include "producer/mysql.h"

struct requirement {
    const char *variable;
    const char *value;
    bool may_be_absent; /* a server that does not have the variable behaves as if it had that value */
    const char *remedy;
};

extern const struct requirement requirements[]; /* ends with a variable of NULL */

/* ERR_FATAL: it is not met; the text ends with the remedy. Others: the server could not be asked. */
int requirement_check(struct mysql_session *session, const struct requirement *requirement, struct err *err) MUST_CHECK;
/* All, also that it is no silent replica as far as the user may know; the first that is not met. */
int requirements_check(struct mysql_session *session, struct err *err) MUST_CHECK;
/* Of MySQL: do all transactions have a GTID (ON), or none (OFF)? ERR_FATAL: some have, and no position would say where the log is. */
int requirement_gtid_mode(struct mysql_session *session, bool *ret_gtid, struct err *err) MUST_CHECK;
/* MariaDB from 12.3: does a storage engine keep the log (binlog_storage_engine), instead of files? By MariaDB's word such a server sends the same
 * events, without places in files; we never met one. Others: false. */
int requirement_log_in_engine(struct mysql_session *session, bool *ret_in_engine, struct err *err) MUST_CHECK;
/* How does the server keep the names of databases and tables (lower_case_table_names)? *ret_lower: in lower case, whatever statements say.
 * ERR_FATAL: in a way that is not read (2, the one of macOS), or a pattern of the settings, being in upper case, can match none of them. */
int requirement_name_case(struct mysql_session *session, const struct settings_source *settings, bool *ret_lower, struct err *err) MUST_CHECK;
/* A server that does not log what it replicates (log_replica_updates, log_slave_updates) must not be a replica: rows from its own source would be lost
 * in silence. ERR_FATAL: it is one. 0 with *ret_known false: the user may not ask (MariaDB's SLAVE MONITOR), and no replication is running now. */
int requirement_no_silent_replica(struct mysql_session *session, bool *ret_known, struct err *err) MUST_CHECK;

#endif
