/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After each answer the same question is asked: what is the next thing that is not as it should be? Nothing but what BigQuery
 * holds is remembered from round to round, so a round that stopped anywhere is finished by the next one.
 *
 *   HISTORY -> VIEW -> BASE -> (what is next?) -> AS_OF | WHOLE | MAKE_BASE | GROW_BASE | WIDEN_BASE | DAYS | TRUNCATE | MERGE
 * | SET_VIEW ^                                |  ^                                  | |                                |
 * +---------- done -----------------+
 *      +--- somebody changed it (409, 412, 404) --- answered when nothing is left
 *
 * Base + tail, in the order that makes every stop harmless:
 *   WHOLE      the view reads the whole history, unless it already reads this very base (F7)
 *   MAKE_BASE, GROW_BASE, WIDEN_BASE   the base is there, with all columns of the history
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
 * Since the watermark is a day, a round has something to merge once a day. What the view shows does not wait for rounds.
 */
#include "workers/bigquery/refresh.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/must.h"
#include "common/sm.h"
#include "schemas/schema.h"
#include "workers/bigquery/history.h"
#include "workers/bigquery/query.h"
#include "workers/bigquery/tables_parts.h"
#include "workers/bigquery/view_days.h"
#include "workers/bigquery/view_state.h"

#define ROUNDS_MAX 8

enum { BEGIN, HISTORY, VIEW, BASE, AS_OF, WHOLE, MAKE_BASE, GROW_BASE, WIDEN_BASE, DAYS, TRUNCATE, MERGE, SET_VIEW, DONE };

#define TO_STEPS                                                                                                               \
    (SM_TO(HISTORY) | SM_TO(AS_OF) | SM_TO(WHOLE) | SM_TO(MAKE_BASE) | SM_TO(GROW_BASE) | SM_TO(WIDEN_BASE) | SM_TO(DAYS) |    \
     SM_TO(TRUNCATE) | SM_TO(MERGE) | SM_TO(SET_VIEW) | SM_TO(DONE))

static const struct sm_state states[] = {
    [BEGIN] = {"BEGIN", SM_TO(HISTORY)},
    [HISTORY] = {"HISTORY", SM_TO(VIEW) | SM_TO(DONE)},
    [VIEW] = {"VIEW", SM_TO(BASE) | TO_STEPS},
    [BASE] = {"BASE", TO_STEPS},
    [AS_OF] = {"AS_OF", TO_STEPS},
    [WHOLE] = {"WHOLE", TO_STEPS},
    [MAKE_BASE] = {"MAKE_BASE", TO_STEPS},
    [GROW_BASE] = {"GROW_BASE", TO_STEPS},
    [WIDEN_BASE] = {"WIDEN_BASE", TO_STEPS},
    [DAYS] = {"DAYS", TO_STEPS},
    [TRUNCATE] = {"TRUNCATE", TO_STEPS},
    [MERGE] = {"MERGE", TO_STEPS},
    [SET_VIEW] = {"SET_VIEW", TO_STEPS},
    [DONE] = {"DONE", 0},
};

static struct metric_family late_rows = {
    .name = "kakehi_bigquery_late_rows_total",
    .help = "Rows that came into a history's day after it was closed for its base: found, and merged again.",
    .kind = METRIC_COUNTER,
    .labels = {"table"},
};

/* A table or view as it was read last. */
struct resource {
    struct shape shape;
    bool there;
};

struct refresh {
    struct sm sm;
    struct refresh_options options;
    struct rest_call *call;
    struct query *query;
    struct resource history;
    struct resource view;
    struct resource base;
    struct view_parts parts;
    struct view_state state; /* of the view as it was read */
    struct view_state next;  /* as it will be */
    char as_of[9];           /* fingerprint of the function's text */
    char history_hash[HISTORY_HASH_SIZE];
    bool as_of_made;
    bool looked; /* at the days */
    struct view_days days;
    bool truncate_due;
    bool merge_due;
    unsigned rounds;
    struct refresh_report report;
    refresh_answered answer;
    void *context;
};

