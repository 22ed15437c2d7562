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
    must(parcel->size == 0);
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

void parcel_add(struct parcel *parcel, const struct message *message)
{
    struct parcel_entry *entry = &parcel->entries[parcel->count];

    must(parcel_fits(parcel, message));
    must(message->key != NULL || message->key_size == 0);
    if (size_of(message) > parcel->capacity) {
        resize(parcel, size_of(message));
    }
    *entry = (struct parcel_entry){
        .parcel = parcel,
        .begin = parcel->size,
        .key_size = message->key_size,
        .value_size = message->value_size,
        .reason_size = message->reason_size,
        .key_null = message->key == NULL,
        .topic_id = message->topic_id,
        .partition = message->partition,
        .seq = message->seq,
        .idx = message->idx,
    };
    append(parcel, message->key, message->key_size);
    append(parcel, message->value, message->value_size);
    append(parcel, message->reason, message->reason_size);
    parcel->count++;
}
