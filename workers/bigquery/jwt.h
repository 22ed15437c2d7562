/* SPDX-License-Identifier: Apache-2.0 */
/* jwt: signed JSON Web Tokens (RFC 7519) by RS256 (RFC 7515, 7518 section 3.3). Pure but for OpenSSL. */
#ifndef KAKEHI_WORKERS_BIGQUERY_JWT_H
#define KAKEHI_WORKERS_BIGQUERY_JWT_H

#include <openssl/evp.h>

#include "common/buffer.h"
#include "common/err.h"

/* Appends header.claims.signature. claims: a JSON object's text. key_id: NULL: none is named. */
int jwt_sign(EVP_PKEY *key, const char *key_id, const char *claims, struct buffer *out, struct err *err) MUST_CHECK;

/* base64 for URLs, without padding (RFC 4648 section 5). */
void jwt_append_base64url(struct buffer *out, const void *bytes, size_t size);

#endif
