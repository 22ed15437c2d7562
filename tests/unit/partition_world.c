/* SPDX-License-Identifier: Apache-2.0 */
/* Answers are given only by the test, one at a time, and what a machine asks for twice is counted. */
#include "tests/unit/partition_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/must.h"
#include "schemas/framing.h"
#include "schemas/record.h"
#include "tests/unit/make_table.h"

#define LATE_SCHEMA_ID 4711

struct request {
    size_t row_count;
    int64_t *offsets;
    bool *dropped;
    int64_t start;
    int64_t end;
    bool seal;
};

/* There is one world at a time: a lane is only a name. */
static struct world *the_world;

/* ---- the warehouse */

static struct lane *lane_open(struct warehouse *warehouse, const char *topic, int32_t partition, uint64_t assignment)
{
    (void)topic;
    (void)partition;
    (void)assignment;
    return (struct lane *)warehouse;
}

static void lane_recover(struct lane *lane, int64_t committed, const char *mark, lane_recovered answer, void *context)
{
    (void)lane;
    (void)committed;
    (void)mark;
    assert_null(the_world->recover_answer);
    the_world->recover_answer = answer;
    the_world->recover_context = context;
}

static bool lane_prepare(struct lane *lane, const struct warehouse_batch *batch, lane_ensured answer, void *context)
{
    (void)lane;
    assert_non_null(batch);
    assert_null(the_world->prepare_answer);
    if (the_world->unprepared) {
        the_world->prepare_answer = answer;
        the_world->prepare_context = context;
    }
    return !the_world->unprepared;
}

static void lane_ensure(struct lane *lane, const struct schema *schema, lane_ensured answer, void *context)
{
    (void)lane;
    assert_ptr_equal(schema, the_world->schema);
    the_world->ensure_answer = answer;
    the_world->ensure_context = context;
}

static struct request *lane_plan(struct lane *lane, const struct warehouse_batch *batch, size_t *ret_bad_row, struct err *err)
{
    struct request *request;

    (void)lane;
    for (size_t i = 0; i < batch->row_count; i++) {
        if (the_world->log[batch->rows[i].offset] == 'P') {
            *ret_bad_row = i;
            (void)err_set(err, ERR_POISON, "can't be planned");
            return NULL;
        }
    }
    request = calloc(1, sizeof *request);
    must(request != NULL);
    request->row_count = batch->row_count;
    request->start = batch->start;
    request->end = batch->end;
    request->offsets = calloc(batch->row_count + 1, sizeof *request->offsets);
    request->dropped = calloc(batch->row_count + 1, sizeof *request->dropped);
    for (size_t i = 0; i < batch->row_count; i++) {
        request->offsets[i] = batch->rows[i].offset;
    }
    the_world->plans++;
    the_world->requests_alive++;
    return request;
}

/* ---- the file under way */

static bool lane_fits(struct lane *lane, const struct warehouse_batch *batch)
{
    (void)lane;
    assert_true(the_world->file_open && batch->start == the_world->file_end);
    return the_world->fits;
}

static uint64_t lane_seal_due_ms(struct lane *lane)
{
    (void)lane;
    assert_true(the_world->file_open);
    return the_world->seal_due_ms;
}

static struct request *lane_seal(struct lane *lane, int64_t end)
{
    struct request *request = calloc(1, sizeof *request);

    (void)lane;
    must(request != NULL);
    assert_true(the_world->file_open);
    assert_int_equal(end, the_world->file_end);
    assert_true(the_world->intent == LANE_NO_CUT || the_world->intent == end); /* D2 */
    request->seal = true;
    request->start = the_world->next;
    request->end = end;
    the_world->sealing = true;
    the_world->requests_alive++;
    return request;
}

static const char *lane_mark(struct lane *lane)
{
    static char text[32];

    (void)lane;
    (void)snprintf(text, sizeof text, "mark %zu", the_world->plans);
    return text;
}

static void lane_send(struct lane *lane, struct request *request, lane_sent answer, void *context)
{
    (void)lane;
    assert_null(the_world->send_answer); /* one at a time */
    the_world->send_answer = answer;
    the_world->send_context = context;
    the_world->sent = request;
    the_world->last_sent = request;
    the_world->sends++;
}

