/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   FETCH --located--> RECOVER --recovered--> RANGE --in range--> SEEK --reading--> PRIME --at the start--> RUN
 *     ^                   |                     |                   |      (nothing to prime: RUN at once)     |
 *     |                   +-------- failed -----+-------------------+------------- surprise ------------------+
 *     +----- REST <-------+
 *   any but CLOSING --a person must act--> STOPPED       --commit refused, it is another's--> LOST
 *   any --close--> DRAIN --request answered, last commit answered, or too late--> CLOSING --lane closed--> freed
 *
 * | state   | asked and not yet answered         | reads  |
 * | FETCH   | locate                             | no     |
 * | RECOVER | lane->recover                      | no     |
 * | RANGE   | range                              | no     |
 * | SEEK    | read_from                          | no     |
 * | PRIME   | -                                  | for the dedupe |
 * | RUN     | perhaps a flight, a commit, schemas| unless its batch is full, the budget tight, or a schema missing |
 * | REST    | perhaps a flight (it owes an answer) | no   |
 * | STOPPED, LOST | the same                     | no     |
 * | DRAIN   | perhaps a flight, a commit         | no     |
 * | CLOSING | lane->close, and what the lane owes| no     |
 *
 * I1  One commit of the partition is under way at a time (K5), and none is begun in LOST or CLOSING, nor in DRAIN of a lost
 *     partition (C2). `released` is said when none is under way, or when its answer no longer matters.
 * I2  Only this file asks for commits, and only of `_settled`: everything below is in the warehouse or in the dead letters.
 * I3  [batch start, batch end) of successive batches meet without a gap, whatever was dropped between.
 * I4  A message is in one place: the batch that fills, the batch in flight, or held for its schema; and counted in flight (P5).
 *
 * There is one recovery (REST, FETCH, RECOVER), and everything that is not understood takes it. A start that the log no longer
 * holds, or does not hold yet, is a STOP: rows may be lost, and only a person can say what is right (C6).
 *
 * Deliberately absent: more than one request under way. The lane's seam allows it; SQLite has one writer.
 */
#include "workers/partition.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/must.h"
#include "common/sm.h"
#include "workers/backoff.h"
#include "workers/envelope.h"
#include "workers/flight.h"

#define COMMIT_INTERVAL_MS 1000
#define REST_FIRST_MS      1000
#define REST_MAX_MS        60000
#define DRAIN_MAX_MS       5000
#define PRIME_MAX_MS       10000

enum { FETCH, RECOVER, RANGE, SEEK, PRIME, RUN, REST, STOPPED, LOST, DRAIN, CLOSING };

#define ENDS (SM_TO(REST) | SM_TO(STOPPED) | SM_TO(LOST) | SM_TO(DRAIN))

static const struct sm_state states[] = {
    [FETCH] = {"FETCH", SM_TO(RECOVER) | ENDS},
    [RECOVER] = {"RECOVER", SM_TO(RANGE) | ENDS},
    [RANGE] = {"RANGE", SM_TO(SEEK) | ENDS},
    [SEEK] = {"SEEK", SM_TO(PRIME) | SM_TO(RUN) | ENDS},
    [PRIME] = {"PRIME", SM_TO(RUN) | SM_TO(SEEK) | ENDS},
    [RUN] = {"RUN", ENDS},
    [REST] = {"REST", SM_TO(FETCH) | SM_TO(STOPPED) | SM_TO(LOST) | SM_TO(DRAIN)},
    [STOPPED] = {"STOPPED", SM_TO(DRAIN) | SM_TO(LOST)},
    [LOST] = {"LOST", SM_TO(DRAIN)},
    [DRAIN] = {"DRAIN", SM_TO(CLOSING)},
    [CLOSING] = {"CLOSING", 0},
};

/* A message whose schema is not known yet. */
struct held {
    struct message message;
    uint8_t bytes[]; /* key, value */
};

struct partition {
    struct sm sm;
    const struct partition_shared *shared;
    char *topic;
    char *id;
    int32_t number;
    uint64_t assignment;
    struct lane *lane;
    struct account *account;
    bool account_named; /* by a schema; until then by the topic */
    struct dedupe *dedupe;
    struct envelope_scratch scratch;

