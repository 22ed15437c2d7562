/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One text has one meaning, and one meaning one text: what was parsed and is printed again must be the same bytes. That is how
 * parsing refuses leading zeros, further blanks and words of another time, without a rule for each.
 */
#include "workers/bigquery/mark.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/must.h"

#define TABLE_DIGITS (MARK_TABLE_SIZE - 1)

/* ---- out */

static const char *or_none(const char *word)
{
    return word[0] != '\0' ? word : "-";
}

static void print_append(struct buffer *out, const struct mark_append *append)
{
    buffer_printf(out, "%s %" PRId64, or_none(append->stream), append->row);
    for (size_t i = 0; i < append->request_count; i++) {
        const struct mark_request *request = &append->requests[i];

        buffer_printf(out, " %" PRId64 "+%" PRId64 "@%" PRId32 ".%" PRId64 ".%" PRId64, request->end, request->rows, request->day,
                      request->seq, request->idx);
    }
}

void mark_print(const struct mark *mark, char text[MARK_SIZE])
{
    struct buffer out = {0};

    buffer_printf(&out, "v1 %s %s ", mark->kind == MARK_LOAD ? "load" : "append", or_none(mark->table));
    if (mark->kind == MARK_LOAD) {
        buffer_printf(&out, "%s %s %" PRId64, mark->load.job, mark->load.location, mark->load.end);
    } else {
        print_append(&out, &mark->append);
    }
    must(out.size < MARK_SIZE);
    memcpy(text, buffer_text(&out), out.size + 1);
    buffer_deinit(&out);
}

/* ---- in: a cursor that stays bad once it is */

struct words {
    const char *at; /* NULL: bad */
};

static void take_text(struct words *words, const char *text)
{
    size_t size = strlen(text);

    if (words->at != NULL) {
        words->at = strncmp(words->at, text, size) == 0 ? words->at + size : NULL;
    }
}

/* Up to a blank or the end; "-" is the empty one. */
static void take_word(struct words *words, char *ret_word, size_t word_size)
{
    size_t size = words->at != NULL ? strcspn(words->at, " ") : 0;

    ret_word[0] = '\0';
    if (size == 0 || size >= word_size) {
        words->at = NULL;
        return;
    }
    if (size != 1 || words->at[0] != '-') {
        memcpy(ret_word, words->at, size);
        ret_word[size] = '\0';
    }
    words->at += size;
}

static int64_t take_number(struct words *words)
{
    char *end = NULL;
    int64_t number;

    if (words->at == NULL) {
        return 0;
    }
    errno = 0;
    number = strtoll(words->at, &end, 10);
    words->at = errno == 0 && end != words->at ? end : NULL;
    return number;
}

static void take_request(struct words *words, struct mark_request *ret_request)
{
    int64_t day;

    take_text(words, " ");
    ret_request->end = take_number(words);
    take_text(words, "+");
    ret_request->rows = take_number(words);
    take_text(words, "@");
    day = take_number(words);
    take_text(words, ".");
    ret_request->seq = take_number(words);
    take_text(words, ".");
    ret_request->idx = take_number(words);
    ret_request->day = (int32_t)day;
    if (day < INT32_MIN || day > INT32_MAX) {
        words->at = NULL;
    }
}

static void take_append(struct words *words, struct mark_append *append)
{
    take_word(words, append->stream, sizeof append->stream);
    take_text(words, " ");
    append->row = take_number(words);
    while (words->at != NULL && words->at[0] != '\0' && append->request_count < MARK_REQUESTS_MAX) {
        take_request(words, &append->requests[append->request_count++]);
    }
}

static void take_load(struct words *words, struct mark_load *load)
{
    take_word(words, load->job, sizeof load->job);
    take_text(words, " ");
    take_word(words, load->location, sizeof load->location);
    take_text(words, " ");
    load->end = take_number(words);
}

