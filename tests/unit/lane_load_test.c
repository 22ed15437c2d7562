/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane between its two ways: which batches go by load jobs, what the mark says meanwhile, and what recovery makes of an intent. The
 * loads are a stand-in, which answers what the test says; load_test.c has the real ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/must.h"
#include "tests/unit/bigquery_cloud.h"
#include "tests/unit/make_table.h"
#include "workers/bigquery/load.h"

#define JOB "kakehi_0123456789abcdef0123456789abcdef"

/* ---- the stand-in */

struct load {
    uint64_t schema_id; /* of the file under way; 0: none */
    int64_t rows;
    struct load_intent intent;
    bool named;
    bool adopted; /* the intent is to be built again */
    bool gave_up;
    size_t drops;
    uint64_t age_ms;
    load_answered answer;
    void *context;
    void (*closed)(void *context);
    void *closed_context;
};

static struct load the_load;
static char the_table[128];

struct load *load_new(struct loads *loads, const struct load_options *options)
{
    assert_non_null(loads);
    (void)snprintf(the_table, sizeof the_table, "%s.%s in %s", options->dataset, options->table, options->location);
    the_load = (struct load){0};
    return &the_load;
}

static void give(enum load_answer answer, const char *why)
{
    struct err err = {0};
    load_answered to = the_load.answer;

    assert_non_null(to);
    the_load.answer = NULL;
    (void)err_set(&err, ERR_RETRY, "%s", why);
    to(the_load.context, answer, answer == LOAD_DONE ? NULL : &err);
}

static void ask(load_answered answer, void *context)
{
    assert_null(the_load.answer);
    the_load.answer = answer;
    the_load.context = context;
}

void load_close(struct load *load, void (*closed)(void *context), void *context)
{
    load->closed = closed;
    load->closed_context = context;
}

bool load_fits(const struct load *load, uint64_t schema_id)
{
    return load->adopted || load->schema_id == 0 || load->schema_id == schema_id;
}

void load_absorb(struct load *load, const struct load_batch *batch, load_answered answer, void *context)
{
    assert_true(load_fits(load, batch->schema_id));
    assert_non_null(strstr(batch->schema_text, "__ingest_day"));
    load->schema_id = batch->schema_id;
    load->rows += (int64_t)batch->row_count;
    ask(answer, context);
}

bool load_under_way(const struct load *load)
{
    return load->schema_id != 0;
}

uint64_t load_due_ms(const struct load *load)
{
    return load->schema_id != 0 ? 4711 : UINT64_MAX;
}

void load_pace(struct load *load, uint64_t age_ms, uint64_t gap_ms)
{
    assert_true(gap_ms <= age_ms);
    load->age_ms = age_ms;
}

void load_seal(struct load *load, int64_t end)
{
    if (!load->adopted) {
        (void)snprintf(load->intent.job.id, sizeof load->intent.job.id, "%s", JOB);
        (void)snprintf(load->intent.job.location, sizeof load->intent.job.location, "EU");
        load->intent.end = end;
    }
    assert_int_equal(load->intent.end, end);
    load->named = true;
    load->schema_id = 0;
}

const struct load_intent *load_intent(const struct load *load)
{
    return load->named ? &load->intent : NULL;
}

void load_send(struct load *load, load_answered answer, void *context)
{
    assert_true(load->named);
    ask(answer, context);
}

void load_drop(struct load *load)
{
    load->drops++;
    load->schema_id = 0;
    load->named = load->adopted = false;
}

void load_recover(struct load *load, const struct load_intent *intent, load_answered answer, void *context)
{
    load_drop(load);
    load->intent = *intent;
    load->named = true;
    ask(answer, context);
}

void load_give_up(struct load *load)
{
    assert_true(load->adopted);
    load->gave_up = true;
}

bool load_trouble(const struct load *load, char *text, size_t size)
{
    (void)load;
    (void)text;
    (void)size;
    return false;
}

