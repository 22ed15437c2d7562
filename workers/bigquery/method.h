/* SPDX-License-Identifier: Apache-2.0 */
/*
 * method: how a partition's rows go into BigQuery, and at which pace. Pure arithmetic over settings, budgets and backlog.
 *
 *   append  seconds; costs by the byte
 *   load    free; at least a minute, and each job counts: table_jobs a table and project_jobs a group, a day
 *
 * The budgets are kept by stretching the interval before they break: each partition of a topic has an equal share of its
 * table's jobs, and each partition of all the topics that the group reads an equal share of the project's, whichever worker it is
 * at. Every worker asks Kafka how many these are, so all compute the same share, and nobody has to count together. A fifth of each
 * budget is left for jobs that pace does not rule: a new schema version, a change of method, a job that failed, a restart.
 *
 *   pinned append   append
 *   pinned load     load, at the freshness or as fast as the budgets allow
 *   auto            load where the freshness is long enough for the budgets; else append, but a long backlog by load
 *
 * It does not flap: a backlog begins at backlog_rows and ends at a tenth of it, and a freshness that was long enough counts as
 * such until the budgets ask for a quarter more.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_METHOD_H
#define KAKEHI_WORKERS_BIGQUERY_METHOD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/settings.h"

enum method { METHOD_APPEND, METHOD_LOAD };

struct method_limits {
    enum bigquery_method setting;
    int64_t freshness_ms;
    int64_t table_jobs;   /* a day; at least 1 */
    int64_t project_jobs; /* a day; at least 1 */
    int64_t backlog_rows; /* 0: a backlog is no reason */
};

struct method_choice {
    enum method method;
    bool for_backlog; /* load, only because of the backlog */
    uint64_t age_ms;  /* load: a file is sealed at this age */
    uint64_t gap_ms;  /* load: files of one partition are sealed at least so far apart; never above age_ms */
};

/* now: what was chosen the last time (METHOD_APPEND with zeros at first). partitions: of the topic, at least 1; group_partitions:
 * of all topics that the group reads; 0: not known yet, when `auto` appends, and a pinned load keeps the table's budget alone.
 * behind: messages of the partition behind the batch in hand. */
struct method_choice method_choose(const struct method_limits *limits, int32_t partitions, int32_t group_partitions,
                                   int64_t behind, const struct method_choice *now);

/* "append", "load" */
const char *method_name(enum method method);

#endif
