/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane's load jobs: which batches go that way, the file under way, its seal; and recovery of an intent. load.h has the files and
 * jobs themselves.
 *
 * D5, the change of method. To load jobs: the batch before is in, so no request is open, and each copy of one that may still arrive is
 * met by a row that is taken. The stream stays, at its row, and its mark is the one that is committed again when the file is in. To
 * appends: the file under way is sealed first (`fits` says so to the worker), and its rows are in before the batch behind it is planned.
 *
 * A batch goes by load jobs only as a whole: rows of one schema version, whose bytes a load job would read as the history means them.
 * The others go by appends, whatever was chosen: so the change is an ordinary event, not a rare one.
 *
 * An intent that recovery finds with no job (D2): its range is built again, up to the cut. Where that can't be, load_give_up.
 */
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/avro_file.h"
#include "workers/bigquery/lane_parts.h"

#define LOAD_BATCH_ROWS 3000

/* Ready for use. */
static void open_load(struct lane *lane)
{
    if (lane->load == NULL) {
        lane->load_history = history_ref(lane->history); /* its names are lent */
        lane->load = load_new(lane->lanes->loads, &(struct load_options){.id = lane->id,
                                                                        .dataset = lane->history->names.dataset,
                                                                        .table = lane->history->names.history,
                                                                        .location = lane->lanes->settings->bigquery.location});
    }
}

/* ---- which way */

static const struct schema *only_schema(const struct warehouse_batch *batch)
{
    for (size_t i = 1; i < batch->row_count; i++) {
        if (batch->rows[i].schema != batch->rows[0].schema) {
            return NULL;
        }
    }
    return batch->rows[0].schema;
}

/* NULL: its rows can't go by load jobs. Borrowed until the next layout. */
static const char *load_text(struct lane *lane, const struct schema *schema)
{
    struct mapping *mapping = lane_find_mapping(lane, schema);
    struct buffer text = {0};
    struct err ignored = {0};

    if (mapping == NULL || !mapping->history->loads || mapping->history->refusal != NULL) {
        return NULL;
    }
    if (mapping->load_text == NULL &&
        avro_file_schema(schema->table, &lane->history->layout, mapping->history->targets, &text, &ignored) == 0) {
        mapping->load_text = must_strdup(buffer_text(&text));
    }
    buffer_deinit(&text);
    return mapping->load_text;
}

void lanes_group(struct lanes *lanes, int32_t partitions)
{
    lanes->group_partitions = partitions;
}

/* By freshness, budgets and backlog. */
static bool prefers_load(struct lane *lane, const struct warehouse_batch *batch)
{
    const struct settings *settings = lane->lanes->settings;
    const struct method_limits limits = {.setting = settings_bigquery_method(settings, lane->table),
                                         .freshness_ms = settings_freshness_ms(settings, lane->table),
                                         .table_jobs = settings->bigquery.table_jobs,
                                         .project_jobs = settings->bigquery.project_jobs,
                                         .backlog_rows = settings->bigquery.backlog_rows};

    lane->choice = method_choose(&limits, batch->topic_partitions, lane->lanes->group_partitions, batch->behind, &lane->choice);
    return lane->choice.method == METHOD_LOAD;
}

bool lane_goes_by_load(struct lane *lane, const struct warehouse_batch *batch)
{
    if (lane->lanes->loads == NULL) {
        return false;
    }
    if (lane->cut != LANE_NO_CUT) {
        return true;
    }
    if (batch->row_count == 0) {
        return lane->load != NULL && load_under_way(lane->load);
    }
    return batch->start >= lane->append_until && prefers_load(lane, batch) && only_schema(batch) != NULL &&
           load_text(lane, batch->rows[0].schema) != NULL;
}

bool lane_fits(struct lane *lane, const struct warehouse_batch *batch)
{
    return lane_goes_by_load(lane, batch) && (batch->row_count == 0 || load_fits(lane->load, only_schema(batch)->value_id));
}

uint64_t lane_seal_due_ms(struct lane *lane)
{
    return lane->load != NULL ? load_due_ms(lane->load) : UINT64_MAX;
}

/* Append: a quarter of the freshness is for the way. A table's freshness rules wherever it says anything: longer, and it is the batch's
 * age, whether worker.batch.age is below or above it; shorter, and it may only shorten that. */
static uint64_t append_age_ms(const struct lane *lane, uint64_t age_ms)
{
    uint64_t freshness_ms = (uint64_t)settings_freshness_ms(lane->lanes->settings, lane->table);
    uint64_t wanted_ms = freshness_ms - freshness_ms / 4;

    if (freshness_ms < FRESHNESS_STANDARD_MS) {
        return wanted_ms < age_ms ? wanted_ms : age_ms;
    }
    if (freshness_ms == FRESHNESS_STANDARD_MS) {
        return age_ms;
    }
    return wanted_ms < BATCH_AGE_MAX_MS ? wanted_ms : BATCH_AGE_MAX_MS;
}

/* Load: nobody is asked for a batch, and one that is in the file is out of memory, so it need only be large enough that the thread which
 * takes it into the file keeps ahead of the next one. */
