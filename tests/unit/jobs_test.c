/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs, with rest.h played by the test. What must not happen: a failed job read as done, a job of another table as ours, an
 * unknown word of BigQuery's as something to try for ever; two ids the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/jobs.h"

static const struct job_table table = {"p", "shop", "orders_history"};

static void test_jobs__ids_are_random_and_of_letters_that_a_job_may_have(void **state)
{
    char one[JOB_ID_SIZE];
    char other[JOB_ID_SIZE];

    (void)state;
    job_id_make(one, "kakehi.eu west|1");
    job_id_make(other, "kakehi.eu west|1");
    assert_int_equal(strncmp(one, "kakehi-eu-west-1_", 17), 0);
    assert_int_equal(strlen(one), 17 + 32);
    assert_string_not_equal(one, other);
    assert_true(job_id_valid(one));
    job_id_make(one, "a-prefix-that-is-longer-than-what-is-shown-of-it-in-an-id");
    assert_int_equal(strlen(one), 40 + 1 + 32);
    assert_true(job_id_valid(one));
    job_id_make(one, "");
    assert_true(job_id_valid(one));
}

static void test_jobs__an_id_that_is_none_is_known(void **state)
{
    char too_long[JOB_ID_SIZE + 8];

    (void)state;
    memset(too_long, 'a', sizeof too_long);
    too_long[sizeof too_long - 1] = '\0';
    assert_false(job_id_valid(""));
    assert_false(job_id_valid("kakehi"));
    assert_false(job_id_valid("kakehi_0123456789abcdef0123456789abcde/"));
    assert_false(job_id_valid(too_long));
}

static void test_jobs__a_load_guesses_nothing(void **state)
{
    const struct job_reference reference = {"kakehi_1", "EU"};
    json_t *job = job_load(&reference, &table);
    const json_t *load = json_object_get(json_object_get(job, "configuration"), "load");
    json_t *destination = json_object_get(load, "destinationTable");

    (void)state;
    assert_string_equal(json_string_value(json_object_get(json_object_get(job, "jobReference"), "jobId")), "kakehi_1");
    assert_string_equal(json_string_value(json_object_get(json_object_get(job, "jobReference"), "location")), "EU");
    assert_string_equal(json_string_value(json_object_get(destination, "tableId")), "orders_history");
    assert_string_equal(json_string_value(json_object_get(load, "createDisposition")), "CREATE_NEVER");
    assert_string_equal(json_string_value(json_object_get(load, "writeDisposition")), "WRITE_APPEND");
    assert_true(json_is_true(json_object_get(load, "useAvroLogicalTypes")));
    assert_true(json_is_false(json_object_get(load, "autodetect")));
    assert_null(json_object_get(load, "schemaUpdateOptions"));
    assert_null(json_object_get(load, "ignoreUnknownValues"));
    assert_int_equal(json_array_size(json_object_get(load, "decimalTargetTypes")), 3);
    json_decref(job);
}

/* ---- what became of it */

#define CONFIGURATION                                                                                                          \
    "\"configuration\":{\"load\":{\"destinationTable\":{\"projectId\":\"p\",\"datasetId\":\"shop\",\"tableId\":\"orders_"      \
    "history\"}}}"

static json_t *job_of(const char *text)
{
    json_t *job = json_loads(text, 0, NULL);

    must(job != NULL);
    return job;
}

static struct job_state read_job(const char *text)
{
    json_t *job = job_of(text);
    struct job_state job_state;
    struct err err;

    assert_int_equal(job_read(job, &table, &job_state, &err), 0);
    json_decref(job);
    return job_state;
}

static struct job_state read_failed(const char *reason)
{
    char text[512];

    (void)snprintf(
        text, sizeof text,
        "{" CONFIGURATION ",\"status\":{\"state\":\"DONE\",\"errorResult\":{\"reason\":\"%s\",\"message\":\"why\"}}}", reason);
    return read_job(text);
}

