/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collation ids are part of the wire format and never change their meaning within a flavor; what the servers list is compared
 * in the unit test. MariaDB's NO PAD collations are the padding one's id + 1024, and its UCA 14.0.0 collations are 256 ids a
 * character set from 2048 on.
 */
#include "producer/binlog/charset.h"

#include <string.h>

#include "common/must.h"
#include "common/utf8.h"
#include "producer/binlog/charset_tables.h"

#define MARIADB_NOPAD   1024
#define MARIADB_UCA1400 2048
#define UCA1400_IDS     256

static enum charset find(const struct charset_collations *ranges, uint64_t collation)
{
    for (; ranges->charset != CHARSET_UNKNOWN; ranges++) {
        if (collation >= ranges->first && collation <= ranges->last) {
            return ranges->charset;
        }
    }
    return CHARSET_UNKNOWN;
}

static enum charset of_mariadb(uint64_t collation)
{
    static const enum charset uca1400[] = {CHARSET_UTF8, CHARSET_UTF8, CHARSET_UCS2, CHARSET_UTF16, CHARSET_UTF32};
    uint64_t block = (collation - MARIADB_UCA1400) / UCA1400_IDS;

    if (collation >= MARIADB_UCA1400) {
        return block < sizeof uca1400 / sizeof uca1400[0] ? uca1400[block] : CHARSET_UNKNOWN;
    }
    return find(charset_mariadb_collations, collation >= MARIADB_NOPAD ? collation - MARIADB_NOPAD : collation);
}

enum charset charset_of_collation(enum binlog_flavor flavor, uint64_t collation)
{
    return flavor == BINLOG_MARIADB ? of_mariadb(collation) : find(charset_mysql_collations, collation);
}

/* How many bytes at the front are ASCII, in steps of 8 where possible. */
static size_t ascii_run(const uint8_t *bytes, size_t size)
{
    size_t i = 0;

    for (; i + 8 <= size; i += 8) {
        uint64_t word;

        memcpy(&word, bytes + i, sizeof word);
        if ((word & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
    }
    while (i < size && bytes[i] < 0x80) {
        i++;
    }
    return i;
}

bool charset_is_ascii(const uint8_t *bytes, size_t size)
{
    return ascii_run(bytes, size) == size;
}

bool charset_is_utf8(const uint8_t *bytes, size_t size)
{
    return utf8_valid((const char *)bytes, size);
}

bool charset_is_plain(enum charset charset, const uint8_t *bytes, size_t size)
{
    switch (charset) {
    case CHARSET_UTF8:
        return charset_is_utf8(bytes, size);
    case CHARSET_UNKNOWN:
    case CHARSET_BINARY:
    case CHARSET_UCS2:
    case CHARSET_UTF16:
    case CHARSET_UTF16LE:
    case CHARSET_UTF32:
    case CHARSET_SWE7:
        return false;
    default:
        return charset_is_ascii(bytes, size);
    }
}

/* ---- one character; 0: the bytes begin with none */

static uint32_t unit_of(enum charset charset, const uint8_t *bytes)
{
    return charset == CHARSET_UTF16LE ? (uint32_t)(bytes[0] | bytes[1] << 8) : (uint32_t)(bytes[0] << 8 | bytes[1]);
}

static size_t decode_unicode(enum charset charset, const uint8_t *bytes, size_t size, uint32_t *ret_character)
{
    size_t unit_size = charset == CHARSET_UTF32 ? 4 : 2;
    uint32_t low;

    if (size < unit_size) {
        return 0;
    }
    *ret_character = unit_of(charset, bytes);
    if (charset == CHARSET_UTF32) {
        *ret_character = *ret_character << 16 | unit_of(charset, bytes + 2);
        return *ret_character <= 0x10ffff && (*ret_character < 0xd800 || *ret_character > 0xdfff) ? 4 : 0;
    }
    if (*ret_character < 0xd800 || *ret_character > 0xdfff) {
        return 2;
    }
    low = size >= 4 ? unit_of(charset, bytes + 2) : 0;
    if (charset == CHARSET_UCS2 || *ret_character > 0xdbff || low < 0xdc00 || low > 0xdfff) {
        return 0;
    }
    *ret_character = 0x10000 + ((*ret_character - 0xd800) << 10) + (low - 0xdc00);
    return 4;
}

static size_t decode_single(const struct charset_single *single, uint8_t byte, uint32_t *ret_character)
{
    if (byte < 0x80) {
        *ret_character = single->low != NULL ? single->low[byte] : byte;
    } else {
        *ret_character = single->high[byte - 0x80];
    }
    return *ret_character == CHARSET_NONE ? 0 : 1;
}

static size_t decode(enum charset charset, const uint8_t *bytes, size_t size, uint32_t *ret_character)
{
    if (charset >= CHARSET_UCS2 && charset <= CHARSET_UTF32) {
        return decode_unicode(charset, bytes, size, ret_character);
    }
    if (charset_singles[charset].high != NULL) {
        return decode_single(&charset_singles[charset], *bytes, ret_character);
    }
    return charset_multi_decode(charset, bytes, size, ret_character);
}

bool charset_to_utf8(enum charset charset, const uint8_t *bytes, size_t size, uint8_t *out, size_t *ret_size)
{
    uint8_t *to = out;

    must(charset != CHARSET_UNKNOWN && charset < CHARSET_COUNT);
    *ret_size = 0;
    if (charset <= CHARSET_ASCII) {
        return false; /* what is not plain is no text of these */
    }
    for (size_t i = 0; i < size;) {
        uint32_t character;
        size_t step = decode(charset, bytes + i, size - i, &character);

        if (step == 0) {
            return false;
        }
        i += step;
        to += utf8_encode(character, (char *)to);
    }
    *ret_size = (size_t)(to - out);
    return true;
}

static size_t decode_any(enum charset charset, const uint8_t *bytes, size_t size, uint32_t *ret_character)
{
    if (charset == CHARSET_UTF8) {
        return utf8_decode((const char *)bytes, size, ret_character);
    }
    *ret_character = *bytes;
    if (charset == CHARSET_ASCII) {
        return *bytes < 0x80;
    }
    return decode(charset, bytes, size, ret_character);
}

static size_t unit_size(enum charset charset)
{
    return charset == CHARSET_UTF32 ? 4 : charset == CHARSET_UCS2 || charset == CHARSET_UTF16 || charset == CHARSET_UTF16LE ? 2 : 1;
}

void charset_escape(enum charset charset, const uint8_t *bytes, size_t size, struct buffer *out)
{
    must(charset != CHARSET_UNKNOWN && charset != CHARSET_BINARY);
    for (size_t i = 0; i < size;) {
        uint32_t character;
        size_t step = decode_any(charset, bytes + i, size - i, &character);

        if (step > 0) {
            char text[4];

            buffer_append(out, text, utf8_encode(character, text));
            i += step;
            continue;
        }
        for (size_t end = i + unit_size(charset); i < end && i < size; i++) {
            buffer_printf(out, "\\x%02X", bytes[i]);
        }
    }
}
