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

/* How many characters of ASCII the text begins with. Eight bytes at a time: most texts are nothing else. */
static size_t ascii_run(const char *text, size_t size)
{
    size_t at = 0;

    for (; size - at >= 8; at += 8) {
        uint64_t eight;

        memcpy(&eight, text + at, sizeof eight);
        if (eight & UINT64_C(0x8080808080808080)) {
            break;
        }
    }
    while (at < size && (uint8_t)text[at] < 0x80) {
        at++;
    }
    return at;
}

bool utf8_valid(const char *text, size_t size)
{
    size_t at = ascii_run(text, size);

    while (at < size) {
        uint32_t character;
        size_t step =
            (uint8_t)text[at] < 0x80 ? ascii_run(text + at, size - at) : utf8_decode(text + at, size - at, &character);

        if (step == 0) {
            return false;
        }
        at += step;
    }
    return true;
}
