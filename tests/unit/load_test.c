/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads against a BigQuery in memory: uploads, jobs and a history that counts each row. What must not happen: a job before its
 * intent is committed (D1), a row lost or twice whatever happens to whom at which moment (D2), also when a job fails (D4).
 *
 * The fake stands in for upload.h, jobs.h and libuv's threads: answers and the parts of a work wait in a list until the schedule picks
 * one, in any order of owners, and some answers are lost or say less than was done. A small consumer plays the worker: commits carry a generation, which a
 * replaced owner no longer has; what it sent before goes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/must.h"
#include "tests/unit/capture.h"
#include "workers/bigquery/load.h"
#include "workers/bigquery/upload.h"

#define LOG_ROWS   60
#define VALUE_SIZE (48 << 10) /* a dozen rows make a piece */
#define JOBS_MAX   512
#define EVENTS_MAX 64
#define OWNERS_MAX 64

/* ---- BigQuery */

struct job {
    char id[JOB_ID_SIZE];
    enum job_verdict verdict; /* RUNNING until it is done */
    int polls;                /* until then */
    size_t row_count;
    int rows[LOG_ROWS]; /* offsets */
    bool doomed;
};

struct upload {
    char id[JOB_ID_SIZE];
    struct buffer file; /* what the server holds */
    const uint8_t *bytes;
    size_t size;
    bool last;
    size_t base;
    upload_answered answer;
    void *context;
};

struct job_watch {
    struct job_reference reference;
    job_watched answer;
    void *context;
};

struct event {
    void (*happen)(void *what);
    void *what;
};

static struct {
    uv_loop_t loop;
    struct job jobs[JOBS_MAX];
    size_t job_count;
    int history[LOG_ROWS]; /* how often each row is in */
    bool bad[LOG_ROWS];    /* no job takes it */
    int schema[LOG_ROWS];  /* its version */
    struct event events[EVENTS_MAX];
    size_t event_count;
    unsigned ids;
    uint64_t random;
    int trouble;                    /* of a hundred answers so many are not the plain one */
    uint64_t alarm_ms;              /* loads_options */
    bool foreign;                   /* jobs of other tables */
    int64_t miscount;               /* added to the rows that a job reports */
    size_t put_max;                 /* the largest put */
    enum upload_answer next_answer; /* instead of a plain one, once */
    bool refuse_once;               /* ... this one */
    struct err refuse_err;
} world;

static unsigned dice(unsigned sides)
{
    world.random = world.random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(world.random >> 33) % sides;
}

static bool trouble(void)
{
    return (int)dice(100) < world.trouble;
}

static void event_add(void (*happen)(void *what), void *what)
{
    must(world.event_count < EVENTS_MAX);
    world.events[world.event_count++] = (struct event){happen, what};
}

static void event_withdraw(const void *what)
{
    for (size_t i = 0; i < world.event_count; i++) {
        if (world.events[i].what == what) {
            world.events[i] = world.events[--world.event_count];
            return;
        }
    }
}

/* One of those that wait, and what the load's timers then do. */
static void happen(void)
{
    if (world.event_count > 0) {
        size_t which = dice((unsigned)world.event_count);
        struct event event = world.events[which];

        world.events[which] = world.events[--world.event_count];
        event.happen(event.what);
    }
    (void)uv_run(&world.loop, UV_RUN_NOWAIT);
}

/* ---- libuv's threads: a work runs at some moment, and its end is told at some other */

static void work_ends(void *what)
{
    uv_work_t *work = what;

    work->after_work_cb(work, 0);
}

static void work_runs(void *what)
{
    uv_work_t *work = what;

    work->work_cb(work);
    event_add(work_ends, work);
}

int uv_queue_work(uv_loop_t *loop, uv_work_t *work, uv_work_cb work_cb, uv_after_work_cb after_work_cb)
{
    work->loop = loop;
    work->work_cb = work_cb;
    work->after_work_cb = after_work_cb;
    event_add(work_runs, work);
    return 0;
}

/* Nobody can take a work back: all that are under way come to their ends. */
static void works_end(void)
{
    for (size_t i = 0; i < world.event_count;) {
        struct event event = world.events[i];

        if (event.happen == work_runs || event.happen == work_ends) {
            world.events[i] = world.events[--world.event_count];
            event.happen(event.what);
            i = 0;
        } else {
            i++;
        }
    }
    (void)uv_run(&world.loop, UV_RUN_NOWAIT);
    (void)uv_run(&world.loop, UV_RUN_NOWAIT);
}

