/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   canonical request = method \n path \n query \n (name:value \n)* \n signed names \n hex(sha256(body))
 *   string to sign    = "AWS4-HMAC-SHA256" \n date \n scope \n hex(sha256(canonical request))
 *   scope             = yyyymmdd/region/service/aws4_request
 *   key               = HMAC(HMAC(HMAC(HMAC("AWS4" secret, yyyymmdd), region), service), "aws4_request")
 *
 * Query: parameters sorted by name, then value, each with "=". Headers: names in lower case, sorted; values without blanks
 * around them, runs of blanks inside as one; values of one name in their order, with a comma between.
 *
 * Absent: encoding of paths and queries. Both must be percent-encoded as they are sent. "/../" in a path is not resolved.
 */
#include "workers/bigquery/aws_sigv4.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

#define HASH_SIZE 32
#define DAY_SIZE  8 /* of a date */

static void append_hex(struct buffer *out, const uint8_t *bytes)
{
    for (size_t index = 0; index < HASH_SIZE; index++) {
        buffer_printf(out, "%02x", bytes[index]);
    }
}

static void append_hash(struct buffer *out, const void *bytes, size_t size)
{
    uint8_t hash[HASH_SIZE];

    must(EVP_Digest(bytes != NULL ? bytes : "", size, hash, NULL, EVP_sha256(), NULL) == 1);
    append_hex(out, hash);
}

/* ---- canonical query */

struct piece {
    const char *text;
    size_t name_size;
    size_t size;
};

static int compare_bytes(const char *a, size_t a_size, const char *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);

    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

static int compare_pieces(const void *left, const void *right)
{
    const struct piece *a = left;
    const struct piece *b = right;
    int order = compare_bytes(a->text, a->name_size, b->text, b->name_size);

    return order != 0
               ? order
               : compare_bytes(a->text + a->name_size, a->size - a->name_size, b->text + b->name_size, b->size - b->name_size);
}

static void append_query(const char *query, struct buffer *out)
{
    struct piece pieces[AWS_SIGV4_QUERY_MAX];
    size_t count = 0;

    while (*query != '\0') {
        size_t size = strcspn(query, "&");
        size_t name_size = strcspn(query, "=&");

        must(count < AWS_SIGV4_QUERY_MAX);
        pieces[count++] = (struct piece){query, name_size, size};
        query += size + (query[size] == '&' ? 1 : 0);
    }
    qsort(pieces, count, sizeof pieces[0], compare_pieces);
    for (size_t index = 0; index < count; index++) {
        buffer_printf(out, "%s%.*s%s", index > 0 ? "&" : "", (int)pieces[index].size, pieces[index].text,
                      pieces[index].size == pieces[index].name_size ? "=" : "");
    }
}

/* ---- canonical headers */

/* The index keeps headers of one name in their order. */
struct name {
    const struct http_header *header;
    size_t index;
};

static int compare_names(const void *left, const void *right)
{
    const struct name *a = left;
    const struct name *b = right;
    int order = strcasecmp(a->header->name, b->header->name);

    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

static size_t sort_headers(const struct aws_sigv4_request *request, struct name names[AWS_SIGV4_HEADERS_MAX])
{
    must(request->header_count <= AWS_SIGV4_HEADERS_MAX);
    for (size_t index = 0; index < request->header_count; index++) {
        names[index] = (struct name){&request->headers[index], index};
    }
    qsort(names, request->header_count, sizeof names[0], compare_names);
    return request->header_count;
}

static bool repeats(const struct name *names, size_t index)
{
    return index > 0 && strcasecmp(names[index].header->name, names[index - 1].header->name) == 0;
}

static void append_lower(struct buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        buffer_append_byte(out, (uint8_t)tolower((unsigned char)*text));
    }
}

static void append_trimmed(struct buffer *out, const char *value)
{
    bool blank = false;

    value += strspn(value, " \t");
    for (; *value != '\0'; value++) {
        if (*value == ' ' || *value == '\t') {
            blank = true;
            continue;
        }
        if (blank) {
            buffer_append_byte(out, ' ');
        }
        blank = false;
        buffer_append_byte(out, (uint8_t)*value);
    }
}

