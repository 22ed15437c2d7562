/* SPDX-License-Identifier: Apache-2.0 */
/* The signed text is the first two parts with the dot between them, as they stand in the output. */
#include "workers/bigquery/jwt.h"

#include <jansson.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

void jwt_append_base64url(struct buffer *out, const void *bytes, size_t size)
{
    uint8_t *place = buffer_reserve(out, (size + 2) / 3 * 4 + 1);
    int written = EVP_EncodeBlock(place, bytes, (int)size);

    while (written > 0 && place[written - 1] == '=') {
        written--;
    }
    for (int index = 0; index < written; index++) {
        place[index] = place[index] == '+' ? '-' : place[index] == '/' ? '_' : place[index];
    }
    out->size += (size_t)written;
}

static void append_header(const char *key_id, struct buffer *out)
{
    json_t *header = json_pack("{s:s, s:s, s:s*}", "alg", "RS256", "typ", "JWT", "kid", key_id);
    char *text = json_dumps(header, JSON_COMPACT);

    must(text != NULL);
    jwt_append_base64url(out, text, strlen(text));
    free(text);
    json_decref(header);
}

int jwt_sign(EVP_PKEY *key, const char *key_id, const char *claims, struct buffer *out, struct err *err)
{
    size_t start = out->size;
    size_t size = (size_t)EVP_PKEY_get_size(key);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t *signature = malloc(size);
    int result = 0;

    must(context != NULL && signature != NULL);
    append_header(key_id, out);
    buffer_append_byte(out, '.');
    jwt_append_base64url(out, claims, strlen(claims));
    if (EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(context, signature, &size, out->bytes + start, out->size - start) != 1) {
        result = err_set(err, ERR_FATAL, "signing with the private key failed: is it an RSA key of 2048 bits or more?");
    } else {
        buffer_append_byte(out, '.');
        jwt_append_base64url(out, signature, size);
    }
    ERR_clear_error();
    EVP_MD_CTX_free(context);
    free(signature);
    return result;
}
