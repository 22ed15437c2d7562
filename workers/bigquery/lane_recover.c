/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery: what of the requests that the commit names is in. Rules C1, C4, C6, C7.
 *
 *   no commit      is the history empty (C6)? An answer of the worker's own, about the topic's commits, decides then
 *   no table yet   nothing was written: go on
 *   load           what became of the job? lane_load.c
 *   append         the table must be the one of the mark; seal the stream; its row count says which whole requests are in. Where it does
 *                  not say, the table is asked for a row of each (C7)
 *
 * The stream that the newest commit names is sealed before another is made, let alone named: so at any time only the named one takes rows
 * (C1). A stream that is gone, or was sealed before, takes none either.
 *
 * A row count of 0 is taken for none: in the answer's encoding the two are the same, and whether a second sealing counts again is
 * nowhere written. The table is asked then too; only where something was under way, so seldom, and it costs two columns of a day.
 *
 * Requests go in by order, so those that are in come first. All or nothing holds for each, so one row answers for it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/must.h"
#include "workers/bigquery/lane_parts.h"
#include "workers/bigquery/storage_messages.h"

/* ---- the end */

void lane_settle(struct lane *lane, int64_t start, bool needs_commit_of_topic)
{
    lane->place = (struct lane_place){.start = start, .cut = lane->cut, .needs_commit_of_topic = needs_commit_of_topic};
    lane->mark = (struct mark){.kind = MARK_APPEND};
    if (lane->history != NULL) {
        memcpy(lane->mark.table, lane->history->hash, sizeof lane->mark.table);
    }
    lane->lanes->recovered_count++;
    lane_answer(lane, NULL, "recovered");
}

/* Where the requests that are in end. */
static void settle_append(struct lane *lane)
{
    const struct mark_append *found = &lane->found.append;

    if (found->request_count > 0) {
        log_info("resolved", "topic=%s partition=%d committed=%lld requests=%zu in=%zu stream_rows=%lld", lane->topic, lane->partition,
                 (long long)lane->committed, found->request_count, lane->in_count, (long long)lane->sealed_rows);
    }
    lane_settle(lane, lane->in_count > 0 ? found->requests[lane->in_count - 1].end : lane->committed, false);
}

static void stop(struct lane *lane, const struct err *err)
{
    lane_answer(lane, err, err->text);
}

/* ---- C7: the table is asked */

static int64_t rows_of(const struct mark_append *found, size_t request_count)
{
    int64_t rows = found->row;

    for (size_t i = 0; i < request_count; i++) {
        rows += found->requests[i].rows;
    }
    return rows;
}

/* Both numbers must tell one story: whole requests, and at most the next one, which the count has in part. */
static void settle_asked(struct lane *lane)
{
    const struct mark_append *found = &lane->found.append;
    int64_t rows = rows_of(found, lane->in_count);
    int64_t before = lane->in_count > 0 ? rows_of(found, lane->in_count - 1) : rows;
    int64_t after = lane->in_count < found->request_count ? rows_of(found, lane->in_count + 1) : rows;
    struct err err = {0};

    if (lane->sealed_rows > 0 && (lane->sealed_rows < before || lane->sealed_rows > after)) {
        (void)err_set(&err, ERR_FATAL,
                      "the write stream holds %" PRId64 " rows, but by the rows of %s it must be %" PRId64 " (commit: row %" PRId64
                      ", %zu requests under way): which of them are in is not known",
                      lane->sealed_rows, lane->history->parent, rows, found->row, found->request_count);
        stop(lane, &err);
        return;
    }
    settle_append(lane);
}

static void ask(struct lane *lane);

static void on_said(void *context, bool yes, const struct err *err)
{
    struct lane *lane = lane_take_question(context);

    if (lane == NULL) {
        return;
    }
    if (err != NULL) {
        lane_answer(lane, err, "can't ask the table");
    } else if (yes) {
        lane->in_count++;
        ask(lane);
    } else {
        settle_asked(lane);
    }
}

/* Is the first row of the next request there? */
static void ask(struct lane *lane)
{
    const struct mark_append *found = &lane->found.append;
    const struct lane_world *world = world_of(lane);

    if (lane->in_count == found->request_count) {
        settle_asked(lane);
    } else {
        const struct mark_request *request = &found->requests[lane->in_count];
        const struct history_change change = {.seq = request->seq, .idx = request->idx, .from_day = request->day};

        world->has(world->tables, lane->history, &change, on_said, lane_ask(lane));
    }
}

static void begin_asking(struct lane *lane, const char *why)
{
    lane->in_count = 0;
    if (lane->found.append.request_count == 0) {
        settle_append(lane);
        return;
    }
    lane->lanes->table_asked_count++;
    sm_move(&lane->sm, ASK, why);
    ask(lane);
}

/* ---- the stream is sealed */

static void count_requests(struct lane *lane)
{
    const struct mark_append *found = &lane->found.append;
    struct err err = {0};

    lane->in_count = 0;
    while (lane->in_count < found->request_count && rows_of(found, lane->in_count + 1) <= lane->sealed_rows) {
        lane->in_count++;
    }
    if (lane->sealed_rows == 0 && found->request_count > 0) {
        begin_asking(lane, "no row count");
    } else if (lane->sealed_rows == rows_of(found, lane->in_count) || (lane->sealed_rows == 0 && found->request_count == 0)) {
        settle_append(lane);
    } else if (lane->sealed_rows < found->row || lane->in_count == found->request_count) {
        (void)err_set(&err, ERR_FATAL,
                      "the write stream holds %" PRId64 " rows, but by the commit %" PRId64 " to %" PRId64
                      ": something else writes into it, or rows were lost",
                      lane->sealed_rows, found->row, rows_of(found, found->request_count));
        stop(lane, &err);
    } else {
        begin_asking(lane, "not whole requests");
    }
}

