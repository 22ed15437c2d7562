/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registrar: schemas into the compacted topic <prefix>.schemas, acknowledged before the rows that need them (rule A9).
 *
 * By a plain idempotent producer: inside the transaction an abort would take a schema back while memory says that it is
 * there. The same schema twice does no harm. All calls block; publisher's thread. With a schema registry the topic holds them all
 * the same: commands know the tables by it, and a registry that was lost can be filled from it.
 */
#ifndef KAKEHI_PRODUCER_REGISTRAR_H
#define KAKEHI_PRODUCER_REGISTRAR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/settings.h"

struct registrar;

/* Connects at the first schema. Borrows settings. */
struct registrar *registrar_new(const struct settings *settings);
void registrar_free(struct registrar *registrar); /* takes NULL */
/* Wants this schema to be there; nothing to do if it was acknowledged since the last registrar_forget, as far as that is remembered. Copies. */
void registrar_add(struct registrar *registrar, uint64_t schema_id, const char *text);
/* The next registrar_add of this schema publishes it, whatever is remembered: its table has this shape anew, and the newest schema of a
 * table is the one that was published last. */
void registrar_again(struct registrar *registrar, uint64_t schema_id);
/* Returns 0 when all that was added is acknowledged. If not, none of it counts. */
int registrar_flush(struct registrar *registrar, bool (*cancelled)(void *context), void *context, struct err *err) MUST_CHECK;
/* Publishes all again when asked: somebody may have made the topic anew. */
void registrar_forget(struct registrar *registrar);

#endif
