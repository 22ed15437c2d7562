/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer of a Google API means for the next step. Pure.
 *
 * BigQuery speaks the older form, other APIs the newer one (google.rpc.Status); both stand in one object:
 *
 *   {"error": {"code": 403, "message": "...", "status": "PERMISSION_DENIED",
 *              "errors":  [{"reason": "rateLimitExceeded", ...}],
 *              "details": [{"reason": "SERVICE_DISABLED", ...}]}}
 *
 * The word is errors[0].reason, else the first details[].reason, else status. The word decides where it is known, since the
 * same status stands for "later" and "never": 403 rateLimitExceeded and 403 accessDenied. Else the status decides.
 *
 * | status                  | class     | may the server have acted? |
 * | 2xx that is no JSON     | RETRY     | yes                        |
 * | 401                     | AUTH      | no                         |
 * | 403                     | DENIED    | no                         |
 * | 404                     | NOT_FOUND | no                         |
 * | 409, 412                | CONFLICT  | no                         |
 * | 429                     | RETRY     | no                         |
 * | 408, 5xx but 501, 505   | RETRY     | yes                        |
 * | other                   | INVALID   | no                         |
 *
 * The server's message goes into the text: cut, and without control characters. It names resources and permissions.
 */
#include "workers/bigquery/rest.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MESSAGE_SIZE 320

/* Words that say "later", whatever the status. */
static const char *const later[] = {
    "rateLimitExceeded",   "userRateLimitExceeded", "jobRateLimitExceeded", "quotaExceeded",
    "RATE_LIMIT_EXCEEDED", "backendError",          "jobBackendError",      "internalError",
    "jobInternalError",    "tableUnavailable",      "RESOURCE_EXHAUSTED",
};

static bool means_later(const char *reason)
{
    for (size_t index = 0; index < sizeof later / sizeof later[0]; index++) {
        if (strcmp(later[index], reason) == 0) {
            return true;
        }
    }
    return false;
}

static bool means_broken(int status)
{
    return status == 408 || (status >= 500 && status != 501 && status != 505);
}

static enum rest_class class_of_status(int status)
{
    switch (status) {
    case 401:
        return REST_AUTH;
    case 403:
        return REST_DENIED;
    case 404:
        return REST_NOT_FOUND;
    case 409:
    case 412:
        return REST_CONFLICT;
    case 429:
        return REST_RETRY;
    default:
        return means_broken(status) || (status >= 200 && status < 300) ? REST_RETRY : REST_INVALID;
    }
}

static enum err_class err_class_of(enum rest_class class)
{
    static const enum err_class classes[] = {
        [REST_RETRY] = ERR_RETRY,  [REST_AUTH] = ERR_FATAL,     [REST_CONFLICT] = ERR_POISON,   [REST_NOT_FOUND] = ERR_POISON,
        [REST_DENIED] = ERR_FATAL, [REST_INVALID] = ERR_POISON, [REST_CANCELED] = ERR_CANCELED,
    };

    return classes[class];
}

/* Cut to size, control characters as blanks. */
static void copy_clean(const char *text, char *out, size_t size)
{
    size_t used = 0;

    for (; text != NULL && *text != '\0' && used + 1 < size; text++) {
        out[used++] = iscntrl((unsigned char)*text) != 0 ? ' ' : *text;
    }
    out[used] = '\0';
}

static const char *first_reason(const json_t *list)
{
    const json_t *item;
    size_t index;

    json_array_foreach(list, index, item)
    {
        const char *reason = json_string_value(json_object_get(item, "reason"));

        if (reason != NULL) {
            return reason;
        }
    }
    return NULL;
}

static void read_body(const struct http_answer *answer, char *message, struct rest_error *error)
{
    json_t *root = json_loadb(answer->body, answer->body_size, 0, NULL);
    const json_t *object = json_object_get(root, "error");
    const char *reason = first_reason(json_object_get(object, "errors"));

    reason = reason != NULL ? reason : first_reason(json_object_get(object, "details"));
    reason = reason != NULL ? reason : json_string_value(json_object_get(object, "status"));
    copy_clean(reason, error->reason, sizeof error->reason);
    copy_clean(json_string_value(json_object_get(object, "message")), message, MESSAGE_SIZE);
    json_decref(root);
}

static const char *advice(const struct rest_error *error)
{
    if (error->class == REST_AUTH) {
        return " (the credentials are known to Google, but not taken here)";
    }
    if (error->status >= 300 && error->status < 400) {
        return " (a redirect: is the endpoint right?)";
    }
    return error->status >= 200 && error->status < 300 ? " (the answer is not a JSON object)" : "";
}

static void read_status(const struct http_answer *answer, const char *doing, struct rest_error *error)
{
    char message[MESSAGE_SIZE];

    error->status = answer->status;
    read_body(answer, message, error);
    error->class = means_later(error->reason) ? REST_RETRY : class_of_status(answer->status);
    error->unclear = error->class == REST_RETRY && answer->status != 429 &&
                     (answer->status < 300 || answer->status >= 500 || answer->status == 408);
    (void)err_set(&error->err, err_class_of(error->class), "%s: HTTP %d%s%s%s%s%s", doing, error->status,
                  error->reason[0] != '\0' ? " " : "", error->reason, message[0] != '\0' ? ": " : "", message, advice(error));
}

static void read_failure(const struct http_answer *answer, const char *doing, struct rest_error *error)
{
    static const enum rest_class classes[] = {
        [ERR_NONE] = REST_RETRY,   [ERR_RETRY] = REST_RETRY,       [ERR_POISON] = REST_INVALID,
        [ERR_FATAL] = REST_DENIED, [ERR_CANCELED] = REST_CANCELED,
    };

    error->class = classes[answer->err->class];
    error->unclear = answer->sent;
    error->err = *answer->err;
    (void)err_while(&error->err, "%s", doing);
}

void rest_error_read(const struct http_answer *answer, const char *doing, struct rest_error *error)
{
    *error = (struct rest_error){0};
    if (answer->err != NULL) {
        read_failure(answer, doing, error);
    } else {
        read_status(answer, doing, error);
    }
}

static bool read_date(const char *text, int64_t *ret_s)
{
    struct tm when = {0};
    const char *end = text != NULL ? strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &when) : NULL;

    *ret_s = end != NULL ? (int64_t)timegm(&when) : 0;
    return end != NULL && *end == '\0';
}

int64_t rest_time_s(const struct http_answer *answer)
{
    int64_t time_s;

    return read_date(http_answer_header(answer, "Date"), &time_s) ? time_s : (int64_t)time(NULL);
}

uint64_t rest_retry_after_ms(const struct http_answer *answer)
{
    const char *text = http_answer_header(answer, "Retry-After");
    char *end = NULL;
    int64_t when_s;
    long long wait_s;

    if (text == NULL || text[0] == '\0') {
        return 0;
    }
    wait_s = strtoll(text, &end, 10);
    if (*end != '\0') {
        wait_s = read_date(text, &when_s) ? when_s - rest_time_s(answer) : 0;
    }
    if (wait_s <= 0) {
        return 0;
    }
    return wait_s < REST_RETRY_AFTER_MS_MAX / 1000 ? (uint64_t)wait_s * 1000 : REST_RETRY_AFTER_MS_MAX;
}

void rest_append_encoded(struct buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("-._~", c) != NULL) {
            buffer_append_byte(out, c);
        } else {
            buffer_printf(out, "%%%02X", c);
        }
    }
}
