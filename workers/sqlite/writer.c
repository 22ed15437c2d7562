/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   loop's thread                               writer's thread
 *   give --> queue (mutex, condition) --------> take all that waits
 *                                                 SENDs in a row: one transaction, a savepoint for each
 *                                                 RECOVER, ENSURE: a transaction each
 *   done <-- on_async <-- done list (mutex) <---- answers
 *
 * Group commit: while one transaction is written, requests of other partitions gather; they share the next one. A commit
 * costs the same for one request and for fifty.
 *
 * I1  A request's rows and its new offset are in one transaction, or neither is in. I2  The offset moves only from the
 * request's start, under the epoch of its lane (offsets.h): it is checked before the rows are
 *     touched. Not moved: another owner, or a request out of turn; nothing is written, the answer is SURPRISE. So a late request
 *     of a replaced owner (C1), or one repeated after an unclear commit, can't add rows.
 * I3  IN is answered only behind a successful COMMIT.
 *
 * A locked file is waited for once for all that was taken from the queue; what comes behind is tried without waiting, so that
 * no number of lanes can hold up a stop.
 *
 * What can go wrong, and who pays: a row that is refused (ERR_POISON) rolls back its own request, after the other rows of it
 * were tried too, so that all bad ones are named at once. A request that can't work (ERR_FATAL: its table is gone) is rolled
 * back alone. Anything that will pass (locked, full, I/O) ends the transaction: its requests are answered PAUSE and come again.
 * If even that COMMIT had reached the disk, I2 turns the repeated request into a SURPRISE, and recovery reads what is in.
 */
#include "workers/sqlite/writer.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "workers/sqlite/file.h"
#include "workers/sqlite/layout.h"
#include "workers/sqlite/rows.h"

#define GROUP_MAX 64 /* requests of one transaction: the write lock is not held for ever */

struct list {
    struct sqlite_command *first;
    struct sqlite_command **end; /* where the next one goes */
};

struct sqlite_writer {
    uv_thread_t thread;
    uv_async_t async;
    uv_mutex_t mutex;
    uv_cond_t wake;
    struct list queue; /* under the mutex */
    struct list done;  /* under the mutex */
    bool stopping;     /* under the mutex */
    bool ended;        /* under the mutex: the thread does nothing more */

    struct sqlite_file file; /* the thread's */
    struct sqlite_rows rows; /* the thread's */
    char *view_pattern;

    size_t depth; /* the loop's, like all below */
    sqlite_command_done on_done;
    void *context;
    void (*freed)(void *context);
    void *freed_context;
};

static void list_init(struct list *list)
{
    *list = (struct list){.first = NULL, .end = NULL};
    list->end = &list->first;
}

static void list_add(struct list *list, struct sqlite_command *command)
{
    command->_next = NULL;
    *list->end = command;
    list->end = &command->_next;
}

static struct sqlite_command *list_take_all(struct list *list)
{
    struct sqlite_command *first = list->first;

    list_init(list);
    return first;
}

/* ---- the writer's thread */

static enum lane_answer answer_by_class(enum err_class class)
{
    switch (class) {
    case ERR_NONE:
        return LANE_IN;
    case ERR_POISON:
        return LANE_BAD_ROWS;
    case ERR_RETRY:
        return LANE_PAUSE;
    case ERR_FATAL:
    case ERR_CANCELED:
        break;
    }
    return LANE_STOP;
}

static void add_bad_row(struct sqlite_command *command, size_t row)
{
    if (command->bad_rows == NULL) {
        command->bad_rows = calloc(command->row_count, sizeof *command->bad_rows);
        must(command->bad_rows != NULL);
    }
    command->bad_rows[command->bad_row_count++] = row;
}

/* 0: all rows were tried, err and bad_rows name those refused; -1: err says what else went wrong. */
static int insert_rows(struct sqlite_writer *writer, struct sqlite_command *command)
{
    for (size_t i = 0; i < command->row_count; i++) {
        struct err err;

        if (command->dropped != NULL && command->dropped[i]) {
            continue;
        }
        if (sqlite_rows_insert(&writer->rows, &writer->file, &command->rows[i], &err) == 0) {
            continue;
        }
        if (command->bad_row_count == 0 || err.class != ERR_POISON) {
            command->err = err;
        }
        if (err.class == ERR_POISON) {
            add_bad_row(command, i);
        }
        if (err.class != ERR_POISON || !sqlite_file_in_transaction(&writer->file)) {
            return -1;
        }
    }
    return 0;
}

