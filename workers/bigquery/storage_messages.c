/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field numbers stand here once, in the order of the protos. As protobuf asks of each reader: of a field that comes twice the
 * last one counts, messages that come twice are merged, and of a oneof the last member counts.
 *
 * An answer that can't be read is never taken for one that says less: an append whose answer is garbage has an unknown outcome,
 * and the lane recovers.
 */
#include "workers/bigquery/storage_messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/protobuf.h"

enum { CREATE_PARENT = 1, CREATE_WRITE_STREAM = 2 };
enum { FINALIZE_NAME = 1, FINALIZE_ROW_COUNT = 1 };
enum { STREAM_NAME = 1, STREAM_TYPE = 2, STREAM_CREATE_TIME = 3, STREAM_COMMIT_TIME = 4 };
enum { TIMESTAMP_SECONDS = 1, TIMESTAMP_NANOS = 2 };
enum { ANSWER_RESULT = 1, ANSWER_ERROR = 2, ANSWER_ROW_ERRORS = 4, ANSWER_WRITE_STREAM = 5 };
enum { RESULT_OFFSET = 1 };
enum { INT64_VALUE = 1 };
enum { ROW_ERROR_INDEX = 1, ROW_ERROR_CODE = 2, ROW_ERROR_MESSAGE = 3 };
enum { STATUS_CODE = 1, STATUS_MESSAGE = 2, STATUS_DETAILS = 3 };
enum { ANY_TYPE_URL = 1, ANY_VALUE = 2 };
enum { STORAGE_ERROR_CODE = 1, STORAGE_ERROR_ENTITY = 2, STORAGE_ERROR_MESSAGE = 3 };

#define RPC_UNKNOWN 2 /* google.rpc.Code */

#define STORAGE_ERROR_TYPE "google.cloud.bigquery.storage.v1.StorageError"
#define SECONDS_MAX        INT64_C(253402300799) /* 9999-12-31 23:59:59, where google.protobuf.Timestamp ends */
#define SECONDS_MIN        INT64_C(-62135596800) /* 0001-01-01 00:00:00 */

/* ---- requests */

void storage_create_write_stream(struct buffer *out, const char *parent)
{
    struct buffer stream = {0};

    protobuf_put_varint(&stream, STREAM_TYPE, STORAGE_STREAM_COMMITTED);
    protobuf_put_text(out, CREATE_PARENT, parent);
    protobuf_put_bytes(out, CREATE_WRITE_STREAM, stream.bytes, stream.size);
    buffer_deinit(&stream);
}

void storage_finalize_write_stream(struct buffer *out, const char *name)
{
    protobuf_put_text(out, FINALIZE_NAME, name);
}

/* ---- answers: parts. Each gives what is wrong, or NULL */

static struct storage_text text_of(const struct protobuf_field *field)
{
    return (struct storage_text){(const char *)field->bytes, field->size};
}

static const char *read_timestamp(const struct protobuf_field *message, int64_t *ret_us)
{
    struct protobuf_reader reader = protobuf_read_inner(message);
    struct protobuf_field field;
    int64_t seconds = 0;
    int64_t nanos = 0;

    while (protobuf_next(&reader, &field)) {
        if (protobuf_is(&field, TIMESTAMP_SECONDS, PROTOBUF_VARINT)) {
            seconds = (int64_t)field.value;
        } else if (protobuf_is(&field, TIMESTAMP_NANOS, PROTOBUF_VARINT)) {
            nanos = (int64_t)field.value;
        }
    }
    if (reader.bad != NULL) {
        return reader.bad;
    }
    if (seconds < SECONDS_MIN || seconds > SECONDS_MAX || nanos < 0 || nanos > 999999999) {
        return "a time that can't be";
    }
    *ret_us = seconds * 1000000 + nanos / 1000;
    return NULL;
}

static const char *read_storage_error(const struct protobuf_field *message, struct storage_status *status)
{
    struct protobuf_reader reader = protobuf_read_inner(message);
    struct protobuf_field field;

    while (protobuf_next(&reader, &field)) {
        if (protobuf_is(&field, STORAGE_ERROR_CODE, PROTOBUF_VARINT)) {
            status->error_code = (int32_t)field.value;
        } else if (protobuf_is(&field, STORAGE_ERROR_ENTITY, PROTOBUF_BYTES)) {
            status->entity = text_of(&field);
        } else if (protobuf_is(&field, STORAGE_ERROR_MESSAGE, PROTOBUF_BYTES)) {
            status->error_message = text_of(&field);
        }
    }
    return reader.bad;
}

