/* SPDX-License-Identifier: Apache-2.0 */
/*
 *            absorb            seal              send          last piece answered       loaded
 *   IDLE ------------> FILLING ------> SEALED ---------> SENDING -----------------> WATCHING ------> IDLE
 *    ^  (an intent to be built again: same way)   ^         |                          |
 *    |                                            +- pause -+--------- pause ----------+
 *    +--------------- surprise: the file is dropped, the intent stays named -----------+
 *
 *   IDLE --recover--> RECOVERING --loaded; failed; unknown: to be built again--> IDLE
 *                      |     ^
 *     unknown and can't|     | the doomed job is sent
 *     be built again   v     |
 *                     VOIDING
 *
 * | state      | asked and not yet answered                |
 * | IDLE       | -                                         |
 * | FILLING    | perhaps a put, an absorb                  |
 * | SEALED     | perhaps a put                             |
 * | SENDING    | send; a put                               |
 * | WATCHING   | send; the job                             |
 * | RECOVERING | recover; the job                          |
 * | VOIDING    | recover; a put                            |
 * | CLOSING    | perhaps a call, which is answered by it   |
 *
 * L1  The last piece of a file is put only inside load_send, and the lane calls that only behind the commit of the intent (D1).
 *     Until then the upload has no end and makes no job.
 *
 * L2  Offsets of a file's rows grow: a row that was absorbed is passed over when its batch comes again after a pause.
 *
 * L3  An intent stays named from the seal, or from the recovery that found it, until its job is known to be done (D2).
 *
 * L4  A file built again for an intent has its id and its location, and ends at its end.
 *
 * L5  Rows are taken into the file on a thread of libuv's, a batch or a piece at a time, since to copy and compress them costs as much
 *     as all else that is done for them. It is one work a load, under an absorb that is not yet answered; whatever happens meanwhile
 *     (a piece refused, the close) waits for its end.
 *
 * load_file.c has the file and its pieces, load_job.c the intent and its job; tests/model/load.py searches the protocol. What
 * is never done here: to judge by an upload's answer whether rows are in. jobs.get alone says that, so each way out of SENDING
 * leads over it.
 *
 * An intent that can't be built again (its range now holds two schema versions, or one that load jobs don't take, or no row at
 * all, because this owner's dedupe or settings see it otherwise) is not forgotten either, since a paused owner may still hold
 * the file: its id is used up by a job of four bytes that are no Avro file. That job fails, an insert of the earlier owner is
 * answered 409, and so the range is free. If the earlier owner was first, its job is what jobs.get tells of.
 */
#include "workers/bigquery/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/must.h"
#include "workers/bigquery/load_parts.h"

#define ALARM_MS 86400000 /* F3 */
#define MEMORY_BYTES    (24 << 20)
#define PIECE_UNITS_MIN 1
#define PIECE_UNITS_MAX 16
#define AGE_FIRST_MS    60000        /* until load_pace says otherwise */
#define JOB_LONG_MS     (30 * 60000) /* a job that takes longer is told of */

#define ENDS (SM_TO(IDLE) | SM_TO(RECOVERING) | SM_TO(CLOSING))

static const struct sm_state states[] = {
    [IDLE] = {"IDLE", SM_TO(FILLING) | SM_TO(SEALED) | SM_TO(RECOVERING) | SM_TO(CLOSING)},
    [FILLING] = {"FILLING", SM_TO(SEALED) | ENDS},
    [SEALED] = {"SEALED", SM_TO(SENDING) | SM_TO(WATCHING) | ENDS},
    [SENDING] = {"SENDING", SM_TO(WATCHING) | SM_TO(SEALED) | ENDS},
    [WATCHING] = {"WATCHING", SM_TO(SEALED) | ENDS},
    [RECOVERING] = {"RECOVERING", SM_TO(VOIDING) | SM_TO(IDLE) | SM_TO(CLOSING)},
    [VOIDING] = {"VOIDING", SM_TO(RECOVERING) | SM_TO(CLOSING)},
    [CLOSING] = {"CLOSING", 0},
};

/* ---- what loads share */

struct loads *loads_new(const struct loads_options *options)
{
    struct loads *loads = calloc(1, sizeof *loads);

    must(loads != NULL);
    loads->options = *options;
    loads->options.endpoint = must_strdup(options->endpoint);
    loads->options.project = must_strdup(options->project);
    loads->options.quota_project = must_strdup(options->quota_project);
    loads->options.job_prefix = must_strdup(options->job_prefix);
    loads->options.alarm_ms = options->alarm_ms != 0 ? options->alarm_ms : ALARM_MS;
    loads->options.memory_bytes = options->memory_bytes != 0 ? options->memory_bytes : MEMORY_BYTES;
    loads->coder = avro_coder_new(options->uncompressed ? AVRO_FILE_NULL : AVRO_FILE_ZSTD);
    return loads;
}

void loads_free(struct loads *loads)
{
    if (loads == NULL) {
        return;
    }
    must(loads->open == 0);
    avro_coder_free(loads->coder);
    free((char *)loads->options.endpoint);
    free((char *)loads->options.project);
    free((char *)loads->options.quota_project);
    free((char *)loads->options.job_prefix);
    free(loads);
}

