/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a message: opened, deduplicated, put into the batch that fills; or held for its schema; or buried. Then what becomes
 * of its batch: landed, given back, or unsure until the next recovery has asked the warehouse.
 *
 * I3  [batch start, batch end) of successive batches meet without a gap, whatever was dropped between.
 * I4  A message is in one place: the batch that fills, the batch in flight, the unsure one, or held for its schema; and counted in
 *     flight (P5). It leaves by one fate, or is given back and read again.
 *
 * A batch whose request met a surprise is neither in nor out: it is kept aside until recovery says how far the warehouse is, and no
 * other flight can begin before. So every figure of P5 is what happened, not what was likely.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "workers/partition_parts.h"

/* ---- into a batch, or held for its schema */

static enum envelope_state open_message(struct partition *partition, const struct message *message, struct envelope *ret_row, struct err *err)
{
    const struct partition_shared *shared = partition->shared;

    return envelope_open(message, shared->calls->schema, shared->context, &partition->scratch, ret_row, err);
}

struct batch_limits partition_limits(const struct partition *partition)
{
    struct batch_limits limits = partition->shared->limits;
    void (*limit)(struct lane *lane, struct batch_limits *limits) = partition->shared->warehouse->calls->limit;

    if (limit != NULL) {
        limit(partition->lane, &limits);
    }
    return limits;
}

struct batch *partition_filling(struct partition *partition)
{
    const struct partition_shared *shared = partition->shared;

    if (partition->filling == NULL) {
        const struct batch_limits limits = partition_limits(partition);

        partition->filling = batch_new(++partition->batch_number, partition->lane_start, now(partition), &limits, shared->budget);
    }
    return partition->filling;
}

static void bury(struct partition *partition, const struct message *message, const char *reason)
{
    struct batch *batch = partition_filling(partition);

    batch_add_letter(batch, message->offset);
    partition->shared->calls->bury(partition->shared->context, partition, batch->number, message, reason);
}

static void name_account(struct partition *partition, const struct table *table)
{
    char name[1024];

    if (!partition->account_named && account_rows_in_flight(partition->account) == 0) {
        (void)snprintf(name, sizeof name, "%s.%s", table->database, table->name);
        account_leave(partition->account);
        partition->account = accounting_open(partition->shared->accounting, name, partition->number);
        partition->account_named = true;
    }
}

static void keep(struct partition *partition, const struct message *message, const struct frame *frame)
{
    struct held *held = malloc(sizeof *held + message->key_size + message->value_size);

    must(held != NULL && partition->held == NULL);
    held->primes = state(partition) == PRIME;
    held->frame = *frame;
    held->message = *message;
    if (message->key != NULL) {
        held->message.key = memcpy(held->bytes, message->key, message->key_size);
    }
    held->message.value = memcpy(held->bytes + message->key_size, message->value, message->value_size);
    budget_take(partition->shared->budget, message->key_size + message->value_size);
    partition->held = held;
    partition_hold_back(partition, HOLD_BRIEFLY);
    partition->shared->calls->read_schemas(partition->shared->context, partition, frame);
}

/* One message of the run, counted as read already. wait: may it wait for its schema? */
static void take(struct partition *partition, const struct message *message, bool wait)
{
    struct envelope row;
    struct err err = {0};
    enum envelope_state opened = open_message(partition, message, &row, &err);

    if (opened == ENVELOPE_UNKNOWN_SCHEMA && wait) {
        keep(partition, message, &row.frame);
    } else if (opened != ENVELOPE_OPEN) {
        bury(partition, message, err.text);
    } else if (dedupe_seen(partition->dedupe, &row.meta, message->key, message->key_size, message->offset)) {
        batch_add_duplicate(partition_filling(partition), message->offset);
    } else {
        batch_add_row(partition_filling(partition), row.schema, message, row.frame_size, row.meta.ts_us);
    }
}

