/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file's rows are visible when its job is done, so a file's age is kept below the freshness by what a job takes: a quarter of
 * it, at most two minutes.
 *
 * The freshness that counts for `auto` is at least FRESHNESS_MIN_MS, whatever the budgets would allow: a table of one partition
 * could have a job a minute, each loading for a minute.
 *
 * So many partitions that their share is less than a job in twelve hours have no budget at all: `auto` appends. A pinned load
 * then has more jobs than the budget; those that BigQuery refuses for it go by appends (D4).
 */
#include "workers/bigquery/method.h"

#include "common/must.h"

#define DAY_MS           INT64_C(86400000)
#define JOB_MS_MAX       120000 /* what a job may take of the freshness */
#define FRESHNESS_MIN_MS 300000
#define AGE_MAX_MS       (DAY_MS / 2) /* LOAD_AGE_MAX_MS: rows carry the day of their absorption */
#define BACKLOG_END      10           /* a backlog ends at this part of where it began */

static int64_t max(int64_t one, int64_t other)
{
    return one > other ? one : other;
}

static int64_t min(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

/* How far the jobs of one partition must be apart, so that all together take four fifths of the day's jobs. */
static int64_t share_ms(int32_t partitions, int64_t jobs)
{
    must(partitions >= 0 && jobs >= 1);
    return (DAY_MS * partitions * 5 + 4 * jobs - 1) / (4 * jobs);
}

static int64_t age_of(int64_t freshness_ms)
{
    return freshness_ms - min(freshness_ms / 4, JOB_MS_MAX);
}

static bool fresh_enough(const struct method_limits *limits, int64_t gap_ms, const struct method_choice *now)
{
    int64_t age_ms = age_of(limits->freshness_ms);
    bool loads = now->method == METHOD_LOAD && !now->for_backlog;

    return limits->freshness_ms >= FRESHNESS_MIN_MS && gap_ms <= (loads ? age_ms + age_ms / 4 : age_ms);
}

static bool behind_enough(const struct method_limits *limits, int64_t behind, const struct method_choice *now)
{
    int64_t begin = limits->backlog_rows;

    return begin > 0 && behind >= (now->method == METHOD_LOAD ? begin / BACKLOG_END : begin);
}

static struct method_choice load(int64_t age_ms, int64_t gap_ms, bool for_backlog)
{
    gap_ms = min(gap_ms, AGE_MAX_MS);
    return (struct method_choice){.method = METHOD_LOAD,
                                  .for_backlog = for_backlog,
                                  .age_ms = (uint64_t)min(max(age_ms, gap_ms), AGE_MAX_MS),
                                  .gap_ms = (uint64_t)gap_ms};
}

struct method_choice method_choose(const struct method_limits *limits, int32_t partitions, int32_t group_partitions,
                                   int64_t behind, const struct method_choice *now)
{
    int64_t gap_ms = max(share_ms(partitions, limits->table_jobs), share_ms(group_partitions, limits->project_jobs));
    bool may_choose = limits->setting == BIGQUERY_AUTO && group_partitions > 0 && gap_ms <= AGE_MAX_MS;

    if (limits->setting == BIGQUERY_LOAD || (may_choose && fresh_enough(limits, gap_ms, now))) {
        return load(age_of(limits->freshness_ms), gap_ms, false);
    }
    if (may_choose && behind_enough(limits, behind, now)) {
        return load(gap_ms, gap_ms, true);
    }
    return (struct method_choice){.method = METHOD_APPEND};
}

const char *method_name(enum method method)
{
    return method == METHOD_LOAD ? "load" : "append";
}
