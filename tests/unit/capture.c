/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptor itself is redirected into a temporary file, so that what stdio buffers is seen as well. */
#include "tests/unit/capture.h"

#include <stdio.h>
#include <unistd.h>

#include "common/must.h"

static struct {
    FILE *file;
    int original;
    char text[65536];
} captures[3];

void capture_start(int descriptor)
{
    must((descriptor == STDOUT_FILENO || descriptor == STDERR_FILENO) && captures[descriptor].file == NULL);
    (void)fflush(NULL);
    captures[descriptor].file = tmpfile();
    captures[descriptor].original = dup(descriptor);
    must(captures[descriptor].file != NULL && captures[descriptor].original >= 0);
    must(dup2(fileno(captures[descriptor].file), descriptor) == descriptor);
}

const char *capture_end(int descriptor)
{
    size_t size;

    must(captures[descriptor].file != NULL);
    (void)fflush(NULL);
    must(dup2(captures[descriptor].original, descriptor) == descriptor);
    (void)close(captures[descriptor].original);
    rewind(captures[descriptor].file);
    size = fread(captures[descriptor].text, 1, sizeof captures[descriptor].text - 1, captures[descriptor].file);
    captures[descriptor].text[size] = '\0';
    (void)fclose(captures[descriptor].file);
    captures[descriptor].file = NULL;
    return captures[descriptor].text;
}
