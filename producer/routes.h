/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routes: from the shape of a table that a source shows to its schema and its topic; and, by table, how many changes are in
 * Kafka.
 *
 * A route is found by the version of the shape, which means nothing any more when the source has stopped. Until then those are kept that are
 * the newest of a table with rows; of the others (older shapes, tables that were emptied) the ROUTES_LOOSE_MAX that were used last: one that
 * comes again is made and prepared again (P6). A tally lives as long as the program.
 * What is counted is what was committed, so that changes that are read again after a failure count once (promise P5).
 */
#ifndef KAKEHI_PRODUCER_ROUTES_H
#define KAKEHI_PRODUCER_ROUTES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/metrics.h"
#include "producer/delivered.h"
#include "producer/source.h"
#include "schemas/framing.h"
#include "schemas/schema.h"

#define ROUTES_LOOSE_MAX 64

struct tally_count {
    uint64_t open;      /* in the transaction that is being filled */
    uint64_t in_cut;    /* in the one whose commit is under way */
    uint64_t committed; /* since the program started */
    struct metric *metric;
};

struct tally_partition {
    struct metric *messages; /* NULL: none yet, as the next */
    struct metric *bytes;
};

struct tally {
    struct tally *next;
    char *table;                /* db.table */
    uint64_t newest_schema;     /* the id of its value schema that was published last; 0: none by this program */
    struct tally_count changes; /* all that were read */
    struct tally_count bytes;   /* keys and values of their messages */
    struct tally_count letters; /* messages that went to the dead letters instead of the table's topic */
    struct tally_partition *partitions; /* of its topic */
    size_t partition_count;
};

struct route {
    struct route *next;
    uint64_t version;      /* of the shape */
    struct schema *schema; /* owned */
    struct tally *tally;
    bool loose;            /* there is a newer one of the table, or the last change emptied it */
    bool ready; /* topic and schemas are acknowledged: what follows is valid */
    uint32_t topic_id;
    struct framing_ids ids;
};

struct routes {
    const char *_source;   /* its name, borrowed */
    struct route *_routes; /* the one used last in front */
    size_t _loose_count;
    struct tally *_tallies;
    struct tally **_by_topic; /* by topic_id */
    size_t _topic_count;
};

void routes_init(struct routes *routes, const char *source);
void routes_deinit(struct routes *routes);
/* Of a change: finds it, or makes one that is not ready. Valid until the next call. ERR_POISON if the shape has no schema. */
int routes_find(struct routes *routes, const struct source_table *shape, char op, struct route **ret_route, struct err *err) MUST_CHECK;
size_t routes_count(const struct routes *routes);
/* Of a change that has no route. */
struct tally *routes_tally(struct routes *routes, const struct table *table);
/* The topic is the table's. */
void routes_take_topic(struct routes *routes, uint32_t topic_id, struct tally *tally);
/* The source has stopped: no route, and nothing that was not committed counts. */
void routes_reset(struct routes *routes);
void routes_cut(struct routes *routes);       /* open becomes in_cut */
/* in_cut becomes committed; and so much came to the partitions of topics, each of which some table has taken. */
void routes_committed(struct routes *routes, const struct delivered_list *delivered);
/* {"db.t":{"read":N,"dead_lettered":N}} */
json_t *routes_status(const struct routes *routes);
uint64_t routes_total(const struct routes *routes);

#endif
