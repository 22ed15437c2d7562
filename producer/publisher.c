/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two queues and a thread: commands go one way in order, answers come back the same way and are read on the loop (uv_async).
 *
 * `round` makes commands void: each fence, abandon and close begins a new one on the loop. A command carries the round it was
 * given in, and so does its answer. The thread skips commands of a round that has failed or is over; the loop drops answers
 * of a round that is over. So a `committed` that crosses an abandon is never seen, and nothing given after a failure is
 * carried out, however the two threads meet. The thread looks at the loop's round also inside a blocking call, at least once
 * a second: that is how an abandon interrupts.
 *
 * P1  A parcel is in one place: free, with the loop, in a command, or in flight with the writer.
 * P2  The parcels exist before the first command; nothing but the largest message makes more memory.
 */
#include "producer/publisher.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/must.h"
#include "producer/groundwork.h"
#include "producer/writer.h"

#define PARCELS_MIN 4

enum verb { OPEN, FENCE, READ, ABANDON, PREPARE, GIVE, CUT, CLOSE };

struct command {
    struct command *next;
    enum verb verb;
    uint64_t round;
    union {
        struct groundwork_table table; /* PREPARE: owned */
        struct parcel *parcel;         /* GIVE: owned */
        json_t *state;                 /* CUT: owned */
    };
    struct err err; /* PREPARE: the table could not even be named */
};

enum saying { OPENED, FENCED, POSITION, PREPARED, REFUSED, COMMITTED, ROOM, TOO_LARGE, FAILED, ENDED };

struct answer {
    struct answer *next;
    enum saying saying;
    uint64_t round;
    json_t *record;    /* POSITION: owned, as the next */
    json_t *published;
    uint32_t topic_id; /* PREPARED, as the next */
    struct framing_ids ids;
    struct delivered_list delivered; /* COMMITTED: owned */
    int64_t seq, idx;  /* TOO_LARGE */
    struct err err;    /* REFUSED, FAILED */
    bool fenced_off;
};

struct publisher {
    const struct settings *settings;
    struct publisher_calls calls;
    struct writer *writer; /* the thread's */
    uv_thread_t thread;
    uv_async_t answered;
    uint64_t round;          /* the loop's */
    _Atomic uint64_t wanted; /* the same, for the thread to see in the middle of a call */
    uint64_t working;        /* the thread's: round of the command in hand */
    uint64_t failed;         /* the thread's: the newest round that failed; 0: none */

    uv_mutex_t mutex; /* guards what follows */
    uv_cond_t wake;
    bool woken; /* librdkafka has something to say */
    struct command *commands, **commands_end;
    struct answer *answers, **answers_end;
    struct parcel *free_parcels;
    size_t parcel_count; /* all there are */
    size_t free_count;
    bool room_wanted;

    void (*closed)(void *context);
    void *closed_context;
};

/* ---- between the threads */

static void answer(struct publisher *publisher, const struct answer *what)
{
    struct answer *copy = malloc(sizeof *copy);

    must(copy != NULL);
    *copy = *what;
    copy->next = NULL;
    copy->round = publisher->working;
    uv_mutex_lock(&publisher->mutex);
    *publisher->answers_end = copy;
    publisher->answers_end = &copy->next;
    uv_mutex_unlock(&publisher->mutex);
    must(uv_async_send(&publisher->answered) == 0);
}

static void give_command(struct publisher *publisher, struct command *command)
{
    struct command *copy = malloc(sizeof *copy);

    must(copy != NULL);
    *copy = *command;
    copy->next = NULL;
    copy->round = publisher->round;
    uv_mutex_lock(&publisher->mutex);
    *publisher->commands_end = copy;
    publisher->commands_end = &copy->next;
    uv_cond_signal(&publisher->wake);
    uv_mutex_unlock(&publisher->mutex);
}

static void begin_round(struct publisher *publisher)
{
    publisher->round++;
    atomic_store(&publisher->wanted, publisher->round);
}