static void lane_drop_rows(struct lane *lane, struct request *request, const size_t *rows, size_t row_count)
{
    (void)lane;
    for (size_t i = 0; i < row_count; i++) {
        assert_true(the_world->dead[request->offsets[rows[i]]] > 0); /* its letter is acknowledged first */
        request->dropped[rows[i]] = true;
    }
}

static void lane_request_free(struct request *request)
{
    the_world->requests_alive--;
    free(request->offsets);
    free(request->dropped);
    free(request);
}

static void lane_close(struct lane *lane, void (*closed)(void *context), void *context)
{
    (void)lane;
    the_world->close_answer = closed;
    the_world->close_context = context;
}

/* ---- Kafka */

static uint64_t ask_now_ms(void *context)
{
    return ((struct world *)context)->now_ms;
}

static int64_t ask_wall_us(void *context)
{
    return (int64_t)((struct world *)context)->now_ms * 1000;
}

static void ask_locate(void *context, struct partition *partition)
{
    (void)partition;
    ((struct world *)context)->locating = true;
}

static void ask_topic_commits(void *context, struct partition *partition)
{
    (void)partition;
    ((struct world *)context)->confirming = true;
}

static int64_t ask_high(void *context, const struct partition *partition)
{
    (void)partition;
    return (int64_t)strlen(((struct world *)context)->log);
}

static void ask_range(void *context, struct partition *partition)
{
    (void)partition;
    ((struct world *)context)->ranging = true;
}

static void ask_read_from(void *context, struct partition *partition, int64_t offset)
{
    struct world *world = context;

    (void)partition;
    world->seeking = true;
    world->seek_offset = offset;
}

static void ask_hold(void *context, struct partition *partition, enum partition_hold hold)
{
    (void)partition;
    ((struct world *)context)->reading = hold == HOLD_NOT;
}

static void ask_commit(void *context, struct partition *partition, int64_t offset, const char *mark)
{
    struct world *world = context;

    (void)partition;
    assert_false(world->committing); /* K5 */
    assert_false(world->released);   /* C2 */
    world->committing = true;
    world->commits++;
    world->commit_offset = offset;
    (void)snprintf(world->commit_mark, sizeof world->commit_mark, "%s", mark);
}

static void ask_bury(void *context, struct partition *partition, uint64_t batch_number, const struct message *message, const char *reason)
{
    struct world *world = context;

    assert_true(strlen(reason) > 0);
    must(world->letter_count < WORLD_LOG_MAX);
    world->letters[world->letter_count++] = (struct world_letter){partition_assignment(partition), batch_number, message->offset};
}

static const struct schema *ask_schema(void *context, const struct frame *frame)
{
    struct world *world = context;
    uint64_t id = frame->schema_id;

    return id == world->schema->value_id || (id == LATE_SCHEMA_ID && world->knows_late_schema) ? world->schema : NULL;
}

static void ask_read_schemas(void *context, struct partition *partition, const struct frame *frame)
{
    (void)partition;
    assert_true(frame->framing == FRAMING_SINGLE_OBJECT && frame->schema_id == LATE_SCHEMA_ID);
    ((struct world *)context)->reading_schemas = true;
}

static void on_released(void *context, struct partition *partition)
{
    struct world *world = context;

    (void)partition;
    assert_false(world->released);
    world->released = true;
}

static void on_closed(void *context, struct partition *partition)
{
    struct world *world = context;

    (void)partition;
    assert_true(world->released);
    world->closed = true;
    world->partition = NULL;
}

static const struct partition_calls calls = {
    .now_ms = ask_now_ms,
    .wall_us = ask_wall_us,
    .locate = ask_locate,
    .topic_commits = ask_topic_commits,
    .range = ask_range,
    .high = ask_high,
    .read_from = ask_read_from,
    .hold = ask_hold,
    .commit = ask_commit,
    .bury = ask_bury,
    .schema = ask_schema,
    .read_schemas = ask_read_schemas,
    .released = on_released,
    .closed = on_closed,
};

/* ---- beginning, end, time */

