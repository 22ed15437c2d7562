/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_wait: a registry asked by blocking calls, for threads and commands that have no loop. One thread at a time; it has a loop of
 * its own inside, so that there is one way of speaking HTTP in the program.
 */
#ifndef KAKEHI_COMMON_REGISTRY_WAIT_H
#define KAKEHI_COMMON_REGISTRY_WAIT_H

#include <stdbool.h>

#include "common/registry.h"

struct registry_wait;

/* settings are borrowed. Connects at the first question. */
struct registry_wait *registry_wait_new(const struct settings_registry *settings);
void registry_wait_free(struct registry_wait *wait); /* takes NULL */

/* Should the wait be given up? Asked several times a second; NULL: never. Then the call fails with ERR_CANCELED. */
struct registry_patience {
    bool (*cancelled)(void *context);
    void *context;
};

/* Asks once. *ret_id by REGISTER, *ret_text (appended to) by the others; either may be NULL. Fails as registry_ask answers. */
int registry_wait_ask(struct registry_wait *wait, const struct registry_question *question, const struct registry_patience *patience,
                      uint32_t *ret_id, struct buffer *ret_text, struct err *err) MUST_CHECK;

#endif