/* Waits for a command, or for librdkafka: then NULL. */
static struct command *next_command(struct publisher *publisher)
{
    struct command *command;

    uv_mutex_lock(&publisher->mutex);
    while (publisher->commands == NULL && !publisher->woken) {
        uv_cond_wait(&publisher->wake, &publisher->mutex);
    }
    publisher->woken = false;
    command = publisher->commands;
    if (command != NULL) {
        publisher->commands = command->next;
        if (publisher->commands == NULL) {
            publisher->commands_end = &publisher->commands;
        }
    }
    uv_mutex_unlock(&publisher->mutex);
    return command;
}

static void on_wake(void *context)
{
    struct publisher *publisher = context;

    uv_mutex_lock(&publisher->mutex);
    publisher->woken = true;
    uv_cond_signal(&publisher->wake);
    uv_mutex_unlock(&publisher->mutex);
}

static bool is_cancelled(void *context)
{
    struct publisher *publisher = context;

    return atomic_load(&publisher->wanted) != publisher->working;
}

/* Gives it back to the free ones; either thread. Returns whether the loop waits for one. */
static bool put_back(struct publisher *publisher, struct parcel *parcel)
{
    bool wanted;

    parcel_clear(parcel);
    uv_mutex_lock(&publisher->mutex);
    parcel->next = publisher->free_parcels;
    publisher->free_parcels = parcel;
    publisher->free_count++;
    wanted = publisher->room_wanted;
    publisher->room_wanted = false;
    uv_mutex_unlock(&publisher->mutex);
    return wanted;
}

static void on_settled(void *context, struct parcel *parcel)
{
    struct publisher *publisher = context;

    if (put_back(publisher, parcel)) {
        answer(publisher, &(struct answer){.saying = ROOM});
    }
}

/* ---- the thread */

static void say_failed(struct publisher *publisher, const struct err *err)
{
    struct answer too_large = {.saying = TOO_LARGE};

    publisher->failed = publisher->working;
    if (writer_too_large(publisher->writer, &too_large.seq, &too_large.idx)) {
        answer(publisher, &too_large);
    }
    if (err->class != ERR_CANCELED) {
        answer(publisher, &(struct answer){.saying = FAILED, .err = *err, .fenced_off = writer_fenced_off(publisher->writer)});
    }
    writer_abandon(publisher->writer);
}

/* Answers, unless the call behind it has failed. */
static int say(struct publisher *publisher, enum saying saying, int status)
{
    if (status == 0) {
        answer(publisher, &(struct answer){.saying = saying});
    }
    return status;
}

static int read_position(struct publisher *publisher, struct err *err)
{
    json_t *record;

    if (writer_read_position(publisher->writer, &record, err) != 0) {
        return -1;
    }
    if (record == NULL && writer_check_first(publisher->writer, err) != 0) {
        return -1;
    }
    answer(publisher, &(struct answer){.saying = POSITION, .record = record, .published = writer_published(publisher->writer)});
    return 0;
}

static int prepare(struct publisher *publisher, struct command *command, struct err *err)
{
    struct answer prepared = {.saying = PREPARED};
    int status = command->err.class == ERR_NONE ? 0 : -1;

    *err = command->err;
    if (status == 0) {
        status = writer_prepare(publisher->writer, &command->table, &prepared.topic_id, &prepared.ids, err);
    }
    if (status != 0 && err->class != ERR_POISON) {
        return -1;
    }
    prepared.saying = status == 0 ? PREPARED : REFUSED;
    prepared.err = *err;
    answer(publisher, &prepared);
    return 0;
}

static int cut(struct publisher *publisher, struct command *command, struct err *err)
{
    struct answer committed = {.saying = COMMITTED};
    json_t *state = command->state;

    command->state = NULL;
    if (writer_cut(publisher->writer, state, &committed.delivered, err) != 0) {
        return -1;
    }
    answer(publisher, &committed);
    return 0;
}

static int give(struct publisher *publisher, struct command *command, struct err *err)
{
    struct parcel *parcel = command->parcel;

    command->parcel = NULL;
    return writer_give(publisher->writer, parcel, err);
}

