/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of entries in offset order, and two chained indexes into it, by identity and by key. Growing, shrinking and the loss of
 * the oldest are all one thing: the ring is made anew, or its tail moves on. Indexes are slot numbers + 1; 0 ends a chain.
 */
#include "workers/dedupe.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/buffer.h"
#include "common/must.h"
#include "workers/hash.h"

#define CAPACITY_FIRST 256

struct entry {
    struct hash identity;
    struct hash key; /* {0, 0}: none */
    int64_t offset;
    int64_t seq;
    int64_t idx;
    uint32_t next_identity;
    uint32_t next_key;
};

#define ENTRY_BYTES (sizeof(struct entry) + 2 * sizeof(uint32_t)) /* with its two bucket heads */

struct dedupe {
    struct dedupe_pool *pool;
    int64_t window;
    struct hash secret; /* of the hash: identities come from outside */
    struct buffer scratch;
    size_t capacity; /* of the ring; a power of two */
    size_t oldest;   /* slot */
    size_t count;
    struct entry *entries;
    uint32_t *by_identity; /* `capacity` buckets */
    uint32_t *by_key;
};

static void allocate(struct dedupe *dedupe, size_t capacity)
{
    must(capacity > 0);
    dedupe->capacity = capacity;
    dedupe->oldest = 0;
    dedupe->count = 0;
    dedupe->entries = malloc(capacity * sizeof *dedupe->entries);
    dedupe->by_identity = calloc(capacity, sizeof *dedupe->by_identity);
    dedupe->by_key = calloc(capacity, sizeof *dedupe->by_key);
    must(dedupe->entries != NULL && dedupe->by_identity != NULL && dedupe->by_key != NULL);
}

static void release(struct dedupe *dedupe)
{
    free(dedupe->entries);
    free(dedupe->by_identity);
    free(dedupe->by_key);
}

struct dedupe *dedupe_new(struct dedupe_pool *pool, int64_t window)
{
    struct dedupe *dedupe = calloc(1, sizeof *dedupe);

    must(dedupe != NULL);
    dedupe->pool = pool;
    dedupe->window = window;
    must(getrandom(&dedupe->secret, sizeof dedupe->secret, 0) == sizeof dedupe->secret);
    allocate(dedupe, CAPACITY_FIRST);
    pool->_count++;
    return dedupe;
}

void dedupe_free(struct dedupe *dedupe)
{
    if (dedupe != NULL) {
        dedupe->pool->_count--;
        release(dedupe);
        buffer_deinit(&dedupe->scratch);
        free(dedupe);
    }
}

void dedupe_reset(struct dedupe *dedupe)
{
    release(dedupe);
    allocate(dedupe, CAPACITY_FIRST);
}

size_t dedupe_bytes(const struct dedupe *dedupe)
{
    return dedupe->capacity * ENTRY_BYTES;
}

static uint32_t *bucket(const struct dedupe *dedupe, uint32_t *buckets, const struct hash *hash)
{
    return &buckets[hash->low & (dedupe->capacity - 1)];
}

static bool has_key(const struct entry *entry)
{
    return entry->key.low != 0 || entry->key.high != 0;
}

static bool same(const struct hash *one, const struct hash *other)
{
    return one->low == other->low && one->high == other->high;
}

/* Appends to the ring, which has room. */
static void append(struct dedupe *dedupe, const struct entry *entry)
{
    size_t slot = (dedupe->oldest + dedupe->count++) & (dedupe->capacity - 1);
    uint32_t *head = bucket(dedupe, dedupe->by_identity, &entry->identity);

    dedupe->entries[slot] = *entry;
    dedupe->entries[slot].next_identity = *head;
    *head = (uint32_t)slot + 1;
    if (has_key(entry)) {
        head = bucket(dedupe, dedupe->by_key, &entry->key);
        dedupe->entries[slot].next_key = *head;
        *head = (uint32_t)slot + 1;
    }
}