/* Nothing is under way when the machine moves. */
static bool invariant(const struct sm *machine)
{
    const struct refresh *refresh = (const struct refresh *)((const char *)machine - offsetof(struct refresh, sm));

    return refresh->call == NULL && refresh->query == NULL;
}

static void decide(struct refresh *refresh);
static void begin_again(struct refresh *refresh, const char *why);

/* ---- the end */

static void refresh_free(struct refresh *refresh)
{
    view_parts_deinit(&refresh->parts);
    shape_deinit(&refresh->history.shape);
    shape_deinit(&refresh->view.shape);
    shape_deinit(&refresh->base.shape);
    free(refresh);
}

static void finish(struct refresh *refresh, const struct err *err)
{
    sm_move(&refresh->sm, DONE, err == NULL ? "all is as it should be" : "failed");
    refresh->answer(refresh->context, err == NULL ? &refresh->report : NULL, err);
    refresh_free(refresh);
}

static void fail(struct refresh *refresh, const struct err *cause, const char *doing)
{
    struct err err = *cause;

    if (err.class == ERR_POISON) {
        err.class = ERR_FATAL; /* what BigQuery refuses once it refuses always */
    }
    (void)err_while(&err, "%s of %s", doing, refresh->options.names->source);
    finish(refresh, &err);
}

static bool is_base(const struct refresh *refresh)
{
    return settings_bigquery_view(refresh->options.settings, refresh->options.names->source) == BIGQUERY_VIEW_BASE;
}

/* ---- calls */

static void call(struct refresh *refresh, struct rest_request *request, const char *table, rest_answered answered)
{
    struct buffer path = {0};

    tables_append_path(&path, refresh->options.names, table);
    buffer_append_text(&path, table == NULL ? "/tables" : "");
    request->path = buffer_text(&path);
    refresh->call = rest_send(refresh->options.rest, request, answered, refresh);
    buffer_deinit(&path);
}

static void ask(struct refresh *refresh, const char *doing, struct buffer *sql, query_answered answered)
{
    const struct settings *settings = refresh->options.settings;

    refresh->query = query_start(&(struct query_options){.rest = refresh->options.rest,
                                                         .project = refresh->options.names->project,
                                                         .location = settings->bigquery.location,
                                                         .job_prefix = settings->prefix,
                                                         .doing = doing,
                                                         .sql = buffer_text(sql)},
                                 answered, refresh);
    buffer_deinit(sql);
}

/* Was it changed, made or dropped by somebody else meanwhile? Then the round begins again. */
static bool lost_race(struct refresh *refresh, const struct rest_error *error)
{
    if (error->class != REST_CONFLICT && error->class != REST_NOT_FOUND) {
        return false;
    }
    begin_again(refresh, "somebody changed it");
    return true;
}

static struct shape_making making_of(const struct refresh *refresh)
{
    return (struct shape_making){refresh->options.settings, refresh->options.names};
}

/* What BigQuery says of one of our tables. False: failed. */
static bool take(struct refresh *refresh, struct resource *resource, const json_t *body, const char *kind)
{
    const struct shape_making making = making_of(refresh);
    struct err err;

    shape_deinit(&resource->shape);
    if (shape_read(body, &resource->shape, &err) != 0 || shape_check(&resource->shape, &making, kind, &err) != 0) {
        fail(refresh, &err, "the view");
        return false;
    }
    resource->there = true;
    return true;
}

/* ---- HISTORY, VIEW, BASE: what is there */

static void get(struct refresh *refresh, int state, const char *table, rest_answered answered)
{
    struct rest_request request = {.method = "GET"};

    sm_move(&refresh->sm, state, "asking");
    call(refresh, &request, table, answered);
}

