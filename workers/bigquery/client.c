/* SPDX-License-Identifier: Apache-2.0 */
/* Each function starts one asynchronous call and turns the loop until its callback has set `done`. */
#include "workers/bigquery/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/must.h"
#include "workers/bigquery/channel_options.h"
#include "workers/bigquery/grpc.h"
#include "workers/bigquery/token.h"

#define SERVICE        "/google.cloud.bigquery.storage.v1.BigQueryWrite/"
#define CALL_MS        60000
#define QUERY_WAIT_MS  20000
#define JOB_FIRST_MS   500
#define JOB_MAX_MS     5000
#define RETRY_FIRST_MS 500

struct client {
    const struct settings *settings;
    uv_loop_t loop;
    struct http *http;
    struct token_source *tokens;
    struct rest *rest;
    struct grpc *grpc;
    struct token_wait wait; /* of the question for a token */
    char authorization[8192];
    struct err token_err;
    bool done;
    uv_prepare_t before_wait;
    const bool *awaited;
};

/* A turn of the loop runs timers first and then waits for sockets: what a timer has done must end that wait. */
static void on_before_wait(uv_prepare_t *prepare)
{
    struct client *client = prepare->data;

    if (client->awaited != NULL && *client->awaited) {
        uv_stop(&client->loop);
    }
}

static void wait_until(struct client *client, const bool *done)
{
    client->awaited = done;
    while (!*done) {
        (void)uv_run(&client->loop, UV_RUN_ONCE);
    }
    client->awaited = NULL;
}

struct rest *client_calls(struct client *client)
{
    return client->rest;
}

void client_wait(struct client *client, const bool *done)
{
    wait_until(client, done);
}

static void on_closed(void *context)
{
    ((struct client *)context)->done = true;
}

/* ---- beginning and end */

static int open_parts(struct client *client, struct err *err)
{
    const struct channel_options options = channel_options_of(&client->settings->bigquery);

    if (http_new(&client->loop, &options.http, &client->http, err) != 0 ||
        token_source_new(&client->loop, client->http, &options.tokens, &client->tokens, err) != 0 ||
        grpc_new(&client->loop, &options.grpc, &client->grpc, err) != 0) {
        return -1;
    }
    client->rest = rest_new(&client->loop, client->http, client->tokens, &options.rest);
    return 0;
}

int client_new(const struct settings *settings, struct client **ret_client, struct err *err)
{
    struct client *client = calloc(1, sizeof *client);

    must(client != NULL && uv_loop_init(&client->loop) == 0);
    must(uv_prepare_init(&client->loop, &client->before_wait) == 0);
    must(uv_prepare_start(&client->before_wait, on_before_wait) == 0);
    client->before_wait.data = client;
    client->settings = settings;
    if (open_parts(client, err) != 0) {
        client_free(client);
        return -1;
    }
    *ret_client = client;
    return 0;
}

void client_free(struct client *client)
{
    if (client == NULL) {
        return;
    }
    client->done = false;
    grpc_free(client->grpc, on_closed, client);
    wait_until(client, &client->done);
    client->done = false;
    rest_close(client->rest, on_closed, client);
    wait_until(client, &client->done);
    client->done = false;
    token_source_close(client->tokens, on_closed, client);
    wait_until(client, &client->done);
    client->done = false;
    http_close(client->http, on_closed, client);
    wait_until(client, &client->done);
    uv_close((uv_handle_t *)&client->before_wait, NULL);
    must(uv_run(&client->loop, UV_RUN_DEFAULT) == 0 && uv_loop_close(&client->loop) == 0);
    explicit_bzero(client->authorization, sizeof client->authorization);
    free(client);
}

/* ---- tokens */

static void on_token(struct token_wait *wait, const char *token, const struct err *err)
{
    struct client *client = wait->context;

    client->token_err.class = ERR_NONE;
    client->authorization[0] = '\0';
    if (err != NULL) {
        client->token_err = *err;
    } else if (token[0] != '\0' && (size_t)snprintf(client->authorization, sizeof client->authorization, "Bearer %s", token) >=
                                       sizeof client->authorization) {
        (void)err_set(&client->token_err, ERR_FATAL, "the token is longer than %zu bytes", sizeof client->authorization);
    }
    client->done = true;
}

static int get_token(struct client *client, struct err *err)
{
    client->done = false;
    client->wait = (struct token_wait){.answer = on_token, .context = client};
    token_get(client->tokens, &client->wait);
    wait_until(client, &client->done);
    if (client->token_err.class != ERR_NONE) {
        *err = client->token_err;
        return -1;
    }
    return 0;
}

int client_sign_in(struct client *client, const char **ret_who, struct err *err)
{
    if (get_token(client, err) != 0) {
        return -1;
    }
    *ret_who = token_describe(client->tokens);
    return 0;
}

/* ---- REST */

struct rest_talk {
    bool done;
    json_t *body;
    struct rest_error error;
};

static void on_rest(void *context, const struct rest_answer *answer)
{
    struct rest_talk *talk = context;

    if (answer->error != NULL) {
        talk->error = *answer->error;
    } else {
        talk->body = json_incref(answer->body);
    }
    talk->done = true;
}

