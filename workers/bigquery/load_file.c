/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file under way and its pieces. Two buffers: one fills while the other is lent to the upload. A piece is sent when more
 * than its size waits, and only whole units of it, so something always stays for the last put. When both are full the batch at
 * hand waits: memory is bounded by the pieces, not by the file. The size is looked up anew each time, since a piece that began while
 * few loads were open would be far beyond the share that it has when all are; and a piece that was taken is freed.
 *
 * A put that failed for long (the server is away) answers LOAD_PAUSE and is made again by the next call; the session lives for
 * days. A session that is gone takes the file with it: nothing of it was committed, and its rows are read again.
 */
#include <stdio.h>
#include <sys/random.h>

#include "common/must.h"
#include "workers/bigquery/load_parts.h"

#define RETRY_FIRST_MS  500
#define ROOM_BYTES      (64 << 10) /* a block more than its rows: header, counts, what zstd can't compress */

void load_forget_upload(struct load *load)
{
    upload_free(load->upload);
    load->upload = NULL;
    buffer_deinit(&load->sending);
    load->putting = false;
}

void load_forget_file(struct load *load)
{
    load_forget_upload(load);
    avro_file_deinit(&load->file);
    buffer_deinit(&load->filling);
    load->sent = load->own = load->early = false;
    load->failure = load->stall = (struct err){0};
    load->pieces_bytes = load->file_bytes = load->file_rows = 0;
    load->next_offset = INT64_MIN;
}

struct upload *load_new_upload(const struct load *load)
{
    const struct loads_options *options = &load->loads->options;
    struct job_table table = load_table(load);
    json_t *job = job_load(&load->intent.job, &table);
    struct upload *upload = upload_new(&(struct upload_options){.loop = options->loop,
                                                                .http = options->http,
                                                                .rest = options->rest,
                                                                .tokens = options->tokens,
                                                                .endpoint = options->endpoint,
                                                                .project = options->project,
                                                                .quota_project = options->quota_project,
                                                                .retry_ms = options->retry_ms,
                                                                .retry_first_ms = RETRY_FIRST_MS,
                                                                .job = job});

    json_decref(job);
    return upload;
}

/* ---- pieces */

static void reserve(const struct load *load, struct buffer *buffer)
{
    (void)buffer_reserve(buffer, load->loads->piece_bytes + AVRO_FILE_BLOCK_BYTES + ROOM_BYTES);
}

static bool full(const struct load *load)
{
    return load->filling.size > load->loads->piece_bytes;
}

/* What fills becomes what is sent, but for the rest behind its last whole unit. */
static void turn(struct load *load)
{
    struct buffer piece = load->filling;
    size_t size = (piece.size - 1) / UPLOAD_UNIT * UPLOAD_UNIT;

    load->filling = load->sending;
    load->sending = piece;
    reserve(load, &load->filling);
    buffer_append(&load->filling, piece.bytes + size, piece.size - size);
    load->sending.size = size;
    load->pieces_bytes += size;
}

static void fill(struct load *load);

/* An absorb is not answered while its thread is at work: on_absorbed does it (L5). */
static bool may_give(const struct load *load)
{
    return load->answer != NULL && !load->given && !load->absorbing;
}

static void on_refused(struct load *load, enum upload_answer answer, const struct err *err)
{
    struct err reason = *err;

    if (answer == UPLOAD_FAILED && err->class == ERR_RETRY) {
        load->stall = *err;
        if (state(load) == SENDING) {
            sm_move(&load->sm, SEALED, err->text);
        }
        if (may_give(load)) {
            load_give(load, LOAD_PAUSE, err);
        }
        return;
    }
    load->failure = reason;
    load->early = answer == UPLOAD_EARLY;
    if (state(load) == SENDING) {
        load_watch(load);
    } else if (may_give(load)) {
        load_give(load, load->early ? LOAD_FAILED : LOAD_SURPRISE, &reason);
    }
}

static void on_piece(void *context, enum upload_answer answer, const struct err *err)
{
    struct load *load = context;

    load->putting = false;
    if (answer != UPLOAD_TAKEN) {
        on_refused(load, answer, err);
        return;
    }
    buffer_deinit(&load->sending);
    if (state(load) == FILLING && may_give(load)) {
        fill(load);
    } else if (!load->absorbing) {
        load_pump(load);
    }
}

/* Of the last piece: whatever is answered, only jobs.get knows what it means. */
static void on_last(void *context, enum upload_answer answer, const struct err *err)
{
    struct load *load = context;

    load->putting = false;
    load->own = answer == UPLOAD_TAKEN;
    if (answer == UPLOAD_FAILED && err->class == ERR_RETRY) {
        on_refused(load, answer, err);
        return;
    }
    if (err != NULL && answer != UPLOAD_EXISTS) {
        load->failure = *err;
    }
    load_watch(load);
}

void load_pump(struct load *load)
{
    if (load->putting || load->stall.class != ERR_NONE || load->failure.class != ERR_NONE) {
        return;
    }
    if (load->sending.size == 0 && state(load) == SENDING) {
        load->putting = true;
        upload_put(load->upload, load->filling.bytes, load->filling.size, true, on_last, load);
        return;
    }
    if (load->sending.size == 0 && full(load)) {
        turn(load);
    }
    if (load->sending.size > 0) {
        load->putting = true;
        upload_put(load->upload, load->sending.bytes, load->sending.size, false, on_piece, load);
    }
}