static int carry_out(struct publisher *publisher, struct command *command, struct err *err)
{
    switch (command->verb) {
    case OPEN:
        return say(publisher, OPENED, writer_open(publisher->writer, false, err));
    case FENCE:
        return say(publisher, FENCED, writer_fence(publisher->writer, err));
    case READ:
        return read_position(publisher, err);
    case PREPARE:
        return prepare(publisher, command, err);
    case GIVE:
        return give(publisher, command, err);
    case CUT:
        return cut(publisher, command, err);
    default: /* ABANDON, CLOSE */
        writer_abandon(publisher->writer);
        return 0;
    }
}

/* Whatever of it was not used up. */
static void free_command(struct publisher *publisher, struct command *command)
{
    if (command->verb == GIVE && command->parcel != NULL) {
        on_settled(publisher, command->parcel);
    } else if (command->verb == PREPARE) {
        groundwork_table_deinit(&command->table);
    } else if (command->verb == CUT) {
        json_decref(command->state);
    }
    free(command);
}

static void work(void *context)
{
    struct publisher *publisher = context;
    bool closing = false;

    while (!closing) {
        struct command *command = next_command(publisher);
        struct err err = {0};

        if (command == NULL) {
            writer_poll(publisher->writer);
            continue;
        }
        closing = command->verb == CLOSE;
        publisher->working = command->round;
        if (!is_cancelled(publisher) && command->round != publisher->failed && carry_out(publisher, command, &err) != 0) {
            say_failed(publisher, &err);
        }
        free_command(publisher, command);
    }
    writer_free(publisher->writer);
    answer(publisher, &(struct answer){.saying = ENDED});
}

/* ---- the loop */

static void on_closed(uv_handle_t *handle)
{
    struct publisher *publisher = handle->data;
    void (*closed)(void *context) = publisher->closed;
    void *closed_context = publisher->closed_context;

    must(publisher->free_count == publisher->parcel_count); /* P1 */
    while (publisher->free_parcels != NULL) {
        struct parcel *parcel = publisher->free_parcels;

        publisher->free_parcels = parcel->next;
        parcel_free(parcel);
    }
    uv_mutex_destroy(&publisher->mutex);
    uv_cond_destroy(&publisher->wake);
    free(publisher);
    closed(closed_context);
}

static void hear(struct publisher *publisher, const struct answer *what)
{
    const struct publisher_calls *calls = &publisher->calls;

    switch (what->saying) {
    case OPENED:
        calls->opened(calls->context);
        break;
    case FENCED:
        calls->fenced(calls->context);
        break;
    case POSITION:
        calls->position(calls->context, what->record, what->published);
        break;
    case PREPARED:
        calls->prepared(calls->context, what->topic_id, &what->ids);
        break;
    case COMMITTED:
        calls->committed(calls->context, &what->delivered);
        break;
    case ROOM:
        calls->room(calls->context);
        break;
    case TOO_LARGE:
        calls->too_large(calls->context, what->seq, what->idx);
        break;
    case REFUSED:
        calls->refused(calls->context, &what->err);
        break;
    case FAILED:
        calls->failed(calls->context, &what->err, what->fenced_off);
        break;
    case ENDED:
        must(uv_thread_join(&publisher->thread) == 0);
        uv_close((uv_handle_t *)&publisher->answered, on_closed);
        break;
    }
}

static struct answer *take_answer(struct publisher *publisher)
{
    struct answer *what;

    uv_mutex_lock(&publisher->mutex);
    what = publisher->answers;
    if (what != NULL) {
        publisher->answers = what->next;
        if (publisher->answers == NULL) {
            publisher->answers_end = &publisher->answers;
        }
    }
    uv_mutex_unlock(&publisher->mutex);
    return what;
}