void world_init(struct world *world, const char *log)
{
    memset(world, 0, sizeof *world);
    must(strlen(log) <= WORLD_LOG_MAX);
    (void)snprintf(world->log, sizeof world->log, "%s", log);
    world->now_ms = 1000;
    world->committed = PARTITION_NO_OFFSET;
    world->next = LANE_OFFSET_BEGINNING;
    world->intent = LANE_NO_CUT;
    world->append_until = INT64_MIN;
    world->schema = make_schema("shop", "orders", "id", "id long");
    world->warehouse_calls = (struct warehouse_calls){
        .open = lane_open,
        .recover = lane_recover,
        .ensure = lane_ensure,
        .prepare = lane_prepare,
        .plan = lane_plan,
        .mark = lane_mark,
        .send = lane_send,
        .drop_rows = lane_drop_rows,
        .request_free = lane_request_free,
        .close = lane_close,
    };
    world->warehouse = (struct warehouse){.calls = &world->warehouse_calls, .name = "fake"};
    world->budget.limit_bytes = 1 << 20;
    world->pool.limit_bytes = 1 << 20;
    world->shared = (struct partition_shared){
        .calls = &calls,
        .context = world,
        .warehouse = &world->warehouse,
        .limits = {.rows = 4, .bytes = 1 << 16, .age_ms = 1000},
        .dedupe_window = 200,
        .prime_bytes_max = 1 << 20,
        .budget = &world->budget,
        .dedupe_pool = &world->pool,
        .accounting = accounting_new(),
    };
    the_world = world;
}

void world_gather(struct world *world)
{
    world->files = true;
    world->fits = true;
    world->seal_due_ms = UINT64_MAX;
    world->warehouse_calls.mark_before_send = true;
    world->warehouse_calls.fits = lane_fits;
    world->warehouse_calls.seal = lane_seal;
    world->warehouse_calls.seal_due_ms = lane_seal_due_ms;
}

void world_assign(struct world *world)
{
    world->released = false;
    world->closed = false;
    world->reading = false;
    world->confirming = false;
    world->locating = world->ranging = world->seeking = world->committing = world->reading_schemas = false;
    world->partition = partition_new(&world->shared, "kakehi.shop.orders", 0, ++world->assignment, "shop.orders");
}

void world_deinit(struct world *world)
{
    if (world->partition != NULL) {
        partition_close(world->partition, true);
        world_pass(world, 10000); /* the last commit is waited for no longer */
    }
    if (world->recover_answer != NULL) {
        world_recover(world);
    }
    if (world->ensure_answer != NULL) {
        world_ensure(world);
    }
    if (world->send_answer != NULL) {
        world_send(world, LANE_PAUSE);
    }
    if (world->close_answer != NULL) {
        world_close_lane(world);
    }
    assert_null(world->partition);
    assert_int_equal(world->requests_alive, 0);
    assert_int_equal(budget_used(&world->budget), 0);
    accounting_free(world->shared.accounting);
    schema_free(world->schema);
}

void world_pass(struct world *world, uint64_t time_ms)
{
    world->now_ms += time_ms;
    if (world->partition != NULL && partition_wake_ms(world->partition) <= world->now_ms) {
        partition_step(world->partition);
    }
}

void world_check_p5(const struct world *world)
{
    struct account *account = accounting_open(world->shared.accounting, "shop.orders", 0);
    uint64_t settled = 0;

    for (enum fate fate = 0; fate < FATE_COUNT; fate++) {
        settled += account_rows(account, fate);
    }
    assert_int_equal(account_rows_read(account), settled + account_rows_in_flight(account));
    assert_int_equal(account_rows_in_flight(account), world->partition != NULL ? partition_messages_held(world->partition) : 0);
}

/* ---- answers */

static bool take_flag(bool *flag)
{
    bool was = *flag;

    *flag = false;
    return was;
}

void world_locate(struct world *world)
{
    assert_true(take_flag(&world->locating));
    partition_on_located(world->partition, world->committed, "", NULL);
}

void world_recover(struct world *world)
{
    lane_recovered answer = world->recover_answer;

    assert_non_null(answer);
    world->recover_answer = NULL;
    world->file_open = false; /* what is not sealed is forgotten */
    world->sealing = false;
    answer(world->recover_context,
           &(struct lane_place){.start = world->next, .cut = world->intent, .needs_commit_of_topic = world->needs_commit_of_topic}, NULL);
}