/* Is what stands behind the last '/' of the URL our type? */
static bool is_storage_error(const struct protobuf_field *url)
{
    static const char type[] = "/" STORAGE_ERROR_TYPE;
    size_t type_size = sizeof type - 1;

    return url->size >= type_size && memcmp(url->bytes + url->size - type_size, type, type_size) == 0;
}

/* One of the details; other kinds (RetryInfo, DebugInfo, ...) are passed over. */
static const char *read_any(const struct protobuf_field *message, struct storage_status *status)
{
    struct protobuf_reader reader = protobuf_read_inner(message);
    struct protobuf_field field;
    struct protobuf_field value = {.wire = PROTOBUF_BYTES, .bytes = (const uint8_t *)""};
    bool ours = false;

    while (protobuf_next(&reader, &field)) {
        if (protobuf_is(&field, ANY_TYPE_URL, PROTOBUF_BYTES)) {
            ours = is_storage_error(&field);
        } else if (protobuf_is(&field, ANY_VALUE, PROTOBUF_BYTES)) {
            value = field;
        }
    }
    if (reader.bad == NULL && ours && status->error_code == STORAGE_ERROR_NONE) {
        return read_storage_error(&value, status);
    }
    return reader.bad;
}

static const char *read_status(struct protobuf_reader reader, struct storage_status *status)
{
    struct protobuf_field field;
    const char *bad = NULL;

    while (bad == NULL && protobuf_next(&reader, &field)) {
        if (protobuf_is(&field, STATUS_CODE, PROTOBUF_VARINT)) {
            status->code = (int32_t)field.value;
        } else if (protobuf_is(&field, STATUS_MESSAGE, PROTOBUF_BYTES)) {
            status->message = text_of(&field);
        } else if (protobuf_is(&field, STATUS_DETAILS, PROTOBUF_BYTES)) {
            bad = read_any(&field, status);
        }
    }
    return bad != NULL ? bad : reader.bad;
}

static const char *read_int64_value(const struct protobuf_field *message, int64_t *ret_value)
{
    struct protobuf_reader reader = protobuf_read_inner(message);
    struct protobuf_field field;

    *ret_value = 0; /* what an Int64Value with nothing in it says */
    while (protobuf_next(&reader, &field)) {
        if (protobuf_is(&field, INT64_VALUE, PROTOBUF_VARINT)) {
            *ret_value = (int64_t)field.value;
        }
    }
    return reader.bad;
}

static const char *read_result(const struct protobuf_field *message, struct storage_append_answer *answer)
{
    struct protobuf_reader reader = protobuf_read_inner(message);
    struct protobuf_field field;
    const char *bad = NULL;

    answer->accepted = true;
    answer->status = (struct storage_status){0};
    while (bad == NULL && protobuf_next(&reader, &field)) {
        if (protobuf_is(&field, RESULT_OFFSET, PROTOBUF_BYTES)) {
            bad = read_int64_value(&field, &answer->offset);
            if (bad == NULL && answer->offset < 0) {
                bad = "a negative offset";
            }
        }
    }
    return bad != NULL ? bad : reader.bad;
}

static const char *read_error(const struct protobuf_field *message, struct storage_append_answer *answer)
{
    const char *bad = read_status(protobuf_read_inner(message), &answer->status);

    answer->accepted = false;
    answer->offset = -1;
    if (answer->status.code == 0) {
        answer->status.code = RPC_UNKNOWN; /* an error that is there says that the rows are not */
    }
    return bad;
}

/* The room doubles whenever the count is a power of two. */
static void add_row_error(struct storage_append_answer *answer, const struct storage_row_error *error)
{
    size_t count = answer->row_error_count;

    if (count == STORAGE_ROW_ERRORS_MAX) {
        answer->row_errors_cut = true;
        return;
    }
    if ((count & (count - 1)) == 0) {
        answer->row_errors = reallocarray(answer->row_errors, count > 0 ? 2 * count : 1, sizeof *answer->row_errors);
        must(answer->row_errors != NULL);
    }
    answer->row_errors[answer->row_error_count++] = *error;
}

