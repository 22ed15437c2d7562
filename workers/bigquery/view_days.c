/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A window of VIEW_DAYS_KEPT days before the watermark is watched. A day of it that is not remembered had no rows when it was
 * merged. Days that have expired since are no news.
 *
 * How often a MERGE is due: it reads the whole base, so it is the refresh's price; a longer tail is what queries pay instead. Whoever
 * says that a table may be days old does not look at it hourly, so the freshness decides. Not so long that days expire unmerged.
 */
#include "workers/bigquery/view_days.h"

#include <stdlib.h>

#include "workers/bigquery/query.h"

#define DAY_MS INT64_C(86400000)

struct row {
    int32_t day;
    int64_t rows; /* -1: the day is today, and this no count */
    int64_t truncates;
};

static bool read_row(const json_t *rows, size_t index, struct row *row)
{
    const char *day = query_value(rows, index, 0);
    const char *count = query_value(rows, index, 1);
    const char *truncates = query_value(rows, index, 2);

    if (day == NULL || count == NULL || truncates == NULL || !view_day_parse(day, &row->day)) {
        return false;
    }
    row->rows = strtoll(count, NULL, 10);
    row->truncates = strtoll(truncates, NULL, 10);
    return true;
}

static bool find_today(const json_t *rows, int32_t *ret_today)
{
    struct row row;

    for (size_t i = 0; i < json_array_size(rows); i++) {
        if (read_row(rows, i, &row) && row.rows == -1) {
            *ret_today = row.day;
            return true;
        }
    }
    return false;
}

static int64_t rows_of_day(const json_t *rows, int32_t day)
{
    struct row row;

    for (size_t i = 0; i < json_array_size(rows); i++) {
        if (read_row(rows, i, &row) && row.day == day && row.rows >= 0) {
            return row.rows;
        }
    }
    return 0;
}

static int64_t merged_rows(const struct view_state *state, int32_t day)
{
    for (size_t i = 0; i < state->day_count; i++) {
        if (state->days[i].day == day) {
            return state->days[i].rows;
        }
    }
    return 0;
}

static bool has_expired(int64_t expiration_ms, int32_t today, int32_t day)
{
    return expiration_ms > 0 && (today - (int64_t)day) * DAY_MS >= expiration_ms;
}

/* F5 */
static void find_late(const json_t *rows, const struct view_state *state, int64_t expiration_ms, struct view_days *days)
{
    for (int32_t day = state->watermark - VIEW_DAYS_KEPT; day < state->watermark; day++) {
        const struct view_late late = {.day = day, .merged = merged_rows(state, day), .now = rows_of_day(rows, day)};

        if (late.now != late.merged && !has_expired(expiration_ms, days->today, day)) {
            days->late[days->late_count++] = late;
        }
    }
    if (days->late_count > 0) {
        days->from_day = days->late[0].day;
        days->merge = true;
    }
}

static void remember_closed(const json_t *rows, struct view_days *days)
{
    for (int32_t day = days->watermark - VIEW_DAYS_KEPT; day < days->watermark; day++) {
        int64_t count = rows_of_day(rows, day);

        if (count > 0) {
            days->closed[days->closed_count++] = (struct view_day){day, count};
        }
    }
}

static bool has_truncates(const json_t *rows, int32_t from_day)
{
    struct row row;

    for (size_t i = 0; i < json_array_size(rows); i++) {
        if (read_row(rows, i, &row) && row.day >= from_day && row.truncates > 0) {
            return true;
        }
    }
    return false;
}

int32_t view_days_from(const struct view_state *state)
{
    bool young = state->watermark == VIEW_DAY_NONE || state->watermark < VIEW_DAY_FIRST + VIEW_DAYS_KEPT;

    return young ? VIEW_DAY_FIRST : state->watermark - VIEW_DAYS_KEPT;
}

int64_t view_days_at_once(int64_t freshness_ms)
{
    return freshness_ms >= DAY_MS ? freshness_ms / DAY_MS : 1;
}

/* Is the new watermark worth a MERGE? */
static bool is_due(const struct view_days_rules *rules, const struct view_state *state, int32_t today)
{
    int32_t gained = today - VIEW_LAG_DAYS - state->watermark;

    return gained >= view_days_at_once(rules->freshness_ms) ||
           (gained > 0 && has_expired(rules->expiration_ms, today + 2, state->watermark));
}

int view_days_read(const json_t *rows, const struct view_state *state, const struct view_days_rules *rules,
                   struct view_days *ret_days, struct err *err)
{
    bool first_time = state->watermark == VIEW_DAY_NONE;

    *ret_days = (struct view_days){.from_day = first_time ? VIEW_DAY_FIRST : state->watermark};
    if (!find_today(rows, &ret_days->today)) {
        return err_set(err, ERR_RETRY, "BigQuery's answer does not say which day is today");
    }
    ret_days->watermark = ret_days->today - VIEW_LAG_DAYS;
    if (first_time) {
        ret_days->merge = true;
    } else {
        ret_days->merge = is_due(rules, state, ret_days->today);
        ret_days->expired = has_expired(rules->expiration_ms, ret_days->today, state->watermark);
        find_late(rows, state, rules->expiration_ms, ret_days);
        ret_days->watermark = ret_days->merge && ret_days->watermark > state->watermark ? ret_days->watermark : state->watermark;
    }
    remember_closed(rows, ret_days);
    ret_days->truncates = has_truncates(rows, ret_days->from_day);
    return 0;
}
