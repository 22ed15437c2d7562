/* SPDX-License-Identifier: Apache-2.0 */
/* The first read beyond the end is remembered and moves nothing; a parser checks once, behind its last field. */
#include "producer/binlog/cursor.h"

const char CURSOR_SHORT[] = "the bytes end too early";

uint64_t cursor_lenenc(struct cursor *cursor)
{
    uint8_t first = cursor_u8(cursor);

    switch (first) {
    case 0xfc:
        return cursor_le(cursor, 2);
    case 0xfd:
        return cursor_le(cursor, 3);
    case 0xfe:
        return cursor_le(cursor, 8);
    case 0xfb: /* NULL in result rows */
    case 0xff: /* an error packet */
        cursor_fail(cursor, "a length begins with a byte that none begins with");
        return 0;
    default:
        return first;
    }
}

struct cursor cursor_part(struct cursor *cursor, uint64_t size)
{
    const uint8_t *bytes = size <= cursor_left(cursor) ? cursor_bytes(cursor, (size_t)size) : NULL;

    if (bytes == NULL) {
        cursor_fail(cursor, CURSOR_SHORT);
        return (struct cursor){cursor->end, cursor->end, cursor->why};
    }
    return cursor_over(bytes, (size_t)size);
}
