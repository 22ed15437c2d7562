/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codes of two, three and four bytes: big5, EUC, the GB family, Shift-JIS.
 *
 * A set is rows of CHARSET_TRAILS values, a row for each lead byte (of EUC's three bytes 8f xx yy: for each xx). All sets lie
 * in one array, 410 KiB, which is unpacked when the first text of any of them comes and stays: base64, then zlib, then the low
 * and the high bytes of differences (modulo fffe) from one character to the next are put together. A set that is another one with exceptions
 * (gb2312 < gbk < gb18030, sjis < cp932, eucjpms < ujis) holds only these.
 *
 * gb18030 gives every character of Unicode that has no code of two bytes one of four, in 209 runs.
 */
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/must.h"
#include "producer/binlog/charset_tables.h"

#define SS3             0x8f
#define KANA_FIRST      0xa1 /* half-width, of one byte, in Shift-JIS */
#define KANA_LAST       0xdf
#define KANA_CHARACTER  0xff61
#define FOUR_BYTE_LEADS 0x81

static uint16_t *values;
static pthread_once_t unpacked = PTHREAD_ONCE_INIT;

/* The row of a lead byte; NULL: none. */
static uint16_t *row_of(const struct charset_multi *multi, bool three, uint8_t lead)
{
    size_t row = (size_t)lead - multi->two_first;

    if (three ? lead < multi->three_first || lead > multi->three_last : lead < multi->two_first || lead > multi->two_last) {
        return NULL;
    }
    if (three) {
        row = (size_t)multi->two_last - multi->two_first + 1 + lead - multi->three_first;
    }
    return values + multi->values + row * CHARSET_TRAILS;
}

static void take_from_base(const struct charset_multi *multi, bool three)
{
    for (unsigned lead = 0; lead < 256; lead++) {
        uint16_t *row = row_of(multi, three, (uint8_t)lead);
        const uint16_t *base = row_of(&charset_multis[multi->base], three, (uint8_t)lead);

        for (size_t i = 0; row != NULL && i < CHARSET_TRAILS; i++) {
            if (row[i] == CHARSET_AS_BASE) {
                must(base != NULL);
                row[i] = base[i];
            }
        }
    }
}

/* The bytes that zlib made; freed by the caller. */
static uint8_t *inflate_data(void)
{
    size_t text_size = strlen(charset_multi_data);
    uint8_t *packed = malloc(text_size);
    unsigned long size = 2 * (unsigned long)charset_multi_value_count;
    uint8_t *bytes = malloc(size);
    int packed_size;

    must(packed != NULL && bytes != NULL);
    packed_size = EVP_DecodeBlock(packed, (const uint8_t *)charset_multi_data, (int)text_size);
    must(packed_size > 0);
    must(uncompress(bytes, &size, packed, (unsigned long)packed_size) == Z_OK && size == 2 * charset_multi_value_count);
    free(packed);
    return bytes;
}

static void unpack(void)
{
    static const enum charset with_base[] = {CHARSET_GBK, CHARSET_GB2312, CHARSET_SJIS, CHARSET_EUCJPMS};
    uint8_t *bytes = inflate_data();
    uint16_t last = 0;

    values = malloc(charset_multi_value_count * sizeof *values);
    must(values != NULL);
    for (size_t i = 0; i < charset_multi_value_count; i++) {
        uint16_t difference = (uint16_t)(bytes[i] | bytes[charset_multi_value_count + i] << 8);

        if (difference == CHARSET_NONE || difference == CHARSET_AS_BASE) {
            values[i] = difference;
        } else {
            values[i] = last = (uint16_t)(((uint32_t)last + difference) % CHARSET_AS_BASE);
        }
    }
    free(bytes);
    for (size_t i = 0; i < sizeof with_base / sizeof with_base[0]; i++) {
        take_from_base(&charset_multis[with_base[i]], false);
        take_from_base(&charset_multis[with_base[i]], true);
    }
}

static size_t look_up(const uint16_t *row, uint8_t trail, size_t size, uint32_t *ret_character)
{
    uint16_t value = row != NULL && trail >= CHARSET_TRAIL_FIRST ? row[trail - CHARSET_TRAIL_FIRST] : CHARSET_NONE;

    *ret_character = value;
    return value == CHARSET_NONE ? 0 : size;
}

/* Lead and third byte 81 to fe, the others 30 to 39. */
static size_t decode_four(const uint8_t *bytes, uint32_t *ret_character)
{
    uint32_t code;
    size_t low = 0;
    size_t high = charset_gb18030_run_count;

    if (bytes[0] < FOUR_BYTE_LEADS || bytes[0] > 0xfe || bytes[1] > '9' || bytes[2] < FOUR_BYTE_LEADS || bytes[2] > 0xfe ||
        bytes[3] < '0' || bytes[3] > '9') {
        return 0;
    }
    code = (((bytes[0] - 0x81U) * 10 + bytes[1] - '0') * 126 + bytes[2] - 0x81U) * 10 + bytes[3] - '0';
    while (high - low > 1) {
        size_t middle = (low + high) / 2;

        if (charset_gb18030_runs[middle].first <= code) {
            low = middle;
        } else {
            high = middle;
        }
    }
    code -= charset_gb18030_runs[low].first; /* below the first: far above any count */
    *ret_character = charset_gb18030_runs[low].character + code;
    return code < charset_gb18030_runs[low].count ? 4 : 0;
}

size_t charset_multi_decode(enum charset charset, const uint8_t *bytes, size_t size, uint32_t *ret_character)
{
    const struct charset_multi *multi = &charset_multis[charset];
    bool shift_jis = charset == CHARSET_CP932 || charset == CHARSET_SJIS;

    if (bytes[0] < 0x80) {
        *ret_character = bytes[0];
        return 1;
    }
    if (shift_jis && bytes[0] >= KANA_FIRST && bytes[0] <= KANA_LAST) {
        *ret_character = KANA_CHARACTER + (uint32_t)(bytes[0] - KANA_FIRST);
        return 1;
    }
    must(pthread_once(&unpacked, unpack) == 0);
    if (bytes[0] == SS3 && multi->three_first <= multi->three_last) {
        return size < 3 ? 0 : look_up(row_of(multi, true, bytes[1]), bytes[2], 3, ret_character);
    }
    if (charset == CHARSET_GB18030 && size >= 4 && bytes[1] >= '0' && bytes[1] <= '9') {
        return decode_four(bytes, ret_character);
    }
    return size < 2 ? 0 : look_up(row_of(multi, false, bytes[0]), bytes[1], 2, ret_character);
}
