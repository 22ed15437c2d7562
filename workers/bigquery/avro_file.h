/* SPDX-License-Identifier: Apache-2.0 */
/*
 * avro_file: an Avro object container file (Avro 1.11 specification, "Object Container Files") made of the messages' own value
 * bytes, for load jobs. Pure: it appends to a buffer, in order, and never looks back; whoever takes the bytes may send them and
 * forget them.
 *
 *   file   = "Obj" 1, map of metadata (avro.schema, avro.codec), sync marker, block ...
 *   block  = row count, size of the data, data, sync marker           (both numbers as Avro longs)
 *   data   = rows, one behind the other; by codec zstandard one zstd frame
 *   row    = the bytes behind the message's frame, untouched, then `__ingest_day`
 *
 * Nothing of a row is decoded: the header's schema is ours to write, so its fields carry the names of the history's columns
 * while the bytes stay those of the source's Avro schema.
 *
 * One schema version a file, since a container file has one schema.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_AVRO_FILE_H
#define KAKEHI_WORKERS_BIGQUERY_AVRO_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"
#include "schemas/table.h"
#include "workers/bigquery/bigquery_types.h"

#define AVRO_FILE_SYNC_SIZE   16
#define AVRO_FILE_BLOCK_BYTES (256 << 10) /* of rows, uncompressed: enough for zstd to find what repeats, small beside a file  \
                                           */

enum avro_file_codec { AVRO_FILE_NULL, AVRO_FILE_ZSTD };

/*
 * Appends the schema of a load file: the record's fields in their order, under the names of their columns in the history, then
 * `__ingest_day`. targets: as row_program_new has them.
 *
 * ERR_POISON, naming the column, where a load job would not give the history the value that an append gives it: the column is
 * not stored, or it stands in a column of another type (it was widened since, or this version is the wider one). Such versions
 * go by appends.
 */
int avro_file_schema(const struct table *table, const struct bigquery_layout *layout, const size_t *targets, struct buffer *out,
                     struct err *err) MUST_CHECK;

/* What compresses. One serves all files, on any number of threads at once: each block is compressed at once, by a compressor that is
 * lent for it, so there are as many as there were blocks at the same moment. */
struct avro_coder;
struct avro_coder *avro_coder_new(enum avro_file_codec codec);
void avro_coder_free(struct avro_coder *coder); /* takes NULL */

struct avro_file {
    uint64_t row_count; /* added so far */
    struct avro_coder *_coder;
    size_t _block_bytes;
    struct buffer _block; /* the rows of the block under way */
    size_t _block_rows;
    uint8_t _sync[AVRO_FILE_SYNC_SIZE];
};

/* Appends the file's header. coder: borrowed until avro_file_deinit. sync: 16 random bytes, copied. block_bytes: a block is
 * ended when its rows reach it (a single row may be larger); 0: AVRO_FILE_BLOCK_BYTES. */
void avro_file_begin(struct avro_file *file, struct avro_coder *coder, const char *schema_text,
                     const uint8_t sync[AVRO_FILE_SYNC_SIZE], size_t block_bytes, struct buffer *out);
/* One row; appends the block to `out` if the row filled it. ingest_day: days since 1970-01-01, UTC. */
void avro_file_add(struct avro_file *file, const uint8_t *value, size_t value_size, int32_t ingest_day, struct buffer *out);
/* Appends the last block, if rows wait. The file is whole then; rows may still follow, in a further block. */
void avro_file_flush(struct avro_file *file, struct buffer *out);
void avro_file_deinit(struct avro_file *file); /* {0} is fine */

#endif
