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
 *   a letter                   one message to the dead letters, whatever the change was (letter.h)
 *
 * A table without a primary key has the hash of the row as its key, so its updates are always pairs. Pure: bytes out of cells.
 */
#ifndef KAKEHI_PRODUCER_MESSAGES_H
#define KAKEHI_PRODUCER_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"
#include "producer/parcel.h"
#include "producer/source.h"
#include "schemas/framing.h"
#include "schemas/schema.h"

#define MESSAGES_MAX 2

/* What a table's messages are written with; borrowed. */
struct message_schema {
    const struct schema *schema;
    struct framing_ids ids;
};

struct messages {
    struct buffer _bytes;
    struct {
        size_t begin; /* of the key, then the value, then the reason */
        size_t key_size;
        size_t value_size;
        size_t reason_size; /* 0: it is no dead letter */
        int64_t idx;
        char op;
    } _spans[MESSAGES_MAX];
    size_t count;
    int64_t seq;
};

/* {0} is valid and empty. */
void messages_deinit(struct messages *messages);
/* Replaces what it held. ERR_POISON: the row can't be said in its schema; nothing is held then. */
int messages_make(struct messages *messages, const struct message_schema *schema, const struct change *change, const char *source,
                  struct err *err) MUST_CHECK;
/* After messages_make has failed: is that only for values whose policy it is that the row goes to the dead letters? */
bool messages_is_for_letters(const struct table *table, const struct change *change);
/* Replaces what it held with the change as one dead letter. reason: not empty. ERR_POISON: not even that can be said. */
int messages_make_letter(struct messages *messages, const struct change *change, const char *source, const char *reason,
                         struct err *err) MUST_CHECK;
/* Makes a message that is too large a dead letter that refers to it. */
void messages_refer(struct messages *messages, size_t index, const struct change *change, const char *source);
/* Gives away the memory behind the only message, which the caller frees; messages_get is over then. NULL: there are more, or it is small. */
uint8_t *messages_take_large(struct messages *messages, size_t *ret_size);
/* Borrows from messages. */
struct message messages_get(const struct messages *messages, size_t index, uint32_t topic_id);

#endif