static struct job *job_find(const char *id)
{
    for (size_t i = 0; i < world.job_count; i++) {
        if (strcmp(world.jobs[i].id, id) == 0) {
            return &world.jobs[i];
        }
    }
    return NULL;
}

static int64_t take_long(const uint8_t **at)
{
    uint64_t bits = 0;
    int shift = 0;

    do {
        bits |= (uint64_t)(**at & 0x7f) << shift;
        shift += 7;
    } while (*(*at)++ >= 0x80);
    return (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
}

/* The rows of an Avro file, codec null. */
static void read_file(struct job *job, const struct buffer *file)
{
    const uint8_t *at = file->bytes + 4;
    const uint8_t *end = file->bytes + file->size;
    uint8_t sync[16];

    assert_memory_equal(file->bytes, "Obj\1", 4);
    assert_int_equal(take_long(&at), 2);
    for (int i = 0; i < 4; i++) {
        int64_t size = take_long(&at);

        at += size;
    }
    assert_int_equal(take_long(&at), 0);
    memcpy(sync, at, sizeof sync);
    at += sizeof sync;
    while (at < end) {
        int64_t count = take_long(&at);
        int64_t size = take_long(&at);
        const uint8_t *block_end = at + size;

        for (int64_t i = 0; i < count; i++) {
            int offset;

            memcpy(&offset, at, sizeof offset);
            must(job->row_count < LOG_ROWS);
            job->rows[job->row_count++] = offset;
            at += VALUE_SIZE;
            assert_int_equal(take_long(&at), 20778);
        }
        assert_ptr_equal(at, block_end);
        assert_memory_equal(at, sync, sizeof sync);
        at += sizeof sync;
    }
}

/* False: the id is used. */
static bool job_insert(const char *id, const struct buffer *file)
{
    struct job *job;

    if (job_find(id) != NULL) {
        return false;
    }
    must(world.job_count < JOBS_MAX);
    job = &world.jobs[world.job_count++];
    *job = (struct job){.verdict = JOB_RUNNING, .polls = (int)dice(3)};
    (void)snprintf(job->id, sizeof job->id, "%s", id);
    job->doomed = file->size < 8;
    if (!job->doomed) {
        read_file(job, file);
    }
    return true;
}

static void job_run(struct job *job)
{
    bool bad = job->doomed;

    for (size_t i = 0; i < job->row_count; i++) {
        bad = bad || world.bad[job->rows[i]];
    }
    if (bad) {
        job->verdict = JOB_DATA;
    } else if (trouble()) {
        job->verdict = dice(2) == 0 ? JOB_TRANSIENT : JOB_DENIED;
    } else {
        job->verdict = JOB_LOADED;
        for (size_t i = 0; i < job->row_count; i++) {
            world.history[job->rows[i]]++;
        }
    }
}

/* ---- upload.h and jobs.h */

static void upload_finish(struct upload *upload, enum upload_answer answer, struct err err)
{
    upload_answered answered = upload->answer;

    if (answer == UPLOAD_TAKEN) {
        upload->base += upload->size;
    }
    upload->answer = NULL;
    answered(upload->context, answer, answer == UPLOAD_TAKEN ? NULL : &err);
}

static void upload_happens(void *what)
{
    struct upload *upload = what;
    struct err err = {ERR_RETRY, "the fake says so"};

    upload->file.size = upload->base; /* a put that is repeated stands where it stood */
    if (world.refuse_once) {
        world.refuse_once = false;
        upload_finish(upload, world.next_answer, world.refuse_err);
    } else if (trouble() && dice(2) == 0) {
        upload_finish(upload, dice(2) == 0 ? UPLOAD_FAILED : UPLOAD_GONE, err); /* nothing arrived */
    } else {
        buffer_append(&upload->file, upload->bytes, upload->size);
        if (upload->last && !job_insert(upload->id, &upload->file)) {
            upload_finish(upload, UPLOAD_EXISTS, err);
        } else if (trouble()) {
            upload_finish(upload, dice(2) == 0 ? UPLOAD_FAILED : UPLOAD_GONE, err); /* it arrived, the answer is lost */
        } else {
            upload_finish(upload, UPLOAD_TAKEN, err);
        }
    }
}

struct upload *upload_new(const struct upload_options *options)
{
    struct upload *upload = calloc(1, sizeof *upload);

    must(upload != NULL);
    (void)snprintf(upload->id, sizeof upload->id, "%s", json_string_value(json_object_get(options->job, "id")));
    return upload;
}

void upload_put(struct upload *upload, const uint8_t *bytes, size_t size, bool last, upload_answered answer, void *context)
{
    assert_null(upload->answer);
    assert_true(size > 0 && (last || size % UPLOAD_UNIT == 0));
    world.put_max = size > world.put_max ? size : world.put_max;
    upload->bytes = bytes;
    upload->size = size;
    upload->last = last;
    upload->answer = answer;
    upload->context = context;
    event_add(upload_happens, upload);
}

void upload_free(struct upload *upload)
{
    if (upload != NULL) {
        event_withdraw(upload);
        buffer_deinit(&upload->file);
        free(upload);
    }
}

void job_id_make(char id[JOB_ID_SIZE], const char *prefix)
{
    (void)snprintf(id, JOB_ID_SIZE, "%s_%u", prefix, ++world.ids);
}

json_t *job_load(const struct job_reference *reference, const struct job_table *table)
{
    assert_string_equal(table->table, "orders_history");
    assert_string_equal(reference->location, "EU");
    return json_pack("{s:s}", "id", reference->id);
}

static void watch_happens(void *what)
{
    struct job_watch *watch = what;
    struct job *job = job_find(watch->reference.id);
    struct job_state state = {.verdict = JOB_UNKNOWN, .rows = -1, .err = {ERR_RETRY, "the fake says so"}};
    struct err err = {ERR_RETRY, "jobs.get has trouble"};
    bool fails = trouble();

    if (!fails && job != NULL && job->verdict == JOB_RUNNING) {
        if (job->polls-- > 0) {
            event_add(watch_happens, watch);
            return;
        }
        job_run(job);
    }
    if (job != NULL) {
        state.verdict = world.foreign ? JOB_FOREIGN : job->verdict;
        state.rows = (int64_t)job->row_count + world.miscount;
    }
    watch->answer(watch->context, fails ? NULL : &state, fails ? &err : NULL);
    free(watch);
}

struct job_watch *job_watch_start(const struct job_watch_options *options, job_watched answer, void *context)
{
    struct job_watch *watch = calloc(1, sizeof *watch);

    must(watch != NULL);
    *watch = (struct job_watch){options->reference, answer, context};
    event_add(watch_happens, watch);
    return watch;
}

void job_watch_cancel(struct job_watch *watch)
{
    event_withdraw(watch);
    free(watch);
}

/* ---- the consumer */

enum step { STARTS, WAITS, RUNS, COMMITS_INTENT, SENDS, ENDS };

struct owner {
    struct load *load;
    struct loads *loads;
    unsigned generation;
    enum step step;
    int64_t position; /* the next row */
    int64_t settled;  /* what a commit may say */
    int64_t cut;
    int64_t appends_end;
    struct load_batch batch;
    struct warehouse_row rows[LOG_ROWS];
};

static struct {
    unsigned generation;
    int64_t offset;
    struct load_intent intent;
    bool has_intent;
} group;

static uint8_t values[LOG_ROWS][VALUE_SIZE];

static const struct load_options load_options = {
    .id = "kakehi.shop.orders/3", .dataset = "shop", .table = "orders_history", .location = "EU"};

static struct loads *loads_make(void)
{
    return loads_new(&(struct loads_options){.loop = &world.loop,
                                             .endpoint = "http://fake.example",
                                             .project = "p",
                                             .job_prefix = "kakehi",
                                             .retry_ms = 1000,
                                             .file_bytes = 1 << 20,
                                             .memory_bytes = 1,
                                             .alarm_ms = world.alarm_ms,
                                             .uncompressed = true});
}

static struct owner *owner_new(void)
{
    struct owner *owner = calloc(1, sizeof *owner);

    must(owner != NULL);
    owner->loads = loads_make();
    owner->load = load_new(owner->loads, &load_options);
    owner->generation = ++group.generation;
    owner->step = STARTS;
    return owner;
}

static void on_owner_closed(void *context)
{
    struct owner *owner = context;

    loads_free(owner->loads);
    free(owner);
}

/* From a kill on nothing of it happens any more; what the server has, it has. */
static void owner_kill(struct owner *owner)
{
    owner->step = ENDS;
    load_close(owner->load, on_owner_closed, owner);
    works_end();
}

/* Refused for a replaced one (C2). */
static bool commit(struct owner *owner, int64_t offset, const struct load_intent *intent)
{
    if (owner->generation != group.generation) {
        owner->step = ENDS;
        return false;
    }
    group.offset = offset;
    group.has_intent = intent != NULL;
    if (intent != NULL) {
        group.intent = *intent;
    }
    owner->settled = offset;
    return true;
}

static void on_recovered(void *context, enum load_answer answer, const struct err *err)
{
    struct owner *owner = context;
    int64_t end = group.intent.end;

    (void)err;
    if (owner->step == ENDS) {
        return;
    }
    owner->step = RUNS;
    owner->cut = INT64_MAX;
    if (answer == LOAD_FAILED || answer == LOAD_SURPRISE) {
        owner->step = STARTS;
    } else if (answer == LOAD_REBUILD) {
        assert_non_null(load_intent(owner->load)); /* L3 */
        owner->cut = end;
    } else {
        assert_null(load_intent(owner->load));
        owner->position = answer == LOAD_DONE ? end : owner->position;
        owner->appends_end = answer == LOAD_BY_APPEND ? end : owner->appends_end;
        (void)commit(owner, owner->position, NULL);
    }
}

static void start(struct owner *owner)
{
    struct load_intent intent = group.intent;

    if (owner->generation != group.generation) {
        owner->step = ENDS;
        return;
    }
    owner->position = owner->settled = group.offset;
    owner->cut = INT64_MAX;
    if (group.has_intent) {
        owner->step = WAITS;
        load_recover(owner->load, &intent, on_recovered, owner);
    } else {
        load_drop(owner->load);
        owner->step = RUNS;
    }
}

static void on_absorbed(void *context, enum load_answer answer, const struct err *err)
{
    struct owner *owner = context;

    (void)err;
    if (owner->step == ENDS) {
        return;
    }
    if (answer == LOAD_PAUSE) {
        load_absorb(owner->load, &owner->batch, on_absorbed, owner);
    } else if (answer == LOAD_DONE) {
        owner->position = owner->rows[owner->batch.row_count - 1].offset + 1;
        owner->step = RUNS;
    } else {
        assert_int_equal(answer, LOAD_SURPRISE);
        owner->step = STARTS;
    }
}

static void absorb(struct owner *owner)
{
    int64_t end = owner->position + 1 + dice(8);
    size_t count = 0;

    end = end < owner->cut ? end : owner->cut;
    for (int64_t at = owner->position; at < end && at < LOG_ROWS && world.schema[at] == world.schema[owner->position]; at++) {
        owner->rows[count++] = (struct warehouse_row){.value = values[at], .value_size = VALUE_SIZE, .offset = at};
    }
    owner->batch = (struct load_batch){.schema_id = (uint64_t)world.schema[owner->position],
                                       .schema_text = "{}",
                                       .rows = owner->rows,
                                       .row_count = count,
                                       .ingest_day = 20778};
    owner->step = WAITS;
    load_absorb(owner->load, &owner->batch, on_absorbed, owner);
}

/* The other way in; that it is exact is another test's business. */
static void append(struct owner *owner)
{
    if (commit(owner, owner->position + 1, NULL)) {
        world.history[owner->position] += !world.bad[owner->position];
        owner->position++;
    }
}

static void on_sent(void *context, enum load_answer answer, const struct err *err)
{
    struct owner *owner = context;

    (void)err;
    if (owner->step == ENDS) {
        return;
    }
    if (answer == LOAD_PAUSE) {
        owner->step = SENDS;
    } else if (answer == LOAD_DONE) {
        assert_null(load_intent(owner->load));
        owner->step = RUNS;
        owner->cut = INT64_MAX;
        (void)commit(owner, owner->position, NULL);
    } else {
        assert_int_equal(answer, LOAD_SURPRISE);
        owner->step = STARTS;
    }
}

static bool must_seal(const struct owner *owner)
{
    bool idle = !load_under_way(owner->load);
    bool end = owner->position == LOG_ROWS;

    if (owner->position == owner->cut) {
        return true;
    }
    return !idle && owner->cut == INT64_MAX &&
           (end || dice(4) == 0 || !load_fits(owner->load, (uint64_t)world.schema[owner->position]));
}

static void run(struct owner *owner)
{
    if (must_seal(owner)) {
        load_seal(owner->load, owner->position);
        owner->step = COMMITS_INTENT;
    } else if (owner->position < owner->appends_end && owner->cut == INT64_MAX && !load_under_way(owner->load)) {
        append(owner);
    } else if (owner->position < LOG_ROWS) {
        absorb(owner);
    }
}

static void owner_step(struct owner *owner)
{
    switch (owner->step) {
    case STARTS:
        start(owner);
        break;
    case RUNS:
        run(owner);
        break;
    case COMMITS_INTENT:
        assert_null(job_find(load_intent(owner->load)->job.id) != NULL && owner->cut == INT64_MAX ? owner : NULL); /* D1 */
        if (commit(owner, owner->settled, load_intent(owner->load))) {
            owner->step = SENDS;
        }
        break;
    case SENDS:
        owner->step = WAITS;
        load_send(owner->load, on_sent, owner);
        break;
    case WAITS:
    case ENDS:
        break;
    }
}

static int setup(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    memset(&group, 0, sizeof group);
    world.random = 1;
    for (int i = 0; i < LOG_ROWS; i++) {
        memcpy(values[i], &i, sizeof i);
        world.schema[i] = 1;
    }
    return uv_loop_init(&world.loop);
}

static int teardown(void **state)
{
    (void)state;
    (void)uv_run(&world.loop, UV_RUN_NOWAIT);
    assert_int_equal(world.event_count, 0);
    assert_int_equal(uv_loop_close(&world.loop), 0);
    return 0;
}

/* ---- tests */

/* Random kills, zombies, lost answers, failing jobs, bad rows, schema versions: each row is in once at the end. */
static void run_schedule(uint64_t seed)
{
    struct owner *owners[OWNERS_MAX];
    size_t owner_count = 0;
    struct owner *last;

    world.random = seed;
    world.trouble = (int)dice(30);
    for (int i = 0; i < LOG_ROWS; i++) {
        world.bad[i] = dice(40) == 0;
        world.schema[i] = i > 0 && dice(25) == 0 ? world.schema[i - 1] + 1 : world.schema[i > 0 ? i - 1 : 0];
    }
    owners[owner_count++] = last = owner_new();
    for (int steps = 0; group.offset < LOG_ROWS || group.has_intent; steps++) {
        assert_true(steps < 200000);
        if (owner_count < OWNERS_MAX && dice(60) == 0) {
            if (dice(2) == 0) {
                owner_kill(last);
                owner_count--;
            }
            owners[owner_count++] = last = owner_new(); /* the one before, if it lives, is a zombie now */
        }
        owner_step(owners[dice((unsigned)owner_count)]);
        if (dice(2) == 0) {
            happen();
        }
    }
    world.trouble = 0;
    for (int i = 0; i < 2000; i++) { /* the zombies do what they still can */
        owner_step(owners[dice((unsigned)owner_count)]);
        happen();
    }
    while (owner_count > 0) {
        owner_kill(owners[--owner_count]);
    }
    for (int i = 0; i < LOG_ROWS; i++) {
        if (world.history[i] != !world.bad[i]) {
            fail_msg("seed %llu: row %d is in %d times", (unsigned long long)seed, i, world.history[i]);
        }
    }
}

static void test_load__each_row_is_in_once_whatever_happens_when(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        memset(&group, 0, sizeof group);
        memset(world.history, 0, sizeof world.history);
        world.job_count = 0;
        run_schedule(seed * 7919);
    }
}

