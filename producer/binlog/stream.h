/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream: bytes of a binlog in, row changes and transaction borders out. Pure: no socket, no file, no clock, no thread.
 *
 * The same decoder serves the live stream (packets of a dump), `decode` (files) and the fuzzers. It is pulled:
 * binlog_stream_next says what comes next, or asks for input; so a full queue downstream simply stops asking. Input comes in
 * pieces of any size that know nothing of events: a piece may end inside a packet header, an event header, or a row. What must
 * be whole in memory is one row (a rows event is walked row by row, however large), or one event of another kind
 * (EVENT_BYTES_MAX; of a QUERY only its beginning is kept).
 *
 * Checksums: an event of up to CHECKED_WHOLE_MAX bytes is verified before anything of it is yielded. A larger rows event is
 * yielded row by row and verified at its end; until then binlog_stream_cuttable is false, so that nothing of it is committed. A compressed
 * transaction larger than that is read twice, with the option `twice`: BINLOG_AGAIN, and then verified piece by piece (seals.h).
 *
 * Refused loudly (BINLOG_FAILED, ERR_FATAL, with file, position and what to do): unknown events without the ignorable flag
 * 0x80, events that a later version will know, changes in statement format, incidents, metadata without column
 * names or signs where they are needed, a column type that is not handled (a table error: the text names table and column),
 * MINIMAL or NOBLOB images of a selected table. Never a guess, never a skip.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_STREAM_H
#define KAKEHI_PRODUCER_BINLOG_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "producer/binlog/column_names.h"
#include "schemas/table.h"

enum binlog_framing {
    BINLOG_PACKETS, /* MySQL packets of a dump: 3-byte length, sequence number, 0x00, event */
    BINLOG_FILE,    /* a binlog file: magic fe 62 69 6e, then bare events */
};

enum binlog_flavor { BINLOG_MYSQL, BINLOG_MARIADB }; /* found in the FORMAT_DESCRIPTION event */

enum binlog_unrepresentable { BINLOG_STOP, BINLOG_NULL, BINLOG_TEXT, BINLOG_LETTER };

struct zone;

struct binlog_choice { /* what the settings say of a column */
    enum binlog_unrepresentable unrepresentable;
    enum binlog_unrepresentable wide_decimal; /* of a COLUMN_DECIMAL_TEXT; BINLOG_TEXT: it stays that */
    const struct zone *zone; /* of DATETIME; NULL: it has none */
};

struct binlog_stream_options {
    enum binlog_framing framing;
    /* Is this table wanted? Asked once for each TABLE_MAP that is new. Rows of others are counted and not yielded. NULL: all.
     */
    bool (*selected)(void *context, const char *database, const char *table);
    void *context;
    /* Did a person name this table as one that is not wanted? Of such a one alone a statement may change rows. NULL: of none.
     * The same context. */
    bool (*excluded)(void *context, const char *database, const char *table);
    /* What is chosen for a column of a table? NULL: nothing for any. */
    void (*choose)(void *context, const char *database, const char *table, const char *column, struct binlog_choice *ret_choice);
    void *choose_context;
    /* MariaDB's log does not tell all types (marks.h): BINLOG_ASK where the server must be asked. Off: such columns stay bytes or text. */
    bool ask;
    bool twice; /* BINLOG_AGAIN may be said */
    /* decode of an old log: columns without names become c1, c2, ...; a missing sign is taken as signed. Off in the live
     * stream. */
    bool names_optional;
    uint64_t memory_bytes; /* producer.memory, into which the window of a compressed transaction must fit (payload.h); 0: there is no ceiling */
    size_t row_bytes_max;  /* a row above this is refused; 0: 1 GiB, the most that the protocol allows */
};

/* A table as a TABLE_MAP showed it: borrowed until the next call of binlog_stream_next. A later TABLE_MAP that says the same gives the same
 * version, as long as its shape is remembered (shown.h), another one another version. */
struct binlog_table {
    const struct table *table; /* owned by the stream */
    uint64_t version;          /* grows with each shape that is new; never used again */
};

struct binlog_transaction {
    char gtid[96];  /* "uuid:5", "uuid:tag:5", "0-1-100"; "" where the server gave none */
    char file[256]; /* file and position of the transaction's first event */
    uint64_t position;
    int64_t commit_ts_us; /* immediate commit time where the event has it, else the header's second; microseconds, UTC */
    char dropped_database[260]; /* which it drops, from its statement on; "": none. Emptied are those of its tables that the stream
                                   knows to have rows: which others it had no log tells */
};

