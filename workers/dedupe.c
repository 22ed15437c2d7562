/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of entries in offset order, and two chained indexes into it, by identity and by key. Growing, shrinking and the loss of
 * the oldest are all one thing: the ring is made anew, or its tail moves on.
 *
 * Entries are numbered as they come, and an entry's number says its slot. A link of a chain is a number, and chains are newest first:
 * so a chain ends at the first number that is no longer in the ring, and forgetting an entry touches no link. That a number comes again
 * after 2^32 entries does no harm: what is found by it is compared as a whole, and from there the chain goes down like any other.
 *
 * An identity is the hash of its transaction and the index in it. Rows of one transaction follow each other, so the hash is made once for
 * all of them, and their buckets lie side by side: near in the cache, where hashed ones would each be a way to memory.
 */
#include "workers/dedupe.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/buffer.h"
#include "common/must.h"
#include "workers/hash.h"

#define CAPACITY_FIRST   256
#define IDENTITY_BUCKETS 4 /* an entry: most identities are new, and an empty bucket says so without a look at an entry */

struct entry {
    struct hash transaction; /* source and id; with idx the identity */
    struct hash key;         /* {0, 0}: none */
    int64_t offset;
    int64_t seq;
    int64_t idx;
    uint32_t next_identity;
    uint32_t next_key;
};

#define ENTRY_BYTES (sizeof(struct entry) + (IDENTITY_BUCKETS + 1) * sizeof(uint32_t)) /* with its buckets */

struct dedupe {
    struct dedupe_pool *pool;
    int64_t window;
    struct hash secret; /* of the hash: identities come from outside */
    struct buffer named; /* the transaction hashed last */
    struct hash transaction;
    size_t capacity; /* of the ring; a power of two */
    uint32_t next;   /* the number of the next entry */
    uint32_t count;  /* entries next - count to next - 1 are remembered */
    struct entry *entries;
    uint32_t *by_identity; /* IDENTITY_BUCKETS * capacity buckets: the newest number */
    uint32_t *by_key;      /* capacity buckets */
};

