/* SPDX-License-Identifier: Apache-2.0 */
/* Quoting doubles the quote, as SQL says; nothing else in a name means anything between quotes. */
#include "workers/sqlite/names.h"

#include <string.h>

#include "common/must.h"
#include "schemas/name.h"

void sqlite_append_quoted(struct buffer *out, const char *name)
{
    buffer_append_byte(out, '"');
    for (; *name != '\0'; name++) {
        if (*name == '"') {
            buffer_append_byte(out, '"');
        }
        buffer_append_byte(out, (uint8_t)*name);
    }
    buffer_append_byte(out, '"');
}

void sqlite_append_column_name(struct buffer *out, const struct column *column)
{
    struct err err;

    if (strncmp(column->name, "__", 2) == 0) {
        must(name_map(out, column->name, &err) == 0); /* it has a schema, so its name was mapped before */
    } else {
        buffer_append_text(out, column->name);
    }
}

void sqlite_append_column_quoted(struct buffer *out, const struct column *column)
{
    struct buffer name = {0};

    sqlite_append_column_name(&name, column);
    sqlite_append_quoted(out, buffer_text(&name));
    buffer_deinit(&name);
}

void sqlite_append_view_name(struct buffer *out, const char *pattern, const struct table *table)
{
    static const char database[] = "{database}";
    static const char name[] = "{table}";

    while (*pattern != '\0') {
        if (strncmp(pattern, database, sizeof database - 1) == 0) {
            buffer_append_text(out, table->database);
            pattern += sizeof database - 1;
        } else if (strncmp(pattern, name, sizeof name - 1) == 0) {
            buffer_append_text(out, table->name);
            pattern += sizeof name - 1;
        } else {
            buffer_append_byte(out, (uint8_t)*pattern++);
        }
    }
}
