/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cursor: reads foreign bytes without ever leaving them.
 *
 * It is sticky: after the first failure every read gives zeros and moves nothing, so a parser reads like the format it parses
 * and looks at `why` once, at its end. `why` is CURSOR_SHORT when the bytes end too early (more input may help), else the text
 * of what is wrong with them.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_CURSOR_H
#define KAKEHI_PRODUCER_BINLOG_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    const char *why; /* NULL: nothing failed yet */
};

extern const char CURSOR_SHORT[];

static inline struct cursor cursor_over(const uint8_t *bytes, size_t size)
{
    return (struct cursor){bytes, bytes + size, NULL};
}

static inline size_t cursor_left(const struct cursor *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

/* The first reason stays. Nothing can be read afterwards. */
static inline void cursor_fail(struct cursor *cursor, const char *why)
{
    if (cursor->why == NULL) {
        cursor->why = why;
    }
    cursor->at = cursor->end;
}

/* The next `size` bytes, or NULL. A size of 0 gives a place that must not be read. */
static inline const uint8_t *cursor_bytes(struct cursor *cursor, size_t size)
{
    const uint8_t *bytes = cursor->at;

    if (cursor_left(cursor) < size || cursor->why != NULL) {
        cursor_fail(cursor, CURSOR_SHORT);
        return NULL;
    }
    cursor->at += size;
    return bytes;
}

static inline void cursor_skip(struct cursor *cursor, size_t size)
{
    (void)cursor_bytes(cursor, size);
}

/* Little-endian, 1 to 8 bytes. */
static inline uint64_t cursor_le(struct cursor *cursor, size_t size)
{
    const uint8_t *bytes = cursor_bytes(cursor, size);
    uint64_t value = 0;

    for (size_t i = 0; bytes != NULL && i < size; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

/* Big-endian, 1 to 8 bytes. */
static inline uint64_t cursor_be(struct cursor *cursor, size_t size)
{
    const uint8_t *bytes = cursor_bytes(cursor, size);
    uint64_t value = 0;

    for (size_t i = 0; bytes != NULL && i < size; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static inline uint8_t cursor_u8(struct cursor *cursor)
{
    return (uint8_t)cursor_le(cursor, 1);
}

static inline uint16_t cursor_u16(struct cursor *cursor)
{
    return (uint16_t)cursor_le(cursor, 2);
}

static inline uint32_t cursor_u32(struct cursor *cursor)
{
    return (uint32_t)cursor_le(cursor, 4);
}

static inline uint64_t cursor_u64(struct cursor *cursor)
{
    return cursor_le(cursor, 8);
}

/* MySQL's length-encoded integer: one byte up to 250, or fc, fd, fe and 2, 3, 8 bytes. */
uint64_t cursor_lenenc(struct cursor *cursor);
/* A cursor over the next `size` bytes, which this one passes. Failed, if this one is. */
struct cursor cursor_part(struct cursor *cursor, uint64_t size);

/* Bit i of a bitmap whose lowest bit comes first (rows), or whose highest comes first (table metadata). */
static inline bool bitmap_low_first(const uint8_t *bits, size_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

static inline bool bitmap_high_first(const uint8_t *bits, size_t i)
{
    return bits[i / 8] >> (7 - i % 8) & 1;
}

#endif