struct answers {
    int count;
    enum load_answer answer;
    struct err err;
};

static void on_answer(void *context, enum load_answer answer, const struct err *err)
{
    struct answers *answers = context;

    answers->count++;
    answers->answer = answer;
    answers->err = err != NULL ? *err : (struct err){0};
}

static void answered(struct answers *answers, enum load_answer answer)
{
    for (int i = 0; i < 1000 && answers->count == 0; i++) {
        happen();
    }
    assert_int_equal(answers->count, 1);
    assert_int_equal(answers->answer, answer);
    answers->count = 0;
}

struct fixture {
    struct loads *loads;
    struct load *load;
    struct answers answers;
    struct warehouse_row rows[LOG_ROWS];
    bool closed;
};

static void fixture_init(struct fixture *fixture)
{
    *fixture = (struct fixture){.loads = loads_make()};
    fixture->load = load_new(fixture->loads, &load_options);
    for (int i = 0; i < LOG_ROWS; i++) {
        fixture->rows[i] = (struct warehouse_row){.value = values[i], .value_size = VALUE_SIZE, .offset = i};
    }
}

static void on_fixture_closed(void *context)
{
    bool *closed = context;

    *closed = true;
}

static void fixture_deinit(struct fixture *fixture)
{
    load_close(fixture->load, on_fixture_closed, &fixture->closed);
    works_end();
    assert_true(fixture->closed);
    loads_free(fixture->loads);
}

