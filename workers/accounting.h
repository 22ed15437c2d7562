/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accounting: where every message that was read has gone, per table and partition (promise P5).
 *
 *   read = appended + deduplicated + filtered + dead-lettered + already in + in flight          at every moment
 *
 * A message counts as read when the partition machine takes it, is in flight until the request that covers it has been answered,
 * and is settled once. A message that leaves unsettled (the partition went to another worker, or is recovered and read again) is
 * given back: in /status `read` falls by it. Counters of Prometheus must not fall, so kakehi_rows_read_total keeps it,
 * kakehi_rows_returned_total says how many were given back, and in /metrics P5 is
 *
 *   read - returned = appended + deduplicated + filtered + dead-lettered + already in + in flight
 */
#ifndef KAKEHI_WORKERS_ACCOUNTING_H
#define KAKEHI_WORKERS_ACCOUNTING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum fate { FATE_APPENDED, FATE_DEDUPLICATED, FATE_FILTERED, FATE_DEAD_LETTERED, FATE_ALREADY_IN, FATE_COUNT };

struct accounting;
struct account; /* of one partition of a table; lives as long as the accounting, so that its counters never fall */

struct accounting *accounting_new(void);
void accounting_free(struct accounting *accounting); /* takes NULL */
/* Made at first use. table: "db.table". */
struct account *accounting_open(struct accounting *accounting, const char *table, int32_t partition);
/* {"db.t":{"read":N,...}}, a table's partitions together: a new reference. */
json_t *accounting_status(const struct accounting *accounting);

/* Over all tables; for the heartbeat. */
struct accounting_sums {
    uint64_t settled; /* read, and no longer in flight */
    uint64_t in_flight;
    uint64_t dead_lettered;
};

struct accounting_sums accounting_sums(const struct accounting *accounting);

void account_read(struct account *account, uint64_t rows, uint64_t bytes); /* bytes: of their keys and values */
void account_settle(struct account *account, enum fate fate, uint64_t rows);
void account_return(struct account *account, uint64_t rows);
/* The newest row that is in now was committed at the source this long ago. */
void account_freshness(struct account *account, int64_t age_ms);
/* The warehouse has taken so long for a batch, or a file. */
void account_write_took(struct account *account, uint64_t ms);
void account_lag(struct account *account, int64_t messages);
/* The partition is another worker's now: its gauges are no longer ours to tell. */
void account_leave(struct account *account);

uint64_t account_rows_read(const struct account *account);
uint64_t account_rows(const struct account *account, enum fate fate);
uint64_t account_rows_in_flight(const struct account *account);

#endif