bool load_waits_for(const struct load *load, char *text, size_t size)
{
    return load_trouble(load, text, size);
}

json_t *load_status(const struct load *load)
{
    (void)load;
    return json_object();
}

/* ---- the worker's side, a step at a time */

struct test {
    struct cloud *cloud;
    struct lane *lane;
    struct schema *other; /* a later version of the table */
    struct buffer values[8];
    struct warehouse_row rows[8];
    struct warehouse_batch batch;
    struct request *request;
    struct lane_place place;
    struct err err;
    enum lane_answer answer;
    bool answered;
    bool closed;
};

static void on_recovered(void *context, const struct lane_place *place, const struct err *err)
{
    struct test *test = context;

    test->answered = true;
    test->err = err != NULL ? *err : (struct err){0};
    test->place = place != NULL ? *place : (struct lane_place){0};
}

static void on_ensured(void *context, const struct err *err)
{
    assert_null(err);
    ((struct test *)context)->answered = true;
}

static void on_sent(void *context, enum lane_answer answer, const size_t *bad_rows, size_t bad_row_count, const struct err *err)
{
    struct test *test = context;

    (void)bad_rows;
    assert_int_equal(bad_row_count, 0);
    test->answered = true;
    test->answer = answer;
    test->err = err != NULL ? *err : (struct err){0};
}

static void on_closed(void *context)
{
    ((struct test *)context)->closed = true;
}

static void recover(struct test *test, int64_t committed, const char *mark)
{
    test->answered = false;
    lane_recover(test->lane, committed, mark, on_recovered, test);
    cloud_settle(test->cloud);
}

static void ensure(struct test *test, const struct schema *schema)
{
    test->answered = false;
    lane_ensure(test->lane, schema, on_ensured, test);
    cloud_settle(test->cloud);
    assert_true(test->answered);
}

/* A batch of rows from that offset on; behind: the backlog. */
static void fill(struct test *test, int64_t start, size_t row_count, int64_t behind)
{
    test->batch = (struct warehouse_batch){.rows = test->rows,
                                           .row_count = row_count,
                                           .start = start,
                                           .end = start + (row_count > 0 ? (int64_t)row_count : 1),
                                           .behind = behind,
                                           .topic_partitions = 3};
    for (size_t i = 0; i < row_count; i++) {
        buffer_clear(&test->values[i]);
        cloud_value(test->cloud, &test->values[i], 100 + start + (int64_t)i);
        test->rows[i] = (struct warehouse_row){.schema = test->cloud->schema,
                                               .value = test->values[i].bytes,
                                               .value_size = test->values[i].size,
                                               .offset = start + (int64_t)i};
    }
}

/* True: it had to be. */
static bool prepare(struct test *test)
{
    test->answered = false;
    if (lane_prepare(test->lane, &test->batch, on_ensured, test)) {
        return false;
    }
    cloud_settle(test->cloud);
    assert_true(test->answered);
    return true;
}

static void plan(struct test *test)
{
    size_t bad_row;

    (void)prepare(test);
    lane_request_free(test->request);
    test->request = lane_plan(test->lane, &test->batch, &bad_row, &test->err);
    assert_non_null(test->request);
}

static void send_it(struct test *test)
{
    test->answered = false;
    lane_send(test->lane, test->request, on_sent, test);
    cloud_settle(test->cloud);
}

static struct test *begin(const char *method)
{
    struct test *test = calloc(1, sizeof *test);

    must(test != NULL);
    test->cloud = cloud_new();
    test->other = make_schema("shop", "orders", "id", "id long, note text, extra text");
    test->cloud->settings.bigquery.location = (char *)"EU";
    test->cloud->settings.bigquery.table_jobs = 1500;
    test->cloud->settings.bigquery.project_jobs = 50000;
    test->cloud->settings.bigquery.backlog_rows = 1000;
    if (method != NULL) {
        text_pairs_set(&test->cloud->settings.bigquery.method, "shop.orders", method);
    }
    cloud_with_loads(test->cloud);
    test->lane = lane_open(test->cloud->lanes, "kakehi.shop.orders", 1, 7);
    return test;
}

