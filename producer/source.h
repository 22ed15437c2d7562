/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source: the seam between where changes come from and how they are published.
 *
 * A source is started with the state records that Kafka holds for it, yields changes in its own order, and can say at any cut what
 * state covers everything that it has yielded so far (also in mid-transaction). It is told when a cut is committed. After any
 * unclear commit it is stopped and started again from what Kafka holds: nothing is ever taken again from memory (rule A4).
 *
 * Behind it stands the binlog today; snapshots and files on S3 take the same place. Loop thread only, but for what a source does on
 * threads of its own.
 */
#ifndef KAKEHI_PRODUCER_SOURCE_H
#define KAKEHI_PRODUCER_SOURCE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/text_list.h"
#include "schemas/table.h"

/* The shape of a table as it is from now on. Borrowed like the change that shows it; to know it again there is its version. */
struct source_table {
    const struct table *table;
    uint64_t version; /* stands for this shape alone until stop has answered; the same shape may come again with another one */
};

struct change {
    const struct source_table *table;
    char op;                   /* c u d r t */
    const struct cell *before; /* u, d */
    const struct cell *after;  /* c, u, r */
    int64_t ts_us;             /* commit time at the source, for people (rule O8) */
    int64_t seq;               /* order number of the transaction (rule O1) */
    int64_t idx;               /* 2 x row image, before filters (rule O3); the publishing side adds 1 for the second half of a pair */
    const char *txid;          /* GTID, or file:position of the transaction's start */
};

enum source_next {
    SOURCE_CHANGE, /* *ret_change, borrowed until the next call */
    SOURCE_AGAIN,  /* nothing at the moment; on_ready will be called */
    SOURCE_FAILED, /* err: ERR_RETRY = start again after a pause; ERR_FATAL = stop with this text */
};

struct source_figures {
    int64_t last_ts_us;       /* commit time of the last transaction seen; 0: none */
    int64_t row_images;       /* read since start, before selection */
    int64_t transactions;     /* complete ones since start */
    int64_t bytes;
    char position[512];       /* for people: GTID set (shortened) or file:position */
    char server[128];         /* "MariaDB 10.11.19 at 127.0.0.1:3306" */
    bool connected;           /* else it has nothing more to yield because it can't reach it, not because there is nothing */
    const struct text_list *reread; /* "db.table": tables whose stored rows were changed without row events; NULL: none */
    const char *trouble;      /* why not connected, in words, until the next call of the source; NULL: none met yet */
};

struct source;

struct source_calls {
    /* Begins at the state of the record (NULL: the first run; the settings say where). Answers through on_ready or a failing next.
     * Fails at once only for what no retry mends. published: [["database","table"],...], the selected tables that have rows in Kafka
     * already, for statements that name none of the tables that they empty. Both are borrowed for the time of the call. */
    int (*start)(struct source *source, const json_t *record, const json_t *published, struct err *err);
    enum source_next (*next)(struct source *source, struct change *ret_change, struct err *err);
    /* May what was yielded be committed now? */
    bool (*cuttable)(const struct source *source);
    /* Has the state moved since the last cut, even without a change of a selected table? */
    bool (*moved)(const struct source *source);
    /* Marks the cut, and gives the state record that covers everything yielded so far: a new object, to which the publisher adds "ends". NULL after start
     * until it is known where the source begins; then on_ready is called, and no change was yielded before that: the first
     * transaction of a source without a record holds this state alone (rule A8), and only then the owner calls next. Once it is
     * not NULL it stays so until stop. */
    json_t *(*state)(struct source *source);
    /* The cut that held this many changes is committed. */
    void (*committed)(struct source *source);
    void (*figures)(const struct source *source, struct source_figures *ret_figures);
    /* Stops reading; asynchronous; start may follow after `stopped`. */
    void (*stop)(struct source *source, void (*stopped)(void *context), void *context);
    void (*free)(struct source *source); /* only when stopped */
};

struct source {
    const struct source_calls *calls;
    void (*on_ready)(void *context); /* set by the owner: next is worth calling again */
    void *on_ready_context;
};

#endif
