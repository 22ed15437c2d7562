/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a file of settings: refused with at least one line of complaint, or loaded; and what is printed of it loads as the same.
 *
 * The first byte says which program asks. Settings with a secret are printed without it, so these don't come back.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/must.h"
#include "common/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static char path[] = "/tmp/kakehi-settings-fuzz.XXXXXX";

static void remove_file(void)
{
    (void)unlink(path);
}

/* One file, written anew for each input. */
static void write_file(const void *bytes, size_t size)
{
    static int file = -1;

    if (file < 0) {
        file = mkstemp(path);
        must(file >= 0 && atexit(remove_file) == 0);
    }
    must(ftruncate(file, 0) == 0);
    must(pwrite(file, bytes, size, 0) == (ssize_t)size);
}

/* The settings, or NULL and complaints. */
static struct settings *load(const void *bytes, size_t size, enum settings_for who)
{
    char *complaints = NULL;
    size_t complaints_size = 0;
    FILE *errors = open_memstream(&complaints, &complaints_size);
    struct settings *settings;

    must(errors != NULL);
    write_file(bytes, size);
    settings = settings_load(path, who, errors);
    must(fclose(errors) == 0);
    must((settings == NULL) == (complaints_size > 0));
    free(complaints);
    return settings;
}

static char *print(const struct settings *settings)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    must(out != NULL);
    settings_print(settings, out);
    must(fclose(out) == 0 && strlen(text) == size);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    enum settings_for who = size > 0 ? (enum settings_for)(1 + bytes[0] % 3) : SETTINGS_FOR_BOTH;
    struct settings *settings = load(bytes + (size > 0), size - (size > 0), who);
    char *text;
    char *again;

    if (settings == NULL) {
        return 0;
    }
    text = print(settings);
    settings_free(settings);
    if (strstr(text, "(secret)") == NULL && strstr(text, "${") == NULL) {
        settings = load(text, strlen(text), who);
        must(settings != NULL);
        again = print(settings);
        must(strcmp(text, again) == 0);
        settings_free(settings);
        free(again);
    }
    free(text);
    return 0;
}