    int64_t start;      /* what the lane said; LANE_OFFSET_BEGINNING until resolved stays in lane_start */
    int64_t lane_start; /* start of the next batch (I3) */
    int64_t position;   /* the next message has this offset, or a higher one */
    int64_t settled;    /* I2; -1: not known */
    bool reading;       /* the calls were told not to hold */
    int64_t primed_bytes;
    uint64_t prime_end_ms;

    struct batch *filling; /* NULL: nothing */
    uint64_t batch_number;
    struct flight flight;
    struct held *held;
    struct batch *unsure; /* of the flight that ended in a surprise: recovery says whether it is in */
    bool leaving;         /* inside leave(): the caller steps */

    bool committing;           /* I1 */
    bool committing_for_flight;
    bool flight_wants_mark;
    bool no_commit;            /* closing, and nothing may be committed (any more) */
    int64_t committing_offset;
    int64_t committed;         /* newest acknowledged; PARTITION_NO_OFFSET */
    char *mark;                /* of the commit that was located */
    uint64_t commit_next_ms;   /* the next regular commit */
    uint64_t commit_pause_ms;  /* one was refused: none at all before */

    uint32_t rests; /* in a row */
    uint64_t rest_until_ms;
    uint64_t deadline_ms; /* of DRAIN and CLOSING */
    bool lost;
    bool released;
    struct err trouble;
};

static uint64_t now(const struct partition *partition)
{
    return partition->shared->calls->now_ms(partition->shared->context);
}

static int state(const struct partition *partition)
{
    return sm_at(&partition->sm);
}

static bool invariant(const struct sm *machine)
{
    const struct partition *partition = (const struct partition *)((const char *)machine - offsetof(struct partition, sm));
    int at = sm_at(machine);

    return (partition->filling == NULL && partition->held == NULL) || at == RUN;
}

/* ---- leaving a course: what was read and is not settled will be read again */

static void drop_batch(struct partition *partition, struct batch *batch)
{
    if (batch != NULL) {
        account_return(partition->account, batch_message_count(batch));
        batch_free(batch);
    }
}

static void drop_held(struct partition *partition)
{
    if (partition->held != NULL) {
        account_return(partition->account, 1);
        budget_give(partition->shared->budget, partition->held->message.key_size + partition->held->message.value_size);
        free(partition->held);
        partition->held = NULL;
    }
}

static void hold(struct partition *partition, enum partition_hold how)
{
    if (partition->reading || how == HOLD_LONG) {
        partition->reading = false;
        partition->shared->calls->hold(partition->shared->context, partition, how);
    }
}

/* Stops reading and drops what fills; the flight ends with its answer. */
static void leave(struct partition *partition)
{
    struct batch *batch = partition->filling;

    partition->leaving = true;
    hold(partition, HOLD_LONG);
    partition->filling = NULL;
    drop_batch(partition, batch);
    drop_held(partition);
    flight_give_up(&partition->flight);
    partition->leaving = false;
}

static void stop(struct partition *partition, const struct err *err)
{
    if (state(partition) == STOPPED || state(partition) >= LOST) {
        return;
    }
    partition->trouble = *err;
    partition->trouble.class = ERR_FATAL;
    leave(partition);
    sm_move(&partition->sm, STOPPED, err->text);
    log_error("stopped", "topic=%s partition=%d next=%lld reason=%q", partition->topic, partition->number, (long long)partition->settled,
              err->text);
}

static void rest(struct partition *partition, const struct err *err)
{
    uint64_t wait_ms;

    if (state(partition) >= REST) {
        return;
    }
    wait_ms = backoff_ms(++partition->rests, REST_FIRST_MS, REST_MAX_MS);
    partition->trouble = *err;
    leave(partition);
    partition->rest_until_ms = now(partition) + wait_ms;
    sm_move(&partition->sm, REST, err->text);
    log_warn("recover", "topic=%s partition=%d again_ms=%lld reason=%q", partition->topic, partition->number, (long long)wait_ms, err->text);
}

static void fail(struct partition *partition, const struct err *err)
{
    if (err->class == ERR_RETRY) {
        rest(partition, err);
    } else {
        stop(partition, err);
    }
}

/* ---- finding the place */

static void fetch(struct partition *partition)
{
    partition->shared->calls->locate(partition->shared->context, partition);
}

