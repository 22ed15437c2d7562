/* SPDX-License-Identifier: Apache-2.0 */
/* Mapped names hold letters, digits and `_` alone (schemas/name.h); topics of state have one dot only. */
#include "workers/subscription.h"

#include <string.h>

#define NAME_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

void subscription_pattern(struct buffer *out, const char *prefix)
{
    buffer_append_byte(out, '^');
    for (const char *at = prefix; *at != '\0'; at++) {
        if (strchr(".[]{}()\\*+?|^$", *at) != NULL) {
            buffer_append_byte(out, '\\');
        }
        buffer_append_byte(out, (uint8_t)*at);
    }
    buffer_append_text(out, "\\.[A-Za-z0-9_]+\\.[A-Za-z0-9_]+$");
}

/* Is it ".database.table"? */
static bool names_a_table(const char *text)
{
    for (int part = 0; part < 2; part++) {
        size_t size = *text == '.' ? strspn(text + 1, NAME_BYTES) : 0;

        if (size == 0) {
            return false;
        }
        text += 1 + size;
    }
    return *text == '\0';
}

bool subscription_has(const struct settings *settings, const char *topic)
{
    size_t prefix_size = strlen(settings->prefix);
    const struct text_pairs *named = &settings->topics.topic;

    for (size_t i = 0; i < named->count; i++) {
        if (strcmp(named->pairs[i].value, topic) == 0) {
            return true;
        }
    }
    return strncmp(topic, settings->prefix, prefix_size) == 0 && names_a_table(topic + prefix_size);
}