static void begin_absorb(struct fixture *fixture, int first, int count, uint64_t schema)
{
    struct load_batch batch = {.schema_id = schema,
                               .schema_text = "{}",
                               .rows = fixture->rows + first,
                               .row_count = (size_t)count,
                               .ingest_day = 20778};

    load_absorb(fixture->load, &batch, on_answer, &fixture->answers);
    assert_int_equal(fixture->answers.count, 0); /* never inside the call */
}

static void absorb_rows(struct fixture *fixture, int first, int count)
{
    begin_absorb(fixture, first, count, 1);
    answered(&fixture->answers, LOAD_DONE);
}

static void send_file(struct fixture *fixture, enum load_answer answer)
{
    load_send(fixture->load, on_answer, &fixture->answers);
    assert_int_equal(fixture->answers.count, 0);
    answered(&fixture->answers, answer);
}

static void recover(struct fixture *fixture, const struct load_intent *intent, enum load_answer answer)
{
    load_recover(fixture->load, intent, on_answer, &fixture->answers);
    assert_int_equal(fixture->answers.count, 0);
    answered(&fixture->answers, answer);
}

static void test_load__no_job_exists_before_send_however_large_the_file_is(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    absorb_rows(&fixture, 0, LOG_ROWS);
    load_seal(fixture.load, LOG_ROWS);
    for (int i = 0; i < 50; i++) {
        happen();
    }
    assert_int_equal(world.job_count, 0);
    assert_true(world.put_max > 0); /* it is on its way all the same */
    assert_int_equal(load_intent(fixture.load)->end, LOG_ROWS);
    send_file(&fixture, LOAD_DONE);
    assert_int_equal(world.job_count, 1);
    assert_int_equal(loads_counts(fixture.loads)->rows, LOG_ROWS);
    assert_null(load_intent(fixture.load));
    fixture_deinit(&fixture);
}

