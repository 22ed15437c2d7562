/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   IDLE --send--> OPENING --opened--> SENDING --every request is in--------------------+
 *    ^                |                  |  \--one is not, and no answer is owed----------+--> ANSWER --later--> IDLE
 *    |                +--call ended------+-----call ended, no answer in time, cancelled--+
 *
 * | state   | under way                                        | waits for                 |
 * | IDLE    | nothing; a call may stay open                    | the next plan             |
 * | OPENING | a call in line, or without a token               | `opened`, its end         |
 * | SENDING | 1 to APPEND_UNDER_WAY_MAX requests               | answers, in order         |
 * | ANSWER  | nothing                                          | the next turn of the loop |
 *
 * N1  Requests are sent in the order of their rows, and none behind one that was not accepted.
 * N2  The rows of a request are the bytes that were made when it was planned; only the head is made anew (C3).
 * N3  Answers come in the order of requests: an answer is that of the oldest request that is owed one.
 * N4  A request of which a copy may be in, or still arrive, is `unsure`, for as long as the plan lives. Rows are taken out of a plan
 *     only while no request of it that is not in is unsure (C5): behind the shorter one, the old copy of a later request would
 *     stand at another row, and might fit there.
 * N5  The call borrows the bytes of what it has not sent: a request that is answered before it was all read ends the call, and so
 *     does a try that ends with something unsent.
 *
 * A failed try does not repeat itself: the flight sends the same plan again after its pause, and shows meanwhile why. So there is one
 * back-off, and a partition that is revoked in a pause need not wait for anything.
 */
#include "workers/bigquery/append.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/log.h"
#include "common/must.h"
#include "workers/bigquery/storage_messages.h"

#define SURPRISE_MS UINT64_C(3600000) /* F3 */
#define MISMATCH_MS UINT64_C(900000)
/* What a person must act on may be of this stream alone: then another one helps. Where it did not help, the next one waits longer:
 * streams are made at the expense of 10,000 an hour. */
#define REFUSED_MS     UINT64_C(60000)
#define REFUSED_MAX_MS UINT64_C(3600000)

enum { IDLE, OPENING, SENDING, ANSWER };

static const struct sm_state states[] = {
    [IDLE] = {"IDLE", SM_TO(OPENING) | SM_TO(SENDING) | SM_TO(ANSWER)},
    [OPENING] = {"OPENING", SM_TO(SENDING) | SM_TO(ANSWER)},
    [SENDING] = {"SENDING", SM_TO(OPENING) | SM_TO(ANSWER)},
    [ANSWER] = {"ANSWER", SM_TO(IDLE)},
};

static bool invariant(const struct sm *machine)
{
    const struct append *append = (const struct append *)((const char *)machine - offsetof(struct append, sm));

    return (sm_at(machine) == IDLE) == (append->_plan == NULL);
}

static int state(const struct append *append)
{
    return sm_at(&append->sm);
}

static uint64_t now_ms(const struct append *append)
{
    return world_now_ms(append->_world);
}

/* ---- parts of the plan */

static size_t owed_count(const struct append *append)
{
    size_t count = 0;

    for (size_t i = 0; i < append->_plan->part_count; i++) {
        count += append->_plan->parts[i].sent;
    }
    return count;
}

static struct append_part *oldest_owed(struct append *append)
{
    for (size_t i = 0; i < append->_plan->part_count; i++) {
        if (append->_plan->parts[i].sent) {
            return &append->_plan->parts[i];
        }
    }
    return NULL;
}

static struct append_part *next_to_send(struct append *append)
{
    for (size_t i = 0; i < append->_plan->part_count; i++) {
        struct append_part *part = &append->_plan->parts[i];

        if (!part->in && !part->sent && part->rows.row_count > 0) {
            return part;
        }
    }
    return NULL;
}

/* Where the request begins in the stream. */
static int64_t row_of(const struct append *append, const struct append_part *part)
{
    int64_t row = append->_row;

    for (const struct append_part *before = append->_plan->parts; before != part; before++) {
        row += (int64_t)before->rows.row_count;
    }
    return row;
}

