/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_cache: the schemas that stand in <prefix>.schemas, by id; read from its beginning and followed.
 *
 * The producer has its schemas acknowledged before the rows that need them (rule A9). So an id that is not here, after the topic
 * was read up to an end that was asked for when the id was met, is in no producer's hands: that message is a dead letter.
 */
#ifndef KAKEHI_WORKERS_SCHEMA_CACHE_H
#define KAKEHI_WORKERS_SCHEMA_CACHE_H

#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/settings.h"
#include "schemas/schema.h"
#include "workers/wake.h"

struct schema_cache;

struct schema_cache_calls {
    void *context;
    void (*answered)(void *context, uint64_t asker); /* who asked by schema_cache_read has its answer */
    void (*newest)(void *context, const struct schema *schema); /* by newest_schemas.h, whenever the topic's end is reached */
};

/* asker: a handle that reads nothing, read_uncommitted (K7); borrowed. On a consumer's own connection a question waits behind the
 * fetch that waits for rows. */
int schema_cache_new(uv_loop_t *loop, struct wake *wake, const struct settings *settings, rd_kafka_t *asker,
                     const struct schema_cache_calls *calls, struct schema_cache **ret_cache, struct err *err) MUST_CHECK;
void schema_cache_close(struct schema_cache *cache, void (*closed)(void *context), void *context); /* asynchronous, last; takes NULL */

const struct schema *schema_cache_find(const struct schema_cache *cache, uint64_t id); /* NULL: not there; lives as long as the cache */
/* Answers when the topic has been read up to the end that it has from now on. Asks until Kafka says. One question an asker: the newest. */
void schema_cache_read(struct schema_cache *cache, uint64_t asker);
void schema_cache_poll(struct schema_cache *cache); /* when woken */
void schema_cache_tick(struct schema_cache *cache); /* once a second or so */

#endif
