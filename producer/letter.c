/* SPDX-License-Identifier: Apache-2.0 */
/* Written by hand, like all rows as JSON: a JSON library would want the row's values copied once more. */
#include "producer/letter.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <string.h>

#include "schemas/value_text.h"

void letter_key(struct buffer *out, const char *source, const char *txid, int64_t idx)
{
    buffer_printf(out, "%s/%s/%" PRId64, source, txid, idx);
}

static void append_text(struct buffer *out, const char *key, const char *text)
{
    buffer_printf(out, ",\"%s\":", key);
    value_text_json_string(out, text, strlen(text));
}

static void append_head(struct buffer *out, const struct table *table, char op)
{
    struct buffer name = {0};

    buffer_printf(&name, "%s.%s", table->database, table->name);
    buffer_append_text(out, "{\"table\":");
    value_text_json_string(out, buffer_text(&name), name.size);
    buffer_printf(out, ",\"op\":\"%c\"", op);
    buffer_deinit(&name);
}

static void append_end(struct buffer *out, const struct change *change, const char *source, int64_t idx)
{
    buffer_append_text(out, ",\"ts\":\"");
    value_text_datetime(out, change->ts_us, 'T');
    buffer_append_text(out, "Z\"");
    append_text(out, "source", source);
    append_text(out, "txid", change->txid);
    buffer_printf(out, ",\"seq\":%" PRId64 ",\"idx\":%" PRId64 "}", change->seq, idx);
}

int letter_of_change(struct buffer *out, const struct change *change, const char *source, struct err *err)
{
    const struct table *table = change->table->table;

    append_head(out, table, change->op);
    buffer_append_text(out, ",\"before\":");
    if (value_text_json_row(out, table, change->before, err) != 0) {
        return -1;
    }
    buffer_append_text(out, ",\"after\":");
    if (value_text_json_row(out, table, change->after, err) != 0) {
        return -1;
    }
    append_end(out, change, source, change->idx);
    return 0;
}

void letter_of_too_large(struct buffer *out, const struct change *change, const char *source, const struct message *message, char op)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];

    append_head(out, change->table->table, op);
    buffer_append_text(out, ",\"key\":");
    value_text_json_base64(out, message->key, message->key_size);
    buffer_printf(out, ",\"size\":%zu,\"sha256\":\"", message->value_size);
    (void)SHA256(message->value, message->value_size, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        buffer_printf(out, "%02x", digest[i]);
    }
    buffer_append_byte(out, '"');
    append_end(out, change, source, message->idx);
}
