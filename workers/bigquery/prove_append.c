/* SPDX-License-Identifier: Apache-2.0 */
/* One table and one stream for all steps. */
#include <inttypes.h>
#include <string.h>
#include <uv.h>

#include "common/must.h"
#include "workers/bigquery/append_request.h"
#include "workers/bigquery/descriptor.h"
#include "workers/bigquery/grpc.h"
#include "workers/bigquery/prove_parts.h"
#include "workers/bigquery/storage_messages.h"

#define REQUEST_BYTES       (1 << 20)
#define NEW_COLUMN_S        900 /* rows of a new column may have to wait for minutes */
#define NEW_COLUMN_PAUSE_MS 1000
#define NS_A_SECOND         UINT64_C(1000000000)

struct appends {
    struct proof *proof;
    char table[512]; /* projects/../tables/appended */
    char stream[STORAGE_STREAM_NAME_MAX + 1];
    struct client_call *call; /* NULL: none is open */
    bool new_call;            /* the next request needs the writer's descriptor */
    bool with_added;          /* .. of the table with the added column */
    int64_t rows;             /* in the stream */
    struct buffer answer;
    struct client_status status;
};

static void said(struct appends *appends, bool right, const char *what, const char *rests_on, const char *found)
{
    proof_said(appends->proof, right, what, rests_on, found);
}

/* ---- requests */

/* bad: without the id, which the table requires. */
static void add_row(const struct proof *proof, int64_t id, bool bad, struct append_rows *rows)
{
    struct buffer avro = {0};
    struct err err;

    proof_row_encode(proof, &(struct proof_row){.id = id, .no_id = bad, .text = "v", .text_size = 1}, &avro);
    must(append_rows_add(rows, proof->program, avro.bytes, avro.size, proof->day, &err) == APPEND_ADDED);
    buffer_deinit(&avro);
}