/* At the first row, with the table ready. */
static struct test *begin_ready(const char *method)
{
    struct test *test = begin(method);

    recover(test, -1001, "");
    assert_int_equal(test->err.class, ERR_NONE);
    ensure(test, test->cloud->schema);
    return test;
}

static void end(struct test *test)
{
    lane_close(test->lane, on_closed, test);
    if (the_load.closed != NULL) {
        if (the_load.answer != NULL) {
            give(LOAD_SURPRISE, "closed");
        }
        the_load.closed(the_load.closed_context);
    }
    cloud_settle(test->cloud);
    assert_true(test->closed);
    lane_request_free(test->request);
    the_load = (struct load){0};
    for (size_t i = 0; i < 8; i++) {
        buffer_deinit(&test->values[i]);
    }
    text_pairs_deinit(&test->cloud->settings.bigquery.method);
    schema_free(test->other);
    cloud_free(test->cloud);
    free(test);
}

/* ---- which way */

static struct batch_limits limits_at(const struct test *test, size_t rows, uint64_t age_ms)
{
    struct batch_limits limits = {.rows = rows, .bytes = 1 << 20, .age_ms = age_ms};

    lane_limit(test->lane, &limits);
    return limits;
}

static struct batch_limits limits_of(const struct test *test, size_t rows)
{
    return limits_at(test, rows, 200);
}

static void test_lane__takes_batches_into_a_file_and_lets_it_be_sealed(void **state)
{
    struct test *test = begin_ready("load");
    struct request *sealed;

    (void)state;
    fill(test, 0, 3, 0);
    plan(test);
    assert_string_equal(lane_mark(test->lane), "v1 append 0a1b2c3d - 0"); /* nothing is in, and nothing is open */
    assert_int_equal(lane_seal_due_ms(test->lane), UINT64_MAX);
    send_it(test);
    give(LOAD_DONE, "");
    assert_int_equal(test->answer, LANE_TAKEN);
    assert_string_equal(the_table, "shop.orders_history in EU");
    assert_int_equal(lane_seal_due_ms(test->lane), 4711);
    assert_true(the_load.age_ms >= 60000);
    assert_int_equal(limits_of(test, 5000).rows, 3000); /* small ones, out of memory soon */
    assert_int_equal(limits_of(test, 7).rows, 7);
    assert_int_equal(limits_of(test, 7).age_ms, 200);
    fill(test, 3, 0, 0); /* duplicates only: part of the file's range */
    plan(test);
    send_it(test);
    assert_int_equal(test->answer, LANE_TAKEN);
    assert_string_equal(lane_mark(test->lane), "v1 append 0a1b2c3d - 0");
    sealed = lane_seal(test->lane, 4);
    assert_string_equal(lane_mark(test->lane), "v1 load 0a1b2c3d " JOB " EU 4");
    lane_request_free(test->request);
    test->request = sealed;
    send_it(test);
    assert_false(test->answered);
    give(LOAD_PAUSE, "the service is away");
    assert_int_equal(test->answer, LANE_PAUSE);
    assert_string_equal(lane_mark(test->lane), "v1 load 0a1b2c3d " JOB " EU 4");
    send_it(test);
    the_load.named = false;
    give(LOAD_DONE, "");
    assert_int_equal(test->answer, LANE_IN);
    assert_string_equal(lane_mark(test->lane), "v1 append 0a1b2c3d - 0");
    assert_int_equal(the_load.rows, 3);
    end(test);
}

static void test_lane__goes_by_appends_where_rows_can_not_be_loaded(void **state)
{
    struct test *test = begin("load");

    (void)state;
    test->cloud->unloadable = true;
    recover(test, -1001, "");
    ensure(test, test->cloud->schema);
    fill(test, 0, 3, 0);
    plan(test);
    send_it(test);
    assert_int_equal(test->answer, LANE_IN);
    assert_int_equal(test->cloud->row_count, 3);
    end(test);
}

