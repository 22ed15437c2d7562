/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage_messages: requests and answers of google.cloud.bigquery.storage.v1.BigQueryWrite (storage.proto, stream.proto), as
 * bytes. AppendRowsRequest is append_request.h's.
 *
 * Answers come from outside: each decoder takes any bytes, refuses what is no message of its kind (ERR_POISON), and skips
 * fields that it does not know. What it gives back borrows from the bytes; texts are not NUL-terminated, and whether they are
 * UTF-8 is not asked: print them with storage_status_text, which cleans them.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_STORAGE_MESSAGES_H
#define KAKEHI_WORKERS_BIGQUERY_STORAGE_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"

#define STORAGE_STREAM_NAME_MAX 1024  /* bytes of a stream's name that we take */
#define STORAGE_ROW_ERRORS_MAX  65536 /* of one answer; what is beyond is named by the next try */

/* ---- requests; each appends one message */

/* parent: "projects/P/datasets/D/tables/T". The stream is COMMITTED. */
void storage_create_write_stream(struct buffer *out, const char *parent);
void storage_finalize_write_stream(struct buffer *out, const char *name);

/* ---- answers */

struct storage_text {
    const char *bytes; /* borrowed from the answer */
    size_t size;
};

enum storage_stream_type { STORAGE_STREAM_UNKNOWN, STORAGE_STREAM_COMMITTED, STORAGE_STREAM_PENDING, STORAGE_STREAM_BUFFERED };

/* WriteStream: the answer of CreateWriteStream. */
struct storage_stream {
    struct storage_text name; /* 1 to STORAGE_STREAM_NAME_MAX printable ASCII bytes */
    enum storage_stream_type type;
    int64_t create_time_us; /* 0: not given */
    int64_t commit_time_us; /* 0: not given; of a COMMITTED stream it says nothing (documented as create_time) */
};

/* StorageError.StorageErrorCode */
enum storage_error_code {
    STORAGE_ERROR_NONE = 0,
    STORAGE_ERROR_TABLE_NOT_FOUND = 1,
    STORAGE_ERROR_STREAM_ALREADY_COMMITTED = 2,
    STORAGE_ERROR_STREAM_NOT_FOUND = 3,
    STORAGE_ERROR_INVALID_STREAM_TYPE = 4,
    STORAGE_ERROR_INVALID_STREAM_STATE = 5,
    STORAGE_ERROR_STREAM_FINALIZED = 6,
    STORAGE_ERROR_SCHEMA_MISMATCH_EXTRA_FIELDS = 7,
    STORAGE_ERROR_OFFSET_ALREADY_EXISTS = 8,
    STORAGE_ERROR_OFFSET_OUT_OF_RANGE = 9,
    STORAGE_ERROR_CMEK_NOT_PROVIDED = 10,
    STORAGE_ERROR_INVALID_CMEK_PROVIDED = 11,
    STORAGE_ERROR_CMEK_ENCRYPTION_ERROR = 12,
    STORAGE_ERROR_KMS_SERVICE_ERROR = 13,
    STORAGE_ERROR_KMS_PERMISSION_DENIED = 14,
};

/* google.rpc.Status with the StorageError of its details. */
struct storage_status {
    int32_t code; /* google.rpc.Code, the same numbers as grpc-status; 0: no error */
    struct storage_text message;
    int32_t error_code; /* enum storage_error_code, or one that is newer than we are; 0: no StorageError in the details */
    struct storage_text entity;
    struct storage_text error_message;
};

struct storage_row_error {
    int64_t place; /* of the row in the request as it was sent, from 0 */
    int32_t code;  /* 1: FIELDS_ERROR */
    struct storage_text message;
};

/* AppendRowsResponse. Either accepted, or status.code is not 0 (an error without a code is 2, UNKNOWN); neither: the answer
 * says nothing of the rows. */
struct storage_append_answer {
    bool accepted;  /* append_result: the rows are in */
    int64_t offset; /* of the first row, where accepted; -1: not said (the stream `_default`) */
    struct storage_status status;
    struct storage_row_error *row_errors; /* owned: storage_append_answer_deinit */
    size_t row_error_count;
    bool row_errors_cut; /* there were more */
    struct storage_text write_stream;
};

int storage_stream_decode(const uint8_t *bytes, size_t size, struct storage_stream *ret_stream, struct err *err) MUST_CHECK;
/* row_count of FinalizeWriteStreamResponse; never negative. */
int storage_finalize_decode(const uint8_t *bytes, size_t size, int64_t *ret_row_count, struct err *err) MUST_CHECK;
/* On failure there is nothing to deinit. */
int storage_append_decode(const uint8_t *bytes, size_t size, struct storage_append_answer *ret_answer,
                          struct err *err) MUST_CHECK;
void storage_append_answer_deinit(struct storage_append_answer *answer);
/* google.rpc.Status: the bytes of the trailer grpc-status-details-bin, after base64. */
int storage_status_decode(const uint8_t *bytes, size_t size, struct storage_status *ret_status, struct err *err) MUST_CHECK;

/* "SCHEMA_MISMATCH_EXTRA_FIELDS"; "unknown" for one that is newer than we are, "none" for 0. */
const char *storage_error_name(int32_t error_code);

#define STORAGE_STATUS_TEXT_MAX 384
/* "code 3, SCHEMA_MISMATCH_EXTRA_FIELDS (projects/...): Input schema has more fields", for errors and logs: one line of ASCII,
 * cut. */
void storage_status_text(const struct storage_status *status, char text[STORAGE_STATUS_TEXT_MAX]);

#endif