static bool any_unsure(const struct append_plan *plan)
{
    for (size_t i = 0; i < plan->part_count; i++) {
        if (plan->parts[i].unsure && !plan->parts[i].in) {
            return true;
        }
    }
    return false;
}

/* ---- the end of a try */

/* N5 */
static void drop_call(struct append *append)
{
    if (append->_call != NULL) {
        bool in_peace = append->_unsent_count == 0 && (append->_plan == NULL || owed_count(append) == 0);

        call_release(append->_call, in_peace);
    }
    append->_call = NULL;
    append->_opened = false;
    append->_unsent_count = 0;
    append_writer_unref(append->_call_writer);
    append->_call_writer = NULL;
}

static enum lane_answer answer_of(const struct append *append)
{
    switch (append->_failure) {
    case APPEND_IN:
        return LANE_IN;
    case APPEND_BAD_ROWS:
        return LANE_BAD_ROWS;
    case APPEND_SURPRISE:
        return LANE_SURPRISE;
    default:
        return LANE_PAUSE;
    }
}

static void say(void *context)
{
    struct append *append = context;
    enum lane_answer answer = answer_of(append);
    size_t *bad_rows = append->_bad_rows;
    size_t bad_row_count = append->_bad_row_count;
    struct err err = append->_err;

    append->_plan = NULL;
    append->_bad_rows = NULL;
    append->_bad_row_count = 0;
    if (append->_call != NULL) {
        call_use(append->_call, false);
    }
    if (answer == LANE_IN || answer == LANE_SURPRISE) {
        append->_mismatch_ms = 0;
        append->_refused_ms = 0;
    }
    append->_refusals = answer == LANE_IN ? 0 : append->_refusals;
    sm_move(&append->sm, IDLE, append_verdict_name(append->_failure));
    append->_answer(append->_context, answer, bad_rows, bad_row_count, answer == LANE_IN ? NULL : &err);
    free(bad_rows);
}

static void finish(struct append *append, const char *why)
{
    bool in_order = append->_failure == APPEND_IN || append->_failure == APPEND_BAD_ROWS || append->_failure == APPEND_PAUSE;

    if (append->_failure == APPEND_NEW_TOKEN && append->_call != NULL) {
        call_refuse_token(append->_call);
    }
    if (!in_order || append->_unsent_count > 0) {
        drop_call(append);
    }
    sm_move(&append->sm, ANSWER, why);
    append->_later = (struct later){.run = say, .context = append};
    world_later(append->_world, &append->_later);
}

/* How long it has been so; true: too long. */
static bool lasts(struct append *append, uint64_t *since_ms, uint64_t limit_ms)
{
    *since_ms = *since_ms > 0 ? *since_ms : now_ms(append);
    return now_ms(append) - *since_ms >= limit_ms;
}

/* The first failure decides; what has lasted too long becomes a surprise, since a new stream may help and nothing is lost by it. */
static void conclude(struct append *append)
{
    const struct append_limits *limits = append->_limits;

    if (append->_failure == APPEND_BAD_ROWS && any_unsure(append->_plan)) { /* N4 */
        (void)err_while(&append->_err, "rows were refused while copies of other requests may still arrive");
        append->_failure = APPEND_SURPRISE;
    } else if (append->_failure == APPEND_NEW_CALL &&
               lasts(append, &append->_mismatch_ms, limits->mismatch_ms > 0 ? limits->mismatch_ms : MISMATCH_MS)) {
        append->_failure = APPEND_SURPRISE;
    } else if (append->_failure == APPEND_PAUSE &&
               lasts(append, &append->_refused_ms, backoff_ms(append->_refusals + 1, REFUSED_MS, REFUSED_MAX_MS))) {
        append->_refusals++;
        append->_failure = APPEND_SURPRISE;
    }
    finish(append, "no answer is owed");
}

