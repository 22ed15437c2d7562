/* SPDX-License-Identifier: Apache-2.0 */
/* backoff: how long to wait before the next try: doubling from first_ms up to max_ms. tries counts from 1. */
#ifndef KAKEHI_COMMON_BACKOFF_H
#define KAKEHI_COMMON_BACKOFF_H

#include <stdint.h>

static inline uint64_t backoff_ms(uint32_t tries, uint64_t first_ms, uint64_t max_ms)
{
    uint64_t wait_ms = first_ms << (tries < 16 ? tries - 1 : 15);

    return wait_ms < max_ms ? wait_ms : max_ms;
}

#endif