/* One was opened, or closed: each one's two pieces fit into its share of the memory. */
static void count_open(struct loads *loads, int change)
{
    uint64_t units;

    loads->open = (size_t)((int64_t)loads->open + change);
    units = loads->options.memory_bytes / (2 * (loads->open > 0 ? loads->open : 1)) / UPLOAD_UNIT;
    units = units > PIECE_UNITS_MIN ? units : PIECE_UNITS_MIN;
    loads->piece_bytes = (size_t)(units < PIECE_UNITS_MAX ? units : PIECE_UNITS_MAX) * UPLOAD_UNIT;
}

const struct loads_counts *loads_counts(const struct loads *loads)
{
    return &loads->counts;
}

/* ---- calls and their answers */

void load_begin_call(struct load *load, load_answered answer, void *context)
{
    must(load->answer == NULL && state(load) != CLOSING);
    load->answer = answer;
    load->context = context;
    load->given = false;
}

static void deliver(struct load *load)
{
    load_answered answer = load->answer;
    struct err err = load->given_err;

    load->answer = NULL;
    answer(load->context, load->given_answer, err.class != ERR_NONE ? &err : NULL);
}

static void on_answering(uv_timer_t *timer)
{
    deliver(timer->data);
}

void load_give(struct load *load, enum load_answer answer, const struct err *err)
{
    must(load->answer != NULL && !load->given);
    load->given = true;
    load->given_answer = answer;
    load->given_err = err != NULL ? *err : (struct err){0};
    (void)uv_timer_start(&load->answering, on_answering, 0, 0);
}

/* ---- beginning and end */

static bool invariant(const struct sm *machine)
{
    const struct load *load = (const struct load *)((const char *)machine - offsetof(struct load, sm));
    int at = sm_at(machine);
    bool watches = at == WATCHING || at == RECOVERING;

    return (load->watch == NULL || watches) && (load->upload != NULL || at != FILLING) &&
           (load->named || at < SEALED || at == CLOSING);
}

struct load *load_new(struct loads *loads, const struct load_options *options)
{
    struct load *load = calloc(1, sizeof *load);

    must(load != NULL);
    load->loads = loads;
    load->options = *options;
    load->age_ms = AGE_FIRST_MS;
    count_open(loads, 1);
    must(uv_timer_init(loads->options.loop, &load->answering) == 0 && uv_timer_init(loads->options.loop, &load->alarm) == 0);
    load->answering.data = load;
    load->alarm.data = load;
    load->open_handles = 2;
    sm_init(&load->sm, "load", options->id, states, IDLE, invariant);
    return load;
}

void load_end_handle(struct load *load)
{
    void (*closed)(void *context) = load->closed;
    void *context = load->closed_context;

    if (--load->open_handles > 0) {
        return;
    }
    if (load->answer != NULL) {
        deliver(load);
    }
    count_open(load->loads, -1);
    free(load);
    closed(context);
}

static void on_handle_closed(uv_handle_t *handle)
{
    load_end_handle(handle->data);
}

void load_close(struct load *load, void (*closed)(void *context), void *context)
{
    if (load->absorbing) {
        load_forget_upload(load);
        load->open_handles++;
    } else {
        load_forget_file(load);
    }
    job_watch_cancel(load->watch);
    load->watch = NULL;
    if (load->answer != NULL && !load->given) {
        load->given = true;
        load->given_answer = LOAD_SURPRISE;
        (void)err_set(&load->given_err, ERR_CANCELED, "the partition is given back");
    }
    load->closed = closed;
    load->closed_context = context;
    sm_move(&load->sm, CLOSING, "close");
    uv_close((uv_handle_t *)&load->answering, on_handle_closed);
    uv_close((uv_handle_t *)&load->alarm, on_handle_closed);
}

/* ---- what is told of it */

bool load_trouble(const struct load *load, char *text, size_t size)
{
    if (load->failure.class != ERR_NONE) {
        (void)snprintf(text, size, "the load file is lost: %s", load->failure.text);
    } else if (load->stall.class != ERR_NONE) {
        (void)snprintf(text, size, "the load file does not get on: %s", load->stall.text);
    } else if (load->watch != NULL && now(load) - load->watch_ms >= JOB_LONG_MS) {
        (void)snprintf(text, size, "load job %s is not done after %" PRIu64 " min", load->intent.job.id,
                       (now(load) - load->watch_ms) / 60000);
    } else {
        return false;
    }
    return true;
}

bool load_waits_for(const struct load *load, char *text, size_t size)
{
    if (load->watch == NULL) {
        return false;
    }
    (void)snprintf(text, size, "load job %s, for %" PRIu64 " s", load->intent.job.id, (now(load) - load->watch_ms) / 1000);
    return true;
}

json_t *load_status(const struct load *load)
{
    bool has_job = load->upload != NULL || load->named;
    json_t *status = json_pack("{s:s, s:I, s:I, s:s?}", "state", sm_name(&load->sm), "file_rows", (json_int_t)load->file_rows, "file_bytes",
                               (json_int_t)load->file_bytes, "job", has_job ? load->intent.job.id : NULL);

    must(status != NULL);
    return status;
}