/* Chains are newest first, so the oldest of all is the last of both of its chains. */
static void forget_oldest(struct dedupe *dedupe)
{
    const struct entry *entry = &dedupe->entries[dedupe->oldest];
    uint32_t *link = bucket(dedupe, dedupe->by_identity, &entry->identity);

    while (*link != dedupe->oldest + 1) {
        link = &dedupe->entries[*link - 1].next_identity;
    }
    *link = 0;
    if (has_key(entry)) {
        link = bucket(dedupe, dedupe->by_key, &entry->key);
        while (*link != dedupe->oldest + 1) {
            link = &dedupe->entries[*link - 1].next_key;
        }
        *link = 0;
    }
    dedupe->oldest = (dedupe->oldest + 1) & (dedupe->capacity - 1);
    dedupe->count--;
}

static void resize(struct dedupe *dedupe, size_t capacity)
{
    struct dedupe old = *dedupe;
    size_t drop = old.count > capacity ? old.count - capacity : 0;

    allocate(dedupe, capacity);
    for (size_t i = drop; i < old.count; i++) {
        append(dedupe, &old.entries[(old.oldest + i) & (old.capacity - 1)]);
    }
    release(&old);
}

/* Room for one more entry, within this partition's share of the memory. */
static void make_room(struct dedupe *dedupe)
{
    size_t share_bytes = dedupe->pool->limit_bytes / dedupe->pool->_count;

    while (dedupe->capacity > CAPACITY_FIRST && dedupe_bytes(dedupe) > share_bytes) {
        resize(dedupe, dedupe->capacity / 2);
    }
    if (dedupe->count == dedupe->capacity && 2 * dedupe_bytes(dedupe) <= share_bytes) {
        resize(dedupe, dedupe->capacity * 2);
    }
    if (dedupe->count == dedupe->capacity) {
        forget_oldest(dedupe);
    }
}

static void append_number(struct buffer *out, uint64_t number)
{
    buffer_append(out, &number, sizeof number);
}

static struct hash identity_of(struct dedupe *dedupe, const struct record_meta *meta)
{
    struct buffer *scratch = &dedupe->scratch;

    buffer_clear(scratch);
    append_number(scratch, (uint64_t)meta->idx);
    append_number(scratch, meta->source_size); /* so that "a","bc" is not "ab","c" */
    buffer_append(scratch, meta->source, meta->source_size);
    buffer_append(scratch, meta->txid, meta->txid_size);
    return hash_bytes(&dedupe->secret, scratch->bytes, scratch->size);
}

static bool known(const struct dedupe *dedupe, const struct entry *entry)
{
    for (uint32_t at = *bucket(dedupe, dedupe->by_identity, &entry->identity); at != 0; at = dedupe->entries[at - 1].next_identity) {
        if (same(&dedupe->entries[at - 1].identity, &entry->identity)) {
            return true;
        }
    }
    return false;
}

static bool overtaken(const struct dedupe *dedupe, const struct entry *entry)
{
    for (uint32_t at = *bucket(dedupe, dedupe->by_key, &entry->key); at != 0; at = dedupe->entries[at - 1].next_key) {
        const struct entry *other = &dedupe->entries[at - 1];

        if (same(&other->key, &entry->key) && (other->seq > entry->seq || (other->seq == entry->seq && other->idx > entry->idx))) {
            return true;
        }
    }
    return false;
}

bool dedupe_seen(struct dedupe *dedupe, const struct record_meta *meta, const uint8_t *key, size_t key_size, int64_t offset)
{
    struct entry entry = {.identity = identity_of(dedupe, meta), .offset = offset, .seq = meta->seq, .idx = meta->idx};
    bool drop;

    if (dedupe->window == 0) {
        return false;
    }
    if (key != NULL) {
        entry.key = hash_bytes(&dedupe->secret, key, key_size);
    }
    while (dedupe->count > 0 && dedupe->entries[dedupe->oldest].offset < offset - dedupe->window) {
        forget_oldest(dedupe);
    }
    drop = known(dedupe, &entry) || (meta->op == 'r' && has_key(&entry) && overtaken(dedupe, &entry));
    make_room(dedupe);
    append(dedupe, &entry);
    return drop;
}