static const char *read_row_error(const struct protobuf_field *message, struct storage_append_answer *answer)
{
    struct protobuf_reader reader = protobuf_read_inner(message);
    struct storage_row_error error = {.message = {"", 0}};
    struct protobuf_field field;

    while (protobuf_next(&reader, &field)) {
        if (protobuf_is(&field, ROW_ERROR_INDEX, PROTOBUF_VARINT)) {
            error.place = (int64_t)field.value;
        } else if (protobuf_is(&field, ROW_ERROR_CODE, PROTOBUF_VARINT)) {
            error.code = (int32_t)field.value;
        } else if (protobuf_is(&field, ROW_ERROR_MESSAGE, PROTOBUF_BYTES)) {
            error.message = text_of(&field);
        }
    }
    if (reader.bad == NULL && error.place < 0) {
        return "a row error of a negative index";
    }
    add_row_error(answer, &error);
    return reader.bad;
}

/* ---- answers */

int storage_stream_decode(const uint8_t *bytes, size_t size, struct storage_stream *ret_stream, struct err *err)
{
    struct protobuf_reader reader = protobuf_read(bytes, size);
    struct storage_stream stream = {.name = {"", 0}};
    struct protobuf_field field;
    const char *bad = NULL;

    while (bad == NULL && protobuf_next(&reader, &field)) {
        if (protobuf_is(&field, STREAM_NAME, PROTOBUF_BYTES)) {
            stream.name = text_of(&field);
        } else if (protobuf_is(&field, STREAM_TYPE, PROTOBUF_VARINT)) {
            stream.type =
                field.value <= STORAGE_STREAM_BUFFERED ? (enum storage_stream_type)field.value : STORAGE_STREAM_UNKNOWN;
        } else if (protobuf_is(&field, STREAM_CREATE_TIME, PROTOBUF_BYTES)) {
            bad = read_timestamp(&field, &stream.create_time_us);
        } else if (protobuf_is(&field, STREAM_COMMIT_TIME, PROTOBUF_BYTES)) {
            bad = read_timestamp(&field, &stream.commit_time_us);
        }
    }
    bad = bad != NULL ? bad : reader.bad;
    if (bad == NULL && (stream.name.size == 0 || stream.name.size > STORAGE_STREAM_NAME_MAX)) {
        bad = "a stream's name of no or too many bytes";
    }
    for (size_t i = 0; bad == NULL && i < stream.name.size; i++) {
        bad = stream.name.bytes[i] > ' ' && stream.name.bytes[i] < 0x7f ? NULL : "a stream's name that is not printable ASCII";
    }
    if (bad != NULL) {
        return err_set(err, ERR_POISON, "a WriteStream that can't be read: %s", bad);
    }
    *ret_stream = stream;
    return 0;
}

int storage_finalize_decode(const uint8_t *bytes, size_t size, int64_t *ret_row_count, struct err *err)
{
    struct protobuf_reader reader = protobuf_read(bytes, size);
    struct protobuf_field field;
    int64_t row_count = 0; /* proto3 does not write a zero */

    while (protobuf_next(&reader, &field)) {
        if (protobuf_is(&field, FINALIZE_ROW_COUNT, PROTOBUF_VARINT)) {
            row_count = (int64_t)field.value;
        }
    }
    if (protobuf_read_end(&reader, "a FinalizeWriteStreamResponse that can't be read", err) != 0) {
        return -1;
    }
    if (row_count < 0) {
        return err_set(err, ERR_POISON, "a FinalizeWriteStreamResponse of %lld rows", (long long)row_count);
    }
    *ret_row_count = row_count;
    return 0;
}

static const char *read_answer_field(const struct protobuf_field *field, struct storage_append_answer *answer)
{
    if (protobuf_is(field, ANSWER_RESULT, PROTOBUF_BYTES)) {
        return read_result(field, answer);
    }
    if (protobuf_is(field, ANSWER_ERROR, PROTOBUF_BYTES)) {
        return read_error(field, answer);
    }
    if (protobuf_is(field, ANSWER_ROW_ERRORS, PROTOBUF_BYTES)) {
        return read_row_error(field, answer);
    }
    if (protobuf_is(field, ANSWER_WRITE_STREAM, PROTOBUF_BYTES)) {
        answer->write_stream = text_of(field);
    }
    return NULL;
}

