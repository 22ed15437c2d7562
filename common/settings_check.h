/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings_check: what must hold between settings, once each is right by itself. For settings.c only.
 */
#ifndef KAKEHI_COMMON_SETTINGS_CHECK_H
#define KAKEHI_COMMON_SETTINGS_CHECK_H

#include "common/settings.h"

/* `complain` is called for each rule that is broken, with the key that is the likeliest to be changed. */
typedef void (*settings_complaint)(void *context, const char *key, const char *words);

void settings_check(const struct settings *settings, enum settings_for who, settings_complaint complain, void *context);

#endif