static void on_base(void *context, const struct rest_answer *answered)
{
    struct refresh *refresh = context;

    refresh->call = NULL;
    refresh->base.there = false;
    if (answered->error == NULL) {
        if (take(refresh, &refresh->base, answered->body, "base")) {
            decide(refresh);
        }
    } else if (answered->error->class == REST_NOT_FOUND) {
        decide(refresh);
    } else {
        fail(refresh, &answered->error->err, "asking for the base");
    }
}

static void on_view(void *context, const struct rest_answer *answered)
{
    struct refresh *refresh = context;

    refresh->call = NULL;
    refresh->view.there = false;
    if (answered->error != NULL && answered->error->class != REST_NOT_FOUND) {
        fail(refresh, &answered->error->err, "asking for the view");
        return;
    }
    if (answered->error == NULL && !take(refresh, &refresh->view, answered->body, "view")) {
        return;
    }
    view_state_read(refresh->view.there ? refresh->view.shape.view_query : NULL, &refresh->state);
    refresh->next = refresh->state;
    if (is_base(refresh)) {
        get(refresh, BASE, refresh->options.names->base, on_base);
    } else {
        decide(refresh);
    }
}

static void set_fingerprints(struct refresh *refresh)
{
    struct history *history = history_new(refresh->options.names, &refresh->history.shape);
    struct buffer sql = {0};

    memcpy(refresh->history_hash, history->hash, sizeof refresh->history_hash);
    history_unref(history);
    view_sql_as_of(&sql, &refresh->parts.definition);
    (void)snprintf(refresh->as_of, sizeof refresh->as_of, "%08x", (unsigned)schema_fingerprint(buffer_text(&sql), sql.size));
    buffer_deinit(&sql);
}

static void on_history(void *context, const struct rest_answer *answered)
{
    struct refresh *refresh = context;
    struct err err;

    refresh->call = NULL;
    if (answered->error != NULL && answered->error->class == REST_NOT_FOUND) {
        refresh->report.did = REFRESH_GONE;
        finish(refresh, NULL);
    } else if (answered->error != NULL) {
        fail(refresh, &answered->error->err, "asking for the history");
    } else if (take(refresh, &refresh->history, answered->body, "history")) {
        view_parts_deinit(&refresh->parts);
        if (view_parts_init(&refresh->parts, &refresh->history.shape, refresh->options.names,
                            &refresh->options.settings->bigquery, &err) != 0) {
            fail(refresh, &err, "the view");
        } else if (refresh->parts.definition.key_count == 0) {
            refresh->report.did = REFRESH_NO_KEY;
            finish(refresh, NULL);
        } else {
            set_fingerprints(refresh);
            get(refresh, VIEW, refresh->options.names->view, on_view);
        }
    }
}

static void begin(struct refresh *refresh, const char *why)
{
    refresh->as_of_made = refresh->looked = refresh->merge_due = refresh->truncate_due = false;
    log_debug("views", "table=%q round=%u why=%q", refresh->options.names->source, refresh->rounds, why);
    get(refresh, HISTORY, refresh->options.names->history, on_history);
}

static void begin_again(struct refresh *refresh, const char *why)
{
    struct err err;

    if (++refresh->rounds < ROUNDS_MAX) {
        begin(refresh, why);
    } else {
        (void)err_set(&err, ERR_RETRY, "others change it each time before we can");
        fail(refresh, &err, "the view");
    }
}

/* ---- AS_OF */

static void on_as_of(void *context, const struct query_answer *answered, const struct err *err)
{
    struct refresh *refresh = context;

    (void)answered;
    refresh->query = NULL;
    if (err != NULL) {
        fail(refresh, err, "the as-of function");
        return;
    }
    refresh->as_of_made = true;
    memcpy(refresh->next.as_of, refresh->as_of, sizeof refresh->next.as_of);
    decide(refresh);
}

static void make_as_of(struct refresh *refresh)
{
    struct buffer sql = {0};

    sm_move(&refresh->sm, AS_OF, "its text differs");
    view_sql_as_of(&sql, &refresh->parts.definition);
    ask(refresh, "making the as-of function", &sql, on_as_of);
}

