/* SPDX-License-Identifier: Apache-2.0 */
/*
 *              recover                 the commit names a stream              no row count
 *   READY --------------> FIND ------------------------------> SEAL -----------------------> ASK --+
 *     ^                     \--no commit, but a history--> EMPTY --+----------------------------+--+--> ANSWER --later--> READY
 *     |                      \--it names a load job--> INTENT ----------------------------------+
 *     |-- ensure --> TABLE --------------------------------------------------------------------+
 *     |-- prepare, by appends, without a stream --> STREAM -------------------------------------+
 *     |-- send --> SEND --answer of the append, or the load--> READY          (a batch without a row: ANSWER at once)
 *   any --close--> CLOSED
 *
 * | state  | under way                   |
 * | READY  | nothing                     |
 * | FIND   | tables: what is behind the topic |
 * | EMPTY  | tables: has the history rows (C6) |
 * | SEAL   | FinalizeWriteStream         |
 * | ASK    | tables: is this row there (C7) |
 * | TABLE  | tables: columns for a schema |
 * | STREAM | CreateWriteStream           |
 * | INTENT | load_recover: what became of the job |
 * | SEND   | the append's try, or the load's |
 * | ANSWER | the next turn of the loop   |
 * | CLOSED | the same                    |
 *
 * The worker asks one thing at a time of a lane. What a lane holds between two: the mark, and so the stream and its row; and an open
 * call, perhaps.
 *
 * L1  The mark is true for the offset that is settled: its row is the stream's row there. It changes where the settled offset does: with
 *     the answer IN, and with a recovery.
 * L2  The mark names each request from when it is planned until it is known to be in, or a recovery has counted. A request that was
 *     given up stays named, since a copy may still arrive.
 *
 * An answer that comes for a closed lane finds nobody: questions and calls are let go of, not waited for.
 */
#include "workers/bigquery/lane.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/must.h"
#include "workers/bigquery/lane_parts.h"

#define STREAM_NAME_MAX 1400 /* of the parent, two names of up to 1024 that are seldom 64, and the mark's part */
#define US_A_DAY        (86400 * INT64_C(1000000))

#define ENDS (SM_TO(ANSWER) | SM_TO(CLOSED))

static const struct sm_state states[] = {
    [READY] = {"READY", SM_TO(FIND) | SM_TO(TABLE) | SM_TO(STREAM) | SM_TO(SEND) | ENDS},
    [FIND] = {"FIND", SM_TO(EMPTY) | SM_TO(SEAL) | SM_TO(INTENT) | ENDS},
    [EMPTY] = {"EMPTY", ENDS},
    [SEAL] = {"SEAL", SM_TO(ASK) | ENDS},
    [ASK] = {"ASK", ENDS},
    [INTENT] = {"INTENT", ENDS},
    [TABLE] = {"TABLE", ENDS},
    [STREAM] = {"STREAM", ENDS},
    [SEND] = {"SEND", SM_TO(READY) | ENDS},
    [ANSWER] = {"ANSWER", SM_TO(READY) | SM_TO(CLOSED)},
    [CLOSED] = {"CLOSED", 0},
};

static bool invariant(const struct sm *machine)
{
    const struct lane *lane = (const struct lane *)((const char *)machine - offsetof(struct lane, sm));
    int at = sm_at(machine);

    return (lane->rpc == NULL || at == SEAL || at == STREAM || at == CLOSED) && lane->mark.kind == MARK_APPEND;
}

/* ---- one request under way */

/* Who waits is told; its slot is empty before. */
static void tell(struct lane *lane, const struct err *err)
{
    lane_recovered recovered = lane->recovered;
    lane_ensured ensured = lane->ensured;
    lane_sent sent = lane->sent;

    lane->recovered = NULL;
    lane->ensured = NULL;
    lane->sent = NULL;
    lane->request = NULL;
    if (recovered != NULL) {
        recovered(lane->context, err == NULL ? &lane->place : NULL, err);
    } else if (ensured != NULL) {
        ensured(lane->context, err);
    } else if (sent != NULL) {
        sent(lane->context, lane->answer, NULL, 0, err);
    }
}

static void on_later(void *context)
{
    struct lane *lane = context;
    struct err err = lane->err;

    if (state(lane) == ANSWER) {
        sm_move(&lane->sm, READY, "answered");
        tell(lane, err.class != ERR_NONE ? &err : NULL);
    }
}

void lane_answer(struct lane *lane, const struct err *err, const char *why)
{
    lane->err = err != NULL ? *err : (struct err){0};
    lane->later = (struct later){.run = on_later, .context = lane};
    sm_move(&lane->sm, ANSWER, why);
    world_later(world_of(lane), &lane->later);
}

