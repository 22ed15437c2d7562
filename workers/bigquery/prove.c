/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps share one table and one stream, and each says what it expects before it looks; the count of rows that must be in is kept
 * beside. A step that can't be asked (no answer, not allowed) is an error of its own; the later ones are tried all the same.
 *
 * What an emulator is known to answer in other words (the plain code without a StorageError) is a note, not an error: the product reads
 * both.
 */
#include "workers/bigquery/prove.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/must.h"
#include "schemas/record.h"
#include "schemas/schema.h"
#include "workers/bigquery/append_request.h"
#include "workers/bigquery/descriptor.h"
#include "workers/bigquery/grpc.h"
#include "workers/bigquery/storage_messages.h"

#define REQUEST_BYTES   (1 << 20)
#define NEW_COLUMN_S    900 /* rows of a new column may have to wait for minutes */
#define DAY_S           86400
#define SOURCE_COLUMNS  2
#define COLUMNS         (SOURCE_COLUMNS + BIGQUERY_META_COUNT)

struct proof {
    struct client *client;
    const struct settings *settings;
    struct findings *findings;
    char dataset[64];
    char table[512]; /* projects/../tables/proof */
    char stream[STORAGE_STREAM_NAME_MAX + 1];
    struct schema *schema;
    struct bigquery_column columns[COLUMNS + 1]; /* one that comes later */
    struct row_program *program;
    struct client_call *call;
    bool new_call;       /* the next request needs the writer's descriptor */
    bool with_added;     /* .. of the table with the added column */
    int64_t rows;        /* in the stream */
    struct buffer answer;
    struct client_status status;
};

static void said(struct proof *proof, bool right, const char *what, const char *rests_on, const char *found)
{
    char subject[128];

    (void)snprintf(subject, sizeof subject, "prove: %s", what);
    finding(proof->findings, right ? FINDING_OK : FINDING_ERROR, subject, right ? NULL : rests_on, "%s", found);
}

/* ---- rows and requests */

static void build_schema(struct proof *proof)
{
    struct table *table = table_new("kakehi", "proof", SOURCE_COLUMNS, 1);
    static const char *const names[] = {"id", "v"};
    struct err err;

    for (size_t i = 0; i < SOURCE_COLUMNS; i++) {
        table->columns[i].name = strdup(names[i]);
        table->columns[i].source_type = strdup(i == 0 ? "bigint" : "text");
        table->columns[i].type = i == 0 ? COLUMN_LONG : COLUMN_TEXT;
        proof->columns[i] = (struct bigquery_column){names[i], i == 0 ? BIGQUERY_INT64 : BIGQUERY_STRING};
    }
    table->key[0] = 0;
    memcpy(proof->columns + SOURCE_COLUMNS, bigquery_meta_columns, sizeof bigquery_meta_columns);
    proof->columns[COLUMNS] = (struct bigquery_column){"added", BIGQUERY_STRING};
    must(schema_new(table, &proof->schema, &err) == 0);
}

static void build_program(struct proof *proof)
{
    const struct bigquery_layout layout = {.columns = proof->columns, .column_count = COLUMNS};
    struct err err;

    must(row_program_new(proof->schema->table, &layout, (const size_t[]){0, 1}, &proof->program, &err) == 0);
}

/* One row; bad: without the id, which the table requires. */
static void encode_row(struct proof *proof, int64_t id, bool bad, struct append_rows *rows)
{
    const struct record_meta meta = {
        .op = 'c', .ts_us = (int64_t)time(NULL) * 1000000, .seq = id, .idx = 0, .source = "prove", .source_size = 5, .txid = "prove", .txid_size = 5};
    const struct cell cells[] = {{.state = bad ? CELL_NULL : CELL_VALUE, .integer = id}, {.state = CELL_VALUE, .bytes = (const uint8_t *)"v", .size = 1}};
    struct buffer avro = {0};
    struct err err;

    must(record_encode_value(&avro, proof->schema->table, cells, &meta, &err) == 0);
    must(append_rows_add(rows, proof->program, avro.bytes, avro.size, (int32_t)(time(NULL) / DAY_S), &err) == APPEND_ADDED);
    buffer_deinit(&avro);
}