/* ---- WHOLE, SET_VIEW */

static void on_view_set(void *context, const struct rest_answer *answered)
{
    struct refresh *refresh = context;

    refresh->call = NULL;
    if (answered->error != NULL) {
        if (!lost_race(refresh, answered->error)) {
            fail(refresh, &answered->error->err, "changing the view");
        }
        return;
    }
    log_info(refresh->view.there ? "view-changed" : "view-made", "table=%q view=%s.%s.%s", refresh->options.names->source,
             refresh->options.names->project, refresh->options.names->dataset, refresh->options.names->view);
    if (refresh->report.did == REFRESH_NOTHING) {
        refresh->report.did = REFRESH_CHANGED;
    }
    if (take(refresh, &refresh->view, answered->body, "view")) {
        view_state_read(refresh->view.shape.view_query, &refresh->state);
        decide(refresh);
    }
}

static json_t *view_body(struct refresh *refresh, struct buffer *query)
{
    const struct shape_making making = making_of(refresh);
    struct buffer description = {0};
    json_t *body;

    buffer_printf(&description, "%s as it is now. Every change of it: %s; its state at any time: %s(timestamp).",
                  refresh->options.names->source, refresh->options.names->history, refresh->options.names->as_of);
    body = json_pack("{s:{s:s, s:b}, s:s, s:o}", "view", "query", buffer_text(query), "useLegacySql", 0, "description",
                     buffer_text(&description), "labels", shape_labels(&making, "view"));
    must(body != NULL);
    if (!refresh->view.there) {
        must(json_object_set_new(body, "tableReference",
                                 json_pack("{s:s, s:s, s:s}", "projectId", refresh->options.names->project, "datasetId",
                                           refresh->options.names->dataset, "tableId", refresh->options.names->view)) == 0);
    }
    buffer_deinit(&description);
    return body;
}

/* The text by refresh->next. */
static void append_query(struct buffer *out, const struct refresh *refresh)
{
    view_sql_view(out, &refresh->parts.definition, refresh->next.watermark);
    view_state_append(out, &refresh->next);
}

static bool view_is_so(const struct refresh *refresh)
{
    struct buffer wanted = {0};
    bool same;

    append_query(&wanted, refresh);
    same = refresh->view.there && refresh->view.shape.view_query != NULL &&
           strcmp(refresh->view.shape.view_query, buffer_text(&wanted)) == 0;
    buffer_deinit(&wanted);
    return same;
}

static void set_view(struct refresh *refresh, int state, const char *why)
{
    struct buffer query = {0};
    struct rest_request request = {.method = "POST"};
    json_t *body;

    sm_move(&refresh->sm, state, why);
    append_query(&query, refresh);
    body = view_body(refresh, &query);
    request.body = body;
    if (refresh->view.there) {
        request.method = "PATCH";
        request.if_match = refresh->view.shape.etag;
    } else {
        request.repeatable = true; /* 409 begins the round again */
    }
    call(refresh, &request, refresh->view.there ? refresh->options.names->view : NULL, on_view_set);
    json_decref(body);
    buffer_deinit(&query);
}

/* ---- MAKE_BASE, GROW_BASE, WIDEN_BASE */

static void on_base_changed(void *context, const struct rest_answer *answered)
{
    struct refresh *refresh = context;

    refresh->call = NULL;
    if (answered->error == NULL) {
        if (take(refresh, &refresh->base, answered->body, "base")) {
            decide(refresh);
        }
    } else if (!lost_race(refresh, answered->error)) {
        fail(refresh, &answered->error->err, "making the base");
    }
}

static void make_base(struct refresh *refresh)
{
    const struct shape_making making = making_of(refresh);
    json_t *body = shape_base(&making, &refresh->history.shape, refresh->history_hash);
    struct rest_request request = {.method = "POST", .body = body, .repeatable = true};

    sm_move(&refresh->sm, MAKE_BASE, "not there");
    call(refresh, &request, NULL, on_base_changed);
    json_decref(body);
}

