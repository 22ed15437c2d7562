/* SPDX-License-Identifier: Apache-2.0 */
/* Capacity doubles, so that appending costs the same a byte however much is appended. */
#include "common/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

void buffer_deinit(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t more)
{
    size_t capacity = buffer->_capacity > 0 ? buffer->_capacity : 64;

    must(more <= SIZE_MAX / 4 - buffer->size);
    while (capacity < buffer->size + more) {
        capacity *= 2;
    }
    if (capacity != buffer->_capacity) {
        buffer->bytes = realloc(buffer->bytes, capacity);
        must(buffer->bytes != NULL);
        buffer->_capacity = capacity;
    }
    return buffer->bytes + buffer->size;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t size)
{
    if (size > 0) {
        memcpy(buffer_reserve(buffer, size), bytes, size);
        buffer->size += size;
    }
}

void buffer_append_byte(struct buffer *buffer, uint8_t byte)
{
    *buffer_reserve(buffer, 1) = byte;
    buffer->size++;
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list list;
    int size;

    va_start(list, format);
    size = vsnprintf(NULL, 0, format, list);
    va_end(list);
    must(size >= 0);
    va_start(list, format);
    (void)vsnprintf((char *)buffer_reserve(buffer, (size_t)size + 1), (size_t)size + 1, format, list);
    va_end(list);
    buffer->size += (size_t)size;
}

const char *buffer_text(struct buffer *buffer)
{
    *buffer_reserve(buffer, 1) = '\0';
    return (const char *)buffer->bytes;
}

void buffer_drop(struct buffer *buffer, size_t size)
{
    must(size <= buffer->size);
    if (size > 0) {
        memmove(buffer->bytes, buffer->bytes + size, buffer->size - size);
        buffer->size -= size;
    }
}
