/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The intent and its job: sealed, sent, watched; found again by a recovery and run to its end (D1, D2, D4).
 *
 * Whatever a send meets but success is a surprise, since recovery has to know what to do with each end of a job anyhow, and
 * there is one place that decides:
 *
 *   loaded            DONE         commit the end
 *   failed, transient AGAIN        a new file, a new id
 *   denied            AGAIN        the same, loudly: this id is used up, and its cause may be mended by the time of the next
 *   failed            BY_APPEND    row_errors name the rows
 *   unknown           REBUILD      the same id (or VOIDING, load.c)
 *   foreign           FAILED       the settings point elsewhere
 */
#include <inttypes.h>
#include <string.h>

#include "common/log.h"
#include "common/must.h"
#include "workers/bigquery/load_parts.h"

#define POLL_FIRST_MS 1000
#define POLL_MAX_MS   30000

/* No Avro file begins so. */
static const uint8_t doomed[] = {'v', 'o', 'i', 'd'};

struct job_table load_table(const struct load *load)
{
    return (struct job_table){
        .project = load->loads->options.project, .dataset = load->options.dataset, .table = load->options.table};
}

/* ---- waiting for a job */

static void on_watched(void *context, const struct job_state *job, const struct err *err);

static void on_alarm(uv_timer_t *timer)
{
    const struct load *load = timer->data;

    log_error("load_waits", "partition=%s job=%s hours=%llu reason=%q", load->options.id, load->intent.job.id,
              (unsigned long long)((now(load) - load->watch_ms) / 3600000),
              "waiting on; see the job in BigQuery's list of jobs");
}

static void watch_job(struct load *load)
{
    const struct loads_options *options = &load->loads->options;

    load->watch_ms = now(load);
    load->watch = job_watch_start(&(struct job_watch_options){.loop = options->loop,
                                                              .rest = options->rest,
                                                              .reference = load->intent.job,
                                                              .table = load_table(load),
                                                              .first_ms = POLL_FIRST_MS,
                                                              .max_ms = POLL_MAX_MS},
                                  on_watched, load);
    (void)uv_timer_start(&load->alarm, on_alarm, options->alarm_ms, options->alarm_ms);
}

void load_watch(struct load *load)
{
    load->sent = true;
    sm_move(&load->sm, WATCHING, "the last piece is answered");
    watch_job(load);
}

/* ---- seal and send */

void load_seal(struct load *load, int64_t end)
{
    must(state(load) == FILLING || (state(load) == IDLE && load->adopted));
    must(load->answer == NULL && (!load->adopted || end == load->intent.end)); /* L4 */
    load_flush(load);
    load->intent.end = end;
    load->named = true;
    load->sealed_ms = now(load);
    load->loads->counts.files++;
    sm_move(&load->sm, SEALED, "seal");
    log_info("load_sealed", "partition=%s job=%s end=%lld rows=%llu bytes=%llu", load->options.id, load->intent.job.id,
             (long long)end, (unsigned long long)load->file_rows, (unsigned long long)load->file_bytes);
}

const struct load_intent *load_intent(const struct load *load)
{
    return load->named ? &load->intent : NULL;
}

/* The file is of no use any more; the intent is the recovery's. */
static void surprise(struct load *load, const struct err *err)
{
    load_forget_file(load);
    sm_move(&load->sm, IDLE, err->text);
    load_give(load, LOAD_SURPRISE, err);
}

void load_send(struct load *load, load_answered answer, void *context)
{
    struct err err = {0};

    must(state(load) == SEALED);
    load_begin_call(load, answer, context);
    load->stall.class = ERR_NONE;
    if (load->upload == NULL) {
        load->void_next = true;
        (void)err_set(&err, ERR_RETRY, "no row is left in the range of load job %s", load->intent.job.id);
        surprise(load, &err);
    } else if (load->sent) {
        load_watch(load);
    } else if (load->failure.class != ERR_NONE && load->early) {
        load_give(load, LOAD_FAILED, &load->failure);
    } else if (load->failure.class != ERR_NONE) {
        err = load->failure;
        surprise(load, &err);
    } else {
        sm_move(&load->sm, SENDING, "send");
        load_pump(load);
    }
}

static void done(struct load *load)
{
    load->named = load->adopted = load->void_next = false;
}

static void on_loaded(struct load *load, const struct job_state *job)
{
    struct err err = {0};
    struct loads_counts *counts = &load->loads->counts;
    uint64_t rows = load->file_rows;

    if (load->own && job->rows >= 0 && (uint64_t)job->rows != rows) {
        (void)err_set(&err, ERR_FATAL,
                      "load job %s holds %" PRId64 " rows of %" PRIu64 " that were sent: compare the history with the source",
                      load->intent.job.id, job->rows, rows);
        sm_move(&load->sm, SEALED, "rows differ");
        load_give(load, LOAD_FAILED, &err);
        return;
    }
    counts->rows += rows;
    counts->bytes += load->file_bytes;
    log_info("load_done", "partition=%s job=%s end=%lld rows=%llu", load->options.id, load->intent.job.id,
             (long long)load->intent.end, (unsigned long long)rows);
    load_forget_file(load);
    done(load);
    sm_move(&load->sm, IDLE, "loaded");
    load_give(load, LOAD_DONE, NULL);
}

