/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load: a partition's rows into its history by load jobs: files that grow over many batches, intents, jobs. A `struct load` is
 * what a lane has of it; `struct loads` what the loads of a worker share.
 *
 *   absorb, absorb ... -> seal -> [the consumer commits the intent] -> send -> in
 *
 * A file is uploaded while it grows, in pieces, so its size is not bounded by memory; the last piece, which makes the job,
 * stays here until its intent {job id, location, end offset} is committed (rule D1). So before the commit no job of the id can
 * exist, and after it the job is found by its id, whatever happened to whom: an intent is never given up (D2). One job holds
 * rows of one partition (D3), of one schema version.
 *
 * All answers come once, on the loop, never inside the call; one call at a time (absorb, send, recover). What is lost before a
 * seal is nothing but work: the rows are read again.
 *
 * How a lane uses it:
 *
 *   plan       load_fits(load, schema id)? If not, the file under way must be sealed first
 *   send       load_absorb, then LANE_TAKEN; a batch without rows is TAKEN too while a file is under way
 *   seal       load_seal; from now on the mark is load_intent, until it is in or a recovery has answered
 *   send that  load_send: DONE -> LANE_IN, PAUSE -> LANE_PAUSE, SURPRISE -> LANE_SURPRISE, FAILED -> LANE_STOP
 *   recover    the mark names an intent: load_recover; any other mark: load_drop, then as that mark says
 *                DONE -> start = intent.end
 *                AGAIN -> start = offset
 *                BY_APPEND -> start = offset, appends up to intent.end
 *                REBUILD -> start = offset, cut = intent.end, and the mark stays the intent
 *                FAILED -> err as it is
 *   method     load_pace at each choice that says load; a file under way is sealed where the next choice says append
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_LOAD_H
#define KAKEHI_WORKERS_BIGQUERY_LOAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/http.h"
#include "workers/bigquery/jobs.h"
#include "workers/bigquery/rest.h"
#include "workers/bigquery/token.h"
#include "workers/warehouse.h"

struct loads;
struct load;

#define LOAD_AGE_MAX_MS (12 * INT64_C(3600000)) /* of a file: its rows carry the day of their absorption (F2, F3) */

/* Texts are copied; the rest is borrowed until loads_free. */
struct loads_options {
    uv_loop_t *loop;
    struct http *http; /* for pieces alone: they would hold up other calls, of which an http has so many under way at once */
    struct rest *rest;
    struct token_source *tokens;
    const char *endpoint;
    const char *project;       /* whose jobs they are, and whose datasets */
    const char *quota_project; /* NULL */
    const char *job_prefix;    /* begins every job id: the pipeline's prefix */
    uint64_t retry_ms;         /* bigquery.retry */
    uint64_t file_bytes;       /* bigquery.file: a file of this size, as sent, is due, as soon as its pace allows */
    uint64_t memory_bytes;     /* of all pieces under way; 0: 24 MiB. Each load takes a share, at least 512 KiB */
    uint64_t alarm_ms;         /* F3: a job that is not done by then is told as an error, again and again; 0: a day. Tests shorten it */
    bool uncompressed;         /* tests: blocks by codec null */
};

struct loads *loads_new(const struct loads_options *options);
/* All loads are closed. Takes NULL. */
void loads_free(struct loads *loads);

/* Since the start. */
struct loads_counts {
    uint64_t files; /* sealed */
    uint64_t rows;  /* in, by load jobs */
    uint64_t bytes; /* of files that are in, as sent */
    uint64_t jobs_failed;
    uint64_t rebuilds;   /* files made again for an intent that was found */
    uint64_t lost_files; /* dropped before their seal: sessions gone, recoveries */
};
const struct loads_counts *loads_counts(const struct loads *loads);

/* All borrowed until closed. */
struct load_options {
    const char *id; /* "kakehi.shop.orders/3": for logs */
    const char *dataset;
    const char *table; /* the history */
    const char *location;
};

struct load *load_new(struct loads *loads, const struct load_options *options);
/* Asynchronous, last: a call under way is answered LOAD_SURPRISE with ERR_CANCELED before `closed`. */
void load_close(struct load *load, void (*closed)(void *context), void *context);

