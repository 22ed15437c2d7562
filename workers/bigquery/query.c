/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   INSERT --made, or "duplicate"--> RESULTS --jobComplete--> answered
 *                                     ^    | not yet
 *                                     +----+
 *
 * A 409 to the insert is our own first try: the id is random. getQueryResults waits at the server, so nothing here waits by
 * time. A statement that failed is told by the same call as an error with the job's reason, which rest.c has a class for.
 */
#include "workers/bigquery/query.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/jobs.h"

#define SERVER_WAITS_MS 20000

struct query {
    struct rest *rest;
    struct rest_call *call; /* the one under way */
    char *project;
    char *location;
    char *doing;
    char job_id[JOB_ID_SIZE];
    json_t *rows;
    query_answered answer;
    void *context;
};

static void query_free(struct query *query)
{
    free(query->project);
    free(query->location);
    free(query->doing);
    json_decref(query->rows);
    free(query);
}

static void finish(struct query *query, const struct err *err)
{
    const struct query_answer answer = {.rows = query->rows, .job_id = query->job_id};

    query->answer(query->context, err == NULL ? &answer : NULL, err);
    query_free(query);
}

static void fail(struct query *query, const struct rest_error *error)
{
    struct err err = error->err;

    (void)err_while(&err, "%s", query->doing);
    finish(query, &err);
}

static void fetch(struct query *query, const char *page);

/* False: more than we take. */
static bool add_rows(struct query *query, const json_t *body)
{
    const json_t *rows = json_object_get(body, "rows");

    if (json_array_size(query->rows) + json_array_size(rows) > QUERY_ROWS_MAX) {
        return false;
    }
    if (json_is_array(rows)) {
        must(json_array_extend(query->rows, (json_t *)rows) == 0);
    }
    return true;
}

static void on_results(void *context, const struct rest_answer *answer)
{
    struct query *query = context;
    const char *page;
    struct err err;

    query->call = NULL;
    if (answer->error != NULL) {
        fail(query, answer->error);
    } else if (!json_is_true(json_object_get(answer->body, "jobComplete"))) {
        fetch(query, NULL);
    } else if (!add_rows(query, answer->body)) {
        (void)err_set(&err, ERR_POISON, "%s: more than %d rows", query->doing, QUERY_ROWS_MAX);
        finish(query, &err);
    } else {
        page = json_string_value(json_object_get(answer->body, "pageToken"));
        if (page != NULL && page[0] != '\0') {
            fetch(query, page);
        } else {
            finish(query, NULL);
        }
    }
}

static void append_parameter(struct buffer *path, char before, const char *name, const char *value)
{
    buffer_printf(path, "%c%s=", before, name);
    rest_append_encoded(path, value);
}

static void fetch(struct query *query, const char *page)
{
    struct buffer path = {0};
    struct rest_request request = {.method = "GET"};

    buffer_append_text(&path, "/bigquery/v2/projects/");
    rest_append_encoded(&path, query->project);
    buffer_printf(&path, "/queries/%s?timeoutMs=%d", query->job_id, SERVER_WAITS_MS);
    append_parameter(&path, '&', "location", query->location);
    if (page != NULL) {
        append_parameter(&path, '&', "pageToken", page);
    }
    request.path = buffer_text(&path);
    query->call = rest_send(query->rest, &request, on_results, query);
    buffer_deinit(&path);
}

static void on_inserted(void *context, const struct rest_answer *answer)
{
    struct query *query = context;

    query->call = NULL;
    if (answer->error != NULL && answer->error->class != REST_CONFLICT) {
        fail(query, answer->error);
    } else {
        fetch(query, NULL);
    }
}

static void insert(struct query *query, const char *sql)
{
    struct buffer path = {0};
    struct rest_request request = {.method = "POST", .repeatable = true};
    json_t *body =
        json_pack("{s:{s:s, s:s, s:s}, s:{s:{s:s, s:b}}}", "jobReference", "projectId", query->project, "jobId", query->job_id,
                  "location", query->location, "configuration", "query", "query", sql, "useLegacySql", 0);

    must(body != NULL);
    buffer_append_text(&path, "/bigquery/v2/projects/");
    rest_append_encoded(&path, query->project);
    buffer_append_text(&path, "/jobs");
    request.path = buffer_text(&path);
    request.body = body;
    query->call = rest_send(query->rest, &request, on_inserted, query);
    json_decref(body);
    buffer_deinit(&path);
}

struct query *query_start(const struct query_options *options, query_answered answer, void *context)
{
    struct query *query = calloc(1, sizeof *query);

    must(query != NULL);
    query->rest = options->rest;
    query->project = must_strdup(options->project);
    query->location = must_strdup(options->location);
    query->doing = must_strdup(options->doing);
    query->rows = json_array();
    must(query->rows != NULL);
    query->answer = answer;
    query->context = context;
    job_id_make(query->job_id, options->job_prefix);
    insert(query, options->sql);
    return query;
}

void query_cancel(struct query *query)
{
    if (query == NULL) {
        return;
    }
    rest_cancel(query->call);
    query_free(query);
}

const char *query_value(const json_t *rows, size_t row, size_t column)
{
    const json_t *fields = json_object_get(json_array_get(rows, row), "f");

    return json_string_value(json_object_get(json_array_get(fields, column), "v"));
}
