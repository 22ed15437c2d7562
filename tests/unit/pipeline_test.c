/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipeline between a fake publisher, a fake election and a fake source: all three write what they are told into one line of
 * words (`told`), and say what the test makes them say. Time is turned by the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/log.h"
#include "producer/election.h"
#include "producer/pipeline.h"
#include "producer/publisher.h"
#include "tests/unit/capture.h"
#include "tests/unit/make_table.h"

#define PARCELS     2
#define ENDLESS     1000000
#define AGE_MS      250
#define INTERVAL_MS 5000

struct world {
    struct settings settings;
    struct pipeline_world pipeline_world;
    struct pipeline *pipeline;
    struct buffer told;
    uint64_t now_ms;
    uint64_t wake_ms;
    bool soon;
    int exit_code; /* -1: not ended */

    struct election_calls election;
    void (*election_closed)(void *context);
    struct publisher_calls publisher;
    void (*publisher_closed)(void *context);
    void *closed_context;
    struct parcel *parcels[PARCELS]; /* free ones */
    size_t parcel_count;
    struct parcel *given[64]; /* at "Kafka", not settled */
    size_t given_count;
    size_t messages_given;
    size_t letters_given;
    json_t *cut_state; /* of the last cut */

    struct source source;
    struct table *tables[3];
    struct source_table shapes[3];
    struct cell before[2], after[2];
    const char *script; /* a, b: an insert into that table; c: into a with another column; A: an update of its key; x: a row that can't be said; l: one whose policy is a
                           letter; .: again */
    long endless;       /* then this many inserts into a */
    long yielded;
    long asked;
    long state_at; /* yielded at the last state */
    bool placed;   /* does it know where it begins? */
    bool cuttable;
    bool moved;
    enum err_class fails; /* next says so */
    const char *away;     /* the server is, and why; NULL: connected */
    void (*stopped)(void *context);
    void *stopped_context;
    int committed;
};

static struct world *the_world; /* the fakes have no other way to it */

static void tell(const char *format, long number)
{
    if (the_world->told.size > 0) {
        buffer_append_byte(&the_world->told, ' ');
    }
    buffer_printf(&the_world->told, format, number);
}

static const char *told(struct world *world)
{
    return buffer_text(&world->told);
}

static void forget(struct world *world)
{
    buffer_clear(&world->told);
}

/* ---- the fake election */

int election_new(uv_loop_t *loop, const struct settings *settings, const struct election_calls *calls,
                 struct election **ret_election, struct err *err)
{
    (void)loop, (void)settings, (void)err;
    the_world->election = *calls;
    *ret_election = (struct election *)the_world;
    return 0;
}

void election_join(struct election *election)
{
    (void)election, tell("join", 0);
}

void election_rejoin(struct election *election)
{
    (void)election, tell("rejoin", 0);
}

void election_close(struct election *election, void (*closed)(void *context), void *context)
{
    (void)election, tell("leave", 0);
    the_world->election_closed = closed;
    the_world->closed_context = context;
}

/* ---- the fake publisher */

int publisher_new(uv_loop_t *loop, const struct settings *settings, const struct publisher_calls *calls,
                  struct publisher **ret_publisher, struct err *err)
{
    (void)loop, (void)settings, (void)err;
    the_world->publisher = *calls;
    *ret_publisher = (struct publisher *)the_world;
    return 0;
}

void publisher_close(struct publisher *publisher, void (*closed)(void *context), void *context)
{
    (void)publisher, tell("close", 0);
    the_world->publisher_closed = closed;
    the_world->closed_context = context;
}

void publisher_open(struct publisher *publisher)
{
    (void)publisher, tell("open", 0);
}

void publisher_fence(struct publisher *publisher)
{
    (void)publisher, tell("fence", 0);
}

void publisher_read(struct publisher *publisher)
{
    (void)publisher, tell("read", 0);
}

void publisher_abandon(struct publisher *publisher)
{
    (void)publisher, tell("abandon", 0);
}

void publisher_prepare(struct publisher *publisher, const struct schema *schema, bool again)
{
    (void)publisher;
    tell(schema->table->name[0] != 'a'                    ? "prepare-b"
         : strcmp(schema->table->columns[1].name, "note") ? "prepare-c"
         : again                                          ? "prepare-a-again"
                                                          : "prepare-a",
         0);
}

struct parcel *publisher_parcel(struct publisher *publisher)
{
    (void)publisher;
    return the_world->parcel_count > 0 ? the_world->parcels[--the_world->parcel_count] : NULL;
}

void publisher_return(struct publisher *publisher, struct parcel *parcel)
{
    (void)publisher;
    parcel_clear(parcel);
    the_world->parcels[the_world->parcel_count++] = parcel;
}

void publisher_give(struct publisher *publisher, struct parcel *parcel)
{
    (void)publisher;
    tell("give(%ld)", (long)parcel->count);
    the_world->messages_given += parcel->count;
    for (size_t i = 0; i < parcel->count; i++) {
        assert_int_equal(parcel->entries[i].topic_id == TOPIC_DEAD_LETTERS, parcel->entries[i].reason_size > 0);
        the_world->letters_given += parcel->entries[i].reason_size > 0;
    }
    the_world->given[the_world->given_count++] = parcel;
}

