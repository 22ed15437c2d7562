/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and jobs are the product's own (avro_file, upload, jobs), into a table of the modes that a history has: BigQuery
 * compares a column's mode with that of the file's field, so a load is refused where they differ.
 *
 * What is to be shown is that a job's id is used once, whichever way it came and however the job ended: a job is found by it
 * (D1), sent again by whoever can't know (D2), and used up on purpose where its file can't be made again.
 */
#include <inttypes.h>
#include <openssl/rand.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/avro_file.h"
#include "workers/bigquery/names.h"
#include "workers/bigquery/prove_parts.h"

#define TABLE     "loaded"
#define FEW_ROWS  3
#define MANY_ROWS 600 /* more than a put's unit, compressed */
#define LONG_TEXT 1200

/* No Avro file begins so. */
static const uint8_t doomed[] = {'v', 'o', 'i', 'd'};

struct loads_proof {
    struct proof *proof;
    struct job_table table;
    int64_t rows; /* that must be in */
};

/* What became of a file. */
struct tried {
    enum upload_answer sent;
    struct job_state job; /* of a file that was taken */
    char text[PROOF_TEXT_SIZE];
};

static void said(struct loads_proof *loads, bool right, const char *what, const char *rests_on, const char *found)
{
    proof_said(loads->proof, right, what, rests_on, found);
}

/* ---- files */

/* Letters that zstd can't make small. */
static void fill_text(char *text, size_t size)
{
    must(RAND_bytes((unsigned char *)text, (int)size) == 1);
    for (size_t i = 0; i < size; i++) {
        text[i] = (char)('0' + ((unsigned char)text[i] & 63));
    }
}

static void add_rows(const struct proof *proof, int64_t first_id, int64_t count, size_t text_size, struct avro_file *file,
                     struct buffer *out)
{
    struct buffer avro = {0};
    char text[LONG_TEXT];

    for (int64_t i = 0; i < count; i++) {
        buffer_clear(&avro);
        fill_text(text, text_size);
        proof_row_encode(proof, &(struct proof_row){.id = first_id + i, .text = text, .text_size = text_size}, &avro);
        avro_file_add(file, avro.bytes, avro.size, proof->day, out);
    }
    buffer_deinit(&avro);
}

/* Rows of consecutive ids, each with a text of that length. */
static void build_file(const struct proof *proof, int64_t first_id, int64_t count, size_t text_size, struct buffer *out)
{
    const struct bigquery_layout layout = {.columns = proof->columns, .column_count = PROOF_COLUMNS};
    struct avro_coder *coder = avro_coder_new(AVRO_FILE_ZSTD);
    struct avro_file file;
    struct buffer schema = {0};
    uint8_t sync[AVRO_FILE_SYNC_SIZE];
    struct err err;

    must(avro_file_schema(proof->schema->table, &layout, (const size_t[]){0, 1}, &schema, &err) == 0);
    must(RAND_bytes(sync, sizeof sync) == 1);
    avro_file_begin(&file, coder, buffer_text(&schema), sync, 0, out);
    add_rows(proof, first_id, count, text_size, &file, out);
    avro_file_flush(&file, out);
    avro_file_deinit(&file);
    avro_coder_free(coder);
    buffer_deinit(&schema);
}

/* ---- jobs */

static struct job_reference new_job(const struct loads_proof *loads)
{
    const struct settings *settings = loads->proof->settings;
    struct job_reference job;

    job_id_make(job.id, settings->prefix);
    must(snprintf(job.location, sizeof job.location, "%s", settings->bigquery.location) < (int)sizeof job.location);
    return job;
}

static void ask_job(struct loads_proof *loads, const struct job_reference *reference, struct tried *tried)
{
    struct err err;

    if (client_job(loads->proof->client, reference, &loads->table, &tried->job, &err) != 0) {
        (void)snprintf(tried->text, sizeof tried->text, "%s", err.text);
    } else if (tried->job.verdict == JOB_LOADED) {
        (void)snprintf(tried->text, sizeof tried->text, "loaded, %" PRId64 " rows", tried->job.rows);
    } else {
        (void)snprintf(tried->text, sizeof tried->text, "%s%s%s", job_verdict_name(tried->job.verdict),
                       tried->job.err.text[0] != '\0' ? ": " : "", tried->job.err.text);
    }
}

