/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After each answer the same question is asked: what is the next thing that is not as it should be? Nothing but what BigQuery
 * holds is remembered from round to round, so a round that stopped anywhere is finished by the next one.
 *
 *   BEGIN --> HISTORY --> OWNER --> VIEW --> BASE --> FUNCTION --> (what is next?) --> AS_OF | WHOLE | MAKE_BASE | KEEP_BASE
 *                |  ^                                                |    ^               | GROW_BASE | WIDEN_BASE | DAYS
 *                |  |                                                |    |               | TRUNCATE | MERGE | SET_VIEW
 *       none, or |  |                                           nothing   |                  |            |
 *   as it was    v  |                                                v    +------ done ------+            |
 *              DONE |                                              DONE                                   |
 *                   +------------------------------------ somebody changed it (409, 412, 404) ------------+
 *
 * | states                           | under way                                  | in              |
 * | HISTORY, OWNER, VIEW, BASE,      | GET: what is there, and whose the dataset  | refresh_look.c  |
 * | FUNCTION                         |                                            |                 |
 * | AS_OF, WHOLE, SET_VIEW           | CREATE FUNCTION; POST or PATCH of the view | refresh_view.c  |
 * | MAKE_BASE, KEEP_BASE, GROW_BASE, | POST, PATCH, ALTER TABLE of the base       | refresh_base.c  |
 * | WIDEN_BASE                       |                                            |                 |
 * | DAYS, TRUNCATE, MERGE            | a statement                                | refresh_merge.c |
 *
 * Base + tail, in the order that makes every stop harmless:
 *   WHOLE      the view reads the whole history, unless it already reads this very base (F7)
 *   MAKE_BASE, KEEP_BASE, GROW_BASE, WIDEN_BASE   the base is there, for ever, with all columns of the history
 *   AS_OF      the function, which names the base where the history's days expire
 *   DAYS       today by BigQuery's clock, and the rows of each day: before the MERGE, so that what comes in between is merged
 *              twice rather than never
 *   MERGE      F1, F2: from the watermark of the view that we have read, today's rows included
 *   SET_VIEW   today - 2 as the new watermark, by the ETag of the view that was read before all this. Whoever is late gets 412
 *              and begins again: so the view never goes back, and never names a base that was made anew in between
 *
 * F5: a closed day whose rows are not those that were merged gets an alarm and is merged again, from that day on.
 * F6: a plain view of an expiring history is refused: rows that do not change would leave it. A base that is gone is not made
 * anew then, since it was the only copy of what has expired.
 *
 * A dataset may have a default expiration, which every table and view in it takes when it is made, and which only a patch takes
 * away: so what is found to expire is told not to, once a round.
 *
 * Since the watermark is a day, a round has something to merge once a day; once in so many days, where the table's freshness is
 * that long. What the view shows does not wait for rounds.
 */
#include "workers/bigquery/refresh_parts.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/must.h"
#include "workers/bigquery/tables_parts.h"

#define ROUNDS_MAX 8

#define TO_STEPS                                                                                                               \
    (SM_TO(HISTORY) | SM_TO(AS_OF) | SM_TO(WHOLE) | SM_TO(MAKE_BASE) | SM_TO(KEEP_BASE) | SM_TO(GROW_BASE) |                   \
     SM_TO(WIDEN_BASE) | SM_TO(DAYS) | SM_TO(TRUNCATE) | SM_TO(MERGE) | SM_TO(SET_VIEW) | SM_TO(DONE))

static const struct sm_state states[] = {
    [BEGIN] = {"BEGIN", SM_TO(HISTORY)},
    [HISTORY] = {"HISTORY", SM_TO(OWNER) | SM_TO(DONE)},
    [OWNER] = {"OWNER", SM_TO(VIEW) | SM_TO(HISTORY) | SM_TO(DONE)},
    [VIEW] = {"VIEW", SM_TO(BASE) | SM_TO(FUNCTION) | TO_STEPS},
    [BASE] = {"BASE", SM_TO(FUNCTION) | TO_STEPS},
    [FUNCTION] = {"FUNCTION", TO_STEPS},
    [AS_OF] = {"AS_OF", TO_STEPS},
    [WHOLE] = {"WHOLE", TO_STEPS},
    [MAKE_BASE] = {"MAKE_BASE", TO_STEPS},
    [KEEP_BASE] = {"KEEP_BASE", TO_STEPS},
    [GROW_BASE] = {"GROW_BASE", TO_STEPS},
    [WIDEN_BASE] = {"WIDEN_BASE", TO_STEPS},
    [DAYS] = {"DAYS", TO_STEPS},
    [TRUNCATE] = {"TRUNCATE", TO_STEPS},
    [MERGE] = {"MERGE", TO_STEPS},
    [SET_VIEW] = {"SET_VIEW", TO_STEPS},
    [DONE] = {"DONE", 0},
};