void publisher_cut(struct publisher *publisher, json_t *state)
{
    (void)publisher;
    tell("cut(%ld)", (long)json_integer_value(json_object_get(state, "yielded")));
    json_decref(the_world->cut_state);
    the_world->cut_state = state;
}

/* All that was given is acknowledged, or forgotten. */
static void settle(struct world *world)
{
    while (world->given_count > 0) {
        publisher_return(NULL, world->given[--world->given_count]);
    }
}

/* ---- the fake source */

static int source_start(struct source *source, const json_t *record, const json_t *published, struct err *err)
{
    (void)source, (void)err;
    assert_string_equal(json_string_value(json_array_get(json_array_get(published, 0), 1)), "orders");
    tell(record != NULL ? "start(record)" : "start", 0);
    return 0;
}

static void fill(struct cell cells[2], int64_t id)
{
    cells[0] = (struct cell){.state = CELL_VALUE, .integer = id};
    cells[1] = (struct cell){.state = CELL_NULL};
}

static enum source_next yield(struct world *world, char what, struct change *change)
{
    long number = world->yielded++;

    fill(world->after, number);
    fill(world->before, number + 1000);
    *change = (struct change){
        .table = &world->shapes[what == 'b' ? 1 : what == 'c' ? 2 : 0],
        .op = what == 'A' ? 'u' : 'c',
        .after = world->after,
        .before = world->before,
        .seq = 7,
        .idx = 2 * number,
        .txid = "0-1-7",
    };
    if (what == 'x') {
        world->after[0].state = CELL_NULL; /* a key that is null */
    } else if (what == 'l') {
        world->after[1] = (struct cell){.state = CELL_UNREPRESENTABLE, .to_letter = true};
    }
    return SOURCE_CHANGE;
}

static enum source_next source_next(struct source *source, struct change *ret_change, struct err *err)
{
    struct world *world = the_world;

    (void)source;
    world->asked++;
    if (world->fails != ERR_NONE) {
        (void)err_set(err, world->fails, "the server is gone");
        return SOURCE_FAILED;
    }
    if (*world->script == '.') {
        world->script++;
        return SOURCE_AGAIN;
    }
    if (*world->script != '\0') {
        return yield(world, *world->script++, ret_change);
    }
    if (world->endless > 0) {
        world->endless--;
        return yield(world, 'a', ret_change);
    }
    return SOURCE_AGAIN;
}

static bool source_cuttable(const struct source *source)
{
    (void)source;
    return the_world->cuttable;
}

static bool source_moved(const struct source *source)
{
    (void)source;
    return the_world->moved;
}

static json_t *source_state(struct source *source)
{
    (void)source;
    the_world->moved = false;
    the_world->state_at = the_world->yielded;
    return the_world->placed ? json_pack("{s:I}", "yielded", (json_int_t)the_world->yielded) : NULL;
}

static void source_committed(struct source *source)
{
    (void)source;
    the_world->committed++;
}

static void source_figures(const struct source *source, struct source_figures *ret_figures)
{
    (void)source;
    *ret_figures =
        (struct source_figures){.last_ts_us = 1000000, .connected = the_world->away == NULL, .trouble = the_world->away};
}

static void source_stop(struct source *source, void (*stopped)(void *context), void *context)
{
    (void)source, tell("stop", 0);
    the_world->stopped = stopped;
    the_world->stopped_context = context;
}

static void source_free(struct source *source)
{
    (void)source;
}

/* ---- the world */

static uint64_t world_now_ms(void *context)
{
    return ((struct world *)context)->now_ms;
}

static int64_t world_clock_us(void *context)
{
    return (int64_t)((struct world *)context)->now_ms * 1000 + 1000000;
}

static void world_wake_at(void *context, uint64_t when_ms)
{
    ((struct world *)context)->wake_ms = when_ms;
}

static void world_soon(void *context)
{
    ((struct world *)context)->soon = true;
}

static void world_ended(void *context, int exit_code)
{
    ((struct world *)context)->exit_code = exit_code;
}

/* The loop turns while somebody wishes it, but not for ever. */
static void turn(struct world *world)
{
    for (int i = 0; i < 100 && world->soon; i++) {
        world->soon = false;
        pipeline_turn(world->pipeline);
    }
}

static void pass(struct world *world, uint64_t time_ms)
{
    uint64_t until_ms = world->now_ms + time_ms;

    while (world->wake_ms <= until_ms) {
        world->now_ms = world->wake_ms > world->now_ms ? world->wake_ms : world->now_ms;
        world->wake_ms = UINT64_MAX;
        pipeline_wake(world->pipeline);
        turn(world);
    }
    world->now_ms = until_ms;
}

static void ready(struct world *world)
{
    world->source.on_ready(world->source.on_ready_context);
    turn(world);
}

static void committed(struct world *world)
{
    world->publisher.committed(world->publisher.context, &(struct delivered_list){0});
    settle(world);
    turn(world);
}

