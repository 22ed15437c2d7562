/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam as the consumer uses it: a real file, a real loop, the writer's thread. A second connection looks at what is in.
 *
 * FT-C1, C2, C4 and C6 of ARCHITECTURE.md as far as one file goes: an owner killed at any moment, an owner that was replaced
 * and goes on, offsets that were deleted or moved by a tool. What the consumer must do for them is tested there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "schemas/decimal.h"
#include "tests/unit/make_table.h"
#include "tests/unit/sqlite_query.h"
#include "workers/sqlite/rows.h"
#include "workers/sqlite/sqlite_warehouse.h"
#include "workers/sqlite/writer.h"

#define TOPIC    "kakehi.shop.orders"
#define ROWS_MAX 32

/* The rows of one batch, and what keeps them. */
struct rows {
    struct warehouse_row rows[ROWS_MAX];
    struct buffer values[ROWS_MAX];
    size_t count;
};

struct world {
    uv_loop_t loop;
    char path[64];
    struct settings settings;
    struct warehouse *warehouse;
    struct schema *orders; /* id, note */
};

/* One answer of any kind. */
struct answer {
    bool done;
    bool failed;
    struct err err;
    int64_t start;
    enum lane_answer sent;
    size_t bad_rows[ROWS_MAX];
    size_t bad_row_count;
};

/* ---- the world */