/* Nothing is under way when the machine moves. */
static bool invariant(const struct sm *machine)
{
    const struct refresh *refresh = (const struct refresh *)((const char *)machine - offsetof(struct refresh, sm));

    return refresh->call == NULL && refresh->query == NULL;
}

/* ---- the end */

static void refresh_free(struct refresh *refresh)
{
    view_parts_deinit(&refresh->parts);
    shape_deinit(&refresh->history.shape);
    shape_deinit(&refresh->view.shape);
    shape_deinit(&refresh->base.shape);
    free(refresh);
}

static void begin(struct refresh *refresh, const char *why)
{
    refresh->as_of_made = refresh->looked = refresh->merge_due = refresh->truncate_due = false;
    refresh->base_kept = refresh->view_kept = false;
    log_debug("views", "table=%q round=%u why=%q", refresh->options.names->source, refresh->rounds, why);
    refresh_look(refresh);
}

static void end(struct refresh *refresh, const struct err *err)
{
    sm_move(&refresh->sm, DONE, err == NULL ? "all is as it should be" : "failed");
    refresh->answer(refresh->context, err == NULL ? &refresh->report : NULL, err);
    refresh_free(refresh);
}

void refresh_finish(struct refresh *refresh)
{
    end(refresh, NULL);
}

void refresh_fail(struct refresh *refresh, const struct err *cause, const char *doing)
{
    struct err err = *cause;

    if (err.class == ERR_POISON) {
        err.class = ERR_FATAL; /* what BigQuery refuses once it refuses always */
    }
    (void)err_while(&err, "%s of %s", doing, refresh->options.names->source);
    end(refresh, &err);
}

void refresh_begin_again(struct refresh *refresh, const char *why)
{
    struct err err;

    if (++refresh->rounds < ROUNDS_MAX) {
        begin(refresh, why);
    } else {
        (void)err_set(&err, ERR_RETRY, "others change it each time before we can");
        refresh_fail(refresh, &err, "the view");
    }
}

bool refresh_lost_race(struct refresh *refresh, const struct rest_error *error)
{
    if (error->class != REST_CONFLICT && error->class != REST_NOT_FOUND) {
        return false;
    }
    refresh_begin_again(refresh, "somebody changed it");
    return true;
}

/* ---- calls */

void refresh_call(struct refresh *refresh, struct rest_request *request, const char *table, rest_answered answered)
{
    struct buffer path = {0};

    tables_append_path(&path, refresh->options.names, table);
    if (strcmp(request->method, "POST") == 0) {
        buffer_append_text(&path, "/tables");
    }
    request->path = buffer_text(&path);
    refresh->call = rest_send(refresh->options.rest, request, answered, refresh);
    buffer_deinit(&path);
}

/* "Could not serialize access to table ... due to concurrent update": another refresher merges, and one of the two must begin
 * again. */
static void on_said(void *context, const struct query_answer *answered, const struct err *err)
{
    struct refresh *refresh = context;

    refresh->query = NULL;
    if (err == NULL) {
        refresh->said(refresh, answered->rows);
    } else if (err->class == ERR_POISON && strstr(err->text, "concurrent update") != NULL) {
        refresh_begin_again(refresh, "another refresher merges");
    } else {
        refresh_fail(refresh, err, "the refresh");
    }
}

void refresh_run(struct refresh *refresh, int state, const char *doing, struct buffer *sql, refresh_said said)
{
    const struct settings *settings = refresh->options.settings;

    sm_move(&refresh->sm, state, doing);
    refresh->said = said;
    refresh->query = query_start(&(struct query_options){.rest = refresh->options.rest,
                                                         .project = refresh->options.names->project,
                                                         .location = settings->bigquery.location,
                                                         .job_prefix = settings->prefix,
                                                         .doing = doing,
                                                         .sql = buffer_text(sql)},
                                 on_said, refresh);
    buffer_deinit(sql);
}

bool refresh_is_base(const struct refresh *refresh)
{
    return settings_bigquery_view(refresh->options.settings, refresh->options.names->source) == BIGQUERY_VIEW_BASE;
}

struct shape_making refresh_making(const struct refresh *refresh)
{
    return (struct shape_making){refresh->options.settings, refresh->options.names};
}

bool refresh_take(struct refresh *refresh, struct resource *resource, const json_t *body, const char *kind)
{
    const struct shape_making making = refresh_making(refresh);
    struct err err;

    shape_deinit(&resource->shape);
    if (shape_read(body, &resource->shape, &err) != 0 || shape_check(&resource->shape, &making, kind, &err) != 0) {
        refresh_fail(refresh, &err, "the view");
        return false;
    }
    resource->there = true;
    return true;
}

/* ---- what is next? */