static void failed(struct world *world, enum err_class class, bool fenced_off)
{
    struct err err;

    (void)err_set(&err, class, "the broker is gone");
    world->publisher.failed(world->publisher.context, &err, fenced_off);
    settle(world);
    turn(world);
}

static void stopped(struct world *world)
{
    void (*answer)(void *context) = world->stopped;

    assert_non_null(answer);
    world->stopped = NULL;
    answer(world->stopped_context);
    turn(world);
}

static void prepared(struct world *world)
{
    world->publisher.prepared(world->publisher.context, 0, &(struct framing_ids){0});
    turn(world);
}

static void refused(struct world *world)
{
    world->publisher.refused(world->publisher.context, &(struct err){.class = ERR_POISON, .text = "not compatible"});
    turn(world);
}

static void own(struct world *world)
{
    world->publisher.opened(world->publisher.context);
    world->election.owned(world->election.context);
}

static void fence_at(struct world *world, const json_t *record)
{
    json_t *published = json_pack("[[ss]]", "shop", "orders");

    assert_non_null(published);
    world->publisher.fenced(world->publisher.context);
    world->publisher.position(world->publisher.context, record, published);
    json_decref(published);
    turn(world);
}

static void fence(struct world *world, bool with_record)
{
    json_t *record = with_record ? json_object() : NULL;

    fence_at(world, record);
    json_decref(record);
}

/* Streaming from a record, nothing to read yet. */
static void stream(struct world *world)
{
    own(world);
    fence(world, true);
    forget(world);
}

static void read_script(struct world *world, const char *script)
{
    world->script = script;
    ready(world);
}

static long table_number(struct world *world, const char *table, const char *what)
{
    json_t *status = pipeline_status(world->pipeline);
    long number = (long)json_integer_value(json_object_get(json_object_get(json_object_get(status, "tables"), table), what));

    json_decref(status);
    return number;
}

static long status_number(struct world *world, const char *table)
{
    return table_number(world, table, "read");
}

static bool is_state(struct world *world, const char *name)
{
    json_t *status = pipeline_status(world->pipeline);
    bool same = strcmp(json_string_value(json_object_get(status, "state")), name) == 0;

    json_decref(status);
    return same;
}

static int set_up(void **state)
{
    static const struct source_calls calls = {source_start,     source_next,    source_cuttable, source_moved, source_state,
                                              source_committed, source_figures, source_stop,     source_free};
    struct world *world = calloc(1, sizeof *world);
    struct err err;

    log_setup(LOG_ERROR, LOG_LOGFMT);
    the_world = world;
    world->settings.source.name = (char *)(uintptr_t) "shop";
    world->settings.log.heartbeat_ms = 60000;
    world->settings.producer = (struct settings_producer){
        .transaction_bytes = 1000, .transaction_age_ms = AGE_MS, .position_interval_ms = INTERVAL_MS};
    world->pipeline_world =
        (struct pipeline_world){world, NULL, world_now_ms, world_clock_us, world_wake_at, world_soon, world_ended};
    world->exit_code = -1;
    world->now_ms = 100000;
    world->script = "";
    world->placed = world->cuttable = true;
    world->source.calls = &calls;
    for (int i = 0; i < 3; i++) {
        world->tables[i] = make_table("d", i == 1 ? "b" : "a", "id", i == 2 ? "id long, word text" : "id long, note text");
        world->shapes[i] = (struct source_table){world->tables[i], (uint64_t)i + 1};
    }
    for (int i = 0; i < 2; i++) {
        world->parcels[world->parcel_count++] = parcel_new();
    }
    assert_int_equal(pipeline_new(&world->settings, &world->pipeline_world, &world->source, &world->pipeline, &err), 0);
    pipeline_start(world->pipeline);
    *state = world;
    return 0;
}

static void end(struct world *world)
{
    if (world->stopped != NULL) {
        stopped(world);
    }
    settle(world);
    if (world->publisher_closed != NULL) {
        world->publisher_closed(world->closed_context);
        world->publisher_closed = NULL;
        world->election_closed(world->closed_context);
    }
}

static int tear_down(void **state)
{
    struct world *world = *state;
    bool whole;

    pipeline_stop(world->pipeline);
    pass(world, 10000);
    end(world);
    whole = world->exit_code >= 0 && world->parcel_count == PARCELS;
    pipeline_free(world->pipeline);
    for (int i = 0; i < 3; i++) {
        table_free(world->tables[i]);
    }
    for (int i = 0; i < 2; i++) {
        parcel_free(world->parcels[i]);
    }
    buffer_deinit(&world->told);
    json_decref(world->cut_state);
    free(world);
    return !whole; /* it ends from wherever a test has left it, and every parcel is back */
}

/* ---- what must not happen */

static void test_pipeline__does_nothing_while_another_one_owns_the_source(void **state)
{
    struct world *world = *state;

    world->publisher.opened(world->publisher.context);
    pass(world, 3600000);
    assert_string_equal(told(world), "open join");
    assert_int_equal(world->asked, 0);
}

static void test_pipeline__first_transaction_of_a_source_holds_the_position_alone_A8(void **state)
{
    struct world *world = *state;

    own(world);
    world->placed = false;
    fence(world, false);
    world->script = "aaa";
    pass(world, 10000);
    assert_string_equal(told(world), "open join fence read start");
}

