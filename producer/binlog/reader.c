/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring: `head` counts the bytes ever written, `tail` the bytes ever released. The thread writes between head and tail + size
 * without the lock (nobody else touches that part) and moves head under it; the loop reads between tail and head, and moves tail
 * under it at its next take. So every byte is handed over through the lock.
 *
 *   thread:  open -> OPENED -> (wait for space -> read -> head += n)* -> close -> ENDED -> exit
 *   loop:    take ... close: asked to stop, interrupted; when the thread has exited: join, close the handle, closed()
 *
 * R1  Never more than `size` bytes are read and not released.
 * R2  The loop is woken when it was told EMPTY and there is something new; a busy loop is not woken for each read.
 * R3  The thread waits in two places only: for space (ended by the condition) and inside the connection (ended by interrupt).
 *
 * The thread begins again to read when a good part of the ring is free, not at each released piece: fewer switches.
 */
#include "producer/binlog/reader.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "common/must.h"

struct binlog_reader {
    /* loop only */
    uv_async_t wake;
    void (*on_ready)(void *context);
    void *context;
    void (*closed)(void *context);
    void *closed_context;
    bool opened_told;
    size_t taken; /* bytes lent by the last take */

    pthread_t thread;
    struct binlog_connection *connection;
    uint8_t *ring;
    size_t size;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t space;
    uint64_t head;
    uint64_t tail;
    bool hungry; /* the loop was told EMPTY */
    bool stop;
    bool opened;
    bool ended;  /* `why` is set; no more bytes will come */
    bool exited; /* the connection is closed, the thread touches nothing any more */
    struct err why;
};

/* ---- on the thread */

static void lock(struct binlog_reader *reader)
{
    must(pthread_mutex_lock(&reader->lock) == 0);
}

static void unlock(struct binlog_reader *reader)
{
    must(pthread_mutex_unlock(&reader->lock) == 0);
}

/* Under the lock. R2 */
static void wake_if_hungry(struct binlog_reader *reader)
{
    if (reader->hungry) {
        reader->hungry = false;
        must(uv_async_send(&reader->wake) == 0);
    }
}

static size_t free_bytes(const struct binlog_reader *reader)
{
    return reader->size - (size_t)(reader->head - reader->tail);
}

/* The part of the ring to read into; 0 = stop. */
static size_t wait_for_space(struct binlog_reader *reader, uint8_t **ret_place)
{
    size_t offset;
    size_t size = 0;

    lock(reader);
    if (free_bytes(reader) == 0) {
        while (free_bytes(reader) <= reader->size / 4 && !reader->stop) {
            must(pthread_cond_wait(&reader->space, &reader->lock) == 0);
        }
    }
    if (!reader->stop) {
        offset = (size_t)(reader->head % reader->size);
        size = free_bytes(reader);
        size = size < reader->size - offset ? size : reader->size - offset;
        size = size < BINLOG_PIECE_MAX ? size : BINLOG_PIECE_MAX;
        *ret_place = reader->ring + offset;
    }
    unlock(reader);
    return size;
}

static void give(struct binlog_reader *reader, size_t size)
{
    lock(reader);
    reader->head += size;
    must(reader->head - reader->tail <= reader->size); /* R1 */
    wake_if_hungry(reader);
    unlock(reader);
}

static void read_on(struct binlog_reader *reader, struct err *err)
{
    const struct binlog_connection_calls *calls = reader->connection->calls;
    uint8_t *place = NULL;
    size_t size;

    while ((size = wait_for_space(reader, &place)) > 0) {
        ssize_t count = calls->read(reader->connection, place, size, err);

        if (count < 0) {
            return;
        }
        must(count > 0 && (size_t)count <= size);
        give(reader, (size_t)count);
    }
    err_set(err, ERR_CANCELED, "told to stop");
}

static void tell_opened(struct binlog_reader *reader)
{
    lock(reader);
    reader->opened = true;
    wake_if_hungry(reader);
    unlock(reader);
}

static void tell_ended(struct binlog_reader *reader, const struct err *err)
{
    lock(reader);
    reader->ended = true;
    reader->exited = true;
    reader->why = *err;
    must(uv_async_send(&reader->wake) == 0);
    unlock(reader);
}