static void test_load__pieces_bound_what_a_file_holds_in_memory(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    begin_absorb(&fixture, 0, LOG_ROWS, 1);
    (void)uv_run(&world.loop, UV_RUN_NOWAIT);
    assert_int_equal(fixture.answers.count, 0); /* 3 MiB do not fit into two pieces: the batch waits for the upload */
    answered(&fixture.answers, LOAD_DONE);
    assert_true(world.put_max <= (size_t)4 * UPLOAD_UNIT);
    fixture_deinit(&fixture);
}

static void test_load__rows_of_a_paused_batch_are_absorbed_once(void **state)
{
    struct fixture fixture;
    char text[256];

    (void)state;
    fixture_init(&fixture);
    world.refuse_once = true;
    world.next_answer = UPLOAD_FAILED;
    world.refuse_err = (struct err){ERR_RETRY, "the server is away"};
    begin_absorb(&fixture, 0, LOG_ROWS, 1);
    answered(&fixture.answers, LOAD_PAUSE);
    assert_true(load_trouble(fixture.load, text, sizeof text));
    assert_string_equal(text, "the load file does not get on: the server is away");
    absorb_rows(&fixture, 0, LOG_ROWS); /* the same again */
    assert_false(load_trouble(fixture.load, text, sizeof text));
    load_seal(fixture.load, LOG_ROWS);
    send_file(&fixture, LOAD_DONE);
    for (int i = 0; i < LOG_ROWS; i++) {
        assert_int_equal(world.history[i], 1);
    }
    fixture_deinit(&fixture);
}