static void test_lane__loads_a_backlog_and_appends_what_is_left_of_it(void **state) /* D5 */
{
    struct test *test = begin_ready(NULL);

    (void)state;
    fill(test, 0, 2, 0);
    plan(test);
    send_it(test);
    assert_int_equal(test->answer, LANE_IN);
    fill(test, 2, 2, 5000);
    plan(test);
    assert_string_equal(lane_mark(test->lane), "v1 append 0a1b2c3d s1 2");
    send_it(test);
    give(LOAD_DONE, "");
    assert_int_equal(test->answer, LANE_TAKEN);
    fill(test, 4, 2, 4000);
    assert_true(lane_fits(test->lane, &test->batch));
    fill(test, 4, 2, 50); /* nearly gone: the file is sealed before the batch is planned */
    assert_false(lane_fits(test->lane, &test->batch));
    lane_request_free(test->request);
    test->request = lane_seal(test->lane, 4);
    send_it(test);
    the_load.named = false;
    give(LOAD_DONE, "");
    plan(test);
    assert_non_null(strstr(lane_mark(test->lane), "v1 append 0a1b2c3d s1 2 6+2@")); /* the stream goes on at its row */
    send_it(test);
    assert_int_equal(test->answer, LANE_IN);
    assert_string_equal(lane_mark(test->lane), "v1 append 0a1b2c3d s1 4");
    end(test);
}

static void test_lane__asks_for_the_seal_where_the_schema_changes(void **state)
{
    struct test *test = begin_ready("load");

    (void)state;
    fill(test, 0, 2, 0);
    plan(test);
    send_it(test);
    give(LOAD_DONE, "");
    fill(test, 2, 2, 0);
    test->rows[1].schema = test->other; /* both in one batch */
    assert_false(lane_fits(test->lane, &test->batch));
    test->rows[0].schema = test->other;
    assert_false(lane_fits(test->lane, &test->batch));
    end(test);
}

static void test_lane__recovers_where_a_file_is_lost(void **state)
{
    struct test *test = begin_ready("load");

    (void)state;
    fill(test, 0, 2, 0);
    plan(test);
    send_it(test);
    give(LOAD_SURPRISE, "the session is gone");
    assert_int_equal(test->answer, LANE_SURPRISE);
    recover(test, 0, lane_mark(test->lane));
    assert_int_equal(test->place.start, 0);
    assert_int_equal(the_load.drops, 1);
    assert_int_equal(test->cloud->finalizes_seen, 0); /* there was no stream */
    end(test);
}

/* ---- recovery of an intent */

static void expect_place(enum load_answer answer, int64_t start, int64_t cut, bool by_append)
{
    struct test *test = begin("load");

    test->cloud->table_there = true;
    recover(test, 10, "v1 load 0a1b2c3d " JOB " EU 14");
    assert_false(test->answered);
    assert_string_equal(the_load.intent.job.id, JOB);
    assert_string_equal(the_load.intent.job.location, "EU");
    the_load.adopted = answer == LOAD_REBUILD;
    the_load.named = the_load.adopted;
    give(answer, "so it is");
    cloud_settle(test->cloud);
    assert_true(test->answered);
    assert_int_equal(test->err.class, ERR_NONE);
    assert_int_equal(test->place.start, start);
    assert_true(test->place.cut == cut);
    assert_string_equal(lane_mark(test->lane), answer == LOAD_REBUILD ? "v1 load 0a1b2c3d " JOB " EU 14" : "v1 append 0a1b2c3d - 0");
    ensure(test, test->cloud->schema);
    fill(test, start, 2, 0);
    plan(test);
    send_it(test);
    if (by_append) {
        assert_int_equal(test->answer, LANE_IN);
        fill(test, 14, 2, 0); /* behind the range load jobs are tried again */
        plan(test);
        send_it(test);
    }
    give(LOAD_DONE, "");
    assert_int_equal(test->answer, LANE_TAKEN);
    end(test);
}