static void build_request(struct proof *proof, int64_t offset, int64_t count, bool bad, struct buffer *request)
{
    const struct bigquery_layout layout = {.columns = proof->columns, .column_count = COLUMNS + (size_t)proof->with_added};
    struct append_rows rows;
    struct buffer descriptor = {0};
    const uint8_t *bytes;
    size_t size;

    descriptor_encode(&descriptor, &layout);
    append_rows_init(&rows, append_head_bound(sizeof proof->stream, descriptor.size), REQUEST_BYTES);
    for (int64_t i = 0; i < count; i++) {
        encode_row(proof, offset + i, bad && i == count - 1, &rows);
    }
    bytes = append_rows_request(&rows, &(struct append_head){proof->stream, offset, proof->new_call ? &descriptor : NULL}, &size);
    buffer_append(request, bytes, size);
    append_rows_deinit(&rows);
    buffer_deinit(&descriptor);
}

struct append_found {
    bool answered; /* in-band; else the call has ended */
    bool accepted;
    int32_t code;
    int32_t error_code;
    size_t row_errors;
    char text[STORAGE_STATUS_TEXT_MAX + 64];
};

static void read_found(struct proof *proof, struct append_found *found)
{
    struct storage_append_answer answer;
    struct err err;

    if (storage_append_decode(proof->answer.bytes, proof->answer.size, &answer, &err) != 0) {
        (void)snprintf(found->text, sizeof found->text, "an answer that can't be read: %.200s", err.text);
        return;
    }
    found->accepted = answer.accepted;
    found->code = answer.status.code;
    found->error_code = answer.status.error_code;
    found->row_errors = answer.row_error_count;
    if (answer.accepted) {
        (void)snprintf(found->text, sizeof found->text, "accepted at offset %" PRId64, answer.offset);
    } else {
        storage_status_text(&answer.status, found->text);
    }
    storage_append_answer_deinit(&answer);
}

/* Sends count rows at the offset on the open call, or on a new one. */
static struct append_found append(struct proof *proof, int64_t offset, int64_t count, bool bad)
{
    struct append_found found = {0};
    struct buffer request = {0};

    if (proof->call == NULL) {
        proof->call = client_call_open(proof->client, proof->stream);
        proof->new_call = true;
    }
    build_request(proof, offset, count, bad, &request);
    found.answered = client_call_ask(proof->call, &request, &proof->answer, &proof->status) == 0;
    proof->new_call = false;
    if (found.answered) {
        read_found(proof, &found);
    } else {
        found.code = proof->status.code;
        (void)snprintf(found.text, sizeof found.text, "the call ended: %.300s", proof->status.text);
        client_call_close(proof->call);
        proof->call = NULL;
    }
    buffer_deinit(&request);
    return found;
}

static void hang_up(struct proof *proof)
{
    client_call_close(proof->call);
    proof->call = NULL;
}

/* ---- the scratch table */

static int rest(struct proof *proof, const char *method, const char *under_project, const json_t *body, const char *etag, json_t **ret_body,
                struct rest_error *ret_error)
{
    struct buffer path = {0};
    int status;

    client_append_project(proof->client, &path);
    buffer_append_text(&path, under_project);
    status = client_rest(proof->client, &(struct rest_request){.method = method, .path = buffer_text(&path), .body = body, .if_match = etag}, ret_body,
                         ret_error);
    buffer_deinit(&path);
    return status;
}

static json_t *table_fields(const struct proof *proof, size_t column_count)
{
    json_t *fields = json_array();

    for (size_t i = 0; i < column_count; i++) {
        json_array_append_new(fields, json_pack("{s:s, s:s, s:s}", "name", proof->columns[i].name, "type", bigquery_type_word(proof->columns[i].type),
                                                "mode", i == 0 ? "REQUIRED" : "NULLABLE"));
    }
    return fields;
}