/* ---- the file under way */

enum load_answer {
    LOAD_DONE,      /* absorb: the rows stand in the file. send, recover: the job is done, its rows are in */
    LOAD_PAUSE,     /* absorb, send: the same call again after a pause; err says why */
    LOAD_SURPRISE,  /* absorb, send: the file is lost, or its job's fate not what was hoped for: recover; err says why */
    LOAD_AGAIN,     /* recover: nothing of the intent is in, and no job of it ever will be: write its rows like any others */
    LOAD_BY_APPEND, /* recover: the same, and a load job can't: appends up to its end (D4) */
    LOAD_REBUILD,   /* recover: no job of the id exists: the next file gets it, and must end exactly at intent.end (D2) */
    LOAD_FAILED,    /* err says why. recover: RETRY or FATAL. absorb, send: a person must act (LANE_STOP) */
};

typedef void (*load_answered)(void *context, enum load_answer answer, const struct err *err);

/* Rows of one schema version, all borrowed until the answer. At least one. */
struct load_batch {
    uint64_t schema_id;      /* struct schema's value_id */
    const char *schema_text; /* avro_file_schema's; the same for the same id while a file is under way */
    const struct warehouse_row *rows;
    size_t row_count;
    int32_t ingest_day; /* days since 1970-01-01, UTC */
};

/* Does the file under way hold rows of this version, or is there none? A file that is built again for an intent takes any:
 * where it can't, load_absorb answers LOAD_SURPRISE, and the recovery then uses the job's id up with a job that is bound to
 * fail (as `load_give_up` does), so that no earlier owner can, and answers LOAD_BY_APPEND. */
bool load_fits(const struct load *load, uint64_t schema_id);
/* Begins a file if there is none. With LOAD_PAUSE nothing of the batch is in the file. */
void load_absorb(struct load *load, const struct load_batch *batch, load_answered answer, void *context);

/* Is a file under way: absorbed, not sealed? */
bool load_under_way(const struct load *load);
/* When the file under way is due, by uv_now; 0: at once, UINT64_MAX: there is none, or it waits for its cut. */
uint64_t load_due_ms(const struct load *load);
/* age_ms: a file is due at this age; gap_ms: but not sooner after the seal before it, however full it is. See method_choice. */
void load_pace(struct load *load, uint64_t age_ms, uint64_t gap_ms);

/* ---- its end */

struct load_intent {
    struct job_reference job;
    int64_t end; /* the first offset that is not in the file */
};

/* The file under way ends before `end`; load_intent says what the commit must hold. If the file is one that was built again for
 * an intent, end must be that intent's. */
void load_seal(struct load *load, int64_t end);
/* The intent that the lane's mark must name now: sealed and not yet known to be in, or found by recovery and being built again.
 * NULL: none. Borrowed until the next call. */
const struct load_intent *load_intent(const struct load *load);
/* After the commit of the intent. Sends the last piece, waits for the job. */
void load_send(struct load *load, load_answered answer, void *context);

/* ---- recovery */

/* Drops the file under way, if any, and every intent: what the committed offset says holds. Its rows are read again. */
void load_drop(struct load *load);
/* The committed mark names this intent. Drops the file under way, if any. Waits for a job that runs, however long. */
void load_recover(struct load *load, const struct load_intent *intent, load_answered answer, void *context);

/* The intent that is to be rebuilt can't be, since avro_file_schema refuses the rows: the next recovery uses its id up, and
 * answers LOAD_BY_APPEND. Answer LANE_SURPRISE then. */
void load_give_up(struct load *load);

/* Why it does not get on: "load job kakehi_...: RUNNING for 2 h". False: nothing to tell. For /healthz and /status. */
bool load_trouble(const struct load *load, char *text, size_t size);
/* The job that it waits for, from the first moment on. false: for none. */
bool load_waits_for(const struct load *load, char *text, size_t size);
/* {"state": ..., "file_rows": ..., "file_bytes": ..., "job": ...}; the caller owns it. */
json_t *load_status(const struct load *load);

#endif