static void on_recovered(void *context, int64_t start, const struct err *err);

void partition_on_located(struct partition *partition, int64_t offset, const char *mark, const struct err *err)
{
    if (state(partition) != FETCH) {
        return;
    }
    if (err != NULL) {
        fail(partition, err);
        partition_step(partition);
        return;
    }
    partition->committed = offset;
    free(partition->mark);
    partition->mark = strdup(mark);
    must(partition->mark != NULL);
    sm_move(&partition->sm, RECOVER, "located");
    partition->shared->warehouse->calls->recover(partition->lane, offset, partition->mark, on_recovered, partition);
}

/* A flight ended in a surprise, and the warehouse has now said how far it is (R5). */
static void resolve_unsure(struct partition *partition, int64_t start)
{
    struct batch *batch = partition->unsure;
    size_t in;

    partition->unsure = NULL;
    if (batch == NULL) {
        return;
    }
    in = batch_rows_below(batch, start);
    if (start >= batch->end) {
        account_settle(partition->account, FATE_ALREADY_IN, batch->row_count - batch->dead_count);
        account_settle(partition->account, FATE_DEDUPLICATED, batch->duplicate_count);
        account_settle(partition->account, FATE_DEAD_LETTERED, batch->letter_count + batch->dead_count);
    } else {
        account_settle(partition->account, FATE_ALREADY_IN, in);
        account_return(partition->account, batch_message_count(batch) - in);
    }
    batch_free(batch);
}

static void on_recovered(void *context, int64_t start, const struct err *err)
{
    struct partition *partition = context;

    if (state(partition) != RECOVER) {
        return; /* closed meanwhile */
    }
    if (err != NULL) {
        fail(partition, err);
        partition_step(partition);
        return;
    }
    resolve_unsure(partition, start);
    partition->start = start;
    partition->lane_start = start;
    sm_move(&partition->sm, RANGE, "recovered");
    partition->shared->calls->range(partition->shared->context, partition);
}

static void seek(struct partition *partition, int64_t offset, const char *why)
{
    hold(partition, HOLD_LONG);
    partition->position = offset;
    sm_move(&partition->sm, SEEK, why);
    partition->shared->calls->read_from(partition->shared->context, partition, offset);
}

/* C6: never the one end or the other of the log by default. */
static int check_range(const struct partition *partition, int64_t low, int64_t high, struct err *err)
{
    if (partition->start >= low && partition->start <= high) {
        return 0;
    }
    if (partition->start < low) {
        return err_set(err, ERR_FATAL,
                       "the next message is %" PRId64 ", but the topic begins at %" PRId64 ": %" PRId64 " offsets were deleted before they were read "
                       "(retention?). Raise topics.retention, and replay the table into a new history",
                       partition->start, low, low - partition->start);
    }
    return err_set(err, ERR_FATAL,
                   "the next message is %" PRId64 ", but the topic ends at %" PRId64 ": it was made anew, or lost its end. Bring it back, or begin with a new history",
                   partition->start, high);
}

void partition_on_range(struct partition *partition, int64_t low, int64_t high, const struct err *err)
{
    struct err bad = {0};
    int64_t from;

    if (state(partition) != RANGE) {
        return;
    }
    if (err == NULL && partition->start == LANE_OFFSET_BEGINNING) {
        partition->start = low;
    }
    if (err != NULL || check_range(partition, low, high, &bad) != 0) {
        fail(partition, err != NULL ? err : &bad);
        partition_step(partition);
        return;
    }
    from = partition->start - partition->shared->dedupe_window;
    dedupe_reset(partition->dedupe);
    seek(partition, from > low ? from : low, "in range");
}

static void run(struct partition *partition)
{
    partition->position = partition->start > partition->position ? partition->start : partition->position;
    partition->settled = partition->start;
    partition->trouble.class = ERR_NONE;
    sm_move(&partition->sm, RUN, "at the start");
    log_info("assigned", "topic=%s partition=%d next=%lld", partition->topic, partition->number, (long long)partition->start);
}

void partition_on_reading(struct partition *partition, const struct err *err)
{
    if (state(partition) != SEEK) {
        return;
    }
    if (err != NULL) {
        fail(partition, err);
    } else {
        partition->reading = true;
        partition->primed_bytes = 0;
        partition->prime_end_ms = now(partition) + PRIME_MAX_MS;
        if (partition->position < partition->start) {
            sm_move(&partition->sm, PRIME, "reading back");
        } else {
            run(partition);
        }
    }
    partition_step(partition);
}