int client_rest(struct client *client, const struct rest_request *request, json_t **ret_body, struct rest_error *ret_error)
{
    struct rest_talk talk = {0};

    (void)rest_send(client->rest, request, on_rest, &talk);
    wait_until(client, &talk.done);
    *ret_body = talk.body;
    *ret_error = talk.error;
    return talk.body != NULL ? 0 : -1;
}

void client_append_project(const struct client *client, struct buffer *path)
{
    buffer_append_text(path, "/bigquery/v2/projects/");
    rest_append_encoded(path, client->settings->bigquery.project);
}

/* jobs.query with the given words; polled until the job is complete. */
static int run_query(struct client *client, json_t *words, json_t **ret_body, struct rest_error *ret_error)
{
    struct buffer path = {0};
    struct rest_request request = {.method = "POST", .body = words};
    int status;

    client_append_project(client, &path);
    buffer_append_text(&path, "/queries");
    request.path = buffer_text(&path);
    status = client_rest(client, &request, ret_body, ret_error);
    while (status == 0 && json_is_false(json_object_get(*ret_body, "jobComplete"))) {
        const json_t *reference = json_object_get(*ret_body, "jobReference");
        const char *job = json_string_value(json_object_get(reference, "jobId"));
        struct rest_request again = {.method = "GET"};

        buffer_clear(&path);
        client_append_project(client, &path);
        buffer_printf(&path, "/queries/%s?timeoutMs=%d&location=%s", job != NULL ? job : "", QUERY_WAIT_MS,
                      client->settings->bigquery.location);
        json_decref(*ret_body);
        again.path = buffer_text(&path);
        status = client_rest(client, &again, ret_body, ret_error);
    }
    buffer_deinit(&path);
    return status;
}

/* {"rows":[{"f":[{"v":"1"}, ...]}, ...]} into [["1", ...], ...] */
static json_t *read_rows(const json_t *body)
{
    json_t *rows = json_array();
    const json_t *row, *cell;
    size_t i, j;

    json_array_foreach(json_object_get(body, "rows"), i, row)
    {
        json_t *values = json_array();

        json_array_foreach(json_object_get(row, "f"), j, cell)
        {
            json_array_append(values, json_object_get(cell, "v"));
        }
        json_array_append_new(rows, values);
    }
    return rows;
}

int client_query(struct client *client, const char *sql, json_t **ret_rows, struct rest_error *ret_error)
{
    json_t *body = NULL;
    json_t *words = json_pack("{s:s, s:b, s:i, s:s}", "query", sql, "useLegacySql", 0, "timeoutMs", QUERY_WAIT_MS, "location",
                              client->settings->bigquery.location);
    int status = run_query(client, words, &body, ret_error);

    *ret_rows = status == 0 ? read_rows(body) : NULL;
    json_decref(words);
    json_decref(body);
    return status;
}

int client_dry_run(struct client *client, const char *sql, int64_t *ret_bytes, struct rest_error *ret_error)
{
    json_t *body = NULL;
    json_t *words = json_pack("{s:s, s:b, s:b, s:s}", "query", sql, "useLegacySql", 0, "dryRun", 1, "location",
                              client->settings->bigquery.location);
    int status = run_query(client, words, &body, ret_error);
    const char *bytes = json_string_value(json_object_get(body, "totalBytesProcessed"));

    *ret_bytes = bytes != NULL ? strtoll(bytes, NULL, 10) : 0;
    json_decref(words);
    json_decref(body);
    return status;
}

/* ---- load jobs */

struct upload_talk {
    bool done;
    enum upload_answer answer;
    struct err err;
};

static void on_upload(void *context, enum upload_answer answer, const struct err *err)
{
    struct upload_talk *talk = context;

    talk->answer = answer;
    if (err != NULL) {
        talk->err = *err;
    }
    talk->done = true;
}

enum upload_answer client_upload(struct client *client, const struct client_file *file, struct err *err)
{
    const struct settings_bigquery *settings = &client->settings->bigquery;
    struct upload_talk talk = {.answer = UPLOAD_TAKEN};
    struct upload *upload = upload_new(&(struct upload_options){.loop = &client->loop,
                                                                .http = client->http,
                                                                .rest = client->rest,
                                                                .tokens = client->tokens,
                                                                .endpoint = settings->endpoint,
                                                                .project = settings->project,
                                                                .quota_project = settings->quota_project,
                                                                .retry_ms = (uint64_t)settings->retry_ms,
                                                                .retry_first_ms = RETRY_FIRST_MS,
                                                                .job = file->job});

    if (file->first_bytes > 0) {
        upload_put(upload, file->bytes, file->first_bytes, false, on_upload, &talk);
        wait_until(client, &talk.done);
    }
    if (talk.answer == UPLOAD_TAKEN) {
        talk.done = false;
        upload_put(upload, file->bytes + file->first_bytes, file->size - file->first_bytes, true, on_upload, &talk);
        wait_until(client, &talk.done);
    }
    upload_free(upload);
    *err = talk.err;
    return talk.answer;
}

