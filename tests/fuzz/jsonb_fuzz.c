/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a JSON document of MySQL, alone or with diffs that change it: refused, or printed as JSON that an independent
 * parser reads.
 *
 * The input: two bytes with the size of the document, big-endian, then the document; what is behind it are the diffs, and if
 * nothing is, there are none to apply. Both lie in memory of their own, so that a read behind either shows.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "producer/binlog/jsonb.h"
#include "producer/binlog/jsonb_diff.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static uint8_t *copy(const uint8_t *bytes, size_t size)
{
    uint8_t *own = malloc(size);

    must(own != NULL || size == 0);
    memcpy(own, bytes, size);
    return own;
}

/* What was printed, or why it was not. The parser has limits that JSON has not: it reads large integers as doubles only, and no NUL in
 * a key. */
static void check(struct buffer *out, const char *why)
{
    json_error_t error;
    json_t *json;

    if (why != NULL) {
        must(why[0] != '\0');
    } else {
        json = json_loadb((const char *)out->bytes, out->size, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);
        must(json != NULL || json_error_code(&error) == json_error_null_byte_in_key);
        json_decref(json);
    }
    buffer_deinit(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct buffer out = {0};
    size_t document_size;
    uint8_t *document;
    uint8_t *diffs;

    if (size < 2) {
        return 0;
    }
    document_size = (size_t)bytes[0] << 8 | bytes[1];
    document_size = document_size < size - 2 ? document_size : size - 2;
    document = copy(bytes + 2, document_size);
    check(&out, jsonb_print(document, document_size, &out));
    size -= 2 + document_size;
    diffs = copy(bytes + 2 + document_size, size);
    if (size > 0) {
        check(&out, jsonb_diff_print(document, document_size, diffs, size, &out));
    }
    free(document);
    free(diffs);
    return 0;
}
