/* SPDX-License-Identifier: Apache-2.0 */
/*
 * groundwork: what must stand in Kafka before rows do: the topics of the state, the topic of each table, and its schemas with their ids. It
 * has no part in any transaction, whose end could take it back. Blocking; one thread at a time.
 *
 *   groundwork_open      state topics (A8)
 *   groundwork_ends      what the data topics hold, at each take-over (A8)
 *   groundwork_topic     a table's topic
 *   groundwork_schemas   by a plain idempotent producer, acknowledged (A9); their ids from the registry, if there is one
 */
#ifndef KAKEHI_PRODUCER_GROUNDWORK_H
#define KAKEHI_PRODUCER_GROUNDWORK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/settings.h"
#include "producer/topics.h"
#include "schemas/framing.h"
#include "schemas/schema.h"

struct groundwork;

/* What is to be said of a table's version. Owned copies. */
struct groundwork_table {
    char topic[TOPIC_NAME_SIZE];
    char *table;            /* db.table */
    uint64_t schema_ids[2]; /* value, key */
    char *schema_texts[2];  /* the key's is NULL: of a table without columns */
    bool again;             /* the table had another shape in between */
};

int groundwork_table_init(struct groundwork_table *table, const struct settings *settings, const struct schema *schema,
                          struct err *err) MUST_CHECK;
void groundwork_table_deinit(struct groundwork_table *table);

/* Connects to nothing yet. Borrows settings. cancelled: should a wait be given up? Asked about once a second; a call that finds so fails with
 * ERR_CANCELED. */
struct groundwork *groundwork_new(const struct settings *settings, bool (*cancelled)(void *context), void *context);
void groundwork_free(struct groundwork *groundwork); /* takes NULL */

int groundwork_open(struct groundwork *groundwork, bool positions_may_be_new, struct err *err) MUST_CHECK;
/* {"topic":{"0":offset}} of all data topics that hold something: a new reference. Only after groundwork_open. */
int groundwork_ends(const struct groundwork *groundwork, json_t **ret_ends, struct err *err) MUST_CHECK;
/* Schemas are published again when they are wanted: somebody may have made their topic anew. */
void groundwork_forget(struct groundwork *groundwork);
int groundwork_topic(const struct groundwork *groundwork, const struct groundwork_table *table, struct err *err) MUST_CHECK;
/* *ret_ids: what the table's messages are framed with. ERR_POISON: the registry refuses a schema for good. */
int groundwork_schemas(struct groundwork *groundwork, const struct groundwork_table *table, struct framing_ids *ret_ids, struct err *err) MUST_CHECK;

#endif