static void test_pipeline__asks_for_no_change_before_the_first_position_is_committed_A8(void **state)
{
    struct world *world = *state;

    own(world);
    fence(world, false);
    world->script = "aaa";
    ready(world);
    assert_string_equal(told(world), "open join fence read start cut(0)");
    assert_int_equal(world->asked, 0);
    committed(world);
    assert_string_equal(told(world), "open join fence read start cut(0) prepare-a");
}

static void test_pipeline__gives_no_row_before_its_schema_is_acknowledged_A9(void **state)
{
    struct world *world = *state;

    stream(world);
    read_script(world, "aa.");
    pass(world, 10000);
    assert_string_equal(told(world), "prepare-a");
    prepared(world);
    assert_string_equal(told(world), "prepare-a give(2) cut(2)");
}

/* Who reads the newest schema of a table must find what the table is now. */
static void test_pipeline__publishes_a_schema_again_that_a_table_has_again(void **state)
{
    struct world *world = *state;

    stream(world);
    read_script(world, "acaa.");
    prepared(world);
    prepared(world);
    prepared(world);
    pass(world, 10000);
    assert_string_equal(told(world), "prepare-a prepare-c prepare-a-again give(4) cut(4)");
}

static void test_pipeline__does_not_cut_while_a_change_waits_for_its_table(void **state)
{
    struct world *world = *state;

    stream(world);
    read_script(world, "ab.");
    prepared(world);
    pass(world, 10 * AGE_MS);
    assert_string_equal(told(world), "prepare-a prepare-b"); /* a cut would cover the change of b */
    prepared(world);
    assert_string_equal(told(world), "prepare-a prepare-b give(2) cut(2)");
}

static void test_pipeline__neither_asks_nor_cuts_while_a_change_waits_for_room(void **state)
{
    struct world *world = *state;

    stream(world);
    read_script(world, "a.");
    prepared(world);
    committed(world);
    forget(world);
    world->endless = PARCELS * PARCEL_MESSAGES + 1; /* fills every parcel, and one more */
    world->settings.producer.transaction_bytes = INT64_MAX;
    world->settings.producer.transaction_age_ms = 1 << 20;
    ready(world);
    pass(world, 1 << 21);
    assert_string_equal(told(world), "give(4096) give(4096)");
    assert_int_equal(world->yielded, 1 + PARCELS * PARCEL_MESSAGES + 1);
    settle(world);
    world->publisher.room(world->publisher.context);
    turn(world);
    assert_string_equal(told(world), "give(4096) give(4096) give(1) cut(8194)");
}

static void test_pipeline__cuts_only_where_the_source_says_so(void **state)
{
    struct world *world = *state;

    stream(world);
    world->cuttable = false;
    read_script(world, "aaa.");
    prepared(world);
    pass(world, 100 * AGE_MS);
    assert_string_equal(told(world), "prepare-a");
    world->cuttable = true;
    pass(world, AGE_MS);
    assert_string_equal(told(world), "prepare-a give(3) cut(3)");
}

static void test_pipeline__has_one_cut_under_way_at_most(void **state)
{
    struct world *world = *state;

    stream(world);
    read_script(world, "a.");
    prepared(world);
    forget(world);
    read_script(world, "aa.");
    pass(world, 10 * AGE_MS);
    assert_string_equal(told(world), "");
    committed(world);
    assert_string_equal(told(world), "give(2) cut(3)");
}

static void test_pipeline__a_table_that_can_not_be_encoded_stops_it_and_commits_nothing_of_it(void **state)
{
    struct world *world = *state;

    stream(world);
    read_script(world, "aax.");
    prepared(world);
    assert_string_equal(told(world), "prepare-a abandon stop");
    end(world);
    assert_int_equal(world->exit_code, 1);
}

/* ---- cuts */

static void test_pipeline__cuts_at_once_when_there_is_nothing_more_A3(void **state)
{
    struct world *world = *state;

    stream(world);
    read_script(world, "a.");
    prepared(world);
    assert_string_equal(told(world), "prepare-a give(1) cut(1)");
    assert_int_equal(world->committed, 0);
    committed(world);
    assert_int_equal(world->committed, 1);
}

static void test_pipeline__cuts_under_load_by_size_A3(void **state)
{
    struct world *world = *state;

    stream(world);
    world->endless = ENDLESS;
    ready(world);
    prepared(world);
    assert_non_null(strstr(told(world), "cut("));
    assert_in_range(world->state_at, 5, 50); /* of some 60 bytes each: 1,000 bytes */
}

static void test_pipeline__no_transaction_outgrows_its_size_while_another_is_committed(void **state)
{
    struct world *world = *state;

    stream(world);
    world->endless = ENDLESS;
    ready(world);
    prepared(world);
    for (int i = 0; i < 20; i++) {
        long before = world->state_at;

        pass(world, 100);
        committed(world);
        assert_in_range(world->state_at - before, 5, 50);
    }
}

