/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts, tied together; all on the worker's loop. Lanes know the world by lane_world only: here it is the real one.
 *
 *   http --- token source --- rest --- tables, views, describer --- lanes
 *                                  \--- loads -----------+
 *   http for uploads ------------------/                 |
 *   grpc ------------------------------------------------+
 *
 * End: lanes are closed before; then from right to left, each when what rests on it is gone.
 */
#include "workers/bigquery/bigquery_warehouse.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/http.h"
#include "common/log.h"
#include "common/must.h"
#include "workers/bigquery/channel_options.h"
#include "workers/bigquery/describer.h"
#include "workers/bigquery/grpc.h"
#include "workers/bigquery/lane.h"
#include "workers/bigquery/load.h"
#include "workers/bigquery/rest.h"
#include "workers/bigquery/tables.h"
#include "workers/bigquery/token.h"
#include "workers/bigquery/views.h"

#define TICK_MS           1000
#define SURPRISE_FIRST_MS 10000 /* a loop of surprises would use up the streams that may be made in an hour */

struct bigquery_warehouse {
    struct warehouse warehouse; /* first: the seam's pointer is ours */
    uv_loop_t *loop;
    const struct settings *settings;
    struct http *http;
    struct http *uploads;
    struct token_source *tokens;
    struct rest *rest;
    struct grpc *grpc;
    struct tables *tables;
    struct describer *describer;
    struct views *views; /* NULL: bigquery.refresh: command */
    struct loads *loads;
    struct lanes *lanes;
    uv_timer_t tick;
    uv_timer_t turn; /* runs `later`s */
    struct later *first;
    struct later **last;
    int handles; /* that are not closed yet */
    void (*freed)(void *context);
    void *freed_context;
};

static struct bigquery_warehouse *ours(struct warehouse *warehouse)
{
    return (struct bigquery_warehouse *)warehouse;
}

/* ---- the world of lanes */

static uint64_t now_ms(void *context)
{
    return uv_now(((struct bigquery_warehouse *)context)->loop);
}

static int64_t wall_us(void *context)
{
    struct timespec now;

    (void)context;
    must(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Those that are added meanwhile wait for the next turn. */
static void on_turn(uv_timer_t *turn)
{
    struct bigquery_warehouse *self = turn->data;
    struct later *later = self->first;
    struct later *next;

    self->first = NULL;
    self->last = &self->first;
    for (; later != NULL; later = next) {
        next = later->_next;
        later->queued = false;
        later->run(later->context);
    }
}

static void add_later(void *context, struct later *later)
{
    struct bigquery_warehouse *self = context;

    later->_next = NULL;
    *self->last = later;
    self->last = &later->_next;
    must(uv_timer_start(&self->turn, on_turn, 0, 0) == 0);
}

static void on_tick(uv_timer_t *tick)
{
    lanes_tick(((struct bigquery_warehouse *)tick->data)->lanes);
}

/* A topic's partition 0 is ours, or not any more; a history was found. */

static void keep(void *context, const char *topic)
{
    struct bigquery_warehouse *self = context;

    describer_keep(self->describer, topic);
    if (self->views != NULL) {
        views_keep(self->views, topic);
    }
}

static void look_at_view(void *context, const struct bigquery_names *names)
{
    struct bigquery_warehouse *self = context;

    if (self->views != NULL) {
        views_look(self->views, names);
    }
}

static void look(void *context, const struct bigquery_names *names)
{
    struct bigquery_warehouse *self = context;

    describer_look(self->describer, names);
    look_at_view(self, names);
}

static void leave(void *context, const char *topic)
{
    struct bigquery_warehouse *self = context;

    describer_leave(self->describer, topic);
    if (self->views != NULL) {
        views_leave(self->views, topic);
    }
}

static struct lane_world world_of(struct bigquery_warehouse *self)
{
    return (struct lane_world){
        .context = self,
        .now_ms = now_ms,
        .wall_us = wall_us,
        .later = add_later,
        .grpc = self->grpc,
        .unary = grpc_unary,
        .call_open = grpc_call_open,
        .call_send = grpc_call_send,
        .call_half_close = grpc_call_half_close,
        .call_cancel = grpc_call_cancel,
        .tokens = self->tokens,
        .token_get = token_get,
        .token_withdraw = token_withdraw,
        .token_refused = token_refused,
        .tables = self->tables,
        .find = tables_look_up,
        .ensure = tables_ensure,
        .is_empty = history_is_empty,
        .has = history_has,
        .keep = keep,
        .look = look,
        .leave = leave,
    };
}

/* ---- the seam */

static struct lane *open_lane(struct warehouse *warehouse, const char *topic, int32_t partition, uint64_t assignment)
{
    return lane_open(ours(warehouse)->lanes, topic, partition, assignment);
}

static void newest(struct warehouse *warehouse, const struct schema *schema)
{
    describer_newest(ours(warehouse)->describer, schema);
}

static void group(struct warehouse *warehouse, int32_t partitions)
{
    lanes_group(ours(warehouse)->lanes, partitions);
}

static json_t *loads_report(const struct loads *loads)
{
    const struct loads_counts *counts = loads_counts(loads);

    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "files", (json_int_t)counts->files, "rows_in", (json_int_t)counts->rows, "bytes",
                     (json_int_t)counts->bytes, "jobs_failed", (json_int_t)counts->jobs_failed, "rebuilds", (json_int_t)counts->rebuilds,
                     "lost_files", (json_int_t)counts->lost_files);
}

static json_t *status(struct warehouse *warehouse)
{
    const struct bigquery_warehouse *self = ours(warehouse);
    const struct err *trouble = token_trouble(self->tokens);
    char text[512];
    json_t *object = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "project", self->settings->bigquery.project, "location",
                               self->settings->bigquery.location, "signs_in", token_describe(self->tokens), "append", lanes_status(self->lanes),
                               "load", loads_report(self->loads), "tables", tables_status(self->tables), "grpc", grpc_report(self->grpc));

    must(object != NULL);
    if (trouble != NULL) {
        (void)json_object_set_new(object, "token_trouble", json_string(trouble->text));
    }
    if (self->views != NULL) {
        (void)json_object_set_new(object, "views", views_status(self->views));
    }
    if (rest_trouble(self->rest, text, sizeof text)) {
        (void)json_object_set_new(object, "rest_trouble", json_string(text));
    }
    return object;
}

