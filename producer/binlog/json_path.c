/* SPDX-License-Identifier: Apache-2.0 */
/* Names that are no identifiers of ECMAScript stand in quotes, escaped as JSON texts are. */
#include "producer/binlog/json_path.h"

#include "common/utf8.h"

#define INDEX_MAX UINT32_MAX

static const char NO_PATH[] = "JSON: a path that none is";

static bool at_letter(const struct cursor *path, char letter)
{
    return cursor_left(path) > 0 && *path->at == (uint8_t)letter;
}

/* Is this letter next? Then it is passed. */
static bool take_letter(struct cursor *path, char letter)
{
    bool is_there = at_letter(path, letter);

    path->at += is_there;
    return is_there;
}

void json_path_begin(struct cursor *path)
{
    if (!take_letter(path, '$')) {
        cursor_fail(path, NO_PATH);
    }
}

static uint32_t read_hex4(struct cursor *path)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++) {
        uint8_t digit = cursor_u8(path);
        bool letter = (digit | 0x20) >= 'a' && (digit | 0x20) <= 'f';

        if (!letter && (digit < '0' || digit > '9')) {
            cursor_fail(path, NO_PATH);
        }
        value = value << 4 | (letter ? (digit | 0x20U) - 'a' + 10 : digit - (uint32_t)'0');
    }
    return value;
}

static void append_escaped_unit(struct cursor *path, struct buffer *name)
{
    uint32_t character = read_hex4(path);
    char text[4];

    if (character >= 0xd800 && character < 0xdc00 && take_letter(path, '\\') && take_letter(path, 'u')) {
        uint32_t low = read_hex4(path);

        character = low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((character - 0xd800) << 10) + (low - 0xdc00) : low;
    }
    if (path->why != NULL || (character >= 0xd800 && character < 0xe000)) {
        cursor_fail(path, NO_PATH);
        return;
    }
    buffer_append(name, text, utf8_encode(character, text));
}

static void append_escaped(struct cursor *path, struct buffer *name)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    uint8_t letter = cursor_u8(path);
    const char *at = letter != 0 ? strchr(letters, letter) : NULL;

    if (letter == 'u') {
        append_escaped_unit(path, name);
    } else if (at != NULL) {
        buffer_append_byte(name, (uint8_t)meanings[at - letters]);
    } else {
        cursor_fail(path, NO_PATH);
    }
}

static void read_quoted(struct cursor *path, struct buffer *name)
{
    while (!take_letter(path, '"') && path->why == NULL) {
        uint8_t byte = cursor_u8(path);

        if (byte == '\\') {
            append_escaped(path, name);
        } else {
            buffer_append_byte(name, byte);
        }
    }
}

static void read_member(struct cursor *path, struct buffer *name, struct json_path_leg *leg)
{
    buffer_clear(name);
    if (take_letter(path, '"')) {
        read_quoted(path, name);
    } else {
        while (cursor_left(path) > 0 && *path->at != '.' && *path->at != '[') {
            buffer_append_byte(name, cursor_u8(path));
        }
        if (name->size == 0 || name->bytes[0] == '*') {
            cursor_fail(path, NO_PATH);
        }
    }
    leg->member = true;
    leg->name = (const uint8_t *)buffer_text(name);
    leg->name_size = name->size;
}

static uint64_t read_number(struct cursor *path)
{
    uint64_t number = 0;
    bool any = false;

    while (cursor_left(path) > 0 && *path->at >= '0' && *path->at <= '9' && number <= INDEX_MAX) {
        number = number * 10 + (uint64_t)(*path->at++ - '0');
        any = true;
    }
    if (!any || number > INDEX_MAX) {
        cursor_fail(path, NO_PATH);
    }
    return number;
}

static void read_cell(struct cursor *path, struct json_path_leg *leg)
{
    static const char last[] = "last";

    if (cursor_left(path) >= 4 && memcmp(path->at, last, 4) == 0) {
        cursor_skip(path, 4);
        leg->from_end = true;
        leg->index = take_letter(path, '-') ? read_number(path) : 0;
    } else {
        leg->index = read_number(path);
    }
    if (!take_letter(path, ']')) {
        cursor_fail(path, NO_PATH);
    }
}

void json_path_next(struct cursor *path, struct buffer *name, struct json_path_leg *ret_leg)
{
    *ret_leg = (struct json_path_leg){0};
    if (take_letter(path, '.')) {
        read_member(path, name, ret_leg);
    } else if (take_letter(path, '[')) {
        read_cell(path, ret_leg);
    } else {
        cursor_fail(path, NO_PATH);
    }
    if (path->why == CURSOR_SHORT) { /* more bytes would not help */
        path->why = NO_PATH;
    }
}
