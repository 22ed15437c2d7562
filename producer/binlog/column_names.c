/* SPDX-License-Identifier: Apache-2.0 */
/* When in doubt any name: a table is then said to need a reading once too often, and never once too few. */
#include "producer/binlog/column_names.h"

#include <ctype.h>
#include <string.h>

#define NAME_CHARACTERS_MAX 64 /* of MySQL and MariaDB */

/* In small letters. False: there is no telling what it equals. */
static bool read_plain(const char *name, char ret_name[NAME_CHARACTERS_MAX + 1])
{
    size_t size = strlen(name);

    if (size == 0 || size > NAME_CHARACTERS_MAX) {
        return false;
    }
    for (size_t i = 0; i <= size; i++) {
        unsigned char byte = (unsigned char)name[i];

        if (byte >= 0x80 || (i < size && !isalnum(byte) && byte != '_' && byte != '$')) {
            return false;
        }
        ret_name[i] = (char)tolower(byte);
    }
    return true;
}

static bool is_any(const struct column_names *names)
{
    return names->list.count == 1 && strcmp(names->list.texts[0], COLUMN_NAMES_ANY) == 0;
}

static bool has(const struct column_names *names, const char *name)
{
    return text_list_find(&names->list, name) < names->list.count;
}

bool column_names_add(struct column_names *names, const char *name)
{
    char plain[NAME_CHARACTERS_MAX + 1];
    bool any = !read_plain(name, plain) || (!has(names, plain) && names->list.count == COLUMN_NAMES_MAX);

    if (is_any(names) || (!any && has(names, plain))) {
        return false;
    }
    if (any) {
        column_names_deinit(names);
    }
    text_list_add(&names->list, any ? COLUMN_NAMES_ANY : plain);
    return true;
}

bool column_names_add_all(struct column_names *names, const struct column_names *from)
{
    bool more = false;

    for (size_t i = 0; i < from->list.count; i++) {
        more |= column_names_add(names, from->list.texts[i]);
    }
    return more;
}

bool column_names_none(const struct column_names *names)
{
    return names->list.count == 0;
}

bool column_names_meet(const struct column_names *names, const struct column_names *others)
{
    if (column_names_none(names) || column_names_none(others)) {
        return false;
    }
    for (size_t i = 0; i < names->list.count; i++) {
        if (has(others, names->list.texts[i])) {
            return true;
        }
    }
    return is_any(names) || is_any(others);
}

void column_names_deinit(struct column_names *names)
{
    text_list_deinit(&names->list);
}