static void build_request(struct appends *appends, int64_t offset, int64_t count, bool bad, struct buffer *request)
{
    const struct bigquery_layout layout = {.columns = appends->proof->columns,
                                           .column_count = PROOF_COLUMNS + (size_t)appends->with_added};
    struct append_rows rows;
    struct buffer descriptor = {0};
    const uint8_t *bytes;
    size_t size;

    descriptor_encode(&descriptor, &layout);
    append_rows_init(&rows, append_head_bound(sizeof appends->stream, descriptor.size), REQUEST_BYTES);
    for (int64_t i = 0; i < count; i++) {
        add_row(appends->proof, offset + i, bad && i == count - 1, &rows);
    }
    bytes = append_rows_request(&rows, &(struct append_head){appends->stream, offset, appends->new_call ? &descriptor : NULL},
                                &size);
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

static void read_found(struct appends *appends, struct append_found *found)
{
    struct storage_append_answer answer;
    struct err err;

    if (storage_append_decode(appends->answer.bytes, appends->answer.size, &answer, &err) != 0) {
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
static struct append_found append(struct appends *appends, int64_t offset, int64_t count, bool bad)
{
    struct append_found found = {0};
    struct buffer request = {0};

    if (appends->call == NULL) {
        appends->call = client_call_open(appends->proof->client, appends->stream);
        appends->new_call = true;
    }
    build_request(appends, offset, count, bad, &request);
    found.answered = client_call_ask(appends->call, &request, &appends->answer, &appends->status) == 0;
    appends->new_call = false;
    if (found.answered) {
        read_found(appends, &found);
    } else {
        found.code = appends->status.code;
        (void)snprintf(found.text, sizeof found.text, "the call ended: %.300s", appends->status.text);
        client_call_close(appends->call);
        appends->call = NULL;
    }
    buffer_deinit(&request);
    return found;
}

static void hang_up(struct appends *appends)
{
    client_call_close(appends->call);
    appends->call = NULL;
}

/* ---- streams and offsets */

static bool make_stream(struct appends *appends)
{
    struct buffer request = {0};
    char params[600];
    struct storage_stream stream;
    struct err err;
    bool made;

    storage_create_write_stream(&request, appends->table);
    (void)snprintf(params, sizeof params, "parent=%s", appends->table);
    made =
        client_unary(appends->proof->client, "CreateWriteStream", params, &request, &appends->answer, &appends->status) == 0 &&
        storage_stream_decode(appends->answer.bytes, appends->answer.size, &stream, &err) == 0;
    if (made) {
        (void)snprintf(appends->stream, sizeof appends->stream, "%.*s", (int)stream.name.size, stream.name.bytes);
    }
    buffer_deinit(&request);
    appends->rows = 0;
    return made;
}

static bool prove_stream(struct appends *appends)
{
    bool made = make_stream(appends);

    said(appends, made, "CreateWriteStream", "needs bigquery.tables.updateData",
         made ? "a COMMITTED stream" : appends->status.text);
    return made;
}

static void prove_append(struct appends *appends)
{
    struct append_found found = append(appends, 0, 3, false);

    appends->rows += found.accepted ? 3 : 0;
    said(appends, found.accepted, "3 rows at offset 0", "every append", found.text);
}

static bool names(const struct append_found *found, int32_t code, int32_t error_code)
{
    return found->code == code && (found->error_code == error_code || found->error_code == STORAGE_ERROR_NONE);
}

static void prove_repeat(struct appends *appends)
{
    struct append_found found = append(appends, 0, 3, false);

    said(appends, found.answered && names(&found, GRPC_ALREADY_EXISTS, STORAGE_ERROR_OFFSET_ALREADY_EXISTS),
         "the same request again is ALREADY_EXISTS", "a repeated request must be told apart from a new one (C3)", found.text);
    hang_up(appends);
    found = append(appends, 0, 3, false);
    said(appends, found.answered && names(&found, GRPC_ALREADY_EXISTS, STORAGE_ERROR_OFFSET_ALREADY_EXISTS),
         "again on another call: ALREADY_EXISTS", "a request is repeated on a new call after a lost one (C3)", found.text);
}

static void prove_gap(struct appends *appends)
{
    struct append_found found = append(appends, appends->rows + 7, 1, false);

    said(appends, found.answered && names(&found, GRPC_OUT_OF_RANGE, STORAGE_ERROR_OFFSET_OUT_OF_RANGE),
         "an offset beyond the end is OUT_OF_RANGE", "a request behind a failed one must not be taken", found.text);
    found = append(appends, appends->rows, 2, false);
    appends->rows += found.accepted ? 2 : 0;
    said(appends, found.accepted, "the right offset after refusals is taken", "a refusal must leave the stream usable",
         found.text);
}

static void prove_row_errors(struct appends *appends)
{
    struct append_found found = append(appends, appends->rows, 3, true);

    said(appends, found.answered && !found.accepted && found.row_errors > 0,
         "a bad row is named, and none of its request is in", "bad rows go to the dead letters, the others in (C5)",
         found.text);
    found = append(appends, appends->rows, 1, false);
    appends->rows += found.accepted ? 1 : 0;
    said(appends, found.accepted, "the same offset after row errors is taken",
         "the rest of the request is sent at the same offset", found.text);
}

/* ---- a new column */

/* Where offsets are not what they should be, no waiting brings the column. */
static bool may_come(const struct append_found *found)
{
    return !found->accepted && found->code != GRPC_ALREADY_EXISTS && found->code != GRPC_OUT_OF_RANGE;
}

static void prove_new_column(struct appends *appends)
{
    uint64_t began_s = uv_hrtime() / NS_A_SECOND;
    struct append_found found;
    char text[STORAGE_STATUS_TEXT_MAX + 128];

    hang_up(appends);
    appends->with_added = true;
    do {
        found = append(appends, appends->rows, 1, false);
        if (may_come(&found)) {
            hang_up(appends);
            uv_sleep(NEW_COLUMN_PAUSE_MS);
        }
    } while (may_come(&found) && uv_hrtime() / NS_A_SECOND - began_s < NEW_COLUMN_S);
    appends->rows += found.accepted ? 1 : 0;
    (void)snprintf(text, sizeof text, "after %llu s: %s", (unsigned long long)(uv_hrtime() / NS_A_SECOND - began_s), found.text);
    said(appends, found.accepted, "a writer with the added column is taken, in the end", "rows of a new column wait for it",
         text);
}

/* ---- Finalize */

static bool finalize(struct appends *appends, int64_t *ret_count)
{
    struct buffer request = {0};
    char params[STORAGE_STREAM_NAME_MAX + 16];
    struct err err;
    bool good;

    storage_finalize_write_stream(&request, appends->stream);
    (void)snprintf(params, sizeof params, "name=%s", appends->stream);
    good = client_unary(appends->proof->client, "FinalizeWriteStream", params, &request, &appends->answer, &appends->status) ==
               0 &&
           storage_finalize_decode(appends->answer.bytes, appends->answer.size, ret_count, &err) == 0;
    buffer_deinit(&request);
    return good;
}

static void prove_finalize(struct appends *appends)
{
    char text[700];

    for (int turn = 1; turn <= 2; turn++) {
        int64_t count = -1;
        bool good = finalize(appends, &count);

        (void)snprintf(text, sizeof text, "%" PRId64 " of %" PRId64 " rows%s%.500s", count, appends->rows, good ? "" : ", ",
                       good ? "" : appends->status.text);
        said(appends, good && count == appends->rows,
             turn == 1 ? "Finalize says how many rows are in" : "a second Finalize says the same",
             "recovery: what the last owner wrote (C1, C7)", text);
    }
}

static void prove_finalized(struct appends *appends)
{
    struct append_found found;
    bool refused;

    hang_up(appends);
    found = append(appends, appends->rows, 1, false);
    refused = !found.accepted && (found.error_code == STORAGE_ERROR_STREAM_FINALIZED || found.code == GRPC_INVALID_ARGUMENT ||
                                  found.code == GRPC_FAILED_PRECONDITION);
    said(appends, refused, "a finalized stream takes no rows", "an owner that was replaced can't write any more (C1)",
         found.text);
    hang_up(appends);
}

/* ---- all */

static void run(struct appends *appends)
{
    if (!prove_stream(appends)) {
        return;
    }
    prove_append(appends);
    prove_repeat(appends);
    prove_gap(appends);
    prove_row_errors(appends);
    prove_visible(appends->proof, appends->rows);
    prove_merge(appends->proof, appends->rows);
    prove_patch(appends->proof);
    prove_new_column(appends);
    prove_finalize(appends);
    prove_finalized(appends);
}

void prove_appends(struct proof *proof)
{
    struct appends appends = {.proof = proof};

    (void)snprintf(appends.table, sizeof appends.table, "projects/%s/datasets/%s/tables/" PROOF_APPENDED,
                   proof->settings->bigquery.project, proof->dataset);
    run(&appends);
    hang_up(&appends);
    buffer_deinit(&appends.answer);
    client_status_deinit(&appends.status);
}
