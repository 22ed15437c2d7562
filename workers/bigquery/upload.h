/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload: the bytes of a load file on their way to BigQuery, over HTTP/1.1 (Google's "resumable upload" and "multipart upload"
 * protocols of media). The job stands in the request that opens the upload and is made by the last byte, so a file can travel
 * for hours before anything is decided; until then no job of the id exists.
 *
 *   resumable   POST .../jobs?uploadType=resumable {Job} -> 200, Location: the session
 *               PUT  session, Content-Range: bytes 0-1048575, total unknown -> 308, Range: bytes=0-1048575
 *               PUT  session, Content-Range: bytes 1048576-1049000 of 1049001 -> 200 {Job}
 *   after trouble: PUT session, empty, Content-Range without bytes -> 308 and how much the server holds, or 200
 *   multipart   POST .../jobs?uploadType=multipart {Job} + file -> 200 {Job}; for a file of one put
 *
 * The server may hold less than it was sent (308 with a shorter Range): the rest is sent again out of the same bytes, which is
 * why a put borrows them until its answer. Holding less than an earlier put's answer said can't be mended: UPLOAD_GONE.
 *
 * Tried again for retry_ms by back-off: 429, 408, 5xx, 403 for rate or quota, connections that failed; 401 with a new token.
 * All of it is safe to repeat: bytes have places, and the job has an id.
 *
 * An upload never says whether a job loaded, or even exists, after the last put: whatever it answers then, ask jobs.get.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_UPLOAD_H
#define KAKEHI_WORKERS_BIGQUERY_UPLOAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/http.h"
#include "workers/bigquery/rest.h"
#include "workers/bigquery/token.h"

#define UPLOAD_UNIT (256 << 10) /* every put but the last is a multiple of it */

enum upload_answer {
    UPLOAD_TAKEN,  /* the server holds every byte of the put; of the last one: the job is made */
    UPLOAD_EXISTS, /* 409: a job of this id is there already */
    UPLOAD_GONE,   /* the session is gone (404, 410), or lost bytes: what was sent before is lost */
    UPLOAD_EARLY,  /* never seen: the server made the job though the file had no end: rows of it may be in */
    UPLOAD_FAILED, /* err: RETRY (still after retry_ms: the same put may follow), POISON (refused as wrong), FATAL (not allowed,
                      no sign-in) */
};

/* err: NULL with TAKEN; else why, for people. */
typedef void (*upload_answered)(void *context, enum upload_answer answer, const struct err *err);

struct upload;

/* Borrowed until upload_free; job is copied. */
struct upload_options {
    uv_loop_t *loop;
    struct http *http;
    struct rest *rest; /* opens sessions */
    struct token_source *tokens;
    const char *endpoint;      /* "https://bigquery.googleapis.com" */
    const char *project;       /* whose job it is */
    const char *quota_project; /* NULL: none */
    uint64_t retry_ms;
    uint64_t timeout_ms;     /* of one request; 0: 10 minutes */
    uint64_t retry_first_ms; /* the first pause, doubled from there up to 32 s; 0: none at all (tests) */
    const json_t *job;
};

/* Asks nobody yet. */
struct upload *upload_new(const struct upload_options *options);

/*
 * The bytes behind those of the puts before. last: the file ends with them (then at least 1 byte); else a multiple of
 * UPLOAD_UNIT. A last put that is also the first goes as multipart, without a session. Answers exactly once, never inside this
 * call; one at a time. bytes are borrowed until the answer. After UPLOAD_FAILED with ERR_RETRY the same put, with the same
 * bytes, may be made again; after anything else but TAKEN no put follows.
 */
void upload_put(struct upload *upload, const uint8_t *bytes, size_t size, bool last, upload_answered answer, void *context);

/* Withdraws a put: no answer comes, its bytes are free. Takes NULL. Not inside an answer's callback of another upload's put
 * only; inside its own it is fine. */
void upload_free(struct upload *upload);

#endif