/* ---- messages */

static enum envelope_state open_message(struct partition *partition, const struct message *message, struct envelope *ret_row, struct err *err)
{
    const struct partition_shared *shared = partition->shared;

    return envelope_open(message, shared->calls->schema, shared->context, &partition->scratch, ret_row, err);
}

/* The batch that fills, covering everything from the one before on (I3). */
static struct batch *filling(struct partition *partition)
{
    if (partition->filling == NULL) {
        partition->filling = batch_new(++partition->batch_number, partition->lane_start, now(partition), partition->shared->budget);
    }
    return partition->filling;
}

static void bury(struct partition *partition, const struct message *message, const char *reason)
{
    struct batch *batch = filling(partition);

    batch_add_letter(batch, message->offset);
    partition->shared->calls->bury(partition->shared->context, partition, batch->number, message, reason);
}

static void name_account(struct partition *partition, const struct table *table)
{
    char name[1024];

    if (!partition->account_named && account_rows_in_flight(partition->account) == 0) {
        (void)snprintf(name, sizeof name, "%s.%s", table->database, table->name);
        partition->account = accounting_table(partition->shared->accounting, name);
        partition->account_named = true;
    }
}

static void keep(struct partition *partition, const struct message *message)
{
    struct held *held = malloc(sizeof *held + message->key_size + message->value_size);

    must(held != NULL && partition->held == NULL);
    held->message = *message;
    if (message->key != NULL) {
        held->message.key = memcpy(held->bytes, message->key, message->key_size);
    }
    held->message.value = memcpy(held->bytes + message->key_size, message->value, message->value_size);
    budget_take(partition->shared->budget, message->key_size + message->value_size);
    partition->held = held;
    hold(partition, HOLD_BRIEFLY);
    partition->shared->calls->read_schemas(partition->shared->context, partition);
}

/* One message of the run, counted as read already. wait: may it wait for its schema? */
static void take(struct partition *partition, const struct message *message, bool wait)
{
    struct envelope row;
    struct err err = {0};
    enum envelope_state opened = open_message(partition, message, &row, &err);

    if (opened == ENVELOPE_UNKNOWN_SCHEMA && wait) {
        keep(partition, message);
    } else if (opened != ENVELOPE_OPEN) {
        bury(partition, message, err.text);
    } else if (dedupe_seen(partition->dedupe, &row.meta, message->key, message->key_size, message->offset)) {
        batch_add_duplicate(filling(partition), message->offset);
    } else {
        batch_add_row(filling(partition), row.schema, message, row.frame_size, row.meta.ts_us);
    }
}

/* Before the start: only the dedupe learns from it, as far as it can be read at once. */
static void prime(struct partition *partition, const struct message *message)
{
    struct envelope row;
    struct err err = {0};

    partition->primed_bytes += (int64_t)(message->key_size + message->value_size);
    if (open_message(partition, message, &row, &err) == ENVELOPE_OPEN) {
        (void)dedupe_seen(partition->dedupe, &row.meta, message->key, message->key_size, message->offset);
    }
}

static void take_first_seen(struct partition *partition, const struct message *message)
{
    struct envelope row;
    struct err err = {0};

    if (!partition->account_named && open_message(partition, message, &row, &err) == ENVELOPE_OPEN) {
        name_account(partition, row.schema->table);
    }
    account_read(partition->account, 1);
    take(partition, message, true);
}

void partition_on_message(struct partition *partition, const struct message *message)
{
    struct err err = {0};

    if ((state(partition) != PRIME && state(partition) != RUN) || message->offset < partition->position) {
        return; /* of an earlier course: it comes again when it is due */
    }
    if (partition->held != NULL) {
        (void)err_set(&err, ERR_RETRY, "message %" PRId64 " came while %" PRId64 " waits for its schema", message->offset, partition->held->message.offset);
        rest(partition, &err);
    } else {
        if (state(partition) == PRIME && message->offset >= partition->start) {
            run(partition);
        }
        partition->position = message->offset + 1;
        if (state(partition) == RUN) {
            take_first_seen(partition, message);
        } else {
            prime(partition, message);
        }
    }
    partition_step(partition);
}

