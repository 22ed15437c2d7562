/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plain consumer of the topic's one partition, without a group. The end is asked for by a blocking call on a thread of libuv's,
 * one at a time: an asker waits as ASKING from the call that began after it came (a call that was under way already may have seen
 * an older end), and as WAITING from its answer until the reader has passed it. The reader's place follows messages and
 * end-of-partition events, so that compaction's gaps don't matter.
 *
 * Ids are hashes of the text, so a topic that is read twice, or made anew, does no harm; schemas are never dropped.
 */
#include "workers/schema_cache.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kafka.h"
#include "common/log.h"
#include "common/must.h"
#include "schemas/framing.h"
#include "workers/newest_schemas.h"

#define BUCKETS 256
#define CALL_MS 5000

struct entry {
    struct entry *next;
    uint64_t id;
    struct schema *schema;
};

enum asker_state { CAME, ASKING, WAITING };

struct asker {
    struct asker *next;
    uint64_t number;
    enum asker_state state;
    int64_t end; /* of WAITING */
};

struct schema_cache {
    uv_loop_t *loop;
    struct wake *wake;
    struct schema_cache_calls calls;
    struct newest_schemas *newest;
    char *topic;
    rd_kafka_t *handle;
    rd_kafka_t *asker;
    rd_kafka_topic_t *reader;
    rd_kafka_queue_t *queue;
    rd_kafka_queue_t *main_queue;
    int64_t position;
    struct entry *buckets[BUCKETS];
    struct asker *askers;
    uv_work_t work;
    bool working;
    rd_kafka_resp_err_t end_code; /* of the call under way */
    int64_t end;
    bool closing;
    void (*closed)(void *context);
    void *closed_context;
};

const struct schema *schema_cache_find(const struct schema_cache *cache, uint64_t id)
{
    const struct entry *entry = cache->buckets[id % BUCKETS];

    while (entry != NULL && entry->id != id) {
        entry = entry->next;
    }
    return entry != NULL ? entry->schema : NULL;
}

static void remember(struct schema_cache *cache, uint64_t id, struct schema *schema)
{
    struct entry *entry = malloc(sizeof *entry);

    must(entry != NULL);
    *entry = (struct entry){.next = cache->buckets[id % BUCKETS], .id = id, .schema = schema};
    cache->buckets[id % BUCKETS] = entry;
}

static int id_of(const rd_kafka_message_t *message, uint64_t *ret_id)
{
    char text[FRAMING_ID_TEXT_SIZE] = "";
    char *end;

    if (message->key_len != FRAMING_ID_TEXT_SIZE - 1) {
        return -1;
    }
    memcpy(text, message->key, message->key_len);
    *ret_id = strtoull(text, &end, 16);
    return *end == '\0' ? 0 : -1;
}

static void take(struct schema_cache *cache, const rd_kafka_message_t *message)
{
    const struct schema *known;
    struct schema *schema = NULL;
    struct err err = {0};
    uint64_t id;

    if (message->payload == NULL || id_of(message, &id) != 0) {
        return;
    }
    known = schema_cache_find(cache, id);
    if (known != NULL) {
        newest_schemas_take(cache->newest, known);
        return;
    }
    if (schema_parse(message->payload, message->len, &schema, &err) != 0) {
        log_debug("schema_skipped", "topic=%s offset=%lld reason=%q", cache->topic, (long long)message->offset, err.text); /* a key's, or not ours: who needs it says so */
        return;
    }
    remember(cache, id, schema);
    newest_schemas_take(cache->newest, schema);
    log_debug("schema", "topic=%s offset=%lld table=%q", cache->topic, (long long)message->offset, schema->table->name);
}

/* ---- askers */

static void on_end(uv_work_t *work, int status);

static void ask_end(uv_work_t *work)
{
    struct schema_cache *cache = work->data;
    int64_t low;

    cache->end_code = rd_kafka_query_watermark_offsets(cache->asker, cache->topic, 0, &low, &cache->end, CALL_MS);
}

static void ask_if_needed(struct schema_cache *cache)
{
    bool needed = false;

    if (cache->working || cache->closing) {
        return;
    }
    for (struct asker *asker = cache->askers; asker != NULL; asker = asker->next) {
        if (asker->state == CAME) {
            asker->state = ASKING;
            needed = true;
        }
    }
    if (needed) {
        cache->working = true;
        must(uv_queue_work(cache->loop, &cache->work, ask_end, on_end) == 0);
    }
}

static void answer_who_can_be(struct schema_cache *cache)
{
    struct asker **link = &cache->askers;

    while (*link != NULL) {
        struct asker *asker = *link;

        if (asker->state == WAITING && cache->position >= asker->end) {
            *link = asker->next;
            cache->calls.answered(cache->calls.context, asker->number); /* may ask anew, at the front */
            free(asker);
            link = &cache->askers;
        } else {
            link = &asker->next;
        }
    }
}

static void finish(struct schema_cache *cache);

static void on_end(uv_work_t *work, int status)
{
    struct schema_cache *cache = work->data;
    bool failed = cache->end_code != RD_KAFKA_RESP_ERR_NO_ERROR;

    (void)status;
    cache->working = false;
    for (struct asker *asker = cache->askers; asker != NULL; asker = asker->next) {
        if (asker->state == ASKING) {
            asker->state = failed ? CAME : WAITING;
            asker->end = cache->end;
        }
    }
    if (cache->closing) {
        finish(cache);
    } else if (failed) {
        log_warn("schemas_end", "topic=%s next=%q reason=%q", cache->topic, "asking again", rd_kafka_err2str(cache->end_code));
    } else {
        answer_who_can_be(cache);
        ask_if_needed(cache);
    }
}

