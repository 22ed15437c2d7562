/* SPDX-License-Identifier: Apache-2.0 */
/* binlog_log: recorded and hand-made binlogs for tests: read, build, damage, play, and compare. */
#ifndef KAKEHI_TESTS_UNIT_BINLOG_LOG_H
#define KAKEHI_TESTS_UNIT_BINLOG_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"
#include "producer/binlog/stream.h"

/* A file of tests/data/binlog, unpacked. */
struct buffer log_load(const char *name);
/* The magic and the FORMAT_DESCRIPTION of a recorded log: what a hand-made one begins with. */
struct buffer log_begin(const char *like);
/* Appends an event; with a checksum if `checksummed`. */
void log_event_add(struct buffer *log, uint8_t type, uint16_t flags, const void *body, size_t body_size, bool checksummed);
/* A QUERY event of a statement in database `db`. */
void log_query_add(struct buffer *log, const char *text);
/* The same, of a client whose character set is that of the collation. */
void log_query_add_in(struct buffer *log, uint16_t collation, const char *text);
/* The offset of the event of that number, from 0; log.size if there is none. */
size_t log_event_at(const struct buffer *log, size_t number);
/* The offset of the nth event (from 0) of a type. */
size_t log_find(const struct buffer *log, uint8_t type, size_t nth);
uint32_t log_event_size(const struct buffer *log, size_t offset);
/* Gives the event at the offset the checksum that it should have. */
void log_mend(struct buffer *log, size_t offset);
/* The log as a server would send it: an artificial ROTATE to "binlog.000001", then the events, in packets. */
struct buffer log_packets(const struct buffer *log);
/* Appends one message as packets of at most packet_max bytes (MySQL: 0xffffff). */
void log_packet_add(struct buffer *packets, uint8_t *sequence, const uint8_t *message, size_t size, size_t packet_max);

struct played {
    struct buffer
        lines; /* one a row that is verified: "gtid idx op table", then the cells before and after, as in *.expected */
    size_t verified_size;
    struct buffer items; /* a letter an item: B, R, C, I, X (rolled back), W (again), F */
    enum binlog_item last;
    struct err err; /* of the failure */
    size_t row_count;
    bool failed;
    bool came_unverified; /* something came while not cuttable */
    bool again;           /* it asked for the log once more, and got it */
};

struct play_options {
    struct binlog_stream_options stream;
    size_t piece_size;    /* 0: all at once */
    size_t flip_again_at; /* a bit of this byte is another one when the log comes again; 0: none */
};

/* Plays the whole log, up to its end or a failure. */
struct played log_play(const struct buffer *log, const struct play_options *options);
void played_deinit(struct played *played);
/* The other log, played like that, gives the rows and borders of the log, which is a file. */
void log_assert_same(const struct buffer *log, const struct buffer *other, const struct play_options *options);

/* A row of a table as in *.expected: "name\tcell\tcell...". */
void log_append_cells(struct buffer *out, const struct table *table, const struct cell *cells);

#endif