static void take_mark(struct words *words, struct mark *mark)
{
    bool load = strncmp(words->at, "v1 load ", 8) == 0;

    take_text(words, load ? "v1 load " : "v1 append ");
    take_word(words, mark->table, sizeof mark->table);
    take_text(words, " ");
    if (load) {
        mark->kind = MARK_LOAD;
        take_load(words, &mark->load);
    } else {
        take_append(words, &mark->append);
    }
    if (words->at != NULL && words->at[0] != '\0') {
        words->at = NULL;
    }
}

/* ---- what was read must make sense */

static bool is_printable(const char *word)
{
    for (const char *at = word; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~') {
            return false;
        }
    }
    return true;
}

static bool is_sound_append(const struct mark_append *append, const char *table)
{
    int64_t end = -1;

    if (append->stream[0] == '\0') {
        return append->row == 0 && append->request_count == 0;
    }
    for (size_t i = 0; i < append->request_count; i++) {
        if (append->requests[i].rows < 1 || append->requests[i].rows > INT32_MAX || append->requests[i].end <= end) {
            return false;
        }
        end = append->requests[i].end;
    }
    return append->row >= 0 && table[0] != '\0' && is_printable(append->stream);
}

static bool is_sound(const struct mark *mark)
{
    size_t digits = strspn(mark->table, "0123456789abcdef");

    if (mark->table[0] != '\0' && (digits != TABLE_DIGITS || mark->table[digits] != '\0')) {
        return false;
    }
    if (mark->kind == MARK_APPEND) {
        return is_sound_append(&mark->append, mark->table);
    }
    return mark->table[0] != '\0' && mark->load.job[0] != '\0' && mark->load.location[0] != '\0' && mark->load.end > 0 &&
           is_printable(mark->load.job) && is_printable(mark->load.location);
}

/* What of a foreign text may stand in an error. */
static void clean(const char *text, char shown[65])
{
    size_t size = 0;

    for (; text[size] != '\0' && size < 64; size++) {
        shown[size] = '?';
        if (text[size] >= ' ' && text[size] <= '~') {
            shown[size] = text[size];
        }
    }
    shown[size] = '\0';
}

static int refuse(const char *text, struct err *err)
{
    char shown[65];

    clean(text, shown);
    if (text[0] == '\0') {
        return err_set(err, ERR_FATAL,
                       "the group's commit holds an offset, but nothing of what this program writes beside it: a tool has set it. What is in "
                       "the history is not known then. Write the topic into a new history (another worker.group and table name), or restore "
                       "the group's commits");
    }
    if (text[0] == 'v' && strncmp(text, "v1 ", 3) != 0) {
        return err_set(err, ERR_FATAL, "the group's commit says \"%s\": of a newer release than this one? Run that one", shown);
    }
    return err_set(err, ERR_FATAL,
                   "the group's commit says \"%s\", which this program does not write: is the group another program's? What is in the history "
                   "is not known",
                   shown);
}

int mark_parse(const char *text, struct mark *ret_mark, struct err *err)
{
    struct words words = {.at = text};
    char again[MARK_SIZE];

    *ret_mark = (struct mark){.kind = MARK_APPEND};
    if (strlen(text) >= MARK_SIZE) {
        return refuse(text, err);
    }
    take_mark(&words, ret_mark);
    if (words.at == NULL || !is_sound(ret_mark)) {
        return refuse(text, err);
    }
    mark_print(ret_mark, again);
    return strcmp(text, again) == 0 ? 0 : refuse(text, err);
}

int mark_check_word(const char *word, size_t size, const char *what, struct err *err)
{
    size_t length = strlen(word);

    if (length == 0 || length >= size || strcmp(word, "-") == 0 || !is_printable(word)) {
        return err_set(err, ERR_FATAL, "BigQuery named a %s of %zu characters that a commit can't hold (up to %zu, no blank)", what, length,
                       size - 1);
    }
    return 0;
}