/* ---- rows */

static void begin_file(struct load *load, const struct load_batch *batch)
{
    uint8_t sync[AVRO_FILE_SYNC_SIZE];

    load_forget_file(load);
    if (!load->adopted) {
        job_id_make(load->intent.job.id, load->loads->options.job_prefix);
        must(snprintf(load->intent.job.location, sizeof load->intent.job.location, "%s", load->options.location) <
             JOB_LOCATION_SIZE);
        load->named = false;
    }
    must(getrandom(sync, sizeof sync, 0) == (ssize_t)sizeof sync);
    load->schema_id = batch->schema_id;
    load->began_ms = now(load);
    reserve(load, &load->filling);
    avro_file_begin(&load->file, load->loads->coder, batch->schema_text, sync, 0, &load->filling);
    load->upload = load_new_upload(load);
    sm_move(&load->sm, FILLING, load->adopted ? "an intent is built again" : "a file begins");
}

static void look_at_file(struct load *load)
{
    load->file_bytes = load->pieces_bytes + load->filling.size;
    load->file_rows = load->file.row_count;
}

void load_flush(struct load *load)
{
    avro_file_flush(&load->file, &load->filling);
    look_at_file(load);
}

/* On its thread (L5). */
static void absorb(uv_work_t *work)
{
    struct load *load = work->data;
    const struct load_batch *batch = &load->batch;

    for (; load->batch_next < batch->row_count && load->filling.size <= load->work_bytes; load->batch_next++) {
        const struct warehouse_row *row = &batch->rows[load->batch_next];

        if (row->offset >= load->next_offset) { /* L2 */
            avro_file_add(&load->file, row->value, row->value_size, batch->ingest_day, &load->filling);
            load->next_offset = row->offset + 1;
        }
    }
}

static void on_absorbed(uv_work_t *work, int status)
{
    struct load *load = work->data;

    must(status == 0); /* nobody cancels it */
    load->absorbing = false;
    if (state(load) == CLOSING) {
        load_forget_file(load);
        load_end_handle(load);
        return;
    }
    look_at_file(load);
    if (load->failure.class != ERR_NONE) {
        load_give(load, load->early ? LOAD_FAILED : LOAD_SURPRISE, &load->failure);
    } else if (load->stall.class != ERR_NONE) {
        load_give(load, LOAD_PAUSE, &load->stall);
    } else if (load->batch_next < load->batch.row_count) {
        fill(load);
    } else {
        load_pump(load);
        load_give(load, LOAD_DONE, NULL);
    }
}

/* The rest of the batch, until both pieces are full; on_piece goes on. */
static void fill(struct load *load)
{
    if (full(load)) {
        load_pump(load);
    }
    if (full(load)) {
        return;
    }
    load->absorbing = true;
    load->work.data = load;
    load->work_bytes = load->loads->piece_bytes;
    must(uv_queue_work(load->loads->options.loop, &load->work, absorb, on_absorbed) == 0);
}

bool load_fits(const struct load *load, uint64_t schema_id)
{
    return state(load) != FILLING || load->adopted || load->schema_id == schema_id;
}

bool load_under_way(const struct load *load)
{
    return state(load) == FILLING;
}

void load_absorb(struct load *load, const struct load_batch *batch, load_answered answer, void *context)
{
    struct err err = {0};

    must((state(load) == IDLE || state(load) == FILLING) && batch->row_count > 0 && load_fits(load, batch->schema_id));
    load_begin_call(load, answer, context);
    if (state(load) == IDLE) {
        begin_file(load, batch);
    }
    if (load->failure.class != ERR_NONE) {
        load_give(load, load->early ? LOAD_FAILED : LOAD_SURPRISE, &load->failure);
    } else if (load->schema_id != batch->schema_id) {
        load_give_up(load);
        (void)err_set(&err, ERR_RETRY, "the range of load job %s now holds two schema versions", load->intent.job.id);
        load_give(load, LOAD_SURPRISE, &err);
    } else {
        load->batch = *batch;
        load->batch_next = 0;
        load->stall.class = ERR_NONE;
        fill(load);
    }
}

/* ---- the pace */

uint64_t load_due_ms(const struct load *load)
{
    uint64_t due_ms = load->file_bytes >= load->loads->options.file_bytes ? 0 : load->began_ms + load->age_ms;
    uint64_t gap_end_ms = load->sealed_ms != 0 ? load->sealed_ms + load->gap_ms : 0;

    if (state(load) != FILLING || load->adopted) {
        return UINT64_MAX;
    }
    return due_ms > gap_end_ms ? due_ms : gap_end_ms;
}

void load_pace(struct load *load, uint64_t age_ms, uint64_t gap_ms)
{
    load->age_ms = age_ms < LOAD_AGE_MAX_MS ? age_ms : LOAD_AGE_MAX_MS;
    load->gap_ms = gap_ms < LOAD_AGE_MAX_MS ? gap_ms : LOAD_AGE_MAX_MS;
}