static void test_load__a_session_that_is_gone_takes_the_file_and_is_a_surprise(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    world.refuse_once = true;
    world.next_answer = UPLOAD_GONE;
    world.refuse_err = (struct err){ERR_RETRY, "no such session"};
    begin_absorb(&fixture, 0, LOG_ROWS, 1);
    answered(&fixture.answers, LOAD_SURPRISE);
    assert_string_equal(fixture.answers.err.text, "no such session");
    load_drop(fixture.load);
    absorb_rows(&fixture, 0, LOG_ROWS);
    load_seal(fixture.load, LOG_ROWS);
    send_file(&fixture, LOAD_DONE);
    fixture_deinit(&fixture);
}

static void test_load__an_unfinished_file_that_became_a_job_stops(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    world.refuse_once = true;
    world.next_answer = UPLOAD_EARLY;
    world.refuse_err = (struct err){ERR_FATAL, "rows may be in"};
    begin_absorb(&fixture, 0, LOG_ROWS, 1);
    answered(&fixture.answers, LOAD_FAILED);
    load_drop(fixture.load);
    fixture_deinit(&fixture);
}

/* A small file in one put; its intent is committed, and its owner gone before the job was made. */
static struct load_intent orphan(int end)
{
    struct load_intent intent = {.job = {.id = "kakehi_orphan", .location = "EU"}, .end = end};

    return intent;
}

static void test_load__an_unknown_job_is_built_again_under_its_id_and_to_its_end(void **state)
{
    struct fixture fixture;
    struct load_intent intent = orphan(5);

    (void)state;
    fixture_init(&fixture);
    recover(&fixture, &intent, LOAD_REBUILD);
    assert_string_equal(load_intent(fixture.load)->job.id, intent.job.id);
    absorb_rows(&fixture, 0, 5);
    assert_true(load_due_ms(fixture.load) == UINT64_MAX); /* its cut says when */
    assert_string_equal(load_intent(fixture.load)->job.id, intent.job.id);
    load_seal(fixture.load, 5);
    send_file(&fixture, LOAD_DONE);
    assert_int_equal(world.job_count, 1);
    assert_string_equal(world.jobs[0].id, intent.job.id);
    fixture_deinit(&fixture);
}

