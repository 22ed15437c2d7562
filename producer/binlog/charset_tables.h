/* SPDX-License-Identifier: Apache-2.0 */
/* charset_tables: what ops/charsets/make made, for charset.c and charset_multi.c. Nobody else includes it. */
#ifndef KAKEHI_PRODUCER_BINLOG_CHARSET_TABLES_H
#define KAKEHI_PRODUCER_BINLOG_CHARSET_TABLES_H

#include "producer/binlog/charset.h"

#define CHARSET_NONE        0xffff /* no character has that code */
#define CHARSET_AS_BASE     0xfffe /* the character that the base has there */
#define CHARSET_TRAIL_FIRST 0x40   /* no code of two or three bytes ends with a lower one */
#define CHARSET_TRAILS      (0x100 - CHARSET_TRAIL_FIRST)

struct charset_collations { /* a range of ids; the last has CHARSET_UNKNOWN */
    uint16_t first;
    uint16_t last;
    enum charset charset;
};

extern const struct charset_collations charset_mysql_collations[];
extern const struct charset_collations charset_mariadb_collations[]; /* below 1024 */

struct charset_single {
    const uint16_t *low;  /* characters of 00 to 7f; NULL: ASCII */
    const uint16_t *high; /* of 80 to ff; NULL: not a set of one byte a character */
};

extern const struct charset_single charset_singles[CHARSET_COUNT];

struct charset_multi {
    size_t values;                   /* where its values begin: a row of CHARSET_TRAILS for each lead byte */
    uint8_t two_first, two_last;     /* lead bytes of codes of two bytes; 0, 0: not such a set */
    uint8_t three_first, three_last; /* second bytes of codes of three, behind 8f; 1, 0: it has none */
    enum charset base;               /* CHARSET_UNKNOWN: none */
};

extern const struct charset_multi charset_multis[CHARSET_COUNT];
extern const size_t charset_multi_value_count;
extern const char charset_multi_data[]; /* base64 of deflated differences: charset_multi.c */

struct charset_run { /* consecutive codes of four bytes that are consecutive characters */
    uint32_t first;  /* the code as a number: ((b0 - 81) * 10 + b1 - 30) * 126 + b2 - 81) * 10 + b3 - 30 */
    uint32_t count;
    uint32_t character;
};

extern const struct charset_run charset_gb18030_runs[];
extern const size_t charset_gb18030_run_count;

/* charset_multi.c: the character that the bytes (at least one) begin with, and how many they are; 0: none. */
size_t charset_multi_decode(enum charset charset, const uint8_t *bytes, size_t size, uint32_t *ret_character);

#endif