static bool trouble(struct warehouse *warehouse, char *text, size_t size)
{
    const struct bigquery_warehouse *self = ours(warehouse);

    return self->views != NULL && views_trouble(self->views, text, size);
}

/* ---- the end */

static void on_handle_closed(uv_handle_t *handle)
{
    struct bigquery_warehouse *self = handle->data;
    void (*freed)(void *context) = self->freed;
    void *context = self->freed_context;

    if (--self->handles > 0) {
        return;
    }
    free(self);
    if (freed != NULL) {
        freed(context);
    }
}

static void on_http_closed(void *context)
{
    struct bigquery_warehouse *self = context;

    uv_close((uv_handle_t *)&self->tick, on_handle_closed);
    uv_close((uv_handle_t *)&self->turn, on_handle_closed);
}

static void on_uploads_closed(void *context)
{
    struct bigquery_warehouse *self = context;

    http_close(self->http, on_http_closed, self);
}

static void on_tokens_closed(void *context)
{
    struct bigquery_warehouse *self = context;

    http_close(self->uploads, on_uploads_closed, self);
}

static void on_rest_closed(void *context)
{
    struct bigquery_warehouse *self = context;

    token_source_close(self->tokens, on_tokens_closed, self);
}

static void on_tables_closed(void *context)
{
    struct bigquery_warehouse *self = context;

    rest_close(self->rest, on_rest_closed, self);
}

static void on_views_closed(void *context)
{
    struct bigquery_warehouse *self = context;

    tables_close(self->tables, on_tables_closed, self);
}

static void on_describer_closed(void *context)
{
    struct bigquery_warehouse *self = context;

    views_close(self->views, on_views_closed, self);
}

static void on_grpc_freed(void *context)
{
    struct bigquery_warehouse *self = context;

    describer_close(self->describer, on_describer_closed, self);
}

static void on_lanes_freed(void *context)
{
    struct bigquery_warehouse *self = context;

    loads_free(self->loads);
    grpc_free(self->grpc, on_grpc_freed, self);
}

