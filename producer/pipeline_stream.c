/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STREAM's steps: a change is asked of the source, finds its route, waits for its table, becomes messages, and these go into
 * parcels; and between two of them a cut may be due. The machine around it, and the invariants I1 to I4, are in pipeline.c.
 *
 *   next -> held -> (prepared) -> messages -> (room) -> parcel -> given -> cut
 *
 * Where it waits, a step says that there is nothing to do, and the answer named in brackets turns the loop again.
 */
#include "common/log.h"
#include "common/must.h"
#include "producer/pipeline_parts.h"

#define TURN_STEPS 512 /* of the source in one turn of the loop: timers and the admin port must stay alive */

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
    pipeline_letters_state(pipeline, state);
    give_parcel(pipeline);
    publisher_cut(pipeline->publisher, state);
    routes_cut(&pipeline->routes);
    pipeline->cutting = true;
    pipeline->open_count = pipeline->open_bytes = 0;
    pipeline->cut_ms = pipeline_now_ms(pipeline);
}

static bool is_due(const struct pipeline *pipeline)
{
    const struct settings_producer *settings = &pipeline->settings->producer;
    uint64_t now = pipeline_now_ms(pipeline);

    if (pipeline->open_count > 0) {
        return pipeline->idle || pipeline_is_at(pipeline, DRAIN) || pipeline->open_bytes >= (size_t)settings->transaction_bytes ||
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

void pipeline_consider_cut(struct pipeline *pipeline)
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
            pipeline_trouble(pipeline, &err);
        }
    }
    return false;
}

/* A large row is not copied once more: its memory goes along. */
static void fill_parcel(struct pipeline *pipeline, const struct message *message)
{
    size_t size;
    uint8_t *bytes = pipeline->parcel->count == 0 ? messages_take_large(&pipeline->messages, &size) : NULL;

    if (bytes != NULL) {
        parcel_take(pipeline->parcel, bytes, size, message);
    } else {
        parcel_add(pipeline->parcel, message);
    }
}

static bool step_messages(struct pipeline *pipeline)
{
    while (pipeline->messages_given < pipeline->messages.count) {
        uint32_t topic_id = pipeline->route != NULL ? pipeline->route->topic_id : TOPIC_DEAD_LETTERS;
        struct message message = messages_get(&pipeline->messages, pipeline->messages_given, topic_id);

        if (pipeline->parcel != NULL && !parcel_fits(pipeline->parcel, &message)) {
            give_parcel(pipeline);
        }
        if (pipeline->parcel == NULL && (pipeline->parcel = publisher_parcel(pipeline->publisher)) == NULL) {
            return false; /* `room` goes on */
        }
        fill_parcel(pipeline, &message);
        pipeline->messages_given++;
        if (pipeline->open_count++ == 0) {
            pipeline->open_since_ms = pipeline_now_ms(pipeline);
            pipeline_schedule(pipeline);
        }
        pipeline->open_bytes += message.key_size + message.value_size;
    }
    return true;
}

/* A shape that a table has again is published again: workers take the schema that was published last for what the table is. */
static bool is_prepared(const struct pipeline *pipeline)
{
    return pipeline->route->ready && pipeline->route->tally->newest_schema == pipeline->route->schema->value_id;
}

static bool step_held(struct pipeline *pipeline)
{
    struct message_schema schema;
    struct err err = {0};

    if (!is_prepared(pipeline)) {
        if (!pipeline->preparing) {
            uint64_t newest = pipeline->route->tally->newest_schema;

            pipeline->preparing = true;
            publisher_prepare(pipeline->publisher, pipeline->route->schema, newest != 0 && newest != pipeline->route->schema->value_id);
        }
        return false; /* `prepared` goes on */
    }
    schema = (struct message_schema){pipeline->route->schema, pipeline->route->ids};
    if (messages_make(&pipeline->messages, &schema, &pipeline->held, pipeline->settings->source.name, &err) != 0) {
        return pipeline_row_error(pipeline, &err);
    }
    pipeline_made(pipeline, pipeline->route->tally);
    return true;
}

static bool take_change(struct pipeline *pipeline)
{
    struct err err = {0};

    pipeline->holding = true;
    pipeline->route = NULL;
    if (pipeline_is_aside(pipeline)) {
        return pipeline_letter_of_table_aside(pipeline);
    }
    return routes_find(&pipeline->routes, pipeline->held.table, pipeline->held.op, &pipeline->route, &err) == 0 ||
           pipeline_table_error(pipeline, &err);
}

static bool step_next(struct pipeline *pipeline)
{
    struct err err = {0};

    switch (pipeline->source->calls->next(pipeline->source, &pipeline->held, &err)) {
    case SOURCE_CHANGE:
        return take_change(pipeline);
    case SOURCE_FAILED:
        pipeline_trouble(pipeline, &err);
        return false;
    case SOURCE_AGAIN:
        break;
    }
    pipeline->idle = true;
    pipeline_consider_cut(pipeline);
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
    pipeline_consider_cut(pipeline);
    return !is_full(pipeline) && step_next(pipeline);
}

/* Who reads this may count on every commit from now on: there is a connection, and a position in Kafka to come back to (A8). */
static void announce(struct pipeline *pipeline)
{
    struct source_figures figures = {0};

    pipeline->source->calls->figures(pipeline->source, &figures);
    if (figures.connected) {
        pipeline->announced = true;
        log_info("streaming", "source=%s server=%q position=%q", pipeline->settings->source.name, figures.server, figures.position);
    }
}

void pipeline_turn(struct pipeline *pipeline)
{
    int steps = 0;

    if (!pipeline_is_at(pipeline, STREAM)) {
        return;
    }
    if (!pipeline->announced && !pipeline->first) {
        announce(pipeline);
    }
    pipeline->idle = false;
    while (pipeline_is_at(pipeline, STREAM) && step(pipeline)) {
        if (++steps == TURN_STEPS) {
            pipeline_soon(pipeline);
            return;
        }
    }
}
