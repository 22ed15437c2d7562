/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane, driven as the worker drives it (recover, ensure, plan, commit the mark, send), into a BigQuery in memory. The oracle is the
 * history itself: each message that was not refused stands in it once, whatever happened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/must.h"
#include "tests/unit/bigquery_cloud.h"
#include "workers/bigquery/mark.h"
#include "workers/bigquery/protobuf.h"
#include "workers/bigquery/storage_messages.h"

#define LOG_MAX   200
#define BATCH_MAX 16
#define SEQ       1000 /* of message 0 */
#define DAY_US    INT64_C(86400000000)

enum phase { LOCATE, RECOVERING, RUN, ENSURING, PLAN, MARK, SENDABLE, SENDING, CLOSING, GONE };

struct group {
    int64_t offset; /* -1001: no commit */
    char mark[MARK_SIZE];
    int generation;
};

/* One member of the group that has, or had, the partition. */
struct owner {
    struct test *test;
    struct lane *lane;
    int generation;
    enum phase phase;
    bool ensured;
    int64_t settled;
    struct warehouse_batch batch;
    struct warehouse_row rows[BATCH_MAX];
    struct buffer values[BATCH_MAX];
    struct request *request;
    size_t refused[BATCH_MAX];
    size_t refused_count;
    enum lane_answer answer; /* the last */
    struct err err;
    bool needs_commit_of_topic;
};

struct test {
    struct cloud *cloud;
    struct group group;
    char log[LOG_MAX + 1]; /* n: a row; d: a message without one; x: refused; y: refused until it is mended */
    int64_t log_size;
    bool mended;
    bool dead[LOG_MAX];
    struct owner *owners[8];
    size_t owner_count;
    uint32_t random;
    size_t pauses;
    size_t surprises;
    size_t bad_rows;
};

static uint32_t draw(void *context)
{
    struct test *test = context;

    test->random = test->random * 1664525 + 1013904223;
    return test->random >> 8;
}

static bool refuses(void *context, int64_t seq)
{
    const struct test *test = context;
    char kind = test->log[seq - SEQ];

    return kind == 'x' || (kind == 'y' && !test->mended);
}

/* ---- the worker's side */

static void on_recovered(void *context, const struct lane_place *place, const struct err *err)
{
    struct owner *owner = context;

    owner->err = err != NULL ? *err : (struct err){0};
    if (owner->phase == CLOSING || owner->phase == GONE) {
        return;
    }
    assert_int_equal(owner->phase, RECOVERING);
    owner->phase = LOCATE;
    if (err == NULL) {
        assert_true(place->cut == LANE_NO_CUT);
        owner->settled = place->start == LANE_OFFSET_BEGINNING ? 0 : place->start;
        owner->needs_commit_of_topic = place->needs_commit_of_topic;
        owner->phase = RUN;
    }
}

static void drop_request(struct owner *owner)
{
    lane_request_free(owner->request);
    owner->request = NULL;
    for (size_t i = 0; i < owner->batch.row_count; i++) {
        buffer_deinit(&owner->values[i]);
    }
    owner->batch.row_count = 0;
}

static void on_ensured(void *context, const struct err *err)
{
    struct owner *owner = context;

    owner->err = err != NULL ? *err : (struct err){0};
    if (owner->phase == ENSURING) {
        owner->ensured = err == NULL;
        owner->phase = PLAN;
        if (err != NULL) {
            drop_request(owner);
            owner->phase = RUN;
        }
    }
}

static void on_sent(void *context, enum lane_answer answer, const size_t *bad_rows, size_t bad_row_count, const struct err *err)
{
    struct owner *owner = context;

    owner->answer = answer;
    owner->err = err != NULL ? *err : (struct err){0};
    if (owner->phase != SENDING) {
        return; /* closed meanwhile */
    }
    switch (answer) {
    case LANE_IN:
        owner->settled = owner->batch.end;
        drop_request(owner);
        owner->phase = RUN;
        break;
    case LANE_BAD_ROWS:
        owner->test->bad_rows++;
        assert_true(bad_row_count > 0);
        memcpy(owner->refused, bad_rows, bad_row_count * sizeof *bad_rows);
        owner->refused_count = bad_row_count;
        for (size_t i = 0; i < bad_row_count; i++) {
            int64_t offset = owner->rows[bad_rows[i]].offset;

            assert_true(owner->test->log[offset] == 'x' || owner->test->log[offset] == 'y');
            owner->test->dead[offset] = true;
        }
        owner->phase = MARK;
        break;
    case LANE_PAUSE:
        owner->test->pauses++;
        owner->phase = SENDABLE;
        break;
    default:
        assert_int_equal(answer, LANE_SURPRISE);
        owner->test->surprises++;
        drop_request(owner);
        owner->ensured = false;
        owner->phase = LOCATE;
        break;
    }
}

static void on_closed(void *context)
{
    struct owner *owner = context;

    assert_true(owner->phase == CLOSING);
    owner->phase = GONE;
    drop_request(owner);
}

static void close_owner(struct owner *owner)
{
    if (owner->phase < CLOSING) {
        owner->phase = CLOSING;
        lane_close(owner->lane, on_closed, owner);
        cloud_laters(owner->test->cloud);
    }
}