static void grow_base(struct refresh *refresh, json_t *fields)
{
    json_t *body = json_pack("{s:{s:o}}", "schema", "fields", fields);
    struct rest_request request = {.method = "PATCH", .body = body, .if_match = refresh->base.shape.etag};

    must(body != NULL);
    sm_move(&refresh->sm, GROW_BASE, "the history has more columns");
    call(refresh, &request, refresh->options.names->base, on_base_changed);
    json_decref(body);
}

static void on_base_widened(void *context, const struct query_answer *answered, const struct err *err)
{
    struct refresh *refresh = context;

    (void)answered;
    refresh->query = NULL;
    if (err != NULL) {
        fail(refresh, err, "widening a column of the base");
    } else {
        begin_again(refresh, "the base was widened");
    }
}

static void widen_base(struct refresh *refresh, const struct shape_column *column)
{
    struct buffer sql = {0};

    sm_move(&refresh->sm, WIDEN_BASE, column->name);
    buffer_append_text(&sql, "ALTER TABLE ");
    bigquery_append_path(&sql, refresh->options.names, refresh->options.names->base);
    buffer_append_text(&sql, " ALTER COLUMN ");
    bigquery_append_quoted(&sql, column->name);
    buffer_printf(&sql, " SET DATA TYPE %s", bigquery_type_word((enum bigquery_type)column->type));
    ask(refresh, "widening a column", &sql, on_base_widened);
}

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

static void on_days(void *context, const struct query_answer *answered, const struct err *err)
{
    struct refresh *refresh = context;
    struct err bad;

    refresh->query = NULL;
    if (err == NULL &&
        view_days_read(answered->rows, &refresh->state, refresh->history.shape.expiration_ms, &refresh->days, &bad) != 0) {
        err = &bad;
    }
    if (err != NULL) {
        fail(refresh, err, "looking at the days");
        return;
    }
    take_days(refresh);
    decide(refresh);
}

static void look_at_days(struct refresh *refresh)
{
    struct buffer sql = {0};

    sm_move(&refresh->sm, DAYS, "what is there to merge?");
    view_sql_days(&sql, &refresh->parts.definition, view_days_from(&refresh->state));
    ask(refresh, "looking at the days", &sql, on_days);
}

/* ---- TRUNCATE, MERGE */

/* "Could not serialize access to table ... due to concurrent update": another refresher merges, and one of the two must begin
 * again. */
static void fail_merge(struct refresh *refresh, const struct err *err)
{
    if (err->class == ERR_POISON && strstr(err->text, "concurrent update") != NULL) {
        begin_again(refresh, "another refresher merges");
    } else {
        fail(refresh, err, "the refresh");
    }
}

static void on_truncate_merged(void *context, const struct query_answer *answered, const struct err *err)
{
    struct refresh *refresh = context;

    (void)answered;
    refresh->query = NULL;
    if (err != NULL) {
        fail_merge(refresh, err);
        return;
    }
    refresh->truncate_due = false;
    decide(refresh);
}

static void on_merged(void *context, const struct query_answer *answered, const struct err *err)
{
    struct refresh *refresh = context;

    (void)answered;
    refresh->query = NULL;
    if (err != NULL) {
        fail_merge(refresh, err);
        return;
    }
    refresh->merge_due = false;
    refresh->report.did = REFRESH_MERGED;
    refresh->report.from_day = refresh->days.from_day == VIEW_DAY_FIRST ? VIEW_DAY_NONE : refresh->days.from_day;
    decide(refresh);
}

static void merge_truncate(struct refresh *refresh)
{
    struct buffer sql = {0};

    sm_move(&refresh->sm, TRUNCATE, "there are truncates");
    view_sql_merge_truncate(&sql, &refresh->parts.definition, refresh->days.from_day);
    ask(refresh, "merging the newest truncate", &sql, on_truncate_merged);
}

