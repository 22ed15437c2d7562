/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_numbers: the ids that a schema registry gives to our schemas, registered before the first message that carries them (rule A9).
 *
 * An id is asked for once, as far as it is remembered: in a registry it never changes. All calls block; publisher's thread.
 */
#ifndef KAKEHI_PRODUCER_SCHEMA_NUMBERS_H
#define KAKEHI_PRODUCER_SCHEMA_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/settings.h"

struct schema_numbers;

struct schema_number_wanted {
    const char *subject;
    const char *text;
    uint64_t fingerprint; /* of text */
};

/* Connects at the first schema. Borrows settings, which name a registry. */
struct schema_numbers *schema_numbers_new(const struct settings_registry *settings);
void schema_numbers_free(struct schema_numbers *numbers); /* takes NULL */
/* ERR_POISON: the registry refuses this schema, or gives it the id of another one. ERR_RETRY: not now. */
int schema_numbers_get(struct schema_numbers *numbers, const struct schema_number_wanted *wanted, bool (*cancelled)(void *context),
                       void *context, uint64_t *ret_id, struct err *err) MUST_CHECK;

#endif