static void test_lane__does_with_an_intent_what_became_of_its_job(void **state) /* D2, D4 */
{
    (void)state;
    expect_place(LOAD_DONE, 14, LANE_NO_CUT, false);
    expect_place(LOAD_AGAIN, 10, LANE_NO_CUT, false);
    expect_place(LOAD_BY_APPEND, 10, LANE_NO_CUT, true);
    expect_place(LOAD_REBUILD, 10, 14, false);
}

static void test_lane__gives_an_intent_up_that_can_not_be_built_again(void **state) /* D2 */
{
    struct test *test = begin("load");

    (void)state;
    test->cloud->table_there = true;
    test->cloud->unloadable = true;
    recover(test, 10, "v1 load 0a1b2c3d " JOB " EU 14");
    the_load.adopted = true;
    give(LOAD_REBUILD, "");
    cloud_settle(test->cloud);
    ensure(test, test->cloud->schema);
    fill(test, 10, 2, 0);
    plan(test);
    send_it(test);
    assert_int_equal(test->answer, LANE_SURPRISE);
    assert_true(the_load.gave_up);
    assert_int_equal(test->cloud->row_count, 0); /* above all, nothing is appended beside the intent */
    end(test);
}

static void expect_stop(const char *mark, bool there)
{
    struct test *test = begin("load");

    test->cloud->table_there = there;
    recover(test, 10, mark);
    assert_true(test->answered);
    if (test->err.class != ERR_FATAL) {
        fail_msg("%s: %s", mark, test->err.text);
    }
    end(test);
}

static void test_lane__is_stopped_by_an_intent_that_is_not_ours(void **state)
{
    (void)state;
    expect_stop("v1 load 0a1b2c3d somebody-elses EU 14", true);
    expect_stop("v1 load 0a1b2c3d " JOB " EU 10", true); /* of an empty range */
    expect_stop("v1 load ffffffff " JOB " EU 14", true);
    expect_stop("v1 load 0a1b2c3d " JOB " EU 14", false);
}

static void test_lane__can_be_closed_while_a_job_is_awaited(void **state)
{
    struct test *test = begin("load");

    (void)state;
    test->cloud->table_there = true;
    recover(test, 10, "v1 load 0a1b2c3d " JOB " EU 14");
    end(test);
    test = begin_ready("load");
    fill(test, 0, 2, 0);
    plan(test);
    send_it(test);
    assert_false(test->answered);
    end(test);
}

/* ---- the stream */

static void test_lane__makes_no_stream_while_it_goes_by_load_jobs(void **state)
{
    struct test *test = begin_ready("load");

    (void)state;
    fill(test, 0, 3, 0);
    assert_false(prepare(test));
    plan(test);
    send_it(test);
    give(LOAD_DONE, "");
    cloud_settle(test->cloud);
    assert_int_equal(test->answer, LANE_TAKEN);
    assert_int_equal(test->cloud->creates_seen, 0);
    end(test);
}

static void test_lane__makes_its_stream_with_the_first_batch_that_is_appended(void **state)
{
    struct test *test = begin_ready("load");

    (void)state;
    fill(test, 0, 3, 0);
    test->rows[1].schema = test->other; /* two schemas in a batch: no load job takes it */
    ensure(test, test->other);
    assert_int_equal(test->cloud->creates_seen, 0);
    assert_true(prepare(test));
    assert_false(prepare(test));
    assert_int_equal(test->cloud->creates_seen, 1);
    end(test);
}

