/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   FETCH --located--> RECOVER --recovered--> RANGE --in range--> SEEK --reading--> PRIME --at the start--> RUN
 *     ^                   |  \--> CONFIRM --^   |                   ^      (nothing to prime: RUN at once)     |
 *     |                   |                     |                   +---------- behind a cut -----------------+
 *     |                   +-------- failed -----+-------------------+------------- surprise ------------------+
 *     +----- REST <-------+
 *   any but CLOSING --a person must act--> STOPPED       --commit refused, it may be another's--> LOST --not taken away--> REST
 *   any --close--> DRAIN --request answered, last commit answered, or too late--> CLOSING --lane closed--> freed
 *
 * | state   | asked and not yet answered         | reads  |
 * | FETCH   | locate                             | no     |
 * | RECOVER | lane->recover                      | no     |
 * | CONFIRM | topic_commits                      | no     |
 * | RANGE   | range                              | no     |
 * | SEEK    | read_from                          | no     |
 * | PRIME   | -                                  | for the dedupe |
 * | RUN     | perhaps a flight, a commit, schemas| unless its batch is full, the budget tight, or a schema missing |
 * | REST    | perhaps a flight (it owes an answer) | no   |
 * | STOPPED, LOST | the same                     | no     |
 * | DRAIN   | perhaps a flight, a commit         | no     |
 * | CLOSING | lane->close, and what the lane owes| no     |
 *
 * The machine, its steps, beginning and end. What happens in the states stands beside, with the invariants it carries:
 *
 *   partition_place.c     FETCH to SEEK: where to begin (C6)
 *   partition_messages.c  what becomes of a message (I3, I4, P5)
 *   partition_file.c      what stands in a file under way (I5 to I7)
 *   partition_commits.c   commits (I1, I2, C2)
 *
 * There is one recovery (REST, FETCH, RECOVER), and everything that is not understood takes it. A start that the log no longer
 * holds, or does not hold yet, is a STOP: rows may be lost, and only a person can say what is right (C6).
 *
 * Deliberately absent: more than one batch under way. SQLite has one writer, and BigQuery's lane pipelines what a batch becomes.
 */
#include "workers/partition.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/must.h"
#include "common/backoff.h"
#include "workers/partition_parts.h"

#define REST_FIRST_MS 1000 /* where the warehouse says no other */
#define REST_MAX_MS   60000
#define DRAIN_MAX_MS  5000

#define ENDS (SM_TO(REST) | SM_TO(STOPPED) | SM_TO(LOST) | SM_TO(DRAIN))

static const struct sm_state states[] = {
    [FETCH] = {"FETCH", SM_TO(RECOVER) | ENDS},
    [RECOVER] = {"RECOVER", SM_TO(CONFIRM) | SM_TO(RANGE) | ENDS},
    [CONFIRM] = {"CONFIRM", SM_TO(RANGE) | ENDS},
    [RANGE] = {"RANGE", SM_TO(SEEK) | ENDS},
    [SEEK] = {"SEEK", SM_TO(PRIME) | SM_TO(RUN) | ENDS},
    [PRIME] = {"PRIME", SM_TO(RUN) | SM_TO(SEEK) | ENDS},
    [RUN] = {"RUN", SM_TO(SEEK) | ENDS},
    [REST] = {"REST", SM_TO(FETCH) | SM_TO(STOPPED) | SM_TO(LOST) | SM_TO(DRAIN)},
    [STOPPED] = {"STOPPED", SM_TO(DRAIN)},
    [LOST] = {"LOST", SM_TO(REST) | SM_TO(DRAIN)},
    [DRAIN] = {"DRAIN", SM_TO(CLOSING)},
    [CLOSING] = {"CLOSING", 0},
};

static bool invariant(const struct sm *machine)
{
    const struct partition *partition = (const struct partition *)((const char *)machine - offsetof(struct partition, sm));
    int at = sm_at(machine);

    return at == RUN || (partition->filling == NULL && (partition->held == NULL || at == PRIME));
}

/* ---- leaving a course: what was read and is not settled will be read again */

void partition_hold_back(struct partition *partition, enum partition_hold how)
{
    if (partition->reading || how == HOLD_LONG) {
        partition->reading = false;
        partition->shared->calls->hold(partition->shared->context, partition, how);
    }
}

