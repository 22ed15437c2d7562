/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader: a thread that owns one connection to a server, from connecting to closing, and hands its bytes to the loop.
 *
 * What blocks (connecting, SQL, reading) happens on the thread. Between the two stands a ring of bytes, made at start: when the loop
 * doesn't take, the ring fills, the thread stops reading, and TCP stops the server (promise P6). A reader lives for one connection;
 * a new connection is a new reader.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_READER_H
#define KAKEHI_PRODUCER_BINLOG_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "common/err.h"
#include "producer/binlog/resume.h"

#define BINLOG_PIECE_MAX (256 * 1024) /* the most that one read takes, and one take gives */

struct binlog_connection;

/* All but `interrupt` and `free` are called on the reader's thread, `open` first and `close` last, each once, also after a failed
 * open. */
struct binlog_connection_calls {
    /* Connects, finds out where to begin, fills `facts` and `place`, and asks for the log from there. */
    int (*open)(struct binlog_connection *connection, struct err *err);
    /* Blocks. 1 to `size` bytes, or -1. */
    ssize_t (*read)(struct binlog_connection *connection, uint8_t *bytes, size_t size, struct err *err);
    void (*close)(struct binlog_connection *connection);
    /* Any thread, at any time: the call under way, and all later ones, end soon. */
    void (*interrupt)(struct binlog_connection *connection);
    void (*free)(struct binlog_connection *connection); /* with what `open` filled */
};

struct binlog_connection {
    const struct binlog_connection_calls *calls;
    struct binlog_facts facts; /* once open */
    struct binlog_place place; /* once open: where the bytes begin */
    bool rival;                /* once failed: another reader with our server id took over */
};

enum binlog_reader_item {
    READER_EMPTY,  /* on_ready will be called */
    READER_OPENED, /* once, before all bytes */
    READER_BYTES,
    READER_ENDED,  /* err says why; after all bytes; from then on always */
};

struct binlog_reader;

/* Starts the thread. Takes the connection. on_ready is called on the loop when take is worth calling (again). */
struct binlog_reader *binlog_reader_start(uv_loop_t *loop, struct binlog_connection *connection, size_t ring_bytes,
                                          void (*on_ready)(void *context), void *context);
/* Bytes are borrowed until the next take. */
enum binlog_reader_item binlog_reader_take(struct binlog_reader *reader, const uint8_t **ret_bytes, size_t *ret_size, struct err *err);
/* Borrowed; what `open` filled is to be read only after READER_OPENED, `rival` after READER_ENDED. */
const struct binlog_connection *binlog_reader_connection(const struct binlog_reader *reader);
/* Asynchronous, last: ends connection and thread wherever they are; the reader is freed before `closed` is called. */
void binlog_reader_close(struct binlog_reader *reader, void (*closed)(void *context), void *context);

#endif
