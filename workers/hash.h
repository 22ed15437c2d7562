/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash: 128 bits that stand for any number of bytes (SipHash-2-4 with 128-bit output, by Aumasson and Bernstein's description).
 *
 * A collision would drop a row that is no duplicate, so 64 bits are too few; and since row identities come from outside, the key
 * is drawn at random by whoever uses it.
 */
#ifndef KAKEHI_WORKERS_HASH_H
#define KAKEHI_WORKERS_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash {
    uint64_t low;
    uint64_t high;
};

struct hash hash_bytes(const struct hash *key, const void *bytes, size_t size);

#endif
