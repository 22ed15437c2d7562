/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each step says what it expects before it looks; the count of rows that must be in is kept beside. A step that can't be asked
 * (no answer, not allowed) is an error of its own; the later ones are tried all the same.
 *
 * What an emulator is known to answer in other words (the plain code without a StorageError) is right too: the product reads
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
#include "workers/bigquery/prove_parts.h"

#define DAY_S             86400
#define HTTP_PRECONDITION 412

void proof_said(struct proof *proof, bool right, const char *what, const char *rests_on, const char *found)
{
    char subject[128];

    (void)snprintf(subject, sizeof subject, "prove: %s", what);
    finding(proof->findings, right ? FINDING_OK : FINDING_ERROR, subject, right ? NULL : rests_on, "%s", found);
}

/* ---- rows */

static void build_schema(struct proof *proof)
{
    static const char *const names[] = {"id", "v"};
    struct table *table = table_new("kakehi", "proof", PROOF_SOURCE_COLUMNS, 1);
    struct err err;

    for (size_t i = 0; i < PROOF_SOURCE_COLUMNS; i++) {
        table->columns[i].name = must_strdup(names[i]);
        table->columns[i].source_type = must_strdup(i == 0 ? "bigint" : "text");
        table->columns[i].type = i == 0 ? COLUMN_LONG : COLUMN_TEXT;
        proof->columns[i] = (struct bigquery_column){names[i], i == 0 ? BIGQUERY_INT64 : BIGQUERY_STRING};
    }
    table->key[0] = 0;
    memcpy(proof->columns + PROOF_SOURCE_COLUMNS, bigquery_meta_columns, sizeof bigquery_meta_columns);
    proof->columns[PROOF_COLUMNS] = (struct bigquery_column){"added", BIGQUERY_STRING};
    must(schema_new(table, &proof->schema, &err) == 0);
}

static void build_program(struct proof *proof)
{
    const struct bigquery_layout layout = {.columns = proof->columns, .column_count = PROOF_COLUMNS};
    struct err err;

    must(row_program_new(proof->schema->table, &layout, (const size_t[]){0, 1}, &proof->program, &err) == 0);
}

void proof_row_encode(const struct proof *proof, const struct proof_row *row, struct buffer *out)
{
    const struct record_meta meta = {.op = 'c',
                                     .ts_us = proof->began_us,
                                     .seq = row->id,
                                     .idx = 0,
                                     .source = "prove",
                                     .source_size = 5,
                                     .txid = "prove",
                                     .txid_size = 5};
    const struct cell cells[] = {{.state = row->no_id ? CELL_NULL : CELL_VALUE, .integer = row->id},
                                 {.state = CELL_VALUE, .bytes = (const uint8_t *)row->text, .size = row->text_size}};
    struct err err;

    must(record_encode_value(out, proof->schema->table, cells, &meta, &err) == 0);
}

/* ---- REST and SQL */

int proof_rest(struct proof *proof, const char *method, const char *under_project, const json_t *body, const char *etag,
               json_t **ret_body, struct rest_error *ret_error)
{
    struct buffer path = {0};
    int status;

    client_append_project(proof->client, &path);
    buffer_append_text(&path, under_project);
    status = client_rest(proof->client,
                         &(struct rest_request){.method = method, .path = buffer_text(&path), .body = body, .if_match = etag},
                         ret_body, ret_error);
    buffer_deinit(&path);
    return status;
}

int64_t proof_number(struct proof *proof, const char *sql, char *ret_why)
{
    struct rest_error error = {0};
    json_t *rows = NULL;
    const char *text = NULL;
    int64_t number = -1;

    if (client_query(proof->client, sql, &rows, &error) == 0) {
        text = json_string_value(json_array_get(json_array_get(rows, 0), 0));
    }
    if (text != NULL) {
        number = strtoll(text, NULL, 10);
    } else {
        (void)snprintf(ret_why, PROOF_TEXT_SIZE, "%s", error.err.text[0] != '\0' ? error.err.text : "an answer without a row");
    }
    json_decref(rows);
    return number;
}

/* ---- the scratch dataset */

/* Modes as the histories have them, but for the key's. */
static json_t *table_fields(const struct proof *proof, size_t column_count, const char *id_mode)
{
    json_t *fields = json_array();

    for (size_t i = 0; i < column_count; i++) {
        bool meta = i >= PROOF_SOURCE_COLUMNS && i < PROOF_COLUMNS;

        json_array_append_new(fields, json_pack("{s:s, s:s, s:s}", "name", proof->columns[i].name, "type",
                                                bigquery_type_word(proof->columns[i].type), "mode",
                                                meta ? "REQUIRED" : (i == 0 ? id_mode : "NULLABLE")));
    }
    return fields;
}

bool proof_make_table(struct proof *proof, const char *name, const char *id_mode, struct rest_error *ret_error)
{
    json_t *table =
        json_pack("{s:{s:s, s:s, s:s}, s:{s:o}, s:{s:s, s:s}, s:{s:[s]}}", "tableReference", "projectId", proof->settings->bigquery.project,
                  "datasetId", proof->dataset, "tableId", name, "schema", "fields", table_fields(proof, PROOF_COLUMNS, id_mode),
                  "timePartitioning", "type", "DAY", "field", "__ingest_day", "clustering", "fields", "id");
    json_t *body = NULL;
    char path[128];
    bool made;

    (void)snprintf(path, sizeof path, "/datasets/%s/tables", proof->dataset);
    made = proof_rest(proof, "POST", path, table, NULL, &body, ret_error) == 0;
    json_decref(body);
    json_decref(table);
    return made;
}

