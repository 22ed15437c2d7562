/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aws_sigv4: AWS Signature Version 4 of a request, in its Authorization header ("Signature Version 4 signing process" in the
 * AWS general reference). Pure but for OpenSSL.
 *
 * libcurl's own signer (7.88) signs unsorted queries and some headers wrongly.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_AWS_SIGV4_H
#define KAKEHI_WORKERS_BIGQUERY_AWS_SIGV4_H

#include <stddef.h>
#include <time.h>

#include "common/buffer.h"
#include "common/http.h"

#define AWS_SIGV4_HEADERS_MAX 16
#define AWS_SIGV4_QUERY_MAX   32
#define AWS_SIGV4_DATE_SIZE   17 /* "20150830T123600Z" */

struct aws_sigv4_request {
    const char *method;
    const char *path;                  /* percent-encoded once, as sent; "": "/" */
    const char *query;                 /* as sent, without "?"; "": none */
    const struct http_header *headers; /* all of them are signed; host and x-amz-date are among them; names in any case */
    size_t header_count;               /* at most AWS_SIGV4_HEADERS_MAX */
    const void *body;
    size_t body_size;
    const char *date; /* the value of x-amz-date */
    const char *region;
    const char *service; /* "sts" */
};

void aws_sigv4_date(time_t now, char date[AWS_SIGV4_DATE_SIZE]);

/* Appends the value of Authorization. */
void aws_sigv4_sign(const char *key_id, const char *secret, const struct aws_sigv4_request *request,
                    struct buffer *authorization);

/* The first two stages, for tests against AWS's published examples. */
void aws_sigv4_canonical_request(const struct aws_sigv4_request *request, struct buffer *out);
void aws_sigv4_string_to_sign(const struct aws_sigv4_request *request, struct buffer *out);

#endif