/* first_bytes: see client_file. */
static struct tried try(struct loads_proof *loads, const struct job_reference *reference, const struct buffer *bytes,
                        size_t first_bytes)
{
    struct tried tried = {.job = {.verdict = JOB_RUNNING}};
    json_t *job = job_load(reference, &loads->table);
    struct err err = {0};

    tried.sent = client_upload(
        loads->proof->client,
        &(struct client_file){.job = job, .bytes = bytes->bytes, .size = bytes->size, .first_bytes = first_bytes}, &err);
    json_decref(job);
    if (tried.sent == UPLOAD_TAKEN) {
        ask_job(loads, reference, &tried);
    } else {
        (void)snprintf(tried.text, sizeof tried.text, "%s", err.text);
    }
    return tried;
}

/* All rows that are in, counted where each value stands as it was sent. */
static int64_t count_rows(struct loads_proof *loads, char *ret_why)
{
    const struct proof *proof = loads->proof;
    struct buffer sql = {0};
    int64_t count;

    buffer_printf(&sql,
                  "SELECT COUNT(*) FROM `%s.%s." TABLE
                  "` WHERE id = __seq AND LENGTH(v) > 0 AND __op = 'c' AND UNIX_MICROS(__ts) = %" PRId64
                  " AND __idx = 0 AND __source = 'prove' AND __txid = 'prove' AND __ingest_day = DATE_ADD(DATE '1970-01-01', "
                  "INTERVAL %" PRId32 " DAY)",
                  proof->settings->bigquery.project, proof->dataset, proof->began_us, proof->day);
    count = proof_number(loads->proof, buffer_text(&sql), ret_why);
    buffer_deinit(&sql);
    return count;
}

/* Is in what must be, and no more? Else text says what was found. */
static bool rows_are_right(struct loads_proof *loads, char *text)
{
    char why[PROOF_TEXT_SIZE];
    int64_t count = count_rows(loads, why);

    if (count == loads->rows) {
        return true;
    }
    if (count >= 0) {
        (void)snprintf(text, PROOF_TEXT_SIZE, "%" PRId64 " of %" PRId64 " rows are in the table as they were sent", count,
                       loads->rows);
    } else {
        (void)snprintf(text, PROOF_TEXT_SIZE, "%s", why);
    }
    return false;
}

/* ---- steps */

static void said_loaded(struct loads_proof *loads, struct tried *tried, int64_t rows, const char *what)
{
    bool loaded =
        tried->sent == UPLOAD_TAKEN && tried->job.verdict == JOB_LOADED && (tried->job.rows == rows || tried->job.rows == -1);

    loads->rows += loaded ? rows : 0;
    said(loads, loaded && rows_are_right(loads, tried->text), what, "every load", tried->text);
}

static void said_refused(struct loads_proof *loads, struct tried *tried, const char *what)
{
    bool refused = tried->sent == UPLOAD_EXISTS;

    said(loads, refused && rows_are_right(loads, tried->text), what,
         "whoever finds an intent sends its job again under the same id (D1, D2)", tried->text);
}

static void prove_one_request(struct loads_proof *loads)
{
    struct job_reference job = new_job(loads);
    struct buffer file = {0};
    struct tried tried;

    build_file(loads->proof, 0, FEW_ROWS, 1, &file);
    tried = try(loads, &job, &file, 0);
    said_loaded(loads, &tried, FEW_ROWS, "a load file sent in one request is in whole");
    tried = try(loads, &job, &file, 0);
    said_refused(loads, &tried, "its job id again is 409, and loads nothing");
    buffer_deinit(&file);
}