static struct owner *assign(struct test *test)
{
    struct owner *owner = calloc(1, sizeof *owner);

    must(owner != NULL);
    assert_true(test->owner_count < 8);
    owner->test = test;
    owner->generation = ++test->group.generation;
    owner->lane = lane_open(test->cloud->lanes, "kakehi.shop.orders", 0, (uint64_t)owner->generation);
    owner->phase = LOCATE;
    test->owners[test->owner_count++] = owner;
    return owner;
}

/* A batch of so many messages. */
static void fill(struct owner *owner, int64_t size)
{
    const struct test *test = owner->test;

    owner->batch = (struct warehouse_batch){.rows = owner->rows, .start = owner->settled, .end = owner->settled};
    while (owner->batch.end < test->log_size && owner->batch.end - owner->batch.start < size) {
        int64_t offset = owner->batch.end++;
        size_t row = owner->batch.row_count;

        if (test->log[offset] != 'd') {
            owner->values[row] = (struct buffer){0};
            cloud_value(test->cloud, &owner->values[row], SEQ + offset);
            owner->rows[row] = (struct warehouse_row){
                .schema = test->cloud->schema, .value = owner->values[row].bytes, .value_size = owner->values[row].size, .offset = offset};
            owner->batch.row_count++;
        }
    }
}

/* Kafka refuses the commit of an older generation: the partition is lost. */
static bool commit(struct owner *owner)
{
    struct group *group = &owner->test->group;

    if (owner->generation != group->generation) {
        close_owner(owner);
        return false;
    }
    group->offset = owner->settled;
    (void)snprintf(group->mark, sizeof group->mark, "%s", lane_mark(owner->lane));
    return true;
}

static void mark(struct owner *owner)
{
    if (owner->refused_count > 0) {
        lane_drop_rows(owner->lane, owner->request, owner->refused, owner->refused_count);
        owner->refused_count = 0;
    }
    if (commit(owner)) {
        owner->phase = SENDABLE;
    }
}

static void plan(struct owner *owner)
{
    size_t bad_row = 0;
    struct err err = {0};

    owner->request = lane_plan(owner->lane, &owner->batch, &bad_row, &err);
    if (owner->request == NULL) {
        fail_msg("plan: %s", err.text);
    }
    owner->phase = MARK;
}

/* The next thing that it does by itself. False: it waits, or has nothing to do. */
static bool owner_step(struct owner *owner, int64_t batch_size)
{
    switch (owner->phase) {
    case LOCATE:
        owner->phase = RECOVERING;
        lane_recover(owner->lane, owner->test->group.offset, owner->test->group.mark, on_recovered, owner);
        break;
    case RUN:
        if (owner->settled == owner->test->log_size) {
            return owner->test->group.offset != owner->settled && commit(owner);
        }
        fill(owner, batch_size);
        owner->phase = PLAN;
        if (!owner->ensured && owner->batch.row_count > 0) {
            owner->phase = ENSURING;
            lane_ensure(owner->lane, owner->test->cloud->schema, on_ensured, owner);
        }
        break;
    case PLAN:
        if (lane_prepare(owner->lane, &owner->batch, on_ensured, owner)) {
            plan(owner);
        } else {
            owner->phase = ENSURING;
        }
        break;
    case MARK:
        mark(owner);
        break;
    case SENDABLE:
        owner->phase = SENDING;
        lane_send(owner->lane, owner->request, on_sent, owner);
        break;
    default:
        return false;
    }
    return true;
}

/* Until nothing moves, or the owner stands in that phase. */
static void run_to(struct test *test, struct owner *owner, enum phase phase)
{
    for (int i = 0; i < 10000 && owner->phase != phase; i++) {
        if (!cloud_step(test->cloud) && !owner_step(owner, BATCH_MAX)) {
            return;
        }
    }
}

static void run(struct test *test, struct owner *owner)
{
    run_to(test, owner, GONE);
}

/* The same without answers to what was sent. */
static void run_to_sending(struct test *test, struct owner *owner)
{
    run_to(test, owner, SENDING);
    cloud_laters(test->cloud);
}

/* ---- the oracle */

static void check_once(const struct test *test)
{
    for (int64_t offset = 0; offset < test->log_size; offset++) {
        size_t count = cloud_count(test->cloud, SEQ + offset);

        if (count > 1) {
            fail_msg("message %d is %zu times in the history (log %s, commit %d %s)", (int)offset, count, test->log, (int)test->group.offset,
                     test->group.mark);
        }
    }
}

static void check_all(const struct test *test)
{
    check_once(test);
    assert_int_equal(test->group.offset, test->log_size);
    for (int64_t offset = 0; offset < test->log_size; offset++) {
        size_t count = cloud_count(test->cloud, SEQ + offset);
        bool kept = count == 1 || test->dead[offset];

        if (test->log[offset] == 'n' ? count != 1 : test->log[offset] == 'd' ? count != 0 : !kept) {
            fail_msg("message %d (%c) is %zu times in the history (log %s)", (int)offset, test->log[offset], count, test->log);
        }
    }
}

