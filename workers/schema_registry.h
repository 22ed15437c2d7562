/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_registry: the schemas of a registry, by the ids that messages carry.
 *
 * An id stands for one text for ever, so each is asked for once. What the registry does not know, or does not say, is asked again after
 * pauses, for as long as somebody waits: the producer had each id confirmed before the first message that carries it (rule A9), so the
 * registry is down, behind, emptied, or another one, and a person sees that by the health check. Nothing is taken for a dead letter
 * because of it. A schema that the registry has, and that is none of ours, is: its messages will never be rows.
 */
#ifndef KAKEHI_WORKERS_SCHEMA_REGISTRY_H
#define KAKEHI_WORKERS_SCHEMA_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/settings.h"
#include "schemas/schema.h"

struct schema_registry;

/* Who asked by schema_registry_read has its answer: the id is found now, or is none of ours. */
typedef void (*schema_registry_answer)(void *context, uint64_t asker);

/* settings are borrowed, and name a registry. Connects at the first id. */
int schema_registry_new(uv_loop_t *loop, const struct settings_registry *settings, schema_registry_answer answer, void *context,
                        struct schema_registry **ret_registry, struct err *err) MUST_CHECK;
void schema_registry_close(struct schema_registry *registry, void (*closed)(void *context), void *context); /* asynchronous, last; takes NULL */

const struct schema *schema_registry_find(const struct schema_registry *registry, uint64_t id); /* NULL: not there; lives as long as the registry */
/* Answers when it is known what the id stands for, never inside this call. One question an asker: the newest. */
void schema_registry_read(struct schema_registry *registry, uint64_t id, uint64_t asker);
void schema_registry_withdraw(struct schema_registry *registry, uint64_t asker);
/* Why those who wait still do; false: nobody does, or nothing is wrong yet. */
bool schema_registry_trouble(const struct schema_registry *registry, char *text, size_t size);

#endif