struct job_talk {
    bool done;
    struct job_state state;
    struct err err;
};

static void on_job(void *context, const struct job_state *state, const struct err *err)
{
    struct job_talk *talk = context;

    if (err != NULL) {
        talk->err = *err;
    } else {
        talk->state = *state;
    }
    talk->done = true;
}

int client_job(struct client *client, const struct job_reference *job, const struct job_table *table,
               struct job_state *ret_state, struct err *err)
{
    struct job_talk talk = {0};

    (void)job_watch_start(&(struct job_watch_options){.loop = &client->loop,
                                                      .rest = client->rest,
                                                      .reference = *job,
                                                      .table = *table,
                                                      .first_ms = JOB_FIRST_MS,
                                                      .max_ms = JOB_MAX_MS},
                          on_job, &talk);
    wait_until(client, &talk.done);
    *ret_state = talk.state;
    *err = talk.err;
    return talk.err.class == ERR_NONE ? 0 : -1;
}

/* ---- gRPC */

void client_status_deinit(struct client_status *status)
{
    buffer_deinit(&status->details);
}

static void keep_status(struct client_status *status, const struct grpc_status *from)
{
    status->code = from->code;
    (void)snprintf(status->text, sizeof status->text, "%s: %s", grpc_code_name(from->code), from->message);
    buffer_clear(&status->details);
    if (from->details != NULL) {
        buffer_append(&status->details, from->details, from->details_size);
    }
}

static int no_token(struct client_status *status, const struct err *err)
{
    status->code = GRPC_UNAUTHENTICATED;
    (void)snprintf(status->text, sizeof status->text, "%s", err->text);
    return -1;
}

struct unary_talk {
    bool done;
    struct buffer *out;
    struct client_status *status;
};

static void on_unary(void *context, const struct grpc_status *status, const uint8_t *message, size_t size)
{
    struct unary_talk *talk = context;

    keep_status(talk->status, status);
    if (message != NULL) {
        buffer_append(talk->out, message, size);
    }
    talk->done = true;
}

int client_unary(struct client *client, const char *method, const char *params, const struct buffer *message,
                 struct buffer *out, struct client_status *ret_status)
{
    struct unary_talk talk = {.out = out, .status = ret_status};
    char name[128];
    struct err err;

    buffer_clear(out);
    if (get_token(client, &err) != 0) {
        return no_token(ret_status, &err);
    }
    (void)snprintf(name, sizeof name, SERVICE "%s", method);
    (void)grpc_unary(
        client->grpc,
        &(struct grpc_target){.method = name, .params = params, .authorization = client->authorization, .timeout_ms = CALL_MS},
        message->bytes, message->size, on_unary, &talk);
    wait_until(client, &talk.done);
    return ret_status->code == GRPC_OK ? 0 : -1;
}

struct client_call {
    struct client *client;
    struct grpc_call *call; /* NULL: ended */
    struct buffer answer;
    struct client_status status;
    bool done;
};

static void on_message(void *context, const uint8_t *message, size_t size)
{
    struct client_call *call = context;

    buffer_clear(&call->answer);
    buffer_append(&call->answer, message, size);
    call->done = true;
}

static void on_end(void *context, const struct grpc_status *status)
{
    struct client_call *call = context;

    keep_status(&call->status, status);
    call->call = NULL;
    call->done = true;
}

struct client_call *client_call_open(struct client *client, const char *write_stream)
{
    static const struct grpc_events events = {.message = on_message, .end = on_end};
    struct client_call *call = calloc(1, sizeof *call);
    struct buffer params = {0};
    struct err err;

    must(call != NULL);
    call->client = client;
    if (get_token(client, &err) != 0) {
        (void)no_token(&call->status, &err);
        return call;
    }
    buffer_printf(&params, "write_stream=%s", write_stream);
    call->call = grpc_call_open(client->grpc,
                                &(struct grpc_target){.method = SERVICE "AppendRows",
                                                      .params = buffer_text(&params),
                                                      .authorization = client->authorization,
                                                      .timeout_ms = 15 * CALL_MS},
                                &events, call);
    buffer_deinit(&params);
    return call;
}

int client_call_ask(struct client_call *call, const struct buffer *message, struct buffer *out,
                    struct client_status *ret_status)
{
    call->done = call->call == NULL;
    if (call->call != NULL) {
        grpc_call_send(call->call, message->bytes, message->size);
    }
    wait_until(call->client, &call->done);
    if (call->call == NULL) {
        ret_status->code = call->status.code;
        memcpy(ret_status->text, call->status.text, sizeof ret_status->text);
        buffer_clear(&ret_status->details);
        buffer_append(&ret_status->details, call->status.details.bytes, call->status.details.size);
        return -1;
    }
    buffer_clear(out);
    buffer_append(out, call->answer.bytes, call->answer.size);
    return 0;
}

void client_call_close(struct client_call *call)
{
    if (call == NULL) {
        return;
    }
    if (call->call != NULL) {
        call->done = false;
        grpc_call_cancel(call->call);
        wait_until(call->client, &call->done);
    }
    buffer_deinit(&call->answer);
    client_status_deinit(&call->status);
    free(call);
}