static void test_load__a_job_of_the_earlier_owner_that_came_first_is_the_one(void **state)
{
    struct fixture fixture;
    struct load_intent intent = orphan(5);

    (void)state;
    fixture_init(&fixture);
    recover(&fixture, &intent, LOAD_REBUILD);
    absorb_rows(&fixture, 0, 5);
    load_seal(fixture.load, 5);
    world.jobs[world.job_count++] = (struct job){.id = "kakehi_orphan", .verdict = JOB_LOADED, .row_count = 4};
    send_file(&fixture, LOAD_DONE); /* however many rows it says: its owner may have seen a duplicate that we did not */
    assert_int_equal(world.job_count, 1);
    assert_int_equal(world.history[0], 0); /* nothing of ours was added */
    fixture_deinit(&fixture);
}

static void test_load__names_the_job_that_it_waits_for(void **state)
{
    struct fixture fixture;
    struct load_intent intent = orphan(5);
    char text[256];

    (void)state;
    fixture_init(&fixture);
    assert_false(load_waits_for(fixture.load, text, sizeof text));
    load_recover(fixture.load, &intent, on_answer, &fixture.answers);
    assert_true(load_waits_for(fixture.load, text, sizeof text));
    assert_string_equal(text, "load job kakehi_orphan, for 0 s");
    fixture_deinit(&fixture);
}

/* Its rows carry a day that may be closed by the time that they are visible: a person must know. It is waited for all the same. */
static void test_load__a_job_that_is_not_done_for_long_is_an_alarm(void **state) /* FT-F3 */
{
    struct fixture fixture;
    struct load_intent intent = orphan(5);
    uint64_t began_ms;
    const char *told;

    (void)state;
    world.alarm_ms = 1;
    fixture_init(&fixture);
    load_recover(fixture.load, &intent, on_answer, &fixture.answers);
    began_ms = uv_now(&world.loop);
    capture_start(STDERR_FILENO);
    while (uv_now(&world.loop) < began_ms + 2) {
        (void)uv_run(&world.loop, UV_RUN_ONCE);
    }
    told = capture_end(STDERR_FILENO);
    assert_non_null(strstr(told, " error load_waits partition=kakehi.shop.orders/3 job=kakehi_orphan "));
    assert_int_equal(fixture.answers.count, 0);
    answered(&fixture.answers, LOAD_REBUILD);
    assert_false(load_waits_for(fixture.load, (char[256]){0}, 256));
    capture_start(STDERR_FILENO);
    (void)uv_run(&world.loop, UV_RUN_NOWAIT); /* no alarm is left: nothing keeps the loop alive */
    assert_string_equal(capture_end(STDERR_FILENO), "");
    assert_false(uv_loop_alive(&world.loop));
    fixture_deinit(&fixture);
}

static void use_up(struct fixture *fixture, const struct load_intent *intent)
{
    recover(fixture, intent, LOAD_BY_APPEND);
    assert_int_equal(world.job_count, 1);
    assert_string_equal(world.jobs[0].id, intent->job.id);
    assert_true(world.jobs[0].doomed);
    assert_null(load_intent(fixture->load));
}

static void test_load__an_intent_over_two_schema_versions_is_used_up(void **state)
{
    struct fixture fixture;
    struct load_intent intent = orphan(5);

    (void)state;
    fixture_init(&fixture);
    recover(&fixture, &intent, LOAD_REBUILD);
    absorb_rows(&fixture, 0, 3);
    assert_true(load_fits(fixture.load, 2));
    begin_absorb(&fixture, 3, 2, 2);
    answered(&fixture.answers, LOAD_SURPRISE);
    use_up(&fixture, &intent);
    fixture_deinit(&fixture);
}

static void test_load__an_intent_without_a_row_left_is_used_up(void **state)
{
    struct fixture fixture;
    struct load_intent intent = orphan(5);

    (void)state;
    fixture_init(&fixture);
    recover(&fixture, &intent, LOAD_REBUILD);
    load_seal(fixture.load, 5);
    send_file(&fixture, LOAD_SURPRISE);
    use_up(&fixture, &intent);
    fixture_deinit(&fixture);
}

static void test_load__an_intent_that_load_jobs_do_not_take_is_used_up(void **state)
{
    struct fixture fixture;
    struct load_intent intent = orphan(5);

    (void)state;
    fixture_init(&fixture);
    recover(&fixture, &intent, LOAD_REBUILD);
    load_give_up(fixture.load);
    use_up(&fixture, &intent);
    fixture_deinit(&fixture);
}

