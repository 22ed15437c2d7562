/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parcel: a bounded lump of encoded messages, filled on the loop, produced on the publisher's thread.
 *
 * Payload is not copied for librdkafka: while messages of a parcel are under way (`unsettled`), its memory stays where it is.
 * All parcels are made at start; together they are the queue between loop and thread, and its bound. Only a message larger
 * than a parcel makes one grow, or is taken over with its memory, and only until the parcel is cleared: that is the "plus the
 * largest single row" of the ceiling. No locks: a parcel has one owner at a time.
 */
#ifndef KAKEHI_PRODUCER_PARCEL_H
#define KAKEHI_PRODUCER_PARCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PARCEL_BYTES    ((size_t)1 << 20)
#define PARCEL_MESSAGES 4096

#define PARTITION_BY_KEY (-1) /* the partitioner decides */

#define TOPIC_DEAD_LETTERS UINT32_MAX /* as topic_id: <prefix>.dead */

/* What goes to one topic. All pointers are borrowed. */
struct message {
    uint32_t topic_id; /* what publisher_prepare answered, or TOPIC_DEAD_LETTERS */
    int32_t partition; /* or PARTITION_BY_KEY */
    const void *key;   /* NULL: a null key */
    size_t key_size;
    const void *value;
    size_t value_size;
    const char *reason; /* of a dead letter: its header; else NULL */
    size_t reason_size;
    int64_t seq; /* names the change where a message is refused, without telling what is in it */
    int64_t idx;
};

struct parcel;

/* A message inside a parcel; also what librdkafka carries as the message's opaque. */
struct parcel_entry {
    struct parcel *parcel;
    size_t begin; /* of the key, then the value, then the reason */
    size_t key_size;
    size_t value_size;
    size_t reason_size; /* 0: it is no dead letter */
    bool key_null;
    uint32_t topic_id;
    int32_t partition;
    int64_t seq;
    int64_t idx;
};

struct parcel {
    struct parcel *next; /* for whoever owns it */
    uint8_t *bytes;
    size_t size;
    size_t capacity;
    struct parcel_entry *entries;
    size_t count;
    size_t unsettled; /* messages that librdkafka still holds */
};

struct parcel *parcel_new(void);
void parcel_free(struct parcel *parcel); /* takes NULL */
/* Empty again, and of its usual size. */
void parcel_clear(struct parcel *parcel);
/* Is there room for it? An empty parcel has room for any message. */
bool parcel_fits(const struct parcel *parcel, const struct message *message);
/* Copies key, value and reason into the parcel; it must fit. */
void parcel_add(struct parcel *parcel, const struct message *message);
/* The same without a copy, for one large message in an empty parcel: takes `bytes` (of malloc), in which key, value and reason stand one
 * behind the other. */
void parcel_take(struct parcel *parcel, uint8_t *bytes, size_t size, const struct message *message);

#endif