static bool make_dataset(struct proof *proof, struct rest_error *ret_error)
{
    json_t *dataset = json_pack("{s:{s:s, s:s}, s:s, s:{s:s}}", "datasetReference", "projectId",
                                proof->settings->bigquery.project, "datasetId", proof->dataset, "location",
                                proof->settings->bigquery.location, "labels", "kakehi_scratch", "true");
    json_t *body = NULL;
    bool made = proof_rest(proof, "POST", "/datasets", dataset, NULL, &body, ret_error) == 0;

    json_decref(body);
    json_decref(dataset);
    return made;
}

static bool make_scratch(struct proof *proof)
{
    struct rest_error error = {0};
    bool made = make_dataset(proof, &error) && proof_make_table(proof, PROOF_APPENDED, "REQUIRED", &error);

    proof_said(proof, made, "make a scratch dataset and table",
               "needs bigquery.datasets.create and bigquery.tables.create on the project",
               made ? proof->dataset : error.err.text);
    return made;
}

static void clean_up(struct proof *proof)
{
    struct rest_error error = {0};
    json_t *body = NULL;
    char path[160];
    bool gone;

    (void)snprintf(path, sizeof path, "/datasets/%s?deleteContents=true", proof->dataset);
    gone = proof_rest(proof, "DELETE", path, NULL, NULL, &body, &error) == 0;
    json_decref(body);
    proof_said(proof, gone, "clean up", "delete the dataset by hand", gone ? "the scratch dataset is deleted" : error.err.text);
}

/* ---- what the appends' table is asked */

static void said_rows(struct proof *proof, const char *sql, int64_t rows, const char *what, const char *rests_on)
{
    char why[PROOF_TEXT_SIZE];
    char found[PROOF_TEXT_SIZE];
    int64_t count = proof_number(proof, sql, why);

    if (count >= 0) {
        (void)snprintf(found, sizeof found, "%" PRId64 " of %" PRId64 " rows", count, rows);
    }
    proof_said(proof, count == rows, what, rests_on, count >= 0 ? found : why);
}

void prove_visible(struct proof *proof, int64_t rows)
{
    struct buffer sql = {0};

    buffer_printf(&sql, "SELECT COUNT(*) FROM `%s.%s." PROOF_APPENDED "`", proof->settings->bigquery.project, proof->dataset);
    said_rows(proof, buffer_text(&sql), rows, "rows can be queried at once after the answer",
              "freshness; the refresh of a base (F2)");
    buffer_deinit(&sql);
}

void prove_merge(struct proof *proof, int64_t rows)
{
    const char *project = proof->settings->bigquery.project;
    const char *dataset = proof->dataset;
    struct buffer sql = {0};

    buffer_printf(&sql,
                  "CREATE TABLE `%s.%s.base` (id INT64, v STRING);"
                  " MERGE `%s.%s.base` b USING `%s.%s." PROOF_APPENDED
                  "` p ON b.id = p.id WHEN NOT MATCHED THEN INSERT (id, v) VALUES (p.id, p.v);"
                  " SELECT COUNT(*) FROM `%s.%s.base`",
                  project, dataset, project, dataset, project, dataset, project, dataset);
    said_rows(proof, buffer_text(&sql), rows, "a MERGE sees rows at once after the answer", "the refresh of a base (F1, F2)");
    buffer_deinit(&sql);
}

static int get_table(struct proof *proof, json_t **ret_table, struct rest_error *ret_error)
{
    char path[128];

    (void)snprintf(path, sizeof path, "/datasets/%s/tables/" PROOF_APPENDED, proof->dataset);
    return proof_rest(proof, "GET", path, NULL, NULL, ret_table, ret_error);
}

static int patch_table(struct proof *proof, const char *etag, struct rest_error *ret_error)
{
    char path[128];
    json_t *body = json_pack("{s:{s:o}}", "schema", "fields", table_fields(proof, PROOF_COLUMNS + 1, "REQUIRED"));
    json_t *answer = NULL;
    int status;

    (void)snprintf(path, sizeof path, "/datasets/%s/tables/" PROOF_APPENDED, proof->dataset);
    status = proof_rest(proof, "PATCH", path, body, etag, &answer, ret_error);
    json_decref(answer);
    json_decref(body);
    return status;
}

void prove_patch(struct proof *proof)
{
    struct rest_error error = {0};
    json_t *table = NULL;
    bool patched = get_table(proof, &table, &error) == 0 &&
                   patch_table(proof, json_string_value(json_object_get(table, "etag")), &error) == 0;

    proof_said(proof, patched, "a column is added by a patch with the ETag", "new columns of the source",
               patched ? "added" : error.err.text);
    if (patched) {
        bool refused = patch_table(proof, json_string_value(json_object_get(table, "etag")), &error) != 0 &&
                       error.status == HTTP_PRECONDITION;

        proof_said(proof, refused, "a patch with an old ETag is refused with 412", "two workers that add columns at once",
                   refused ? "412" : "it was taken");
    }
    json_decref(table);
}

/* ---- all */

void prove(struct client *client, const struct settings *settings, struct findings *findings)
{
    struct proof proof = {.client = client, .settings = settings, .findings = findings};
    uint64_t random;
    time_t now = time(NULL);

    must(RAND_bytes((unsigned char *)&random, sizeof random) == 1);
    (void)snprintf(proof.dataset, sizeof proof.dataset, "kakehi_prove_%016" PRIx64, random);
    proof.began_us = (int64_t)now * 1000000 + 123456;
    proof.day = (int32_t)(now / DAY_S);
    build_schema(&proof);
    build_program(&proof);
    if (make_scratch(&proof)) {
        prove_appends(&proof);
        prove_loads(&proof);
    }
    clean_up(&proof);
    row_program_free(proof.program);
    schema_free(proof.schema);
}
