/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error answers of REST calls: whatever a server says is read into an error whose class fits, with a text of one printable
 * line. Input: two bytes of status, one for the size of a Retry-After header, that header, the body. An odd status has the same text as
 * its Date, by which a Retry-After that is a date is read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/rest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *retry_after;
static const char *date;

/* In the place of common/http.c's. */
const char *http_answer_header(const struct http_answer *answer, const char *name)
{
    (void)answer;
    must(strcmp(name, "Retry-After") == 0 || strcmp(name, "Date") == 0);
    return strcmp(name, "Date") == 0 ? date : retry_after;
}

static char *text_of(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    must(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

static void check_line(const char *text, size_t size)
{
    must(strlen(text) < size);
    for (; *text != '\0'; text++) {
        must((unsigned char)*text >= ' ' && *text != 0x7f);
    }
}

static void check(const struct rest_error *error)
{
    static const enum err_class classes[] = {
        [REST_RETRY] = ERR_RETRY,  [REST_AUTH] = ERR_FATAL,     [REST_CONFLICT] = ERR_POISON,  [REST_NOT_FOUND] = ERR_POISON,
        [REST_DENIED] = ERR_FATAL, [REST_INVALID] = ERR_POISON, [REST_CANCELED] = ERR_CANCELED};

    must(error->class <= REST_INVALID && error->err.class == classes[error->class]);
    must(!error->unclear || error->class == REST_RETRY); /* what stays was refused, and so not acted on */
    must(error->status != 409 || error->class == REST_CONFLICT || error->class == REST_RETRY);
    check_line(error->reason, sizeof error->reason);
    check_line(error->err.text, sizeof error->err.text);
    must(strncmp(error->err.text, "GET /x: HTTP ", 13) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_answer answer = {0};
    struct rest_error error;
    size_t header_size;
    char *header;
    char *body;

    if (size < 3) {
        return 0;
    }
    header_size = data[2] < size - 3 ? data[2] : size - 3;
    header = text_of(data + 3, header_size);
    body = text_of(data + 3 + header_size, size - 3 - header_size);
    retry_after = header_size > 0 ? header : NULL;
    date = data[1] % 2 == 1 ? retry_after : NULL;
    answer.status = (data[0] << 8 | data[1]) % 1000;
    answer.body = body;
    answer.body_size = size - 3 - header_size;
    rest_error_read(&answer, "GET /x", &error);
    check(&error);
    must(rest_retry_after_ms(&answer) <= REST_RETRY_AFTER_MS_MAX);
    free(header);
    free(body);
    return 0;
}