void partition_on_end(struct partition *partition, int64_t offset)
{
    if ((state(partition) != PRIME && state(partition) != RUN) || offset < partition->position || partition->held != NULL) {
        return;
    }
    if (state(partition) == PRIME && offset >= partition->start) {
        run(partition);
    }
    partition->position = offset;
    if (state(partition) == RUN && offset > (partition->filling != NULL ? partition->filling->end : partition->lane_start)) {
        batch_extend(filling(partition), offset); /* transaction markers: the warehouse's place moves past them too */
    }
    partition_step(partition);
}

void partition_on_schemas(struct partition *partition)
{
    struct held *held = partition->held;

    if (held == NULL) {
        return;
    }
    partition->held = NULL;
    budget_give(partition->shared->budget, held->message.key_size + held->message.value_size);
    take(partition, &held->message, false);
    free(held);
    partition_step(partition);
}

void partition_on_failed(struct partition *partition, const struct err *err)
{
    if (state(partition) == PRIME || state(partition) == RUN) {
        fail(partition, err);
        partition_step(partition);
    }
}

/* ---- flights */

static void commit_if_due(struct partition *partition);

static uint64_t flight_now_ms(void *context)
{
    return now(context);
}

static void flight_bury(void *context, struct batch *batch, size_t row, const char *reason)
{
    struct partition *partition = context;

    partition->shared->calls->bury(partition->shared->context, partition, batch->number, &batch->messages[row], reason);
}

static void flight_mark(void *context)
{
    struct partition *partition = context;

    partition->flight_wants_mark = true;
    commit_if_due(partition);
}

static void settle(struct partition *partition, const struct batch *batch)
{
    account_settle(partition->account, FATE_APPENDED, batch->row_count - batch->dead_count);
    account_settle(partition->account, FATE_DEDUPLICATED, batch->duplicate_count);
    account_settle(partition->account, FATE_DEAD_LETTERED, batch->letter_count + batch->dead_count);
    if (batch->newest_us != INT64_MIN) {
        account_freshness(partition->account, (partition->shared->calls->wall_us(partition->shared->context) - batch->newest_us) / 1000);
    }
}

static void on_landed(void *context, struct batch *batch)
{
    struct partition *partition = context;

    settle(partition, batch);
    partition->settled = batch->end;
    partition->rests = 0;
    partition->flight_wants_mark = false;
    batch_free(batch);
    partition_step(partition);
}

static void on_flight_failed(void *context, struct batch *batch, enum flight_failure failure, const struct err *err)
{
    struct partition *partition = context;

    partition->flight_wants_mark = false;
    if (failure == FLIGHT_SURPRISE) {
        partition->unsure = batch;
        rest(partition, err);
    } else {
        drop_batch(partition, batch);
    }
    if (failure == FLIGHT_STOP) {
        stop(partition, err);
    }
    if (!partition->leaving) {
        partition_step(partition);
    }
}

static const struct flight_calls flight_calls = {
    .now_ms = flight_now_ms, .bury = flight_bury, .mark = flight_mark, .landed = on_landed, .failed = on_flight_failed};

void partition_on_buried(struct partition *partition, uint64_t batch_number, const struct err *err)
{
    if (err != NULL) {
        stop(partition, err);
    } else if (partition->filling != NULL && partition->filling->number == batch_number) {
        must(partition->filling->letters_unacked > 0);
        partition->filling->letters_unacked--;
    } else {
        flight_on_buried(&partition->flight, batch_number);
    }
    partition_step(partition);
}

/* ---- commits: I1, I2 */

static bool commit_is_wanted(const struct partition *partition)
{
    bool place = state(partition) == RUN || (state(partition) == DRAIN && !partition->no_commit);

    return place && !partition->committing && (partition->flight_wants_mark || partition->settled != partition->committed);
}

/* A mark that is due before a send, and the last commit, don't wait for the interval. */
static uint64_t commit_due_ms(const struct partition *partition)
{
    bool urgent = partition->flight_wants_mark || state(partition) == DRAIN;

    return (urgent || partition->commit_pause_ms > partition->commit_next_ms) ? partition->commit_pause_ms : partition->commit_next_ms;
}

