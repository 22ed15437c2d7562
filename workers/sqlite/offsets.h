/* SPDX-License-Identifier: Apache-2.0 */
/*
 * offsets: kakehi_offsets(topic, partition, next, epoch): the record of what is in the file, one row a partition.
 *
 * Rule C1 for a single file: each recovery raises the epoch, and a write goes in only with the newest one and exactly where the
 * last write ended. Whoever was replaced, or lost count, changes no row and so adds none.
 */
#ifndef KAKEHI_WORKERS_SQLITE_OFFSETS_H
#define KAKEHI_WORKERS_SQLITE_OFFSETS_H

#include <stdbool.h>
#include <stdint.h>

#include "workers/sqlite/file.h"

/* Makes the caller the owner. *ret_next: LANE_OFFSET_BEGINNING if nothing of the partition is in. */
int sqlite_offsets_take(struct sqlite_file *file, const char *topic, int32_t partition, int64_t *ret_epoch, int64_t *ret_next,
                        struct err *err) MUST_CHECK;

struct sqlite_advance {
    const char *topic;
    int32_t partition;
    int64_t epoch; /* of our sqlite_offsets_take */
    int64_t start; /* where the last write ended */
    int64_t end;
};

/* Inside a transaction. *ret_moved false: not ours any more, or not at `start`. */
int sqlite_offsets_advance(struct sqlite_file *file, const struct sqlite_advance *advance, bool *ret_moved,
                           struct err *err) MUST_CHECK;

#endif