static void fail(struct append *append, enum append_verdict verdict, const struct err *err)
{
    if (append->_failure == APPEND_IN) { /* N1: what follows is its consequence */
        append->_failure = verdict;
        append->_err = *err;
    }
}

/* ---- sending */

static void on_opened(void *context);
static void on_sent(void *context);
static void on_message(void *context, const uint8_t *bytes, size_t size);
static void on_end(void *context, const struct rpc_error *error);

static const struct call_events events = {.opened = on_opened, .sent = on_sent, .message = on_message, .end = on_end};

static void send_part(struct append *append, struct append_part *part)
{
    const struct append_head head = {.write_stream = append->_stream,
                                     .offset = row_of(append, part),
                                     .writer_schema = append->_schema_sent ? NULL : &append->_plan->writer->descriptor};
    size_t size;
    const uint8_t *bytes = append_rows_request(&part->rows, &head, &size); /* N2 */

    append->_schema_sent = true;
    part->sent = true;
    append->_unsent_count++;
    append->_progress_ms = now_ms(append);
    append->_counts->tries++;
    append->_counts->bytes += size;
    call_send(append->_call, bytes, size);
}

static bool call_fits(const struct append *append)
{
    return append->_call != NULL && append->_call_writer->generation == append->_plan->writer->generation && !call_is_worn(append->_call);
}

static void open_call(struct append *append)
{
    drop_call(append);
    append->_call_writer = append_writer_ref(append->_plan->writer);
    append->_schema_sent = false;
    append->_progress_ms = now_ms(append);
    sm_move(&append->sm, OPENING, "no call that fits");
    append->_call = call_open(append->_calls, append->_stream, &events, append);
}

/* Sends what may be sent; ends the try when nothing is owed and nothing is left, or nothing may be sent. */
static void push(struct append *append)
{
    struct append_part *part;

    while ((part = next_to_send(append)) != NULL && append->_failure == APPEND_IN && owed_count(append) < APPEND_UNDER_WAY_MAX) {
        if (!call_fits(append)) {
            if (owed_count(append) == 0) {
                open_call(append);
            }
            return; /* `opened`, or the last answer that is owed, comes back here */
        }
        if (!append->_opened) {
            return;
        }
        if (state(append) != SENDING) {
            sm_move(&append->sm, SENDING, "a call that fits");
        }
        send_part(append, part);
    }
    if (owed_count(append) == 0) {
        conclude(append);
    }
}

static void on_opened(void *context)
{
    struct append *append = context;

    append->_opened = true;
    if (state(append) == OPENING) {
        append->_progress_ms = now_ms(append);
        push(append);
    }
}

static void on_sent(void *context)
{
    struct append *append = context;

    must(append->_unsent_count > 0);
    append->_unsent_count--;
    append->_progress_ms = now_ms(append);
}

/* ---- answers */

static void take_in(struct append *append, struct append_part *part)
{
    part->in = true;
    append->_counts->requests++;
    append->_counts->rows += part->rows.row_count;
}

/* Twice the same row is one. */
static int by_number(const void *one, const void *other)
{
    size_t a = *(const size_t *)one;
    size_t b = *(const size_t *)other;

    return a < b ? -1 : a > b;
}

static void drop_doubles(struct append *append)
{
    size_t kept = 0;

    qsort(append->_bad_rows, append->_bad_row_count, sizeof *append->_bad_rows, by_number);
    for (size_t i = 0; i < append->_bad_row_count; i++) {
        if (kept == 0 || append->_bad_rows[kept - 1] != append->_bad_rows[i]) {
            append->_bad_rows[kept++] = append->_bad_rows[i];
        }
    }
    append->_bad_row_count = kept;
}