static void set_log(struct test *test, const char *log)
{
    (void)snprintf(test->log, sizeof test->log, "%s", log);
    test->log_size = (int64_t)strlen(log);
}

static struct test *begin(const char *log)
{
    struct test *test = calloc(1, sizeof *test);

    must(test != NULL);
    test->group.offset = -1001;
    test->cloud = cloud_new();
    test->cloud->refuses = refuses;
    test->cloud->refuses_context = test;
    set_log(test, log);
    return test;
}

static void end(struct test *test)
{
    for (size_t i = 0; i < test->owner_count; i++) {
        close_owner(test->owners[i]);
    }
    cloud_settle(test->cloud);
    for (size_t i = 0; i < test->owner_count; i++) {
        assert_int_equal(test->owners[i]->phase, GONE);
        free(test->owners[i]);
    }
    cloud_free(test->cloud);
    free(test);
}

static void script(struct test *test, struct cloud_fate fate)
{
    test->cloud->script[test->cloud->script_count++] = fate;
}

/* ---- the ordinary course */

static void test_lane__puts_each_row_in_once(void **state)
{
    struct test *test = begin("nnnnnnnndnnnnnnnnnnnnnnnnndddnnn");

    (void)state;
    run(test, assign(test));
    check_all(test);
    assert_int_equal(test->cloud->creates_seen, 1);
    assert_int_equal(test->cloud->calls_opened, 1);
    assert_false(test->cloud->schema_missing);
    end(test);
}

static void test_lane__makes_no_stream_for_a_silent_partition(void **state)
{
    struct test *test = begin("ddd");

    (void)state;
    run(test, assign(test));
    assert_int_equal(test->group.offset, 3);
    assert_string_equal(test->group.mark, "v1 append - - 0");
    assert_int_equal(test->cloud->creates_seen, 0);
    assert_int_equal(test->cloud->calls_opened, 0);
    end(test);
}

static void test_lane__has_its_view_kept_by_partition_0_without_a_row(void **state)
{
    struct test *test = begin("nn");
    struct lane *first = lane_open(test->cloud->lanes, "kakehi.shop.orders", 0, 7);
    struct lane *second = lane_open(test->cloud->lanes, "kakehi.shop.orders", 1, 7);
    struct owner owner = {.test = test, .phase = ENSURING};

    (void)state;
    assert_int_equal(test->cloud->kept, 1);
    lane_recover(second, -1001, "", on_recovered, &(struct owner){.test = test, .phase = RECOVERING});
    cloud_settle(test->cloud);
    assert_int_equal(test->cloud->looked, 0);
    lane_ensure(second, test->cloud->schema, on_ensured, &owner);
    cloud_settle(test->cloud);
    assert_int_equal(test->cloud->looked, 1); /* whoever finds the table says so */
    lane_close(second, on_closed, &(struct owner){.test = test, .phase = CLOSING});
    cloud_settle(test->cloud);
    assert_int_equal(test->cloud->kept, 1);
    lane_close(first, on_closed, &(struct owner){.test = test, .phase = CLOSING});
    cloud_settle(test->cloud);
    assert_int_equal(test->cloud->kept, 0);
    end(test);
}

static void test_lane__names_each_request_before_it_is_sent(void **state)
{
    struct test *test = begin("nnnnnnnnnnnn");
    struct mark marked;
    struct err err = {0};
    int64_t rows = 0;

    (void)state;
    run_to_sending(test, assign(test));
    assert_int_equal(test->cloud->requests_seen, 0);
    assert_int_equal(mark_parse(test->group.mark, &marked, &err), 0);
    assert_true(marked.append.request_count > 1);
    for (size_t i = 0; i < marked.append.request_count; i++) {
        rows += marked.append.requests[i].rows;
    }
    assert_int_equal(rows, 12);
    assert_int_equal(marked.append.requests[0].seq, SEQ);
    assert_int_equal(marked.append.requests[marked.append.request_count - 1].end, 12);
    end(test);
}

static void test_lane__waits_for_its_turn_when_all_calls_are_taken(void **state)
{
    struct test *test = begin("nnnn");
    struct owner *owner;

    (void)state;
    test->cloud->settings.bigquery.calls_max = 1;
    for (int i = 0; i < 4; i++) {
        owner = assign(test);
        test->group.offset = i == 0 ? -1001 : test->group.offset;
        run(test, owner);
        set_log(test, "nnnnnnnnnnnnnnnnnnnn");
        test->log_size = 4 * (i + 2);
    }
    assert_true(test->cloud->calls_open_max <= 2);
    test->log_size = 16;
    check_all(test);
    end(test);
}

/* ---- what an answer makes of a batch: each row of the table, end to end */

struct course {
    const char *name;
    struct cloud_fate fate;
    enum lane_answer answer;
    bool is_in; /* the rows of the first try */
};

