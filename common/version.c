/* SPDX-License-Identifier: Apache-2.0 */
/* The Makefile names the version on this file's command line alone, so that a new commit compiles nothing else again. */
#include "common/version.h"

#ifndef KAKEHI_VERSION
#define KAKEHI_VERSION "unknown"
#endif

const char *version_text(void)
{
    return KAKEHI_VERSION;
}
