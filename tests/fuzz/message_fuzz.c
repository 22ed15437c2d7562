/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message and the text of its schema, both any bytes: what a worker reads of topics that anybody may write to.
 *
 * The input: two bytes with the size of the schema's text, big-endian; the text; the message. What must hold: a schema that is
 * taken describes a table of which our own schema can be made, and that reads back as the same table; a row that is taken can be
 * encoded, and then means the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "schemas/framing.h"
#include "schemas/record.h"
#include "schemas/schema.h"
#include "schemas/types.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_own_schema(const struct table *table)
{
    struct schema *written;
    struct schema *read;
    struct err err;

    must(schema_new(table_copy(table), &written, &err) == 0);
    must(schema_parse(written->value_text, strlen(written->value_text), &read, &err) == 0);
    must(table_same(read->table, table) && read->value_id == written->value_id);
    schema_free(read);
    schema_free(written);
}

/* Encodes the row; decodes that, and encodes it again: the same bytes. */
static void check_row(const struct table *table, const struct cell *cells, const struct record_meta *meta)
{
    struct cell *again = calloc(table->column_count + 1, sizeof *again);
    struct buffer texts[2] = {{0}};
    struct record_meta meta_again;
    struct err err;

    must(again != NULL);
    must(record_encode_value(&texts[0], table, cells, meta, &err) == 0);
    must(record_decode_value(table, texts[0].bytes, texts[0].size, again, &meta_again, &err) == 0);
    must(record_encode_value(&texts[1], table, again, &meta_again, &err) == 0);
    must(texts[0].size == texts[1].size && memcmp(texts[0].bytes, texts[1].bytes, texts[0].size) == 0);
    must(meta->op == meta_again.op && meta->seq == meta_again.seq && meta->idx == meta_again.idx && meta->ts_us == meta_again.ts_us);
    must(meta->op == 't' || table->key_count == 0 || record_key_same(table, cells, again));
    buffer_deinit(&texts[0]);
    buffer_deinit(&texts[1]);
    free(again);
}

static void check_key(const struct table *table, const struct cell *cells)
{
    struct buffer key = {0};
    struct err err = {0};
    int result;

    if (table->key_count > 0) {
        result = record_encode_key(&key, table, cells, &err);
    } else {
        result = record_encode_hash_key(&key, table, cells, &err);
    }
    must(result == 0 ? key.size > 0 : err.class == ERR_POISON && key.size == 0);
    buffer_deinit(&key);
}

static void read_message(const struct table *table, const uint8_t *bytes, size_t size)
{
    struct cell *cells = calloc(table->column_count + 1, sizeof *cells);
    struct record_meta meta;
    struct err err = {0};
    struct frame frame;
    size_t frame_size;

    must(cells != NULL);
    if (framing_read(bytes, size, &frame, &frame_size, &err) == 0 &&
        record_decode_value(table, bytes + frame_size, size - frame_size, cells, &meta, &err) == 0) {
        must(strchr("cudrt", meta.op) != NULL);
        check_row(table, cells, &meta);
        check_key(table, cells);
    } else {
        must(err.class == ERR_POISON && err.text[0] != '\0');
    }
    free(cells);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    size_t text_size = size >= 2 ? (size_t)bytes[0] << 8 | bytes[1] : 0;
    struct schema *schema = NULL;
    struct err err = {0};
    uint8_t *message;

    if (size < 2 || text_size > size - 2) {
        return 0;
    }
    if (schema_parse((const char *)bytes + 2, text_size, &schema, &err) != 0) {
        must(err.class == ERR_POISON && err.text[0] != '\0');
        return 0;
    }
    check_own_schema(schema->table);
    size -= 2 + text_size;
    message = malloc(size); /* its own: a read behind it shows */
    must(message != NULL || size == 0);
    memcpy(message, bytes + 2 + text_size, size);
    read_message(schema->table, message, size);
    free(message);
    schema_free(schema);
    return 0;
}