static void prove_pieces(struct loads_proof *loads)
{
    struct job_reference job = new_job(loads);
    struct buffer file = {0};
    struct tried tried;

    build_file(loads->proof, FEW_ROWS, MANY_ROWS, LONG_TEXT, &file);
    must(file.size > UPLOAD_UNIT);
    tried = try(loads, &job, &file, UPLOAD_UNIT);
    said_loaded(loads, &tried, MANY_ROWS, "a load file sent in pieces is in whole");
    tried = try(loads, &job, &file, UPLOAD_UNIT);
    said_refused(loads, &tried, "its job id again is 409, in pieces too");
    buffer_deinit(&file);
}

static void prove_unknown(struct loads_proof *loads)
{
    struct job_reference job = new_job(loads);
    struct tried tried = {.job = {.verdict = JOB_RUNNING}};

    ask_job(loads, &job, &tried);
    said(loads, tried.job.verdict == JOB_UNKNOWN, "a job that was never sent is unknown",
         "an intent without a job is built again (D2)", tried.text);
}

static void prove_doomed(struct loads_proof *loads)
{
    const struct buffer bytes = {.bytes = (uint8_t *)doomed, .size = sizeof doomed};
    struct job_reference job = new_job(loads);
    struct buffer file = {0};
    struct tried tried = try(loads, &job, &bytes, 0);
    bool failed = tried.sent == UPLOAD_TAKEN && (tried.job.verdict == JOB_DATA || tried.job.verdict == JOB_TRANSIENT);

    said(loads, failed && rows_are_right(loads, tried.text), "a file that is none fails, and leaves nothing",
         "an intent whose file can't be built again is used up (D2)", tried.text);
    build_file(loads->proof, FEW_ROWS + MANY_ROWS, FEW_ROWS, 1, &file);
    tried = try(loads, &job, &file, 0);
    said_refused(loads, &tried, "a failed job's id is used up too");
    buffer_deinit(&file);
}

/* That a query of all rows would read, or of those from this day on; -1 and why. */
static int64_t bytes_read(const struct proof *proof, const int32_t *from_day, char *ret_why)
{
    struct buffer sql = {0};
    struct rest_error error = {0};
    int64_t bytes;

    buffer_printf(&sql, "SELECT id, v FROM `%s.%s." TABLE "`", proof->settings->bigquery.project, proof->dataset);
    if (from_day != NULL) {
        buffer_append_text(&sql, " WHERE __ingest_day >= ");
        bigquery_append_day(&sql, *from_day);
    }
    if (client_dry_run(proof->client, buffer_text(&sql), &bytes, &error) != 0) {
        (void)snprintf(ret_why, PROOF_TEXT_SIZE, "%s", error.err.text);
        bytes = -1;
    }
    buffer_deinit(&sql);
    return bytes;
}

/* No row is of tomorrow. Emulators count no bytes at all. */
static void prove_pruning(struct loads_proof *loads)
{
    const int32_t tomorrow = loads->proof->day + 1;
    char text[PROOF_TEXT_SIZE];
    int64_t whole = bytes_read(loads->proof, NULL, text);
    int64_t pruned = whole >= 0 ? bytes_read(loads->proof, &tomorrow, text) : -1;

    if (pruned >= 0) {
        (void)snprintf(text, sizeof text, "%" PRId64 " bytes of %" PRId64 "%s", pruned, whole, whole == 0 ? ": none are counted here" : "");
    }
    said(loads, pruned >= 0 && (whole == 0 || pruned < whole), "a literal day prunes partitions, as a dry run says",
         "a view with a base reads the newest days only (F1)", text);
}

/* ---- all */

void prove_loads(struct proof *proof)
{
    struct loads_proof loads = {
        .proof = proof, .table = {.project = proof->settings->bigquery.project, .dataset = proof->dataset, .table = TABLE}};
    struct rest_error error = {0};
    bool made = proof_make_table(proof, TABLE, "NULLABLE", &error);

    said(&loads, made, "make a table for load jobs", "needs bigquery.tables.create on the project",
         made ? "as histories are" : error.err.text);
    if (made) {
        prove_one_request(&loads);
        prove_pieces(&loads);
        prove_pruning(&loads);
        prove_unknown(&loads);
        prove_doomed(&loads);
    }
}
