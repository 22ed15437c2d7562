/* SPDX-License-Identifier: Apache-2.0 */
/*
 *          opened           owned         fenced        position
 *   OPEN ----------> STANDBY ------> FENCE ------> READ ----------> STREAM -------+
 *    ^                  ^              ^                               |          | stop
 *    |                  | not owned    | owned                         |          v
 *    |                  +---- BACKOFF -+                               |        DRAIN
 *    +-- never opened --------/  ^                                     |          |
 *                                | after trouble                       v          v
 *                                +-----------------------------------  HALT  <----+     from OPEN, FENCE, READ too
 *                            to STANDBY when lost -------------------/   |
 *                                                                        v stop, or nothing mends it
 *                                                                     CLOSING; STANDBY and BACKOFF get there by HALT, too
 *
 * | state   | under way                                             | waits for                  |
 * | OPEN    | publisher_open                                        | opened                     |
 * | STANDBY | nothing                                               | owned                      |
 * | FENCE   | publisher_fence                                       | fenced                     |
 * | READ    | publisher_read                                        | position                   |
 * | STREAM  | source; at most one cut; at most one prepare          | rows, room, answers        |
 * | DRAIN   | source, no longer asked; at most one cut              | committed, or its time     |
 * | HALT    | source->stop, if the source was started               | stopped                    |
 * | BACKOFF | nothing                                               | its time                   |
 * | CLOSING | publisher_close, election_close                       | both                       |
 *
 * Whatever goes wrong, in any state, has one way: throw away what is open, HALT, pause, FENCE, and begin at what Kafka holds
 * (A4). It is run often enough to be trusted.
 *
 * I1  Nothing is cut while something that the source has yielded is not in a parcel that was given: the state would cover it
 *     (A4). So a change that waits for its table (`held`) or for room (`messages`) holds up the cut, and no table is prepared
 *     by cutting first: its schemas go another way than the transaction (A9).
 * I2  At most one cut is under way; meanwhile the next transaction is filled (A3).
 * I3  The first transaction of a source without a record holds the position alone, and nothing is asked of the source before
 *     it is committed (A8).
 * I4  Rows are cut only where the source says so (`cuttable`).
 *
 * STREAM's steps and the cuts are in pipeline_stream.c, what becomes of changes that can't be rows in pipeline_letters.c, what is told
 * about it all in pipeline_status.c.
 *
 * A cut is due when the source has nothing more at the moment, or by size, or by age (A3); without rows every position_interval
 * while the position moves, or it would fall out of the source's log (A6).
 */
#include "producer/pipeline.h"

#include <stdlib.h>

#include "common/backoff.h"
#include "common/cli.h"
#include "common/log.h"
#include "common/must.h"
#include "producer/pipeline_parts.h"

#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS   30000
#define DRAIN_MS         5000 /* of the ten seconds that a stop may take */
#define WAKE_MS          1000 /* figures are renewed this often */
#define WAKE_SOON_MS     10   /* something is due but can't be done yet */

static const struct sm_state states[] = {
    [OPEN] = {"OPEN", SM_TO(STANDBY) | SM_TO(HALT)},
    [STANDBY] = {"STANDBY", SM_TO(FENCE) | SM_TO(HALT)},
    [FENCE] = {"FENCE", SM_TO(READ) | SM_TO(HALT)},
    [READ] = {"READ", SM_TO(STREAM) | SM_TO(HALT)},
    [STREAM] = {"STREAM", SM_TO(DRAIN) | SM_TO(HALT)},
    [DRAIN] = {"DRAIN", SM_TO(HALT)},
    [HALT] = {"HALT", SM_TO(STANDBY) | SM_TO(BACKOFF) | SM_TO(CLOSING)},
    [BACKOFF] = {"BACKOFF", SM_TO(OPEN) | SM_TO(STANDBY) | SM_TO(FENCE) | SM_TO(HALT)},
    [CLOSING] = {"CLOSING", 0},
};

static const struct pipeline *of_const(const struct sm *machine)
{
    return (const struct pipeline *)((const char *)machine - offsetof(struct pipeline, sm));
}

static bool invariant(const struct sm *machine)
{
    const struct pipeline *pipeline = of_const(machine);
    int state = sm_at(machine);
    bool clean = pipeline->parcel == NULL && !pipeline->cutting && !pipeline->holding && !pipeline->preparing;

    if (state == STREAM || state == DRAIN) {
        return true;
    }
    return clean && (state == HALT || !pipeline->started);
}

