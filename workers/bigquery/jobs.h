/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs: load jobs of BigQuery (REST reference, "Job" and "JobConfigurationLoad"): the id and configuration of one, what became
 * of it, and waiting for that.
 *
 * A job id is used once in a project and location, for as long as BigQuery remembers jobs (six months): a second insert is
 * answered 409, so whoever comes second is told, and the id's owner is whoever came first (rules D1, D2). An id is made of
 * random bits, never of offsets: those are met again when a topic is made anew.
 *
 * A job loads everything or nothing.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_JOBS_H
#define KAKEHI_WORKERS_BIGQUERY_JOBS_H

#include <jansson.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "workers/bigquery/rest.h"

#define JOB_ID_SIZE       80 /* with its NUL: up to 40 characters of the prefix, "_", 32 hex digits */
#define JOB_LOCATION_SIZE 64

struct job_reference {
    char id[JOB_ID_SIZE];
    char location[JOB_LOCATION_SIZE]; /* "EU"; of the dataset */
};

/* Where a job loads to. All borrowed. */
struct job_table {
    const char *project;
    const char *dataset;
    const char *table; /* the history */
};

/* A new id: the prefix (what a job id can't hold becomes '-'; people see it in the job list), then 128 random bits. */
void job_id_make(char id[JOB_ID_SIZE], const char *prefix);
/* Is it one that we could have made? For ids that come back out of a mark. */
bool job_id_valid(const char *id);

/* The Job that a load is inserted with: Avro by logical types, appended to a table that is there, nothing guessed. The caller
 * owns it. */
json_t *job_load(const struct job_reference *reference, const struct job_table *table);

enum job_verdict {
    JOB_UNKNOWN,   /* there is none of this id */
    JOB_RUNNING,   /* or waits to run */
    JOB_LOADED,    /* done: every row is in */
    JOB_TRANSIENT, /* done, nothing is in, through no fault of the file: another job may do it */
    JOB_DATA,      /* done, nothing is in: BigQuery does not take the file. Also any reason that we don't know, and a used-up
                      quota of jobs: appends get on in each case */
    JOB_DENIED,    /* done, nothing is in: a permission, billing, a table that is gone: a person must act */
    JOB_FOREIGN,   /* a job of this id that loads elsewhere: our mark is not of this table */
};

struct job_state {
    enum job_verdict verdict;
    int64_t rows;   /* LOADED: as BigQuery counted them; -1: it did not say */
    struct err err; /* of the failed ones: RETRY (TRANSIENT), POISON (DATA), FATAL (DENIED, FOREIGN), with BigQuery's words */
};

/* Reads a Job as jobs.get gives it. Pure. -1: it is none (ERR_RETRY: ask again). table: where it must load to; project numbers
 * and names can't be compared, so only dataset and table are. */
int job_read(const json_t *job, const struct job_table *table, struct job_state *ret_state, struct err *err) MUST_CHECK;
const char *job_verdict_name(enum job_verdict verdict);

struct job_watch;

struct job_watch_options {
    uv_loop_t *loop;
    struct rest *rest;
    struct job_reference reference; /* copied, as the whole is; table's texts are borrowed */
    struct job_table table;
    uint64_t first_ms; /* the pause after the first answer "running", doubled from there ... */
    uint64_t max_ms;   /* ... up to this */
};

/* err NULL: state is anything but RUNNING. With err state is NULL: jobs.get itself failed (RETRY, FATAL: a permission is
 * missing) or the watch is canceled. */
typedef void (*job_watched)(void *context, const struct job_state *state, const struct err *err);

/* Asks until the job is done or unknown. Answers exactly once, never inside this call; the watch is gone then. */
struct job_watch *job_watch_start(const struct job_watch_options *options, job_watched answer, void *context);
/* No answer comes. Takes NULL. */
void job_watch_cancel(struct job_watch *watch);

#endif
