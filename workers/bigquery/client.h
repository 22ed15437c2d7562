/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client: BigQuery for commands: the same HTTP, REST and gRPC as the worker's, one question at a time, each waited for.
 *
 * It owns a loop and turns it until the answer is here. Never for a worker: that has one loop, which must not wait.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_CLIENT_H
#define KAKEHI_WORKERS_BIGQUERY_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include "common/buffer.h"
#include "common/err.h"
#include "common/settings.h"
#include "workers/bigquery/jobs.h"
#include "workers/bigquery/rest.h"
#include "workers/bigquery/upload.h"

struct client;

/* settings are borrowed until client_free. ERR_FATAL: no or bad credentials, no endpoint. */
int client_new(const struct settings *settings, struct client **ret_client, struct err *err) MUST_CHECK;
void client_free(struct client *client); /* takes NULL */

/* Who signs in; borrowed until the next call. Asks for a token. */
int client_sign_in(struct client *client, const char **ret_who, struct err *err) MUST_CHECK;

/* One REST call. *ret_body is the caller's; NULL on an error, which is then in *ret_error. */
int client_rest(struct client *client, const struct rest_request *request, json_t **ret_body,
                struct rest_error *ret_error) MUST_CHECK;
/* Runs SQL by a query job, to its end; the rows of its first page. rows: arrays of texts (or null), the caller's; DML: empty.
 */
int client_query(struct client *client, const char *sql, json_t **ret_rows, struct rest_error *ret_error) MUST_CHECK;
/* What a query would read; nothing is run. */
int client_dry_run(struct client *client, const char *sql, int64_t *ret_bytes, struct rest_error *ret_error) MUST_CHECK;

/* Appends "/bigquery/v2/projects/<project>" to a path. */
void client_append_project(const struct client *client, struct buffer *path);

/* For what is asynchronous itself: its REST calls, and the loop turned until *done. */
struct rest *client_calls(struct client *client);
void client_wait(struct client *client, const bool *done);

/* ---- load jobs */

struct client_file {
    const json_t *job; /* what job_load made */
    const uint8_t *bytes;
    size_t size;
    size_t
        first_bytes; /* a put of their own, a multiple of UPLOAD_UNIT: the upload is a resumable one; 0: all in one request */
};

/* Sends a load file. *err says why it is not UPLOAD_TAKEN. */
enum upload_answer client_upload(struct client *client, const struct client_file *file, struct err *err);
/* Waits until a load job is done, or unknown. -1: it can't be asked. */
int client_job(struct client *client, const struct job_reference *job, const struct job_table *table,
               struct job_state *ret_state, struct err *err) MUST_CHECK;

/* ---- Storage Write */

struct client_status {
    int code;              /* enum grpc_code */
    char text[512];        /* for people */
    struct buffer details; /* grpc-status-details-bin */
};

void client_status_deinit(struct client_status *status);

/* method: "CreateWriteStream". *out gets the answer's bytes (cleared before). -1: status says how it ended. */
int client_unary(struct client *client, const char *method, const char *params, const struct buffer *message,
                 struct buffer *out, struct client_status *ret_status) MUST_CHECK;

/* An AppendRows call, one request and one answer at a time. */
struct client_call;
struct client_call *client_call_open(struct client *client, const char *write_stream);
/* -1: the call has ended, status says how. */
int client_call_ask(struct client_call *call, const struct buffer *message, struct buffer *out,
                    struct client_status *ret_status) MUST_CHECK;
void client_call_close(struct client_call *call); /* takes NULL */

#endif