static void test_lane__answers_as_the_table_says(void **state)
{
    static const struct course courses[] = {
        {"connection lost before", {.skip = true, .swallow = true}, LANE_PAUSE, false},
        {"connection lost behind", {.swallow = true}, LANE_PAUSE, true},
        {"RESOURCE_EXHAUSTED", {.skip = true, .code = GRPC_RESOURCE_EXHAUSTED}, LANE_PAUSE, false},
        {"UNAVAILABLE", {.skip = true, .code = GRPC_UNAVAILABLE, .ends_call = true}, LANE_PAUSE, false},
        {"INTERNAL, and it is in", {.code = GRPC_INTERNAL}, LANE_PAUSE, true},
        {"ABORTED", {.skip = true, .code = GRPC_ABORTED}, LANE_PAUSE, false},
        {"CANCELLED", {.skip = true, .code = GRPC_CANCELLED}, LANE_PAUSE, false},
        {"DEADLINE_EXCEEDED", {.code = GRPC_DEADLINE_EXCEEDED}, LANE_PAUSE, true},
        {"UNKNOWN", {.skip = true, .code = GRPC_UNKNOWN}, LANE_PAUSE, false},
        {"UNAUTHENTICATED", {.skip = true, .code = GRPC_UNAUTHENTICATED, .ends_call = true}, LANE_PAUSE, false},
        {"UNAUTHENTICATED in-band", {.skip = true, .code = GRPC_UNAUTHENTICATED}, LANE_PAUSE, false},
        {"extra fields",
         {.skip = true, .code = GRPC_INVALID_ARGUMENT, .error_code = STORAGE_ERROR_SCHEMA_MISMATCH_EXTRA_FIELDS},
         LANE_PAUSE,
         false},
        {"PERMISSION_DENIED", {.skip = true, .code = GRPC_PERMISSION_DENIED}, LANE_PAUSE, false},
        {"INVALID_ARGUMENT", {.skip = true, .code = GRPC_INVALID_ARGUMENT}, LANE_PAUSE, false},
        {"ALREADY_EXISTS, never sent", {.skip = true, .code = GRPC_ALREADY_EXISTS}, LANE_SURPRISE, false},
        {"OUT_OF_RANGE, first", {.skip = true, .code = GRPC_OUT_OF_RANGE}, LANE_SURPRISE, false},
        {"NOT_FOUND", {.skip = true, .code = GRPC_NOT_FOUND}, LANE_SURPRISE, false},
        {"finalized", {.skip = true, .code = GRPC_INVALID_ARGUMENT, .error_code = STORAGE_ERROR_STREAM_FINALIZED}, LANE_SURPRISE, false},
        {"DATA_LOSS", {.code = GRPC_DATA_LOSS}, LANE_SURPRISE, true},
        {"a code of another time", {.code = 99}, LANE_SURPRISE, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof courses / sizeof courses[0]; i++) {
        struct test *test = begin("nn");
        struct owner *owner = assign(test);

        script(test, courses[i].fate);
        run_to_sending(test, owner);
        while (owner->phase == SENDING && cloud_step(test->cloud)) {
        }
        if (owner->answer != courses[i].answer || owner->phase == SENDING) {
            fail_msg("%s: answer %d", courses[i].name, owner->answer);
        }
        assert_int_equal(test->cloud->row_count, courses[i].is_in ? 2 : 0);
        run(test, owner);
        check_all(test);
        end(test);
    }
}

static void test_lane__sends_the_same_bytes_again(void **state) /* C3 */
{
    struct test *test = begin("nn");
    struct owner *owner = assign(test);
    struct buffer first = {0};

    (void)state;
    script(test, (struct cloud_fate){.skip = true, .swallow = true});
    run_to_sending(test, owner);
    while (owner->phase == SENDING && cloud_step(test->cloud)) {
    }
    buffer_append(&first, test->cloud->last_rows.bytes, test->cloud->last_rows.size);
    test->cloud->wall_us += DAY_US; /* the day that the rows carry is that of the plan */
    set_log(test, "nnnnnn");        /* and more rows wait */
    run_to_sending(test, owner);
    while (owner->phase == SENDING && cloud_step(test->cloud)) {
    }
    assert_int_equal(owner->answer, LANE_IN);
    assert_int_equal(test->cloud->requests_seen, 2);
    assert_int_equal(first.size, test->cloud->last_rows.size);
    assert_memory_equal(first.bytes, test->cloud->last_rows.bytes, first.size);
    run(test, owner);
    check_all(test);
    buffer_deinit(&first);
    end(test);
}

static void test_lane__takes_already_exists_for_in_only_behind_a_try_of_its_own(void **state)
{
    struct test *test = begin("nn");
    struct owner *owner = assign(test);

    (void)state;
    script(test, (struct cloud_fate){.swallow = true}); /* it is in, and nobody says so */
    run(test, owner);
    check_all(test);
    assert_int_equal(test->pauses, 1);
    assert_int_equal(test->surprises, 0);
    assert_int_equal(test->cloud->finalizes_seen, 0);
    end(test);
}

static void test_lane__buries_refused_rows_and_sends_the_rest(void **state)
{
    struct test *test = begin("nnxnnnnnnxxn");
    struct owner *owner = assign(test);

    (void)state;
    run(test, owner);
    check_all(test);
    assert_int_equal(test->surprises, 0);
    assert_true(test->dead[2] && test->dead[9] && test->dead[10]);
    end(test);
}

static void test_lane__goes_past_a_request_all_of_whose_rows_are_refused(void **state)
{
    struct test *test = begin("xxxxxx");

    (void)state;
    run(test, assign(test));
    check_all(test);
    assert_int_equal(test->cloud->row_count, 0);
    end(test);
}

static void test_lane__seals_the_stream_where_a_refused_copy_may_still_arrive(void **state) /* C5 */
{
    struct test *test = begin("yn");
    struct owner *owner = assign(test);

    (void)state;
    script(test, (struct cloud_fate){.stray = true}); /* the first copy is delayed, and the second refused */
    run_to(test, owner, SENDING);
    while (owner->phase == SENDING && cloud_step(test->cloud)) {
    }
    assert_int_equal(owner->answer, LANE_PAUSE);
    run_to_sending(test, owner);
    while (owner->phase == SENDING && cloud_step(test->cloud)) {
    }
    assert_int_equal(owner->answer, LANE_SURPRISE);
    assert_false(test->dead[0]);
    run_to(test, owner, RUN);
    test->mended = true;
    assert_true(cloud_arrive(test->cloud, 0)); /* into a sealed stream */
    assert_int_equal(test->cloud->row_count, 0);
    run(test, owner);
    check_all(test);
    end(test);
}

/* N4: r1 is refused on its only try, but a copy of r2, which stood behind it, was never answered. Behind the shorter r1 it might fit. */
static void test_lane__shortens_nothing_while_a_copy_of_a_later_request_may_arrive(void **state)
{
    struct test *test = begin("nnnnnxn");
    struct owner *owner = assign(test);

    (void)state;
    script(test, (struct cloud_fate){0});
    script(test, (struct cloud_fate){.stray = true});
    run(test, owner);
    check_all(test);
    while (cloud_arrive(test->cloud, 0)) {
    }
    check_all(test);
    end(test);
}

static void test_lane__keeps_a_request_for_a_quarter_of_an_hour_until_the_column_is_known(void **state)
{
    struct test *test = begin("nn");
    struct owner *owner = assign(test);

    (void)state;
    for (int i = 0; i < CLOUD_SCRIPT_MAX; i++) {
        script(test,
               (struct cloud_fate){
                   .skip = true, .code = GRPC_INVALID_ARGUMENT, .error_code = STORAGE_ERROR_SCHEMA_MISMATCH_EXTRA_FIELDS});
    }
    for (int i = 0; i < 15; i++) {
        run_to(test, owner, SENDABLE);
        run_to_sending(test, owner);
        while (owner->phase == SENDING && cloud_step(test->cloud)) {
        }
        assert_int_equal(owner->answer, LANE_PAUSE);
        assert_int_equal(test->cloud->calls_opened, (size_t)i + 1); /* each on a call of its own */
        cloud_pass(test->cloud, 60000);
    }
    run_to_sending(test, owner);
    while (owner->phase == SENDING && cloud_step(test->cloud)) {
    }
    assert_int_equal(owner->answer, LANE_SURPRISE);
    run(test, owner);
    check_all(test);
    end(test);
}

static void test_lane__sends_again_what_has_no_answer(void **state)
{
    struct test *test = begin("nn");
    struct owner *owner = assign(test);

    (void)state;
    script(test, (struct cloud_fate){.stall = true});
    run_to_sending(test, owner);
    cloud_settle(test->cloud);
    cloud_pass(test->cloud, 119000);
    assert_int_equal(owner->phase, SENDING);
    cloud_pass(test->cloud, 1000);
    assert_int_equal(owner->answer, LANE_PAUSE);
    assert_non_null(strstr(owner->err.text, "120 s"));
    run(test, owner);
    check_all(test);
    assert_int_equal(test->surprises, 0);
    end(test);
}

/* Do the rows hold this day's number? Nothing else in them is as large. */
static bool rows_carry(const struct buffer *rows, int64_t day)
{
    uint8_t varint[PROTOBUF_VARINT_MAX];
    const uint8_t *end = protobuf_write_varint(varint, (uint64_t)day);

    return memmem(rows->bytes, rows->size, varint, (size_t)(end - varint)) != NULL;
}

static void test_lane__recovers_what_is_not_in_after_an_hour_and_stamps_it_anew(void **state) /* FT-F3 */
{
    struct test *test = begin("nn");
    struct owner *owner;
    int64_t day = test->cloud->wall_us / DAY_US;
    int tries = 0;

    (void)state;
    test->cloud->wall_us = (day + 1) * DAY_US - DAY_US / 48; /* half an hour before midnight */
    owner = assign(test);
    for (int i = 0; i < CLOUD_SCRIPT_MAX; i++) {
        script(test, (struct cloud_fate){.skip = true, .code = GRPC_UNAVAILABLE});
    }
    run_to(test, owner, SENDABLE);
    while (test->surprises == 0) {
        run_to_sending(test, owner);
        while (owner->phase == SENDING && cloud_step(test->cloud)) {
        }
        assert_true(rows_carry(&test->cloud->last_rows, day) && !rows_carry(&test->cloud->last_rows, day + 1)); /* C3: until then the same bytes */
        cloud_pass(test->cloud, 300000);
        tries++;
    }
    assert_int_equal(tries, 13);
    test->cloud->script_at = test->cloud->script_count;
    run(test, owner);
    check_all(test);
    assert_int_equal(test->cloud->finalizes_seen, 1); /* a first copy that is still under way is refused */
    assert_true(rows_carry(&test->cloud->last_rows, day + 1) && !rows_carry(&test->cloud->last_rows, day));
    end(test);
}

static void test_lane__makes_few_streams_while_a_person_must_act(void **state)
{
    static const int codes[] = {GRPC_PERMISSION_DENIED, GRPC_INVALID_ARGUMENT};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct test *test = begin("nn");
        struct owner *owner = assign(test);

        for (int minute = 0; minute < 600; minute++) {
            test->cloud->script_at = 0;
            test->cloud->script_count = 1;
            test->cloud->script[0] = (struct cloud_fate){.skip = true, .code = codes[i]};
            run_to(test, owner, SENDING);
            while (owner->phase == SENDING && cloud_step(test->cloud)) {
            }
            assert_true(owner->err.text[0] != '\0'); /* what /healthz says */
            cloud_pass(test->cloud, 60000);
        }
        assert_true(test->surprises > 10); /* another stream might help */
        assert_true(test->cloud->creates_seen <= 6 + 600 / 60 + 1);
        run(test, owner);
        check_all(test);
        end(test);
    }
}