static void test_jobs__done_is_loaded_only_without_an_error(void **state)
{
    struct job_state job = read_job(
        "{" CONFIGURATION ",\"status\":{\"state\":\"DONE\"},\"statistics\":{\"load\":{\"outputRows\":\"12345678901\"}}}");

    (void)state;
    assert_int_equal(job.verdict, JOB_LOADED);
    assert_int_equal(job.rows, 12345678901);
    assert_int_equal(read_job("{" CONFIGURATION ",\"status\":{\"state\":\"DONE\"}}").rows, -1);
    assert_int_equal(read_job("{" CONFIGURATION ",\"status\":{\"state\":\"RUNNING\"}}").verdict, JOB_RUNNING);
    assert_int_equal(read_job("{" CONFIGURATION ",\"status\":{\"state\":\"PENDING\"}}").verdict, JOB_RUNNING);
    assert_int_equal(read_job("{" CONFIGURATION ",\"status\":{\"state\":\"DONE\",\"errorResult\":{}}}").verdict, JOB_DATA);
}

static void test_jobs__a_failure_is_transient_of_the_data_or_for_a_person(void **state)
{
    (void)state;
    assert_int_equal(read_failed("backendError").verdict, JOB_TRANSIENT);
    assert_int_equal(read_failed("backendError").err.class, ERR_RETRY);
    assert_int_equal(read_failed("invalid").verdict, JOB_DATA);
    assert_int_equal(read_failed("invalid").err.class, ERR_POISON);
    assert_int_equal(read_failed("accessDenied").verdict, JOB_DENIED);
    assert_int_equal(read_failed("accessDenied").err.class, ERR_FATAL);
    assert_int_equal(read_failed("quotaExceeded").verdict, JOB_DATA); /* appends get on */
    assert_int_equal(read_failed("somethingNew").verdict, JOB_DATA);
    assert_non_null(strstr(read_failed("invalid").err.text, "invalid: why"));
}

static void test_jobs__a_job_of_another_table_is_foreign_whatever_it_says(void **state)
{
    (void)state;
    assert_int_equal(read_job("{\"configuration\":{\"load\":{\"destinationTable\":{\"projectId\":\"p\",\"datasetId\":\"shop\","
                              "\"tableId\":\"customers_history\"}}},\"status\":{\"state\":\"DONE\"}}")
                         .verdict,
                     JOB_FOREIGN);
    assert_int_equal(read_job("{\"configuration\":{\"query\":{}},\"status\":{\"state\":\"DONE\"}}").verdict, JOB_FOREIGN);
}

static void test_jobs__an_answer_that_is_no_job_is_asked_again(void **state)
{
    static const char *const texts[] = {"{}", "[]", "{\"status\":7}", "{\"status\":{\"state\":\"DONE\"}}",
                                        "{\"configuration\":{\"load\":{}}}"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_t *job = job_of(texts[i]);
        struct job_state job_state;
        struct err err = {0};

        assert_int_equal(job_read(job, &table, &job_state, &err), -1);
        assert_int_equal(err.class, ERR_RETRY);
        json_decref(job);
    }
}

/* ---- waiting, with rest.h played here */

struct rest_call {
    rest_answered answered;
    void *context;
};

static struct {
    struct rest_call call;
    bool asked;
    unsigned asks;
    char path[256];
} rest;

struct rest_call *rest_send(struct rest *unused, const struct rest_request *request, rest_answered answered, void *context)
{
    (void)unused;
    assert_string_equal(request->method, "GET");
    (void)snprintf(rest.path, sizeof rest.path, "%s", request->path);
    rest.call = (struct rest_call){answered, context};
    rest.asked = true;
    rest.asks++;
    return &rest.call;
}

void rest_cancel(struct rest_call *call)
{
    (void)call;
    rest.asked = false;
}


static void rest_answer(const char *text)
{
    json_t *body = job_of(text);

    assert_true(rest.asked);
    rest.asked = false;
    rest.call.answered(rest.call.context, &(struct rest_answer){.status = 200, .body = body});
    json_decref(body);
}

