/* SPDX-License-Identifier: Apache-2.0 */
/* All bytes of a change are made before the first goes into a parcel: a change that can't be encoded leaves nothing behind. */
#include "producer/messages.h"

#include <string.h>

#include "common/must.h"
#include "schemas/framing.h"
#include "schemas/record.h"

/* A buffer that a huge row has made grow is not kept: only one such row is meant to be in memory. */
#define KEEP_BYTES ((size_t)1 << 20)

void messages_deinit(struct messages *messages)
{
    buffer_deinit(&messages->_bytes);
    *messages = (struct messages){0};
}

static void clear(struct messages *messages)
{
    if (messages->_bytes.size > KEEP_BYTES) {
        buffer_deinit(&messages->_bytes);
    }
    buffer_clear(&messages->_bytes);
    messages->count = 0;
}

static int add_key(struct buffer *out, const struct schema *schema, const struct cell *cells, struct err *err)
{
    framing_write(out, FRAMING_SINGLE_OBJECT, schema->key_id);
    if (schema->table->key_count == 0) {
        return record_encode_hash_key(out, schema->table, cells, err);
    }
    return record_encode_key(out, schema->table, cells, err);
}

static int add_value(struct buffer *out, const struct schema *schema, const struct cell *cells, const struct record_meta *meta,
                     struct err *err)
{
    framing_write(out, FRAMING_SINGLE_OBJECT, schema->value_id);
    return record_encode_value(out, schema->table, cells, meta, err);
}

/* cells NULL: op t. */
static int add(struct messages *messages, const struct schema *schema, const struct cell *cells, const struct record_meta *meta,
               struct err *err)
{
    struct buffer *out = &messages->_bytes;
    size_t begin = out->size, key_size;

    if (cells != NULL && add_key(out, schema, cells, err) != 0) {
        return -1;
    }
    key_size = out->size - begin;
    if (add_value(out, schema, cells, meta, err) != 0) {
        return -1;
    }
    must(messages->count < MESSAGES_MAX);
    messages->_spans[messages->count].begin = begin;
    messages->_spans[messages->count].key_size = key_size;
    messages->_spans[messages->count].value_size = out->size - begin - key_size;
    messages->_spans[messages->count].idx = meta->idx;
    messages->_spans[messages->count].op = meta->op;
    messages->count++;
    return 0;
}

static int add_pair(struct messages *messages, const struct schema *schema, const struct change *change,
                    struct record_meta *meta, struct err *err)
{
    meta->op = 'd';
    if (add(messages, schema, change->before, meta, err) != 0) {
        return -1;
    }
    meta->op = 'c';
    meta->idx++;
    return add(messages, schema, change->after, meta, err);
}

static int add_all(struct messages *messages, const struct schema *schema, const struct change *change,
                   struct record_meta *meta, struct err *err)
{
    const struct table *table = schema->table;

    switch (change->op) {
    case 'u':
        if (table->key_count == 0 || !record_key_same(table, change->before, change->after)) {
            return add_pair(messages, schema, change, meta, err);
        }
        return add(messages, schema, change->after, meta, err);
    case 'd':
        return add(messages, schema, change->before, meta, err);
    case 't':
        return add(messages, schema, NULL, meta, err);
    default:
        return add(messages, schema, change->after, meta, err);
    }
}

int messages_make(struct messages *messages, const struct schema *schema, const struct change *change, const char *source,
                  struct err *err)
{
    struct record_meta meta = {
        .op = change->op,
        .ts_us = change->ts_us,
        .seq = change->seq,
        .idx = change->idx,
        .source = source,
        .source_size = strlen(source),
        .txid = change->txid,
        .txid_size = strlen(change->txid),
    };

    must(memchr("cudrt", change->op, 5) != NULL);
    clear(messages);
    messages->seq = change->seq;
    if (add_all(messages, schema, change, &meta, err) != 0) {
        clear(messages);
        return -1;
    }
    return 0;
}

struct message messages_get(const struct messages *messages, size_t index, uint32_t topic_id)
{
    const uint8_t *key = messages->_bytes.bytes + messages->_spans[index].begin;
    bool truncates = messages->_spans[index].op == 't';

    return (struct message){
        .topic_id = topic_id,
        .partition = truncates ? 0 : PARTITION_BY_KEY,
        .key = truncates ? NULL : key,
        .key_size = messages->_spans[index].key_size,
        .value = key + messages->_spans[index].key_size,
        .value_size = messages->_spans[index].value_size,
        .seq = messages->seq,
        .idx = messages->_spans[index].idx,
    };
}