static void test_lane__goes_on_with_a_new_token_when_one_is_refused(void **state)
{
    struct test *test = begin("nnn");

    (void)state;
    script(test, (struct cloud_fate){.skip = true, .code = GRPC_UNAUTHENTICATED, .ends_call = true});
    script(test, (struct cloud_fate){.skip = true, .code = GRPC_UNAUTHENTICATED});
    run(test, assign(test));
    check_all(test);
    assert_int_equal(test->cloud->tokens_refused, 2);
    end(test);
}

static void test_lane__opens_a_new_call_for_a_new_layout(void **state)
{
    struct test *test = begin("nnn");
    struct owner *owner = assign(test);

    (void)state;
    run(test, owner);
    test->cloud->generation = 2;
    test->cloud->extra_column = true;
    owner->ensured = false; /* another schema came */
    set_log(test, "nnnnnn");
    run(test, owner);
    check_all(test);
    assert_int_equal(test->cloud->calls_opened, 2);
    assert_int_equal(test->cloud->creates_seen, 1);
    assert_false(test->cloud->schema_missing);
    end(test);
}

/* ---- recovery */

static void test_lane__finds_by_the_row_count_what_is_in(void **state) /* FENCE */
{
    (void)state;
    for (int answered = 0; answered < 5; answered++) {
        struct test *test = begin("nnnnnnnnnnnnnnnn");
        struct owner *owner = assign(test);

        run_to_sending(test, owner);
        for (int i = 0; i < answered; i++) {
            cloud_step(test->cloud);
        }
        close_owner(owner); /* kill -9 */
        owner = assign(test);
        run_to(test, owner, RUN);
        assert_int_equal(cloud_count(test->cloud, SEQ + owner->settled), 0);
        assert_true(owner->settled == 0 || cloud_count(test->cloud, SEQ + owner->settled - 1) == 1);
        assert_int_equal(test->cloud->asked_count, answered == 0 ? 1 : 0);
        while (cloud_arrive(test->cloud, 0)) { /* into a sealed stream */
        }
        run(test, owner);
        check_all(test);
        end(test);
    }
}