static void commit_if_due(struct partition *partition)
{
    const struct partition_shared *shared = partition->shared;

    if (commit_is_wanted(partition) && now(partition) >= commit_due_ms(partition)) {
        partition->committing = true;
        partition->committing_offset = partition->settled;
        partition->committing_for_flight = partition->flight_wants_mark;
        partition->flight_wants_mark = false;
        partition->commit_next_ms = now(partition) + COMMIT_INTERVAL_MS;
        shared->calls->commit(shared->context, partition, partition->settled, shared->warehouse->calls->mark(partition->lane));
    }
}

static void become_lost(struct partition *partition, const struct err *err)
{
    if (state(partition) < LOST) {
        leave(partition);
        sm_move(&partition->sm, LOST, err->text);
        log_warn("lost", "topic=%s partition=%d reason=%q", partition->topic, partition->number, err->text);
    }
}

void partition_on_committed(struct partition *partition, enum commit_answer answer, const struct err *err)
{
    bool for_flight = partition->committing_for_flight;

    must(partition->committing);
    partition->committing = false;
    partition->committing_for_flight = false;
    partition->no_commit = partition->no_commit || answer != COMMIT_IN; /* while draining there is one try */
    if (answer == COMMIT_IN) {
        partition->committed = partition->committing_offset;
        if (for_flight) {
            flight_on_marked(&partition->flight);
        }
    } else if (answer == COMMIT_LATER) {
        partition->commit_pause_ms = now(partition) + COMMIT_INTERVAL_MS;
        partition->flight_wants_mark = partition->flight_wants_mark || (for_flight && !flight_idle(&partition->flight));
    } else if (answer == COMMIT_LOST) {
        become_lost(partition, err);
    } else {
        stop(partition, err);
    }
    partition_step(partition);
}

/* ---- steps */

static void step_rest(struct partition *partition)
{
    if (flight_idle(&partition->flight) && now(partition) >= partition->rest_until_ms) {
        sm_move(&partition->sm, FETCH, "again after a pause");
        fetch(partition);
    }
}

static void step_prime(struct partition *partition)
{
    if (partition->primed_bytes > partition->shared->prime_bytes_max || now(partition) >= partition->prime_end_ms) {
        seek(partition, partition->start, "read back enough");
    }
}

static bool wants_messages(const struct partition *partition)
{
    const struct partition_shared *shared = partition->shared;
    bool full = partition->filling != NULL && batch_full(partition->filling, &shared->limits);

    return !full && partition->held == NULL && !budget_tight(shared->budget);
}

static void step_run(struct partition *partition)
{
    const struct partition_shared *shared = partition->shared;
    struct batch *batch = partition->filling;

    if (batch != NULL && flight_idle(&partition->flight) && batch_due(batch, &shared->limits, now(partition))) {
        partition->filling = NULL;
        partition->lane_start = batch->end;
        flight_begin(&partition->flight, batch);
    }
    if (state(partition) == RUN && wants_messages(partition) != partition->reading) {
        partition->reading = !partition->reading;
        shared->calls->hold(shared->context, partition, partition->reading ? HOLD_NOT : HOLD_BRIEFLY);
    }
    commit_if_due(partition);
}

static void release(struct partition *partition)
{
    if (!partition->released) {
        partition->released = true;
        partition->shared->calls->released(partition->shared->context, partition);
    }
}

static void on_lane_closed(void *context)
{
    struct partition *partition = context;

    release(partition);
    partition->shared->calls->closed(partition->shared->context, partition);
    drop_batch(partition, partition->unsure);
    flight_deinit(&partition->flight);
    dedupe_free(partition->dedupe);
    envelope_scratch_deinit(&partition->scratch);
    free(partition->mark);
    free(partition->topic);
    free(partition->id);
    free(partition);
}

static void step_drain(struct partition *partition)
{
    bool late = partition->lost || now(partition) >= partition->deadline_ms;

    if (!late && flight_idle(&partition->flight)) {
        commit_if_due(partition);
    }
    if (late || (flight_idle(&partition->flight) && !partition->committing)) {
        sm_move(&partition->sm, CLOSING, late ? "no longer waited for" : "nothing is under way");
        partition->shared->warehouse->calls->close(partition->lane, on_lane_closed, partition);
    }
}