void lane_limit(struct lane *lane, struct batch_limits *limits)
{
    if (lane->load != NULL && load_under_way(lane->load)) {
        limits->rows = limits->rows < LOAD_BATCH_ROWS ? limits->rows : LOAD_BATCH_ROWS;
    } else if (lane->table != NULL) {
        limits->age_ms = append_age_ms(lane, limits->age_ms);
    }
}

/* ---- a batch into the file */

void lane_plan_load(struct lane *lane, struct request *request, const struct warehouse_batch *batch, int32_t ingest_day)
{
    const struct schema *schema = batch->row_count > 0 ? only_schema(batch) : NULL;

    open_load(lane);
    if (lane->choice.method == METHOD_LOAD) {
        load_pace(lane->load, lane->choice.age_ms, lane->choice.gap_ms);
    }
    request->way = WAY_LOAD;
    request->batch = (struct load_batch){.rows = batch->rows, .row_count = batch->row_count, .ingest_day = ingest_day};
    if (schema != NULL) {
        request->batch.schema_id = schema->value_id;
        request->batch.schema_text = load_text(lane, schema);
    }
}

static void on_load_answer(void *context, enum load_answer answer, const struct err *err)
{
    static const enum lane_answer answers[] = {[LOAD_PAUSE] = LANE_PAUSE, [LOAD_SURPRISE] = LANE_SURPRISE, [LOAD_FAILED] = LANE_STOP};
    struct lane *lane = context;
    bool sealed = lane->request->way == WAY_SEAL;

    must(answer == LOAD_DONE || answer == LOAD_PAUSE || answer == LOAD_SURPRISE || answer == LOAD_FAILED);
    if (answer == LOAD_DONE && sealed) {
        lane->cut = LANE_NO_CUT;
    }
    lane_tell_sent(lane, answer == LOAD_DONE ? (sealed ? LANE_IN : LANE_TAKEN) : answers[answer], err);
}

void lane_send_load(struct lane *lane, struct request *request)
{
    struct err err = {0};

    if (request->way == WAY_SEAL) {
        sm_move(&lane->sm, SEND, "sealed");
        load_send(lane->load, on_load_answer, lane);
    } else if (request->batch.row_count == 0) {
        lane->answer = LANE_TAKEN;
        lane_answer(lane, NULL, "no row for the file");
    } else if (request->batch.schema_text == NULL || !load_fits(lane->load, request->batch.schema_id)) {
        if (lane->cut != LANE_NO_CUT) {
            load_give_up(lane->load);
        }
        (void)err_set(&err, ERR_RETRY, "rows that a load job can't take, where a load file is under way");
        lane->answer = LANE_SURPRISE;
        lane_answer(lane, &err, "rows that a load job can't take");
    } else {
        sm_move(&lane->sm, SEND, "planned");
        load_absorb(lane->load, &request->batch, on_load_answer, lane);
    }
}

struct request *lane_seal(struct lane *lane, int64_t end)
{
    struct request *request = calloc(1, sizeof *request);

    must(request != NULL && lane->load != NULL && state(lane) == READY);
    request->way = WAY_SEAL;
    load_seal(lane->load, end);
    return request;
}

const struct load_intent *lane_intent(const struct lane *lane)
{
    return lane->load != NULL ? load_intent(lane->load) : NULL;
}

/* ---- recovery of an intent */

static void on_intent(void *context, enum load_answer answer, const struct err *err)
{
    struct lane *lane = context;
    int64_t end = lane->found.load.end;

    switch (answer) {
    case LOAD_DONE:
        lane_settle(lane, end, false);
        break;
    case LOAD_BY_APPEND: /* D4 */
        lane->append_until = end;
        lane_settle(lane, lane->committed, false);
        break;
    case LOAD_AGAIN:
        lane_settle(lane, lane->committed, false);
        break;
    case LOAD_REBUILD: /* D2 */
        lane->cut = end;
        lane_settle(lane, lane->committed, false);
        break;
    default:
        lane_answer(lane, err, "the load job's fate is not known");
    }
}

void lane_recover_load(struct lane *lane)
{
    const struct mark_load *found = &lane->found.load;
    struct load_intent intent = {.end = found->end};
    struct err err = {0};

    if (lane->lanes->loads == NULL || !job_id_valid(found->job) || strlen(found->job) >= sizeof intent.job.id ||
        strlen(found->location) >= sizeof intent.job.location || lane->committed >= found->end) {
        (void)err_set(&err, ERR_FATAL, "the group's commit at %lld names load job %s up to %lld, which this program can't have begun",
                      (long long)lane->committed, found->job, (long long)found->end);
        lane_answer(lane, &err, "a job of somebody else");
        return;
    }
    memcpy(intent.job.id, found->job, strlen(found->job) + 1);
    memcpy(intent.job.location, found->location, strlen(found->location) + 1);
    open_load(lane);
    sm_move(&lane->sm, INTENT, "the commit names a load job");
    load_recover(lane->load, &intent, on_intent, lane);
}
