/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One round at a time, the longest due first: a worker that starts with a thousand tables asks BigQuery one thing after
 * another.
 *
 * When the next round of a view is due:
 *   at once              it is new here, or a lane of this worker found its history
 *   after a look's time  a look: the round ends behind its first call if the history is as it was. As often as the freshness
 *                        says, but not every second of a thousand tables: a worker makes a look a second at most
 *   a history not there  soon, and then less and less often up to a look's time: another worker is about to make it, or nobody
 *   after a failure      by back-off
 *   after midnight UTC   all is looked at, since the watermark can move: spread over half an hour by the table's name, so that not
 *                        all workers of a project come at the same second
 *
 * What a view shows never waits for a round: it reads the newest days as they are.
 */
#include "workers/bigquery/views.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/backoff.h"
#include "common/json_text.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/must.h"
#include "schemas/civil.h"
#include "schemas/schema.h"
#include "workers/bigquery/refresh.h"
#include "workers/bigquery/view_sql.h"

#define RETRY_FIRST_MS 30000
#define RETRY_MAX_MS   3600000
#define AFTER_DAY_MS   (5 * 60000) /* BigQuery's midnight and ours are not the same */
#define SPREAD_MS      (30 * 60000)
#define DAY_MS         (CIVIL_DAY_US / 1000)
#define ABSENT_MS      2000
#define LOOK_MIN_MS    60000
#define LOOK_MAX_MS    3600000
#define LOOK_EACH_MS   1000 /* of one worker's looks */
#define ROUND_STALLS   12   /* a MERGE may take this many times as long as rows may stand still */

static struct metric_family rounds METRIC_FAMILY = {
    .name = "kakehi_bigquery_view_rounds_total",
    .help = "Rounds over latest views, by what came of them: nothing, changed, merged, no_key, gone, same, failed.",
    .kind = METRIC_COUNTER,
    .labels = {"table", "result"},
};

static struct metric_family watermarks METRIC_FAMILY = {
    .name = "kakehi_bigquery_base_lag_days",
    .help = "Days that a latest view reads from the history beside its base: 2 where all is well, more where its freshness is of days.",
    .kind = METRIC_GAUGE,
    .labels = {"table"},
};

struct kept {
    struct views *views;
    struct bigquery_names names; /* owned */
    unsigned keepers;            /* lanes of partition 0: an old one may close after the new one was opened */
    struct refresh *refresh;     /* the round under way; NULL */
    uint64_t started_ms;         /* since when it is */
    uint64_t due_ms;             /* of the next round, by uv_now */
    uint64_t full_ms;            /* from then on it is more than a look */
    uint64_t seen;               /* the history, as the last round has seen it; 0: the next round looks at all */
    bool again;                  /* the history was found anew while the round was under way */
    uint32_t absences;           /* in a row: there was no history */
    uint32_t failures;           /* in a row */
    struct err trouble;          /* of the last round; class NONE: all is well */
    uint64_t trouble_ms;         /* since when */
    struct refresh_report report;
    struct kept *next;
};

struct views {
    struct views_options options;
    uv_timer_t timer;
    struct kept *kept;
    size_t kept_count;
    bool closing;
    void (*closed)(void *context);
    void *closed_context;
};

static void schedule(struct views *views);

static const char *source_of(const struct kept *kept)
{
    return kept->names.source;
}

/* ---- when */