static void test_load__a_file_that_bigquery_refuses_goes_by_appends(void **state)
{
    struct fixture fixture;
    struct load_intent intent;

    (void)state;
    fixture_init(&fixture);
    world.bad[2] = true;
    absorb_rows(&fixture, 0, 5);
    load_seal(fixture.load, 5);
    intent = *load_intent(fixture.load);
    send_file(&fixture, LOAD_SURPRISE);
    assert_non_null(load_intent(fixture.load)); /* L3: until recovery has said what it is */
    recover(&fixture, &intent, LOAD_BY_APPEND);
    assert_int_equal(world.history[0], 0);
    fixture_deinit(&fixture);
}

static void test_load__a_job_of_another_table_stops(void **state)
{
    struct fixture fixture;
    struct load_intent intent = orphan(5);

    (void)state;
    fixture_init(&fixture);
    world.jobs[world.job_count++] = (struct job){.id = "kakehi_orphan", .verdict = JOB_LOADED, .row_count = 5};
    world.foreign = true;
    recover(&fixture, &intent, LOAD_FAILED);
    fixture_deinit(&fixture);
}

static void test_load__a_job_that_holds_fewer_rows_than_were_sent_stops(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    absorb_rows(&fixture, 0, 5);
    load_seal(fixture.load, 5);
    world.miscount = -1;
    send_file(&fixture, LOAD_FAILED);
    assert_int_equal(fixture.answers.err.class, ERR_FATAL);
    fixture_deinit(&fixture);
}

static void test_load__a_file_is_due_by_age_by_size_and_not_before_its_gap(void **state)
{
    struct fixture fixture;
    uint64_t now;

    (void)state;
    fixture_init(&fixture);
    load_pace(fixture.load, 60000, 50000);
    assert_true(load_due_ms(fixture.load) == UINT64_MAX);
    now = uv_now(&world.loop);
    absorb_rows(&fixture, 0, 2);
    assert_true(load_due_ms(fixture.load) >= now + 60000 && load_due_ms(fixture.load) <= uv_now(&world.loop) + 60000);
    absorb_rows(&fixture, 2, 28);
    assert_true(load_due_ms(fixture.load) == 0); /* above file_bytes, and the first one */
    load_seal(fixture.load, 30);
    now = uv_now(&world.loop);
    send_file(&fixture, LOAD_DONE);
    absorb_rows(&fixture, 30, 30);
    assert_true(load_due_ms(fixture.load) == now + 50000); /* full, but the budget of jobs holds */
    fixture_deinit(&fixture);
}

static void test_load__another_schema_version_does_not_fit_until_the_file_is_in(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    absorb_rows(&fixture, 0, 2);
    assert_true(load_fits(fixture.load, 1));
    assert_false(load_fits(fixture.load, 2));
    load_seal(fixture.load, 2);
    send_file(&fixture, LOAD_DONE);
    assert_true(load_fits(fixture.load, 2));
    fixture_deinit(&fixture);
}

static void test_load__close_answers_what_is_under_way(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    absorb_rows(&fixture, 0, 2);
    load_seal(fixture.load, 2);
    load_send(fixture.load, on_answer, &fixture.answers);
    fixture_deinit(&fixture);
    assert_int_equal(fixture.answers.count, 1);
    assert_int_equal(fixture.answers.answer, LOAD_SURPRISE);
    assert_int_equal(fixture.answers.err.class, ERR_CANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_load__no_job_exists_before_send_however_large_the_file_is, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__pieces_bound_what_a_file_holds_in_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__rows_of_a_paused_batch_are_absorbed_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__a_session_that_is_gone_takes_the_file_and_is_a_surprise, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__an_unfinished_file_that_became_a_job_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__an_unknown_job_is_built_again_under_its_id_and_to_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__a_job_of_the_earlier_owner_that_came_first_is_the_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__names_the_job_that_it_waits_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__a_job_that_is_not_done_for_long_is_an_alarm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__an_intent_over_two_schema_versions_is_used_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__an_intent_without_a_row_left_is_used_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__an_intent_that_load_jobs_do_not_take_is_used_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__a_file_that_bigquery_refuses_goes_by_appends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__a_job_of_another_table_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__a_job_that_holds_fewer_rows_than_were_sent_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__a_file_is_due_by_age_by_size_and_not_before_its_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__another_schema_version_does_not_fit_until_the_file_is_in, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__close_answers_what_is_under_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load__each_row_is_in_once_whatever_happens_when, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
