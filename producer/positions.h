/* SPDX-License-Identifier: Apache-2.0 */
/*
 * positions: the newest committed position record of this source. All calls block; publisher's thread or a command without a
 * loop.
 *
 * Rule A2: the high watermark is asked by a read_uncommitted handle, and the topic is read read_committed up to it. A
 * read_committed reader alone ends at the last stable offset, which any open transaction holds back, also that of another
 * source: it would give a stale position, and rows would come twice. So this waits for other sources' open transactions, at
 * most for their transaction.timeout.ms. It is the caller's part to have fenced older instances before (init_transactions):
 * nothing read earlier counts.
 */
#ifndef KAKEHI_PRODUCER_POSITIONS_H
#define KAKEHI_PRODUCER_POSITIONS_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"
#include "common/settings.h"

#define POSITION_LAYOUT 1

/* *ret_record: a new reference, or NULL if there is none. `cancelled` is asked about once a second; then ERR_CANCELED.
 * ERR_FATAL on a record that this version can't read. */
int positions_read(const struct settings *settings, bool (*cancelled)(void *context), void *context, json_t **ret_record,
                   struct err *err) MUST_CHECK;

/* The record as it is written: state with layout, source, and the end offsets of the transaction before (borrowed; NULL:
 * unknown). Takes state; returns text for free(). */
char *positions_text(json_t *state, const char *source, json_t *ends);
/* *ret_record: NULL for a tombstone. */
int positions_parse(const void *bytes, size_t size, json_t **ret_record, struct err *err) MUST_CHECK;

#endif
