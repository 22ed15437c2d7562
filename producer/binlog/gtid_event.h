/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gtid_event: the event that opens a transaction: its GTID, and when it was committed.
 *
 * MySQL's GTID and ANONYMOUS_GTID have commit times in microseconds since 8.0.1, its GTID_TAGGED (8.3) always; MariaDB's GTID
 * has none, so the header's second stands in.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_GTID_EVENT_H
#define KAKEHI_PRODUCER_BINLOG_GTID_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "producer/binlog/event.h"

struct gtid_event {
    char gtid[96];        /* as in struct binlog_transaction; "" for an anonymous one */
    int64_t commit_ts_us; /* microseconds since the epoch */
    bool standalone;      /* MariaDB: a single statement follows, and no closing event */
    bool prepared_xa;     /* MariaDB: the rows of an XA transaction that is prepared, not committed */
    bool undone;          /* MariaDB's binlog_alter_two_phase: the ALTER begins, or has failed; another event says that it is done */
};

int gtid_event_read(struct gtid_event *ret_event, const struct event_header *header, const uint8_t *body, size_t size,
                    struct err *err) MUST_CHECK;

#endif
