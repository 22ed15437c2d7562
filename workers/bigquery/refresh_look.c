/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is there: the history, whose columns the view is made of; the view, which holds what refreshers remember; the base. All of
 * it is asked again in each round, since anybody may have changed it.
 */
#include <stdio.h>
#include <string.h>

#include "schemas/schema.h"
#include "workers/bigquery/history.h"
#include "workers/bigquery/refresh_parts.h"

static void get(struct refresh *refresh, int state, const char *table, rest_answered answered)
{
    struct rest_request request = {.method = "GET"};

    sm_move(&refresh->sm, state, "asking");
    refresh_call(refresh, &request, table, answered);
}

static void on_base(void *context, const struct rest_answer *answered)
{
    struct refresh *refresh = context;

    refresh->call = NULL;
    refresh->base.there = false;
    if (answered->error == NULL) {
        if (refresh_take(refresh, &refresh->base, answered->body, "base")) {
            refresh_decide(refresh);
        }
    } else if (answered->error->class == REST_NOT_FOUND) {
        refresh_decide(refresh);
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
        refresh_decide(refresh);
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

static void take_history(struct refresh *refresh)
{
    struct err err;

    view_parts_deinit(&refresh->parts);
    if (view_parts_init(&refresh->parts, &refresh->history.shape, refresh->options.names, &refresh->options.settings->bigquery,
                        &err) != 0) {
        refresh_fail(refresh, &err, "the view");
    } else if (refresh->parts.definition.key_count == 0) {
        refresh->report.did = REFRESH_NO_KEY;
        refresh_finish(refresh);
    } else {
        set_fingerprints(refresh);
        get(refresh, VIEW, refresh->options.names->view, on_view);
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
