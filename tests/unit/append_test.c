/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer table, row by row, in both spellings that the service has (StorageError, and the code alone); the plan of a batch; and
 * the calls of a worker: never too many, never too old, none kept for nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/must.h"
#include "tests/unit/bigquery_cloud.h"
#include "workers/bigquery/append_plan.h"
#include "workers/bigquery/append_rules.h"
#include "workers/bigquery/calls.h"
#include "workers/bigquery/storage_messages.h"

/* ---- answers */

static enum append_verdict judge(struct append_facts facts)
{
    const struct append_rule *rule = append_judge(&facts);

    assert_non_null(rule);
    assert_true(rule->why[0] != '\0');
    return rule->verdict;
}

static void test_append__knows_each_answer_by_its_code(void **state)
{
    static const enum append_verdict verdicts[] = {
        [GRPC_OK] = APPEND_IN,
        [GRPC_CANCELLED] = APPEND_AGAIN,
        [GRPC_UNKNOWN] = APPEND_AGAIN,
        [GRPC_INVALID_ARGUMENT] = APPEND_PAUSE,
        [GRPC_DEADLINE_EXCEEDED] = APPEND_AGAIN,
        [GRPC_NOT_FOUND] = APPEND_SURPRISE,
        [GRPC_ALREADY_EXISTS] = APPEND_SURPRISE,
        [GRPC_PERMISSION_DENIED] = APPEND_PAUSE,
        [GRPC_RESOURCE_EXHAUSTED] = APPEND_AGAIN,
        [GRPC_FAILED_PRECONDITION] = APPEND_SURPRISE,
        [GRPC_ABORTED] = APPEND_AGAIN,
        [GRPC_OUT_OF_RANGE] = APPEND_SURPRISE,
        [GRPC_UNIMPLEMENTED] = APPEND_SURPRISE,
        [GRPC_INTERNAL] = APPEND_AGAIN,
        [GRPC_UNAVAILABLE] = APPEND_AGAIN,
        [GRPC_DATA_LOSS] = APPEND_SURPRISE,
        [GRPC_UNAUTHENTICATED] = APPEND_NEW_TOKEN,
    };

    (void)state;
    for (int code = GRPC_OK; code <= GRPC_UNAUTHENTICATED; code++) {
        if (judge((struct append_facts){.code = code}) != verdicts[code]) {
            fail_msg("%s: %s", grpc_code_name(code), append_verdict_name(judge((struct append_facts){.code = code})));
        }
    }
    assert_int_equal(judge((struct append_facts){.code = 17}), APPEND_SURPRISE);
    assert_int_equal(judge((struct append_facts){.code = -5}), APPEND_SURPRISE);
}

static void test_append__knows_each_answer_by_its_storage_error(void **state)
{
    static const enum append_verdict verdicts[] = {
        [STORAGE_ERROR_TABLE_NOT_FOUND] = APPEND_SURPRISE,
        [STORAGE_ERROR_STREAM_ALREADY_COMMITTED] = APPEND_SURPRISE,
        [STORAGE_ERROR_STREAM_NOT_FOUND] = APPEND_SURPRISE,
        [STORAGE_ERROR_INVALID_STREAM_TYPE] = APPEND_SURPRISE,
        [STORAGE_ERROR_INVALID_STREAM_STATE] = APPEND_SURPRISE,
        [STORAGE_ERROR_STREAM_FINALIZED] = APPEND_SURPRISE,
        [STORAGE_ERROR_SCHEMA_MISMATCH_EXTRA_FIELDS] = APPEND_NEW_CALL,
        [STORAGE_ERROR_OFFSET_ALREADY_EXISTS] = APPEND_SURPRISE,
        [STORAGE_ERROR_OFFSET_OUT_OF_RANGE] = APPEND_SURPRISE,
        [STORAGE_ERROR_CMEK_NOT_PROVIDED] = APPEND_PAUSE,
        [STORAGE_ERROR_INVALID_CMEK_PROVIDED] = APPEND_PAUSE,
        [STORAGE_ERROR_CMEK_ENCRYPTION_ERROR] = APPEND_PAUSE,
        [STORAGE_ERROR_KMS_SERVICE_ERROR] = APPEND_AGAIN,
        [STORAGE_ERROR_KMS_PERMISSION_DENIED] = APPEND_PAUSE,
    };

    (void)state;
    for (int error = STORAGE_ERROR_TABLE_NOT_FOUND; error <= STORAGE_ERROR_KMS_PERMISSION_DENIED; error++) {
        if (judge((struct append_facts){.code = GRPC_INVALID_ARGUMENT, .error_code = error}) != verdicts[error]) {
            fail_msg("%s", storage_error_name(error));
        }
    }
    /* one that is newer than we are: the code decides */
    assert_int_equal(judge((struct append_facts){.code = GRPC_UNAVAILABLE, .error_code = 99}), APPEND_AGAIN);
}