/* One at a time: what it calls may begin a new round, which voids those behind it. Room is room in any round. */
static void on_answered(uv_async_t *async)
{
    struct publisher *publisher = async->data;
    struct answer *what;
    bool ended = false;

    while (!ended && (what = take_answer(publisher)) != NULL) {
        ended = what->saying == ENDED;
        if (what->round == publisher->round || (what->saying == ROOM && publisher->closed == NULL)) {
            hear(publisher, what);
        }
        json_decref(what->record);
        json_decref(what->published);
        free(what->delivered.items);
        free(what);
    }
}

static void make_parcels(struct publisher *publisher)
{
    size_t each = PARCEL_BYTES + PARCEL_MESSAGES * sizeof(struct parcel_entry);
    size_t count = (size_t)publisher->settings->producer.memory_bytes / 4 / each; /* a quarter of the ceiling */

    publisher->parcel_count = count > PARCELS_MIN ? count : PARCELS_MIN;
    for (size_t i = 0; i < publisher->parcel_count; i++) {
        (void)put_back(publisher, parcel_new());
    }
}

int publisher_new(uv_loop_t *loop, const struct settings *settings, const struct publisher_calls *calls,
                  struct publisher **ret_publisher, struct err *err)
{
    struct publisher *publisher = calloc(1, sizeof *publisher);
    const struct writer_calls writer_calls = {publisher, is_cancelled, on_settled, on_wake};

    must(publisher != NULL);
    if (writer_new(settings, &writer_calls, &publisher->writer, err) != 0) {
        free(publisher);
        return -1;
    }
    publisher->settings = settings;
    publisher->calls = *calls;
    publisher->commands_end = &publisher->commands;
    publisher->answers_end = &publisher->answers;
    must(uv_mutex_init(&publisher->mutex) == 0 && uv_cond_init(&publisher->wake) == 0);
    must(uv_async_init(loop, &publisher->answered, on_answered) == 0);
    publisher->answered.data = publisher;
    begin_round(publisher);
    make_parcels(publisher);
    must(uv_thread_create(&publisher->thread, work, publisher) == 0);
    *ret_publisher = publisher;
    return 0;
}

static void command(struct publisher *publisher, enum verb verb)
{
    give_command(publisher, &(struct command){.verb = verb});
}

void publisher_open(struct publisher *publisher)
{
    begin_round(publisher);
    command(publisher, OPEN);
}

void publisher_fence(struct publisher *publisher)
{
    begin_round(publisher);
    command(publisher, FENCE);
}

void publisher_read(struct publisher *publisher)
{
    command(publisher, READ);
}

void publisher_abandon(struct publisher *publisher)
{
    begin_round(publisher);
    command(publisher, ABANDON);
}

void publisher_close(struct publisher *publisher, void (*closed)(void *context), void *context)
{
    publisher->closed = closed;
    publisher->closed_context = context;
    begin_round(publisher);
    command(publisher, CLOSE);
}

void publisher_prepare(struct publisher *publisher, const struct schema *schema, bool again)
{
    struct command prepare_command = {.verb = PREPARE};

    (void)!groundwork_table_init(&prepare_command.table, publisher->settings, schema, &prepare_command.err); /* err is the answer */
    prepare_command.table.again = again;
    give_command(publisher, &prepare_command);
}

struct parcel *publisher_parcel(struct publisher *publisher)
{
    struct parcel *parcel;

    uv_mutex_lock(&publisher->mutex);
    parcel = publisher->free_parcels;
    if (parcel != NULL) {
        publisher->free_parcels = parcel->next;
        publisher->free_count--;
        parcel->next = NULL;
    } else {
        publisher->room_wanted = true;
    }
    uv_mutex_unlock(&publisher->mutex);
    return parcel;
}

void publisher_give(struct publisher *publisher, struct parcel *parcel)
{
    give_command(publisher, &(struct command){.verb = GIVE, .parcel = parcel});
}

void publisher_return(struct publisher *publisher, struct parcel *parcel)
{
    (void)put_back(publisher, parcel);
}

void publisher_cut(struct publisher *publisher, json_t *state)
{
    give_command(publisher, &(struct command){.verb = CUT, .state = state});
}
