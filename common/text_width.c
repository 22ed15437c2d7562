/* SPDX-License-Identifier: Apache-2.0 */
/* libc knows the widths, of Unicode too, but only in a locale of its own: the programs' stays "C", whatever the user's is. */
#include "common/text_width.h"

#include <locale.h>
#include <string.h>
#include <wchar.h>

#include "common/utf8.h"

/* Without such a locale on the machine: 1 for what is not ASCII, too. -1: it is not printable. */
static int width_of(uint32_t character)
{
    static locale_t unicode;
    locale_t before;
    int width;

    if (unicode == (locale_t)0) {
        unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    }
    if (character < 0x20 || (character >= 0x7f && character < 0xa0)) {
        return -1;
    }
    if (character < 0x7f || unicode == (locale_t)0) {
        return 1;
    }
    before = uselocale(unicode);
    width = wcwidth((wchar_t)character);
    (void)uselocale(before);
    return width;
}

void text_printable(struct buffer *out, const char *text)
{
    const char *end = text + strlen(text);

    while (text < end) {
        uint32_t character;
        size_t size = utf8_decode(text, (size_t)(end - text), &character);

        if (size > 0 && width_of(character) >= 0) {
            buffer_append(out, text, size);
        } else {
            buffer_append_byte(out, '?');
        }
        text += size > 0 ? size : 1;
    }
}

int text_width(const char *text)
{
    const char *end = text + strlen(text);
    int width = 0;

    while (text < end) {
        uint32_t character;
        size_t size = utf8_decode(text, (size_t)(end - text), &character);
        int own = size > 0 ? width_of(character) : 1;

        width += own > 0 ? own : 0;
        text += size > 0 ? size : 1;
    }
    return width;
}
