/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is there: the history, whose columns the view is made of; whose the dataset is; the view, which holds what refreshers
 * remember; the base; the as-of function. All of it is asked again in each round, since anybody may have changed it.
 *
 * Of the function only whether it is there: its text is known by the fingerprint that the view holds, and BigQuery gives it back in other
 * words. Who may not see it, or can't at the moment, takes it for made.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "schemas/schema.h"
#include "workers/bigquery/history.h"
#include "workers/bigquery/refresh_parts.h"
#include "workers/bigquery/tables_parts.h"

/* table NULL: the dataset. */
static void get(struct refresh *refresh, int state, const char *table, rest_answered answered)
{
    struct rest_request request = {.method = "GET"};

    sm_move(&refresh->sm, state, "asking");
    refresh_call(refresh, &request, table, answered);
}

static void on_function(void *context, const struct rest_answer *answered)
{
    struct refresh *refresh = context;

    refresh->call = NULL;
    if (answered->error != NULL && answered->error->class == REST_NOT_FOUND) {
        refresh->state.as_of[0] = '\0';
    }
    refresh_decide(refresh);
}

/* One that is to be made anyway need not be asked for. */
static void look_at_function(struct refresh *refresh)
{
    struct rest_request request = {.method = "GET"};
    struct buffer path = {0};

    if (strcmp(refresh->state.as_of, refresh->as_of) != 0) {
        refresh_decide(refresh);
        return;
    }
    sm_move(&refresh->sm, FUNCTION, "asking");
    tables_append_path(&path, refresh->options.names, NULL);
    buffer_append_text(&path, "/routines/");
    rest_append_encoded(&path, refresh->options.names->as_of);
    request.path = buffer_text(&path);
    refresh->call = rest_send(refresh->options.rest, &request, on_function, refresh);
    buffer_deinit(&path);
}

static void on_base(void *context, const struct rest_answer *answered)
{
    struct refresh *refresh = context;

    refresh->call = NULL;
    refresh->base.there = false;
    if (answered->error == NULL) {
        if (refresh_take(refresh, &refresh->base, answered->body, "base")) {
            look_at_function(refresh);
        }
    } else if (answered->error->class == REST_NOT_FOUND) {
        look_at_function(refresh);
    } else {
        refresh_fail(refresh, &answered->error->err, "asking for the base");
    }
}

static void on_view(void *context, const struct rest_answer *answered)
{
    struct refresh *refresh = context;

    refresh->call = NULL;
    refresh->view.there = false;
    if (answered->error != NULL && answered->error->class != REST_NOT_FOUND) {
        refresh_fail(refresh, &answered->error->err, "asking for the view");
        return;
    }
    if (answered->error == NULL && !refresh_take(refresh, &refresh->view, answered->body, "view")) {
        return;
    }
    view_state_read(refresh->view.there ? refresh->view.shape.view_query : NULL, &refresh->state);
    refresh->next = refresh->state;
    if (refresh_is_base(refresh)) {
        get(refresh, BASE, refresh->options.names->base, on_base);
    } else {
        look_at_function(refresh);
    }
}

static void on_dataset(void *context, const struct rest_answer *answered)
{
    struct refresh *refresh = context;
    const struct shape_making making = refresh_making(refresh);
    struct err err;

    refresh->call = NULL;
    if (answered->error != NULL) {
        if (!refresh_lost_race(refresh, answered->error)) {
            refresh_fail(refresh, &answered->error->err, "asking for the dataset");
        }
    } else if (shape_owner_of(answered->body, &making, &err) != SHAPE_OURS) {
        refresh_fail(refresh, &err, "the view");
    } else {
        get(refresh, VIEW, refresh->options.names->view, on_view);
    }
}

/* All that a round takes from the history: its columns and what their descriptions say, which table it is, and what is asked of
 * whoever reads it. Not its ETag, which moves with its rows. */
static uint64_t fingerprint(const struct refresh *refresh)
{
    const struct shape *history = &refresh->history.shape;
    char *fields = json_dumps(history->fields, JSON_COMPACT | JSON_SORT_KEYS);
    struct buffer text = {0};
    uint64_t seen;

    must(fields != NULL);
    buffer_printf(&text, "%s %" PRId64 " %d ", refresh->history_hash, history->expiration_ms, history->filter_required);
    buffer_append_text(&text, fields);
    seen = schema_fingerprint(buffer_text(&text), text.size);
    free(fields);
    buffer_deinit(&text);
    return seen != 0 ? seen : 1;
}

static void set_hash(struct refresh *refresh)
{
    struct history *history = history_new(refresh->options.names, &refresh->history.shape);

    memcpy(refresh->history_hash, history->hash, sizeof refresh->history_hash);
    history_unref(history);
}

/* That of the function's text. */
static void set_as_of(struct refresh *refresh)
{
    struct buffer sql = {0};

    view_sql_as_of(&sql, &refresh->parts.definition);
    (void)snprintf(refresh->as_of, sizeof refresh->as_of, "%08x", (unsigned)schema_fingerprint(buffer_text(&sql), sql.size));
    buffer_deinit(&sql);
}

static void take_history(struct refresh *refresh)
{
    struct err err;

    set_hash(refresh);
    refresh->report.seen = fingerprint(refresh);
    if (refresh->report.seen == refresh->options.seen && refresh->rounds == 0) {
        refresh->report.did = REFRESH_SAME;
        refresh_finish(refresh);
        return;
    }
    view_parts_deinit(&refresh->parts);
    if (view_parts_init(&refresh->parts, &refresh->history.shape, refresh->options.names, &refresh->options.settings->bigquery,
                        &err) != 0) {
        refresh_fail(refresh, &err, "the view");
    } else if (refresh->parts.definition.key_count == 0) {
        refresh->report.did = REFRESH_NO_KEY;
        refresh_finish(refresh);
    } else {
        set_as_of(refresh);
        get(refresh, OWNER, NULL, on_dataset);
    }
}

static void on_history(void *context, const struct rest_answer *answered)
{
    struct refresh *refresh = context;

    refresh->call = NULL;
    if (answered->error != NULL && answered->error->class == REST_NOT_FOUND) {
        refresh->report.did = REFRESH_GONE;
        refresh_finish(refresh);
    } else if (answered->error != NULL) {
        refresh_fail(refresh, &answered->error->err, "asking for the history");
    } else if (refresh_take(refresh, &refresh->history, answered->body, "history")) {
        take_history(refresh);
    }
}

void refresh_look(struct refresh *refresh)
{
    get(refresh, HISTORY, refresh->options.names->history, on_history);
}