int storage_append_decode(const uint8_t *bytes, size_t size, struct storage_append_answer *ret_answer, struct err *err)
{
    struct protobuf_reader reader = protobuf_read(bytes, size);
    struct storage_append_answer answer = {.offset = -1, .write_stream = {"", 0}};
    struct protobuf_field field;
    const char *bad = NULL;

    while (bad == NULL && protobuf_next(&reader, &field)) {
        bad = read_answer_field(&field, &answer);
    }
    bad = bad != NULL ? bad : reader.bad;
    if (bad != NULL) {
        storage_append_answer_deinit(&answer);
        return err_set(err, ERR_POISON, "an AppendRowsResponse that can't be read: %s", bad);
    }
    *ret_answer = answer;
    return 0;
}

void storage_append_answer_deinit(struct storage_append_answer *answer)
{
    free(answer->row_errors);
    *answer = (struct storage_append_answer){.offset = -1};
}

int storage_status_decode(const uint8_t *bytes, size_t size, struct storage_status *ret_status, struct err *err)
{
    struct storage_status status = {0};
    const char *bad = read_status(protobuf_read(bytes, size), &status);

    if (bad != NULL) {
        return err_set(err, ERR_POISON, "a google.rpc.Status that can't be read: %s", bad);
    }
    *ret_status = status;
    return 0;
}

/* ---- words */

const char *storage_error_name(int32_t error_code)
{
    static const char *const names[] = {
        [STORAGE_ERROR_NONE] = "none",
        [STORAGE_ERROR_TABLE_NOT_FOUND] = "TABLE_NOT_FOUND",
        [STORAGE_ERROR_STREAM_ALREADY_COMMITTED] = "STREAM_ALREADY_COMMITTED",
        [STORAGE_ERROR_STREAM_NOT_FOUND] = "STREAM_NOT_FOUND",
        [STORAGE_ERROR_INVALID_STREAM_TYPE] = "INVALID_STREAM_TYPE",
        [STORAGE_ERROR_INVALID_STREAM_STATE] = "INVALID_STREAM_STATE",
        [STORAGE_ERROR_STREAM_FINALIZED] = "STREAM_FINALIZED",
        [STORAGE_ERROR_SCHEMA_MISMATCH_EXTRA_FIELDS] = "SCHEMA_MISMATCH_EXTRA_FIELDS",
        [STORAGE_ERROR_OFFSET_ALREADY_EXISTS] = "OFFSET_ALREADY_EXISTS",
        [STORAGE_ERROR_OFFSET_OUT_OF_RANGE] = "OFFSET_OUT_OF_RANGE",
        [STORAGE_ERROR_CMEK_NOT_PROVIDED] = "CMEK_NOT_PROVIDED",
        [STORAGE_ERROR_INVALID_CMEK_PROVIDED] = "INVALID_CMEK_PROVIDED",
        [STORAGE_ERROR_CMEK_ENCRYPTION_ERROR] = "CMEK_ENCRYPTION_ERROR",
        [STORAGE_ERROR_KMS_SERVICE_ERROR] = "KMS_SERVICE_ERROR",
        [STORAGE_ERROR_KMS_PERMISSION_DENIED] = "KMS_PERMISSION_DENIED",
    };

    return error_code >= 0 && (size_t)error_code < sizeof names / sizeof *names ? names[error_code] : "unknown";
}

/* Always NUL-terminated; what is not printable ASCII becomes '?'. Returns where the text ends. */
static size_t append_clean(char *text, size_t at, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size && at + 1 < STORAGE_STATUS_TEXT_MAX; i++) {
        text[at++] = bytes[i] >= ' ' && bytes[i] < 0x7f ? bytes[i] : '?';
    }
    text[at] = '\0';
    return at;
}

static size_t append_plain(char *text, size_t at, const char *plain)
{
    return append_clean(text, at, plain, strlen(plain));
}

void storage_status_text(const struct storage_status *status, char text[STORAGE_STATUS_TEXT_MAX])
{
    /* The Status' own message often only repeats the StorageError's. */
    struct storage_text message = status->message.size > 0 ? status->message : status->error_message;
    size_t at = (size_t)snprintf(text, STORAGE_STATUS_TEXT_MAX, "code %d", (int)status->code);

    if (status->error_code != STORAGE_ERROR_NONE) {
        at = append_plain(text, at, ", ");
        at = append_plain(text, at, storage_error_name(status->error_code));
    }
    if (status->entity.size > 0) {
        at = append_plain(text, at, " (");
        at = append_clean(text, at, status->entity.bytes, status->entity.size);
        at = append_plain(text, at, ")");
    }
    if (message.size > 0) {
        at = append_plain(text, at, ": ");
        (void)append_clean(text, at, message.bytes, message.size);
    }
}
