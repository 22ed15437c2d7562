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
 * A cut is due when the source has nothing more at the moment, or by size, or by age (A3); without rows every position_interval
 * while the position moves, or it would fall out of the source's log (A6).
 */
#include "producer/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/cli.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/must.h"
#include "common/sm.h"
#include "common/version.h"
#include "producer/election.h"
#include "producer/messages.h"
#include "producer/publisher.h"
#include "producer/routes.h"
#include "schemas/value_text.h"

#define TURN_STEPS       512 /* of the source in one turn of the loop: timers and the admin port must stay alive */
#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS   30000
#define DRAIN_MS         5000  /* of the ten seconds that a stop may take */
#define STALL_MS         60000 /* without progress for this long: not healthy */
#define HEARTBEAT_MS     60000
#define WAKE_MS          1000 /* figures are renewed this often */
#define WAKE_SOON_MS     10   /* something is due but can't be done yet */

enum { OPEN, STANDBY, FENCE, READ, STREAM, DRAIN, HALT, BACKOFF, CLOSING };

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

static struct metric_family kafka_transactions = {
    .name = "kakehi_kafka_transactions_total",
    .help = "Kafka transactions committed.",
    .kind = METRIC_COUNTER,
    .labels = {"source"},
};

static struct metric_family source_behind = {
    .name = "kakehi_source_behind_seconds",
    .help = "Age of the last transaction read, 0 when the source has nothing more to read.",
    .kind = METRIC_GAUGE,
    .labels = {"source"},
};

struct pipeline {
    struct sm sm;
    const struct settings *settings;
    const struct pipeline_world *world;
    struct source *source;
    struct publisher *publisher;
    struct election *election;

    bool opened; /* the state topics are there, the election is joined */
    bool owned;  /* what the election said last */
    bool stopping;
    int exit_code;
    struct err trouble; /* the last one; class ERR_NONE when all is well */
    uint32_t failures;  /* in a row, without a commit between */
    uint64_t until_ms;  /* BACKOFF, DRAIN */
    int closing;        /* CLOSING: answers that are missing */

    /* STREAM and DRAIN */
    bool started; /* the source */
    bool first;   /* its position alone is to be committed first (I3) */
    bool idle;    /* the source had nothing more when it was last asked */
    bool holding; /* `held` is yielded, not encoded */
    struct change held;
    struct route *route; /* of held */
    bool preparing;
    struct messages messages;
    size_t messages_given; /* of messages, into parcels */
    struct parcel *parcel; /* being filled; NULL: none */
    bool cutting;
    size_t open_count; /* messages of the transaction that is being filled */
    size_t open_bytes;
    uint64_t open_since_ms;
    uint64_t cut_ms; /* the last one */