static void warehouse_free(struct warehouse *warehouse, void (*freed)(void *context), void *context)
{
    struct bigquery_warehouse *self = ours(warehouse);

    self->freed = freed;
    self->freed_context = context;
    (void)uv_timer_stop(&self->tick);
    lanes_free(self->lanes, on_lanes_freed, self);
}

/* ---- the beginning */

static const struct warehouse_calls calls = {
    .open = open_lane,
    .recover = lane_recover,
    .ensure = lane_ensure,
    .prepare = lane_prepare,
    .plan = lane_plan,
    .mark_before_send = true,
    .mark = lane_mark,
    .send = lane_send,
    .fits = lane_fits,
    .seal = lane_seal,
    .seal_due_ms = lane_seal_due_ms,
    .limit = lane_limit,
    .drop_rows = lane_drop_rows,
    .request_free = lane_request_free,
    .request_bytes = lane_request_bytes,
    .waits_for = lane_waits_for,
    .close = lane_close,
    .group = group,
    .newest = newest,
    .status = status,
    .trouble = trouble,
    .free = warehouse_free,
};

static struct loads *open_loads(const struct bigquery_warehouse *self)
{
    const struct settings_bigquery *settings = &self->settings->bigquery;

    return loads_new(&(struct loads_options){.loop = self->loop,
                                             .http = self->uploads,
                                             .rest = self->rest,
                                             .tokens = self->tokens,
                                             .endpoint = settings->endpoint,
                                             .project = settings->project,
                                             .quota_project = settings->quota_project,
                                             .job_prefix = self->settings->prefix,
                                             .retry_ms = (uint64_t)settings->retry_ms,
                                             .file_bytes = (uint64_t)settings->file_bytes});
}

/* What can fail. */
static int open_channels(struct bigquery_warehouse *self, struct err *err)
{
    const struct channel_options options = channel_options_of(&self->settings->bigquery);

    if (http_new(self->loop, &options.http, &self->http, err) != 0 || http_new(self->loop, &options.http, &self->uploads, err) != 0 ||
        token_source_new(self->loop, self->http, &options.tokens, &self->tokens, err) != 0 ||
        grpc_new(self->loop, &options.grpc, &self->grpc, err) != 0) {
        return -1;
    }
    return 0;
}

static void open_lanes(struct bigquery_warehouse *self)
{
    const struct settings_bigquery *settings = &self->settings->bigquery;
    const struct channel_options options = channel_options_of(settings);
    struct lane_world world;

    self->rest = rest_new(self->loop, self->http, self->tokens, &options.rest);
    self->tables = tables_open(&(struct tables_options){.loop = self->loop, .rest = self->rest, .settings = self->settings});
    self->describer = describer_open(&(struct describer_options){
        .loop = self->loop, .settings = self->settings, .tables = self->tables, .described = look_at_view, .context = self});
    if (settings->refresh == BIGQUERY_REFRESH_WORKER) {
        self->views = views_open(&(struct views_options){.loop = self->loop, .rest = self->rest, .settings = self->settings});
    }
    self->loads = open_loads(self);
    world = world_of(self);
    self->lanes = lanes_new(&(struct lanes_options){.settings = self->settings, .world = &world, .loads = self->loads});
}

int bigquery_warehouse_new(uv_loop_t *loop, const struct settings *settings, struct warehouse **ret_warehouse, struct err *err)
{
    struct bigquery_warehouse *self = calloc(1, sizeof *self);

    must(self != NULL);
    self->warehouse = (struct warehouse){.calls = &calls, .name = "bigquery", .surprise_first_ms = SURPRISE_FIRST_MS};
    self->loop = loop;
    self->settings = settings;
    self->last = &self->first;
    self->tick.data = self;
    self->turn.data = self;
    self->handles = 2;
    must(uv_timer_init(loop, &self->tick) == 0 && uv_timer_init(loop, &self->turn) == 0);
    if (open_channels(self, err) != 0) {
        on_lanes_freed(self); /* each part's end takes NULL */
        return -1;
    }
    open_lanes(self);
    must(uv_timer_start(&self->tick, on_tick, TICK_MS, TICK_MS) == 0);
    log_info("bigquery", "project=%q endpoint=%q storage_endpoint=%q signs_in=%q", settings->bigquery.project, settings->bigquery.endpoint,
             settings->bigquery.storage_endpoint, token_describe(self->tokens));
    *ret_warehouse = &self->warehouse;
    return 0;
}
