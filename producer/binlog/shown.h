/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shown: the shapes of selected tables that a stream has shown outside, by name, the newest of each first.
 *
 * A shape is kept as long as somebody may ask for it, and no longer: names may come without end (CREATE t_1, DROP t_1, CREATE t_2 ...).
 *
 *   held        TABLE_MAPs that are remembered (tables.c) have it
 *   newest      of a table that has rows, as far as the log told: DROP DATABASE empties it by name
 *   loose       all others: older ones of a name, and those of tables that were emptied and had no row since. Of these the last
 *               SHOWN_LOOSE_MAX are kept; one that was given up and comes again gets another pointer and version
 *
 * So there are as many as there are tables with rows that are selected, each of which has a topic, and a bounded number beside them.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_SHOWN_H
#define KAKEHI_PRODUCER_BINLOG_SHOWN_H

#include <stddef.h>
#include <stdint.h>

#include "producer/binlog/query.h"
#include "producer/binlog/stream.h"

#define SHOWN_LOOSE_MAX 256
#define SHOWN_BUCKETS   4096

struct shown_shape;

struct shown {
    struct shown_shape *_buckets[SHOWN_BUCKETS]; /* by name; the newest of a name comes first */
    struct shown_shape *_oldest;                 /* the loose ones, in the order in which they became so */
    struct shown_shape *_youngest;
    size_t _loose_count;
    size_t _count;
    uint64_t _version;
};

void shown_deinit(struct shown *shown); /* {0} is valid and empty */
/* Takes the table, and holds it once more. The same shape as one that is still here gives that again. */
const struct binlog_table *shown_hold(struct shown *shown, struct table *table);
void shown_release(struct shown *shown, const struct binlog_table *table);
/* Rows of this shape, which is held, are about to come: it is the newest of its name. */
void shown_filled(struct shown *shown, const struct binlog_table *table);
/* The newest shape of a table that has just been emptied, or in which there may be rows that nobody logged; without columns and key where
 * none is here. Valid until the next call that changes `shown`. */
const struct binlog_table *shown_emptied(struct shown *shown, const char *database, const char *name);
const struct binlog_table *shown_rewritten(struct shown *shown, const char *database, const char *name);
/* Puts the tables of the database that may have rows in the place of the query's one table; it empties tables then. */
void shown_of_database(const struct shown *shown, struct query *query);
size_t shown_count(const struct shown *shown);

#endif