static bool make_table(struct proof *proof)
{
    const char *project = proof->settings->bigquery.project;
    json_t *body = NULL;
    struct rest_error error;
    char path[128];
    json_t *dataset = json_pack("{s:{s:s, s:s}, s:s, s:{s:s}}", "datasetReference", "projectId", project, "datasetId", proof->dataset, "location",
                                proof->settings->bigquery.location, "labels", "kakehi_scratch", "true");
    json_t *table = json_pack("{s:{s:s, s:s, s:s}, s:{s:o}}", "tableReference", "projectId", project, "datasetId", proof->dataset, "tableId", "proof",
                              "schema", "fields", table_fields(proof, COLUMNS));
    bool made;

    (void)snprintf(path, sizeof path, "/datasets/%s/tables", proof->dataset);
    made = rest(proof, "POST", "/datasets", dataset, NULL, &body, &error) == 0;
    json_decref(body);
    made = made && rest(proof, "POST", path, table, NULL, &body, &error) == 0;
    json_decref(made ? body : NULL);
    json_decref(dataset);
    json_decref(table);
    said(proof, made, "make a scratch dataset and table", "needs bigquery.datasets.create and bigquery.tables.create on the project",
         made ? proof->dataset : error.err.text);
    (void)snprintf(proof->table, sizeof proof->table, "projects/%s/datasets/%s/tables/proof", project, proof->dataset);
    return made;
}

static void clean_up(struct proof *proof)
{
    json_t *body = NULL;
    struct rest_error error;
    char path[160];
    bool gone;

    (void)snprintf(path, sizeof path, "/datasets/%s?deleteContents=true", proof->dataset);
    gone = rest(proof, "DELETE", path, NULL, NULL, &body, &error) == 0;
    json_decref(body);
    said(proof, gone, "clean up", "delete the dataset by hand", gone ? "the scratch dataset is deleted" : error.err.text);
}

/* ---- streams and offsets */

static bool make_stream(struct proof *proof)
{
    struct buffer request = {0};
    char params[600];
    struct storage_stream stream;
    struct err err;
    bool made;

    storage_create_write_stream(&request, proof->table);
    (void)snprintf(params, sizeof params, "parent=%s", proof->table);
    made = client_unary(proof->client, "CreateWriteStream", params, &request, &proof->answer, &proof->status) == 0 &&
           storage_stream_decode(proof->answer.bytes, proof->answer.size, &stream, &err) == 0;
    if (made) {
        (void)snprintf(proof->stream, sizeof proof->stream, "%.*s", (int)stream.name.size, stream.name.bytes);
    }
    buffer_deinit(&request);
    proof->rows = 0;
    return made;
}

static bool prove_stream(struct proof *proof)
{
    bool made = make_stream(proof);

    said(proof, made, "CreateWriteStream", "needs bigquery.tables.updateData", made ? "a COMMITTED stream" : proof->status.text);
    return made;
}

static void prove_append(struct proof *proof)
{
    struct append_found found = append(proof, 0, 3, false);

    proof->rows += found.accepted ? 3 : 0;
    said(proof, found.accepted, "3 rows at offset 0", "every append", found.text);
}

static bool names(const struct append_found *found, int32_t code, int32_t error_code)
{
    return found->code == code && (found->error_code == error_code || found->error_code == STORAGE_ERROR_NONE);
}

static void prove_repeat(struct proof *proof)
{
    struct append_found found = append(proof, 0, 3, false);

    said(proof, found.answered && names(&found, GRPC_ALREADY_EXISTS, STORAGE_ERROR_OFFSET_ALREADY_EXISTS), "the same request again is ALREADY_EXISTS",
         "a repeated request must be told apart from a new one (C3)", found.text);
    hang_up(proof);
    found = append(proof, 0, 3, false);
    said(proof, found.answered && names(&found, GRPC_ALREADY_EXISTS, STORAGE_ERROR_OFFSET_ALREADY_EXISTS), "again on another call: ALREADY_EXISTS",
         "a request is repeated on a new call after a lost one (C3)", found.text);
}

static void prove_gap(struct proof *proof)
{
    struct append_found found = append(proof, proof->rows + 7, 1, false);

    said(proof, found.answered && names(&found, GRPC_OUT_OF_RANGE, STORAGE_ERROR_OFFSET_OUT_OF_RANGE), "an offset beyond the end is OUT_OF_RANGE",
         "a request behind a failed one must not be taken", found.text);
    found = append(proof, proof->rows, 2, false);
    proof->rows += found.accepted ? 2 : 0;
    said(proof, found.accepted, "the right offset after refusals is taken", "a refusal must leave the stream usable", found.text);
}

static void prove_row_errors(struct proof *proof)
{
    struct append_found found = append(proof, proof->rows, 3, true);

    said(proof, found.answered && !found.accepted && found.row_errors > 0, "a bad row is named, and none of its request is in",
         "bad rows go to the dead letters, the others in (C5)", found.text);
    found = append(proof, proof->rows, 1, false);
    proof->rows += found.accepted ? 1 : 0;
    said(proof, found.accepted, "the same offset after row errors is taken", "the rest of the request is sent at the same offset", found.text);
}

