/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query: one statement of SQL as a query job with an id of our own, so that a repeated insert runs it once.
 *
 * For statements of ours: questions about a history, DDL, the MERGE of a refresh. Answers are small.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_QUERY_H
#define KAKEHI_WORKERS_BIGQUERY_QUERY_H

#include <jansson.h>
#include <stddef.h>

#include "common/err.h"
#include "workers/bigquery/rest.h"

#define QUERY_ROWS_MAX 10000

struct query;

struct query_options {
    struct rest *rest;
    const char *project;
    const char *location;
    const char *job_prefix; /* begins the job's id */
    const char *doing;      /* "widening a column": begins an error's text */
    const char *sql;
    /* All copied but rest, which is borrowed until the answer. */
};

/* Borrowed for the call. */
struct query_answer {
    const json_t *rows; /* of a SELECT: an array of {"f": [{"v": text or null}, ...]}, at most QUERY_ROWS_MAX; else empty */
    const char *job_id;
};

/* answer: NULL with err: RETRY (it may have run, or run yet: statements bear that), POISON (BigQuery refuses it: the text has
 * its words), FATAL (a permission), CANCELED. */
typedef void (*query_answered)(void *context, const struct query_answer *answer, const struct err *err);

/* Answers exactly once, never inside the call. */
struct query *query_start(const struct query_options *options, query_answered answer, void *context);
/* No answer comes; the statement may run on. Takes NULL. */
void query_cancel(struct query *query);

/* The text of a row's value; NULL: a NULL, or no such row or column. Borrowed from the rows. */
const char *query_value(const json_t *rows, size_t row, size_t column);

#endif