struct binlog_row {
    const struct binlog_table *table;
    char op; /* c u d, or t for TRUNCATE, DROP and CREATE OR REPLACE TABLE of a selected table, for one whose name RENAME gives to no other,
                and for all tables that the stream has seen of a database that is dropped, or was told of; of a table that it has not seen, `table` has no columns and no key */
    const struct cell *before; /* u, d; else NULL. Both borrowed until the next call. */
    const struct cell *after;  /* c, u */
    unsigned replaced;         /* values that had no place in their type, and were changed as chosen */
    uint64_t index;            /* of the row image in its transaction, before selection: 0, 1, ...; an update counts once */
    bool rewritten;            /* only with BINLOG_ALTERED, as the next two: see there */
    const struct column_names *drops; /* columns; borrowed until the next call */
    const struct column_names *adds;
};

enum binlog_item {
    BINLOG_INPUT,       /* give more bytes */
    BINLOG_BEGIN,       /* a transaction begins: `transaction` */
    BINLOG_ROW,         /* `row` */
    BINLOG_COMMIT,      /* the transaction is complete: `transaction`, end file and position in the stream */
    BINLOG_IDLE,        /* heartbeat or rotation between transactions; the position may have moved */
    BINLOG_ROLLED_BACK, /* the transaction that began ends without effect (its rows, if any, were of non-transactional engines);
                           its GTID counts as executed at the server */
    BINLOG_ALTERED,     /* a statement may have changed rows of `row`->table without row events, or given it rows that stood in another
                           (`rewritten`); or it only dropped columns of it, or added some that are NULL in all rows */
    BINLOG_ASK,         /* before a row of a table: binlog_stream_take_marks and then binlog_stream_open must follow, and the log
                           comes again from behind the last complete transaction. Only with the option `ask` */
    BINLOG_AGAIN,       /* a large compressed transaction has a good checksum: binlog_stream_open must follow, and the log comes again from
                           behind the last complete transaction; then it can be cut within. Only with the option `twice` */
    BINLOG_FAILED,      /* err says why; nothing further comes */
};

struct binlog_stream;
struct binlog_marks;

struct binlog_stream *binlog_stream_new(const struct binlog_stream_options *options);
void binlog_stream_free(struct binlog_stream *stream); /* takes NULL */

/* There is a table of this name, as far as anybody knows: DROP DATABASE empties it, though no row of it was seen. One that is not selected
 * is forgotten. Before the first binlog_stream_give. */
void binlog_stream_know(struct binlog_stream *stream, const char *database, const char *table);

/* Only after BINLOG_INPUT, or before the first next. The bytes are borrowed until the next BINLOG_INPUT. */
void binlog_stream_give(struct binlog_stream *stream, const uint8_t *bytes, size_t size);
/* Tells the name of the file that follows (decode), or of the file asked for (dump); resets framing to the start of a file or
 * of a dump. Tables stay known. A transaction that is under way is forgotten with a new dump, and goes on in the next file. */
void binlog_stream_open(struct binlog_stream *stream, const char *file, uint64_t position);
/* What the server says at present of MariaDB's columns; takes them. Only before binlog_stream_open. */
void binlog_stream_take_marks(struct binlog_stream *stream, struct binlog_marks *marks);
/* Does the server keep names of databases and tables in lower case, whatever its statements say (name_case.h)? Until then: no. Only before
 * binlog_stream_open. */
void binlog_stream_take_name_case(struct binlog_stream *stream, bool lower);
/* No more bytes will come for this file: fails if that is in the middle of an event. In the middle of a transaction is allowed
 * where another file follows: see binlog_stream_inside. */
int binlog_stream_end(struct binlog_stream *stream, struct err *err) MUST_CHECK;

enum binlog_item binlog_stream_next(struct binlog_stream *stream, struct err *err);

const struct binlog_row *binlog_stream_row(const struct binlog_stream *stream);
const struct binlog_transaction *binlog_stream_transaction(const struct binlog_stream *stream);
/* Behind the last complete transaction, and behind what came between transactions since: where to go on reading. */
const char *binlog_stream_file(const struct binlog_stream *stream);
uint64_t binlog_stream_position(const struct binlog_stream *stream);
/* Where the event in hand begins, in the same file. */
uint64_t binlog_stream_event_position(const struct binlog_stream *stream);
/* Row images of the transaction in hand so far, selected or not: how many must be passed to go on behind the last one. */
uint64_t binlog_stream_images(const struct binlog_stream *stream);
/* Has a transaction begun and not ended? */
bool binlog_stream_inside(const struct binlog_stream *stream);
enum binlog_flavor binlog_stream_flavor(const struct binlog_stream *stream);
/* The version text of the last FORMAT_DESCRIPTION; "" before the first. */
const char *binlog_stream_server_version(const struct binlog_stream *stream);
/* May what was yielded so far be committed? False inside a large event that is not verified yet, inside of an XA transaction that may
 * turn out to be prepared, not committed, and between the tables of a database that is dropped. */
bool binlog_stream_cuttable(const struct binlog_stream *stream);
/* The number of the error packet that ended the stream (1236, ...); 0: it was something else. */
unsigned binlog_stream_server_error(const struct binlog_stream *stream);

#endif