static bool streams(const struct pipeline *pipeline)
{
    return pipeline_is_at(pipeline, STREAM) || pipeline_is_at(pipeline, DRAIN);
}

/* ---- waking */

static uint64_t earlier(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

void pipeline_schedule(struct pipeline *pipeline)
{
    uint64_t now = pipeline_now_ms(pipeline), at = now + WAKE_MS;

    if (pipeline_is_at(pipeline, BACKOFF) || pipeline_is_at(pipeline, DRAIN)) {
        at = earlier(at, pipeline->until_ms);
    }
    if (pipeline_is_at(pipeline, STREAM) && pipeline->open_count > 0) {
        at = earlier(at, pipeline->open_since_ms + (uint64_t)pipeline->settings->producer.transaction_age_ms);
    }
    pipeline->world->wake_at(pipeline->world->context, at > now ? at : now + WAKE_SOON_MS);
}

static void move(struct pipeline *pipeline, int to, const char *why)
{
    sm_move(&pipeline->sm, to, why);
    pipeline->progress_ms = to == STANDBY ? pipeline_now_ms(pipeline) : pipeline->progress_ms;
    pipeline_schedule(pipeline);
}

/* ---- the end */

static void on_one_closed(void *context)
{
    struct pipeline *pipeline = context;

    if (--pipeline->closing == 0) {
        pipeline->world->ended(pipeline->world->context, pipeline->exit_code);
    }
}

static void close_all(struct pipeline *pipeline)
{
    pipeline->closing = 2;
    move(pipeline, CLOSING, pipeline->exit_code == CLI_OK ? "stopped" : "nothing mends it");
    election_close(pipeline->election, on_one_closed, pipeline);
    publisher_close(pipeline->publisher, on_one_closed, pipeline);
}

/* ---- HALT, and where it leads */

static void enter_open(struct pipeline *pipeline)
{
    publisher_open(pipeline->publisher);
}

static void enter_fence(struct pipeline *pipeline)
{
    move(pipeline, FENCE, "owned");
    publisher_fence(pipeline->publisher);
}

static void enter_standby(struct pipeline *pipeline, const char *why)
{
    move(pipeline, STANDBY, why);
    if (pipeline->owned) {
        enter_fence(pipeline);
    } else {
        log_info("standby", "source=%s then=%q", pipeline->settings->source.name,
                 "taking over when the active producer is gone");
    }
}

/* 0.5 s, 1 s, 2 s ... half a minute. */
static uint64_t pause_ms(uint32_t failures)
{
    return backoff_ms(failures + 1, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
}

static void on_halted(void *context)
{
    struct pipeline *pipeline = context;

    must(pipeline_is_at(pipeline, HALT));
    pipeline->started = false;
    routes_reset(&pipeline->routes);
    if (pipeline->stopping) {
        close_all(pipeline);
    } else if (pipeline->trouble.class != ERR_NONE) {
        pipeline->until_ms = pipeline_now_ms(pipeline) + pause_ms(pipeline->failures++);
        move(pipeline, BACKOFF, "after trouble");
    } else {
        enter_standby(pipeline, "another one owns the source");
    }
}

/* Throws away what is open. The source's memory stays until it has stopped; so do the routes. */
static void halt(struct pipeline *pipeline, const char *why)
{
    publisher_abandon(pipeline->publisher);
    if (pipeline->parcel != NULL) {
        publisher_return(pipeline->publisher, pipeline->parcel);
        pipeline->parcel = NULL;
    }
    pipeline->holding = pipeline->preparing = pipeline->cutting = pipeline->idle = false;
    pipeline->open_count = pipeline->open_bytes = 0;
    pipeline->messages.count = pipeline->messages_given = 0;
    move(pipeline, HALT, why);
    if (pipeline->started) {
        pipeline->source->calls->stop(pipeline->source, on_halted, pipeline);
    } else {
        on_halted(pipeline);
    }
}

/* The one place that decides what a failure means. */
void pipeline_trouble(struct pipeline *pipeline, const struct err *err)
{
    const char *name = pipeline->settings->source.name;

    pipeline->trouble = *err;
    if (err->class == ERR_FATAL || err->class == ERR_POISON) {
        log_error("stopped", "source=%s state=%s because=%q then=%q", name, sm_name(&pipeline->sm), err->text,
                  "leaving the group and ending");
        pipeline->stopping = true;
        pipeline->exit_code = CLI_FAILED;
    } else {
        log_warn("trouble", "source=%s state=%s because=%q retry_ms=%llu", name, sm_name(&pipeline->sm), err->text,
                 (unsigned long long)pause_ms(pipeline->failures));
    }
    if (!pipeline_is_at(pipeline, HALT)) {
        halt(pipeline, err->text);
    }
}

/* ---- DRAIN */

static void step_drain(struct pipeline *pipeline)
{
    if (pipeline->open_count > 0) {
        pipeline_consider_cut(pipeline);
    }
    if (!pipeline->cutting || pipeline_now_ms(pipeline) >= pipeline->until_ms) {
        halt(pipeline, pipeline->cutting ? "the last commit takes too long" : "drained");
    }
}

void pipeline_stop(struct pipeline *pipeline)
{
    if (pipeline->stopping) {
        return;
    }
    pipeline->stopping = true;
    if (pipeline_is_at(pipeline, STREAM)) {
        pipeline->until_ms = pipeline_now_ms(pipeline) + DRAIN_MS;
        move(pipeline, DRAIN, "told to stop");
        step_drain(pipeline);
    } else if (!pipeline_is_at(pipeline, HALT)) {
        halt(pipeline, "told to stop");
    }
}

/* ---- what publisher, election and source say */

static void on_opened(void *context)
{
    struct pipeline *pipeline = context;

    pipeline->opened = true;
    election_join(pipeline->election);
    enter_standby(pipeline, "state topics are there");
}

static void on_fenced(void *context)
{
    struct pipeline *pipeline = context;

    move(pipeline, READ, "fenced");
    publisher_read(pipeline->publisher);
}

static void on_position(void *context, const json_t *record, const json_t *published)
{
    struct pipeline *pipeline = context;
    struct err err = {0};

    pipeline->first = record == NULL;
    pipeline->announced = false;
    pipeline->cut_ms = pipeline_now_ms(pipeline);
    pipeline_letters_begin(pipeline, record);
    move(pipeline, STREAM, record != NULL ? "the position is known" : "a first start");
    if (pipeline->source->calls->start(pipeline->source, record, published, &err) != 0) {
        pipeline_trouble(pipeline, &err);
        return;
    }
    pipeline->started = true;
    pipeline_soon(pipeline);
}

static void on_prepared(void *context, uint32_t topic_id, const struct framing_ids *ids)
{
    struct pipeline *pipeline = context;

    must(pipeline->preparing);
    pipeline->preparing = false;
    pipeline->route->ready = true;
    pipeline->route->tally->newest_schema = pipeline->route->schema->value_id;
    pipeline->route->topic_id = topic_id;
    routes_take_topic(&pipeline->routes, topic_id, pipeline->route->tally);
    pipeline->route->ids = *ids;
    pipeline_soon(pipeline);
}

/* The change in hand is the table's. Where nothing is streamed any more it is read again, and asked for again. */
static void on_refused(void *context, const struct err *err)
{
    struct pipeline *pipeline = context;
    struct err why = *err;

    must(pipeline->preparing);
    pipeline->preparing = false;
    if (pipeline_is_at(pipeline, STREAM) && pipeline_table_error(pipeline, &why)) {
        pipeline_soon(pipeline);
    }
}

static void on_committed(void *context, const struct delivered_list *delivered)
{
    struct pipeline *pipeline = context;

    must(pipeline->cutting);
    pipeline->cutting = false;
    pipeline->first = false;
    pipeline->failures = 0;
    pipeline->trouble = (struct err){0};
    pipeline->progress_ms = pipeline_now_ms(pipeline);
    pipeline->transactions++;
    metric_add(pipeline->transactions_metric, 1);
    metric_observe(pipeline->commit_metric, (double)(pipeline->progress_ms - pipeline->cut_ms) / 1000);
    routes_committed(&pipeline->routes, delivered);
    pipeline_letters_committed(pipeline);
    pipeline->source->calls->committed(pipeline->source);
    if (pipeline_is_at(pipeline, DRAIN)) {
        step_drain(pipeline);
    } else if (pipeline->idle) {
        pipeline_consider_cut(pipeline); /* what came while this one was under way */
    }
    pipeline_soon(pipeline);
}

static void on_room(void *context)
{
    pipeline_soon(context);
}

static void on_ready(void *context)
{
    pipeline_soon(context);
}

static void on_too_large(void *context, int64_t seq, int64_t idx)
{
    pipeline_on_too_large(context, seq, idx);
}

static void on_failed(void *context, const struct err *err, bool fenced_off)
{
    struct pipeline *pipeline = context;

    if (fenced_off) {
        pipeline->owned = false;
        election_rejoin(pipeline->election);
    }
    pipeline_trouble(pipeline, err);
}

static void on_owned(void *context)
{
    struct pipeline *pipeline = context;

    pipeline->owned = true;
    if (pipeline_is_at(pipeline, STANDBY)) {
        enter_fence(pipeline);
    }
}

static void on_lost(void *context)
{
    struct pipeline *pipeline = context;

    pipeline->owned = false;
    if (pipeline_is_at(pipeline, FENCE) || pipeline_is_at(pipeline, READ) || streams(pipeline)) {
        log_warn("lost", "source=%s state=%s then=%q", pipeline->settings->source.name, sm_name(&pipeline->sm), "standing by");
        pipeline->trouble = (struct err){0};
        halt(pipeline, "the election went to another one");
    }
}

static void on_election_failed(void *context, const struct err *err)
{
    struct pipeline *pipeline = context;

    if (!pipeline->stopping) {
        pipeline_trouble(pipeline, err);
    }
}

/* ---- once a second */

static void end_backoff(struct pipeline *pipeline)
{
    if (!pipeline->opened) {
        move(pipeline, OPEN, "again after a pause");
        enter_open(pipeline);
    } else if (pipeline->owned) {
        enter_fence(pipeline);
    } else {
        enter_standby(pipeline, "no longer the owner");
    }
}

void pipeline_wake(struct pipeline *pipeline)
{
    bool due = pipeline_now_ms(pipeline) >= pipeline->until_ms;

    pipeline_figures_renew(pipeline);
    if (pipeline_is_at(pipeline, STREAM)) {
        pipeline_consider_cut(pipeline);
    } else if (pipeline_is_at(pipeline, DRAIN)) {
        step_drain(pipeline);
    } else if (pipeline_is_at(pipeline, BACKOFF) && due) {
        end_backoff(pipeline);
    }
    pipeline_schedule(pipeline);
}

/* ---- making one */

static int join_parts(struct pipeline *pipeline, struct err *err)
{
    const struct publisher_calls publisher_calls = {pipeline,   on_opened,    on_fenced, on_position,  on_prepared,
                                                    on_refused, on_committed, on_room,   on_too_large, on_failed};
    const struct election_calls election_calls = {pipeline, on_owned, on_lost, on_election_failed};

    if (election_new(pipeline->world->loop, pipeline->settings, &election_calls, &pipeline->election, err) != 0) {
        return -1;
    }
    return publisher_new(pipeline->world->loop, pipeline->settings, &publisher_calls, &pipeline->publisher, err);
}

int pipeline_new(const struct settings *settings, const struct pipeline_world *world, struct source *source,
                 struct pipeline **ret_pipeline, struct err *err)
{
    struct pipeline *pipeline = calloc(1, sizeof *pipeline);

    must(pipeline != NULL);
    *pipeline = (struct pipeline){.settings = settings, .world = world, .source = source};
    source->on_ready = on_ready;
    source->on_ready_context = pipeline;
    sm_init(&pipeline->sm, "pipeline", settings->source.name, states, OPEN, invariant);
    routes_init(&pipeline->routes, settings->source.name);
    pipeline_figures_init(pipeline);
    if (join_parts(pipeline, err) != 0) {
        pipeline_free(pipeline);
        return -1;
    }
    *ret_pipeline = pipeline;
    return 0;
}

void pipeline_free(struct pipeline *pipeline)
{
    pipeline->source->calls->free(pipeline->source);
    json_decref(pipeline->aside);
    routes_deinit(&pipeline->routes);
    messages_deinit(&pipeline->messages);
    free(pipeline);
}

void pipeline_start(struct pipeline *pipeline)
{
    pipeline_schedule(pipeline);
    enter_open(pipeline);
}
