/* SPDX-License-Identifier: Apache-2.0 */
/*
 * append_request: the bytes of an AppendRowsRequest: a head (stream, offset, writer schema, the lengths of what follows), made
 * anew for each send, and the rows, made once and kept until answered. The rows stand behind room for the head, so that a
 * request is one piece of memory and nothing is copied. So the same rows go again on a new call, where the head needs the
 * writer schema, and what is byte-identical between two tries (rule C3) is what nobody touches. Rows are taken out by index,
 * when BigQuery names them as bad.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_APPEND_REQUEST_H
#define KAKEHI_WORKERS_BIGQUERY_APPEND_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"
#include "workers/bigquery/row_program.h"

/* The rows of one request. {0} is not valid: append_rows_init. */
struct append_rows {
    size_t row_count;         /* as it would be sent now: without what was dropped */
    struct buffer _bytes;     /* room for the head, and then ProtoRows' fields */
    size_t _begin;            /* where the rows begin */
    size_t _bytes_max;        /* of the rows */
    struct append_row *_rows; /* where each begins, and which it was before rows were dropped */
    size_t _capacity;
    size_t _added_count;
};

enum append_added {
    APPEND_ADDED,
    APPEND_FULL, /* not added: it does not fit any more; send what is there */
    APPEND_BAD,  /* not added: it never can be; err is ERR_POISON and says why. Also a row that is larger than a request may be
                  */
};

/* request_bytes_max: what a request may take, at most 1 GiB; head_bytes_max of these are kept for the head: append_head_bound.
 */
void append_rows_init(struct append_rows *rows, size_t head_bytes_max, size_t request_bytes_max);
void append_rows_deinit(struct append_rows *rows);
/* No rows, the memory stays, indexes begin at 0 again. */
void append_rows_clear(struct append_rows *rows);
/* The memory that it has written to, for the worker's budget. */
size_t append_rows_memory(const struct append_rows *rows);

/* One message behind the others. Its index is the number of rows added before it, dropped ones included; it keeps it. */
enum append_added append_rows_add(struct append_rows *rows, const struct row_program *program, const uint8_t *avro,
                                  size_t avro_size, int32_t ingest_day, struct err *err) MUST_CHECK;
/* The index of what stands at a place of the request as sent (RowError.index is such a place); ERR_POISON if there is none. */
int append_rows_index(const struct append_rows *rows, int64_t place, size_t *ret_index, struct err *err) MUST_CHECK;
/* Takes rows out by index; in any order, also twice; those that are out are passed over. */
void append_rows_drop(struct append_rows *rows, const size_t *indexes, size_t index_count);

struct append_head {
    const char *write_stream;           /* full name; always sent */
    int64_t offset;                     /* of the first row in the stream; -1: none is sent (the stream `_default`) */
    const struct buffer *writer_schema; /* descriptor_encode's bytes, on the first request of a call; else NULL */
};

/*
 * The whole request. Borrowed: it is there until the next call on the rows, so nobody may still be sending the one of an
 * earlier head. At least one row. A head that needs more than head_bytes_max (the descriptor has grown since) moves the rows
 * once, and the request is longer by that.
 */
const uint8_t *append_rows_request(struct append_rows *rows, const struct append_head *head, size_t *ret_size);
/* The most that a head takes; sizes in bytes. */
size_t append_head_bound(size_t stream_name_size, size_t writer_schema_size);

#endif