static void rest_fail(enum rest_class class, enum err_class err_class)
{
    const struct rest_error error = {.class = class, .err = {err_class, "why"}};

    assert_true(rest.asked);
    rest.asked = false;
    rest.call.answered(rest.call.context, &(struct rest_answer){.error = &error});
}

struct watched {
    int count;
    enum job_verdict verdict;
    enum err_class failed;
};

static void on_watched(void *context, const struct job_state *job, const struct err *err)
{
    struct watched *watched = context;

    watched->count++;
    watched->verdict = job != NULL ? job->verdict : JOB_RUNNING;
    watched->failed = err != NULL ? err->class : ERR_NONE;
}

static uv_loop_t loop;

static int setup(void **state)
{
    (void)state;
    memset(&rest, 0, sizeof rest);
    return uv_loop_init(&loop);
}

static int teardown(void **state)
{
    (void)state;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

static struct job_watch *watch(struct watched *watched)
{
    return job_watch_start(&(struct job_watch_options){.loop = &loop, .reference = {"kakehi_1", "EU"}, .table = table},
                           on_watched, watched);
}

static void test_jobs__a_watch_asks_until_the_job_is_done(void **state)
{
    struct watched watched = {0};

    (void)state;
    (void)watch(&watched);
    assert_string_equal(rest.path, "/bigquery/v2/projects/p/jobs/kakehi_1?location=EU");
    for (int i = 0; i < 5; i++) {
        rest_answer("{" CONFIGURATION ",\"status\":{\"state\":\"RUNNING\"}}");
        assert_false(rest.asked);
        (void)uv_run(&loop, UV_RUN_ONCE);
        assert_int_equal(watched.count, 0);
    }
    rest_answer("{" CONFIGURATION ",\"status\":{\"state\":\"DONE\"}}");
    assert_int_equal(watched.count, 1);
    assert_int_equal(watched.verdict, JOB_LOADED);
    assert_int_equal(rest.asks, 6);
}

static void test_jobs__a_watch_tells_unknown_from_trouble(void **state)
{
    struct watched watched = {0};

    (void)state;
    (void)watch(&watched);
    rest_fail(REST_NOT_FOUND, ERR_POISON);
    assert_int_equal(watched.verdict, JOB_UNKNOWN);
    assert_int_equal(watched.failed, ERR_NONE);
    (void)watch(&watched);
    rest_fail(REST_RETRY, ERR_RETRY);
    assert_int_equal(watched.failed, ERR_RETRY);
    (void)watch(&watched);
    rest_fail(REST_DENIED, ERR_FATAL);
    assert_int_equal(watched.failed, ERR_FATAL);
    (void)watch(&watched);
    rest_answer("{}");
    assert_int_equal(watched.failed, ERR_RETRY);
    assert_int_equal(watched.count, 4);
}

static void test_jobs__a_canceled_watch_answers_no_more(void **state)
{
    struct watched watched = {0};

    (void)state;
    job_watch_cancel(NULL);
    job_watch_cancel(watch(&watched));
    assert_false(rest.asked);
    assert_int_equal(watched.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs__ids_are_random_and_of_letters_that_a_job_may_have),
        cmocka_unit_test(test_jobs__an_id_that_is_none_is_known),
        cmocka_unit_test(test_jobs__a_load_guesses_nothing),
        cmocka_unit_test(test_jobs__done_is_loaded_only_without_an_error),
        cmocka_unit_test(test_jobs__a_failure_is_transient_of_the_data_or_for_a_person),
        cmocka_unit_test(test_jobs__a_job_of_another_table_is_foreign_whatever_it_says),
        cmocka_unit_test(test_jobs__an_answer_that_is_no_job_is_asked_again),
        cmocka_unit_test_setup_teardown(test_jobs__a_watch_asks_until_the_job_is_done, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jobs__a_watch_tells_unknown_from_trouble, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jobs__a_canceled_watch_answers_no_more, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
