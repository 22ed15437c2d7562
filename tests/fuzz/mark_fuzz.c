/* SPDX-License-Identifier: Apache-2.0 */
/* A commit's metadata may be anybody's: it is refused, or printed again as the very same text. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/mark.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = malloc(size + 1);
    char again[MARK_SIZE];
    struct mark mark;
    struct err err = {0};

    must(text != NULL);
    memcpy(text, bytes, size);
    text[size] = '\0';
    if (mark_parse(text, &mark, &err) == 0) {
        mark_print(&mark, again);
        must(strcmp(text, again) == 0);
    } else {
        must(err.class == ERR_FATAL && err.text[0] != '\0');
    }
    free(text);
    return 0;
}