/* Rows by their place in the batch. False: the service names rows that the request does not have. */
static bool take_bad_rows(struct append *append, const struct append_part *part, const struct storage_append_answer *answer)
{
    struct err ignored = {0};

    append->_bad_rows = calloc(answer->row_error_count + 1, sizeof *append->_bad_rows);
    must(append->_bad_rows != NULL);
    append->_bad_row_count = 0;
    for (size_t i = 0; i < answer->row_error_count; i++) {
        size_t index;

        if (append_rows_index(&part->rows, answer->row_errors[i].place, &index, &ignored) != 0) {
            free(append->_bad_rows);
            append->_bad_rows = NULL;
            append->_bad_row_count = 0;
            return false;
        }
        append->_bad_rows[append->_bad_row_count++] = part->first_row + index;
    }
    drop_doubles(append);
    return true;
}

/* One line, printable. */
static void say_row_error(struct err *err, const struct storage_append_answer *answer)
{
    char text[256];
    size_t size = answer->row_errors[0].message.size < sizeof text - 1 ? answer->row_errors[0].message.size : sizeof text - 1;

    for (size_t i = 0; i < size; i++) {
        char byte = answer->row_errors[0].message.bytes[i];

        text[i] = (char)(byte >= ' ' && byte <= '~' ? byte : '?');
    }
    text[size] = '\0';
    (void)err_set(err, ERR_POISON, "BigQuery refuses the row: %s", text);
}

static void read_answer(struct append *append, struct append_part *part, const struct storage_append_answer *answer)
{
    bool named = answer->row_error_count > 0;
    struct append_facts facts = {.code = answer->accepted ? GRPC_OK : answer->status.code,
                                 .error_code = answer->status.error_code,
                                 .row_errors = named,
                                 .other_row = answer->accepted && answer->offset >= 0 && answer->offset != row_of(append, part),
                                 .unsure = part->unsure,
                                 .behind = append->_failure != APPEND_IN};
    const struct append_rule *rule;
    char text[STORAGE_STATUS_TEXT_MAX];
    struct err err = {0};

    if (!answer->accepted && !named && answer->status.code == GRPC_OK) {
        facts.code = GRPC_DATA_LOSS; /* it says nothing of the rows: no rule speaks of that */
    }
    rule = append_judge(&facts);
    append->_counts->verdicts[rule->verdict]++;
    storage_status_text(&answer->status, text);
    (void)err_set(&err, ERR_RETRY, "append: %s: %s", rule->why, text);
    if (rule->verdict == APPEND_IN) {
        take_in(append, part);
    } else if (rule->verdict == APPEND_BAD_ROWS && append->_failure == APPEND_IN) {
        if (take_bad_rows(append, part, answer)) {
            say_row_error(&err, answer);
            fail(append, APPEND_BAD_ROWS, &err);
        } else {
            fail(append, APPEND_SURPRISE, &err);
        }
    } else {
        part->unsure = part->unsure || rule->verdict == APPEND_AGAIN; /* N4: what such a code hides is not known */
        fail(append, rule->verdict, &err);
    }
}

static void on_message(void *context, const uint8_t *bytes, size_t size)
{
    struct append *append = context;
    struct append_part *part = state(append) == SENDING ? oldest_owed(append) : NULL;
    struct storage_append_answer answer;
    struct err err = {0};

    if (part == NULL) {
        return; /* of nothing that we sent */
    }
    append->_progress_ms = now_ms(append);
    part->sent = false; /* N3 */
    if (storage_append_decode(bytes, size, &answer, &err) == 0) {
        read_answer(append, part, &answer);
        storage_append_answer_deinit(&answer);
    } else {
        part->unsure = true;
        fail(append, APPEND_SURPRISE, &err);
    }
    push(append);
}

/* Requests that were sent and will have no answer on this call. */
static void lose_answers(struct append *append, bool unclear)
{
    struct append_part *part;

    while ((part = oldest_owed(append)) != NULL) {
        part->sent = false;
        part->unsure = part->unsure || unclear;
    }
}