void partition_leave(struct partition *partition)
{
    struct batch *batch = partition->filling;

    partition->leaving = true;
    partition_hold_back(partition, HOLD_LONG);
    partition->filling = NULL;
    partition_drop_batch(partition, batch);
    partition_drop_held(partition);
    flight_give_up(&partition->flight);
    if (flight_idle(&partition->flight) && partition->unsure == NULL) {
        partition_drop_file(partition); /* else the answer, or the recovery, says whether it is in */
    }
    partition->leaving = false;
}

void partition_stop(struct partition *partition, const struct err *err)
{
    if (state(partition) == STOPPED || state(partition) >= LOST) {
        return;
    }
    partition->trouble = *err;
    partition->trouble.class = ERR_FATAL;
    partition_leave(partition);
    sm_move(&partition->sm, STOPPED, err->text);
    log_error("stopped", "topic=%s partition=%d next=%lld reason=%q", partition->topic, partition->number, (long long)partition->settled,
              err->text);
}

void partition_rest(struct partition *partition, const struct err *err)
{
    uint64_t first_ms = partition->shared->warehouse->surprise_first_ms;
    uint64_t wait_ms;

    if (state(partition) >= REST) {
        return;
    }
    wait_ms = backoff_ms(++partition->rests, first_ms > 0 ? first_ms : REST_FIRST_MS, REST_MAX_MS);
    partition->trouble = *err;
    partition_leave(partition);
    partition->rest_until_ms = now(partition) + wait_ms;
    sm_move(&partition->sm, REST, err->text);
    log_warn("recover", "topic=%s partition=%d again_ms=%lld reason=%q", partition->topic, partition->number, (long long)wait_ms, err->text);
}

void partition_fail(struct partition *partition, const struct err *err)
{
    if (err->class == ERR_RETRY) {
        partition_rest(partition, err);
    } else {
        partition_stop(partition, err);
    }
}

void partition_on_failed(struct partition *partition, const struct err *err)
{
    if (state(partition) == PRIME || state(partition) == RUN) {
        partition_fail(partition, err);
        partition_step(partition);
    }
}

/* ---- steps */

static void step_rest(struct partition *partition)
{
    if (flight_idle(&partition->flight) && now(partition) >= partition->rest_until_ms) {
        sm_move(&partition->sm, FETCH, "again after a pause");
        partition_locate(partition);
    }
}

/* Not taken away: a rebalance left it where it was. See partition_commits.c. */
static void step_lost(struct partition *partition)
{
    if (now(partition) >= partition->rest_until_ms) {
        sm_move(&partition->sm, REST, "it was not taken away");
        step_rest(partition);
    }
}

static void step_prime(struct partition *partition)
{
    if (partition->primed_bytes > partition->shared->prime_bytes_max || now(partition) >= partition->prime_end_ms) {
        partition_drop_held(partition);
        partition_seek(partition, partition->start, "read back enough");
    } else if (!partition->reading && partition->held == NULL) {
        partition->reading = true;
        partition->shared->calls->hold(partition->shared->context, partition, HOLD_NOT);
    }
}

bool partition_wants_messages(const struct partition *partition)
{
    const struct partition_shared *shared = partition->shared;
    bool full = partition->filling != NULL && batch_full(partition->filling);

    return !full && partition->held == NULL && partition->position < partition->cut && !budget_tight(shared->budget);
}

/* The batch that fills, if it is time for it. */
static struct batch *due_batch(const struct partition *partition)
{
    struct batch *batch = partition->filling;
    int64_t high;

    if (batch == NULL || (batch->end < partition->cut && !batch_due(batch, now(partition)))) {
        return NULL;
    }
    high = partition->shared->calls->high(partition->shared->context, partition);
    batch->behind = high > batch->end ? high - batch->end : 0;
    batch->topic_partitions = partition->topic_partitions;
    return batch;
}

static void begin_flight(struct partition *partition)
{
    struct batch *batch = due_batch(partition);

    if (partition_seal_is_due(partition, batch)) {
        partition_seal(partition);
    } else if (batch != NULL) {
        partition->filling = NULL;
        partition->lane_start = batch->end;
        partition->flight_began_ms = now(partition);
        flight_begin(&partition->flight, batch);
    }
}