static void test_lane__asks_the_table_where_the_stream_is_gone(void **state) /* C7 */
{
    (void)state;
    for (int in = 0; in < 2; in++) {
        struct test *test = begin("nnnn");
        struct owner *owner = assign(test);

        script(test, (struct cloud_fate){.skip = in == 0, .swallow = true});
        run_to_sending(test, owner);
        cloud_step(test->cloud);
        close_owner(owner);
        test->cloud->streams[0].gone = true;
        owner = assign(test);
        run_to(test, owner, RUN);
        assert_int_equal(owner->settled > 0, in == 1);
        assert_true(test->cloud->asked_count > 0);
        run(test, owner);
        check_all(test);
        end(test);
    }
}

static void test_lane__asks_the_table_where_sealing_gives_no_count(void **state) /* C7 */
{
    struct test *test = begin("nnnnnnnn");
    struct owner *owner = assign(test);

    (void)state;
    run_to_sending(test, owner);
    cloud_step(test->cloud);
    close_owner(owner);
    test->cloud->no_count = true;
    owner = assign(test);
    run(test, owner);
    check_all(test);
    assert_true(test->cloud->asked_count > 0);
    end(test);
}

static void test_lane__asks_nobody_about_a_gone_stream_with_nothing_under_way(void **state) /* C7 */
{
    struct test *test = begin("nnnn");

    (void)state;
    run(test, assign(test));
    test->cloud->streams[0].gone = true;
    set_log(test, "nnnnnn");
    run(test, assign(test));
    check_all(test);
    assert_int_equal(test->cloud->asked_count, 0);
    end(test);
}

