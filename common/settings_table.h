/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings_table: what a setting is, and the table of all of them. For the settings_*.c files only; others use settings.h.
 */
#ifndef KAKEHI_COMMON_SETTINGS_TABLE_H
#define KAKEHI_COMMON_SETTINGS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/settings.h"

enum setting_type {
    SETTING_TEXT,     /* char *; never empty, but for secrets */
    SETTING_NAME,     /* char *; letters, digits, '.', '_', '-' (so never the '|' that joins names, rule A10) */
    SETTING_ADDRESS,  /* char *; "address:port" */
    SETTING_INTEGER,  /* int64_t */
    SETTING_SIZE,     /* int64_t, bytes */
    SETTING_DURATION, /* int64_t, milliseconds */
    SETTING_BOOLEAN,  /* bool */
    SETTING_CHOICE,   /* an enum; its values are the places in `choices` */
    SETTING_TEXTS,    /* struct text_list; one text is a list of one */
    SETTING_TABLES,   /* struct text_list of patterns database.table */
    SETTING_BY_TABLE, /* struct text_pairs: pattern database.table -> a text that reads as `each` */
    SETTING_PAIRS,    /* struct text_pairs: name -> text */
    SETTING_KAFKA,    /* struct text_pairs: librdkafka properties */
};

enum setting_flags {
    SETTING_REQUIRED_BY_PRODUCER = SETTINGS_FOR_PRODUCER, /* the same bits, so that one mask asks */
    SETTING_REQUIRED_BY_WORKER = SETTINGS_FOR_WORKER,
    SETTING_OF_COLUMNS = 8, /* SETTING_BY_TABLE whose patterns are of database.table.column */
    SETTING_NEVER_FOR_ALL = 16, /* SETTING_BY_TABLE that needs patterns: one value for all tables stands elsewhere, or makes no sense */
    SETTING_SECRET = 4, /* only as ${NAME}, or by a key with "_file" behind; SETTING_TEXT only */
};

struct setting {
    const char *path; /* "source.name" */
    enum setting_type type;
    unsigned flags;
    size_t offset;        /* in struct settings */
    const char *standard; /* the default, as one would write it; NULL: none */
    enum setting_type each; /* of SETTING_BY_TABLE: text, integer, duration or choice */
    int64_t min;          /* of numbers */
    int64_t max;
    const char *unit;           /* of plain numbers: "rows"; NULL: none, or said by the value itself */
    const char *const *choices; /* ends with NULL */
    const char *sentence;       /* what follows from it */
};

#define SETTINGS_COUNT_MAX 128

extern const struct setting settings_table[]; /* ends with a path of NULL; at most SETTINGS_COUNT_MAX */

/* "size", "one of verify, verify_ca, off", ...: for people. */
void setting_describe_type(const struct setting *setting, char *text, size_t size);

#endif
