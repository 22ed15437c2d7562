/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block's size stands before its data, and a compressed size is known only at the end, so a block is gathered first and
 * compressed at once. That costs a copy of each row and keeps a compressor for each thread at work, not for each file: with a stream
 * for each file, its window would be held for as long as the file grows, which is hours, times partitions.
 *
 * zstd at a level below its first: rows come out of Kafka faster than a higher one compresses, and what is saved is traffic, not
 * storage: BigQuery keeps its own form. Of rows of 194 bytes level -3 makes 73 in 180 ns each, level 1 58 in 320 ns, level 3 56 in 680.
 *
 * Deliberately absent: a checksum. zstd frames could carry one; TLS and the upload's lengths already do the work.
 */
#include "workers/bigquery/avro_file.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "common/must.h"
#include "schemas/types.h"

#define ZSTD_LEVEL    (-3)
#define LONG_MAX_SIZE 10 /* bytes of an Avro long */

struct compressor {
    struct compressor *next;
    ZSTD_CCtx *zstd;
    struct buffer block; /* the one at hand, compressed */
};

struct avro_coder {
    enum avro_file_codec codec;
    pthread_mutex_t lock;
    struct compressor *idle; /* under the lock */
};

struct avro_coder *avro_coder_new(enum avro_file_codec codec)
{
    struct avro_coder *coder = calloc(1, sizeof *coder);

    must(coder != NULL && pthread_mutex_init(&coder->lock, NULL) == 0);
    coder->codec = codec;
    return coder;
}

void avro_coder_free(struct avro_coder *coder)
{
    struct compressor *next;

    if (coder == NULL) {
        return;
    }
    for (struct compressor *compressor = coder->idle; compressor != NULL; compressor = next) {
        next = compressor->next;
        (void)ZSTD_freeCCtx(compressor->zstd);
        buffer_deinit(&compressor->block);
        free(compressor);
    }
    (void)pthread_mutex_destroy(&coder->lock);
    free(coder);
}

static struct compressor *borrow(struct avro_coder *coder)
{
    struct compressor *compressor;

    must(pthread_mutex_lock(&coder->lock) == 0);
    compressor = coder->idle;
    coder->idle = compressor != NULL ? compressor->next : NULL;
    must(pthread_mutex_unlock(&coder->lock) == 0);
    if (compressor == NULL) {
        compressor = calloc(1, sizeof *compressor);
        must(compressor != NULL);
        compressor->zstd = ZSTD_createCCtx();
        must(compressor->zstd != NULL);
    }
    return compressor;
}

static void give_back(struct avro_coder *coder, struct compressor *compressor)
{
    must(pthread_mutex_lock(&coder->lock) == 0);
    compressor->next = coder->idle;
    coder->idle = compressor;
    must(pthread_mutex_unlock(&coder->lock) == 0);
}

/* ---- the header */

/* Zig-zag, then seven bits a byte, the lowest first. */
static void put_long(struct buffer *out, int64_t value)
{
    uint64_t bits = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
    uint8_t *to = buffer_reserve(out, LONG_MAX_SIZE);
    size_t size = 0;

    while (bits >= 0x80) {
        to[size++] = (uint8_t)(bits | 0x80);
        bits >>= 7;
    }
    to[size++] = (uint8_t)bits;
    out->size += size;
}

static void put_text(struct buffer *out, const char *text)
{
    size_t size = strlen(text);

    put_long(out, (int64_t)size);
    buffer_append(out, text, size);
}

static int put_field(struct buffer *out, const struct column *column, const struct bigquery_layout *layout, size_t target,
                     struct err *err)
{
    if (target >= layout->column_count) {
        return err_set(err, ERR_POISON, "column %s is not stored, and a load file can't leave it out", column->name);
    }
    if (layout->columns[target].type != bigquery_type_of(column)) {
        return err_set(err, ERR_POISON, "column %s is %s and its history %s: a load job would not convert it", column->name,
                       bigquery_type_word(bigquery_type_of(column)), bigquery_type_word(layout->columns[target].type));
    }
    buffer_printf(out, "{\"name\":\"%s\",\"type\":[\"null\",", layout->columns[target].name);
    type_avro(out, column);
    buffer_append_text(out, "]},");
    return 0;
}