static void test_append__takes_already_exists_for_in_only_if_it_was_sent_before(void **state)
{
    (void)state;
    assert_int_equal(judge((struct append_facts){.code = GRPC_ALREADY_EXISTS, .unsure = true}), APPEND_IN);
    assert_int_equal(
        judge((struct append_facts){.code = GRPC_ALREADY_EXISTS, .error_code = STORAGE_ERROR_OFFSET_ALREADY_EXISTS, .unsure = true}), APPEND_IN);
    assert_int_equal(judge((struct append_facts){.code = GRPC_ALREADY_EXISTS, .behind = true}), APPEND_SURPRISE);
}

static void test_append__takes_out_of_range_in_peace_only_behind_a_failed_one(void **state)
{
    (void)state;
    assert_int_equal(judge((struct append_facts){.code = GRPC_OUT_OF_RANGE, .behind = true}), APPEND_BEHIND);
    assert_int_equal(
        judge((struct append_facts){.code = GRPC_OUT_OF_RANGE, .error_code = STORAGE_ERROR_OFFSET_OUT_OF_RANGE, .behind = true}), APPEND_BEHIND);
    assert_int_equal(judge((struct append_facts){.code = GRPC_OUT_OF_RANGE, .unsure = true}), APPEND_SURPRISE);
}

static void test_append__buries_rows_on_the_first_try_only(void **state) /* C5 */
{
    (void)state;
    for (int code = GRPC_OK; code <= GRPC_UNAUTHENTICATED; code++) {
        assert_int_equal(judge((struct append_facts){.code = code, .row_errors = true}), APPEND_BAD_ROWS);
        assert_int_equal(judge((struct append_facts){.code = code, .row_errors = true, .unsure = true}), APPEND_SURPRISE);
    }
}

static void test_append__is_surprised_by_rows_that_went_elsewhere(void **state)
{
    (void)state;
    assert_int_equal(judge((struct append_facts){.code = GRPC_OK, .other_row = true}), APPEND_SURPRISE);
}

/* ---- plans */

struct planned {
    struct cloud *cloud;
    struct history *history;
    struct row_program *program;
    struct append_writer *writer;
    struct warehouse_row rows[64];
    struct buffer values[64];
    int64_t poison; /* a row whose schema can't be written; -1 */
    int asked;
};

static const struct bigquery_column columns[] = {
    {"id", BIGQUERY_INT64},       {"note", BIGQUERY_STRING},    {"__op", BIGQUERY_STRING},  {"__ts", BIGQUERY_TIMESTAMP},     {"__seq", BIGQUERY_INT64},
    {"__idx", BIGQUERY_INT64}, {"__source", BIGQUERY_STRING}, {"__txid", BIGQUERY_STRING}, {"__ingest_day", BIGQUERY_DATE},
};
static const struct bigquery_layout layout = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};

static const struct row_program *program_of(void *context, const struct schema *schema, struct err *err)
{
    struct planned *planned = context;

    (void)schema;
    if (planned->asked++ == planned->poison) {
        (void)err_set(err, ERR_POISON, "refused");
        return NULL;
    }
    return planned->program;
}

static struct planned *planned_new(void)
{
    static const size_t targets[] = {0, 1};
    struct planned *planned = calloc(1, sizeof *planned);
    struct err err = {0};

    must(planned != NULL);
    planned->cloud = cloud_new();
    planned->poison = -1;
    planned->writer = append_writer_new(&layout, 1);
    assert_int_equal(row_program_new(planned->cloud->schema->table, &layout, targets, &planned->program, &err), 0);
    for (size_t i = 0; i < 64; i++) {
        cloud_value(planned->cloud, &planned->values[i], (int64_t)(100 + i));
        planned->rows[i] = (struct warehouse_row){.schema = planned->cloud->schema,
                                                  .value = planned->values[i].bytes,
                                                  .value_size = planned->values[i].size,
                                                  .offset = (int64_t)(3 * i)};
    }
    return planned;
}

static void planned_free(struct planned *planned)
{
    for (size_t i = 0; i < 64; i++) {
        buffer_deinit(&planned->values[i]);
    }
    row_program_free(planned->program);
    append_writer_unref(planned->writer);
    cloud_free(planned->cloud);
    free(planned);
}

