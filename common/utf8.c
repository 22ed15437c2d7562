/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The size is known by the first byte; what makes it strict is checked behind: overlong forms, surrogates, the end of
 * Unicode.
 */
#include "common/utf8.h"

#include <string.h>

#include "common/must.h"

/* The smallest character that needs so many bytes. */
static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};

static size_t size_by_first(uint8_t first)
{
    if (first < 0x80) {
        return 1;
    }
    if (first < 0xe0) {
        return first >= 0xc0 ? 2 : 0;
    }
    if (first < 0xf0) {
        return 3;
    }
    return first < 0xf8 ? 4 : 0;
}

size_t utf8_decode(const char *text, size_t size, uint32_t *ret_character)
{
    const uint8_t *bytes = (const uint8_t *)text;
    size_t needed = size > 0 ? size_by_first(bytes[0]) : 0;
    uint32_t character;

    if (needed == 0 || needed > size) {
        return 0;
    }
    character = needed == 1 ? bytes[0] : bytes[0] & (0x7f >> needed);
    for (size_t i = 1; i < needed; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
        character = character << 6 | (bytes[i] & 0x3f);
    }
    if (character < smallest[needed] || character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff)) {
        return 0;
    }
    *ret_character = character;
    return needed;
}

size_t utf8_encode(uint32_t character, char text[4])
{
    size_t size = 1;

    must(character <= 0x10ffff);
    while (size < 4 && character >= smallest[size + 1]) {
        size++;
    }
    for (size_t i = size; i-- > 1; character >>= 6) {
        text[i] = (char)(0x80 | (character & 0x3f));
    }
    text[0] = (char)(size == 1 ? character : (0xf00 >> size & 0xff) | character);
    return size;
}

#define HIGH_BITS UINT64_C(0x8080808080808080)

static uint64_t load_eight(const char *text)
{
    uint64_t eight;

    memcpy(&eight, text, sizeof eight);
    return eight;
}

static uint32_t load_four(const char *text)
{
    uint32_t four;

    memcpy(&four, text, sizeof four);
    return four;
}

/* Is there nothing but ASCII? Eight bytes at a time; the last eight may lie over the ones before, so that no byte is left over.
 */
static bool is_ascii(const char *text, size_t size)
{
    uint64_t any = 0;

    if (size >= 8) {
        for (size_t at = 0; at < size - 8; at += 8) {
            any |= load_eight(text + at);
        }
        any |= load_eight(text + size - 8);
    } else if (size >= 4) {
        any = load_four(text) | load_four(text + size - 4);
    } else if (size > 0) {
        any = (uint8_t)(text[0] | text[size / 2] | text[size - 1]);
    }
    return (any & HIGH_BITS) == 0;
}

bool utf8_valid(const char *text, size_t size)
{
    size_t at = 0;

    if (is_ascii(text, size)) { /* as most texts are */
        return true;
    }
    while (at < size) {
        uint32_t character;
        size_t step =
            size - at >= 8 && (load_eight(text + at) & HIGH_BITS) == 0 ? 8 : utf8_decode(text + at, size - at, &character);

        if (step == 0) {
            return false;
        }
        at += step;
    }
    return true;
}
