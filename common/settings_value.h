/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings_value: between the text of one setting and its place in struct settings. For the settings_*.c files only.
 */
#ifndef KAKEHI_COMMON_SETTINGS_VALUE_H
#define KAKEHI_COMMON_SETTINGS_VALUE_H

#include "common/buffer.h"
#include "common/err.h"
#include "common/settings_table.h"

/* Appends text with each ${NAME} replaced by the environment, `$${` by `${`. Fails on a name that is not set or not a name. */
int settings_value_expand(struct buffer *out, const char *text, struct err *err) MUST_CHECK;
/* Is the text nothing but one ${NAME}? */
bool settings_value_is_reference(const char *text);
/* Appends the content of a secret's file, without the line break at its end. Errors never hold any of it. */
int settings_value_read_secret(struct buffer *out, const char *path, struct err *err) MUST_CHECK;

/* Stores a text, number, duration ... of the setting; adds to a list. Errors say what is expected, not what was given. */
int settings_value_set(const struct setting *setting, struct settings *settings, const char *text, struct err *err) MUST_CHECK;
/* Checks and stores one pair of a SETTING_BY_TABLE. */
int settings_value_set_pair(const struct setting *setting, struct settings *settings, const char *key, const char *text,
                            struct err *err) MUST_CHECK;
/* Appends the value in force as it could be written; nothing for lists, pairs and what is not set. */
void settings_value_print(const struct setting *setting, const struct settings *settings, struct buffer *out);
/* Frees what the setting holds; wipes a secret. */
void settings_value_free(const struct setting *setting, struct settings *settings);

/* The type of one value: of a setting by table, of each of its pairs. */
enum setting_type settings_value_type(const struct setting *setting);

/* A duration as settings hold it in pairs; the fallback for NULL. */
int64_t settings_value_duration_ms(const char *text, int64_t fallback_ms);

/* "4 MiB", "14d": the largest unit that leaves a whole number. */
void settings_value_print_size(struct buffer *out, int64_t bytes);
void settings_value_print_duration(struct buffer *out, int64_t ms);

#endif