/* The job's fate behind a send. */
static void on_sent(struct load *load, const struct job_state *job)
{
    struct err err = job->err;

    if (job->verdict == JOB_LOADED) {
        on_loaded(load, job);
        return;
    }
    if (job->verdict == JOB_UNKNOWN && load->failure.class != ERR_NONE) {
        err = load->failure;
        err.class = ERR_RETRY;
    } else if (job->verdict == JOB_UNKNOWN) {
        (void)err_set(&err, ERR_RETRY, "load job %s was sent, and BigQuery does not know it", load->intent.job.id);
    }
    surprise(load, &err);
}

/* ---- recovery */

static void on_voided(void *context, enum upload_answer answer, const struct err *err)
{
    struct load *load = context;

    (void)answer; /* jobs.get says what it means */
    (void)err;
    load_forget_file(load);
    sm_move(&load->sm, RECOVERING, "a doomed job was sent");
    watch_job(load);
}

static void use_up(struct load *load)
{
    log_warn("load_void", "partition=%s job=%s end=%lld reason=%q", load->options.id, load->intent.job.id,
             (long long)load->intent.end,
             "its rows can't be one file any more: a job that fails takes its id, and they go by appends");
    load->sent = true;
    sm_move(&load->sm, VOIDING, "unknown, and can't be built again");
    load->upload = load_new_upload(load);
    upload_put(load->upload, doomed, sizeof doomed, true, on_voided, load);
}

static void recovered(struct load *load, enum load_answer answer, const struct err *err)
{
    log_info("load_intent", "partition=%s job=%s end=%lld found=%q", load->options.id, load->intent.job.id,
             (long long)load->intent.end,
             err != NULL ? err->text : (answer == LOAD_DONE ? "done" : "no such job: its file is built again"));
    if (answer != LOAD_REBUILD && answer != LOAD_FAILED) {
        done(load);
    }
    sm_move(&load->sm, IDLE, "recovered");
    load_give(load, answer, err);
}

static void on_unknown(struct load *load, bool voided)
{
    struct err err = {0};

    if (load->void_next && !voided) {
        use_up(load);
    } else if (voided) {
        (void)err_set(&err, ERR_RETRY, "the id of load job %s could not be used up", load->intent.job.id);
        recovered(load, LOAD_FAILED, &err);
    } else {
        load->adopted = true;
        load->loads->counts.rebuilds++;
        recovered(load, LOAD_REBUILD, NULL);
    }
}

static void on_recovered(struct load *load, const struct job_state *job)
{
    bool voided = load->sent;

    load->sent = false;
    switch (job->verdict) {
    case JOB_LOADED:
        recovered(load, LOAD_DONE, NULL);
        break;
    case JOB_TRANSIENT:
    case JOB_DENIED:
        load->loads->counts.jobs_failed++;
        recovered(load, LOAD_AGAIN, &job->err);
        break;
    case JOB_DATA:
        load->loads->counts.jobs_failed++;
        recovered(load, LOAD_BY_APPEND, &job->err);
        break;
    case JOB_FOREIGN:
        recovered(load, LOAD_FAILED, &job->err);
        break;
    case JOB_UNKNOWN:
        on_unknown(load, voided);
        break;
    case JOB_RUNNING: /* a watch never answers that */
        must(false);
    }
}

static void on_watched(void *context, const struct job_state *job, const struct err *err)
{
    struct load *load = context;

    load->watch = NULL;
    (void)uv_timer_stop(&load->alarm);
    if (err != NULL && state(load) == RECOVERING) {
        load->sent = false;
        recovered(load, LOAD_FAILED, err);
    } else if (err != NULL) {
        sm_move(&load->sm, SEALED, err->text);
        load_give(load, LOAD_PAUSE, err);
    } else if (state(load) == RECOVERING) {
        on_recovered(load, job);
    } else {
        on_sent(load, job);
    }
}

void load_drop(struct load *load)
{
    must(load->answer == NULL);
    load->loads->counts.lost_files += state(load) == FILLING;
    load_forget_file(load);
    done(load);
    if (state(load) != IDLE) {
        sm_move(&load->sm, IDLE, "dropped");
    }
}

void load_recover(struct load *load, const struct load_intent *intent, load_answered answer, void *context)
{
    bool void_next = load->void_next && load->named && strcmp(load->intent.job.id, intent->job.id) == 0;

    load_drop(load);
    load->intent = *intent;
    load->named = true;
    load->void_next = void_next;
    load_begin_call(load, answer, context);
    sm_move(&load->sm, RECOVERING, "a committed intent");
    watch_job(load);
}

void load_give_up(struct load *load)
{
    must(load->adopted);
    load->void_next = true;
}