void world_confirm(struct world *world, bool any)
{
    assert_true(take_flag(&world->confirming));
    partition_on_topic_commits(world->partition, any, NULL);
}

void world_range(struct world *world)
{
    assert_true(take_flag(&world->ranging));
    partition_on_range(world->partition, world->low, (int64_t)strlen(world->log), 1, NULL);
}

void world_seek(struct world *world)
{
    assert_true(take_flag(&world->seeking));
    world->read_offset = world->seek_offset;
    world->reading = true;
    partition_on_reading(world->partition, NULL);
}

void world_start(struct world *world)
{
    world_locate(world);
    world_recover(world);
    world_range(world);
    world_seek(world);
}

void world_commit(struct world *world, enum commit_answer answer)
{
    struct err err = {0};

    assert_true(take_flag(&world->committing));
    if (answer == COMMIT_IN) {
        world->committed = world->commit_offset;
        world->intent = world->sealing ? world->file_end : world->intent; /* D1 */
    } else {
        (void)err_set(&err, ERR_RETRY, "commit refused");
    }
    partition_on_committed(world->partition, answer, &err);
}

void world_schemas(struct world *world)
{
    assert_true(take_flag(&world->reading_schemas));
    partition_on_schemas(world->partition);
}

void world_bury_all(struct world *world)
{
    while (world->letter_count > 0) {
        struct world_letter letter = world->letters[--world->letter_count];

        world->dead[letter.offset]++;
        if (world->partition != NULL && letter.assignment == partition_assignment(world->partition)) {
            partition_on_buried(world->partition, letter.batch_number, NULL);
        }
    }
}

void world_ensure(struct world *world)
{
    lane_ensured answer = world->ensure_answer;

    assert_non_null(answer);
    world->ensure_answer = NULL;
    answer(world->ensure_context, NULL);
}

static bool goes_into_the_file(const struct world *world, const struct request *request)
{
    return world->files && !request->seal && (world->file_open || world->intent != LANE_NO_CUT || request->start >= world->append_until);
}

static void take_rows(struct world *world, const struct request *request)
{
    if (!world->file_open) {
        world->file_open = true;
        world->file_row_count = 0;
        world->file_end = world->next;
    }
    assert_int_equal(request->start, world->file_end);   /* I3 */
    assert_true(request->end <= world->intent);          /* I7 */
    for (size_t i = 0; i < request->row_count; i++) {
        if (!request->dropped[i]) {
            world->file[world->file_row_count++] = request->offsets[i];
        }
    }
    world->file_end = request->end;
}

/* The file is in, or refused whole. */
static bool write_file(struct world *world)
{
    bool good = true;

    assert_true(world->intent == world->file_end); /* D1: committed before it is sent */
    for (size_t i = 0; i < world->file_row_count; i++) {
        good = good && world->log[world->file[i]] != 'X';
    }
    for (size_t i = 0; good && i < world->file_row_count; i++) {
        world->rows[world->file[i]]++;
    }
    world->next = good ? world->file_end : world->next;
    world->append_until = good ? world->append_until : world->file_end; /* D4 */
    world->intent = LANE_NO_CUT;
    world->file_open = world->sealing = false;
    return good;
}

static void write_rows(struct world *world, const struct request *request)
{
    assert_int_equal(request->start, world->next); /* I3: no gap, nothing twice */
    for (size_t i = 0; i < request->row_count; i++) {
        world->rows[request->offsets[i]] += !request->dropped[i];
    }
    world->next = request->end;
}

static size_t bad_rows(const struct world *world, size_t *rows)
{
    size_t count = 0;

    for (size_t i = 0; i < world->sent->row_count; i++) {
        if (world->log[world->sent->offsets[i]] == 'X' && !world->sent->dropped[i]) {
            rows[count++] = i;
        }
    }
    return count;
}