static void prove_visible(struct proof *proof)
{
    struct buffer sql = {0};
    struct rest_error error;
    json_t *rows = NULL;
    const char *count = NULL;
    char found[600];

    buffer_printf(&sql, "SELECT COUNT(*) FROM `%s.%s.proof`", proof->settings->bigquery.project, proof->dataset);
    if (client_query(proof->client, buffer_text(&sql), &rows, &error) == 0) {
        count = json_string_value(json_array_get(json_array_get(rows, 0), 0));
    }
    (void)snprintf(found, sizeof found, "%.300s of %" PRId64 " rows", count != NULL ? count : error.err.text, proof->rows);
    said(proof, count != NULL && strtoll(count, NULL, 10) == proof->rows, "rows can be queried at once after the answer", "freshness; the refresh of a base (F2)",
         found);
    json_decref(rows);
    buffer_deinit(&sql);
}

static void prove_merge(struct proof *proof)
{
    struct buffer sql = {0};
    struct rest_error error = {0};
    json_t *rows = NULL;
    const char *count = NULL;
    char found[600];

    buffer_printf(&sql,
                  "CREATE TABLE `%s.%s.base` (id INT64, v STRING);"
                  " MERGE `%s.%s.base` b USING `%s.%s.proof` p ON b.id = p.id WHEN NOT MATCHED THEN INSERT (id, v) VALUES (p.id, p.v);"
                  " SELECT COUNT(*) FROM `%s.%s.base`",
                  proof->settings->bigquery.project, proof->dataset, proof->settings->bigquery.project, proof->dataset, proof->settings->bigquery.project,
                  proof->dataset, proof->settings->bigquery.project, proof->dataset);
    if (client_query(proof->client, buffer_text(&sql), &rows, &error) == 0) {
        count = json_string_value(json_array_get(json_array_get(rows, 0), 0));
    }
    (void)snprintf(found, sizeof found, "%.300s of %" PRId64 " rows", count != NULL ? count : error.err.text, proof->rows);
    said(proof, count != NULL && strtoll(count, NULL, 10) == proof->rows, "a MERGE sees rows at once after the answer", "the refresh of a base (F1, F2)", found);
    json_decref(rows);
    buffer_deinit(&sql);
}

/* ---- a new column */

static int get_table(struct proof *proof, json_t **ret_table, struct rest_error *ret_error)
{
    char path[128];

    (void)snprintf(path, sizeof path, "/datasets/%s/tables/proof", proof->dataset);
    return rest(proof, "GET", path, NULL, NULL, ret_table, ret_error);
}

static int patch_table(struct proof *proof, const char *etag, struct rest_error *ret_error)
{
    char path[128];
    json_t *body = json_pack("{s:{s:o}}", "schema", "fields", table_fields(proof, COLUMNS + 1));
    json_t *answer = NULL;
    int status;

    (void)snprintf(path, sizeof path, "/datasets/%s/tables/proof", proof->dataset);
    status = rest(proof, "PATCH", path, body, etag, &answer, ret_error);
    json_decref(answer);
    json_decref(body);
    return status;
}

static void prove_patch(struct proof *proof)
{
    struct rest_error error = {0};
    json_t *table = NULL;
    bool patched = get_table(proof, &table, &error) == 0 && patch_table(proof, json_string_value(json_object_get(table, "etag")), &error) == 0;

    said(proof, patched, "a column is added by a patch with the ETag", "new columns of the source", patched ? "added" : error.err.text);
    if (patched) {
        bool refused = patch_table(proof, json_string_value(json_object_get(table, "etag")), &error) != 0 && error.status == 412;

        said(proof, refused, "a patch with an old ETag is refused with 412", "two workers that add columns at once", refused ? "412" : "it was taken");
    }
    json_decref(table);
}

