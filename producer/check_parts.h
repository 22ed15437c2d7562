/* SPDX-License-Identifier: Apache-2.0 */
/* check_parts: what check.c and check_tables.c share. Nobody else includes it. */
#ifndef KAKEHI_PRODUCER_CHECK_PARTS_H
#define KAKEHI_PRODUCER_CHECK_PARTS_H

#include <stdbool.h>

#include "common/findings.h"
#include "common/settings.h"
#include "producer/mysql.h"

struct check_topic; /* of a selected table */

struct check {
    const struct settings *settings;
    struct mysql_session *session;
    struct findings *findings;
    struct check_topic *topics; /* owned */
    bool rds;                   /* the server is Amazon's */
};

/* check.c: the rows of an answer, each handed to `judge`; a question that fails is a finding of its own. */
void check_ask(struct check *check, const char *subject, const char *sql, void (*judge)(struct check *check, const struct mysql_rows *rows, size_t row));

/* check_grants.c: may the user read the log, and see all tables that the patterns select? */
void check_grants(struct check *check);

/* check_tables.c */
void check_tables(struct check *check);
/* Of the topic of a table that check_tables saw: how many partitions the settings want; 0: it saw none. context is the check. */
int check_partitions(void *context, const char *topic);
/* The topic of a table that it saw, behind this one (kafka_check.h). context is the check. */
const char *check_next_topic(void *context, const char *topic);
void check_forget_topics(struct check *check);

#endif
