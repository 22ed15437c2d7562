/* SPDX-License-Identifier: Apache-2.0 */
/* The base as a table: made, kept, and given the columns and the widths that the history has by now, before anything is merged. */
#include "common/must.h"
#include "workers/bigquery/refresh_parts.h"

/* ---- MAKE_BASE, KEEP_BASE, GROW_BASE, WIDEN_BASE */

static void on_base_changed(void *context, const struct rest_answer *answered)
{
    struct refresh *refresh = context;

    refresh->call = NULL;
    if (answered->error == NULL) {
        if (refresh_take(refresh, &refresh->base, answered->body, "base")) {
            refresh_decide(refresh);
        }
    } else if (!refresh_lost_race(refresh, answered->error)) {
        refresh_fail(refresh, &answered->error->err, "making the base");
    }
}

static void make_base(struct refresh *refresh)
{
    const struct shape_making making = refresh_making(refresh);
    json_t *body = shape_base(&making, &refresh->history.shape, refresh->history_hash);
    struct rest_request request = {.method = "POST", .body = body, .repeatable = true};

    sm_move(&refresh->sm, MAKE_BASE, "not there");
    refresh_call(refresh, &request, NULL, on_base_changed);
    json_decref(body);
}

/* Behind an expiring history it is the only copy of what has expired (F6). */
static void keep_base(struct refresh *refresh)
{
    json_t *body = json_pack("{s:n}", "expirationTime");
    struct rest_request request = {.method = "PATCH", .body = body, .if_match = refresh->base.shape.etag};

    must(body != NULL);
    refresh->base_kept = true;
    sm_move(&refresh->sm, KEEP_BASE, "it would expire");
    refresh_call(refresh, &request, refresh->options.names->base, on_base_changed);
    json_decref(body);
}

static void grow_base(struct refresh *refresh, json_t *fields)
{
    json_t *body = json_pack("{s:{s:o}}", "schema", "fields", fields);
    struct rest_request request = {.method = "PATCH", .body = body, .if_match = refresh->base.shape.etag};

    must(body != NULL);
    sm_move(&refresh->sm, GROW_BASE, "the history has more columns");
    refresh_call(refresh, &request, refresh->options.names->base, on_base_changed);
    json_decref(body);
}

static void base_widened(struct refresh *refresh, const json_t *rows)
{
    (void)rows;
    refresh_begin_again(refresh, "the base was widened");
}

static void widen_base(struct refresh *refresh, const struct shape_column *column)
{
    struct buffer sql = {0};

    buffer_append_text(&sql, "ALTER TABLE ");
    bigquery_append_path(&sql, refresh->options.names, refresh->options.names->base);
    buffer_append_text(&sql, " ALTER COLUMN ");
    bigquery_append_quoted(&sql, column->name);
    buffer_printf(&sql, " SET DATA TYPE %s", bigquery_type_word((enum bigquery_type)column->type));
    refresh_run(refresh, WIDEN_BASE, "widening a column of the base", &sql, base_widened);
}

/* ---- what is missing? */

bool refresh_change_base(struct refresh *refresh)
{
    const struct shape_column *wider;
    json_t *fields;

    if (!refresh->base.there) {
        make_base(refresh);
        return true;
    }
    if (refresh->base.shape.expires_at_ms > 0 && !refresh->base_kept) {
        keep_base(refresh);
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
