/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why it is reversible: an escape begins with "_x", four upper-case hex digits and '_'. A '_' of the original would be read as
 * the begin of one only if "xHHHH" follows and then something whose mapped form begins with '_', that is: a '_', or any
 * character that is escaped. Exactly these are escaped, so `tx_xid` stays readable. name_unmap maps its result again and
 * compares, which refuses every spelling but the one.
 */
#include "schemas/name.h"

#include <stdbool.h>
#include <string.h>

#include "common/utf8.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c);
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'A' && c <= 'F');
}

/* Does "xHHHH" stand here? The NUL at the end of the name stops the walk. */
static bool is_escape_body(const char *text)
{
    return text[0] == 'x' && is_hex(text[1]) && is_hex(text[2]) && is_hex(text[3]) && is_hex(text[4]);
}

static bool must_be_escaped(const char *at, bool first)
{
    if (*at == '_') {
        return (first && at[1] == '_') || (is_escape_body(at + 1) && at[6] != '\0' && !is_plain(at[6]));
    }
    return !is_plain(*at) || (first && is_digit(*at));
}

static void append_escape(struct buffer *out, uint32_t character)
{
    if (character > 0xffff) {
        buffer_printf(out, "_x%04X_", (unsigned)(0xd800 + ((character - 0x10000) >> 10)));
        character = 0xdc00 + ((character - 0x10000) & 0x3ff);
    }
    buffer_printf(out, "_x%04X_", (unsigned)character);
}

int name_map(struct buffer *out, const char *name, struct err *err)
{
    const char *at = name;
    const char *end = name + strlen(name);

    if (at == end) {
        return err_set(err, ERR_POISON, "an empty name");
    }
    while (at < end) {
        uint32_t character;
        size_t size = utf8_decode(at, (size_t)(end - at), &character);

        if (size == 0) {
            return err_set(err, ERR_POISON, "a name that is not UTF-8 at byte %zu", (size_t)(at - name));
        }
        if (must_be_escaped(at, at == name)) {
            append_escape(out, character);
        } else {
            buffer_append_byte(out, (uint8_t)*at);
        }
        at += size;
    }
    return 0;
}

static uint32_t hex_value(const char *four)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++) {
        value = value << 4 | (uint32_t)(is_digit(four[i]) ? four[i] - '0' : four[i] - 'A' + 10);
    }
    return value;
}

static bool is_escape(const char *text)
{
    return text[0] == '_' && is_escape_body(text + 1) && text[6] == '_';
}

#define ESCAPE_SIZE 7

/* The character of the escape, or pair of escapes, at `text`; returns its size, 0 if it is none. */
static size_t read_escape(const char *text, uint32_t *ret_character)
{
    uint32_t high = hex_value(text + 2);
    uint32_t low;

    if (high < 0xd800 || high > 0xdfff) {
        *ret_character = high;
        return high != 0 ? ESCAPE_SIZE : 0;
    }
    if (high > 0xdbff || !is_escape(text + ESCAPE_SIZE)) {
        return 0;
    }
    low = hex_value(text + ESCAPE_SIZE + 2);
    if (low < 0xdc00 || low > 0xdfff) {
        return 0;
    }
    *ret_character = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return 2 * (size_t)ESCAPE_SIZE;
}

static bool maps_to(const char *name, const char *mapped)
{
    struct buffer again = {0};
    struct err err;
    bool same = name_map(&again, name, &err) == 0 && strcmp(buffer_text(&again), mapped) == 0;

    buffer_deinit(&again);
    return same;
}

int name_decode(struct buffer *out, const char *mapped, struct err *err)
{
    size_t start = out->size;

    for (const char *at = mapped; *at != '\0';) {
        uint32_t character = (uint8_t)*at;
        size_t size = is_escape(at) ? read_escape(at, &character) : 1;
        char text[4];

        if (size == 0) {
            out->size = start;
            return err_set(err, ERR_POISON, "a mapped name with a bad escape at byte %zu", (size_t)(at - mapped));
        }
        if (size == 1) {
            buffer_append_byte(out, (uint8_t)character);
        } else {
            buffer_append(out, text, utf8_encode(character, text));
        }
        at += size;
    }
    return 0;
}

int name_unmap(struct buffer *out, const char *mapped, struct err *err)
{
    size_t start = out->size;

    if (name_decode(out, mapped, err) != 0) {
        return -1;
    }
    if (!maps_to(buffer_text(out) + start, mapped)) {
        out->size = start;
        return err_set(err, ERR_POISON, "not a mapped name");
    }
    return 0;
}

int name_topic(struct buffer *out, const char *prefix, const char *database, const char *table, struct err *err)
{
    size_t start = out->size;

    buffer_printf(out, "%s.", prefix);
    if (name_map(out, database, err) != 0) {
        return err_while(err, "naming the topic of a database");
    }
    buffer_append_byte(out, '.');
    if (name_map(out, table, err) != 0) {
        return err_while(err, "naming the topic of a table of %s", database);
    }
    if (out->size - start > NAME_TOPIC_MAX) {
        return err_set(err, ERR_POISON,
                       "the topic's name for %s.%s has %zu characters, Kafka takes %d: choose one by the setting topics.topic",
                       database, table, out->size - start, NAME_TOPIC_MAX);
    }
    return 0;
}
