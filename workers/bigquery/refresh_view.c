/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view and the as-of function: their texts, made from the history's columns and compared with what is there. A change of the
 * view carries the ETag of the view that was read, so that of two refreshers one begins again.
 */
#include <string.h>

#include "common/log.h"
#include "common/must.h"
#include "workers/bigquery/refresh_parts.h"

/* ---- AS_OF */

static void as_of_made(struct refresh *refresh, const json_t *rows)
{
    (void)rows;
    refresh->as_of_made = true;
    if (refresh->report.did == REFRESH_NOTHING) {
        refresh->report.did = REFRESH_CHANGED;
    }
    memcpy(refresh->next.as_of, refresh->as_of, sizeof refresh->next.as_of);
    refresh_decide(refresh);
}

void refresh_make_as_of(struct refresh *refresh)
{
    struct buffer sql = {0};

    view_sql_as_of(&sql, &refresh->parts.definition);
    refresh_run(refresh, AS_OF, "making the as-of function", &sql, as_of_made);
}

/* ---- WHOLE, SET_VIEW */

static void on_view_set(void *context, const struct rest_answer *answered)
{
    struct refresh *refresh = context;

    refresh->call = NULL;
    if (answered->error != NULL) {
        if (!refresh_lost_race(refresh, answered->error)) {
            refresh_fail(refresh, &answered->error->err, "changing the view");
        }
        return;
    }
    log_info(refresh->view.there ? "view-changed" : "view-made", "table=%q view=%s.%s.%s", refresh->options.names->source,
             refresh->options.names->project, refresh->options.names->dataset, refresh->options.names->view);
    if (refresh->report.did == REFRESH_NOTHING) {
        refresh->report.did = REFRESH_CHANGED;
    }
    if (refresh_take(refresh, &refresh->view, answered->body, "view")) {
        view_state_read(refresh->view.shape.view_query, &refresh->state);
        refresh_decide(refresh);
    }
}

static json_t *view_body(struct refresh *refresh, struct buffer *query)
{
    const struct shape_making making = refresh_making(refresh);
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
    } else if (refresh->view.shape.expires_at_ms > 0) {
        must(json_object_set_new(body, "expirationTime", json_null()) == 0);
        refresh->view_kept = true;
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

bool refresh_view_is_so(const struct refresh *refresh)
{
    struct buffer wanted = {0};
    bool same;

    append_query(&wanted, refresh);
    same = refresh->view.there && refresh->view.shape.view_query != NULL &&
           strcmp(refresh->view.shape.view_query, buffer_text(&wanted)) == 0 &&
           (refresh->view.shape.expires_at_ms == 0 || refresh->view_kept);
    buffer_deinit(&wanted);
    return same;
}

void refresh_set_view(struct refresh *refresh, int state, const char *why)
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
    refresh_call(refresh, &request, refresh->view.there ? refresh->options.names->view : NULL, on_view_set);
    json_decref(body);
    buffer_deinit(&query);
}