static void step_run(struct partition *partition)
{
    const struct partition_shared *shared = partition->shared;

    if (flight_idle(&partition->flight)) {
        begin_flight(partition);
    }
    if (state(partition) == RUN && partition_wants_messages(partition) != partition->reading) {
        partition->reading = !partition->reading;
        shared->calls->hold(shared->context, partition, partition->reading ? HOLD_NOT : HOLD_BRIEFLY);
    }
    partition_commit_if_due(partition);
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
    partition_drop_batch(partition, partition->unsure);
    partition_drop_file(partition);
    account_leave(partition->account);
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
        partition_commit_if_due(partition);
    }
    if (late || (flight_idle(&partition->flight) && !partition->committing)) {
        sm_move(&partition->sm, CLOSING, late ? "no longer waited for" : "nothing is under way");
        partition->shared->warehouse->calls->close(partition->lane, on_lane_closed, partition);
    }
}

static void tell_read(struct partition *partition)
{
    if (partition->run_rows > 0) {
        account_read(partition->account, partition->run_rows, partition->run_bytes);
        partition->run_rows = partition->run_bytes = 0;
    }
}

void partition_step(struct partition *partition)
{
    tell_read(partition);
    flight_step(&partition->flight);
    switch (state(partition)) {
    case REST:
        step_rest(partition);
        break;
    case LOST:
        step_lost(partition);
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
    case LOST:
        return earlier(wake_ms, partition->rest_until_ms);
    case PRIME:
        return earlier(wake_ms, partition->prime_end_ms);
    case RUN:
        wake_ms = partition_commit_is_wanted(partition) ? earlier(wake_ms, partition_commit_due_ms(partition)) : wake_ms;
        wake_ms = idle ? earlier(wake_ms, partition_seal_due_ms(partition)) : wake_ms;
        return partition->filling != NULL && idle ? earlier(wake_ms, partition->filling->began_ms + partition->filling->limits.age_ms) : wake_ms;
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
    partition->topic = must_strdup(topic);
    must(asprintf(&partition->id, "%s/%d", topic, number) > 0);
    partition->number = number;
    partition->assignment = assignment;
    partition->settled = -1;
    partition->committed = PARTITION_NO_OFFSET;
    partition->cut = LANE_NO_CUT;
    partition->account = accounting_open(shared->accounting, table, number);
    partition->dedupe = dedupe_new(shared->dedupe_pool, shared->dedupe_window);
    partition->lane = shared->warehouse->calls->open(shared->warehouse, topic, number, assignment);
    flight_init(&partition->flight, partition->id, &partition_flight_calls, partition, shared->warehouse->calls, partition->lane);
    sm_init(&partition->sm, "partition", partition->id, states, FETCH, invariant);
    partition_locate(partition);
    return partition;
}

void partition_close(struct partition *partition, bool lost)
{
    if (state(partition) >= DRAIN) {
        return;
    }
    partition->lost = lost || state(partition) == LOST;
    partition->no_commit = partition->lost || state(partition) != RUN;
    partition_leave(partition);
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

int64_t partition_taken(const struct partition *partition)
{
    return partition->file_under_way && partition->rests == 0 ? partition->file.end : partition->settled;
}

void partition_tell_lag(struct partition *partition, int64_t messages)
{
    if (state(partition) < DRAIN) { /* from there on it may be another worker's */
        account_lag(partition->account, messages);
    }
}

bool partition_is_sending(const struct partition *partition)
{
    return !flight_idle(&partition->flight);
}

const struct frame *partition_waits_for_schema(const struct partition *partition)
{
    return partition->held != NULL ? &partition->held->frame : NULL;
}

bool partition_waits_for(const struct partition *partition, char *text, size_t size)
{
    bool (*asked)(const struct lane *lane, char *text, size_t size) = partition->shared->warehouse->calls->waits_for;

    return asked != NULL && asked(partition->lane, text, size);
}

bool partition_stopped(const struct partition *partition)
{
    return state(partition) == STOPPED;
}

const struct err *partition_trouble(const struct partition *partition)
{
    return partition->flight.trouble.class != ERR_NONE ? &partition->flight.trouble : &partition->trouble;
}
