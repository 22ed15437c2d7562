/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three documents of gRPC decide here: PROTOCOL-HTTP2.md (trailers, percent-encoding, RST_STREAM's codes),
 * http-grpc-status-mapping.md (answers of what is no gRPC server, such as a proxy), statuscodes.md.
 *
 * The first thing that settles the status is the status: an answer that is broken stays broken whatever its trailers say.
 */
#include "workers/bigquery/grpc_answer.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/http2.h"

static const char *const names[] = {
    "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
};

#define CODE_COUNT ((int)(sizeof names / sizeof *names))

const char *grpc_code_name(int code)
{
    static char text[32];

    if (code >= 0 && code < CODE_COUNT) {
        return names[code];
    }
    (void)snprintf(text, sizeof text, "code %d", code);
    return text;
}

/* PROTOCOL-HTTP2.md, "Errors"; what it does not name is UNKNOWN. */
static enum grpc_code code_of_reset(uint32_t http2_code)
{
    switch (http2_code) {
    case HTTP2_NO_ERROR:
    case HTTP2_PROTOCOL_ERROR:
    case HTTP2_INTERNAL_ERROR:
    case HTTP2_FLOW_CONTROL_ERROR:
    case HTTP2_SETTINGS_TIMEOUT:
    case HTTP2_FRAME_SIZE_ERROR:
    case HTTP2_COMPRESSION_ERROR:
    case HTTP2_CONNECT_ERROR:
        return GRPC_INTERNAL;
    case HTTP2_REFUSED_STREAM:
        return GRPC_UNAVAILABLE;
    case HTTP2_CANCEL:
        return GRPC_CANCELLED;
    case HTTP2_ENHANCE_YOUR_CALM:
        return GRPC_RESOURCE_EXHAUSTED;
    case HTTP2_INADEQUATE_SECURITY:
        return GRPC_PERMISSION_DENIED;
    default:
        return GRPC_UNKNOWN;
    }
}

/* http-grpc-status-mapping.md. */
static enum grpc_code code_of_http(int status)
{
    switch (status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

/* ---- values of headers */

/* At most three digits; -1: no number. */
static int small_number(const char *text, size_t size)
{
    int number = 0;

    if (size == 0 || size > 3) {
        return -1;
    }
    for (size_t at = 0; at < size; at++) {
        if (text[at] < '0' || text[at] > '9') {
            return -1;
        }
        number = number * 10 + (text[at] - '0');
    }
    return number;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What is not encoded rightly is taken as it is (so the document wants it), but for NUL, which would end our text. */
static void decode_percent(const char *text, size_t size, struct buffer *out)
{
    for (size_t at = 0; at < size && out->size < GRPC_STATUS_TEXT_BYTES_MAX; at++) {
        uint8_t byte = (uint8_t)text[at];

        if (byte == '%' && size - at > 2 && hex_digit(text[at + 1]) >= 0 && hex_digit(text[at + 2]) >= 0) {
            byte = (uint8_t)(hex_digit(text[at + 1]) << 4 | hex_digit(text[at + 2]));
            at += 2;
        }
        buffer_append_byte(out, byte != 0 ? byte : '?');
    }
}

/* Padding may be missing ("-bin" headers); what is no base64 gives nothing. */
static void decode_base64(const char *text, size_t size, struct buffer *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct buffer padded = {0};
    size_t padding;
    int count;

    while (size > 0 && text[size - 1] == '=') {
        size--;
    }
    padding = (4 - size % 4) % 4;
    if (size == 0 || padding == 3) {
        return;
    }
    buffer_append(&padded, text, size);
    if (strspn(buffer_text(&padded), alphabet) < size) { /* OpenSSL takes a '=' anywhere for an 'A' */
        buffer_deinit(&padded);
        return;
    }
    buffer_append(&padded, "==", padding);
    count = EVP_DecodeBlock(buffer_reserve(out, padded.size / 4 * 3), padded.bytes, (int)padded.size);
    out->size = count > (int)padding ? (size_t)count - padding : 0;
    buffer_deinit(&padded);
}

static bool is_grpc_type(const char *value, size_t size)
{
    static const char type[] = "application/grpc";
    size_t type_size = sizeof type - 1;

    return size >= type_size && memcmp(value, type, type_size) == 0 &&
           (size == type_size || value[type_size] == '+' || value[type_size] == ';');
}

/* ---- the answer */

void grpc_answer_init(struct grpc_answer *answer, void (*message)(void *context, const uint8_t *message, size_t size),
                      void *context)
{
    *answer = (struct grpc_answer){._reader = {.message = message, .context = context}, ._grpc_status = -1};
}

void grpc_answer_deinit(struct grpc_answer *answer)
{
    grpc_reader_deinit(&answer->_reader);
    buffer_deinit(&answer->_text);
    buffer_deinit(&answer->_details);
}

static void take_status(struct grpc_answer *answer, const char *value, size_t size)
{
    int code = small_number(value, size);

    answer->_grpc_status = code >= 0 && code < CODE_COUNT ? code : GRPC_UNKNOWN;
}

static void take_type(struct grpc_answer *answer, const char *value, size_t size)
{
    answer->_grpc = is_grpc_type(value, size);
    (void)snprintf(answer->_type, sizeof answer->_type, "%.*s", (int)(size < 64 ? size : 64), value);
}

/* Of a message or details that are repeated the first counts: so their size is bounded by one header's. */
void grpc_answer_header(struct grpc_answer *answer, const char *name, const char *value, size_t value_size)
{
    if (answer->_settled) {
        return;
    }
    if (strcmp(name, ":status") == 0) {
        answer->_http_status = small_number(value, value_size);
    } else if (strcmp(name, "content-type") == 0) {
        take_type(answer, value, value_size);
    } else if (strcmp(name, "grpc-encoding") == 0) {
        answer->_reader.gzip = value_size == 4 && memcmp(value, "gzip", 4) == 0;
    } else if (strcmp(name, "grpc-status") == 0) {
        take_status(answer, value, value_size);
    } else if (strcmp(name, "grpc-message") == 0 && answer->_text.size == 0) {
        decode_percent(value, value_size, &answer->_text);
    } else if (strcmp(name, "grpc-status-details-bin") == 0 && answer->_details.size == 0) {
        decode_base64(value, value_size, &answer->_details);
    }
}

static void settle_as_no_grpc(struct grpc_answer *answer)
{
    if (answer->_http_status != 200) {
        grpc_answer_settle(answer, code_of_http(answer->_http_status), "the answer is no gRPC: HTTP status %d",
                           answer->_http_status);
    } else {
        grpc_answer_settle(answer, GRPC_UNKNOWN, "the answer is no gRPC: content-type \"%s\"", answer->_type);
    }
}

void grpc_answer_data(struct grpc_answer *answer, const uint8_t *bytes, size_t size)
{
    struct err err = {0};
    enum grpc_code code;

    if (answer->_settled) {
        return;
    }
    if (answer->_http_status != 200 || !answer->_grpc) {
        settle_as_no_grpc(answer);
        return;
    }
    code = grpc_reader_feed(&answer->_reader, bytes, size, &err);
    if (code != GRPC_OK) {
        grpc_answer_settle(answer, code, "%s", err.text);
    }
}

void grpc_answer_end(struct grpc_answer *answer)
{
    if (answer->_settled) {
        return;
    }
    if (answer->_grpc_status == GRPC_OK && grpc_reader_inside(&answer->_reader)) {
        grpc_answer_settle(answer, GRPC_INTERNAL, "the server ended the call within a message");
    } else if (answer->_grpc_status >= 0) {
        answer->_settled = true;
        answer->_server = true;
        answer->_code = answer->_grpc_status;
    } else if (answer->_http_status != 200 || !answer->_grpc) {
        settle_as_no_grpc(answer);
    } else {
        grpc_answer_settle(answer, GRPC_UNKNOWN, "the server ended the call without a status");
    }
}

void grpc_answer_reset(struct grpc_answer *answer, uint32_t http2_code)
{
    grpc_answer_settle(answer, code_of_reset(http2_code), "the server reset the stream: %s", http2_code_name(http2_code));
}

void grpc_answer_settle(struct grpc_answer *answer, enum grpc_code code, const char *format, ...)
{
    char text[600];
    va_list list;

    if (answer->_settled) {
        return;
    }
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    answer->_settled = true;
    answer->_server = false;
    answer->_code = code;
    buffer_clear(&answer->_details);
    buffer_clear(&answer->_text);
    buffer_append_text(&answer->_text, text);
}

bool grpc_answer_settled(const struct grpc_answer *answer)
{
    return answer->_settled;
}

void grpc_answer_status(struct grpc_answer *answer, struct grpc_status *ret_status)
{
    must(answer->_settled);
    *ret_status = (struct grpc_status){.code = answer->_code,
                                       .message = buffer_text(&answer->_text),
                                       .details = answer->_details.size > 0 ? answer->_details.bytes : NULL,
                                       .details_size = answer->_details.size,
                                       .server = answer->_server};
}
