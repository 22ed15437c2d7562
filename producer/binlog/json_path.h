/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_path: the paths that MySQL writes into its log, leg by leg: `$` and then .name, ."quoted name", [7], [last], [last-2].
 * No wildcards: a path in the log names one value.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_JSON_PATH_H
#define KAKEHI_PRODUCER_BINLOG_JSON_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "producer/binlog/cursor.h"

struct json_path_leg {
    bool member;         /* else a cell of an array */
    const uint8_t *name; /* of a member, UTF-8; valid until the next leg is read */
    size_t name_size;
    uint64_t index;
    bool from_end; /* index counts from the last cell backwards */
};

/* Passes the `$`. */
void json_path_begin(struct cursor *path);
/* The next leg; a name without quotes is written to `name`. Fails the cursor on what is no path. */
void json_path_next(struct cursor *path, struct buffer *name, struct json_path_leg *ret_leg);

#endif