/* The call is over: what its status says is said of the oldest request. */
static void on_end(void *context, const struct rpc_error *error)
{
    struct append *append = context;
    const struct append_part *part = NULL;
    struct append_facts facts = {.code = error->code == GRPC_OK ? GRPC_ABORTED : error->code, .error_code = error->error_code};
    const struct append_rule *rule;
    struct err err = {0};

    append->_call = NULL;
    drop_call(append);
    if (state(append) != OPENING && state(append) != SENDING) {
        return; /* it idled: the next plan opens another */
    }
    part = oldest_owed(append);
    facts.unsure = part != NULL && part->unsure;
    rule = append_judge(&facts);
    append->_counts->verdicts[rule->verdict]++;
    (void)err_set(&err, ERR_RETRY, "append: %s: %s", rule->why, error->text);
    lose_answers(append, error->unclear);
    fail(append, rule->verdict == APPEND_IN ? APPEND_AGAIN : rule->verdict, &err);
    conclude(append);
}

/* ---- F3 */

static uint64_t surprise_ms(const struct append *append)
{
    return append->_limits->surprise_ms > 0 ? append->_limits->surprise_ms : SURPRISE_MS;
}

static bool is_too_old(const struct append *append)
{
    return now_ms(append) - append->_planned_ms >= surprise_ms(append);
}

static void say_too_old(const struct append *append, struct err *err)
{
    (void)err_set(err, ERR_RETRY, "append: not in after %" PRIu64 " s: the rows carry the day they were encoded", surprise_ms(append) / 1000);
}

/* ---- the owner's side */

void append_init(struct append *append, const char *id, struct calls *calls, const struct lane_world *world,
                 const struct append_limits *limits, struct append_counts *counts)
{
    *append = (struct append){._calls = calls, ._world = world, ._limits = limits, ._counts = counts};
    sm_init(&append->sm, "append", id, states, IDLE, invariant);
}

void append_deinit(struct append *append)
{
    must(state(append) == IDLE);
    drop_call(append);
    free(append->_stream);
    append->_stream = NULL;
}

void append_to(struct append *append, const char *stream)
{
    must(state(append) == IDLE);
    drop_call(append);
    free(append->_stream);
    append->_stream = must_strdup(stream);
}

const char *append_stream(const struct append *append)
{
    return append->_stream;
}

void append_send(struct append *append, const struct append_try *try, lane_sent answer, void *context)
{
    must(state(append) == IDLE && append->_stream != NULL);
    append->_plan = try->plan;
    append->_row = try->row;
    append->_planned_ms = try->planned_ms;
    append->_answer = answer;
    append->_context = context;
    append->_failure = APPEND_IN;
    if (append->_call != NULL) {
        call_use(append->_call, true);
    }
    if (is_too_old(append)) {
        say_too_old(append, &append->_err);
        append->_failure = APPEND_SURPRISE;
        finish(append, "too old");
    } else {
        push(append);
    }
}

static void end_try(struct append *append, enum append_verdict verdict, const struct err *err)
{
    drop_call(append);
    lose_answers(append, true);
    fail(append, verdict, err);
    conclude(append);
}

void append_cancel(struct append *append)
{
    struct err err = {0};

    if (state(append) == OPENING || state(append) == SENDING) {
        (void)err_set(&err, ERR_CANCELED, "closed");
        append->_failure = APPEND_IN;
        end_try(append, APPEND_SURPRISE, &err);
    }
}

const char *append_waits_for(const struct append *append)
{
    if (state(append) == OPENING) {
        const char *what = call_waits_for(append->_call);

        return what != NULL ? what : "a connection";
    }
    return state(append) == SENDING ? "answers" : state(append) == ANSWER ? "its turn" : NULL;
}

void append_tick(struct append *append)
{
    struct err err = {0};

    if (state(append) != OPENING && state(append) != SENDING) {
        return;
    }
    if (is_too_old(append)) {
        say_too_old(append, &err);
        end_try(append, APPEND_SURPRISE, &err);
    } else if (now_ms(append) - append->_progress_ms >= append->_limits->answer_ms) {
        (void)err_set(&err, ERR_RETRY, "append: waiting for %s: nothing for %" PRIu64 " s", append_waits_for(append),
                      append->_limits->answer_ms / 1000);
        end_try(append, APPEND_AGAIN, &err);
    }
}