static int write_inside_savepoint(struct sqlite_writer *writer, struct sqlite_command *command)
{
    bool moved;

    if (sqlite_offsets_advance(&writer->file, &command->place, &moved, &command->err) != 0) {
        return -1;
    }
    if (!moved) {
        command->answer = LANE_SURPRISE;
        return err_set(&command->err, ERR_RETRY, "partition %d of %s is not at offset %lld of this owner in %s: recovering",
                       command->place.partition, command->place.topic, (long long)command->place.start, writer->file.path);
    }
    return insert_rows(writer, command) != 0 || command->bad_row_count > 0 ? -1 : 0;
}

/* 0: the command has its answer, and the transaction goes on; -1: the transaction is lost, command->err says by what. */
static int write_one(struct sqlite_writer *writer, struct sqlite_command *command)
{
    struct err err;

    if (sqlite_file_run(&writer->file, "SAVEPOINT request", "beginning a request", &command->err) != 0) {
        return -1;
    }
    command->answer = LANE_IN;
    if (write_inside_savepoint(writer, command) == 0) {
        return sqlite_file_run(&writer->file, "RELEASE request", "ending a request", &command->err);
    }
    if (command->answer == LANE_IN) {
        command->answer = answer_by_class(command->err.class);
        command->bad_row_count = command->answer == LANE_BAD_ROWS ? command->bad_row_count : 0;
    }
    if (command->answer == LANE_PAUSE || !sqlite_file_in_transaction(&writer->file)) {
        return -1;
    }
    return sqlite_file_run(&writer->file, "ROLLBACK TO request; RELEASE request", "rolling back a request", &err);
}

/* The transaction is lost: what would have been in comes again. */
static void fail_group(struct sqlite_command **group, size_t count, const struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (group[i]->answer == LANE_IN) {
            group[i]->answer = answer_by_class(err->class);
            group[i]->err = *err;
        }
    }
}

static void write_group(struct sqlite_writer *writer, struct sqlite_command **group, size_t count)
{
    struct err err;

    for (size_t i = 0; i < count; i++) {
        group[i]->answer = LANE_IN;
    }
    if (sqlite_file_open(&writer->file, &err) != 0 || sqlite_file_begin(&writer->file, &err) != 0) {
        fail_group(group, count, &err);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (write_one(writer, group[i]) != 0) {
            sqlite_file_rollback(&writer->file);
            (void)err_set(&err, ERR_RETRY, "rolled back with a request that failed: %.400s", group[i]->err.text);
            fail_group(group, count, &err);
            return;
        }
    }
    if (sqlite_file_commit(&writer->file, &err) != 0) {
        fail_group(group, count, &err);
    }
}

static void recover(struct sqlite_writer *writer, struct sqlite_command *command)
{
    int result = sqlite_file_open(&writer->file, &command->err);

    if (result == 0) {
        result = sqlite_offsets_take(&writer->file, command->place.topic, command->place.partition, &command->epoch,
                                     &command->next, &command->err);
    }
    must(result == 0 || command->err.class != ERR_NONE);
}

static void ensure(struct sqlite_writer *writer, struct sqlite_command *command)
{
    int result = sqlite_file_open(&writer->file, &command->err);

    if (result == 0) {
        result = sqlite_layout_ensure(&writer->file, writer->view_pattern, command->schema->table, &command->err);
    }
    must(result == 0 || command->err.class != ERR_NONE);
}

/* Carries out the first command, or the SENDs that stand at the front; returns how many that was. */
static size_t carry_out(struct sqlite_writer *writer, struct sqlite_command *command)
{
    struct sqlite_command *group[GROUP_MAX];
    size_t count = 0;

    switch (command->kind) {
    case SQLITE_RECOVER:
        recover(writer, command);
        return 1;
    case SQLITE_ENSURE:
        ensure(writer, command);
        return 1;
    case SQLITE_CLOSE:
        return 1;
    case SQLITE_SEND:
        break;
    }
    for (; command != NULL && command->kind == SQLITE_SEND && count < GROUP_MAX; command = command->_next) {
        group[count++] = command;
    }
    write_group(writer, group, count);
    return count;
}

/* Waits until there is something to do. NULL: nothing will come any more. */
static struct sqlite_command *take_queue(struct sqlite_writer *writer)
{
    struct sqlite_command *first;

    uv_mutex_lock(&writer->mutex);
    while (writer->queue.first == NULL && !writer->stopping) {
        uv_cond_wait(&writer->wake, &writer->mutex);
    }
    first = list_take_all(&writer->queue);
    uv_mutex_unlock(&writer->mutex);
    return first;
}

