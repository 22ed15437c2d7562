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

bool parcel_fits(const struct parcel *parcel, const struct message *message)
{
    size_t room = parcel->capacity - parcel->size;

    if (parcel->count == 0) {
        return true;
    }
    return parcel->count < PARCEL_MESSAGES && message->key_size <= room && message->value_size <= room - message->key_size;
}

void parcel_add(struct parcel *parcel, const struct message *message)
{
    size_t size = message->key_size + message->value_size;
    struct parcel_entry *entry = &parcel->entries[parcel->count];

    must(parcel_fits(parcel, message));
    must(message->key != NULL || message->key_size == 0);
    if (size > parcel->capacity) {
        resize(parcel, size);
    }
    *entry = (struct parcel_entry){
        .parcel = parcel,
        .begin = parcel->size,
        .key_size = message->key_size,
        .value_size = message->value_size,
        .key_null = message->key == NULL,
        .topic_id = message->topic_id,
        .partition = message->partition,
        .seq = message->seq,
        .idx = message->idx,
    };
    if (message->key_size > 0) {
        memcpy(parcel->bytes + parcel->size, message->key, message->key_size);
    }
    if (message->value_size > 0) {
        memcpy(parcel->bytes + parcel->size + message->key_size, message->value, message->value_size);
    }
    parcel->size += size;
    parcel->count++;
}