static int64_t wall_us(const struct views *views)
{
    struct timespec now;

    if (views->options.wall_us != NULL) {
        return views->options.wall_us(views->options.context);
    }
    must(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static uint64_t until_tomorrow_ms(const struct kept *kept)
{
    int64_t now_ms = wall_us(kept->views) / 1000;
    int64_t day_ms = ((now_ms % DAY_MS) + DAY_MS) % DAY_MS;
    uint64_t spread_ms = schema_fingerprint(source_of(kept), strlen(source_of(kept))) % SPREAD_MS;

    return (uint64_t)(DAY_MS - day_ms) + AFTER_DAY_MS + spread_ms;
}

static uint64_t look_ms(const struct kept *kept)
{
    const struct views *views = kept->views;
    uint64_t wait_ms = (uint64_t)settings_freshness_ms(views->options.settings, source_of(kept));
    uint64_t least_ms = views->options.look_min_ms > 0 ? views->options.look_min_ms : LOOK_MIN_MS;

    if (least_ms < views->kept_count * LOOK_EACH_MS && views->options.look_min_ms == 0) {
        least_ms = views->kept_count * LOOK_EACH_MS;
    }
    wait_ms = wait_ms < LOOK_MAX_MS ? wait_ms : LOOK_MAX_MS;
    return wait_ms > least_ms ? wait_ms : least_ms;
}

static uint64_t now_ms(const struct kept *kept)
{
    return uv_now(kept->views->options.loop);
}

/* ---- a round */

static const char *did_text(enum refresh_did did)
{
    static const char *const texts[] = {
        [REFRESH_NOTHING] = "nothing", [REFRESH_CHANGED] = "changed", [REFRESH_MERGED] = "merged",
        [REFRESH_NO_KEY] = "no_key",   [REFRESH_GONE] = "gone",       [REFRESH_SAME] = "same",
    };

    return texts[did];
}

static void count(const struct kept *kept, const char *result)
{
    metric_add(metric_cell(&rounds, (const char *const[]){source_of(kept), result}), 1);
}

/* What people and metrics are told of a round that has looked at all. */
static void tell(const struct kept *kept, enum refresh_did did_before)
{
    const struct refresh_report *report = &kept->report;

    if (report->base && report->today != VIEW_DAY_NONE) {
        metric_set(metric_cell(&watermarks, (const char *const[]){source_of(kept)}), report->today - report->watermark);
    }
    if (report->did == REFRESH_MERGED) {
        log_info("base-refreshed", "table=%q tail_days=%d", source_of(kept), report->today - report->watermark);
    } else if (report->did == REFRESH_NO_KEY && did_before != REFRESH_NO_KEY) {
        log_info("no-latest-view", "table=%q reason=%q", source_of(kept), "it has no primary key");
    }
}

static void take_report(struct kept *kept, const struct refresh_report *report)
{
    enum refresh_did before = kept->report.did;

    kept->failures = 0;
    kept->trouble = (struct err){0};
    kept->absences = report->did == REFRESH_GONE ? kept->absences + 1 : 0;
    kept->seen = report->seen;
    if (report->did != REFRESH_SAME) {
        kept->report = *report;
        kept->full_ms = now_ms(kept) + until_tomorrow_ms(kept);
        tell(kept, before);
    }
    kept->due_ms = now_ms(kept) + (kept->absences > 0 ? backoff_ms(kept->absences, ABSENT_MS, look_ms(kept)) : look_ms(kept));
    kept->due_ms = kept->due_ms < kept->full_ms ? kept->due_ms : kept->full_ms;
    count(kept, did_text(report->did));
}

static void take_failure(struct kept *kept, const struct err *err)
{
    uint64_t wait_ms = backoff_ms(++kept->failures, RETRY_FIRST_MS, RETRY_MAX_MS);

    if (kept->trouble.class == ERR_NONE) {
        kept->trouble_ms = now_ms(kept);
    }
    kept->trouble = *err;
    kept->seen = 0;
    kept->due_ms = now_ms(kept) + wait_ms;
    count(kept, "failed");
    log_event(err->class == ERR_RETRY ? LOG_WARN : LOG_ERROR, "view-not-refreshed", "table=%q reason=%q next=%q retry_s=%llu",
              source_of(kept), err->text, "its rows go on; the view stays as it is", (unsigned long long)(wait_ms / 1000));
}

static void on_round(void *context, const struct refresh_report *report, const struct err *err)
{
    struct kept *kept = context;

    kept->refresh = NULL;
    if (err != NULL) {
        take_failure(kept, err);
    } else {
        take_report(kept, report);
    }
    if (kept->again) {
        kept->again = false;
        kept->due_ms = now_ms(kept);
    }
    schedule(kept->views);
}

static void start(struct kept *kept)
{
    bool full = now_ms(kept) >= kept->full_ms;

    kept->started_ms = now_ms(kept);
    kept->refresh = refresh_start(&(struct refresh_options){.rest = kept->views->options.rest,
                                                            .settings = kept->views->options.settings,
                                                            .names = &kept->names,
                                                            .seen = full ? 0 : kept->seen},
                                  on_round, kept);
}

static struct kept *next_due(const struct views *views)
{
    struct kept *due = NULL;

    for (struct kept *kept = views->kept; kept != NULL; kept = kept->next) {
        if (kept->refresh != NULL) {
            return NULL; /* one at a time */
        }
        if (due == NULL || kept->due_ms < due->due_ms) {
            due = kept;
        }
    }
    return due;
}

static void on_due(uv_timer_t *timer)
{
    struct views *views = timer->data;
    struct kept *due = next_due(views);

    if (due != NULL && due->due_ms <= uv_now(views->options.loop)) {
        start(due);
    } else {
        schedule(views);
    }
}

static void schedule(struct views *views)
{
    const struct kept *due = next_due(views);
    uint64_t now_ms = uv_now(views->options.loop);

    (void)uv_timer_stop(&views->timer);
    if (due != NULL && !views->closing) {
        must(uv_timer_start(&views->timer, on_due, due->due_ms > now_ms ? due->due_ms - now_ms : 0, 0) == 0);
    }
}

/* ---- which */

static struct kept **find(struct views *views, const struct bigquery_names *names)
{
    struct kept **place = &views->kept;

    while (*place != NULL &&
           (strcmp((*place)->names.source_id, names->source_id) != 0 || strcmp((*place)->names.source, names->source) != 0)) {
        place = &(*place)->next;
    }
    return place;
}

static void look_now(struct kept *kept)
{
    if (kept->refresh != NULL) {
        kept->again = true; /* what it has read may be older */
    } else {
        kept->due_ms = now_ms(kept);
        schedule(kept->views);
    }
}

static int names_of(const struct views *views, const char *topic, struct bigquery_names *names)
{
    struct err ignored; /* its lanes say it */
    char *database;
    char *table;
    int result;

    if (bigquery_names_of_topic(views->options.settings, topic, &database, &table, &ignored) != 0) {
        return -1;
    }
    result = bigquery_names_init(names, &views->options.settings->bigquery, database, table, &ignored);
    free(database);
    free(table);
    return result;
}

void views_keep(struct views *views, const char *topic)
{
    struct bigquery_names names;
    struct kept *kept;

    if (names_of(views, topic, &names) != 0) {
        return;
    }
    kept = *find(views, &names);
    if (kept != NULL) {
        bigquery_names_deinit(&names);
    } else {
        kept = calloc(1, sizeof *kept);
        must(kept != NULL);
        kept->views = views;
        kept->names = names;
        kept->next = views->kept;
        views->kept = kept;
        views->kept_count++;
    }
    kept->keepers++;
    look_now(kept);
}

void views_look(struct views *views, const struct bigquery_names *names)
{
    struct kept *kept = *find(views, names);

    if (kept != NULL) {
        look_now(kept);
    }
}

static void drop(struct kept **place)
{
    struct kept *kept = *place;

    *place = kept->next;
    kept->views->kept_count--;
    refresh_cancel(kept->refresh);
    bigquery_names_deinit(&kept->names);
    free(kept);
}

void views_leave(struct views *views, const char *topic)
{
    struct bigquery_names names;
    struct kept **place;

    if (names_of(views, topic, &names) != 0) {
        return;
    }
    place = find(views, &names);
    if (*place != NULL && --(*place)->keepers == 0) {
        drop(place);
        schedule(views);
    }
    bigquery_names_deinit(&names);
}

/* ---- life */

struct views *views_open(const struct views_options *options)
{
    struct views *views = calloc(1, sizeof *views);

    must(views != NULL && uv_timer_init(options->loop, &views->timer) == 0);
    views->options = *options;
    views->timer.data = views;
    return views;
}

static void on_closed(uv_handle_t *handle)
{
    struct views *views = handle->data;

    views->closed(views->closed_context);
    free(views);
}

void views_close(struct views *views, void (*closed)(void *context), void *context)
{
    if (views == NULL) {
        closed(context);
        return;
    }
    must(!views->closing);
    views->closing = true;
    views->closed = closed;
    views->closed_context = context;
    while (views->kept != NULL) {
        drop(&views->kept);
    }
    uv_close((uv_handle_t *)&views->timer, on_closed);
}

static json_t *status_of(const struct kept *kept)
{
    json_t *status =
        json_pack("{s:s, s:s, s:s}", "view", kept->names.view, "kind", kept->report.base ? "base" : "plain", "last",
                  kept->refresh != NULL ? "under way" : did_text(kept->report.did));

    must(status != NULL);
    if (kept->report.base && kept->report.today != VIEW_DAY_NONE) {
        must(json_object_set_new(status, "tail_days", json_integer(kept->report.today - kept->report.watermark)) == 0);
    }
    if (kept->trouble.class != ERR_NONE) {
        (void)json_object_set_new(status, "trouble", json_text(kept->trouble.text));
    }
    return status;
}

json_t *views_status(const struct views *views)
{
    json_t *status = json_object();

    for (const struct kept *kept = views->kept; kept != NULL; kept = kept->next) {
        must(json_object_set_new(status, source_of(kept), status_of(kept)) == 0);
    }
    return status;
}

static void say_failed(const struct kept *kept, uint64_t now, char *text, size_t size)
{
    (void)snprintf(text, size,
                   "the latest view %s.%s has not been looked after for %" PRIu64
                   " s, its rows go on: %s; the next try is in %" PRIu64 " s, or with `kakehi-worker views`",
                   kept->names.dataset, kept->names.view, (now - kept->trouble_ms) / 1000, kept->trouble.text,
                   kept->due_ms > now ? (kept->due_ms - now) / 1000 : 0);
}

/* Others wait behind it. */
static void say_long(const struct kept *kept, uint64_t now, char *text, size_t size)
{
    (void)snprintf(text, size,
                   "a round over the latest view %s.%s has been under way for %" PRIu64
                   " s, its rows go on: see what its job waits for among the project's jobs (bq ls -j), and cancel it if that does not end",
                   kept->names.dataset, kept->names.view, (now - kept->started_ms) / 1000);
}

bool views_trouble(const struct views *views, char *text, size_t size)
{
    uint64_t now = uv_now(views->options.loop);
    uint64_t stall_ms = (uint64_t)views->options.settings->worker.stall_ms;

    for (const struct kept *kept = views->kept; kept != NULL; kept = kept->next) {
        if (kept->refresh != NULL && now - kept->started_ms > ROUND_STALLS * stall_ms) {
            say_long(kept, now, text, size);
            return true;
        }
        if (kept->trouble.class != ERR_NONE && (kept->trouble.class != ERR_RETRY || now - kept->trouble_ms > stall_ms)) {
            say_failed(kept, now, text, size);
            return true;
        }
    }
    return false;
}
