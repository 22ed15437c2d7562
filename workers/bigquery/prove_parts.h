/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of `check --prove` among themselves: prove.c has the scratch dataset and what both ways of writing are asked,
 * prove_append.c the Storage Write API, prove_load.c load jobs. Each has a table of its own, of the same rows; a failure in the
 * one leaves the other be.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_PROVE_PARTS_H
#define KAKEHI_WORKERS_BIGQUERY_PROVE_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buffer.h"
#include "schemas/schema.h"
#include "workers/bigquery/bigquery_types.h"
#include "workers/bigquery/prove.h"
#include "workers/bigquery/row_program.h"

#define PROOF_SOURCE_COLUMNS 2
#define PROOF_COLUMNS        (PROOF_SOURCE_COLUMNS + BIGQUERY_META_COUNT)
#define PROOF_TEXT_SIZE      600 /* of what was found */

struct proof {
    struct client *client; /* borrowed, as settings and findings are */
    const struct settings *settings;
    struct findings *findings;
    char dataset[64];
    int64_t began_us;                                  /* __ts of all rows, since 1970-01-01 */
    int32_t day;                                       /* __ingest_day of all rows, since 1970-01-01 */
    struct schema *schema;                             /* of the source: id, v */
    struct bigquery_column columns[PROOF_COLUMNS + 1]; /* of a table; the last comes later */
    struct row_program *program;
};

/* A row of the source: v is a text. */
struct proof_row {
    int64_t id; /* and __seq */
    bool no_id;
    const char *text;
    size_t text_size;
};

/* One line. rests_on: what the product does by it. */
void proof_said(struct proof *proof, bool right, const char *what, const char *rests_on, const char *found);
/* A REST call; the path goes on behind the project: "/datasets". */
int proof_rest(struct proof *proof, const char *method, const char *under_project, const json_t *body, const char *etag,
               json_t **ret_body, struct rest_error *ret_error) MUST_CHECK;
/* The number that SQL answers in its one row; -1 and why (PROOF_TEXT_SIZE bytes) if it can't be had. */
int64_t proof_number(struct proof *proof, const char *sql, char *ret_why);
/* Appends the row's Avro bytes, as a message has them behind its frame. */
void proof_row_encode(const struct proof *proof, const struct proof_row *row, struct buffer *out);
/* Makes a table of the scratch dataset. id_mode: "REQUIRED" or "NULLABLE". */
bool proof_make_table(struct proof *proof, const char *name, const char *id_mode, struct rest_error *ret_error) MUST_CHECK;

/* ---- what the appends' table is asked, while rows are appended */

#define PROOF_APPENDED "appended" /* its name */

/* A query, and a MERGE, see so many rows. */
void prove_visible(struct proof *proof, int64_t rows);
void prove_merge(struct proof *proof, int64_t rows);
/* It gets its last column. */
void prove_patch(struct proof *proof);

/* ---- the two ways */

void prove_appends(struct proof *proof);
void prove_loads(struct proof *proof);

#endif
