/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes into the base: the days are looked at before the MERGE, so that what comes in between is merged twice rather than
 * never (F1, F2); a closed day with other rows than were merged is told, and merged again (F5).
 */
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "workers/bigquery/refresh_parts.h"

static struct metric_family late_rows METRIC_FAMILY = {
    .name = "kakehi_bigquery_late_rows_total",
    .help = "Rows that came into a history's day after it was closed for its base: found, and merged again.",
    .kind = METRIC_COUNTER,
    .labels = {"table"},
};

/* ---- DAYS: what there is to merge */

/* F5 */
static void tell_late(struct refresh *refresh, const struct view_late *late)
{
    const char *table = refresh->options.names->source;

    log_error("late-rows", "table=%q days_ago=%d rows_merged=%lld rows_now=%lld next=%q", table,
              refresh->days.today - late->day, (long long)late->merged, (long long)late->now,
              "merging that day again: rows must be visible within two days");
    if (late->now > late->merged) {
        refresh->report.late_rows += (uint64_t)(late->now - late->merged);
        metric_add(metric_cell(&late_rows, (const char *const[]){table}), (double)(late->now - late->merged));
    }
}

static void take_days(struct refresh *refresh)
{
    const struct view_days *days = &refresh->days;

    refresh->looked = true;
    refresh->merge_due = days->merge;
    refresh->truncate_due = days->merge && days->truncates;
    refresh->report.today = days->today;
    refresh->next.base_ms = refresh->base.shape.created_ms;
    refresh->next.watermark = days->watermark;
    if (days->merge) {
        memcpy(refresh->next.days, days->closed, sizeof refresh->next.days);
        refresh->next.day_count = days->closed_count;
    }
    for (size_t i = 0; i < days->late_count; i++) {
        tell_late(refresh, &days->late[i]);
    }
    if (days->expired) {
        log_error("days-expired-unmerged", "table=%q next=%q", refresh->options.names->source,
                  "the latest view may lack rows: no refresh ran for longer than bigquery.partition_expiration");
    }
}

static void days_said(struct refresh *refresh, const json_t *rows)
{
    const struct view_days_rules rules = {
        .expiration_ms = refresh->history.shape.expiration_ms,
        .freshness_ms = settings_freshness_ms(refresh->options.settings, refresh->options.names->source)};
    struct err err;

    if (view_days_read(rows, &refresh->state, &rules, &refresh->days, &err) != 0) {
        refresh_fail(refresh, &err, "looking at the days");
        return;
    }
    take_days(refresh);
    refresh_decide(refresh);
}

void refresh_look_at_days(struct refresh *refresh)
{
    struct buffer sql = {0};

    view_sql_days(&sql, &refresh->parts.definition, view_days_from(&refresh->state));
    refresh_run(refresh, DAYS, "looking at the days", &sql, days_said);
}

/* ---- TRUNCATE, MERGE */

static void truncate_merged(struct refresh *refresh, const json_t *rows)
{
    (void)rows;
    refresh->truncate_due = false;
    refresh_decide(refresh);
}

void refresh_merge_truncate(struct refresh *refresh)
{
    struct buffer sql = {0};

    view_sql_merge_truncate(&sql, &refresh->parts.definition, refresh->days.from_day);
    refresh_run(refresh, TRUNCATE, "merging the newest truncate", &sql, truncate_merged);
}

static void merged(struct refresh *refresh, const json_t *rows)
{
    (void)rows;
    refresh->merge_due = false;
    refresh->report.did = REFRESH_MERGED;
    refresh->report.from_day = refresh->days.from_day == VIEW_DAY_FIRST ? VIEW_DAY_NONE : refresh->days.from_day;
    refresh_decide(refresh);
}

void refresh_merge(struct refresh *refresh)
{
    struct buffer sql = {0};

    view_sql_merge(&sql, &refresh->parts.definition, refresh->days.from_day);
    refresh_run(refresh, MERGE, "merging", &sql, merged);
}