/* Before the start: only the dedupe learns from it. wait: may it wait for its schema? Reading back as a whole has its time (PRIME). */
static void prime(struct partition *partition, const struct message *message, bool wait)
{
    struct envelope row;
    struct err err = {0};
    enum envelope_state opened = open_message(partition, message, &row, &err);

    if (opened == ENVELOPE_UNKNOWN_SCHEMA && wait) {
        keep(partition, message, &row.frame);
    } else if (opened == ENVELOPE_OPEN) {
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
    partition->run_rows++;
    partition->run_bytes += message->key_size + message->value_size;
    take(partition, message, true);
}

static void read_message(struct partition *partition, const struct message *message)
{
    if (partition_at_cut(partition, message->offset)) {
        partition_reach_cut(partition);
        return;
    }
    partition->position = message->offset + 1;
    if (state(partition) == RUN) {
        take_first_seen(partition, message);
    } else {
        partition->primed_bytes += (int64_t)(message->key_size + message->value_size);
        prime(partition, message, true);
    }
}

void partition_on_message(struct partition *partition, const struct message *message, bool more)
{
    struct err err = {0};

    if ((state(partition) != PRIME && state(partition) != RUN) || message->offset < partition->position) {
        return; /* of an earlier course: it comes again when it is due */
    }
    if (partition->held != NULL) {
        (void)err_set(&err, ERR_RETRY, "message %" PRId64 " came while %" PRId64 " waits for its schema", message->offset, partition->held->message.offset);
        partition_rest(partition, &err);
    } else {
        if (state(partition) == PRIME && message->offset >= partition->start) {
            partition_run(partition);
        }
        read_message(partition, message);
    }
    if (!more || state(partition) != RUN || !partition_wants_messages(partition)) {
        partition_step(partition);
    }
}

void partition_on_end(struct partition *partition, int64_t offset)
{
    if ((state(partition) != PRIME && state(partition) != RUN) || offset < partition->position || partition->held != NULL) {
        return;
    }
    if (state(partition) == PRIME && offset >= partition->start) {
        partition_run(partition);
    }
    if (partition_at_cut(partition, offset)) {
        partition_reach_cut(partition);
        partition_step(partition);
        return;
    }
    partition->position = offset;
    if (state(partition) == RUN && offset > (partition->filling != NULL ? partition->filling->end : partition->lane_start)) {
        batch_extend(partition_filling(partition), offset); /* transaction markers: the warehouse's place moves past them too */
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
    if (held->primes) {
        prime(partition, &held->message, false);
    } else {
        take(partition, &held->message, false);
    }
    free(held);
    partition_step(partition);
}

/* ---- out of it: the flight, the dead letters */

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
    partition_commit_if_due(partition);
}

void partition_settle_tally(struct partition *partition, const struct tally *tally, enum fate fate)
{
    account_settle(partition->account, fate, tally->row_count);
    account_settle(partition->account, FATE_DEDUPLICATED, tally->duplicate_count);
    account_settle(partition->account, FATE_DEAD_LETTERED, tally->letter_count);
    if (tally->newest_us != INT64_MIN && fate == FATE_APPENDED) {
        account_freshness(partition->account, (partition->shared->calls->wall_us(partition->shared->context) - tally->newest_us) / 1000);
    }
}

static struct tally tally_of(const struct batch *batch)
{
    return (struct tally){.end = batch->end,
                          .row_count = batch->row_count - batch->dead_count,
                          .duplicate_count = batch->duplicate_count,
                          .letter_count = batch->letter_count + batch->dead_count,
                          .newest_us = batch->newest_us};
}

static void on_landed(void *context, struct batch *batch)
{
    struct partition *partition = context;

    const struct tally tally = tally_of(batch);

    account_write_took(partition->account, now(partition) - partition->flight_began_ms);
    partition_settle_tally(partition, &tally, FATE_APPENDED);
    partition_settle_file(partition, FATE_APPENDED); /* only a seal lands while a file is under way (I6) */
    partition->settled = batch->end;
    partition->rests = 0;
    partition->trouble.class = ERR_NONE;
    partition->flight_wants_mark = false;
    batch_free(batch);
    if (partition->settled == partition->cut && state(partition) == RUN) {
        partition->cut = LANE_NO_CUT;
        partition->start = partition->settled;
        partition_seek(partition, partition->settled, "behind the file");
    }
    partition_step(partition);
}

static void on_taken(void *context, struct batch *batch)
{
    struct partition *partition = context;

    partition->flight_wants_mark = false;
    partition_take_batch(partition, batch);
    if (partition->filling != NULL) {
        partition->filling->limits = partition_limits(partition);
    }
    partition_step(partition);
}

static void on_flight_failed(void *context, struct batch *batch, enum flight_failure failure, const struct err *err)
{
    struct partition *partition = context;

    partition->flight_wants_mark = false;
    if (failure == FLIGHT_SURPRISE) {
        partition->unsure = batch;
        partition_rest(partition, err);
    } else {
        partition_drop_batch(partition, batch);
        partition_drop_file(partition);
    }
    if (failure == FLIGHT_STOP) {
        partition_stop(partition, err);
    }
    if (!partition->leaving) {
        partition_step(partition);
    }
}

const struct flight_calls partition_flight_calls = {
    .now_ms = flight_now_ms, .bury = flight_bury, .mark = flight_mark, .landed = on_landed, .taken = on_taken, .failed = on_flight_failed};

void partition_on_buried(struct partition *partition, uint64_t batch_number, const struct err *err)
{
    if (err != NULL) {
        partition_stop(partition, err);
    } else if (partition->filling != NULL && partition->filling->number == batch_number) {
        must(partition->filling->letters_unacked > 0);
        partition->filling->letters_unacked--;
    } else {
        flight_on_buried(&partition->flight, batch_number);
    }
    partition_step(partition);
}

/* ---- given back: what was read and is not settled will be read again */

void partition_drop_batch(struct partition *partition, struct batch *batch)
{
    if (batch != NULL) {
        account_return(partition->account, batch_message_count(batch));
        batch_free(batch);
    }
}

void partition_drop_held(struct partition *partition)
{
    if (partition->held != NULL) {
        if (!partition->held->primes) {
            account_return(partition->account, 1);
        }
        budget_give(partition->shared->budget, partition->held->message.key_size + partition->held->message.value_size);
        free(partition->held);
        partition->held = NULL;
    }
}

/* A flight ended in a surprise, and the warehouse has now said how far it is (R5). */
void partition_resolve_unsure(struct partition *partition, int64_t start)
{
    struct batch *batch = partition->unsure;
    size_t in;

    if (partition->file_under_way && start >= partition->file.end) {
        partition_settle_file(partition, FATE_ALREADY_IN);
    } else {
        partition_drop_file(partition);
    }
    partition->unsure = NULL;
    if (batch == NULL) {
        return;
    }
    in = batch_rows_below(batch, start);
    if (start >= batch->end) {
        const struct tally tally = tally_of(batch);

        partition_settle_tally(partition, &tally, FATE_ALREADY_IN);
    } else {
        account_settle(partition->account, FATE_ALREADY_IN, in);
        account_return(partition->account, batch_message_count(batch) - in);
    }
    batch_free(batch);
}

size_t partition_messages_held(const struct partition *partition)
{
    const struct batch *batches[] = {partition->filling, partition->unsure, flight_batch(&partition->flight)};
    size_t count = (size_t)(partition->held != NULL && !partition->held->primes) + partition_messages_in_file(partition);

    for (size_t i = 0; i < 3; i++) {
        count += batches[i] != NULL ? batch_message_count(batches[i]) : 0;
    }
    return count;
}