static void allocate(struct dedupe *dedupe, size_t capacity)
{
    must(capacity > 0);
    dedupe->capacity = capacity;
    dedupe->next = 1; /* an empty bucket's 0 is none of them */
    dedupe->count = 0;
    dedupe->entries = malloc(capacity * sizeof *dedupe->entries);
    dedupe->by_identity = calloc(IDENTITY_BUCKETS * capacity, sizeof *dedupe->by_identity);
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
        buffer_deinit(&dedupe->named);
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

static struct entry *entry_at(const struct dedupe *dedupe, uint32_t number)
{
    return &dedupe->entries[number & (dedupe->capacity - 1)];
}

static bool remembered(const struct dedupe *dedupe, uint32_t number)
{
    return dedupe->next - number - 1 < dedupe->count;
}

static uint32_t *identity_bucket(const struct dedupe *dedupe, const struct entry *entry)
{
    return &dedupe->by_identity[(entry->transaction.low + (uint64_t)entry->idx) & (IDENTITY_BUCKETS * dedupe->capacity - 1)];
}

static uint32_t *key_bucket(const struct dedupe *dedupe, const struct hash *key)
{
    return &dedupe->by_key[key->low & (dedupe->capacity - 1)];
}

static bool has_key(const struct entry *entry)
{
    return entry->key.low != 0 || entry->key.high != 0;
}

static bool same(const struct hash *one, const struct hash *other)
{
    return one->low == other->low && one->high == other->high;
}

static bool same_identity(const struct entry *one, const struct entry *other)
{
    return one->idx == other->idx && same(&one->transaction, &other->transaction);
}

/* Puts the number in front of a chain; returns what was there. */
static uint32_t lead(uint32_t *head, uint32_t number)
{
    uint32_t behind = *head;

    *head = number;
    return behind;
}

/* Appends to the ring, which has room. */
static void append(struct dedupe *dedupe, const struct entry *entry)
{
    uint32_t number = dedupe->next++;
    struct entry *own = entry_at(dedupe, number);

    *own = *entry;
    own->next_identity = lead(identity_bucket(dedupe, own), number);
    if (has_key(own)) {
        own->next_key = lead(key_bucket(dedupe, &own->key), number);
    }
    dedupe->count++;
}

static const struct entry *oldest(const struct dedupe *dedupe)
{
    return entry_at(dedupe, dedupe->next - dedupe->count);
}

static void resize(struct dedupe *dedupe, size_t capacity)
{
    struct dedupe old = *dedupe;

    old.count = old.count < capacity ? old.count : (uint32_t)capacity;
    allocate(dedupe, capacity);
    for (uint32_t left = old.count; left > 0; left--) {
        append(dedupe, entry_at(&old, old.next - left));
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
        dedupe->count--;
    }
}

static bool named_last(const struct dedupe *dedupe, const struct record_meta *meta)
{
    const struct buffer *named = &dedupe->named;
    uint64_t source_size = meta->source_size;

    return named->size == sizeof source_size + meta->source_size + meta->txid_size && memcmp(named->bytes, &source_size, sizeof source_size) == 0 &&
           memcmp(named->bytes + sizeof source_size, meta->source, meta->source_size) == 0 &&
           memcmp(named->bytes + sizeof source_size + meta->source_size, meta->txid, meta->txid_size) == 0;
}

static const struct hash *transaction_of(struct dedupe *dedupe, const struct record_meta *meta)
{
    struct buffer *named = &dedupe->named;
    uint64_t source_size = meta->source_size; /* so that "a","bc" is not "ab","c" */

    if (!named_last(dedupe, meta)) {
        buffer_clear(named);
        buffer_append(named, &source_size, sizeof source_size);
        buffer_append(named, meta->source, meta->source_size);
        buffer_append(named, meta->txid, meta->txid_size);
        dedupe->transaction = hash_bytes(&dedupe->secret, named->bytes, named->size);
    }
    return &dedupe->transaction;
}

static bool known(const struct dedupe *dedupe, const struct entry *entry)
{
    uint32_t at = *identity_bucket(dedupe, entry);

    while (remembered(dedupe, at) && !same_identity(entry_at(dedupe, at), entry)) {
        at = entry_at(dedupe, at)->next_identity;
    }
    return remembered(dedupe, at);
}

static bool overtaken(const struct dedupe *dedupe, const struct entry *entry)
{
    for (uint32_t at = *key_bucket(dedupe, &entry->key); remembered(dedupe, at); at = entry_at(dedupe, at)->next_key) {
        const struct entry *other = entry_at(dedupe, at);

        if (same(&other->key, &entry->key) && (other->seq > entry->seq || (other->seq == entry->seq && other->idx > entry->idx))) {
            return true;
        }
    }
    return false;
}

bool dedupe_seen(struct dedupe *dedupe, const struct record_meta *meta, const uint8_t *key, size_t key_size, int64_t offset)
{
    struct entry entry = {.offset = offset, .seq = meta->seq, .idx = meta->idx};
    bool drop;

    if (dedupe->window == 0) {
        return false;
    }
    entry.transaction = *transaction_of(dedupe, meta);
    __builtin_prefetch(identity_bucket(dedupe, &entry), 1); /* it may be far away; the next hash fills the time */
    if (key != NULL) {
        entry.key = hash_bytes(&dedupe->secret, key, key_size);
        __builtin_prefetch(key_bucket(dedupe, &entry.key), 1);
    }
    while (dedupe->count > 0 && oldest(dedupe)->offset < offset - dedupe->window) {
        dedupe->count--;
    }
    drop = known(dedupe, &entry) || (meta->op == 'r' && has_key(&entry) && overtaken(dedupe, &entry));
    make_room(dedupe);
    append(dedupe, &entry);
    return drop;
}