/* The metadata as schemas/schema.c has it, and the one field that stands behind the source's bytes. */
static const char meta_fields[] =
    "{\"name\":\"__op\",\"type\":{\"type\":\"enum\",\"name\":\"__op\",\"symbols\":[\"c\",\"u\",\"d\",\"r\",\"t\"]}},"
    "{\"name\":\"__ts\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}},"
    "{\"name\":\"__seq\",\"type\":\"long\"},"
    "{\"name\":\"__idx\",\"type\":\"long\"},"
    "{\"name\":\"__source\",\"type\":\"string\"},"
    "{\"name\":\"__txid\",\"type\":\"string\"},"
    "{\"name\":\"__ingest_day\",\"type\":{\"type\":\"int\",\"logicalType\":\"date\"}}";

int avro_file_schema(const struct table *table, const struct bigquery_layout *layout, const size_t *targets, struct buffer *out,
                     struct err *err)
{
    size_t before = out->size;

    buffer_append_text(out, "{\"type\":\"record\",\"name\":\"row\",\"fields\":[");
    for (size_t i = 0; i < table->column_count; i++) {
        if (put_field(out, &table->columns[i], layout, targets[i], err) != 0) {
            out->size = before;
            return -1;
        }
    }
    buffer_printf(out, "%s]}", meta_fields);
    return 0;
}

void avro_file_begin(struct avro_file *file, struct avro_coder *coder, const char *schema_text,
                     const uint8_t sync[AVRO_FILE_SYNC_SIZE], size_t block_bytes, struct buffer *out)
{
    *file = (struct avro_file){._coder = coder, ._block_bytes = block_bytes != 0 ? block_bytes : AVRO_FILE_BLOCK_BYTES};
    memcpy(file->_sync, sync, AVRO_FILE_SYNC_SIZE);
    buffer_append(out, "Obj\1", 4);
    put_long(out, 2); /* a map's block of two entries ... */
    put_text(out, "avro.schema");
    put_text(out, schema_text);
    put_text(out, "avro.codec");
    put_text(out, coder->codec == AVRO_FILE_ZSTD ? "zstandard" : "null");
    put_long(out, 0); /* ... and no further one */
    buffer_append(out, sync, AVRO_FILE_SYNC_SIZE);
}

/* ---- blocks */

static void compress(struct compressor *compressor, const struct buffer *block)
{
    size_t bound = ZSTD_compressBound(block->size);
    size_t size;

    buffer_clear(&compressor->block);
    size = ZSTD_compressCCtx(compressor->zstd, buffer_reserve(&compressor->block, bound), bound, block->bytes, block->size, ZSTD_LEVEL);
    must(!ZSTD_isError(size)); /* the room is enough, the level exists */
    compressor->block.size = size;
}

static void put_block(const struct avro_file *file, const struct buffer *data, struct buffer *out)
{
    put_long(out, (int64_t)file->_block_rows);
    put_long(out, (int64_t)data->size);
    buffer_append(out, data->bytes, data->size);
    buffer_append(out, file->_sync, AVRO_FILE_SYNC_SIZE);
}

void avro_file_flush(struct avro_file *file, struct buffer *out)
{
    struct compressor *compressor;

    if (file->_block_rows == 0) {
        return;
    }
    if (file->_coder->codec == AVRO_FILE_NULL) {
        put_block(file, &file->_block, out);
    } else {
        compressor = borrow(file->_coder);
        compress(compressor, &file->_block);
        put_block(file, &compressor->block, out);
        give_back(file->_coder, compressor);
    }
    file->_block_rows = 0;
    buffer_clear(&file->_block);
}

void avro_file_add(struct avro_file *file, const uint8_t *value, size_t value_size, int32_t ingest_day, struct buffer *out)
{
    buffer_append(&file->_block, value, value_size);
    put_long(&file->_block, ingest_day);
    file->_block_rows++;
    file->row_count++;
    if (file->_block.size >= file->_block_bytes) {
        avro_file_flush(file, out);
    }
}

void avro_file_deinit(struct avro_file *file)
{
    buffer_deinit(&file->_block);
    *file = (struct avro_file){0};
}