static void finish_well(struct refresh *refresh)
{
    refresh->report.base = refresh_is_base(refresh);
    refresh->report.watermark = refresh->next.watermark;
    refresh_finish(refresh);
}

/* F6, and a base that is not this history's. */
static int check(const struct refresh *refresh, struct err *err)
{
    const struct bigquery_names *names = refresh->options.names;
    bool expires = refresh->history.shape.expiration_ms > 0;

    if (!refresh_is_base(refresh) && expires) {
        return err_set(
            err, ERR_FATAL,
            "the history's days expire, so a plain view would lose the rows that do not change: set bigquery.view: base for "
            "this table");
    }
    if (!refresh_is_base(refresh) && refresh->history.shape.filter_required) {
        return err_set(
            err, ERR_FATAL,
            "the history requires a partition filter, a plain view reads every day: set bigquery.view: base for this table");
    }
    if (refresh_is_base(refresh) && !refresh->base.there && expires && refresh->state.base_ms > 0) {
        return err_set(err, ERR_FATAL,
                       "the base %s.%s is gone, and days of the history that it was made of have expired: undelete it (bq cp "
                       "%s.%s@MS %s.%s); or, to do without, drop the view",
                       names->dataset, names->base, names->dataset, names->base, names->dataset, names->base);
    }
    if (refresh_is_base(refresh) && refresh->base.there &&
        strcmp(shape_label(&refresh->base.shape, "kakehi_history"), refresh->history_hash) != 0) {
        return err_set(
            err, ERR_FATAL,
            "the base %s.%s was made of another history than this one: drop it, and it is made anew; or, if this is it: bq "
            "update --set_label kakehi_history:%s %s:%s.%s",
            names->dataset, names->base, refresh->history_hash, names->project, names->dataset, names->base);
    }
    return 0;
}

static bool as_of_due(const struct refresh *refresh)
{
    return !refresh->as_of_made && strcmp(refresh->state.as_of, refresh->as_of) != 0;
}

static void decide_plain(struct refresh *refresh)
{
    if (as_of_due(refresh)) {
        refresh_make_as_of(refresh);
        return;
    }
    refresh->next.base_ms = 0;
    refresh->next.watermark = VIEW_DAY_NONE;
    if (!refresh_view_is_so(refresh)) {
        refresh_set_view(refresh, SET_VIEW, "it is not as it should be");
    } else {
        finish_well(refresh);
    }
}

/* Does the view, as it was read, read this very base? */
static bool reads_base(const struct refresh *refresh)
{
    return refresh->base.there && refresh->state.base_ms == refresh->base.shape.created_ms;
}

/* The view is to read the whole history while the base is made: F7. True: it is being told so. */
static bool make_whole(struct refresh *refresh)
{
    if (reads_base(refresh)) {
        return false;
    }
    refresh->next.base_ms = 0;
    refresh->next.watermark = VIEW_DAY_NONE;
    refresh->next.day_count = 0;
    if (refresh_view_is_so(refresh)) {
        return false;
    }
    refresh_set_view(refresh, WHOLE, "the base is to be made");
    return true;
}

static void decide_base(struct refresh *refresh)
{
    if (!refresh->looked) {
        if (make_whole(refresh) || refresh_change_base(refresh)) {
            return;
        }
        if (as_of_due(refresh)) {
            refresh_make_as_of(refresh);
            return;
        }
        refresh_look_at_days(refresh);
    } else if (refresh->truncate_due) {
        refresh_merge_truncate(refresh);
    } else if (refresh->merge_due) {
        refresh_merge(refresh);
    } else if (!refresh_view_is_so(refresh)) {
        refresh_set_view(refresh, SET_VIEW, "it is not as it should be");
    } else {
        finish_well(refresh);
    }
}

void refresh_decide(struct refresh *refresh)
{
    struct err err;

    if (check(refresh, &err) != 0) {
        refresh_fail(refresh, &err, "the view");
    } else if (refresh_is_base(refresh)) {
        decide_base(refresh);
    } else {
        decide_plain(refresh);
    }
}

/* ---- from outside */

struct refresh *refresh_start(const struct refresh_options *options, refresh_answered answer, void *context)
{
    struct refresh *refresh = calloc(1, sizeof *refresh);

    must(refresh != NULL);
    refresh->options = *options;
    refresh->answer = answer;
    refresh->context = context;
    refresh->report = (struct refresh_report){.from_day = VIEW_DAY_NONE, .watermark = VIEW_DAY_NONE, .today = VIEW_DAY_NONE};
    sm_init(&refresh->sm, "refresh", options->names->source, states, BEGIN, invariant);
    begin(refresh, "started");
    return refresh;
}

void refresh_cancel(struct refresh *refresh)
{
    if (refresh == NULL) {
        return;
    }
    if (refresh->call != NULL) {
        rest_cancel(refresh->call);
    }
    query_cancel(refresh->query);
    refresh_free(refresh);
}