struct question *lane_ask(struct lane *lane)
{
    must(lane->question == NULL);
    lane->question = calloc(1, sizeof *lane->question);
    must(lane->question != NULL);
    lane->question->lane = lane;
    return lane->question;
}

struct lane *lane_take_question(void *context)
{
    struct question *question = context;
    struct lane *lane = question->lane;

    free(question);
    if (lane != NULL) {
        lane->question = NULL;
    }
    return lane;
}

void lane_set_history(struct lane *lane, struct history *history)
{
    struct history *before = lane->history;

    lane->history = history != NULL ? history_ref(history) : NULL;
    history_unref(before);
}

static void end_if_closed(struct lane *lane);

/* ---- plan, mark, send */

static int32_t today(const struct lane *lane)
{
    const struct lane_world *world = world_of(lane);

    return (int32_t)(world->wall_us(world->context) / US_A_DAY);
}

static int plan_append(struct lane *lane, struct request *request, const struct warehouse_batch *batch, size_t *ret_bad_row,
                       struct err *err)
{
    const struct append_plan_options options = {.writer = lane->writer,
                                                .program = lane_program,
                                                .context = lane,
                                                .request_bytes_max = (size_t)lane->lanes->settings->bigquery.request_bytes,
                                                .stream_name_size = STREAM_NAME_MAX,
                                                .ingest_day = today(lane)};

    if (batch->row_count > 0 && append_plan_init(&request->plan, batch, &options, ret_bad_row, err) != 0) {
        return -1;
    }
    must(append_plan_rows(&request->plan) == 0 || append_stream(&lane->append) != NULL); /* lane_prepare */
    append_plan_mark(&request->plan, &lane->mark.append);                                /* L2 */
    return 0;
}

struct request *lane_plan(struct lane *lane, const struct warehouse_batch *batch, size_t *ret_bad_row, struct err *err)
{
    struct request *request = calloc(1, sizeof *request);

    must(request != NULL && state(lane) == READY);
    request->planned_ms = world_now_ms(world_of(lane));
    if (lane_goes_by_load(lane, batch)) {
        lane_plan_load(lane, request, batch, today(lane));
    } else if (plan_append(lane, request, batch, ret_bad_row, err) != 0) {
        free(request);
        return NULL;
    }
    return request;
}

const char *lane_mark(struct lane *lane)
{
    const struct load_intent *intent = lane_intent(lane);
    struct mark mark = lane->mark;

    if (intent != NULL) {
        mark.kind = MARK_LOAD;
        mark.load = (struct mark_load){.end = intent->end};
        (void)snprintf(mark.load.job, sizeof mark.load.job, "%s", intent->job.id);
        (void)snprintf(mark.load.location, sizeof mark.load.location, "%s", intent->job.location);
    }
    mark_print(&mark, lane->mark_text);
    return lane->mark_text;
}

void lane_drop_rows(struct lane *lane, struct request *request, const size_t *rows, size_t row_count)
{
    must(request->way == WAY_APPEND); /* a load answers for the whole file */
    append_plan_drop(&request->plan, rows, row_count);
    append_plan_mark(&request->plan, &lane->mark.append);
}

size_t lane_request_bytes(const struct request *request)
{
    return request->way == WAY_APPEND ? append_plan_memory(&request->plan) : 0; /* a file's rows are the worker's own bytes */
}

void lane_request_free(struct request *request)
{
    if (request != NULL) {
        append_plan_deinit(&request->plan);
        free(request);
    }
}

/* Who waits is told behind everything else: it may ask for the next thing at once. */
static void tell_sent(struct lane *lane, enum lane_answer answer, const size_t *bad_rows, size_t bad_row_count, const struct err *err)
{
    lane_sent sent = lane->sent;

    lane->sent = NULL;
    lane->request = NULL;
    sm_move(&lane->sm, READY, "answered");
    sent(lane->context, answer, bad_rows, bad_row_count, err);
}

void lane_tell_sent(struct lane *lane, enum lane_answer answer, const struct err *err)
{
    tell_sent(lane, answer, NULL, 0, err);
}

/* The flight sends it again; people are told once, and once more when it is over. */
static void note(struct lane *lane, enum lane_answer answer, const struct err *err)
{
    if (answer == LANE_PAUSE && !lane->in_trouble) {
        log_warn("append", "topic=%s partition=%d next=%q reason=%q", lane->topic, lane->partition, "the same again after pauses", err->text);
    } else if (answer == LANE_IN && lane->in_trouble) {
        log_info("append", "topic=%s partition=%d next=%q", lane->topic, lane->partition, "it is in: the trouble is over");
    }
    lane->in_trouble = answer == LANE_PAUSE;
}