static void test_lane__makes_no_stream_for_rows_that_are_refused(void **state)
{
    struct test *test = begin(NULL);

    (void)state;
    test->cloud->refusal = "another type";
    recover(test, -1001, "");
    ensure(test, test->cloud->schema);
    fill(test, 0, 3, 0);
    assert_false(prepare(test));
    assert_int_equal(test->cloud->creates_seen, 0);
    end(test);
}

/* Three partitions: each may have a job in six minutes or so of its table's budget. */
static void test_lane__loads_where_freshness_is_long_enough_for_the_budgets(void **state)
{
    static const struct {
        const char *freshness;
        int32_t project_jobs;
        bool loads;
    } cases[] = {{"1s", 50000, false}, {"2m", 50000, false}, {"15m", 50000, true}, {"6h", 50000, true}, {"15m", 100, false}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct test *test = begin(NULL);

        text_pairs_set(&test->cloud->settings.freshness, "*.*", cases[i].freshness);
        test->cloud->settings.bigquery.project_jobs = cases[i].project_jobs;
        recover(test, -1001, "");
        ensure(test, test->cloud->schema);
        lanes_group(test->cloud->lanes, 30);
        fill(test, 0, 2, 0);
        plan(test);
        assert_int_equal(lane_fits(test->lane, &test->batch), cases[i].loads);
        text_pairs_deinit(&test->cloud->settings.freshness);
        end(test);
    }
}

/* ---- how long a batch is filled */

static void test_lane__fills_batches_by_freshness(void **state)
{
    static const struct {
        const char *freshness;
        uint64_t batch_age_ms; /* worker.batch.age */
        uint64_t age_ms;
    } ages[] = {{"100ms", 200, 75},
                {"500ms", 200, 200},
                {"1s", 200, 200},
                {"2s", 200, 1500},
                {"15m", 200, 600000},
                {"6h", 200, 600000},
                {"100ms", 5000, 75},
                {"1s", 5000, 5000},
                {"2s", 5000, 1500}, /* it rules a longer one as well */
                {"12m", 600000, 540000}};

    (void)state;
    for (size_t i = 0; i < sizeof ages / sizeof ages[0]; i++) {
        struct test *test = begin("append");

        text_pairs_set(&test->cloud->settings.freshness, "*.*", ages[i].freshness);
        assert_int_equal(limits_at(test, 5000, ages[i].batch_age_ms).age_ms, ages[i].batch_age_ms); /* no table is known yet */
        recover(test, -1001, "");
        ensure(test, test->cloud->schema);
        assert_int_equal(limits_at(test, 5000, ages[i].batch_age_ms).age_ms, ages[i].age_ms);
        assert_int_equal(limits_of(test, 5000).rows, 5000);
        text_pairs_deinit(&test->cloud->settings.freshness);
        end(test);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lane__takes_batches_into_a_file_and_lets_it_be_sealed),
        cmocka_unit_test(test_lane__goes_by_appends_where_rows_can_not_be_loaded),
        cmocka_unit_test(test_lane__loads_a_backlog_and_appends_what_is_left_of_it),
        cmocka_unit_test(test_lane__loads_where_freshness_is_long_enough_for_the_budgets),
        cmocka_unit_test(test_lane__asks_for_the_seal_where_the_schema_changes),
        cmocka_unit_test(test_lane__recovers_where_a_file_is_lost),
        cmocka_unit_test(test_lane__does_with_an_intent_what_became_of_its_job),
        cmocka_unit_test(test_lane__gives_an_intent_up_that_can_not_be_built_again),
        cmocka_unit_test(test_lane__is_stopped_by_an_intent_that_is_not_ours),
        cmocka_unit_test(test_lane__can_be_closed_while_a_job_is_awaited),
        cmocka_unit_test(test_lane__makes_no_stream_while_it_goes_by_load_jobs),
        cmocka_unit_test(test_lane__makes_its_stream_with_the_first_batch_that_is_appended),
        cmocka_unit_test(test_lane__makes_no_stream_for_rows_that_are_refused),
        cmocka_unit_test(test_lane__fills_batches_by_freshness),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