void world_send(struct world *world, enum lane_answer answer)
{
    lane_sent call = world->send_answer;
    size_t rows[WORLD_LOG_MAX];
    size_t count = 0;
    struct err err;

    assert_non_null(call);
    world->send_answer = NULL;
    (void)err_set(&err, ERR_RETRY, "the warehouse said %d", answer);
    if (answer == LANE_IN && world->sent->seal) {
        call(world->send_context, write_file(world) ? LANE_IN : LANE_SURPRISE, NULL, 0, &err);
        return;
    }
    if (answer == LANE_IN && goes_into_the_file(world, world->sent)) {
        take_rows(world, world->sent);
        call(world->send_context, LANE_TAKEN, NULL, 0, &err);
        return;
    }
    if (answer == LANE_IN || answer == LANE_BAD_ROWS) {
        count = bad_rows(world, rows);
        answer = count > 0 ? LANE_BAD_ROWS : LANE_IN;
    }
    if (answer == LANE_IN) {
        write_rows(world, world->sent);
    }
    call(world->send_context, answer, rows, count, &err);
}

void world_send_unclear(struct world *world)
{
    size_t rows[WORLD_LOG_MAX];

    if (world->sent->seal) {
        (void)write_file(world);
    } else if (!goes_into_the_file(world, world->sent) && bad_rows(world, rows) == 0) {
        write_rows(world, world->sent);
    }
    world_send(world, LANE_SURPRISE);
}

void world_close_lane(struct world *world)
{
    void (*closed)(void *context) = world->close_answer;

    assert_non_null(closed);
    world->close_answer = NULL;
    closed(world->close_context);
}

/* ---- the log */

static void encode(struct world *world, char letter, struct buffer *value)
{
    const struct record_meta meta = {.op = 'c', .ts_us = 1, .seq = letter, .idx = 0, .source = "s", .source_size = 1, .txid = &letter, .txid_size = 1};
    const struct cell cell = {.state = CELL_VALUE, .integer = letter};
    struct err err;

    framing_write(value, FRAMING_SINGLE_OBJECT, letter == '?' ? LATE_SCHEMA_ID : world->schema->value_id);
    must(record_encode_value(value, world->schema->table, &cell, &meta, &err) == 0);
    value->size -= letter == '#';
}

static void deliver_message(struct world *world, int64_t offset)
{
    char letter = world->log[offset];
    struct buffer value = {0};
    struct message message = {.key = (const uint8_t *)"key", .key_size = 3, .offset = offset};

    if (letter == '!') {
        buffer_append_text(&value, "no frame");
    } else {
        encode(world, letter, &value);
    }
    message.value = value.bytes;
    message.value_size = value.size;
    partition_on_message(world->partition, &message, false);
    buffer_deinit(&value);
}

bool world_deliver(struct world *world)
{
    int64_t size = (int64_t)strlen(world->log);

    while (world->read_offset < size && world->log[world->read_offset] == '.') {
        world->read_offset++;
    }
    if (!world->reading || world->partition == NULL) {
        return false;
    }
    if (world->read_offset >= size) {
        partition_on_end(world->partition, size);
        return false;
    }
    deliver_message(world, world->read_offset++);
    return true;
}

void world_deliver_all(struct world *world)
{
    while (world_deliver(world)) {
    }
}

static bool answer_one(struct world *world)
{
    if (world->locating) {
        world_locate(world);
    } else if (world->recover_answer != NULL) {
        world_recover(world);
    } else if (world->confirming) {
        world_confirm(world, true);
    } else if (world->ranging) {
        world_range(world);
    } else if (world->seeking) {
        world_seek(world);
    } else if (world->letter_count > 0) {
        world_bury_all(world);
    } else if (world->reading_schemas) {
        world_schemas(world);
    } else if (world->ensure_answer != NULL) {
        world_ensure(world);
    } else if (world->send_answer != NULL) {
        world_send(world, LANE_IN);
    } else if (world->committing) {
        world_commit(world, COMMIT_IN);
    } else {
        return false;
    }
    return true;
}

void world_settle(struct world *world)
{
    for (int quiet = 0; quiet < 3;) {
        quiet = answer_one(world) || world_deliver(world) ? 0 : quiet + 1;
        world_pass(world, quiet > 0 ? 100000 : 0);
        world_check_p5(world);
    }
}