static int make_plan(struct planned *planned, size_t row_count, size_t request_bytes, struct append_plan *plan, size_t *ret_bad_row, struct err *err)
{
    const struct warehouse_batch batch = {.rows = planned->rows, .row_count = row_count, .start = 0, .end = 1000};

    planned->asked = 0;
    return append_plan_init(plan, &batch,
                            &(struct append_plan_options){.writer = planned->writer,
                                                          .program = program_of,
                                                          .context = planned,
                                                          .request_bytes_max = request_bytes,
                                                          .stream_name_size = 200,
                                                          .ingest_day = 20778},
                            ret_bad_row, err);
}

static void test_append__plans_requests_that_answer_for_the_batch_without_a_gap(void **state)
{
    struct planned *planned = planned_new();
    struct append_plan plan;
    struct mark_append mark = {0};
    struct err err = {0};
    size_t bad_row;

    (void)state;
    assert_int_equal(make_plan(planned, 10, 5000, &plan, &bad_row, &err), 0);
    assert_true(plan.part_count > 2);
    assert_int_equal(append_plan_rows(&plan), 10);
    append_plan_mark(&plan, &mark);
    assert_int_equal(mark.request_count, plan.part_count);
    for (size_t i = 0; i < plan.part_count; i++) {
        const struct append_part *part = &plan.parts[i];
        struct append_head head = {.write_stream = "projects/p/datasets/d/tables/t/streams/s", .offset = 0, .writer_schema = &plan.writer->descriptor};
        size_t size;

        (void)append_rows_request(&plan.parts[i].rows, &head, &size);
        assert_true(size <= 5000);
        assert_int_equal(part->end, i + 1 < plan.part_count ? planned->rows[plan.parts[i + 1].first_row].offset : 1000);
        assert_int_equal(mark.requests[i].seq, 100 + part->first_row);
        assert_int_equal(mark.requests[i].day, 20778);
    }
    append_plan_deinit(&plan);
    planned_free(planned);
}

static void test_append__names_the_first_row_that_is_left(void **state)
{
    struct planned *planned = planned_new();
    struct append_plan plan;
    struct mark_append mark = {0};
    struct err err = {0};
    size_t bad_row;
    const size_t first[] = {0, 1};
    size_t second[16];
    size_t second_count = 0;

    (void)state;
    assert_int_equal(make_plan(planned, 10, 5000, &plan, &bad_row, &err), 0);
    append_plan_drop(&plan, first, 2);
    append_plan_mark(&plan, &mark);
    assert_int_equal(mark.requests[0].seq, 102);
    assert_int_equal(mark.requests[0].rows, (int64_t)plan.parts[1].first_row - 2);
    for (size_t row = plan.parts[1].first_row; row < plan.parts[2].first_row; row++) {
        second[second_count++] = row;
    }
    append_plan_drop(&plan, second, second_count); /* nothing of it is left: it is not sent */
    append_plan_mark(&plan, &mark);
    assert_int_equal(mark.request_count, plan.part_count - 1);
    assert_int_equal(mark.requests[1].seq, 100 + plan.parts[2].first_row);
    append_plan_deinit(&plan);
    planned_free(planned);
}

static bool is_of(size_t row, const size_t *rows, size_t row_count)
{
    while (row_count > 0 && rows[row_count - 1] != row) {
        row_count--;
    }
    return row_count > 0;
}

static void test_append__drops_rows_of_many_requests_in_any_order(void **state) /* C5 */
{
    struct planned *planned = planned_new();
    struct append_plan plan;
    struct err err = {0};
    size_t bad_row;
    size_t left = 0;
    const size_t gone[] = {9, 0, 5, 8, 1, 5};

    (void)state;
    assert_int_equal(make_plan(planned, 10, 5000, &plan, &bad_row, &err), 0);
    assert_true(plan.part_count > 2);
    append_plan_drop(&plan, gone, 6);
    assert_int_equal(append_plan_rows(&plan), 5);
    for (size_t i = 0; i < plan.part_count; i++) {
        size_t end = i + 1 < plan.part_count ? plan.parts[i + 1].first_row : 10;

        for (size_t row = plan.parts[i].first_row; row < end; row++) {
            size_t index = 0;

            if (is_of(row, gone, 6)) {
                continue;
            }
            assert_true(left < 10 && append_rows_index(&plan.parts[i].rows, (int64_t)left, &index, &err) == 0);
            assert_int_equal(plan.parts[i].first_row + index, row);
            left++;
        }
        assert_int_equal(plan.parts[i].rows.row_count, left);
        left = 0;
    }
    append_plan_deinit(&plan);
    planned_free(planned);
}