static void append_headers(const struct aws_sigv4_request *request, struct buffer *out)
{
    struct name names[AWS_SIGV4_HEADERS_MAX];
    size_t count = sort_headers(request, names);

    for (size_t index = 0; index < count; index++) {
        if (repeats(names, index)) {
            buffer_append_byte(out, ',');
        } else {
            buffer_append_text(out, index > 0 ? "\n" : "");
            append_lower(out, names[index].header->name);
            buffer_append_byte(out, ':');
        }
        append_trimmed(out, names[index].header->value);
    }
    buffer_append_byte(out, '\n');
}

static void append_signed_names(const struct aws_sigv4_request *request, struct buffer *out)
{
    struct name names[AWS_SIGV4_HEADERS_MAX];
    size_t count = sort_headers(request, names);

    for (size_t index = 0; index < count; index++) {
        if (!repeats(names, index)) {
            buffer_append_text(out, index > 0 ? ";" : "");
            append_lower(out, names[index].header->name);
        }
    }
}

/* ---- the stages */

void aws_sigv4_date(time_t now, char date[AWS_SIGV4_DATE_SIZE])
{
    struct tm tm;

    must(gmtime_r(&now, &tm) != NULL);
    must(strftime(date, AWS_SIGV4_DATE_SIZE, "%Y%m%dT%H%M%SZ", &tm) == AWS_SIGV4_DATE_SIZE - 1);
}

void aws_sigv4_canonical_request(const struct aws_sigv4_request *request, struct buffer *out)
{
    buffer_printf(out, "%s\n%s\n", request->method, request->path[0] != '\0' ? request->path : "/");
    append_query(request->query, out);
    buffer_append_byte(out, '\n');
    append_headers(request, out);
    buffer_append_byte(out, '\n');
    append_signed_names(request, out);
    buffer_append_byte(out, '\n');
    append_hash(out, request->body, request->body_size);
}

static void append_scope(const struct aws_sigv4_request *request, struct buffer *out)
{
    buffer_printf(out, "%.*s/%s/%s/aws4_request", DAY_SIZE, request->date, request->region, request->service);
}

void aws_sigv4_string_to_sign(const struct aws_sigv4_request *request, struct buffer *out)
{
    struct buffer canonical = {0};

    aws_sigv4_canonical_request(request, &canonical);
    buffer_printf(out, "AWS4-HMAC-SHA256\n%s\n", request->date);
    append_scope(request, out);
    buffer_append_byte(out, '\n');
    append_hash(out, canonical.bytes, canonical.size);
    explicit_bzero(canonical.bytes, canonical.size); /* the session token is in it */
    buffer_deinit(&canonical);
}

static void mac(const uint8_t *key, size_t key_size, const void *bytes, size_t size, uint8_t out[HASH_SIZE])
{
    uint8_t result[HASH_SIZE]; /* key may be out */

    must(HMAC(EVP_sha256(), key, (int)key_size, bytes, size, result, NULL) != NULL);
    memcpy(out, result, HASH_SIZE);
    explicit_bzero(result, sizeof result);
}

static void derive_key(const char *secret, const struct aws_sigv4_request *request, uint8_t key[HASH_SIZE])
{
    struct buffer first = {0};

    (void)buffer_reserve(&first, strlen(secret) + 5);
    buffer_append_text(&first, "AWS4");
    buffer_append_text(&first, secret);
    mac(first.bytes, first.size, request->date, DAY_SIZE, key);
    mac(key, HASH_SIZE, request->region, strlen(request->region), key);
    mac(key, HASH_SIZE, request->service, strlen(request->service), key);
    mac(key, HASH_SIZE, "aws4_request", strlen("aws4_request"), key);
    explicit_bzero(first.bytes, first.size);
    buffer_deinit(&first);
}

void aws_sigv4_sign(const char *key_id, const char *secret, const struct aws_sigv4_request *request,
                    struct buffer *authorization)
{
    struct buffer text = {0};
    uint8_t key[HASH_SIZE];
    uint8_t signature[HASH_SIZE];

    must(strlen(request->date) == AWS_SIGV4_DATE_SIZE - 1);
    aws_sigv4_string_to_sign(request, &text);
    derive_key(secret, request, key);
    mac(key, sizeof key, text.bytes, text.size, signature);
    buffer_printf(authorization, "AWS4-HMAC-SHA256 Credential=%s/", key_id);
    append_scope(request, authorization);
    buffer_append_text(authorization, ", SignedHeaders=");
    append_signed_names(request, authorization);
    buffer_append_text(authorization, ", Signature=");
    append_hex(authorization, signature);
    explicit_bzero(key, sizeof key);
    buffer_deinit(&text);
}
