/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of REST calls that went well: a job, a table, the rows of a query, a view's own text. Whatever a server says, it is refused
 * with an error, or what is read of it keeps its bounds. Input: a byte that says which it is, the body.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/jobs.h"
#include "workers/bigquery/tables_shape.h"
#include "workers/bigquery/view_days.h"
#include "workers/bigquery/view_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_state(const struct view_state *state)
{
    must(state->day_count <= VIEW_DAYS_KEPT && memchr(state->as_of, '\0', sizeof state->as_of) != NULL && state->base_ms >= 0);
}

static void read_job(const json_t *body)
{
    static const struct job_table table = {"p", "d", "t_history"};
    struct job_state state = {0};
    struct err err = {0};

    if (job_read(body, &table, &state, &err) != 0) {
        must(err.class == ERR_RETRY);
    } else {
        must(state.verdict > JOB_UNKNOWN && state.verdict <= JOB_FOREIGN && job_verdict_name(state.verdict) != NULL);
        must(state.verdict != JOB_LOADED || state.rows >= -1);
    }
}

/* What would be changed of it, and what its defaults mean for others, were it a dataset. */
static void read_drift(const json_t *body, const struct shape *shape)
{
    static const struct settings settings = {
        .prefix = (char *)"kakehi",
        .bigquery = {.project = (char *)"p", .dataset = (char *)"d", .table = (char *)"t", .kms_key = (char *)"k", .partition_expiration_ms = 86400000}};
    struct bigquery_names names;
    struct shape_drift drift;
    struct buffer words = {0};
    struct err err;

    must(bigquery_names_init(&names, &settings.bigquery, "shop", "orders", &err) == 0);
    shape_drift(shape, &(struct shape_making){&settings, &names}, &drift);
    must((drift.patch == NULL) == (drift.changes.size == 0) && (!drift.keeps_rows || drift.patch != NULL));
    must(drift.keeps_rows || shape->expires_at_ms <= 0);
    shape_append_expirations(&words, body);
    shape_drift_deinit(&drift);
    bigquery_names_deinit(&names);
    buffer_deinit(&words);
}

static void read_table(const json_t *body)
{
    struct shape shape = {0};
    struct bigquery_column *layout = NULL;
    struct view_state state;
    struct err err = {0};
    char *database, *table;

    if (shape_read(body, &shape, &err) != 0) {
        must(err.class == ERR_RETRY);
    } else {
        must(shape.column_count <= SHAPE_COLUMNS_MAX && shape_label(&shape, "kakehi_owner") != NULL);
        for (size_t i = 0; i < shape.column_count; i++) {
            must(shape_find(&shape, shape.columns[i].name) != NULL);
        }
        must(shape_layout(&shape, &layout) <= shape.column_count);
        if (shape_source(&shape, &database, &table)) {
            free(database);
            free(table);
        }
        read_drift(body, &shape);
        if (shape.view_query != NULL) {
            view_state_read(shape.view_query, &state);
            check_state(&state);
        }
    }
    free(layout);
    shape_deinit(&shape);
}

static void read_days(const json_t *body)
{
    static const struct view_state state = {.base_ms = 1, .watermark = 20412, .days = {{20410, 7}, {20411, 8}}, .day_count = 2};
    static const struct view_days_rules rules = {.expiration_ms = 86400000LL * 30, .freshness_ms = 1000};
    struct view_days days;
    struct err err = {0};

    if (view_days_read(body, &state, &rules, &days, &err) != 0) {
        must(err.class == ERR_RETRY);
        return;
    }
    must(days.late_count <= VIEW_DAYS_KEPT && days.closed_count <= VIEW_DAYS_KEPT && days.watermark >= state.watermark);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view_state state;
    char *text;
    json_t *body;

    if (size < 1) {
        return 0;
    }
    text = malloc(size);
    must(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    body = json_loadb(text, size - 1, JSON_DECODE_ANY, NULL);
    switch (data[0] % 4) {
    case 0:
        read_job(body);
        break;
    case 1:
        read_table(body);
        break;
    case 2:
        read_days(body);
        break;
    default:
        view_state_read(text, &state);
        check_state(&state);
    }
    json_decref(body);
    free(text);
    return 0;
}