static void test_append__leaves_requests_alone_that_lose_nothing(void **state)
{
    struct planned *planned = planned_new();
    struct append_plan plan;
    struct err err = {0};
    size_t bad_row;
    const size_t gone[] = {9};

    (void)state;
    assert_int_equal(make_plan(planned, 10, 5000, &plan, &bad_row, &err), 0);
    plan.parts[0].in = true; /* were it touched, the plan would abort: its rows are in */
    append_plan_drop(&plan, gone, 1);
    assert_int_equal(append_plan_rows(&plan), 9);
    append_plan_deinit(&plan);
    planned_free(planned);
}

static void test_append__names_the_row_that_can_not_be_planned(void **state)
{
    struct planned *planned = planned_new();
    struct append_plan plan;
    struct err err = {0};
    size_t bad_row = 99;

    (void)state;
    planned->poison = 7;
    assert_int_equal(make_plan(planned, 10, 5000, &plan, &bad_row, &err), -1);
    assert_int_equal(bad_row, 7);
    assert_int_equal(err.class, ERR_POISON);
    planned->poison = -1;
    assert_int_equal(make_plan(planned, 10, 1400, &plan, &bad_row, &err), -1); /* larger than a request may be */
    assert_int_equal(bad_row, 0);
    assert_int_equal(err.class, ERR_POISON);
    planned_free(planned);
}

static void test_append__refuses_a_batch_that_a_mark_can_not_name(void **state)
{
    struct planned *planned = planned_new();
    struct append_plan plan;
    struct err err = {0};
    size_t bad_row;

    (void)state;
    assert_int_equal(make_plan(planned, 64, 5000, &plan, &bad_row, &err), -1);
    assert_int_equal(err.class, ERR_FATAL);
    assert_non_null(strstr(err.text, "bigquery.request"));
    planned_free(planned);
}

/* ---- calls */

struct holder {
    struct call *call; /* NULL: over */
    bool opened;
    bool ended;
    int code;
    char text[512];
};

static void on_opened(void *context)
{
    ((struct holder *)context)->opened = true;
}

static void on_sent(void *context)
{
    (void)context;
}

static void on_message(void *context, const uint8_t *message, size_t size)
{
    (void)context;
    (void)message;
    (void)size;
}

static void on_end(void *context, const struct rpc_error *error)
{
    struct holder *holder = context;

    holder->ended = true;
    holder->code = error->code;
    (void)snprintf(holder->text, sizeof holder->text, "%s", error->text);
    holder->call = NULL;
}

static const struct call_events events = {on_opened, on_sent, on_message, on_end};

struct pool {
    struct cloud *cloud;
    struct calls *calls;
    struct holder holders[6];
};

static struct pool *pool_new(void)
{
    struct pool *pool = calloc(1, sizeof *pool);

    must(pool != NULL);
    pool->cloud = cloud_new();
    pool->calls = calls_new(&pool->cloud->lane_world, &(struct calls_limits){.calls_max = 2, .idle_ms = 60000});
    return pool;
}

static void open_one(struct pool *pool, int which)
{
    pool->holders[which] = (struct holder){0};
    pool->holders[which].call =
        call_open(pool->calls, "projects/p/datasets/shop/tables/orders_history/streams/s1", &events, &pool->holders[which]);
    cloud_settle(pool->cloud);
}

static void on_freed(void *context)
{
    *(bool *)context = true;
}

static void pool_free(struct pool *pool)
{
    bool freed = false;

    for (size_t i = 0; i < 6; i++) {
        if (pool->holders[i].call != NULL) {
            call_release(pool->holders[i].call, false);
        }
    }
    calls_free(pool->calls, on_freed, &freed);
    cloud_settle(pool->cloud);
    assert_true(freed);
    assert_int_equal(pool->cloud->calls_open, 0);
    cloud_free(pool->cloud);
    free(pool);
}

static void pass(struct pool *pool, uint64_t ms)
{
    pool->cloud->now_ms += ms;
    calls_tick(pool->calls);
    cloud_settle(pool->cloud);
}

static void test_calls__are_never_more_than_allowed(void **state)
{
    struct pool *pool = pool_new();

    (void)state;
    for (int i = 0; i < 4; i++) {
        open_one(pool, i);
    }
    assert_true(pool->holders[0].opened && pool->holders[1].opened);
    assert_false(pool->holders[2].opened || pool->holders[3].opened);
    assert_non_null(strstr(call_waits_for(pool->holders[2].call), "bigquery.calls"));
    call_use(pool->holders[1].call, false); /* room is made where nothing is owed */
    cloud_settle(pool->cloud);
    assert_true(pool->holders[1].ended);
    assert_true(pool->holders[2].opened);
    assert_false(pool->holders[3].opened);
    assert_int_equal(pool->cloud->calls_open_max, 2);
    pool_free(pool);
}

