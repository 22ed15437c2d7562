/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table is what MySQL 8.0 and 9.7, MariaDB 10.5, 10.11 and 11.8, each with lower_case_table_names=1, make of every character that a name can
 * have: all five agree. It is Unicode's of its version 3, so libc's towlower, which goes on to later capitals (Georgian, Cherokee), would give a
 * table another name than its server does.
 */
#include "producer/binlog/name_case.h"

#include <stdint.h>
#include <string.h>

#include "common/utf8.h"

struct run { /* every `step`th character from first to last has its lower case `distance` further on */
    uint16_t first;
    uint16_t last;
    uint8_t step;
    int16_t distance;
};

static const struct run runs[] = {
    {0x0041, 0x005a, 1, 32}, {0x00c0, 0x00d6, 1, 32}, {0x00d8, 0x00de, 1, 32}, {0x0100, 0x012e, 2, 1}, {0x0130, 0x0130, 1, -199},
    {0x0132, 0x0136, 2, 1}, {0x0139, 0x0147, 2, 1}, {0x014a, 0x0176, 2, 1}, {0x0178, 0x0178, 1, -121}, {0x0179, 0x017d, 2, 1},
    {0x0181, 0x0181, 1, 210}, {0x0182, 0x0184, 2, 1}, {0x0186, 0x0186, 1, 206}, {0x0187, 0x0187, 1, 1}, {0x0189, 0x018a, 1, 205},
    {0x018b, 0x018b, 1, 1}, {0x018e, 0x018e, 1, 79}, {0x018f, 0x018f, 1, 202}, {0x0190, 0x0190, 1, 203}, {0x0191, 0x0191, 1, 1},
    {0x0193, 0x0193, 1, 205}, {0x0194, 0x0194, 1, 207}, {0x0196, 0x0196, 1, 211}, {0x0197, 0x0197, 1, 209},
    {0x0198, 0x0198, 1, 1}, {0x019c, 0x019c, 1, 211}, {0x019d, 0x019d, 1, 213}, {0x019f, 0x019f, 1, 214}, {0x01a0, 0x01a4, 2, 1},
    {0x01a6, 0x01a6, 1, 218}, {0x01a7, 0x01a7, 1, 1}, {0x01a9, 0x01a9, 1, 218}, {0x01ac, 0x01ac, 1, 1}, {0x01ae, 0x01ae, 1, 218},
    {0x01af, 0x01af, 1, 1}, {0x01b1, 0x01b2, 1, 217}, {0x01b3, 0x01b5, 2, 1}, {0x01b7, 0x01b7, 1, 219}, {0x01b8, 0x01b8, 1, 1},
    {0x01bc, 0x01bc, 1, 1}, {0x01c4, 0x01c4, 1, 2}, {0x01c5, 0x01c5, 1, 1}, {0x01c7, 0x01c7, 1, 2}, {0x01c8, 0x01c8, 1, 1},
    {0x01ca, 0x01ca, 1, 2}, {0x01cb, 0x01db, 2, 1}, {0x01de, 0x01ee, 2, 1}, {0x01f1, 0x01f1, 1, 2}, {0x01f2, 0x01f4, 2, 1},
    {0x01f6, 0x01f6, 1, -97}, {0x01f7, 0x01f7, 1, -56}, {0x01f8, 0x021e, 2, 1}, {0x0222, 0x0232, 2, 1}, {0x0386, 0x0386, 1, 38},
    {0x0388, 0x038a, 1, 37}, {0x038c, 0x038c, 1, 64}, {0x038e, 0x038f, 1, 63}, {0x0391, 0x03a1, 1, 32}, {0x03a3, 0x03ab, 1, 32},
    {0x03da, 0x03ee, 2, 1}, {0x0400, 0x040f, 1, 80}, {0x0410, 0x042f, 1, 32}, {0x0460, 0x0480, 2, 1}, {0x048c, 0x04be, 2, 1},
    {0x04c1, 0x04c3, 2, 1}, {0x04c7, 0x04c7, 1, 1}, {0x04cb, 0x04cb, 1, 1}, {0x04d0, 0x04f4, 2, 1}, {0x04f8, 0x04f8, 1, 1},
    {0x0531, 0x0556, 1, 48}, {0x1e00, 0x1e94, 2, 1}, {0x1ea0, 0x1ef8, 2, 1}, {0x1f08, 0x1f0f, 1, -8}, {0x1f18, 0x1f1d, 1, -8},
    {0x1f28, 0x1f2f, 1, -8}, {0x1f38, 0x1f3f, 1, -8}, {0x1f48, 0x1f4d, 1, -8}, {0x1f59, 0x1f5f, 2, -8}, {0x1f68, 0x1f6f, 1, -8},
    {0x1f88, 0x1f8f, 1, -8}, {0x1f98, 0x1f9f, 1, -8}, {0x1fa8, 0x1faf, 1, -8}, {0x1fb8, 0x1fb9, 1, -8}, {0x1fba, 0x1fbb, 1, -74},
    {0x1fbc, 0x1fbc, 1, -9}, {0x1fc8, 0x1fcb, 1, -86}, {0x1fcc, 0x1fcc, 1, -9}, {0x1fd8, 0x1fd9, 1, -8},
    {0x1fda, 0x1fdb, 1, -100}, {0x1fe8, 0x1fe9, 1, -8}, {0x1fea, 0x1feb, 1, -112}, {0x1fec, 0x1fec, 1, -7},
    {0x1ff8, 0x1ff9, 1, -128}, {0x1ffa, 0x1ffb, 1, -126}, {0x1ffc, 0x1ffc, 1, -9}, {0x2126, 0x2126, 1, -7517},
    {0x212a, 0x212a, 1, -8383}, {0x212b, 0x212b, 1, -8262}, {0x2160, 0x216f, 1, 16}, {0x24b6, 0x24cf, 1, 26},
    {0xff21, 0xff3a, 1, 32},
};

static uint32_t lower_of(uint32_t character)
{
    for (size_t i = 0; i < sizeof runs / sizeof runs[0] && character >= runs[i].first; i++) {
        if (character <= runs[i].last && (character - runs[i].first) % runs[i].step == 0) {
            return (uint32_t)((int32_t)character + runs[i].distance);
        }
    }
    return character;
}

void name_case_lower(const char *text, size_t size, struct buffer *out)
{
    while (size > 0) {
        char lower[4];
        uint32_t character;
        size_t taken = utf8_decode(text, size, &character);

        if (taken > 0) {
            buffer_append(out, lower, utf8_encode(lower_of(character), lower));
        } else {
            taken = 1;
            buffer_append(out, text, taken);
        }
        text += taken;
        size -= taken;
    }
}

bool name_case_has_upper(const char *text)
{
    struct buffer lower = {0};
    bool has;

    name_case_lower(text, strlen(text), &lower);
    has = strcmp(buffer_text(&lower), text) != 0;
    buffer_deinit(&lower);
    return has;
}
