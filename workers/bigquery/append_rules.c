/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules are tried from the top; the first that fits decides. A StorageError, where there is one, says more than the code
 * beside it, so its rules stand before those of codes; what neither speaks of is a surprise, which is always safe: the stream is
 * sealed, and what it holds is counted.
 *
 * Why ALREADY_EXISTS is no success by itself: it says that the stream has rows there, not whose. They are ours only if this very
 * request, byte for byte (C3), was sent before. And why a refusal behind an unanswered try is a surprise (C5): the earlier copy may
 * arrive later, when somebody has mended the table, and be accepted with the row that is in the dead letters.
 */
#include "workers/bigquery/append_rules.h"

#include <stddef.h>

#include "workers/bigquery/grpc.h"
#include "workers/bigquery/storage_messages.h"

enum { ANY = -1 };
enum tri { EITHER, YES, NO };

static bool fits(enum tri wanted, bool is)
{
    return wanted == EITHER || (wanted == YES) == is;
}

struct line {
    int code;
    int error_code;
    enum tri row_errors;
    enum tri unsure;
    enum tri behind;
    struct append_rule rule;
};

static const struct append_rule other_row = {APPEND_SURPRISE, "accepted at another row than was asked for"};

static const struct line lines[] = {
    /* row errors; a copy that may still arrive: C5 */
    {ANY, ANY, YES, YES, EITHER, {APPEND_SURPRISE, "rows refused, but an earlier try may still arrive (C5)"}},
    {ANY, ANY, YES, NO, EITHER, {APPEND_BAD_ROWS, "rows refused, nothing is in"}},
    {GRPC_OK, STORAGE_ERROR_NONE, EITHER, EITHER, EITHER, {APPEND_IN, "accepted"}},

    /* what StorageError says */
    {ANY, STORAGE_ERROR_SCHEMA_MISMATCH_EXTRA_FIELDS, EITHER, EITHER, EITHER, {APPEND_NEW_CALL, "the service does not know the new column yet"}},
    {ANY, STORAGE_ERROR_OFFSET_ALREADY_EXISTS, EITHER, YES, EITHER, {APPEND_IN, "an earlier try of the same bytes is in (C3)"}},
    {ANY, STORAGE_ERROR_OFFSET_ALREADY_EXISTS, EITHER, NO, EITHER, {APPEND_SURPRISE, "the row is taken, by a request that was never sent"}},
    {ANY, STORAGE_ERROR_OFFSET_OUT_OF_RANGE, EITHER, EITHER, YES, {APPEND_BEHIND, "behind one that was not accepted"}},
    {ANY, STORAGE_ERROR_OFFSET_OUT_OF_RANGE, EITHER, EITHER, NO, {APPEND_SURPRISE, "rows before it are missing"}},
    {ANY, STORAGE_ERROR_STREAM_FINALIZED, EITHER, EITHER, EITHER, {APPEND_SURPRISE, "the stream was sealed by another owner"}},
    {ANY, STORAGE_ERROR_STREAM_NOT_FOUND, EITHER, EITHER, EITHER, {APPEND_SURPRISE, "the stream is gone"}},
    {ANY, STORAGE_ERROR_STREAM_ALREADY_COMMITTED, EITHER, EITHER, EITHER, {APPEND_SURPRISE, "the stream is of another kind"}},
    {ANY, STORAGE_ERROR_INVALID_STREAM_TYPE, EITHER, EITHER, EITHER, {APPEND_SURPRISE, "the stream is of another kind"}},
    {ANY, STORAGE_ERROR_INVALID_STREAM_STATE, EITHER, EITHER, EITHER, {APPEND_SURPRISE, "the stream takes no rows"}},
    {ANY, STORAGE_ERROR_TABLE_NOT_FOUND, EITHER, EITHER, EITHER, {APPEND_SURPRISE, "the table is gone"}},
    {ANY, STORAGE_ERROR_CMEK_NOT_PROVIDED, EITHER, EITHER, EITHER, {APPEND_PAUSE, "the table's key"}},
    {ANY, STORAGE_ERROR_INVALID_CMEK_PROVIDED, EITHER, EITHER, EITHER, {APPEND_PAUSE, "the table's key"}},
    {ANY, STORAGE_ERROR_CMEK_ENCRYPTION_ERROR, EITHER, EITHER, EITHER, {APPEND_PAUSE, "the table's key"}},
    {ANY, STORAGE_ERROR_KMS_PERMISSION_DENIED, EITHER, EITHER, EITHER, {APPEND_PAUSE, "the table's key"}},
    {ANY, STORAGE_ERROR_KMS_SERVICE_ERROR, EITHER, EITHER, EITHER, {APPEND_AGAIN, "the key service fails"}},

    /* what the code says */
    {GRPC_ALREADY_EXISTS, ANY, EITHER, YES, EITHER, {APPEND_IN, "an earlier try of the same bytes is in (C3)"}},
    {GRPC_ALREADY_EXISTS, ANY, EITHER, NO, EITHER, {APPEND_SURPRISE, "the row is taken, by a request that was never sent"}},
    {GRPC_OUT_OF_RANGE, ANY, EITHER, EITHER, YES, {APPEND_BEHIND, "behind one that was not accepted"}},
    {GRPC_OUT_OF_RANGE, ANY, EITHER, EITHER, NO, {APPEND_SURPRISE, "rows before it are missing"}},
    {GRPC_UNAUTHENTICATED, ANY, EITHER, EITHER, EITHER, {APPEND_NEW_TOKEN, "the token is refused"}},
    {GRPC_RESOURCE_EXHAUSTED, ANY, EITHER, EITHER, EITHER, {APPEND_AGAIN, "a quota, or too much at once"}},
    {GRPC_UNAVAILABLE, ANY, EITHER, EITHER, EITHER, {APPEND_AGAIN, "the service can't be reached"}},
    {GRPC_INTERNAL, ANY, EITHER, EITHER, EITHER, {APPEND_AGAIN, "the service fails"}},
    {GRPC_ABORTED, ANY, EITHER, EITHER, EITHER, {APPEND_AGAIN, "the service gave up"}},
    {GRPC_CANCELLED, ANY, EITHER, EITHER, EITHER, {APPEND_AGAIN, "the call was ended"}},
    {GRPC_DEADLINE_EXCEEDED, ANY, EITHER, EITHER, EITHER, {APPEND_AGAIN, "no answer in time"}},
    {GRPC_UNKNOWN, ANY, EITHER, EITHER, EITHER, {APPEND_AGAIN, "the service fails"}},
    {GRPC_PERMISSION_DENIED, ANY, EITHER, EITHER, EITHER, {APPEND_PAUSE, "a permission is missing"}},
    {GRPC_INVALID_ARGUMENT, ANY, EITHER, EITHER, EITHER, {APPEND_PAUSE, "the request is refused as a whole"}},
    {GRPC_NOT_FOUND, ANY, EITHER, EITHER, EITHER, {APPEND_SURPRISE, "the stream or its table is gone"}},
};

const struct append_rule *append_judge(const struct append_facts *facts)
{
    static const struct append_rule unknown = {APPEND_SURPRISE, "an answer that no rule speaks of"};

    if (facts->code == GRPC_OK && facts->other_row) {
        return &other_row;
    }
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const struct line *line = &lines[i];

        if ((line->code == ANY || line->code == facts->code) && (line->error_code == ANY || line->error_code == facts->error_code) &&
            fits(line->row_errors, facts->row_errors) && fits(line->unsure, facts->unsure) && fits(line->behind, facts->behind)) {
            return &line->rule;
        }
    }
    return &unknown;
}

const char *append_verdict_name(enum append_verdict verdict)
{
    static const char *const names[] = {"in",     "again", "new token", "new call",
                                        "behind", "pause", "bad rows",  "surprise"};

    return names[verdict];
}
