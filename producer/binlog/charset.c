/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collation ids are part of the wire format and never change their meaning within a flavor; what SHOW COLLATION prints on
 * MySQL 9.7 and MariaDB 11.8 is compared in the unit test. MariaDB's NO PAD collations are the padding one's id + 1024, and its
 * UCA 14.0.0 collations are 256 ids a character set from 2048 on (utf8mb3, utf8mb4, ucs2, utf16, utf32).
 */
#include "producer/binlog/charset.h"

#include <string.h>

#include "common/utf8.h"

#define MARIADB_NOPAD   1024
#define MARIADB_UCA1400 2048
#define UCA1400_IDS     256

struct collation_range {
    uint16_t first;
    uint16_t last;
    enum charset charset;
};

static const struct collation_range common_ranges[] = {
    {5, 5, CHARSET_LATIN1},   {8, 8, CHARSET_LATIN1},   {11, 11, CHARSET_ASCII},  {15, 15, CHARSET_LATIN1},
    {31, 31, CHARSET_LATIN1}, {33, 33, CHARSET_UTF8},   {45, 46, CHARSET_UTF8},   {47, 49, CHARSET_LATIN1},
    {63, 63, CHARSET_BINARY}, {65, 65, CHARSET_ASCII},  {76, 76, CHARSET_UTF8},   {83, 83, CHARSET_UTF8},
    {94, 94, CHARSET_LATIN1}, {192, 215, CHARSET_UTF8}, {223, 247, CHARSET_UTF8},
};

static const struct collation_range mysql_ranges[] = {
    {255, 323, CHARSET_UTF8}, /* utf8mb4_0900 */
};

static const struct collation_range mariadb_ranges[] = {
    {576, 578, CHARSET_UTF8}, /* utf8mb3: croatian, myanmar, thai */
    {608, 610, CHARSET_UTF8}, /* utf8mb4: the same */
};

static enum charset find(const struct collation_range *ranges, size_t count, uint64_t collation)
{
    for (size_t i = 0; i < count; i++) {
        if (collation >= ranges[i].first && collation <= ranges[i].last) {
            return ranges[i].charset;
        }
    }
    return CHARSET_UNKNOWN;
}

#define FIND(ranges, collation) find(ranges, sizeof ranges / sizeof ranges[0], collation)

static enum charset of_mariadb(uint64_t collation)
{
    enum charset charset;

    if (collation >= MARIADB_UCA1400) {
        return collation < MARIADB_UCA1400 + 2 * UCA1400_IDS ? CHARSET_UTF8 : CHARSET_UNKNOWN;
    }
    if (collation >= MARIADB_NOPAD) {
        collation -= MARIADB_NOPAD;
    }
    charset = FIND(mariadb_ranges, collation);
    return charset != CHARSET_UNKNOWN ? charset : FIND(common_ranges, collation);
}

enum charset charset_of_collation(enum binlog_flavor flavor, uint64_t collation)
{
    enum charset charset;

    if (flavor == BINLOG_MARIADB) {
        return of_mariadb(collation);
    }
    charset = FIND(mysql_ranges, collation);
    return charset != CHARSET_UNKNOWN ? charset : FIND(common_ranges, collation);
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
    size_t i = ascii_run(bytes, size);

    while (i < size) {
        uint32_t character;
        size_t step =
            bytes[i] < 0x80 ? ascii_run(bytes + i, size - i) : utf8_decode((const char *)bytes + i, size - i, &character);

        if (step == 0) {
            return false;
        }
        i += step;
    }
    return true;
}

/* 80 to 9f of code page 1252; the five that it leaves open stand for themselves. */
static const uint16_t latin1_high[32] = {
    0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008d, 0x017d, 0x008f, 0x0090, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x009d, 0x017e, 0x0178,
};

size_t charset_latin1_to_utf8(uint8_t *out, const uint8_t *bytes, size_t size)
{
    uint8_t *at = out;

    for (size_t i = 0; i < size; i++) {
        if (bytes[i] < 0x80) {
            *at++ = bytes[i];
        } else {
            char text[4];
            size_t step = utf8_encode(bytes[i] < 0xa0 ? latin1_high[bytes[i] - 0x80] : bytes[i], text);

            memcpy(at, text, step);
            at += step;
        }
    }
    return (size_t)(at - out);
}
