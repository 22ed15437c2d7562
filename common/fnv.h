/* SPDX-License-Identifier: Apache-2.0 */
/* fnv: FNV-1a of 64 bits (draft-eastlake-fnv): quick, and even enough for buckets. Whoever wants two things alike can make them so. */
#ifndef KAKEHI_COMMON_FNV_H
#define KAKEHI_COMMON_FNV_H

#include <stddef.h>
#include <stdint.h>

#define FNV_BEGIN UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

/* The hash of what was hashed so far, and of these bytes behind it. */
static inline uint64_t fnv_add(uint64_t hash, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ at[i]) * FNV_PRIME;
    }
    return hash;
}

#endif