static struct sqlite_command *give_back(struct sqlite_writer *writer, struct sqlite_command *first, size_t count)
{
    uv_mutex_lock(&writer->mutex);
    while (count-- > 0) {
        struct sqlite_command *next = first->_next;

        list_add(&writer->done, first);
        first = next;
    }
    uv_mutex_unlock(&writer->mutex);
    (void)uv_async_send(&writer->async);
    return first;
}

static void run(void *argument)
{
    struct sqlite_writer *writer = argument;
    struct sqlite_command *first;

    while ((first = take_queue(writer)) != NULL) {
        sqlite_file_patience(&writer->file, true);
        while (first != NULL) {
            first = give_back(writer, first, carry_out(writer, first));
            if (writer->file.was_locked) {
                sqlite_file_patience(&writer->file, false);
            }
        }
    }
    uv_mutex_lock(&writer->mutex);
    writer->ended = true;
    uv_mutex_unlock(&writer->mutex);
    (void)uv_async_send(&writer->async);
}

/* ---- the loop's thread */

static void on_closed(uv_handle_t *handle)
{
    struct sqlite_writer *writer = handle->data;
    void (*freed)(void *context) = writer->freed;
    void *context = writer->freed_context;

    sqlite_rows_deinit(&writer->rows);
    sqlite_file_deinit(&writer->file);
    uv_cond_destroy(&writer->wake);
    uv_mutex_destroy(&writer->mutex);
    free(writer->view_pattern);
    free(writer);
    if (freed != NULL) {
        freed(context);
    }
}

static void on_async(uv_async_t *async)
{
    struct sqlite_writer *writer = async->data;
    struct sqlite_command *command;
    bool ended;

    uv_mutex_lock(&writer->mutex);
    command = list_take_all(&writer->done);
    ended = writer->ended;
    uv_mutex_unlock(&writer->mutex);
    while (command != NULL) {
        struct sqlite_command *next = command->_next;

        writer->depth--;
        writer->on_done(writer->context, command);
        command = next;
    }
    if (ended && !uv_is_closing((uv_handle_t *)async)) {
        must(uv_thread_join(&writer->thread) == 0);
        uv_close((uv_handle_t *)async, on_closed);
    }
}

int sqlite_writer_new(uv_loop_t *loop, const char *path, const char *view_pattern, sqlite_command_done done, void *context,
                      struct sqlite_writer **ret_writer, struct err *err)
{
    struct sqlite_writer *writer = calloc(1, sizeof *writer);

    must(writer != NULL);
    sqlite_file_init(&writer->file, path);
    if (sqlite_file_open(&writer->file, err) != 0 && err->class == ERR_FATAL) {
        sqlite_file_deinit(&writer->file);
        free(writer);
        return -1;
    }
    writer->view_pattern = must_strdup(view_pattern);
    sqlite_rows_init(&writer->rows, writer->view_pattern);
    writer->on_done = done;
    writer->context = context;
    list_init(&writer->queue);
    list_init(&writer->done);
    must(uv_mutex_init(&writer->mutex) == 0 && uv_cond_init(&writer->wake) == 0);
    must(uv_async_init(loop, &writer->async, on_async) == 0);
    writer->async.data = writer;
    must(uv_thread_create(&writer->thread, run, writer) == 0);
    *ret_writer = writer;
    return 0;
}

void sqlite_writer_give(struct sqlite_writer *writer, struct sqlite_command *command)
{
    bool full = writer->depth >= SQLITE_QUEUE_MAX && command->kind != SQLITE_CLOSE;

    if (full) {
        (void)err_set(&command->err, ERR_RETRY, "%d commands wait for the writer of %s already", SQLITE_QUEUE_MAX,
                      writer->file.path);
        command->answer = LANE_PAUSE;
    }
    writer->depth++;
    uv_mutex_lock(&writer->mutex);
    list_add(full ? &writer->done : &writer->queue, command);
    uv_cond_signal(&writer->wake);
    uv_mutex_unlock(&writer->mutex);
    if (full) {
        (void)uv_async_send(&writer->async);
    }
}

size_t sqlite_writer_depth(const struct sqlite_writer *writer)
{
    return writer->depth;
}

void sqlite_writer_free(struct sqlite_writer *writer, void (*freed)(void *context), void *context)
{
    must(writer->depth == 0);
    writer->freed = freed;
    writer->freed_context = context;
    uv_mutex_lock(&writer->mutex);
    writer->stopping = true;
    uv_cond_signal(&writer->wake);
    uv_mutex_unlock(&writer->mutex);
}
