/* SPDX-License-Identifier: Apache-2.0 */
/*
 * messages: what goes to Kafka for one change.
 *
 *   c, r                       one message: key and row after
 *   d                          one message: key and row before
 *   u, same key                one message: key and row after
 *   u, other key; or no key    two: d of the row before (`__idx`), c of the row after (`__idx` + 1, rule O3)
 *   t                          one message to partition 0: null key, all columns null
 *
 * A table without a primary key has the hash of the row as its key, so its updates are always pairs. Pure: bytes out of cells.
 */
#ifndef KAKEHI_PRODUCER_MESSAGES_H
#define KAKEHI_PRODUCER_MESSAGES_H

#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"
#include "producer/parcel.h"
#include "producer/source.h"
#include "schemas/schema.h"

#define MESSAGES_MAX 2

struct messages {
    struct buffer _bytes;
    struct {
        size_t begin; /* of the key, then the value */
        size_t key_size;
        size_t value_size;
        int64_t idx;
        char op;
    } _spans[MESSAGES_MAX];
    size_t count;
    int64_t seq;
};

/* {0} is valid and empty. */
void messages_deinit(struct messages *messages);
/* Replaces what it held. ERR_POISON: the row can't be said in its schema; nothing is held then. */
int messages_make(struct messages *messages, const struct schema *schema, const struct change *change, const char *source,
                  struct err *err) MUST_CHECK;
/* Borrows from messages. */
struct message messages_get(const struct messages *messages, size_t index, uint32_t topic_id);

#endif