static void test_pipeline__cuts_under_load_by_age_A3(void **state)
{
    struct world *world = *state;

    stream(world);
    world->settings.producer.transaction_bytes = INT64_MAX;
    world->endless = 10;
    world->cuttable = false; /* else `again` would cut */
    ready(world);
    prepared(world);
    world->cuttable = true;
    pass(world, AGE_MS - 1);
    assert_string_equal(told(world), "prepare-a");
    pass(world, 1);
    assert_string_equal(told(world), "prepare-a give(10) cut(10)");
}

static void test_pipeline__commits_the_position_alone_while_no_selected_table_changes_A6(void **state)
{
    struct world *world = *state;

    stream(world);
    ready(world);
    pass(world, 10 * INTERVAL_MS);
    assert_string_equal(told(world), "");
    world->moved = true;
    pass(world, 2 * INTERVAL_MS);
    assert_string_equal(told(world), "cut(0)");
}

static void test_pipeline__turns_end_also_with_a_source_that_never_does(void **state)
{
    struct world *world = *state;

    stream(world);
    read_script(world, "a.");
    prepared(world);
    committed(world);
    world->settings.producer.transaction_bytes = INT64_MAX;
    world->endless = ENDLESS;
    world->soon = false;
    pipeline_turn(world->pipeline);
    assert_in_range(world->yielded, 1, 1000);
    assert_true(world->soon);
}

static void test_pipeline__a_key_update_is_two_messages_with_their_own_idx_O3(void **state)
{
    struct world *world = *state;
    const struct parcel *parcel;

    stream(world);
    read_script(world, "aA.");
    prepared(world);
    parcel = world->given[0];
    assert_int_equal(parcel->count, 3);
    assert_int_equal(parcel->entries[0].idx, 0);
    assert_int_equal(parcel->entries[1].idx, 2);
    assert_int_equal(parcel->entries[2].idx, 3);
}

/* ---- failures: one way for all */

static void test_pipeline__whatever_fails_it_begins_again_at_what_kafka_holds_A4(void **state)
{
    struct world *world = *state;
    static const char *const scripts[] = {"", "a", "a.", "ab", "aaa"}; /* nothing; prepare; cut; second prepare; rows open */

    stream(world);
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        world->cuttable = i != 4;
        read_script(world, scripts[i]);
        if (i >= 2) {
            prepared(world);
        }
        forget(world);
        failed(world, ERR_RETRY, false);
        assert_string_equal(told(world), "abandon stop");
        stopped(world);
        pass(world, 60000);
        assert_string_equal(told(world), "abandon stop fence");
        world->script = "";
        fence(world, true);
        assert_string_equal(told(world), "abandon stop fence read start(record)");
    }
}

static void test_pipeline__a_failed_first_commit_is_a_first_start_again_if_kafka_says_so(void **state)
{
    struct world *world = *state;

    own(world);
    fence(world, false);
    failed(world, ERR_RETRY, false);
    stopped(world);
    pass(world, 60000);
    forget(world);
    fence(world, false);
    assert_string_equal(told(world), "read start cut(0)");
}

static void test_pipeline__a_source_that_fails_takes_the_same_way(void **state)
{
    struct world *world = *state;

    stream(world);
    world->fails = ERR_RETRY;
    ready(world);
    assert_string_equal(told(world), "abandon stop");
    stopped(world);
    pass(world, 60000);
    assert_string_equal(told(world), "abandon stop fence");
}

static void test_pipeline__opens_again_if_kafka_was_not_there(void **state)
{
    struct world *world = *state;

    failed(world, ERR_RETRY, false);
    pass(world, 60000);
    assert_string_equal(told(world), "open abandon open");
}

static void test_pipeline__pauses_longer_each_time_up_to_half_a_minute(void **state)
{
    struct world *world = *state;
    uint64_t expected_ms = 500;

    own(world);
    for (int try = 0; try < 12; try++) {
        failed(world, ERR_RETRY, false);
        forget(world);
        pass(world, expected_ms - 1);
        assert_string_equal(told(world), "");
        pass(world, 1);
        assert_string_equal(told(world), "fence");
        expected_ms = expected_ms * 2 < 30000 ? expected_ms * 2 : 30000;
    }
}

static void test_pipeline__that_was_fenced_off_asks_the_election_before_it_fences_back(void **state)
{
    struct world *world = *state;

    stream(world);
    failed(world, ERR_RETRY, true);
    stopped(world);
    pass(world, 60000);
    assert_string_equal(told(world), "rejoin abandon stop");
    world->election.owned(world->election.context);
    assert_string_equal(told(world), "rejoin abandon stop fence");
}

static void test_pipeline__that_lost_the_election_throws_away_what_is_open(void **state)
{
    struct world *world = *state;

    stream(world);
    read_script(world, "aa");
    prepared(world);
    forget(world);
    world->election.lost(world->election.context);
    assert_string_equal(told(world), "abandon stop");
    stopped(world);
    pass(world, 60000);
    assert_true(is_state(world, "STANDBY"));
    world->election.owned(world->election.context);
    assert_string_equal(told(world), "abandon stop fence");
}

static void test_pipeline__that_lost_and_won_while_the_source_stopped_goes_on(void **state)
{
    struct world *world = *state;

    stream(world);
    world->election.lost(world->election.context);
    world->election.owned(world->election.context);
    stopped(world);
    assert_string_equal(told(world), "abandon stop fence");
}

