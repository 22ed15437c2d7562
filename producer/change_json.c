/* SPDX-License-Identifier: Apache-2.0 */
/* Written by hand, like all rows as JSON: a JSON library would want the row's values copied once more. */
#include "producer/change_json.h"

#include <string.h>

#include "schemas/value_text.h"

void change_json_text(struct buffer *out, const char *key, const char *text)
{
    buffer_printf(out, ",\"%s\":", key);
    value_text_json_string(out, text, strlen(text));
}

void change_json_head(struct buffer *out, const struct table *table, char op)
{
    struct buffer name = {0};

    buffer_printf(&name, "%s.%s", table->database, table->name);
    buffer_append_text(out, "{\"table\":");
    value_text_json_string(out, buffer_text(&name), name.size);
    buffer_printf(out, ",\"op\":\"%c\"", op);
    buffer_deinit(&name);
}

int change_json_images(struct buffer *out, const struct table *table, const struct cell *before, const struct cell *after, struct err *err)
{
    buffer_append_text(out, ",\"before\":");
    if (value_text_json_row(out, table, before, err) != 0) {
        return -1;
    }
    buffer_append_text(out, ",\"after\":");
    return value_text_json_row(out, table, after, err);
}

void change_json_time(struct buffer *out, int64_t ts_us)
{
    buffer_append_text(out, ",\"ts\":\"");
    value_text_datetime(out, ts_us, 'T');
    buffer_append_text(out, "Z\"");
}
