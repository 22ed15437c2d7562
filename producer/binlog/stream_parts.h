/* SPDX-License-Identifier: Apache-2.0 */
/* stream_parts: what stream.c, stream_events.c, stream_rows.c, stream_payload.c and stream_fragments.c share. Nobody else includes it. */
#ifndef KAKEHI_PRODUCER_BINLOG_STREAM_PARTS_H
#define KAKEHI_PRODUCER_BINLOG_STREAM_PARTS_H

#include "common/buffer.h"
#include "common/sm.h"
#include "common/text_list.h"
#include "producer/binlog/assembly.h"
#include "producer/binlog/doubts.h"
#include "producer/binlog/gtid_event.h"
#include "producer/binlog/payload.h"
#include "producer/binlog/query.h"
#include "producer/binlog/row.h"
#include "producer/binlog/scratch.h"
#include "producer/binlog/stream.h"
#include "producer/binlog/tables.h"

/* Which part of a transaction comes next; the picture is in stream_events.c. */
enum { GROUP_OUTSIDE, GROUP_OPENED, GROUP_INSIDE, GROUP_IMPLICIT };

enum rows_phase { ROWS_NONE, ROWS_HEAD, ROWS_IMAGES };

/* A rows event that comes in fragments; the picture is in stream_fragments.c. */
struct fragments {
    enum { FRAGMENTS_CLOSED, FRAGMENTS_FIELDS, FRAGMENTS_DATA, FRAGMENTS_NEXT } phase;
    uint32_t total;
    uint32_t number; /* of the one in hand, from 1; 0: none was opened */
    uint64_t due;    /* bytes of the rows event that are still to come */
    uint8_t header[EVENT_HEADER_SIZE];
};

/* What a step came to: an item, or nothing that is seen outside. */
#define GO_ON (-1)

struct binlog_stream {
    struct binlog_stream_options options;
    struct seals seals;        /* of the large compressed transaction that was met last */
    struct assembly outer;     /* the events that come from outside */
    struct assembly inner;     /* those inside a compressed one, or in fragments; valid while one is open */
    struct assembly *assembly; /* whose event is in hand */
    struct payload payload;
    struct fragments fragments;
    struct doubts doubts;
    bool names_lower; /* binlog_stream_take_name_case */
    struct tables *tables;

    /* where */
    char file[sizeof((struct binlog_transaction *)0)->file];
    uint64_t event_position; /* where the event in hand begins */
    uint64_t event_end;      /* behind it */
    uint64_t position;       /* binlog_stream_position */

    /* the transaction in hand */
    struct sm group;
    struct binlog_transaction transaction;
    uint64_t images;
    bool xa;                   /* whether its rows are committed or prepared is not known before its end */
    bool xa_prepared;          /* they are prepared */
    struct table *xa_table;    /* owned; the name of the table of the first rows of it that were wanted; NULL: none were */
    struct text_list prepared; /* XA transactions without rows for us that were prepared and not ended */
    bool gtids_seen;           /* in this file: then no transaction is without one */
    bool undone;               /* its statement is not done, or will not be: see gtid_event.h */

    /* what the event in hand still has to yield, in this order */
    bool begin_due;
    bool payload_due; /* it is compressed, or a fragment, and not opened yet */
    struct buffer query_text; /* of the statement in hand, where it is not UTF-8 by itself */
    struct buffer query_lower; /* the same in lower case, where the server's names are */
    struct query query; /* whose emptied or changed tables are yielded one by one */
    size_t emptied;     /* how many are */
    enum rows_phase rows_phase;
    struct rows_head rows;
    const struct tables_entry *rows_table;
    int end_due; /* BINLOG_COMMIT, BINLOG_ROLLED_BACK or BINLOG_IDLE; GO_ON: none */

    struct binlog_row row;
    struct scratch scratch;
    struct cell *before; /* cells_capacity each */
    struct cell *after;
    size_t cells_capacity;
    struct err failure; /* ERR_NONE: none yet */
};

/* stream.c: remembers the failure, with file and position in front. Returns BINLOG_FAILED. */
int stream_failed(struct binlog_stream *stream, const struct err *err);
__attribute__((format(printf, 2, 3))) int stream_refuse(struct binlog_stream *stream, const char *format, ...);

/* stream.c: where the event begins and ends. */
void stream_place_event(struct binlog_stream *stream, const struct event *event);

/* stream_events.c */
void stream_group_init(struct binlog_stream *stream);
/* The event in hand, which is whole or of rows. */
int stream_on_event(struct binlog_stream *stream);
/* The rows event in hand is behind us. */
void stream_on_rows_end(struct binlog_stream *stream);

/* stream_payload.c. A payload is open: also one whose bytes are the fragments of a rows event. */
bool stream_in_payload(const struct binlog_stream *stream);
int stream_open_payload(struct binlog_stream *stream);
void stream_close_payload(struct binlog_stream *stream);
/* The assembly in hand is out of bytes: asks for input, unless a payload has more. */
int stream_input(struct binlog_stream *stream);
void stream_open_inner(struct binlog_stream *stream);
/* More bytes of the outer event, which is open, are needed. */
int stream_more_payload(struct binlog_stream *stream);
/* A copy of an event's header, with that type and size, and without a place. */
void stream_make_header(uint8_t ret_header[EVENT_HEADER_SIZE], const uint8_t *header, uint8_t type, uint32_t size);
/* May such an event not stand inside a payload? */
bool stream_belongs_outside(uint8_t event_type);

/* stream_fragments.c */
bool stream_in_fragments(const struct binlog_stream *stream);
/* The outer event is a fragment, and not opened yet. */
int stream_open_fragment(struct binlog_stream *stream);
/* The rows event in fragments needs more bytes. */
int stream_feed_fragment(struct binlog_stream *stream);

/* Rows of the transaction in hand that are wanted are prepared, and not committed. */
int stream_refuse_prepared(struct binlog_stream *stream, const struct table *table);

/* stream_rows.c */
/* The next row of the rows event in hand. */
int stream_next_row(struct binlog_stream *stream);
/* The next table that the statement in hand emptied, or may have changed. */
int stream_next_emptied(struct binlog_stream *stream);

#endif