static void prove_new_column(struct proof *proof)
{
    time_t began = time(NULL);
    struct append_found found;
    char text[STORAGE_STATUS_TEXT_MAX + 128];

    hang_up(proof);
    proof->with_added = true;
    do {
        found = append(proof, proof->rows, 1, false);
        if (!found.accepted) {
            hang_up(proof);
            uv_sleep(1000);
        }
    } while (!found.accepted && time(NULL) - began < NEW_COLUMN_S);
    proof->rows += found.accepted ? 1 : 0;
    (void)snprintf(text, sizeof text, "after %lld s: %s", (long long)(time(NULL) - began), found.text);
    said(proof, found.accepted, "a writer with the added column is taken, in the end", "rows of a new column wait for it", text);
}

/* ---- Finalize */

static bool finalize(struct proof *proof, int64_t *ret_count)
{
    struct buffer request = {0};
    char params[STORAGE_STREAM_NAME_MAX + 16];
    struct err err;
    bool good;

    storage_finalize_write_stream(&request, proof->stream);
    (void)snprintf(params, sizeof params, "name=%s", proof->stream);
    good = client_unary(proof->client, "FinalizeWriteStream", params, &request, &proof->answer, &proof->status) == 0 &&
           storage_finalize_decode(proof->answer.bytes, proof->answer.size, ret_count, &err) == 0;
    buffer_deinit(&request);
    return good;
}

static void prove_finalize(struct proof *proof)
{
    char text[700];

    for (int turn = 1; turn <= 2; turn++) {
        int64_t count = -1;
        bool good = finalize(proof, &count);

        (void)snprintf(text, sizeof text, "%" PRId64 " of %" PRId64 " rows%s%.500s", count, proof->rows, good ? "" : ", ", good ? "" : proof->status.text);
        said(proof, good && count == proof->rows, turn == 1 ? "Finalize says how many rows are in" : "a second Finalize says the same",
             "recovery: what the last owner wrote (C1, C7)", text);
    }
}

static void prove_finalized(struct proof *proof)
{
    struct append_found found;
    bool refused;

    hang_up(proof);
    found = append(proof, proof->rows, 1, false);
    refused = !found.accepted && (found.error_code == STORAGE_ERROR_STREAM_FINALIZED || found.code == GRPC_INVALID_ARGUMENT || found.code == GRPC_FAILED_PRECONDITION);
    said(proof, refused, "a finalized stream takes no rows", "an owner that was replaced can't write any more (C1)", found.text);
    hang_up(proof);
}

/* ---- jobs */

static void prove_job_id(struct proof *proof)
{
    char id[96];
    json_t *body = NULL;
    struct rest_error error = {0};
    json_t *job;
    bool first, again;

    (void)snprintf(id, sizeof id, "%s_job", proof->dataset);
    job = json_pack("{s:{s:s, s:s, s:s}, s:{s:{s:s, s:b}}}", "jobReference", "projectId", proof->settings->bigquery.project, "jobId", id, "location",
                    proof->settings->bigquery.location, "configuration", "query", "query", "SELECT 1", "useLegacySql", 0);
    first = rest(proof, "POST", "/jobs", job, NULL, &body, &error) == 0;
    json_decref(body);
    again = rest(proof, "POST", "/jobs", job, NULL, &body, &error) == 0;
    json_decref(body);
    said(proof, first && !again && error.status == 409, "a job id is used once: 409", "an intent's job is inserted again by the next owner (D1, D2)",
         again ? "the second one was taken too" : error.err.text);
    json_decref(job);
}

/* ---- all */

static void run(struct proof *proof)
{
    if (!make_table(proof)) {
        return;
    }
    if (prove_stream(proof)) {
        prove_append(proof);
        prove_repeat(proof);
        prove_gap(proof);
        prove_row_errors(proof);
        prove_visible(proof);
        prove_merge(proof);
        prove_patch(proof);
        prove_new_column(proof);
        prove_finalize(proof);
        prove_finalized(proof);
    }
    prove_job_id(proof);
}

void prove(struct client *client, const struct settings *settings, struct findings *findings)
{
    struct proof proof = {.client = client, .settings = settings, .findings = findings};
    uint64_t random;

    must(RAND_bytes((unsigned char *)&random, sizeof random) == 1);
    (void)snprintf(proof.dataset, sizeof proof.dataset, "kakehi_prove_%016" PRIx64, random);
    build_schema(&proof);
    build_program(&proof);
    run(&proof);
    hang_up(&proof);
    clean_up(&proof);
    row_program_free(proof.program);
    schema_free(proof.schema);
    buffer_deinit(&proof.answer);
    client_status_deinit(&proof.status);
}