static void merge(struct refresh *refresh)
{
    struct buffer sql = {0};

    sm_move(&refresh->sm, MERGE, "the watermark is to move");
    view_sql_merge(&sql, &refresh->parts.definition, refresh->days.from_day);
    ask(refresh, "merging", &sql, on_merged);
}

/* ---- what is next? */

static void finish_well(struct refresh *refresh)
{
    refresh->report.base = is_base(refresh);
    refresh->report.watermark = refresh->next.watermark;
    finish(refresh, NULL);
}

/* F6, and a base that is not this history's. */
static int check(const struct refresh *refresh, struct err *err)
{
    const struct bigquery_names *names = refresh->options.names;
    bool expires = refresh->history.shape.expiration_ms > 0;

    if (!is_base(refresh) && expires) {
        return err_set(
            err, ERR_FATAL,
            "the history's days expire, so a plain view would lose the rows that do not change: set bigquery.view: base for "
            "this table");
    }
    if (!is_base(refresh) && refresh->history.shape.filter_required) {
        return err_set(
            err, ERR_FATAL,
            "the history requires a partition filter, a plain view reads every day: set bigquery.view: base for this table");
    }
    if (is_base(refresh) && !refresh->base.there && expires && refresh->state.base_ms > 0) {
        return err_set(err, ERR_FATAL,
                       "the base %s.%s is gone, and days of the history that it was made of have expired: undelete it (bq cp "
                       "%s.%s@MS %s.%s); or, to do without, drop the view",
                       names->dataset, names->base, names->dataset, names->base, names->dataset, names->base);
    }
    if (is_base(refresh) && refresh->base.there &&
        strcmp(shape_label(&refresh->base.shape, "kakehi_history"), refresh->history_hash) != 0) {
        return err_set(
            err, ERR_FATAL,
            "the base %s.%s was made of another history than this one: drop it, and it is made anew; or, if this is it: bq "
            "update --set_label kakehi_history:%s %s:%s.%s",
            names->dataset, names->base, refresh->history_hash, names->project, names->dataset, names->base);
    }
    return 0;
}

static void decide_plain(struct refresh *refresh)
{
    refresh->next.base_ms = 0;
    refresh->next.watermark = VIEW_DAY_NONE;
    if (!view_is_so(refresh)) {
        set_view(refresh, SET_VIEW, "its text differs");
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
    if (view_is_so(refresh)) {
        return false;
    }
    set_view(refresh, WHOLE, "the base is to be made");
    return true;
}

static bool change_base(struct refresh *refresh)
{
    const struct shape_column *wider;
    json_t *fields;

    if (!refresh->base.there) {
        make_base(refresh);
        return true;
    }
    fields = shape_base_lacks(&refresh->base.shape, &refresh->history.shape, &wider);
    if (fields != NULL) {
        grow_base(refresh, fields);
        return true;
    }
    if (wider != NULL) {
        widen_base(refresh, wider);
        return true;
    }
    return false;
}

static void decide_base(struct refresh *refresh)
{
    if (!refresh->looked) {
        if (make_whole(refresh) || change_base(refresh)) {
            return;
        }
        look_at_days(refresh);
    } else if (refresh->truncate_due) {
        merge_truncate(refresh);
    } else if (refresh->merge_due) {
        merge(refresh);
    } else if (!view_is_so(refresh)) {
        set_view(refresh, SET_VIEW, "its text differs");
    } else {
        finish_well(refresh);
    }
}

static void decide(struct refresh *refresh)
{
    struct err err;

    if (check(refresh, &err) != 0) {
        fail(refresh, &err, "the view");
    } else if (!refresh->as_of_made && strcmp(refresh->state.as_of, refresh->as_of) != 0) {
        make_as_of(refresh);
    } else if (is_base(refresh)) {
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
