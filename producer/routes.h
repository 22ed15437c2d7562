/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routes: from the shape of a table that a source shows to its schema and its topic; and, by table, how many changes are in
 * Kafka.
 *
 * A route lives until the source stops: the shape it is found by belongs to the source. A tally lives as long as the program.
 * What is counted is what was committed, so that changes that are read again after a failure count once (promise P5).
 */
#ifndef KAKEHI_PRODUCER_ROUTES_H
#define KAKEHI_PRODUCER_ROUTES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/metrics.h"
#include "producer/source.h"
#include "schemas/framing.h"
#include "schemas/schema.h"

struct tally_count {
    uint64_t open;      /* in the transaction that is being filled */
    uint64_t in_cut;    /* in the one whose commit is under way */
    uint64_t committed; /* since the program started */
    struct metric *metric;
};

struct tally {
    struct tally *next;
    char *table;                /* db.table */
    struct tally_count changes; /* all that were read */
    struct tally_count bytes;   /* keys and values of their messages */
    struct tally_count letters; /* messages that went to the dead letters instead of the table's topic */
};

struct route {
    struct route *next;
    const struct source_table *shape; /* borrowed */
    struct schema *schema;            /* owned */
    struct tally *tally;
    bool ready; /* topic and schemas are acknowledged: what follows is valid */
    uint32_t topic_id;
    struct framing_ids ids;
};

struct routes {
    const char *_source;   /* its name, borrowed */
    struct route *_routes; /* the one used last in front */
    struct tally *_tallies;
};

void routes_init(struct routes *routes, const char *source);
void routes_deinit(struct routes *routes);
/* Finds it, or makes one that is not ready. ERR_POISON if the shape has no schema. */
int routes_find(struct routes *routes, const struct source_table *shape, struct route **ret_route, struct err *err) MUST_CHECK;
/* Of a change that has no route. */
struct tally *routes_tally(struct routes *routes, const struct table *table);
/* The source has stopped: no route, and nothing that was not committed counts. */
void routes_reset(struct routes *routes);
void routes_cut(struct routes *routes);       /* open becomes in_cut */
void routes_committed(struct routes *routes); /* in_cut becomes committed */
/* {"db.t":{"read":N,"dead_lettered":N}} */
json_t *routes_status(const struct routes *routes);
uint64_t routes_total(const struct routes *routes);

#endif