static void test_pipeline__ends_with_a_failure_when_a_person_must_act(void **state)
{
    struct world *world = *state;

    own(world);
    failed(world, ERR_FATAL, false);
    assert_string_equal(told(world), "open join fence abandon leave close");
    end(world);
    assert_int_equal(world->exit_code, 1);
}

/* ---- counting (P5) */

static void test_pipeline__counts_what_is_committed_once_however_often_it_is_read(void **state)
{
    struct world *world = *state;

    stream(world);
    read_script(world, "aa.");
    prepared(world);
    assert_int_equal(status_number(world, "d.a"), 0);
    failed(world, ERR_RETRY, false);
    stopped(world);
    pass(world, 60000);
    world->script = "aa.";
    fence(world, true);
    prepared(world);
    committed(world);
    assert_int_equal(status_number(world, "d.a"), 2);
}

/* ---- stopping */

static void test_pipeline__commits_what_is_whole_before_it_stops(void **state)
{
    struct world *world = *state;

    stream(world);
    world->cuttable = false;
    read_script(world, "aa.");
    prepared(world);
    world->cuttable = true;
    forget(world);
    pipeline_stop(world->pipeline);
    assert_string_equal(told(world), "give(2) cut(2)");
    committed(world);
    assert_string_equal(told(world), "give(2) cut(2) abandon stop");
    end(world);
    assert_int_equal(world->exit_code, 0);
}

static void test_pipeline__does_not_wait_long_for_its_last_commit(void **state)
{
    struct world *world = *state;

    stream(world);
    read_script(world, "a.");
    prepared(world);
    forget(world);
    pipeline_stop(world->pipeline);
    pass(world, 4900);
    assert_string_equal(told(world), "");
    pass(world, 200);
    assert_string_equal(told(world), "abandon stop");
    end(world);
    assert_int_equal(world->exit_code, 0);
}

static void test_pipeline__stops_in_the_middle_of_an_event_without_a_commit(void **state)
{
    struct world *world = *state;

    stream(world);
    world->cuttable = false;
    read_script(world, "aa.");
    prepared(world);
    forget(world);
    pipeline_stop(world->pipeline);
    assert_string_equal(told(world), "abandon stop");
}

static void test_pipeline__stops_from_standby_and_from_a_pause(void **state)
{
    struct world *world = *state;

    failed(world, ERR_RETRY, false);
    assert_true(is_state(world, "BACKOFF"));
    pipeline_stop(world->pipeline);
    end(world);
    assert_int_equal(world->exit_code, 0);
}

/* ---- what the admin port says */

static void test_pipeline__is_ready_when_it_stands_by_or_streams(void **state)
{
    struct world *world = *state;
    char text[600];

    assert_false(pipeline_ready(world->pipeline, text, sizeof text));
    world->publisher.opened(world->publisher.context);
    assert_true(pipeline_ready(world->pipeline, text, sizeof text));
    world->election.owned(world->election.context);
    assert_false(pipeline_ready(world->pipeline, text, sizeof text));
    fence(world, true);
    assert_true(pipeline_ready(world->pipeline, text, sizeof text));
}

static void test_pipeline__is_not_healthy_when_rows_wait_and_nothing_is_committed(void **state)
{
    struct world *world = *state;
    char text[600];

    stream(world);
    ready(world);
    pass(world, 3600000);
    assert_true(pipeline_healthy(world->pipeline, text, sizeof text)); /* nothing to do is no stall */
    read_script(world, "a.");
    prepared(world);
    pass(world, 61000);
    assert_false(pipeline_healthy(world->pipeline, text, sizeof text));
    committed(world);
    assert_true(pipeline_healthy(world->pipeline, text, sizeof text));
}

/* It yields nothing because it can't: no rest, however long. */
static void test_pipeline__is_not_healthy_when_the_source_stays_without_a_connection(void **state)
{
    struct world *world = *state;
    char text[600];

    stream(world);
    ready(world);
    pass(world, 3600000);
    world->away = "connecting to the server: refused";
    pass(world, 59000);
    assert_true(pipeline_healthy(world->pipeline, text, sizeof text)); /* a restart of the server is nobody's alarm */
    pass(world, 2000);
    assert_false(pipeline_healthy(world->pipeline, text, sizeof text));
    assert_non_null(strstr(text, world->away));
    assert_true(pipeline_ready(world->pipeline, text, sizeof text)); /* another one would not reach it, either */
    world->away = NULL;
    pass(world, 1000);
    assert_true(pipeline_healthy(world->pipeline, text, sizeof text));
}

static void test_pipeline__is_not_healthy_when_a_first_start_never_connects(void **state)
{
    struct world *world = *state;
    char text[600];

    world->placed = false;
    world->away = "connecting to the server: refused";
    own(world);
    fence(world, false);
    pass(world, 61000);
    assert_false(pipeline_healthy(world->pipeline, text, sizeof text));
    assert_non_null(strstr(text, world->away));
}

