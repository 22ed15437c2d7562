/* SPDX-License-Identifier: Apache-2.0 */
/*
 * charset: which character set a collation belongs to, and text in it as UTF-8.
 *
 * Every set of MySQL 9.7 and MariaDB 10.11 is known, each character as the servers themselves convert it: the tables are made
 * by ops/charsets/make of what they say. Libraries differ from them in hundreds of characters (iconv's EUC-KR lacks 8,822, its
 * latin1 has not what MySQL puts in 80 to 9F). Bytes that are no character of their set are told apart, never replaced.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_CHARSET_H
#define KAKEHI_PRODUCER_BINLOG_CHARSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "producer/binlog/stream.h"

enum charset {
    CHARSET_UNKNOWN, /* not one of these, or the log does not tell */
    CHARSET_BINARY,
    CHARSET_UTF8, /* utf8mb4 and utf8mb3 */
    CHARSET_ASCII,
    CHARSET_UCS2,
    CHARSET_UTF16,
    CHARSET_UTF16LE,
    CHARSET_UTF32,
    /* one byte a character */
    CHARSET_ARMSCII8,
    CHARSET_CP1250,
    CHARSET_CP1251,
    CHARSET_CP1256,
    CHARSET_CP1257,
    CHARSET_CP850,
    CHARSET_CP852,
    CHARSET_CP866,
    CHARSET_DEC8,
    CHARSET_GEOSTD8,
    CHARSET_GREEK,
    CHARSET_HEBREW,
    CHARSET_HP8,
    CHARSET_KEYBCS2,
    CHARSET_KOI8R,
    CHARSET_KOI8U,
    CHARSET_LATIN1,
    CHARSET_LATIN2,
    CHARSET_LATIN5,
    CHARSET_LATIN7,
    CHARSET_MACCE,
    CHARSET_MACROMAN,
    CHARSET_SWE7,
    CHARSET_TIS620,
    /* one to four */
    CHARSET_BIG5,
    CHARSET_CP932,
    CHARSET_EUCJPMS,
    CHARSET_EUCKR,
    CHARSET_GB18030,
    CHARSET_GB2312,
    CHARSET_GBK,
    CHARSET_SJIS,
    CHARSET_UJIS,
    CHARSET_COUNT
};

#define CHARSET_GROWTH 3 /* bytes of UTF-8 for one byte of any other set, at most */

enum charset charset_of_collation(enum binlog_flavor flavor, uint64_t collation);

/* Is it UTF-8 without surrogates and overlong forms? */
bool charset_is_utf8(const uint8_t *bytes, size_t size);
bool charset_is_ascii(const uint8_t *bytes, size_t size);
/* Is the text, in its set, byte for byte the same in UTF-8? */
bool charset_is_plain(enum charset charset, const uint8_t *bytes, size_t size);
/* Writes text of a set as UTF-8 to `out`, which has room for CHARSET_GROWTH times the size. False: it holds bytes that are no
 * character of that set. */
bool charset_to_utf8(enum charset charset, const uint8_t *bytes, size_t size, uint8_t *out, size_t *ret_size);

/* Appends it with \xHH for each byte (of UCS2 and its like: each unit) that is no character. */
void charset_escape(enum charset charset, const uint8_t *bytes, size_t size, struct buffer *out);

#endif