static void on_appended(void *context, enum lane_answer answer, const size_t *bad_rows, size_t bad_row_count, const struct err *err)
{
    struct lane *lane = context;

    if (answer == LANE_IN) { /* L1 */
        lane->mark.append.row += append_plan_rows(&lane->request->plan);
        lane->mark.append.request_count = 0;
    }
    note(lane, answer, err);
    tell_sent(lane, answer, bad_rows, bad_row_count, err);
    end_if_closed(lane);
}

void lane_send(struct lane *lane, struct request *request, lane_sent answer, void *context)
{
    must(state(lane) == READY);
    lane->sent = answer;
    lane->context = context;
    lane->request = request;
    lane->answer = LANE_IN;
    if (request->way != WAY_APPEND) {
        lane_send_load(lane, request);
        return;
    }
    if (append_plan_rows(&request->plan) == 0) {
        lane->mark.append.request_count = 0;
        lane_answer(lane, NULL, "no row to send");
        return;
    }
    sm_move(&lane->sm, SEND, "planned");
    append_send(&lane->append,
                &(struct append_try){.plan = &request->plan, .row = lane->mark.append.row, .planned_ms = request->planned_ms}, on_appended,
                lane);
}

/* ---- beginning and end */

struct lane *lane_open(struct lanes *lanes, const char *topic, int32_t partition, uint64_t assignment)
{
    struct lane *lane = calloc(1, sizeof *lane);

    must(lane != NULL);
    lane->lanes = lanes;
    lane->topic = must_strdup(topic);
    lane->partition = partition;
    must(asprintf(&lane->id, "%s/%d@%llu", topic, partition, (unsigned long long)assignment) > 0);
    lane->mark.kind = MARK_APPEND;
    lane->cut = LANE_NO_CUT;
    lane->append_until = INT64_MIN;
    lane->next = lanes->first;
    lanes->first = lane;
    append_init(&lane->append, lane->id, lanes->calls, &lanes->world, &lanes->limits, &lanes->counts);
    sm_init(&lane->sm, "lane", lane->id, states, READY, invariant);
    if (partition == 0 && lanes->world.keep != NULL) {
        lanes->world.keep(lanes->world.context, topic);
    }
    return lane;
}

static void lane_free(struct lane *lane)
{
    struct lane **at = &lane->lanes->first;

    while (*at != lane) {
        at = &(*at)->next;
    }
    *at = lane->next;
    append_deinit(&lane->append);
    lane_forget_writer(lane);
    for (size_t i = 0; i < lane->mapping_count; i++) {
        history_unref(lane->mappings[i].history);
    }
    free(lane->mappings);
    history_unref(lane->history);
    history_unref(lane->load_history);
    free(lane->table);
    free(lane->topic);
    free(lane->id);
    free(lane);
}

static void on_closed(void *context)
{
    struct lane *lane = context;
    const struct err canceled = {ERR_CANCELED, "closed"};
    void (*closed)(void *context) = lane->closed;
    void *closed_context = lane->closed_context;

    lane->answer = LANE_SURPRISE;
    tell(lane, &canceled);
    lane_free(lane);
    closed(closed_context);
}

/* Neither append nor load owe anything. */
static void end_if_closed(struct lane *lane)
{
    if (lane->closed == NULL || state(lane) == CLOSED || lane->load != NULL || append_waits_for(&lane->append) != NULL) {
        return;
    }
    sm_move(&lane->sm, CLOSED, "closed");
    lane->closing = (struct later){.run = on_closed, .context = lane};
    world_later(world_of(lane), &lane->closing);
}

static void on_load_closed(void *context)
{
    struct lane *lane = context;

    lane->load = NULL;
    end_if_closed(lane);
}

void lane_close(struct lane *lane, void (*closed)(void *context), void *context)
{
    must(lane->closed == NULL);
    lane->closed = closed;
    lane->closed_context = context;
    if (lane->partition == 0 && world_of(lane)->leave != NULL) {
        world_of(lane)->leave(world_of(lane)->context, lane->topic);
    }
    if (lane->question != NULL) {
        lane->question->lane = NULL;
        lane->question = NULL;
    }
    rpc_cancel(lane->rpc);
    lane->rpc = NULL;
    append_cancel(&lane->append);
    if (lane->load != NULL) {
        load_close(lane->load, on_load_closed, lane);
    }
    end_if_closed(lane);
}

/* ---- all of them */

struct lanes *lanes_new(const struct lanes_options *options)
{
    const struct settings_bigquery *settings = &options->settings->bigquery;
    struct lanes *lanes = calloc(1, sizeof *lanes);

    must(lanes != NULL);
    lanes->world = *options->world;
    lanes->settings = options->settings;
    lanes->loads = options->loads;
    lanes->limits.answer_ms = (uint64_t)settings->answer_timeout_ms;
    lanes->calls = calls_new(&lanes->world,
                             &(struct calls_limits){.calls_max = (size_t)settings->calls_max, .idle_ms = (uint64_t)settings->call_idle_ms});
    return lanes;
}

