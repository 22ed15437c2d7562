/* SPDX-License-Identifier: Apache-2.0 */
/* All bytes of a change are made before the first goes into a parcel: a change that can't be encoded leaves nothing behind. */
#include "producer/messages.h"

#include <string.h>

#include "common/must.h"
#include "producer/letter.h"
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

static int add_key(struct buffer *out, const struct message_schema *schema, const struct cell *cells, struct err *err)
{
    const struct table *table = schema->schema->table;

    framing_write(out, schema->ids.framing, schema->ids.key_id);
    return table->key_count == 0 ? record_encode_hash_key(out, table, cells, err) : record_encode_key(out, table, cells, err);
}

static int add_value(struct buffer *out, const struct message_schema *schema, const struct cell *cells, const struct record_meta *meta,
                     struct err *err)
{
    framing_write(out, schema->ids.framing, schema->ids.value_id);
    return record_encode_value(out, schema->schema->table, cells, meta, err);
}

/* What was written since `begin` is one more message. */
static void add_span(struct messages *messages, size_t begin, size_t key_size, const struct record_meta *meta)
{
    must(messages->count < MESSAGES_MAX);
    messages->_spans[messages->count].begin = begin;
    messages->_spans[messages->count].key_size = key_size;
    messages->_spans[messages->count].value_size = messages->_bytes.size - begin - key_size;
    messages->_spans[messages->count].reason_size = 0;
    messages->_spans[messages->count].idx = meta->idx;
    messages->_spans[messages->count].op = meta->op;
    messages->count++;
}

/* cells NULL: op t. */
static int add(struct messages *messages, const struct message_schema *schema, const struct cell *cells, const struct record_meta *meta,
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
    add_span(messages, begin, key_size, meta);
    return 0;
}

static int add_pair(struct messages *messages, const struct message_schema *schema, const struct change *change,
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

static bool is_pair(const struct table *table, const struct change *change)
{
    return change->op == 'u' && (table->key_count == 0 || !record_key_same(table, change->before, change->after));
}

static int add_all(struct messages *messages, const struct message_schema *schema, const struct change *change,
                   struct record_meta *meta, struct err *err)
{
    const struct table *table = schema->schema->table;

    switch (change->op) {
    case 'u':
        if (is_pair(table, change)) {
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

int messages_make(struct messages *messages, const struct message_schema *schema, const struct change *change, const char *source,
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

/* ---- dead letters */

/* Counts the cells that have no place, and of these the ones that want a letter. */
static void count_odd(const struct table *table, const struct cell *cells, size_t *odd, size_t *to_letter)
{
    for (size_t i = 0; cells != NULL && i < table->column_count; i++) {
        *odd += cells[i].state == CELL_UNREPRESENTABLE;
        *to_letter += cells[i].state == CELL_UNREPRESENTABLE && cells[i].to_letter;
    }
}

bool messages_is_for_letters(const struct table *table, const struct change *change)
{
    size_t odd = 0, to_letter = 0;

    if (change->op == 'd' || is_pair(table, change)) {
        count_odd(table, change->before, &odd, &to_letter);
    }
    if (change->op != 'd') {
        count_odd(table, change->after, &odd, &to_letter);
    }
    return to_letter > 0 && to_letter == odd;
}

static void add_reason(struct messages *messages, size_t index, const char *reason)
{
    must(reason[0] != '\0');
    messages->_spans[index].reason_size = strlen(reason);
    buffer_append(&messages->_bytes, reason, strlen(reason));
}

int messages_make_letter(struct messages *messages, const struct change *change, const char *source, const char *reason,
                         struct err *err)
{
    const struct record_meta meta = {.op = change->op, .idx = change->idx};
    size_t key_size;

    clear(messages);
    messages->seq = change->seq;
    letter_key(&messages->_bytes, source, change->txid, change->idx);
    key_size = messages->_bytes.size;
    if (letter_of_change(&messages->_bytes, change, source, err) != 0) {
        clear(messages);
        return -1;
    }
    add_span(messages, 0, key_size, &meta);
    add_reason(messages, 0, reason);
    return 0;
}

/* The letter takes the place of the message, whose bytes stay behind unused. It is made elsewhere first: the buffer may move. */
void messages_refer(struct messages *messages, size_t index, const struct change *change, const char *source)
{
    struct message message = messages_get(messages, index, 0);
    struct buffer text = {0};
    size_t key_size;

    letter_key(&text, source, change->txid, message.idx);
    key_size = text.size;
    letter_of_too_large(&text, change, source, &message, messages->_spans[index].op);
    messages->_spans[index].begin = messages->_bytes.size;
    messages->_spans[index].key_size = key_size;
    messages->_spans[index].value_size = text.size - key_size;
    buffer_append(&messages->_bytes, text.bytes, text.size);
    add_reason(messages, index, "the message is too large for Kafka");
    buffer_deinit(&text);
}

uint8_t *messages_take_large(struct messages *messages, size_t *ret_size)
{
    uint8_t *bytes = messages->_bytes.bytes;

    *ret_size = messages->_bytes.size;
    if (messages->count > 1 || *ret_size <= PARCEL_BYTES) {
        return NULL;
    }
    messages->_bytes = (struct buffer){0};
    return bytes;
}

struct message messages_get(const struct messages *messages, size_t index, uint32_t topic_id)
{
    const uint8_t *key = messages->_bytes.bytes + messages->_spans[index].begin;
    const uint8_t *value = key + messages->_spans[index].key_size;
    bool letter = messages->_spans[index].reason_size > 0;
    bool truncates = messages->_spans[index].op == 't' && !letter;

    return (struct message){
        .topic_id = letter ? TOPIC_DEAD_LETTERS : topic_id,
        .partition = truncates ? 0 : PARTITION_BY_KEY,
        .key = truncates ? NULL : key,
        .key_size = messages->_spans[index].key_size,
        .value = value,
        .value_size = messages->_spans[index].value_size,
        .reason = letter ? (const char *)value + messages->_spans[index].value_size : NULL,
        .reason_size = messages->_spans[index].reason_size,
        .seq = messages->seq,
        .idx = messages->_spans[index].idx,
    };
}
