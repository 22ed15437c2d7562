/* SPDX-License-Identifier: Apache-2.0 */
/* Byte by byte, so that a message that was cut inside a character keeps all the rest. */
#include "common/json_text.h"

#include <string.h>

#include "common/buffer.h"
#include "common/must.h"
#include "common/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd"

json_t *json_text(const char *text)
{
    const char *end = text + strlen(text);
    struct buffer clean = {0};
    json_t *json;

    while (text < end) {
        uint32_t character;
        size_t size = utf8_decode(text, (size_t)(end - text), &character);

        if (size > 0) {
            buffer_append(&clean, text, size);
        } else {
            buffer_append_text(&clean, REPLACEMENT);
        }
        text += size > 0 ? size : 1;
    }
    json = json_string(buffer_text(&clean));
    must(json != NULL);
    buffer_deinit(&clean);
    return json;
}
