/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of the Storage Write API: whatever comes, it is read or refused, and what was read lies inside of the bytes. An
 * answer that is accepted has no error, and the other way around; a text for the log is one line of plain ASCII.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/storage_messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct answer {
    const uint8_t *bytes;
    size_t size;
};

static void check_inside(const struct answer *answer, struct storage_text text)
{
    const uint8_t *begin = (const uint8_t *)text.bytes;

    must(text.size == 0 ||
         (begin >= answer->bytes && text.size <= answer->size && (size_t)(begin - answer->bytes) <= answer->size - text.size));
}

static void check_status(const struct answer *answer, const struct storage_status *status)
{
    char text[STORAGE_STATUS_TEXT_MAX];

    check_inside(answer, status->message);
    check_inside(answer, status->entity);
    check_inside(answer, status->error_message);
    memset(text, '\n', sizeof text);
    storage_status_text(status, text);
    must(memchr(text, '\0', sizeof text) != NULL);
    for (const char *at = text; *at != '\0'; at++) {
        must(*at >= ' ' && *at < 0x7f);
    }
}

static void check_append(const struct answer *answer)
{
    struct storage_append_answer append;
    struct err err;

    if (storage_append_decode(answer->bytes, answer->size, &append, &err) != 0) {
        must(err.class == ERR_POISON);
        return;
    }
    must(!append.accepted || append.status.code == 0);
    must(append.offset >= -1 && (append.accepted || append.offset == -1));
    must(append.row_error_count <= STORAGE_ROW_ERRORS_MAX);
    check_status(answer, &append.status);
    check_inside(answer, append.write_stream);
    for (size_t i = 0; i < append.row_error_count; i++) {
        must(append.row_errors[i].place >= 0);
        check_inside(answer, append.row_errors[i].message);
    }
    storage_append_answer_deinit(&append);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const struct answer answer = {bytes, size};
    struct storage_stream stream;
    struct storage_status status;
    int64_t row_count;
    struct err err;

    check_append(&answer);
    if (storage_stream_decode(bytes, size, &stream, &err) == 0) {
        must(stream.name.size > 0 && stream.name.size <= STORAGE_STREAM_NAME_MAX);
        check_inside(&answer, stream.name);
    }
    if (storage_status_decode(bytes, size, &status, &err) == 0) {
        check_status(&answer, &status);
    }
    if (storage_finalize_decode(bytes, size, &row_count, &err) == 0) {
        must(row_count >= 0);
    }
    return 0;
}
