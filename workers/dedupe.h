/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dedupe: has this change been in the log of its partition a short while ago? (exactly-once rule 5.2)
 *
 * A message is dropped iff the same identity (`__source`, `__txid`, `__idx`) stands in the W offset numbers before it; an `r` row also if a row of
 * its key with a higher (`__seq`, `__idx`) stands there. Every message seen is remembered, written or not. W counts offsets, not messages,
 * so that markers and aborted records count for every reader alike.
 *
 * This removes what transactional producers leave in the log when a position is set back or a file is written twice. Exactly-once
 * does not rest on it (rule C4): so the window may be cut short by memory, and may start empty after an assignment.
 */
#ifndef KAKEHI_WORKERS_DEDUPE_H
#define KAKEHI_WORKERS_DEDUPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schemas/record.h"

/* The memory of all partitions of a worker; each may use an equal share. */
struct dedupe_pool {
    size_t limit_bytes;
    size_t _count;
};

struct dedupe;

struct dedupe *dedupe_new(struct dedupe_pool *pool, int64_t window);
void dedupe_free(struct dedupe *dedupe);  /* takes NULL */
void dedupe_reset(struct dedupe *dedupe); /* forgets everything: the partition will be read again from somewhere else */
/* Remembers the message and says whether it is to be dropped. Offsets only rise between two resets. key: the message's key, NULL if it has none. */
bool dedupe_seen(struct dedupe *dedupe, const struct record_meta *meta, const uint8_t *key, size_t key_size, int64_t offset);
size_t dedupe_bytes(const struct dedupe *dedupe);

#endif