/* The service speaks of a stream that takes no rows: gone after four days without any, or sealed in a way that it does not repeat. */
static bool is_closed(const struct rpc_error *error)
{
    switch (error->error_code) {
    case STORAGE_ERROR_NONE:
        return error->code == GRPC_NOT_FOUND || error->code == GRPC_FAILED_PRECONDITION || error->code == GRPC_INVALID_ARGUMENT;
    case STORAGE_ERROR_STREAM_NOT_FOUND:
    case STORAGE_ERROR_STREAM_FINALIZED:
    case STORAGE_ERROR_INVALID_STREAM_STATE:
        return true;
    default:
        return false;
    }
}

static void on_sealed(void *context, const uint8_t *message, size_t size, const struct rpc_error *error)
{
    struct lane *lane = context;
    struct err err = {0};

    lane->rpc = NULL;
    lane->sealed_rows = -1;
    if (error != NULL && is_closed(error)) {
        begin_asking(lane, error->text);
    } else if (error != NULL) {
        rpc_error_to_err(error, "sealing the write stream", &err);
        lane_answer(lane, &err, "not sealed");
    } else if (storage_finalize_decode(message, size, &lane->sealed_rows, &err) != 0) {
        err.class = ERR_RETRY;
        lane_answer(lane, &err, "not sealed");
    } else {
        count_requests(lane);
    }
}

static void seal(struct lane *lane)
{
    struct buffer name = {0};
    struct buffer params = {0};
    struct buffer message = {0};

    sm_move(&lane->sm, SEAL, "the commit names a stream");
    buffer_printf(&name, "%s/streams/%s", lane->history->parent, lane->found.append.stream);
    buffer_printf(&params, "name=%s", buffer_text(&name));
    storage_finalize_write_stream(&message, buffer_text(&name));
    lane->rpc = rpc_start(world_of(lane),
                          &(struct rpc_request){.method = "FinalizeWriteStream", .params = buffer_text(&params), .message = &message},
                          on_sealed, lane);
    buffer_deinit(&message);
    buffer_deinit(&params);
    buffer_deinit(&name);
}

/* ---- the table */

static void on_empty(void *context, bool empty, const struct err *err)
{
    struct lane *lane = lane_take_question(context);

    if (lane == NULL) {
        return;
    }
    if (err != NULL) {
        lane_answer(lane, err, "can't ask the table");
    } else {
        lane_settle(lane, LANE_OFFSET_BEGINNING, !empty);
    }
}

static void begin_anew(struct lane *lane)
{
    const struct lane_world *world = world_of(lane);

    if (lane->history == NULL) {
        lane_settle(lane, LANE_OFFSET_BEGINNING, false);
        return;
    }
    sm_move(&lane->sm, EMPTY, "no commit, but a history");
    world->is_empty(world->tables, lane->history, on_empty, lane_ask(lane));
}

static int check_table(const struct lane *lane, struct err *err)
{
    const char *hash = lane->found.table;

    if (hash[0] == '\0' || (lane->history != NULL && strcmp(lane->history->hash, hash) == 0)) {
        return 0;
    }
    if (lane->history == NULL) {
        return err_set(err, ERR_FATAL,
                       "rows of %s were written into a history (mark %s) that is not there: it was dropped, or the settings name another "
                       "project, dataset or table now. Nothing is made in its place. Bring it back within 7 days: bq cp DATASET.TABLE@MS "
                       "DATASET.TABLE (MS: a time before it was dropped), then bq update --set_label kakehi_continues:%s "
                       "PROJECT:DATASET.TABLE",
                       lane->topic, hash, hash);
    }
    return err_set(err, ERR_FATAL,
                   "%s is another table than the one that rows were written into (mark %s, this is %s): it was dropped and made again, or the "
                   "settings point elsewhere. Put the old one back; if this is it, undeleted: bq update --set_label kakehi_continues:%s %s:%s.%s",
                   lane->history->parent, hash, lane->history->hash, hash, lane->history->names.project, lane->history->names.dataset,
                   lane->history->names.history);
}

static void on_found(void *context, struct history *history, const struct err *err)
{
    struct lane *lane = lane_take_question(context);
    struct err bad = {0};

    if (lane == NULL) {
        return;
    }
    if (err != NULL) {
        lane_answer(lane, err, "can't find the table");
        return;
    }
    lane_set_history(lane, history);
    if (lane->load != NULL && lane->found.kind != MARK_LOAD) {
        load_drop(lane->load);
    }
    if (lane->committed < 0) {
        begin_anew(lane);
    } else if (check_table(lane, &bad) != 0) {
        stop(lane, &bad);
    } else if (lane->found.kind == MARK_LOAD) {
        lane_recover_load(lane);
    } else if (lane->found.append.stream[0] == '\0') {
        lane_settle(lane, lane->committed, false);
    } else {
        seal(lane);
    }
}

void lane_recover(struct lane *lane, int64_t committed, const char *mark, lane_recovered answer, void *context)
{
    const struct lane_world *world = world_of(lane);
    struct err err = {0};

    must(state(lane) == READY);
    lane->recovered = answer;
    lane->context = context;
    lane->committed = committed;
    lane->fresh = true;
    append_to(&lane->append, NULL);
    lane_forget_writer(lane);
    lane->cut = LANE_NO_CUT;
    lane->append_until = INT64_MIN;
    lane->found = (struct mark){.kind = MARK_APPEND};
    sm_move(&lane->sm, FIND, "recover");
    if (committed >= 0 && mark_parse(mark, &lane->found, &err) != 0) {
        lane_answer(lane, &err, "a mark that can't be read");
    } else {
        world->find(world->tables, lane->topic, on_found, lane_ask(lane));
    }
}
