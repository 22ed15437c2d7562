/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   register <subject> <text> -> id     the same text again gives the same id, so a lost answer does no harm
 *   fetch <id> -> text                  must be ours: else rows would be read by another schema
 *   remembered
 *
 * The second question is worth its price, one a version of a table: registries compare schemas by a canonical form of their own, and
 * one that sorts fields, or knows nothing of logical types, would give two schemas one id.
 *
 * The text is sent in the one spelling that schema.c has, so that a registry that compares texts finds it again.
 *
 * Deliberately absent: a second try. An open transaction stops its readers, so the caller gives it up, and comes again after a pause.
 */
#include "producer/schema_numbers.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "common/registry_wait.h"
#include "schemas/schema.h"

#define KNOWN_MAX 4096 /* beyond it all are asked for again when they are wanted (P6) */

struct number {
    struct number *next;
    char *subject; /* registered under this one */
    uint64_t fingerprint;
    uint32_t id;
};

struct schema_numbers {
    struct registry_wait *registry;
    struct number *known;
    size_t known_count;
};

struct schema_numbers *schema_numbers_new(const struct settings_registry *settings)
{
    struct schema_numbers *numbers = calloc(1, sizeof *numbers);

    must(numbers != NULL);
    numbers->registry = registry_wait_new(settings);
    return numbers;
}

static void forget_all(struct schema_numbers *numbers)
{
    while (numbers->known != NULL) {
        struct number *number = numbers->known;

        numbers->known = number->next;
        free(number->subject);
        free(number);
    }
    numbers->known_count = 0;
}

void schema_numbers_free(struct schema_numbers *numbers)
{
    if (numbers != NULL) {
        registry_wait_free(numbers->registry);
        forget_all(numbers);
        free(numbers);
    }
}

static const struct number *find(const struct schema_numbers *numbers, const struct schema_number_wanted *wanted)
{
    const struct number *number = numbers->known;

    while (number != NULL && (number->fingerprint != wanted->fingerprint || strcmp(number->subject, wanted->subject) != 0)) {
        number = number->next;
    }
    return number;
}

static void remember(struct schema_numbers *numbers, const struct schema_number_wanted *wanted, uint32_t id)
{
    struct number *number = malloc(sizeof *number);

    must(number != NULL);
    if (numbers->known_count == KNOWN_MAX) {
        forget_all(numbers);
    }
    *number = (struct number){numbers->known, must_strdup(wanted->subject), wanted->fingerprint, id};
    numbers->known = number;
    numbers->known_count++;
}

static int check_id(struct schema_numbers *numbers, const struct schema_number_wanted *wanted, uint32_t id,
                    const struct registry_patience *patience, struct err *err)
{
    const struct registry_question question = {.verb = REGISTRY_FETCH, .id = id};
    struct buffer text = {0};
    int status = registry_wait_ask(numbers->registry, &question, patience, NULL, &text, err);

    if (status == 0 && !schema_texts_agree(wanted->text, buffer_text(&text), text.size)) {
        status = err_set(err, ERR_POISON, "the registry gave id %u, which stands for another schema: it must compare whole texts", id);
    }
    buffer_deinit(&text);
    return status;
}

int schema_numbers_get(struct schema_numbers *numbers, const struct schema_number_wanted *wanted, bool (*cancelled)(void *context),
                       void *context, uint64_t *ret_id, struct err *err)
{
    const struct registry_question question = {.verb = REGISTRY_REGISTER, .subject = wanted->subject, .text = wanted->text};
    const struct registry_patience patience = {cancelled, context};
    const struct number *known = find(numbers, wanted);
    uint32_t id = 0;

    if (known != NULL) {
        *ret_id = known->id;
        return 0;
    }
    if (registry_wait_ask(numbers->registry, &question, &patience, &id, NULL, err) != 0 || check_id(numbers, wanted, id, &patience, err) != 0) {
        return err_while(err, "subject %s", wanted->subject);
    }
    remember(numbers, wanted, id);
    *ret_id = id;
    return 0;
}