    struct routes routes;
    uint64_t transactions;
    uint64_t progress_ms; /* when all was last well, or went forward */
    uint64_t heartbeat_ms;
    uint64_t heartbeat_changes;
    struct metric *transactions_metric;
    struct metric *behind_metric;
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

static bool is_at(const struct pipeline *pipeline, int state)
{
    return sm_at(&pipeline->sm) == state;
}

static bool streams(const struct pipeline *pipeline)
{
    return is_at(pipeline, STREAM) || is_at(pipeline, DRAIN);
}

static uint64_t now_ms(const struct pipeline *pipeline)
{
    return pipeline->world->now_ms(pipeline->world->context);
}

static void soon(struct pipeline *pipeline)
{
    pipeline->world->soon(pipeline->world->context);
}

/* ---- waking */

static uint64_t earlier(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

static void schedule(struct pipeline *pipeline)
{
    uint64_t now = now_ms(pipeline), at = now + WAKE_MS;

    if (is_at(pipeline, BACKOFF) || is_at(pipeline, DRAIN)) {
        at = earlier(at, pipeline->until_ms);
    }
    if (is_at(pipeline, STREAM) && pipeline->open_count > 0) {
        at = earlier(at, pipeline->open_since_ms + (uint64_t)pipeline->settings->producer.transaction_age_ms);
    }
    pipeline->world->wake_at(pipeline->world->context, at > now ? at : now + WAKE_SOON_MS);
}

static void move(struct pipeline *pipeline, int to, const char *why)
{
    sm_move(&pipeline->sm, to, why);
    pipeline->progress_ms = to == STANDBY ? now_ms(pipeline) : pipeline->progress_ms;
    schedule(pipeline);
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
static uint64_t backoff_ms(uint32_t failures)
{
    uint64_t wait_ms = (uint64_t)BACKOFF_FIRST_MS << (failures < 16 ? failures : 16);

    return earlier(wait_ms, BACKOFF_MAX_MS);
}

static void on_halted(void *context)
{
    struct pipeline *pipeline = context;

    must(is_at(pipeline, HALT));
    pipeline->started = false;
    routes_reset(&pipeline->routes);
    if (pipeline->stopping) {
        close_all(pipeline);
    } else if (pipeline->trouble.class != ERR_NONE) {
        pipeline->until_ms = now_ms(pipeline) + backoff_ms(pipeline->failures++);
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
static void on_trouble(struct pipeline *pipeline, const struct err *err)
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
                 (unsigned long long)backoff_ms(pipeline->failures));
    }
    if (!is_at(pipeline, HALT)) {
        halt(pipeline, err->text);
    }
}

/* ---- cuts */

/* Has all that was yielded been put into parcels? (I1) */
static bool all_handed_over(const struct pipeline *pipeline)
{
    return !pipeline->holding && pipeline->messages_given == pipeline->messages.count;
}

static void give_parcel(struct pipeline *pipeline)
{
    if (pipeline->parcel != NULL) {
        publisher_give(pipeline->publisher, pipeline->parcel);
        pipeline->parcel = NULL;
    }
}

static void cut(struct pipeline *pipeline, json_t *state)
{
    must(!pipeline->cutting && all_handed_over(pipeline) && state != NULL); /* I1, I2 */
    give_parcel(pipeline);
    publisher_cut(pipeline->publisher, state);
    routes_cut(&pipeline->routes);
    pipeline->cutting = true;
    pipeline->open_count = pipeline->open_bytes = 0;
    pipeline->cut_ms = now_ms(pipeline);
}

static bool is_due(const struct pipeline *pipeline)
{
    const struct settings_producer *settings = &pipeline->settings->producer;
    uint64_t now = now_ms(pipeline);

    if (pipeline->open_count > 0) {
        return pipeline->idle || is_at(pipeline, DRAIN) || pipeline->open_bytes >= (size_t)settings->transaction_bytes ||
               now - pipeline->open_since_ms >= (uint64_t)settings->transaction_age_ms; /* A3 */
    }
    return now - pipeline->cut_ms >= (uint64_t)settings->position_interval_ms &&
           pipeline->source->calls->moved(pipeline->source); /* A6 */
}

/* As large as it may be, and the one before it is still being committed. */
static bool is_full(const struct pipeline *pipeline)
{
    return pipeline->cutting && pipeline->open_bytes >= (size_t)pipeline->settings->producer.transaction_bytes;
}

static bool may_cut(const struct pipeline *pipeline)
{
    return !pipeline->first && !pipeline->cutting && all_handed_over(pipeline) &&
           pipeline->source->calls->cuttable(pipeline->source);
}

static void consider_cut(struct pipeline *pipeline)
{
    if (may_cut(pipeline) && is_due(pipeline)) {
        cut(pipeline, pipeline->source->calls->state(pipeline->source));
    }
}

/* ---- STREAM: one step at a time; false: nothing to do before something happens */

/* Rule A8 (I3). Until it is known where the source begins, next can only say that there is nothing, or that it failed. */
static bool step_first(struct pipeline *pipeline)
{
    json_t *state = pipeline->cutting ? NULL : pipeline->source->calls->state(pipeline->source);
    struct change none;
    struct err err = {0};
    enum source_next next;

    if (state != NULL) {
        cut(pipeline, state);
    } else if (!pipeline->cutting) {
        next = pipeline->source->calls->next(pipeline->source, &none, &err);
        must(next != SOURCE_CHANGE);
        if (next == SOURCE_FAILED) {
            on_trouble(pipeline, &err);
        }
    }
    return false;
}

static bool step_messages(struct pipeline *pipeline)
{
    while (pipeline->messages_given < pipeline->messages.count) {
        struct message message = messages_get(&pipeline->messages, pipeline->messages_given, pipeline->route->topic_id);

        if (pipeline->parcel != NULL && !parcel_fits(pipeline->parcel, &message)) {
            give_parcel(pipeline);
        }
        if (pipeline->parcel == NULL && (pipeline->parcel = publisher_parcel(pipeline->publisher)) == NULL) {
            return false; /* `room` goes on */
        }
        parcel_add(pipeline->parcel, &message);
        pipeline->messages_given++;
        if (pipeline->open_count++ == 0) {
            pipeline->open_since_ms = now_ms(pipeline);
            schedule(pipeline);
        }
        pipeline->open_bytes += message.key_size + message.value_size;
    }
    return true;
}

/* P1: the one position serves all tables, so a table that can't be encoded stops the source. */
static void on_table_error(struct pipeline *pipeline, struct err *err)
{
    err->class = ERR_FATAL;
    (void)err_while(err, "a table can't go on (mend it, or leave it out by `source.exclude`)");
    on_trouble(pipeline, err);
}

static bool step_held(struct pipeline *pipeline)
{
    struct err err = {0};

    if (!pipeline->route->ready) {
        if (!pipeline->preparing) {
            pipeline->preparing = true;
            publisher_prepare(pipeline->publisher, pipeline->route->schema);
        }
        return false; /* `prepared` goes on */
    }
    if (messages_make(&pipeline->messages, pipeline->route->schema, &pipeline->held, pipeline->settings->source.name, &err) !=
        0) {
        on_table_error(pipeline, &err);
        return false;
    }
    pipeline->messages_given = 0;
    pipeline->holding = false;
    pipeline->route->tally->open++;
    return true;
}

static bool take_change(struct pipeline *pipeline)
{
    struct err err = {0};

    pipeline->holding = true;
    if (routes_find(&pipeline->routes, pipeline->held.table, &pipeline->route, &err) != 0) {
        on_table_error(pipeline, &err);
        return false;
    }
    return true;
}

static bool step_next(struct pipeline *pipeline)
{
    struct err err = {0};

    switch (pipeline->source->calls->next(pipeline->source, &pipeline->held, &err)) {
    case SOURCE_CHANGE:
        return take_change(pipeline);
    case SOURCE_FAILED:
        on_trouble(pipeline, &err);
        return false;
    case SOURCE_AGAIN:
        break;
    }
    pipeline->idle = true;
    consider_cut(pipeline);
    return false;
}

static bool step(struct pipeline *pipeline)
{
    if (pipeline->first) {
        return step_first(pipeline);
    }
    if (!step_messages(pipeline)) {
        return false;
    }
    if (pipeline->holding) {
        return step_held(pipeline);
    }
    consider_cut(pipeline);
    return !is_full(pipeline) && step_next(pipeline);
}

void pipeline_turn(struct pipeline *pipeline)
{
    int steps = 0;

    if (!is_at(pipeline, STREAM)) {
        return;
    }
    pipeline->idle = false;
    while (is_at(pipeline, STREAM) && step(pipeline)) {
        if (++steps == TURN_STEPS) {
            soon(pipeline);
            return;
        }
    }
}

/* ---- DRAIN */

static void step_drain(struct pipeline *pipeline)
{
    if (pipeline->open_count > 0) {
        consider_cut(pipeline);
    }
    if (!pipeline->cutting || now_ms(pipeline) >= pipeline->until_ms) {
        halt(pipeline, pipeline->cutting ? "the last commit takes too long" : "drained");
    }
}

void pipeline_stop(struct pipeline *pipeline)
{
    if (pipeline->stopping) {
        return;
    }
    pipeline->stopping = true;
    if (is_at(pipeline, STREAM)) {
        pipeline->until_ms = now_ms(pipeline) + DRAIN_MS;
        move(pipeline, DRAIN, "told to stop");
        step_drain(pipeline);
    } else if (!is_at(pipeline, HALT)) {
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

static void on_position(void *context, const json_t *record)
{
    struct pipeline *pipeline = context;
    struct err err = {0};

    pipeline->first = record == NULL;
    pipeline->cut_ms = now_ms(pipeline);
    move(pipeline, STREAM, record != NULL ? "the position is known" : "a first start");
    if (pipeline->source->calls->start(pipeline->source, record, &err) != 0) {
        on_trouble(pipeline, &err);
        return;
    }
    pipeline->started = true;
    soon(pipeline);
}

static void on_prepared(void *context, uint32_t topic_id)
{
    struct pipeline *pipeline = context;

    must(pipeline->preparing);
    pipeline->preparing = false;
    pipeline->route->ready = true;
    pipeline->route->topic_id = topic_id;
    soon(pipeline);
}

static void on_committed(void *context)
{
    struct pipeline *pipeline = context;

    must(pipeline->cutting);
    pipeline->cutting = false;
    pipeline->first = false;
    pipeline->failures = 0;
    pipeline->trouble = (struct err){0};
    pipeline->progress_ms = now_ms(pipeline);
    pipeline->transactions++;
    metric_add(pipeline->transactions_metric, 1);
    routes_committed(&pipeline->routes);
    pipeline->source->calls->committed(pipeline->source);
    if (is_at(pipeline, DRAIN)) {
        step_drain(pipeline);
    } else if (pipeline->idle) {
        consider_cut(pipeline); /* what came while this one was under way */
    }
    soon(pipeline);
}

static void on_room(void *context)
{
    soon(context);
}

static void on_ready(void *context)
{
    soon(context);
}

static void on_failed(void *context, const struct err *err, bool fenced_off)
{
    struct pipeline *pipeline = context;

    if (fenced_off) {
        pipeline->owned = false;
        election_rejoin(pipeline->election);
    }
    on_trouble(pipeline, err);
}

static void on_owned(void *context)
{
    struct pipeline *pipeline = context;

    pipeline->owned = true;
    if (is_at(pipeline, STANDBY)) {
        enter_fence(pipeline);
    }
}

static void on_lost(void *context)
{
    struct pipeline *pipeline = context;

    pipeline->owned = false;
    if (is_at(pipeline, FENCE) || is_at(pipeline, READ) || streams(pipeline)) {
        log_warn("lost", "source=%s state=%s then=%q", pipeline->settings->source.name, sm_name(&pipeline->sm), "standing by");
        pipeline->trouble = (struct err){0};
        halt(pipeline, "the election went to another one");
    }
}

static void on_election_failed(void *context, const struct err *err)
{
    struct pipeline *pipeline = context;

    if (!pipeline->stopping) {
        on_trouble(pipeline, err);
    }
}

/* ---- once a second */

static void heartbeat(struct pipeline *pipeline)
{
    uint64_t now = now_ms(pipeline), changes = routes_total(&pipeline->routes);
    struct source_figures figures = {0};

    if (now - pipeline->heartbeat_ms < HEARTBEAT_MS) {
        return;
    }
    pipeline->source->calls->figures(pipeline->source, &figures);
    log_info("heartbeat",
             "source=%s state=%s changes=%llu changes_per_s=%.1f kafka_transactions=%llu behind_s=%.1f open=%zu position=%q",
             pipeline->settings->source.name, sm_name(&pipeline->sm), (unsigned long long)changes,
             (double)(changes - pipeline->heartbeat_changes) * 1000 / (double)(now - pipeline->heartbeat_ms),
             (unsigned long long)pipeline->transactions, metric_get(pipeline->behind_metric), pipeline->open_count,
             figures.position);
    pipeline->heartbeat_ms = now;
    pipeline->heartbeat_changes = changes;
}

/* A source without a connection has nothing to yield, either: that is no rest. */
static bool is_at_rest(const struct pipeline *pipeline, const struct source_figures *figures)
{
    return is_at(pipeline, STANDBY) ||
           (is_at(pipeline, STREAM) && !pipeline->first && pipeline->idle && figures->connected && !pipeline->cutting &&
            pipeline->open_count == 0);
}

static void renew_figures(struct pipeline *pipeline)
{
    struct source_figures figures = {0};
    double behind_s = 0;

    pipeline->source->calls->figures(pipeline->source, &figures);
    if (is_at_rest(pipeline, &figures)) {
        pipeline->progress_ms = now_ms(pipeline);
    } else if (figures.last_ts_us > 0) {
        behind_s = (double)(pipeline->world->clock_us(pipeline->world->context) - figures.last_ts_us) / 1e6;
    }
    metric_set(pipeline->behind_metric, behind_s > 0 ? behind_s : 0);
}

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
    bool due = now_ms(pipeline) >= pipeline->until_ms;

    renew_figures(pipeline);
    heartbeat(pipeline);
    if (is_at(pipeline, STREAM)) {
        consider_cut(pipeline);
    } else if (is_at(pipeline, DRAIN)) {
        step_drain(pipeline);
    } else if (is_at(pipeline, BACKOFF) && due) {
        end_backoff(pipeline);
    }
    schedule(pipeline);
}

/* ---- for the admin port */

bool pipeline_ready(const struct pipeline *pipeline, char *text, size_t size)
{
    bool ready = is_at(pipeline, STANDBY) || (is_at(pipeline, STREAM) && !pipeline->first);

    (void)snprintf(text, size, "%s%s%s", sm_name(&pipeline->sm), pipeline->trouble.class != ERR_NONE ? ": " : "",
                   pipeline->trouble.text);
    return ready;
}

/* Ours, or else the source's own; NULL: none. */
static const char *trouble_text(const struct pipeline *pipeline, const struct source_figures *figures)
{
    return pipeline->trouble.class != ERR_NONE ? pipeline->trouble.text : figures->trouble;
}

bool pipeline_healthy(const struct pipeline *pipeline, char *text, size_t size)
{
    uint64_t still_ms = now_ms(pipeline) - pipeline->progress_ms;
    struct source_figures figures = {0};
    const char *trouble;

    if (still_ms < STALL_MS) {
        (void)snprintf(text, size, "%s", sm_name(&pipeline->sm));
        return true;
    }
    pipeline->source->calls->figures(pipeline->source, &figures);
    trouble = trouble_text(pipeline, &figures);
    if (trouble == NULL) {
        trouble = figures.connected || !pipeline->started ? "rows wait and nothing is committed" : "the source does not connect";
    }
    (void)snprintf(text, size, "no progress for %llu s in state %s: %s", (unsigned long long)(still_ms / 1000),
                   sm_name(&pipeline->sm), trouble);
    return false;
}

static json_t *time_text(int64_t ts_us)
{
    struct buffer text = {0};
    json_t *json;

    if (ts_us == 0) {
        return json_null();
    }
    value_text_datetime(&text, ts_us, 'T');
    buffer_append_byte(&text, 'Z');
    json = json_string(buffer_text(&text));
    buffer_deinit(&text);
    return json;
}

/* What others have written may hold bytes that JSON can't. */
static json_t *any_text(const char *text)
{
    json_t *json = json_string(text);

    return json != NULL ? json : json_string("(not UTF-8)");
}

static json_t *source_status(const struct pipeline *pipeline, const struct source_figures *figures)
{
    return json_pack("{s:o, s:o, s:o, s:b, s:I, s:I, s:o}", "name", any_text(pipeline->settings->source.name), "server",
                     any_text(figures->server), "position", any_text(figures->position), "connected", figures->connected,
                     "row_images", (json_int_t)figures->row_images, "transactions", (json_int_t)figures->transactions,
                     "last_commit", time_text(figures->last_ts_us));
}

json_t *pipeline_status(const struct pipeline *pipeline)
{
    struct source_figures figures = {0};
    const char *trouble;

    pipeline->source->calls->figures(pipeline->source, &figures);
    trouble = trouble_text(pipeline, &figures);
    return json_pack("{s:s, s:s, s:s, s:o, s:I, s:o, s:o}", "program", "kakehi-producer", "version", version_text(), "state",
                     sm_name(&pipeline->sm), "source", source_status(pipeline, &figures), "kafka_transactions",
                     (json_int_t)pipeline->transactions, "tables", routes_status(&pipeline->routes), "trouble",
                     any_text(trouble != NULL ? trouble : ""));
}

/* ---- making one */

static int join_parts(struct pipeline *pipeline, struct err *err)
{
    const struct publisher_calls publisher_calls = {pipeline,    on_opened,    on_fenced, on_position,
                                                    on_prepared, on_committed, on_room,   on_failed};
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
    const char *const labels[] = {settings->source.name};

    must(pipeline != NULL);
    *pipeline = (struct pipeline){.settings = settings, .world = world, .source = source};
    source->on_ready = on_ready;
    source->on_ready_context = pipeline;
    sm_init(&pipeline->sm, "pipeline", settings->source.name, states, OPEN, invariant);
    routes_init(&pipeline->routes, settings->source.name);
    pipeline->transactions_metric = metric_cell(&kafka_transactions, labels);
    pipeline->behind_metric = metric_cell(&source_behind, labels);
    pipeline->progress_ms = pipeline->heartbeat_ms = now_ms(pipeline);
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
    routes_deinit(&pipeline->routes);
    messages_deinit(&pipeline->messages);
    free(pipeline);
}

void pipeline_start(struct pipeline *pipeline)
{
    schedule(pipeline);
    enter_open(pipeline);
}