static void test_lane__is_stopped_by_a_count_that_fits_no_plan(void **state)
{
    struct test *test = begin("nnnn");
    struct owner *owner = assign(test);
    struct cloud_stream *stream;

    (void)state;
    run(test, owner);
    close_owner(owner);
    stream = &test->cloud->streams[0];
    stream->rows[stream->row_count++] = 7; /* somebody else wrote into it */
    owner = assign(test);
    run_to(test, owner, RUN);
    assert_int_equal(owner->err.class, ERR_FATAL);
    assert_non_null(strstr(owner->err.text, "holds 5 rows"));
    close_owner(owner);
    stream->row_count = 2; /* and here rows are gone */
    owner = assign(test);
    run_to(test, owner, RUN);
    assert_int_equal(owner->err.class, ERR_FATAL);
    end(test);
}

static void expect_stop(const char *mark, int64_t offset, const char *hash, bool there, const char *text)
{
    struct test *test = begin("nnnn");
    struct owner *owner;

    test->group.offset = offset;
    (void)snprintf(test->group.mark, sizeof test->group.mark, "%s", mark);
    test->cloud->table_there = there;
    memcpy(test->cloud->hash, hash, sizeof test->cloud->hash);
    owner = assign(test);
    owner_step(owner, 1);
    cloud_settle(test->cloud);
    if (owner->err.class != ERR_FATAL || strstr(owner->err.text, text) == NULL) {
        fail_msg("%s: %s: %s", mark, err_class_name(owner->err.class), owner->err.text);
    }
    assert_int_equal(test->cloud->creates_seen, 0);
    end(test);
}

static void test_lane__is_stopped_where_what_is_in_is_not_known(void **state) /* C6, and the hash */
{
    (void)state;
    expect_stop("", 17, "0a1b2c3d", true, "a tool has set it");
    expect_stop("{\"connect\":1}", 17, "0a1b2c3d", true, "does not write");
    expect_stop("v2 append 0a1b2c3d s1 0", 17, "0a1b2c3d", true, "newer release");
    expect_stop("v1 append 0a1b2c3d s1 4", 4, "ffffffff", true, "kakehi_continues:0a1b2c3d");
    expect_stop("v1 append 0a1b2c3d s1 4", 4, "0a1b2c3d", false, "kakehi_continues:0a1b2c3d");
}

static void test_lane__without_a_commit_asks_whether_the_history_is_empty(void **state) /* C6 */
{
    (void)state;
    for (int rows = 0; rows < 2; rows++) {
        struct test *test = begin("nn");
        struct owner *owner;

        test->cloud->table_there = true;
        test->cloud->rows[0] = 5;
        test->cloud->row_count = (size_t)rows;
        owner = assign(test);
        run_to(test, owner, RUN);
        assert_int_equal(owner->settled, 0);
        assert_int_equal(owner->needs_commit_of_topic, rows > 0);
        end(test);
    }
}

static void test_lane__is_not_stopped_by_trouble_that_may_pass(void **state)
{
    static const int codes[] = {GRPC_UNAVAILABLE, GRPC_PERMISSION_DENIED, GRPC_UNAUTHENTICATED, GRPC_RESOURCE_EXHAUSTED};

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct test *test = begin("nnnn");
        struct owner *owner = assign(test);

        test->cloud->create_code = codes[i];
        run_to(test, owner, ENSURING);
        cloud_settle(test->cloud);
        assert_int_equal(owner->err.class, ERR_NONE); /* the table is there */
        run_to(test, owner, ENSURING);
        cloud_settle(test->cloud);
        assert_int_equal(owner->err.class, ERR_RETRY); /* no stream */
        test->cloud->create_code = 0;
        run(test, owner);
        close_owner(owner);
        test->cloud->finalize_code = codes[i];
        owner = assign(test);
        owner_step(owner, 1);
        cloud_settle(test->cloud);
        assert_int_equal(owner->err.class, ERR_RETRY);
        test->cloud->finalize_code = 0;
        run(test, owner);
        check_all(test);
        end(test);
    }
}

static void test_lane__can_be_closed_at_any_moment(void **state)
{
    (void)state;
    for (int steps = 0; steps < 40; steps++) {
        struct test *test = begin("nnxnnnnnnnnnnnn");
        struct owner *owner = assign(test);

        for (int i = 0; i < steps; i++) {
            if (!cloud_step(test->cloud)) {
                owner_step(owner, 5);
            }
        }
        end(test);
    }
}

/* ---- random schedules */

static void begin_random(struct test *test, uint32_t seed)
{
    static const char kinds[] = "nnnnnnnnnnnnnnnnnnnnxyd";
    char log[LOG_MAX + 1] = {0};
    size_t size = 10 + seed % 40;

    test->random = seed * 2654435761u + 1;
    for (size_t i = 0; i < size; i++) {
        log[i] = kinds[draw(test) % (sizeof kinds - 1)];
    }
    set_log(test, log);
    test->cloud->offsets_first = draw(test) % 2;
    test->cloud->settings.bigquery.calls_max = 1 + draw(test) % 3;
}

