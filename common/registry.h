/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry: a client of a schema registry (registry_wire.h says what is spoken), on a libuv loop.
 *
 * A question goes to one of the settings' URLs; to the next one if that can't be reached or answers 5xx, round the list once at most. Who
 * asks decides about another try. All questions may be asked again at will: a registration of the same text gives the same id.
 */
#ifndef KAKEHI_COMMON_REGISTRY_H
#define KAKEHI_COMMON_REGISTRY_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/buffer.h"
#include "common/err.h"
#include "common/settings.h"

struct registry;

enum registry_verb {
    REGISTRY_REGISTER,      /* answers id */
    REGISTRY_FETCH,         /* answers text: the schema's */
    REGISTRY_TYPES,         /* does it know Avro? answers nothing */
    REGISTRY_COMPATIBILITY, /* answers text: the level of subjects that have none of their own */
};

/* Copied by registry_ask. */
struct registry_question {
    enum registry_verb verb;
    const char *subject; /* REGISTER; letters, digits, '.', '_' and '-', as Kafka's topics have */
    const char *text;    /* REGISTER: the schema */
    uint32_t id;         /* FETCH */
};

/* Borrowed for the time of the call. */
struct registry_answer {
    const struct err *err; /* NULL: the question is answered. Else why not (classes: registry_wire.h, common/http.c) */
    uint32_t id;
    const char *text; /* a NUL behind it */
    size_t text_size;
};

typedef void (*registry_answered)(void *context, const struct registry_answer *answer);

/* settings are borrowed. Connects at the first question. ERR_FATAL: a file of certificates can't be read. */
int registry_new(uv_loop_t *loop, const struct settings_registry *settings, struct registry **ret_registry, struct err *err) MUST_CHECK;
/* Answers exactly once, never inside this call. */
void registry_ask(struct registry *registry, const struct registry_question *question, registry_answered answered, void *context);
/* Asynchronous, last. Questions that are open are answered with ERR_CANCELED before. Takes NULL. */
void registry_close(struct registry *registry, void (*closed)(void *context), void *context);

#endif