static void *run(void *argument)
{
    struct binlog_reader *reader = argument;
    const struct binlog_connection_calls *calls = reader->connection->calls;
    struct err err = {0};

    if (calls->open(reader->connection, &err) == 0) {
        tell_opened(reader);
        read_on(reader, &err);
    }
    calls->close(reader->connection);
    tell_ended(reader, &err);
    return NULL;
}

/* ---- on the loop */

static void on_handle_closed(uv_handle_t *handle)
{
    struct binlog_reader *reader = handle->data;
    void (*closed)(void *context) = reader->closed;
    void *context = reader->closed_context;

    reader->connection->calls->free(reader->connection);
    pthread_mutex_destroy(&reader->lock);
    pthread_cond_destroy(&reader->space);
    free(reader->ring);
    free(reader);
    closed(context);
}

static void on_wake(uv_async_t *wake)
{
    struct binlog_reader *reader = wake->data;
    bool exited;

    if (reader->closed == NULL) {
        reader->on_ready(reader->context);
        return;
    }
    lock(reader);
    exited = reader->exited;
    unlock(reader);
    if (exited && !uv_is_closing((uv_handle_t *)wake)) {
        must(pthread_join(reader->thread, NULL) == 0);
        uv_close((uv_handle_t *)wake, on_handle_closed);
    }
}

/* Signals are the business of the main thread; and OpenSSL writes to sockets without MSG_NOSIGNAL. */
static void start_thread(struct binlog_reader *reader)
{
    sigset_t all;
    sigset_t before;

    (void)sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    must(pthread_create(&reader->thread, NULL, run, reader) == 0);
    must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    (void)pthread_setname_np(reader->thread, "binlog");
}

struct binlog_reader *binlog_reader_start(uv_loop_t *loop, struct binlog_connection *connection, size_t ring_bytes,
                                          void (*on_ready)(void *context), void *context)
{
    struct binlog_reader *reader = calloc(1, sizeof *reader);

    must(reader != NULL && ring_bytes > 0);
    reader->connection = connection;
    reader->on_ready = on_ready;
    reader->context = context;
    reader->size = ring_bytes;
    reader->ring = malloc(ring_bytes);
    must(reader->ring != NULL);
    reader->hungry = true;
    must(pthread_mutex_init(&reader->lock, NULL) == 0);
    must(pthread_cond_init(&reader->space, NULL) == 0);
    must(uv_async_init(loop, &reader->wake, on_wake) == 0);
    reader->wake.data = reader;
    start_thread(reader);
    return reader;
}

static void release_taken(struct binlog_reader *reader)
{
    if (reader->taken > 0) {
        reader->tail += reader->taken;
        reader->taken = 0;
        must(pthread_cond_signal(&reader->space) == 0);
    }
}

static size_t lend(struct binlog_reader *reader, const uint8_t **ret_bytes)
{
    size_t offset = (size_t)(reader->tail % reader->size);
    size_t size = (size_t)(reader->head - reader->tail);

    size = size < reader->size - offset ? size : reader->size - offset;
    size = size < BINLOG_PIECE_MAX ? size : BINLOG_PIECE_MAX;
    *ret_bytes = reader->ring + offset;
    reader->taken = size;
    return size;
}

enum binlog_reader_item binlog_reader_take(struct binlog_reader *reader, const uint8_t **ret_bytes, size_t *ret_size, struct err *err)
{
    enum binlog_reader_item item = READER_EMPTY;

    lock(reader);
    release_taken(reader);
    if (reader->opened && !reader->opened_told) {
        reader->opened_told = true;
        item = READER_OPENED;
    } else if (reader->head > reader->tail) {
        *ret_size = lend(reader, ret_bytes);
        item = READER_BYTES;
    } else if (reader->ended) {
        *err = reader->why;
        item = READER_ENDED;
    } else {
        reader->hungry = true;
    }
    unlock(reader);
    return item;
}

const struct binlog_connection *binlog_reader_connection(const struct binlog_reader *reader)
{
    return reader->connection;
}

void binlog_reader_close(struct binlog_reader *reader, void (*closed)(void *context), void *context)
{
    must(reader->closed == NULL);
    reader->closed = closed;
    reader->closed_context = context;
    lock(reader);
    reader->stop = true;
    must(pthread_cond_signal(&reader->space) == 0);
    unlock(reader);
    reader->connection->calls->interrupt(reader->connection);
    must(uv_async_send(&reader->wake) == 0); /* the thread may have exited long ago */
}