static void start(struct world *world)
{
    struct err err = {0};

    assert_int_equal(uv_loop_init(&world->loop), 0);
    world->settings = (struct settings){.sqlite_file = world->path, .sqlite_table = (char *)(uintptr_t) "{table}"};
    if (sqlite_warehouse_new(&world->loop, &world->settings, &world->warehouse, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static void on_done(void *context)
{
    *(bool *)context = true;
}

static void wait_for(struct world *world, const bool *done)
{
    while (!*done) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

static void stop(struct world *world)
{
    bool done = false;

    world->warehouse->calls->free(world->warehouse, on_done, &done);
    wait_for(world, &done);
    assert_int_equal(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&world->loop), 0);
}

static int set_up_stopped(void **state)
{
    static struct world world;

    world = (struct world){.orders = make_schema("shop", "orders", "id", "id long, note text")};
    sqlite_folder_make(world.path);
    *state = &world;
    return 0;
}

static int tear_down_stopped(void **state)
{
    struct world *world = *state;

    schema_free(world->orders);
    sqlite_folder_remove(world->path);
    return 0;
}

static int set_up(void **state)
{
    (void)set_up_stopped(state);
    start(*state);
    return 0;
}

static int tear_down(void **state)
{
    stop(*state);
    return tear_down_stopped(state);
}

static void assert_query(struct world *world, const char *sql, const char *expected)
{
    assert_string_equal(sqlite_query(world->path, sql), expected);
}

/* ---- calls that are waited for */

static void on_ensured(void *context, const struct err *err)
{
    struct answer *answer = context;

    assert_false(answer->done); /* exactly once */
    *answer = (struct answer){.done = true, .failed = err != NULL};
    answer->err = err != NULL ? *err : answer->err;
}

static void on_recovered(void *context, const struct lane_place *place, const struct err *err)
{
    struct answer *answer = context;

    on_ensured(context, err);
    answer->start = place->start;
    assert_true(place->cut == LANE_NO_CUT);
    assert_false(place->needs_commit_of_topic); /* the file is the record */
}

static void on_sent(void *context, enum lane_answer sent, const size_t *bad_rows, size_t bad_row_count, const struct err *err)
{
    struct answer *answer = context;

    on_ensured(context, err);
    answer->sent = sent;
    answer->bad_row_count = bad_row_count;
    if (bad_row_count > 0) {
        memcpy(answer->bad_rows, bad_rows, bad_row_count * sizeof *bad_rows);
    }
    assert_int_equal(err == NULL, sent == LANE_IN); /* everything else says why */
}

static struct lane *lane_open(struct world *world, int32_t partition)
{
    return world->warehouse->calls->open(world->warehouse, TOPIC, partition, 1);
}

static int64_t recover(struct world *world, struct lane *lane)
{
    struct answer answer = {0};

    world->warehouse->calls->recover(lane, 999, "of no interest", on_recovered, &answer); /* C6: the file is the record */
    wait_for(world, &answer.done);
    assert_false(answer.failed);
    return answer.start;
}

static struct answer ensure(struct world *world, struct lane *lane, const struct schema *schema)
{
    struct answer answer = {0};

    world->warehouse->calls->ensure(lane, schema, on_ensured, &answer);
    wait_for(world, &answer.done);
    return answer;
}

/* A lane with tables, recovered. */
static struct lane *lane_ready(struct world *world, int32_t partition, int64_t expected_start)
{
    struct lane *lane = lane_open(world, partition);

    assert_true(recover(world, lane) == expected_start);
    assert_false(ensure(world, lane, world->orders).failed);
    return lane;
}

static void lane_close(struct world *world, struct lane *lane)
{
    bool done = false;

    world->warehouse->calls->close(lane, on_done, &done);
    assert_false(done); /* never inside the call */
    wait_for(world, &done);
}

static void add_row(struct rows *rows, const struct schema *schema, const struct cell *cells)
{
    const struct record_meta meta = {'c', 1795222923456789, (int64_t)rows->count + 1, 0, "shop", 4, "0-1-17", 6};
    struct buffer *value = &rows->values[rows->count];
    struct err err;

    assert_true(rows->count < ROWS_MAX);
    assert_int_equal(record_encode_value(value, schema->table, cells, &meta, &err), 0);
    rows->rows[rows->count++] = (struct warehouse_row){.schema = schema, .value = value->bytes, .value_size = value->size};
}

static void add_orders(struct rows *rows, const struct schema *schema, int64_t first_id, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct cell cells[] = {{.state = CELL_VALUE, .integer = first_id + (int64_t)i},
                                     {.state = CELL_VALUE, .bytes = (const uint8_t *)"note", .size = 4}};

        add_row(rows, schema, cells);
    }
}

static void rows_deinit(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        buffer_deinit(&rows->values[i]);
    }
}

static struct request *plan(struct world *world, struct lane *lane, const struct rows *rows, int64_t start_offset, int64_t end)
{
    const struct warehouse_batch batch = {.rows = rows->rows, .row_count = rows->count, .start = start_offset, .end = end};
    size_t bad_row;
    struct err err = {0};
    struct request *request = world->warehouse->calls->plan(lane, &batch, &bad_row, &err);

    if (request == NULL) {
        fail_msg("%s", err.text);
    }
    return request;
}

static struct answer send_request(struct world *world, struct lane *lane, struct request *request)
{
    struct answer answer = {0};

    world->warehouse->calls->send(lane, request, on_sent, &answer);
    assert_false(answer.done);
    wait_for(world, &answer.done);
    return answer;
}

/* Orders first_id.. as one request. */
static struct answer send_orders(struct world *world, struct lane *lane, int64_t first_id, size_t count, int64_t start_offset,
                                 int64_t end)
{
    struct rows rows = {0};
    struct request *request;
    struct answer answer;

    add_orders(&rows, world->orders, first_id, count);
    request = plan(world, lane, &rows, start_offset, end);
    answer = send_request(world, lane, request);
    world->warehouse->calls->request_free(request);
    rows_deinit(&rows);
    return answer;
}

/* ---- what must not happen */

static void test_sqlite__file_that_cannot_be_made_is_refused_at_the_start(void **state)
{
    struct world *world = *state;
    uv_loop_t loop;
    struct err err = {0};

    assert_int_equal(uv_loop_init(&loop), 0);
    world->settings = (struct settings){.sqlite_file = (char *)(uintptr_t) "/tmp/kakehi-no-such-folder/rows.db",
                                        .sqlite_table = (char *)(uintptr_t) "{table}"};
    assert_int_equal(sqlite_warehouse_new(&loop, &world->settings, &world->warehouse, &err), -1);
    assert_int_equal(err.class, ERR_FATAL);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_sqlite__plan_names_the_row_that_cannot_be_decoded(void **state)
{
    struct world *world = *state;
    struct lane *lane = lane_open(world, 0);
    struct rows rows = {0};
    struct warehouse_batch batch = {.rows = rows.rows, .row_count = 3, .start = LANE_OFFSET_BEGINNING, .end = 3};
    size_t bad_row = 99;
    struct err err = {0};

    add_orders(&rows, world->orders, 1, 3);
    rows.rows[1].value_size--;
    assert_null(world->warehouse->calls->plan(lane, &batch, &bad_row, &err));
    assert_int_equal(err.class, ERR_POISON);
    assert_int_equal(bad_row, 1);
    rows_deinit(&rows);
    lane_close(world, lane);
}

/* C1: only the newest owner's epoch takes rows. */
static void test_sqlite__ft_c1_replaced_owner_adds_no_row(void **state)
{
    struct world *world = *state;
    struct lane *old = lane_ready(world, 0, LANE_OFFSET_BEGINNING);
    struct lane *new = lane_ready(world, 0, LANE_OFFSET_BEGINNING);

    assert_int_equal(send_orders(world, old, 1, 3, LANE_OFFSET_BEGINNING, 3).sent, LANE_SURPRISE);
    assert_query(world, "SELECT count(*) FROM orders_history", "0");
    assert_query(world, "SELECT next, epoch FROM kakehi_offsets", "null|2");
    assert_int_equal(send_orders(world, new, 1, 3, LANE_OFFSET_BEGINNING, 3).sent, LANE_IN);
    assert_query(world, "SELECT count(*) FROM orders_history", "3");
    lane_close(world, old);
    lane_close(world, new);
}

/* C2: the request of the old owner arrives when the new one has written; the place would even fit. */
static void test_sqlite__ft_c2_late_request_adds_no_row(void **state)
{
    struct world *world = *state;
    struct lane *old = lane_ready(world, 0, LANE_OFFSET_BEGINNING);
    struct lane *new;

    assert_int_equal(send_orders(world, old, 1, 3, LANE_OFFSET_BEGINNING, 3).sent, LANE_IN);
    new = lane_ready(world, 0, 3);
    assert_int_equal(send_orders(world, new, 4, 2, 3, 5).sent, LANE_IN);
    assert_int_equal(send_orders(world, old, 6, 1, 5, 6).sent, LANE_SURPRISE);
    assert_int_equal(send_orders(world, old, 4, 3, 3, 6).sent, LANE_SURPRISE);
    assert_query(world, "SELECT count(*), count(DISTINCT id) FROM orders_history", "5|5");
    assert_query(world, "SELECT next FROM kakehi_offsets", "5");
    lane_close(world, old);
    lane_close(world, new);
}

static void test_sqlite__request_out_of_place_adds_no_row(void **state)
{
    struct world *world = *state;
    struct lane *lane = lane_ready(world, 0, LANE_OFFSET_BEGINNING);

    assert_int_equal(send_orders(world, lane, 1, 3, 0, 3).sent, LANE_SURPRISE); /* 0 is not the beginning */
    assert_int_equal(send_orders(world, lane, 1, 3, LANE_OFFSET_BEGINNING, 3).sent, LANE_IN);
    assert_int_equal(send_orders(world, lane, 1, 3, LANE_OFFSET_BEGINNING, 3).sent,
                     LANE_SURPRISE);                                            /* again, as after a lost answer */
    assert_int_equal(send_orders(world, lane, 5, 1, 4, 5).sent, LANE_SURPRISE); /* a gap */
    assert_query(world, "SELECT count(*) FROM orders_history", "3");
    assert_true(recover(world, lane) == 3);
    assert_int_equal(send_orders(world, lane, 4, 1, 3, 4).sent, LANE_IN);
    lane_close(world, lane);
}

static void test_sqlite__lane_that_did_not_recover_adds_no_row(void **state)
{
    struct world *world = *state;
    struct lane *ready = lane_ready(world, 0, LANE_OFFSET_BEGINNING);
    struct lane *lane = lane_open(world, 0);

    assert_int_equal(send_orders(world, lane, 1, 1, LANE_OFFSET_BEGINNING, 1).sent, LANE_SURPRISE);
    assert_query(world, "SELECT count(*) FROM orders_history", "0");
    lane_close(world, ready);
    lane_close(world, lane);
}

/* The child of the test below: writes ten rows a request until it is killed, and tells of each answer. */
static void write_until_killed(struct world *world, int tell)
{
    struct lane *lane;
    int64_t next;

    start(world);
    lane = lane_open(world, 0);
    next = recover(world, lane);
    assert_false(ensure(world, lane, world->orders).failed);
    for (;;) {
        int64_t first = next == LANE_OFFSET_BEGINNING ? 0 : next;

        if (send_orders(world, lane, first, 10, next, first + 10).sent != LANE_IN || write(tell, "+", 1) != 1) {
            _exit(1);
        }
        next = first + 10;
    }
}

/* C1: kill -9 at any moment; rows and offset are one, and the next owner goes on where the file says. */
static void test_sqlite__ft_c1_rows_and_offset_are_one_when_killed(void **state)
{
    struct world *world = *state;

    for (int round = 1; round <= 5; round++) {
        int told[2];
        char answers[16];
        pid_t child;
        int status;
        char expected[64];
        int64_t count;

        assert_int_equal(pipe(told), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            write_until_killed(world, told[1]);
        }
        close(told[1]);
        for (int answer = 0; answer < 3 * round; answer++) {
            assert_int_equal(read(told[0], answers, 1), 1);
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        close(told[0]);
        count = strtoll(sqlite_query(world->path, "SELECT count(*) FROM orders_history"), NULL, 10);
        assert_true(count >= 30 * round);
        (void)snprintf(expected, sizeof expected, "%lld|%lld|0|%lld|%d", (long long)count, (long long)count,
                       (long long)count - 1, round);
        assert_query(world,
                     "SELECT (SELECT next FROM kakehi_offsets), count(DISTINCT id), min(id), max(id),"
                     " (SELECT epoch FROM kakehi_offsets) FROM orders_history",
                     expected);
    }
}

/* A worker of the test below: its own partition, fifty requests; a locked file makes it try again. Never returns. */
static void write_fifty(struct world *world, int32_t partition)
{
    struct answer recovered = {.failed = true};
    struct answer ensured = {.failed = true};
    struct lane *lane;
    int64_t next;

    start(world);
    lane = lane_open(world, partition);
    while (recovered.failed) {
        recovered = (struct answer){0};
        world->warehouse->calls->recover(lane, -1001, "", on_recovered, &recovered);
        wait_for(world, &recovered.done);
    }
    while (ensured.failed) {
        ensured = ensure(world, lane, world->orders);
    }
    next = recovered.start;
    for (int64_t end = 10; end <= 500;) {
        enum lane_answer sent = send_orders(world, lane, partition * 1000 + end, 10, next, end).sent;

        if (sent != LANE_IN && sent != LANE_PAUSE) {
            _exit(1);
        }
        if (sent == LANE_IN) {
            next = end;
            end += 10;
        }
    }
    lane_close(world, lane);
    stop(world);
    _exit(0);
}

static void test_sqlite__processes_share_one_file(void **state)
{
    enum { COUNT = 3 };
    struct world *world = *state;
    pid_t children[COUNT];

    for (int i = 0; i < COUNT; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            write_fifty(world, i);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        int status;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_query(world, "SELECT group_concat(next), group_concat(epoch) FROM kakehi_offsets", "500,500,500|1,1,1");
    assert_query(world, "SELECT count(*), count(DISTINCT id) FROM orders_history", "1500|1500");
}

/* ---- what goes wrong for a while */

static void test_sqlite__locked_file_pauses_and_the_same_request_goes_in_later(void **state)
{
    struct world *world = *state;
    struct lane *lane = lane_ready(world, 0, LANE_OFFSET_BEGINNING);
    struct rows rows = {0};
    struct request *request;
    struct answer answer;
    sqlite3 *holder;

    assert_int_equal(sqlite3_open(world->path, &holder), SQLITE_OK);
    assert_int_equal(sqlite3_exec(holder, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    add_orders(&rows, world->orders, 1, 3);
    request = plan(world, lane, &rows, LANE_OFFSET_BEGINNING, 3);
    answer = send_request(world, lane, request);
    assert_int_equal(answer.sent, LANE_PAUSE);
    assert_int_equal(answer.err.class, ERR_RETRY);
    assert_non_null(strstr(answer.err.text, "locked"));
    assert_int_equal(sqlite3_exec(holder, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(holder), SQLITE_OK);
    assert_int_equal(send_request(world, lane, request).sent, LANE_IN);
    assert_query(world, "SELECT count(*) FROM orders_history", "3");
    world->warehouse->calls->request_free(request);
    rows_deinit(&rows);
    lane_close(world, lane);
}

/* The disk takes no more: here by the limit on a file's size, which stands for any write that fails. */
static void test_sqlite__disk_that_takes_no_more_pauses_and_loses_nothing(void **state)
{
    struct world *world = *state;
    struct lane *lane = lane_ready(world, 0, LANE_OFFSET_BEGINNING);
    const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    struct rlimit limit = {256 * 1024, RLIM_INFINITY};
    char *note = calloc(1, 1024 * 1024);
    const struct cell cells[] = {{.state = CELL_VALUE, .integer = 2},
                                 {.state = CELL_VALUE, .bytes = (const uint8_t *)note, .size = 1024 * 1024}};
    struct rows rows = {0};
    struct request *request;
    struct answer answer;

    assert_int_equal(send_orders(world, lane, 1, 1, LANE_OFFSET_BEGINNING, 1).sent, LANE_IN);
    add_row(&rows, world->orders, cells);
    request = plan(world, lane, &rows, 1, 2);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    answer = send_request(world, lane, request);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
    assert_int_equal(answer.sent, LANE_PAUSE);
    assert_int_equal(answer.err.class, ERR_RETRY);
    assert_query(world, "SELECT count(*), (SELECT next FROM kakehi_offsets) FROM orders_history", "1|1");
    assert_int_equal(send_request(world, lane, request).sent, LANE_IN);
    assert_query(world, "SELECT count(*), (SELECT next FROM kakehi_offsets) FROM orders_history", "2|2");
    world->warehouse->calls->request_free(request);
    rows_deinit(&rows);
    free(note);
    lane_close(world, lane);
}

static void test_sqlite__bad_rows_are_named_all_and_the_rest_goes_in_without_them(void **state)
{
    struct world *world = *state;
    struct lane *lane = lane_ready(world, 0, LANE_OFFSET_BEGINNING);
    struct rows rows = {0};
    struct request *request;
    struct answer answer;

    assert_query(
        world, "CREATE TRIGGER hand BEFORE INSERT ON orders_history WHEN new.id IN (3, 5) BEGIN SELECT raise(ABORT, 'no'); END",
        "");
    add_orders(&rows, world->orders, 1, 6);
    request = plan(world, lane, &rows, LANE_OFFSET_BEGINNING, 6);
    answer = send_request(world, lane, request);
    assert_int_equal(answer.sent, LANE_BAD_ROWS);
    assert_int_equal(answer.bad_row_count, 2);
    assert_int_equal(answer.bad_rows[0], 2);
    assert_int_equal(answer.bad_rows[1], 4);
    assert_int_equal(answer.err.class, ERR_POISON);
    assert_query(world, "SELECT count(*), (SELECT next FROM kakehi_offsets) FROM orders_history", "0|null");

    assert_query(world,
                 "DROP TRIGGER hand; CREATE TRIGGER hand BEFORE INSERT ON orders_history WHEN new.id IN (3, 5, 6)"
                 " BEGIN SELECT raise(ABORT, 'no'); END",
                 "");
    world->warehouse->calls->drop_rows(lane, request, answer.bad_rows, answer.bad_row_count);
    answer = send_request(world, lane, request);
    assert_int_equal(answer.sent, LANE_BAD_ROWS);
    assert_int_equal(answer.bad_row_count, 1);
    assert_int_equal(answer.bad_rows[0], 5); /* the index of the planned batch, after a drop too */
    world->warehouse->calls->drop_rows(lane, request, answer.bad_rows, answer.bad_row_count);
    assert_int_equal(send_request(world, lane, request).sent, LANE_IN);
    assert_query(world, "SELECT group_concat(id), (SELECT next FROM kakehi_offsets) FROM orders_history", "1,2,4|6");
    world->warehouse->calls->request_free(request);
    rows_deinit(&rows);
    lane_close(world, lane);
}

/* Three requests in one transaction, the middle one at fault. */
static void send_three(struct world *world, struct lane *lanes[3], struct answer answers[3])
{
    struct rows rows[3] = {0};
    struct request *requests[3];

    for (int i = 0; i < 3; i++) {
        add_orders(&rows[i], world->orders, 10 * (i + 1), 2);
        requests[i] = plan(world, lanes[i], &rows[i], LANE_OFFSET_BEGINNING, 2);
        answers[i] = (struct answer){0};
        world->warehouse->calls->send(lanes[i], requests[i], on_sent, &answers[i]);
    }
    for (int i = 0; i < 3; i++) {
        wait_for(world, &answers[i].done);
        world->warehouse->calls->request_free(requests[i]);
        rows_deinit(&rows[i]);
    }
}

static void open_three(struct world *world, struct lane *lanes[3])
{
    for (int i = 0; i < 3; i++) {
        lanes[i] = lane_ready(world, i, LANE_OFFSET_BEGINNING);
    }
}

static void close_three(struct world *world, struct lane *lanes[3])
{
    for (int i = 0; i < 3; i++) {
        lane_close(world, lanes[i]);
    }
}

static void test_sqlite__bad_row_of_one_lane_does_not_hold_up_the_others(void **state)
{
    struct world *world = *state;
    struct lane *lanes[3];
    struct answer answers[3];

    open_three(world, lanes);
    assert_query(
        world, "CREATE TRIGGER hand BEFORE INSERT ON orders_history WHEN new.id = 21 BEGIN SELECT raise(ABORT, 'no'); END", "");
    send_three(world, lanes, answers);
    assert_int_equal(answers[0].sent, LANE_IN);
    assert_int_equal(answers[1].sent, LANE_BAD_ROWS);
    assert_int_equal(answers[2].sent, LANE_IN);
    assert_query(world, "SELECT group_concat(id) FROM orders_history", "10,11,30,31");
    assert_query(world, "SELECT group_concat(ifnull(next, 'null')) FROM kakehi_offsets", "2,null,2");
    close_three(world, lanes);
}

/* A trigger may end the whole transaction: whoever shares it waits, and only the row at fault is blamed. */
static void test_sqlite__row_that_ends_the_transaction_is_the_only_one_blamed(void **state)
{
    struct world *world = *state;
    struct lane *lanes[3];
    struct answer answers[3];

    open_three(world, lanes);
    assert_query(world,
                 "CREATE TRIGGER hand BEFORE INSERT ON orders_history WHEN new.id = 21 BEGIN SELECT raise(ROLLBACK, 'no'); END",
                 "");
    send_three(world, lanes, answers);
    assert_int_equal(answers[1].sent, LANE_BAD_ROWS);
    assert_int_equal(answers[1].bad_row_count, 1);
    assert_int_equal(answers[1].bad_rows[0], 1);
    for (int i = 0; i < 3; i += 2) { /* in, or rolled back with the other: as the writer's thread happened to group them */
        assert_true(answers[i].sent == LANE_IN || answers[i].sent == LANE_PAUSE);
    }
    assert_query(world, "SELECT count(*) FROM orders_history WHERE id BETWEEN 20 AND 29", "0");
    assert_query(world, "SELECT (SELECT count(*) FROM orders_history) = (SELECT sum(ifnull(next, 0)) FROM kakehi_offsets)",
                 "1");
    close_three(world, lanes);
}

static void test_sqlite__history_dropped_by_hand_stops_its_lane_alone(void **state)
{
    struct world *world = *state;
    struct schema *items = make_schema("shop", "items", "id", "id long, note text");
    struct lane *lane = lane_ready(world, 0, LANE_OFFSET_BEGINNING);
    struct lane *other = lane_open(world, 1);
    struct rows rows = {0};
    struct request *request;
    struct answer answer;

    assert_true(recover(world, other) == LANE_OFFSET_BEGINNING);
    assert_false(ensure(world, other, items).failed);
    assert_query(world, "DROP VIEW items; DROP TABLE items_history", "");
    add_orders(&rows, items, 1, 1);
    request = plan(world, other, &rows, LANE_OFFSET_BEGINNING, 1);
    answer = send_request(world, other, request);
    assert_int_equal(answer.sent, LANE_STOP);
    assert_int_equal(answer.err.class, ERR_FATAL);
    assert_non_null(strstr(answer.err.text, "items_history"));
    assert_query(world, "SELECT next FROM kakehi_offsets WHERE partition = 1", "null");
    assert_int_equal(send_orders(world, lane, 1, 1, LANE_OFFSET_BEGINNING, 1).sent, LANE_IN);
    world->warehouse->calls->request_free(request);
    rows_deinit(&rows);
    lane_close(world, lane);
    lane_close(world, other);
    schema_free(items);
}

static void test_sqlite__ensure_says_what_collides(void **state)
{
    struct world *world = *state;
    struct schema *other = make_schema("archive", "orders", "id", "id long");
    struct lane *lane = lane_ready(world, 0, LANE_OFFSET_BEGINNING);
    struct answer answer = ensure(world, lane, other);

    assert_true(answer.failed);
    assert_int_equal(answer.err.class, ERR_FATAL);
    assert_non_null(strstr(answer.err.text, "{database}_{table}"));
    lane_close(world, lane);
    schema_free(other);
}

static void test_sqlite__full_queue_answers_retry(void **state)
{
    struct world *world = *state;
    struct lane *lane = lane_open(world, 0);
    static struct answer answers[SQLITE_QUEUE_MAX + 3];
    size_t failed = 0;

    memset(answers, 0, sizeof answers);
    for (size_t i = 0; i < SQLITE_QUEUE_MAX + 3; i++) {
        world->warehouse->calls->recover(lane, 0, "", on_recovered, &answers[i]);
    }
    for (size_t i = 0; i < SQLITE_QUEUE_MAX + 3; i++) {
        wait_for(world, &answers[i].done);
        failed += answers[i].failed && answers[i].err.class == ERR_RETRY;
    }
    assert_int_equal(failed, 3);
    lane_close(world, lane);
}

/* ---- what does happen */

static void test_sqlite__batch_without_rows_moves_the_end(void **state)
{
    struct world *world = *state;
    struct lane *lane = lane_ready(world, 0, LANE_OFFSET_BEGINNING);

    assert_int_equal(send_orders(world, lane, 0, 0, LANE_OFFSET_BEGINNING, 40).sent, LANE_IN);
    assert_int_equal(send_orders(world, lane, 1, 1, 40, 41).sent, LANE_IN);
    assert_query(world, "SELECT topic, partition, next FROM kakehi_offsets", TOPIC "|0|41");
    lane_close(world, lane);
}

/* C4, C6: what recovery needs is in the file, whoever comes; it answers the same after a restart. */
static void test_sqlite__ft_c4_recovery_needs_nothing_but_the_file(void **state)
{
    struct world *world = *state;
    struct lane *lane = lane_ready(world, 7, LANE_OFFSET_BEGINNING);

    assert_int_equal(send_orders(world, lane, 1, 3, LANE_OFFSET_BEGINNING, 12).sent, LANE_IN);
    lane_close(world, lane);
    stop(world);
    start(world);
    lane = lane_ready(world, 7, 12);
    lane_close(world, lane);
    lane = lane_ready(world, 8, LANE_OFFSET_BEGINNING); /* another partition */
    lane_close(world, lane);
    assert_query(world, "SELECT partition, epoch FROM kakehi_offsets ORDER BY partition", "7|2;8|1");
}

static void test_sqlite__two_lanes_keep_their_own_offsets(void **state)
{
    struct world *world = *state;
    struct lane *one = lane_ready(world, 0, LANE_OFFSET_BEGINNING);
    struct lane *other = lane_ready(world, 1, LANE_OFFSET_BEGINNING);

    assert_int_equal(send_orders(world, one, 1, 3, LANE_OFFSET_BEGINNING, 3).sent, LANE_IN);
    assert_int_equal(send_orders(world, other, 11, 2, LANE_OFFSET_BEGINNING, 20).sent, LANE_IN);
    assert_int_equal(send_orders(world, one, 4, 1, 3, 4).sent, LANE_IN);
    assert_query(world, "SELECT partition, next FROM kakehi_offsets ORDER BY partition", "0|4;1|20");
    assert_query(world, "SELECT count(*) FROM orders", "6");
    lane_close(world, one);
    lane_close(world, other);
}

static void test_sqlite__rows_of_older_and_newer_schemas_in_one_batch(void **state)
{
    struct world *world = *state;
    struct schema *newer = make_schema("shop", "orders", "id", "id long, note text, price decimal 10 2");
    struct lane *lane = lane_ready(world, 0, LANE_OFFSET_BEGINNING);
    const struct cell cells[] = {{.state = CELL_VALUE, .integer = 2},
                                 {.state = CELL_NULL},
                                 {.state = CELL_VALUE, .bytes = (const uint8_t *)"\x04\xd2", .size = 2}};
    struct rows rows = {0};
    struct request *request;

    assert_false(ensure(world, lane, newer).failed);
    add_orders(&rows, world->orders, 1, 1);
    add_row(&rows, newer, cells);
    add_orders(&rows, world->orders, 3, 1);
    request = plan(world, lane, &rows, LANE_OFFSET_BEGINNING, 3);
    assert_int_equal(send_request(world, lane, request).sent, LANE_IN);
    assert_query(world, "SELECT id, note, price FROM orders ORDER BY id", "1|note|null;2|null|12.34;3|note|null");
    world->warehouse->calls->request_free(request);
    rows_deinit(&rows);
    lane_close(world, lane);
    schema_free(newer);
}

/* More schemas than prepared statements are kept. */
static void test_sqlite__many_schemas_are_written(void **state)
{
    enum { COUNT = SQLITE_STATEMENTS_MAX + 3 };
    struct world *world = *state;
    struct lane *lane = lane_ready(world, 0, LANE_OFFSET_BEGINNING);
    struct schema *schemas[COUNT];
    int64_t next = LANE_OFFSET_BEGINNING;

    for (int i = 0; i < COUNT; i++) {
        char name[20];

        (void)snprintf(name, sizeof name, "t%d", i);
        schemas[i] = make_schema("shop", name, "id", "id long, note text");
        assert_false(ensure(world, lane, schemas[i]).failed);
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            struct rows rows = {0};
            struct request *request;
            int64_t end = round * COUNT + i + 1;

            add_orders(&rows, schemas[i], 100 * round + i, 1);
            request = plan(world, lane, &rows, next, end);
            assert_int_equal(send_request(world, lane, request).sent, LANE_IN);
            next = end;
            world->warehouse->calls->request_free(request);
            rows_deinit(&rows);
        }
    }
    assert_query(world, "SELECT group_concat(id) FROM t0_history", "0,100");
    assert_query(world, "SELECT group_concat(id) FROM t63_history", "63,163");
    assert_query(world, "SELECT group_concat(id) FROM t66_history", "66,166");
    for (int i = 0; i < COUNT; i++) {
        schema_free(schemas[i]);
    }
    lane_close(world, lane);
}

static struct cell text_of(const char *text)
{
    return (struct cell){.state = CELL_VALUE, .bytes = (const uint8_t *)text, .size = strlen(text)};
}

static struct cell integer(int64_t value)
{
    return (struct cell){.state = CELL_VALUE, .integer = value};
}

static struct cell real(double value)
{
    return (struct cell){.state = CELL_VALUE, .real = value};
}

static void send_cells(struct world *world, struct lane *lane, const struct schema *schema, const struct cell *cells,
                       int64_t start_offset)
{
    struct rows rows = {0};
    struct request *request;

    add_row(&rows, schema, cells);
    request = plan(world, lane, &rows, start_offset, start_offset < 0 ? 1 : start_offset + 1);
    assert_int_equal(send_request(world, lane, request).sent, LANE_IN);
    world->warehouse->calls->request_free(request);
    rows_deinit(&rows);
}

static void test_sqlite__every_type_as_it_is_documented(void **state)
{
    struct world *world = *state;
    struct schema *schema = make_schema("shop", "types", "a_long", EVERY_TYPE);
    struct lane *lane = lane_ready(world, 0, LANE_OFFSET_BEGINNING);
    uint8_t decimal[DECIMAL_BYTES_MAX];
    struct cell cells[COLUMN_TYPE_COUNT] = {
        [COLUMN_LONG] = integer(INT64_MIN),
        [COLUMN_ULONG] = integer(-1),
        [COLUMN_DECIMAL] = {.state = CELL_VALUE, .bytes = decimal},
        [COLUMN_DECIMAL_TEXT] = text_of("99999999999999999999999999999999999999999999999999999999999999999"),
        [COLUMN_FLOAT] = real(1.5),
        [COLUMN_DOUBLE] = real(-0.0),
        [COLUMN_BOOLEAN] = integer(1),
        [COLUMN_BYTES] = {.state = CELL_VALUE, .bytes = (const uint8_t *)"\0\xff\0", .size = 3},
        [COLUMN_DATE] = integer(20778),
        [COLUMN_DATETIME] = integer(-1),
        [COLUMN_TIMESTAMP] = integer(1795222923456789),
        [COLUMN_TIME] = integer(-3020399999999),
        [COLUMN_YEAR] = integer(2155),
        [COLUMN_TEXT] = {.state = CELL_VALUE, .bytes = (const uint8_t *)"a\0ü😀", .size = 8},
        [COLUMN_JSON] = text_of("{\"a\": 1}"),
    };

    cells[COLUMN_DECIMAL].size =
        decimal_from_digits("12345678901234567890123456789012345123456789012345678901234567890", 65, true, decimal);
    assert_false(ensure(world, lane, schema).failed);
    send_cells(world, lane, schema, cells, LANE_OFFSET_BEGINNING);
    assert_query(world, "SELECT a_long, typeof(a_long), a_ulong, typeof(a_ulong) FROM types",
                 "-9223372036854775808|integer|18446744073709551615|text");
    assert_query(world, "SELECT a_decimal, typeof(a_decimal), a_decimal_text, typeof(a_decimal_text) FROM types",
                 "-12345678901234567890123456789012345.123456789012345678901234567890|text|"
                 "99999999999999999999999999999999999999999999999999999999999999999|text");
    assert_query(world, "SELECT a_float, typeof(a_float), typeof(a_double), a_boolean, typeof(a_boolean) FROM types",
                 "1.5|real|real|1|integer");
    assert_query(world, "SELECT hex(a_bytes), typeof(a_bytes), a_date, a_datetime, a_timestamp, a_time, a_year FROM types",
                 "00FF00|blob|2026-11-21|1969-12-31 23:59:59.999999|2026-11-21 01:02:03.456789|-3020399999999|2155");
    assert_query(world, "SELECT hex(a_text), typeof(a_text), a_json, typeof(a_json) FROM types",
                 "6100C3BCF09F9880|text|{\"a\": 1}|text");
    assert_query(world, "SELECT __op, __ts, typeof(__seq), __idx, __source, __txid FROM types_history",
                 "c|2026-11-21 01:02:03.456789|integer|0|shop|0-1-17");
    cells[COLUMN_ULONG] = integer(INT64_MAX);
    send_cells(world, lane, schema, cells, 1);
    assert_query(world, "SELECT typeof(a_ulong) FROM types_history WHERE a_ulong = 9223372036854775807", "integer");
    lane_close(world, lane);
    schema_free(schema);
}

static void test_sqlite__null_and_empty_are_different_in_every_type(void **state)
{
    struct world *world = *state;
    struct schema *schema = make_schema("shop", "types", "", EVERY_TYPE);
    struct lane *lane = lane_ready(world, 0, LANE_OFFSET_BEGINNING);
    struct cell cells[COLUMN_TYPE_COUNT] = {0}; /* all null */

    assert_false(ensure(world, lane, schema).failed);
    send_cells(world, lane, schema, cells, LANE_OFFSET_BEGINNING);
    assert_query(
        world,
        "SELECT count(*) FROM types_history WHERE coalesce(a_long, a_ulong, a_decimal, a_decimal_text, a_float, a_double,"
        " a_boolean, a_bytes, a_date, a_datetime, a_timestamp, a_time, a_year, a_text, a_json) IS NULL",
        "1");
    cells[COLUMN_TEXT] = text_of("");
    cells[COLUMN_BYTES] = text_of("");
    send_cells(world, lane, schema, cells, 1);
    assert_query(world, "SELECT count(*) FROM types_history WHERE a_text = '' AND a_bytes = x''", "1");
    lane_close(world, lane);
    schema_free(schema);
}

/* Each callback adds its letter. */
static char order[16];
static size_t order_size;

static void add_letter(const char *letter)
{
    assert_true(order_size < sizeof order - 1);
    order[order_size++] = *letter;
    order[order_size] = '\0';
}

static void order_ensured(void *context, const struct err *err)
{
    assert_null(err);
    add_letter(context);
}

static void order_recovered(void *context, const struct lane_place *place, const struct err *err)
{
    (void)place;
    order_ensured(context, err);
}

static void order_sent(void *context, enum lane_answer sent, const size_t *bad_rows, size_t bad_row_count,
                       const struct err *err)
{
    (void)bad_rows;
    (void)bad_row_count;
    (void)err;
    assert_int_equal(sent, LANE_SURPRISE); /* the lane's epoch is not known before the first answer */
    add_letter(context);
}

static void order_closed(void *context)
{
    add_letter(context);
}

static void test_sqlite__close_answers_what_is_under_way_first(void **state)
{
    struct world *world = *state;
    const struct warehouse_calls *calls = world->warehouse->calls;
    struct lane *lane = lane_open(world, 0);
    struct rows rows = {0};
    struct request *request = plan(world, lane, &rows, LANE_OFFSET_BEGINNING, 1);
    char letters[] = "R\0E\0S\0C";

    calls->recover(lane, 0, "", order_recovered, letters);
    calls->ensure(lane, world->orders, order_ensured, letters + 2);
    calls->send(lane, request, order_sent, letters + 4);
    calls->close(lane, order_closed, letters + 6);
    assert_string_equal(order, "");
    while (strchr(order, 'C') == NULL) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_string_equal(order, "RESC");
    calls->request_free(request);
}

static void test_sqlite__status_says_where_and_how_much(void **state)
{
    struct world *world = *state;
    struct lane *lane = lane_ready(world, 0, LANE_OFFSET_BEGINNING);
    json_t *status;

    assert_int_equal(send_orders(world, lane, 1, 3, LANE_OFFSET_BEGINNING, 3).sent, LANE_IN);
    status = world->warehouse->calls->status(world->warehouse);
    assert_string_equal(json_string_value(json_object_get(status, "file")), world->path);
    assert_true(json_integer_value(json_object_get(status, "size_bytes")) > 0);
    assert_true(json_integer_value(json_object_get(status, "wal_bytes")) > 0);
    assert_int_equal(json_integer_value(json_object_get(status, "queue_depth")), 0);
    assert_int_equal(json_integer_value(json_object_get(status, "lanes")), 1);
    assert_int_equal(json_integer_value(json_object_get(status, "rows_in")), 3);
    json_decref(status);
    assert_string_equal(world->warehouse->calls->mark(lane), "");
    assert_false(world->warehouse->calls->mark_before_send);
    assert_string_equal(world->warehouse->name, "sqlite");
    lane_close(world, lane);
}

int main(void)
{
#define TEST(name)    cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define STOPPED(name) cmocka_unit_test_setup_teardown(name, set_up_stopped, tear_down_stopped)
    const struct CMUnitTest tests[] = {
        STOPPED(test_sqlite__file_that_cannot_be_made_is_refused_at_the_start),
        STOPPED(test_sqlite__ft_c1_rows_and_offset_are_one_when_killed),
        STOPPED(test_sqlite__processes_share_one_file),
        TEST(test_sqlite__plan_names_the_row_that_cannot_be_decoded),
        TEST(test_sqlite__ft_c1_replaced_owner_adds_no_row),
        TEST(test_sqlite__ft_c2_late_request_adds_no_row),
        TEST(test_sqlite__request_out_of_place_adds_no_row),
        TEST(test_sqlite__lane_that_did_not_recover_adds_no_row),
        TEST(test_sqlite__locked_file_pauses_and_the_same_request_goes_in_later),
        TEST(test_sqlite__disk_that_takes_no_more_pauses_and_loses_nothing),
        TEST(test_sqlite__bad_rows_are_named_all_and_the_rest_goes_in_without_them),
        TEST(test_sqlite__bad_row_of_one_lane_does_not_hold_up_the_others),
        TEST(test_sqlite__row_that_ends_the_transaction_is_the_only_one_blamed),
        TEST(test_sqlite__history_dropped_by_hand_stops_its_lane_alone),
        TEST(test_sqlite__ensure_says_what_collides),
        TEST(test_sqlite__full_queue_answers_retry),
        TEST(test_sqlite__batch_without_rows_moves_the_end),
        TEST(test_sqlite__ft_c4_recovery_needs_nothing_but_the_file),
        TEST(test_sqlite__two_lanes_keep_their_own_offsets),
        TEST(test_sqlite__rows_of_older_and_newer_schemas_in_one_batch),
        TEST(test_sqlite__many_schemas_are_written),
        TEST(test_sqlite__every_type_as_it_is_documented),
        TEST(test_sqlite__null_and_empty_are_different_in_every_type),
        TEST(test_sqlite__close_answers_what_is_under_way_first),
        TEST(test_sqlite__status_says_where_and_how_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
