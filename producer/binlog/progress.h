/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress: how far a source has come in its log, and what order number each transaction has. Pure.
 *
 * It holds the last complete transaction, and of the one in work how many row images were yielded; it writes both into the state
 * record, and takes them up again from it. Rules O1, O2, A5.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_PROGRESS_H
#define KAKEHI_PRODUCER_BINLOG_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/text_list.h"
#include "producer/binlog/dropped_columns.h"
#include "producer/binlog/gtid_set.h"
#include "producer/binlog/resume.h"
#include "producer/binlog/stream.h"

#define PROGRESS_TXID_SIZE 320 /* a GTID, or the longest file name and a position */

struct progress {
    enum binlog_flavor flavor;
    char server[RESUME_SERVER_SIZE];
    struct gtid_set *executed;  /* owned; NULL where the server logs without GTIDs */
    char file[RESUME_FILE_SIZE]; /* the end of the last complete transaction */
    uint64_t position;
    int64_t seq;                /* the last one that was given (O1) */
    int64_t seq_before;         /* the one before the transaction in work: its own is not used up while nothing of it was seen */
    int64_t ts_us;              /* commit time of the last transaction seen; 0: none */

    bool in_transaction;        /* one is in work; the rest is about it */
    bool awaited;               /* it was in work when we stopped: the log must give it again, as the first one */
    char txid[PROGRESS_TXID_SIZE];
    uint64_t rows;              /* row images that were yielded or passed over, before selection (A5) */

    struct text_list reread; /* "db.table": rows that are stored were changed without row events, since the table was read whole */
    struct dropped_columns dropped;

    uint64_t moves;             /* counts whatever changes the state record */
};

/* At a place that a server has confirmed, with nothing in work. */
void progress_init(struct progress *progress, const struct binlog_facts *facts, const struct binlog_place *place);
/* At what a record says. Takes the wish that was made of the same record. Nothing in the record is trusted. */
int progress_from_record(struct progress *progress, const struct binlog_wish *wish, const json_t *record, struct err *err) MUST_CHECK;
void progress_deinit(struct progress *progress); /* {0} is fine */

/* A transaction begins. ERR_FATAL if another one is awaited, or if it should have a GTID and has none. */
int progress_begin(struct progress *progress, const struct binlog_transaction *transaction, struct err *err) MUST_CHECK;
/* Is this row image new? One that an earlier life has yielded is not. */
bool progress_row(struct progress *progress, uint64_t index);
/* The table must be read again some day; lasts in the record. */
void progress_reread(struct progress *progress, const char *table);
/* Its rows that are stored have values of columns that are no more; lasts in the record, also when the table was read again: whether all
 * of it was, nobody says. */
void progress_dropped(struct progress *progress, const char *table, const struct column_names *columns);
/* May it have dropped one of these? */
bool progress_has_dropped(const struct progress *progress, const char *table, const struct column_names *columns);
/* None of the rows that are stored is left: nothing is known of it any more. False: it had not to be read again. */
bool progress_settled(struct progress *progress, const char *table);
/* The transaction is over, with or without effect: its GTID is used up either way. `images`: how many it held. ERR_FATAL if an earlier
 * life has seen more of them. */
int progress_end(struct progress *progress, const struct binlog_transaction *transaction, uint64_t images, const char *file, uint64_t position,
                 struct err *err) MUST_CHECK;
/* The log goes on at another place, between transactions. */
void progress_idle(struct progress *progress, const char *file, uint64_t position);

/* The connection is lost: what is in work will come again from its beginning. */
void progress_await(struct progress *progress);
/* Where the next connection has to begin. The caller deinits it. */
void progress_wish(const struct progress *progress, struct binlog_wish *ret_wish);
/* A new state record. */
json_t *progress_record(const struct progress *progress);
/* How far the order number has run away from the time, because the source's clock stepped (O8); microseconds. */
int64_t progress_clock_gap_us(const struct progress *progress);
/* GTID set (shortened from the front) or file:position, for people. */
void progress_text(const struct progress *progress, char *ret_text, size_t size);

#endif