/* An asker that drops a message and holds another asks anew: the answer to its older question would say too early that the topic was read. */
void schema_cache_read(struct schema_cache *cache, uint64_t number)
{
    struct asker *asker = cache->askers;

    while (asker != NULL && asker->number != number) {
        asker = asker->next;
    }
    if (asker == NULL) {
        asker = malloc(sizeof *asker);
        must(asker != NULL);
        *asker = (struct asker){.next = cache->askers, .number = number};
        cache->askers = asker;
    }
    asker->state = CAME;
    ask_if_needed(cache);
}

void schema_cache_tick(struct schema_cache *cache)
{
    ask_if_needed(cache); /* after a failure */
    schema_cache_poll(cache);
}

/* ---- reading */

void schema_cache_poll(struct schema_cache *cache)
{
    rd_kafka_message_t *message;

    if (cache->closing) {
        return;
    }
    (void)rd_kafka_poll(cache->handle, 0);
    while ((message = rd_kafka_consume_queue(cache->queue, 0)) != NULL) {
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            take(cache, message);
            cache->position = message->offset + 1;
        } else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            cache->position = message->offset;
            newest_schemas_tell(cache->newest, cache->calls.newest, cache->calls.context);
        } else {
            log_warn("schemas", "topic=%s next=%q reason=%q", cache->topic, "librdkafka tries again", rd_kafka_message_errstr(message));
        }
        rd_kafka_message_destroy(message);
    }
    answer_who_can_be(cache);
}

/* ---- beginning and end */

static int make_handle(struct schema_cache *cache, const struct settings *settings, struct err *err)
{
    struct text_pairs defaults = {0};
    struct text_pairs fixed = {0};
    const struct text_pairs *lists[] = {&kafka_consumer_budget, &defaults, &settings->kafka, &settings->worker.kafka, &fixed, NULL};
    rd_kafka_conf_t *conf = NULL;
    char words[256];
    int status;

    text_pairs_set(&defaults, "client.id", "kakehi-worker-schemas");
    text_pairs_set(&defaults, "topic.metadata.refresh.interval.ms", "10000");
    text_pairs_set(&fixed, "queued.max.messages.kbytes", "1024");
    text_pairs_set(&fixed, "auto.offset.reset", "earliest"); /* read again what is there: harmless, see the head */
    text_pairs_set(&fixed, "enable.partition.eof", "true");
    text_pairs_set(&fixed, "isolation.level", "read_uncommitted"); /* as the asker: its end must be reached */
    status = kafka_conf_new(lists, &conf, err);
    text_pairs_deinit(&defaults);
    text_pairs_deinit(&fixed);
    if (status != 0) {
        return -1;
    }
    cache->handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, words, sizeof words);
    if (cache->handle == NULL) {
        rd_kafka_conf_destroy(conf);
        return err_set(err, ERR_FATAL, "making the reader of schemas: %s", words);
    }
    return 0;
}

static void free_all(struct schema_cache *cache)
{
    struct entry *next;
    struct asker *next_asker;

    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct entry *entry = cache->buckets[i]; entry != NULL; entry = next) {
            next = entry->next;
            schema_free(entry->schema);
            free(entry);
        }
    }
    for (struct asker *asker = cache->askers; asker != NULL; asker = next_asker) {
        next_asker = asker->next;
        free(asker);
    }
    newest_schemas_free(cache->newest);
    free(cache->topic);
    free(cache);
}

int schema_cache_new(uv_loop_t *loop, struct wake *wake, const struct settings *settings, rd_kafka_t *asker,
                     const struct schema_cache_calls *calls, struct schema_cache **ret_cache, struct err *err)
{
    struct schema_cache *cache = calloc(1, sizeof *cache);

    must(cache != NULL);
    cache->loop = loop;
    cache->wake = wake;
    cache->asker = asker;
    cache->calls = *calls;
    cache->newest = newest_schemas_new();
    cache->work.data = cache;
    must(asprintf(&cache->topic, "%s.schemas", settings->prefix) > 0);
    if (make_handle(cache, settings, err) != 0) {
        free_all(cache);
        return -1;
    }
    cache->queue = rd_kafka_queue_new(cache->handle);
    cache->main_queue = rd_kafka_queue_get_main(cache->handle);
    wake_attach(wake, cache->queue);
    wake_attach(wake, cache->main_queue);
    cache->reader = rd_kafka_topic_new(cache->handle, cache->topic, NULL);
    must(cache->reader != NULL);
    must(rd_kafka_consume_start_queue(cache->reader, 0, KAFKA_OFFSET_FIRST, cache->queue) == 0);
    *ret_cache = cache;
    return 0;
}

static void finish(struct schema_cache *cache)
{
    void (*closed)(void *context) = cache->closed;
    void *context = cache->closed_context;

    wake_detach(cache->queue);
    wake_detach(cache->main_queue);
    (void)rd_kafka_consume_stop(cache->reader, 0);
    rd_kafka_topic_destroy(cache->reader);
    rd_kafka_queue_destroy(cache->queue);
    rd_kafka_queue_destroy(cache->main_queue);
    rd_kafka_destroy(cache->handle);
    free_all(cache);
    closed(context);
}

void schema_cache_close(struct schema_cache *cache, void (*closed)(void *context), void *context)
{
    if (cache == NULL) {
        closed(context);
        return;
    }
    cache->closing = true;
    cache->closed = closed;
    cache->closed_context = context;
    if (!cache->working) {
        finish(cache);
    }
}
