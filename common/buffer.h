/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buffer: bytes that grow. Owns its memory; `bytes` moves when it grows, so keep offsets, not pointers, across an append.
 *
 * Out of memory aborts: what comes from outside is checked against a named limit before it is appended here.
 */
#ifndef KAKEHI_COMMON_BUFFER_H
#define KAKEHI_COMMON_BUFFER_H

#include <stddef.h>
#include <stdint.h>

struct buffer {
    uint8_t *bytes; /* NULL until the first append */
    size_t size;
    size_t _capacity;
};

/* {0} is a valid empty buffer. */
void buffer_deinit(struct buffer *buffer); /* frees and makes it {0} */
void buffer_clear(struct buffer *buffer);  /* size 0, the memory stays */
/* Room for `more` further bytes; returns the place where they go. The caller adds to size what it wrote. */
uint8_t *buffer_reserve(struct buffer *buffer, size_t more);
void buffer_append(struct buffer *buffer, const void *bytes, size_t size);
void buffer_append_byte(struct buffer *buffer, uint8_t byte);
void buffer_append_text(struct buffer *buffer, const char *text);
__attribute__((format(printf, 2, 3))) void buffer_printf(struct buffer *buffer, const char *format, ...);
/* NUL-terminates without counting the NUL; borrowed until the next change. */
const char *buffer_text(struct buffer *buffer);
/* Drops `size` bytes at the front (moves the rest). */
void buffer_drop(struct buffer *buffer, size_t size);

#endif
