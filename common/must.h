/* SPDX-License-Identifier: Apache-2.0 */
/* must: for our own mistakes, always on. What comes from outside is never asserted; it gets a struct err. */
#ifndef KAKEHI_COMMON_MUST_H
#define KAKEHI_COMMON_MUST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define must(condition)                                                                                                        \
    do {                                                                                                                       \
        if (!(condition)) {                                                                                                    \
            (void)fprintf(stderr, "%s:%d: %s: must(%s)\n", __FILE__, __LINE__, __func__, #condition);                          \
            abort();                                                                                                           \
        }                                                                                                                      \
    } while (0)

/* A copy that the caller frees; NULL of NULL. Memory that is not there is no error that a caller could do anything about. */
static inline char *must_strdup(const char *text)
{
    char *copy = text != NULL ? strdup(text) : NULL;

    must(text == NULL || copy != NULL);
    return copy;
}

#endif
