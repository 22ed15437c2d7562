/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes and entries are two arrays. Only an empty parcel may grow, for one message larger than it: nothing points into it
 * then.
 */
#include "producer/parcel.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"

struct parcel *parcel_new(void)
{
    struct parcel *parcel = calloc(1, sizeof *parcel);

    must(parcel != NULL);
    parcel->capacity = PARCEL_BYTES;
    parcel->bytes = malloc(parcel->capacity);
    parcel->entries = calloc(PARCEL_MESSAGES, sizeof *parcel->entries);
    must(parcel->bytes != NULL && parcel->entries != NULL);
    return parcel;
}

void parcel_free(struct parcel *parcel)
{
    if (parcel != NULL) {
        must(parcel->unsettled == 0);
        free(parcel->bytes);
        free(parcel->entries);
        free(parcel);
    }
}

/* An empty parcel may take a new place: nothing points into it. */
static void resize(struct parcel *parcel, size_t capacity)
{
    must(parcel->size == 0 && parcel->count == 0);
    free(parcel->bytes);
    parcel->bytes = malloc(capacity);
    must(parcel->bytes != NULL);
    parcel->capacity = capacity;
}

void parcel_clear(struct parcel *parcel)
{
    must(parcel->unsettled == 0);
    parcel->size = 0;
    parcel->count = 0;
    if (parcel->capacity > PARCEL_BYTES) {
        resize(parcel, PARCEL_BYTES);
    }
}

static size_t size_of(const struct message *message)
{
    return message->key_size + message->value_size + message->reason_size;
}

bool parcel_fits(const struct parcel *parcel, const struct message *message)
{
    return parcel->count == 0 || (parcel->count < PARCEL_MESSAGES && size_of(message) <= parcel->capacity - parcel->size);
}

static void append(struct parcel *parcel, const void *bytes, size_t size)
{
    if (size > 0) {
        memcpy(parcel->bytes + parcel->size, bytes, size);
        parcel->size += size;
    }
}

static void add_entry(struct parcel *parcel, size_t begin, const struct message *message)
{
    must(message->key != NULL || message->key_size == 0);
    parcel->entries[parcel->count++] = (struct parcel_entry){
        .parcel = parcel,
        .begin = begin,
        .key_size = message->key_size,
        .value_size = message->value_size,
        .reason_size = message->reason_size,
        .key_null = message->key == NULL,
        .topic_id = message->topic_id,
        .partition = message->partition,
        .seq = message->seq,
        .idx = message->idx,
    };
}

void parcel_add(struct parcel *parcel, const struct message *message)
{
    must(parcel_fits(parcel, message));
    if (size_of(message) > parcel->capacity) {
        resize(parcel, size_of(message));
    }
    add_entry(parcel, parcel->size, message);
    append(parcel, message->key, message->key_size);
    append(parcel, message->value, message->value_size);
    append(parcel, message->reason, message->reason_size);
}

void parcel_take(struct parcel *parcel, uint8_t *bytes, size_t size, const struct message *message)
{
    const uint8_t *first = message->key != NULL ? message->key : message->value;

    must(parcel->count == 0 && size > PARCEL_BYTES && first >= bytes && size_of(message) <= size - (size_t)(first - bytes));
    free(parcel->bytes);
    parcel->bytes = bytes;
    parcel->size = parcel->capacity = size;
    add_entry(parcel, (size_t)(first - bytes), message);
}
