/* SPDX-License-Identifier: Apache-2.0 */
/* The change itself stands as change_json writes it; what makes it a letter stands around it. */
#include "producer/letter.h"

#include <inttypes.h>
#include <openssl/sha.h>

#include "producer/change_json.h"
#include "schemas/value_text.h"

void letter_key(struct buffer *out, const char *source, const char *txid, int64_t idx)
{
    buffer_printf(out, "%s/%s/%" PRId64, source, txid, idx);
}

static void append_end(struct buffer *out, const struct change *change, const char *source, int64_t idx)
{
    change_json_time(out, change->ts_us);
    change_json_text(out, "source", source);
    change_json_text(out, "txid", change->txid);
    buffer_printf(out, ",\"seq\":%" PRId64 ",\"idx\":%" PRId64 "}", change->seq, idx);
}

int letter_of_change(struct buffer *out, const struct change *change, const char *source, struct err *err)
{
    const struct table *table = change->table->table;

    change_json_head(out, table, change->op);
    if (change_json_images(out, table, change->before, change->after, err) != 0) {
        return -1;
    }
    append_end(out, change, source, change->idx);
    return 0;
}

void letter_of_too_large(struct buffer *out, const struct change *change, const char *source, const struct message *message, char op)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];

    change_json_head(out, change->table->table, op);
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