static void on_calls_freed(void *context)
{
    struct lanes *lanes = context;
    void (*freed)(void *context) = lanes->freed;
    void *freed_context = lanes->freed_context;

    free(lanes);
    freed(freed_context);
}

void lanes_free(struct lanes *lanes, void (*freed)(void *context), void *context)
{
    must(lanes->first == NULL);
    lanes->freed = freed;
    lanes->freed_context = context;
    calls_free(lanes->calls, on_calls_freed, lanes);
}

static struct metric_family answers_family METRIC_FAMILY = {
    .name = "kakehi_bigquery_answers_total", .help = "What answers to AppendRows requests came to", .kind = METRIC_COUNTER, .labels = {"answer"}};
static struct metric_family bytes_family METRIC_FAMILY = {
    .name = "kakehi_bigquery_append_bytes_total", .help = "Bytes of AppendRows requests, tries included", .kind = METRIC_COUNTER};
static struct metric_family streams_family METRIC_FAMILY = {
    .name = "kakehi_bigquery_streams_made_total", .help = "Write streams made; the service allows 10,000 an hour", .kind = METRIC_COUNTER};

static void tell_metrics(const struct lanes *lanes)
{
    for (int verdict = 0; verdict <= APPEND_SURPRISE; verdict++) {
        const char *const label[] = {append_verdict_name((enum append_verdict)verdict)};

        metric_set(metric_cell(&answers_family, label), (double)lanes->counts.verdicts[verdict]);
    }
    metric_set(metric_cell(&bytes_family, NULL), (double)lanes->counts.bytes);
    metric_set(metric_cell(&streams_family, NULL), (double)lanes->streams_made);
}

void lanes_tick(struct lanes *lanes)
{
    tell_metrics(lanes);
    for (struct lane *lane = lanes->first; lane != NULL; lane = lane->next) {
        append_tick(&lane->append);
    }
    calls_tick(lanes->calls);
}

static json_t *verdicts(const struct append_counts *counts)
{
    json_t *object = json_object();

    for (int verdict = 0; verdict <= APPEND_SURPRISE; verdict++) {
        (void)json_object_set_new(object, append_verdict_name((enum append_verdict)verdict), json_integer((json_int_t)counts->verdicts[verdict]));
    }
    return object;
}

bool lane_waits_for(const struct lane *lane, char *text, size_t size)
{
    const char *append = append_waits_for(&lane->append);

    if (lane->load != NULL && (load_trouble(lane->load, text, size) || load_waits_for(lane->load, text, size))) {
        return true;
    }
    if (append != NULL) {
        (void)snprintf(text, size, "%s", append);
    } else if (state(lane) != READY && state(lane) != CLOSED) {
        (void)snprintf(text, size, "BigQuery (%s)", sm_name(&lane->sm));
    }
    return append != NULL || (state(lane) != READY && state(lane) != CLOSED);
}

/* {"kakehi.shop.orders/3": {"state": .., "method": .., "waits_for": .., "load": {..}}} */
static json_t *each(const struct lanes *lanes)
{
    json_t *object = json_object();
    char trouble[512];

    for (const struct lane *lane = lanes->first; lane != NULL; lane = lane->next) {
        const char *waits_for = append_waits_for(&lane->append);
        json_t *one = json_pack("{s:s, s:s}", "state", sm_name(&lane->sm), "method", method_name(lane->choice.method));

        if (waits_for != NULL) {
            (void)json_object_set_new(one, "waits_for", json_string(waits_for));
        }
        if (lane->request != NULL && lane->request->way == WAY_APPEND) {
            (void)json_object_set_new(one, "request_bytes", json_integer((json_int_t)append_plan_memory(&lane->request->plan)));
        }
        if (lane->load != NULL) {
            (void)json_object_set_new(one, "load", load_status(lane->load));
        }
        if (lane->load != NULL && load_trouble(lane->load, trouble, sizeof trouble)) {
            (void)json_object_set_new(one, "trouble", json_string(trouble));
        }
        (void)json_object_set_new(object, lane->id, one);
    }
    return object;
}

json_t *lanes_status(const struct lanes *lanes)
{
    const struct append_counts *counts = &lanes->counts;

    return json_pack("{s:o, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "lanes", each(lanes), "group_partitions",
                     (int)lanes->group_partitions, "recoveries", (json_int_t)lanes->recovered_count, "streams_made", (json_int_t)lanes->streams_made, "table_asked",
                     (json_int_t)lanes->table_asked_count, "requests_in", (json_int_t)counts->requests, "rows_in", (json_int_t)counts->rows,
                     "tries", (json_int_t)counts->tries, "bytes_sent", (json_int_t)counts->bytes, "answers", verdicts(counts), "calls",
                     calls_report(lanes->calls));
}
