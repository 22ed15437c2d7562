/* SPDX-License-Identifier: Apache-2.0 */
/*
 * charset: which character set a collation belongs to, and text in it as UTF-8.
 *
 * Known: utf8mb4, utf8mb3, ascii, latin1, binary. Columns of every other set are refused as table errors.
 * latin1 is what MySQL makes of it: Windows code page 1252, in which 81, 8D, 8F, 90 and 9D stand for themselves.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_CHARSET_H
#define KAKEHI_PRODUCER_BINLOG_CHARSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "producer/binlog/stream.h"

enum charset {
    CHARSET_UNKNOWN, /* not one of these, or the log does not tell */
    CHARSET_BINARY,
    CHARSET_UTF8, /* utf8mb4 and utf8mb3 */
    CHARSET_ASCII,
    CHARSET_LATIN1,
};

enum charset charset_of_collation(enum binlog_flavor flavor, uint64_t collation);

/* Is it UTF-8 without surrogates and overlong forms? */
bool charset_is_utf8(const uint8_t *bytes, size_t size);
bool charset_is_ascii(const uint8_t *bytes, size_t size);
/* Writes latin1 as UTF-8 to `out`, which has room for CHARSET_LATIN1_GROWTH times the size; returns the size written. */
size_t charset_latin1_to_utf8(uint8_t *out, const uint8_t *bytes, size_t size);

#define CHARSET_LATIN1_GROWTH 3

#endif