static void test_calls__least_lately_used_goes_first(void **state)
{
    struct pool *pool = pool_new();

    (void)state;
    open_one(pool, 0);
    open_one(pool, 1);
    call_use(pool->holders[1].call, false);
    pool->cloud->now_ms += 1000;
    call_use(pool->holders[0].call, false);
    open_one(pool, 2);
    assert_true(pool->holders[1].ended && !pool->holders[0].ended && pool->holders[2].opened);
    pool_free(pool);
}

static void test_calls__that_wait_can_be_let_go_of(void **state)
{
    struct pool *pool = pool_new();

    (void)state;
    for (int i = 0; i < 4; i++) {
        open_one(pool, i);
    }
    call_release(pool->holders[2].call, true);
    pool->holders[2].call = NULL;
    call_release(pool->holders[0].call, true);
    pool->holders[0].call = NULL;
    cloud_settle(pool->cloud);
    assert_true(pool->holders[3].opened);
    assert_false(pool->holders[2].opened || pool->holders[2].ended || pool->holders[0].ended);
    pool_free(pool);
}

static void test_calls__that_idle_are_closed(void **state)
{
    struct pool *pool = pool_new();

    (void)state;
    open_one(pool, 0);
    open_one(pool, 1);
    call_use(pool->holders[0].call, false);
    pass(pool, 59000);
    assert_false(pool->holders[0].ended);
    pass(pool, 1000);
    assert_true(pool->holders[0].ended);
    assert_false(pool->holders[1].ended); /* an answer is owed */
    assert_int_equal(pool->holders[0].code, GRPC_OK);
    pool_free(pool);
}

static void test_calls__are_worn_before_the_day_is_over(void **state)
{
    struct pool *pool = pool_new();

    (void)state;
    open_one(pool, 0);
    pass(pool, 22 * UINT64_C(3600000));
    assert_false(call_is_worn(pool->holders[0].call));
    pass(pool, UINT64_C(3600000));
    assert_true(call_is_worn(pool->holders[0].call));
    assert_false(pool->holders[0].ended); /* an answer may be owed: its owner lets go of it */
    call_use(pool->holders[0].call, false);
    pass(pool, 1000);
    assert_true(pool->holders[0].ended);
    pool_free(pool);
}

static void test_calls__without_a_token_end_and_say_why(void **state)
{
    struct pool *pool = pool_new();

    (void)state;
    pool->cloud->hold_tokens = true;
    open_one(pool, 0);
    assert_true(pool->holders[0].ended && !pool->holders[0].opened);
    assert_string_equal(pool->holders[0].text, "no token today");
    pool->cloud->hold_tokens = false;
    open_one(pool, 1);
    assert_true(pool->holders[1].opened);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append__knows_each_answer_by_its_code),
        cmocka_unit_test(test_append__knows_each_answer_by_its_storage_error),
        cmocka_unit_test(test_append__takes_already_exists_for_in_only_if_it_was_sent_before),
        cmocka_unit_test(test_append__takes_out_of_range_in_peace_only_behind_a_failed_one),
        cmocka_unit_test(test_append__buries_rows_on_the_first_try_only),
        cmocka_unit_test(test_append__is_surprised_by_rows_that_went_elsewhere),
        cmocka_unit_test(test_append__plans_requests_that_answer_for_the_batch_without_a_gap),
        cmocka_unit_test(test_append__names_the_first_row_that_is_left),
        cmocka_unit_test(test_append__drops_rows_of_many_requests_in_any_order),
        cmocka_unit_test(test_append__leaves_requests_alone_that_lose_nothing),
        cmocka_unit_test(test_append__names_the_row_that_can_not_be_planned),
        cmocka_unit_test(test_append__refuses_a_batch_that_a_mark_can_not_name),
        cmocka_unit_test(test_calls__are_never_more_than_allowed),
        cmocka_unit_test(test_calls__least_lately_used_goes_first),
        cmocka_unit_test(test_calls__that_wait_can_be_let_go_of),
        cmocka_unit_test(test_calls__that_idle_are_closed),
        cmocka_unit_test(test_calls__are_worn_before_the_day_is_over),
        cmocka_unit_test(test_calls__without_a_token_end_and_say_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