void partition_step(struct partition *partition)
{
    flight_step(&partition->flight);
    switch (state(partition)) {
    case REST:
        step_rest(partition);
        break;
    case PRIME:
        step_prime(partition);
        break;
    case RUN:
        step_run(partition);
        break;
    case DRAIN:
        step_drain(partition);
        break;
    case CLOSING:
        if (now(partition) >= partition->deadline_ms) {
            release(partition);
        }
        break;
    default:
        break;
    }
}

static uint64_t earlier(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

uint64_t partition_wake_ms(const struct partition *partition)
{
    bool idle = flight_idle(&partition->flight);
    uint64_t wake_ms = partition->flight.again_ms > 0 ? partition->flight.again_ms : UINT64_MAX;

    switch (state(partition)) {
    case REST:
        return idle ? earlier(wake_ms, partition->rest_until_ms) : wake_ms;
    case PRIME:
        return earlier(wake_ms, partition->prime_end_ms);
    case RUN:
        wake_ms = commit_is_wanted(partition) ? earlier(wake_ms, commit_due_ms(partition)) : wake_ms;
        return partition->filling != NULL && idle ? earlier(wake_ms, partition->filling->began_ms + partition->shared->limits.age_ms) : wake_ms;
    case DRAIN:
    case CLOSING:
        return partition->released ? wake_ms : earlier(wake_ms, partition->deadline_ms);
    default:
        return wake_ms;
    }
}

/* ---- beginning and end */

struct partition *partition_new(const struct partition_shared *shared, const char *topic, int32_t number, uint64_t assignment, const char *table)
{
    struct partition *partition = calloc(1, sizeof *partition);

    must(partition != NULL);
    partition->shared = shared;
    partition->topic = strdup(topic);
    must(partition->topic != NULL && asprintf(&partition->id, "%s/%d", topic, number) > 0);
    partition->number = number;
    partition->assignment = assignment;
    partition->settled = -1;
    partition->committed = PARTITION_NO_OFFSET;
    partition->account = accounting_table(shared->accounting, table);
    partition->dedupe = dedupe_new(shared->dedupe_pool, shared->dedupe_window);
    partition->lane = shared->warehouse->calls->open(shared->warehouse, topic, number, assignment);
    flight_init(&partition->flight, partition->id, &flight_calls, partition, shared->warehouse->calls, partition->lane);
    sm_init(&partition->sm, "partition", partition->id, states, FETCH, invariant);
    fetch(partition);
    return partition;
}

void partition_close(struct partition *partition, bool lost)
{
    if (state(partition) >= DRAIN) {
        return;
    }
    partition->lost = lost || state(partition) == LOST;
    partition->no_commit = partition->lost || state(partition) != RUN;
    leave(partition);
    partition->deadline_ms = now(partition) + DRAIN_MAX_MS;
    sm_move(&partition->sm, DRAIN, lost ? "lost" : "revoked");
    partition_step(partition);
}

const char *partition_topic(const struct partition *partition)
{
    return partition->topic;
}

int32_t partition_number(const struct partition *partition)
{
    return partition->number;
}

uint64_t partition_assignment(const struct partition *partition)
{
    return partition->assignment;
}

const char *partition_id(const struct partition *partition)
{
    return partition->id;
}

const char *partition_state(const struct partition *partition)
{
    if (partition->held != NULL) {
        return "WAIT_SCHEMA";
    }
    return state(partition) == RUN && partition->flight.again_ms > 0 ? "PAUSED" : sm_name(&partition->sm);
}

int64_t partition_next(const struct partition *partition)
{
    return partition->settled;
}

bool partition_stopped(const struct partition *partition)
{
    return state(partition) == STOPPED;
}

const struct err *partition_trouble(const struct partition *partition)
{
    return partition->flight.trouble.class != ERR_NONE ? &partition->flight.trouble : &partition->trouble;
}

size_t partition_messages_held(const struct partition *partition)
{
    const struct batch *batches[] = {partition->filling, partition->unsure, flight_batch(&partition->flight)};
    size_t count = partition->held != NULL;

    for (size_t i = 0; i < 3; i++) {
        count += batches[i] != NULL ? batch_message_count(batches[i]) : 0;
    }
    return count;
}