static void something_happens(struct test *test, uint32_t chance)
{
    uint32_t what = draw(test) % 100;
    struct owner *owner = test->owners[draw(test) % test->owner_count];

    if (what < 45) {
        (void)cloud_draw(test->cloud, draw, test, chance);
    } else if (what < 90) {
        if (owner->phase < CLOSING) {
            (void)owner_step(owner, 1 + draw(test) % BATCH_MAX);
        }
    } else if (what < 93) {
        cloud_pass(test->cloud, 1000 + (draw(test) % 4) * 60000);
    } else if (what < 96) {
        (void)cloud_arrive(test->cloud, draw(test) % (test->cloud->copy_count + 1));
    } else if (what < 97) {
        test->mended = test->mended || draw(test) % 4 == 0;
    } else if (what < 98 && test->owner_count < 8 && chance > 0) {
        if (draw(test) % 2) {
            close_owner(test->owners[test->owner_count - 1]); /* kill -9; else it is a zombie */
        }
        assign(test);
    } else if (owner->phase == RUN && owner->settled != test->group.offset) {
        (void)commit(owner);
    }
    cloud_laters(test->cloud);
}

static void test_lane__random_schedules_lose_nothing_and_double_nothing(void **state)
{
    size_t pauses = 0;
    size_t surprises = 0;
    size_t bad_rows = 0;

    (void)state;
    for (uint32_t seed = 1; seed <= 400; seed++) {
        struct test *test = begin("");
        struct owner *last;

        begin_random(test, seed);
        assign(test);
        for (int i = 0; i < 600; i++) {
            something_happens(test, 15);
            check_once(test);
        }
        last = test->owners[test->owner_count - 1];
        if (last->phase >= CLOSING) {
            test->owner_count -= test->owner_count == 8; /* room for a last one */
            last = test->owner_count == 7 ? (free(test->owners[7]), assign(test)) : assign(test);
        }
        for (int i = 0; i < 20000 && (test->group.offset != test->log_size || last->phase != RUN); i++) {
            something_happens(test, 0);
        }
        if (test->group.offset != test->log_size) {
            fail_msg("seed %u: no end: commit %d of %d, phase %d, %s", seed, (int)test->group.offset, (int)test->log_size, last->phase, last->err.text);
        }
        while (cloud_arrive(test->cloud, 0)) {
        }
        check_all(test);
        pauses += test->pauses;
        surprises += test->surprises;
        bad_rows += test->bad_rows;
        end(test);
    }
    print_message("pauses %zu, surprises %zu, refused %zu\n", pauses, surprises, bad_rows);
    assert_true(pauses > 100 && surprises > 100 && bad_rows > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lane__puts_each_row_in_once),
        cmocka_unit_test(test_lane__makes_no_stream_for_a_silent_partition),
        cmocka_unit_test(test_lane__has_its_view_kept_by_partition_0_without_a_row),
        cmocka_unit_test(test_lane__names_each_request_before_it_is_sent),
        cmocka_unit_test(test_lane__waits_for_its_turn_when_all_calls_are_taken),
        cmocka_unit_test(test_lane__answers_as_the_table_says),
        cmocka_unit_test(test_lane__sends_the_same_bytes_again),
        cmocka_unit_test(test_lane__takes_already_exists_for_in_only_behind_a_try_of_its_own),
        cmocka_unit_test(test_lane__buries_refused_rows_and_sends_the_rest),
        cmocka_unit_test(test_lane__goes_past_a_request_all_of_whose_rows_are_refused),
        cmocka_unit_test(test_lane__seals_the_stream_where_a_refused_copy_may_still_arrive),
        cmocka_unit_test(test_lane__shortens_nothing_while_a_copy_of_a_later_request_may_arrive),
        cmocka_unit_test(test_lane__keeps_a_request_for_a_quarter_of_an_hour_until_the_column_is_known),
        cmocka_unit_test(test_lane__sends_again_what_has_no_answer),
        cmocka_unit_test(test_lane__recovers_what_is_not_in_after_an_hour_and_stamps_it_anew),
        cmocka_unit_test(test_lane__makes_few_streams_while_a_person_must_act),
        cmocka_unit_test(test_lane__goes_on_with_a_new_token_when_one_is_refused),
        cmocka_unit_test(test_lane__opens_a_new_call_for_a_new_layout),
        cmocka_unit_test(test_lane__finds_by_the_row_count_what_is_in),
        cmocka_unit_test(test_lane__asks_the_table_where_the_stream_is_gone),
        cmocka_unit_test(test_lane__asks_the_table_where_sealing_gives_no_count),
        cmocka_unit_test(test_lane__asks_nobody_about_a_gone_stream_with_nothing_under_way),
        cmocka_unit_test(test_lane__is_stopped_by_a_count_that_fits_no_plan),
        cmocka_unit_test(test_lane__is_stopped_where_what_is_in_is_not_known),
        cmocka_unit_test(test_lane__without_a_commit_asks_whether_the_history_is_empty),
        cmocka_unit_test(test_lane__is_not_stopped_by_trouble_that_may_pass),
        cmocka_unit_test(test_lane__can_be_closed_at_any_moment),
        cmocka_unit_test(test_lane__random_schedules_lose_nothing_and_double_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