static void test_pipeline__status_says_why_the_source_has_no_connection(void **state)
{
    struct world *world = *state;
    json_t *status;

    stream(world);
    ready(world);
    world->away = "connecting to the server: refused";
    status = pipeline_status(world->pipeline);
    assert_string_equal(json_string_value(json_object_get(status, "trouble")), world->away);
    assert_true(json_is_false(json_object_get(json_object_get(status, "source"), "connected")));
    json_decref(status);
    world->away = NULL;
    status = pipeline_status(world->pipeline);
    assert_string_equal(json_string_value(json_object_get(status, "trouble")), "");
    assert_true(json_is_true(json_object_get(json_object_get(status, "source"), "connected")));
    json_decref(status);
}

/* ---- dead letters */

/* A set-aside table in what was cut last, or NULL. */
static const char *aside_in_state(struct world *world, const char *table)
{
    return json_string_value(json_object_get(json_object_get(world->cut_state, "aside"), table));
}

static void test_pipeline__a_row_whose_policy_says_so_is_a_letter_and_the_table_goes_on(void **state)
{
    struct world *world = *state;

    stream(world);
    read_script(world, "ala");
    prepared(world);
    assert_string_equal(told(world), "prepare-a give(3) cut(3)");
    assert_int_equal(world->letters_given, 1);
    assert_null(aside_in_state(world, "d.a"));
    committed(world);
    assert_int_equal(status_number(world, "d.a"), 3);
    assert_int_equal(table_number(world, "d.a", "dead_lettered"), 1);
}

static void test_pipeline__a_table_that_is_set_aside_has_only_letters_from_there_on(void **state)
{
    struct world *world = *state;

    world->settings.source.on_table_error = ON_TABLE_ERROR_DEAD_LETTER;
    stream(world);
    read_script(world, "axab");
    prepared(world);
    prepared(world);
    assert_int_equal(world->messages_given, 4);
    assert_int_equal(world->letters_given, 2);
    assert_non_null(aside_in_state(world, "d.a"));
    assert_null(aside_in_state(world, "d.b"));
    committed(world);
    assert_int_equal(table_number(world, "d.a", "dead_lettered"), 2);
    assert_int_equal(table_number(world, "d.b", "dead_lettered"), 0);
}

static void test_pipeline__a_table_whose_schema_is_refused_stops_the_source_and_is_named(void **state)
{
    struct world *world = *state;

    stream(world);
    read_script(world, "a");
    refused(world);
    stopped(world);
    assert_string_equal(told(world), "prepare-a abandon stop leave close");
    assert_int_equal(world->messages_given, 0);
}

static void test_pipeline__a_table_whose_schema_is_refused_is_set_aside_where_the_policy_says_so(void **state)
{
    struct world *world = *state;

    world->settings.source.on_table_error = ON_TABLE_ERROR_DEAD_LETTER;
    stream(world);
    read_script(world, "aab");
    refused(world);
    prepared(world);
    assert_int_equal(world->messages_given, 3);
    assert_int_equal(world->letters_given, 2);
    assert_string_equal(aside_in_state(world, "d.a"), "not compatible");
    assert_null(aside_in_state(world, "d.b"));
}

static void test_pipeline__a_table_stays_set_aside_after_a_restart_as_long_as_the_record_says_so(void **state)
{
    struct world *world = *state;
    json_t *record = json_pack("{s:{s:s}}", "aside", "d.a", "long ago");

    own(world);
    fence_at(world, record);
    json_decref(record);
    read_script(world, "a");
    assert_int_equal(world->letters_given, 1);
    assert_string_equal(aside_in_state(world, "d.a"), "long ago");
    committed(world);
    failed(world, ERR_RETRY, false);
    stopped(world);
    pass(world, 60000);
    fence(world, true); /* a person has taken it out of the record */
    read_script(world, "a");
    prepared(world);
    assert_int_equal(world->letters_given, 1);
    assert_null(aside_in_state(world, "d.a"));
}

static void test_pipeline__what_was_too_large_is_a_reference_when_it_comes_again(void **state)
{
    struct world *world = *state;

    stream(world);
    read_script(world, "aa");
    prepared(world);
    world->publisher.too_large(world->publisher.context, 7, 2);
    failed(world, ERR_RETRY, false);
    stopped(world);
    pass(world, 60000);
    fence(world, true);
    world->yielded = 0; /* the source begins again */
    world->letters_given = world->messages_given = 0;
    read_script(world, "aa");
    prepared(world);
    assert_int_equal(world->messages_given, 2);
    assert_int_equal(world->letters_given, 1);
    committed(world);
    assert_int_equal(table_number(world, "d.a", "dead_lettered"), 1);
    assert_int_equal(status_number(world, "d.a"), 2);
}

static void test_pipeline__a_reference_that_is_too_large_ends_it(void **state)
{
    struct world *world = *state;

    stream(world);
    world->publisher.too_large(world->publisher.context, 7, 0);
    read_script(world, "a");
    prepared(world);
    assert_int_equal(world->letters_given, 1);
    world->publisher.too_large(world->publisher.context, 7, 0);
    stopped(world);
    end(world);
    assert_int_equal(world->exit_code, 1);
}

