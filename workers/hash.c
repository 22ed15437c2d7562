/* SPDX-License-Identifier: Apache-2.0 */
/* Written out from the description in "SipHash: a fast short-input PRF" (2012), with its test vectors in the unit test. */
#include "workers/hash.h"

#include <endian.h>
#include <string.h>

struct state {
    uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static void rounds(struct state *s, int count)
{
    for (int i = 0; i < count; i++) {
        s->a += s->b;
        s->c += s->d;
        s->b = rotate(s->b, 13) ^ s->a;
        s->d = rotate(s->d, 16) ^ s->c;
        s->a = rotate(s->a, 32);
        s->c += s->b;
        s->a += s->d;
        s->b = rotate(s->b, 17) ^ s->c;
        s->d = rotate(s->d, 21) ^ s->a;
        s->c = rotate(s->c, 32);
    }
}

static void absorb(struct state *s, uint64_t word)
{
    s->d ^= word;
    rounds(s, 2);
    s->a ^= word;
}

static uint64_t squeeze(struct state *s)
{
    rounds(s, 4);
    return s->a ^ s->b ^ s->c ^ s->d;
}

struct hash hash_bytes(const struct hash *key, const void *bytes, size_t size)
{
    struct state s = {key->low ^ UINT64_C(0x736f6d6570736575), key->high ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
                      key->low ^ UINT64_C(0x6c7967656e657261), key->high ^ UINT64_C(0x7465646279746573)};
    const uint8_t *at = bytes;
    struct hash hash;
    uint64_t word;

    for (size_t left = size; left >= 8; left -= 8, at += 8) {
        memcpy(&word, at, 8);
        absorb(&s, le64toh(word));
    }
    word = 0;
    if (size % 8 > 0) {
        memcpy(&word, at, size % 8);
    }
    absorb(&s, le64toh(word) | (uint64_t)size << 56);
    s.c ^= 0xee;
    hash.low = squeeze(&s);
    s.b ^= 0xdd;
    hash.high = squeeze(&s);
    return hash;
}