static void test_pipeline__more_too_large_changes_than_it_remembers_end_it(void **state)
{
    struct world *world = *state;

    stream(world);
    for (int64_t change = 0; change < PIPELINE_OVERSIZED_MAX; change++) {
        world->publisher.too_large(world->publisher.context, 7, 2 * change);
        world->publisher.too_large(world->publisher.context, 7, 2 * change); /* known: takes no other place */
    }
    assert_int_equal(world->exit_code, -1);
    world->publisher.too_large(world->publisher.context, 7, 2LL * PIPELINE_OVERSIZED_MAX);
    stopped(world);
    end(world);
    assert_int_equal(world->exit_code, 1);
}

/* Lines of the log while so much time passes. */
static const char *log_of(struct world *world, uint64_t time_ms)
{
    log_setup(LOG_INFO, LOG_LOGFMT);
    capture_start(STDERR_FILENO);
    pass(world, time_ms);
    return capture_end(STDERR_FILENO);
}

static void test_pipeline__says_where_it_stands_once_in_an_interval(void **state)
{
    struct world *world = *state;
    const char *line;

    stream(world);
    read_script(world, "aaaaaa.");
    prepared(world);
    committed(world);
    assert_null(strstr(log_of(world, 59000), "heartbeat"));
    line = strstr(log_of(world, 2000), " info heartbeat ");
    assert_non_null(line);
    assert_non_null(strstr(line, "source=shop state=STREAM changes=6 changes_per_s=0.1 kafka_transactions=1 behind_s=0.0 open=0 "));
    assert_null(strstr(line + strlen(" info heartbeat"), "heartbeat"));
    assert_null(strstr(log_of(world, 57000), "heartbeat"));
    line = strstr(log_of(world, 5000), " info heartbeat "); /* the rate is that of the interval */
    assert_non_null(line);
    assert_non_null(strstr(line, " changes=6 changes_per_s=0.0 "));
    log_setup(LOG_ERROR, LOG_LOGFMT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_pipeline__##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(does_nothing_while_another_one_owns_the_source),
        TEST(first_transaction_of_a_source_holds_the_position_alone_A8),
        TEST(asks_for_no_change_before_the_first_position_is_committed_A8),
        TEST(gives_no_row_before_its_schema_is_acknowledged_A9),
        TEST(publishes_a_schema_again_that_a_table_has_again),
        TEST(does_not_cut_while_a_change_waits_for_its_table),
        TEST(neither_asks_nor_cuts_while_a_change_waits_for_room),
        TEST(cuts_only_where_the_source_says_so),
        TEST(has_one_cut_under_way_at_most),
        TEST(a_table_that_can_not_be_encoded_stops_it_and_commits_nothing_of_it),
        TEST(cuts_at_once_when_there_is_nothing_more_A3),
        TEST(cuts_under_load_by_size_A3),
        TEST(no_transaction_outgrows_its_size_while_another_is_committed),
        TEST(cuts_under_load_by_age_A3),
        TEST(commits_the_position_alone_while_no_selected_table_changes_A6),
        TEST(turns_end_also_with_a_source_that_never_does),
        TEST(a_key_update_is_two_messages_with_their_own_idx_O3),
        TEST(whatever_fails_it_begins_again_at_what_kafka_holds_A4),
        TEST(a_failed_first_commit_is_a_first_start_again_if_kafka_says_so),
        TEST(a_source_that_fails_takes_the_same_way),
        TEST(opens_again_if_kafka_was_not_there),
        TEST(pauses_longer_each_time_up_to_half_a_minute),
        TEST(that_was_fenced_off_asks_the_election_before_it_fences_back),
        TEST(that_lost_the_election_throws_away_what_is_open),
        TEST(that_lost_and_won_while_the_source_stopped_goes_on),
        TEST(ends_with_a_failure_when_a_person_must_act),
        TEST(counts_what_is_committed_once_however_often_it_is_read),
        TEST(commits_what_is_whole_before_it_stops),
        TEST(does_not_wait_long_for_its_last_commit),
        TEST(stops_in_the_middle_of_an_event_without_a_commit),
        TEST(stops_from_standby_and_from_a_pause),
        TEST(is_ready_when_it_stands_by_or_streams),
        TEST(is_not_healthy_when_rows_wait_and_nothing_is_committed),
        TEST(is_not_healthy_when_the_source_stays_without_a_connection),
        TEST(is_not_healthy_when_a_first_start_never_connects),
        TEST(status_says_why_the_source_has_no_connection),
        TEST(a_row_whose_policy_says_so_is_a_letter_and_the_table_goes_on),
        TEST(a_table_that_is_set_aside_has_only_letters_from_there_on),
        TEST(a_table_whose_schema_is_refused_stops_the_source_and_is_named),
        TEST(a_table_whose_schema_is_refused_is_set_aside_where_the_policy_says_so),
        TEST(a_table_stays_set_aside_after_a_restart_as_long_as_the_record_says_so),
        TEST(what_was_too_large_is_a_reference_when_it_comes_again),
        TEST(a_reference_that_is_too_large_ends_it),
        TEST(more_too_large_changes_than_it_remembers_end_it),
        TEST(says_where_it_stands_once_in_an_interval),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
