/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format of the fields is read here and not given to printf, for two reasons: a value must be quoted as a whole, in the way
 * of the line's format, and JSON wants numbers without quotes. So "rows=%zu" gives "rows":5, and "listen=%s:%d" one string.
 *
 * A value that would break its line is quoted even when it came by %s: a wrong %s must not forge a second line. Bytes that are
 * not UTF-8 become U+FFFD, so that every line is valid for whoever collects them. A value longer than VALUE_BYTES_MAX is cut.
 *
 * A line's kind, by which repetitions are known, is a hash of 64 bits over all of it that is no number. Two kinds that collide would
 * lose a first line, once in some 10^15 pairs.
 */
#include "common/log.h"

#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/fnv.h"
#include "common/log_repeats.h"
#include "common/must.h"
#include "common/utf8.h"

#define VALUE_BYTES_MAX 4096

static enum log_level level_now = LOG_INFO;
static enum log_format format_now = LOG_LOGFMT;
static _Atomic uint64_t counts[LOG_DEBUG + 1];

/* A line that is being made: all of it but the time. */
struct line {
    struct buffer text;
    uint64_t kind;
};

/* The format and its arguments, half read. */
struct reader {
    const char *at;
    va_list list;
};

/* One value, rendered; `quoted` and `number` say how it was asked for. */
struct value {
    struct buffer text;
    bool quoted;
    bool number;
};

void log_setup(enum log_level level, enum log_format format)
{
    level_now = level;
    format_now = format;
}

enum log_level log_level_get(void)
{
    return level_now;
}

/* A quoted string, escaped as JSON wants it; logfmt readers take the same. */
static void append_quoted(struct buffer *out, const uint8_t *text, size_t size)
{
    size_t index = 0;
    uint32_t ignored;

    buffer_append_byte(out, '"');
    while (index < size) {
        size_t character = utf8_decode((const char *)text + index, size - index, &ignored);

        if (character == 0) {
            buffer_append_text(out, "\xef\xbf\xbd");
            character = 1;
        } else if (text[index] == '"' || text[index] == '\\') {
            buffer_printf(out, "\\%c", text[index]);
        } else if (text[index] == '\n') {
            buffer_append_text(out, "\\n");
        } else if (text[index] < 0x20 || text[index] == 0x7f) {
            buffer_printf(out, "\\u%04x", text[index]);
        } else {
            buffer_append(out, text + index, character);
        }
        index += character;
    }
    buffer_append_byte(out, '"');
}

static long long take_signed(const char *length, va_list *list)
{
    return strcmp(length, "ll") == 0  ? va_arg(*list, long long)
           : strcmp(length, "l") == 0 ? va_arg(*list, long)
           : strcmp(length, "z") == 0 ? va_arg(*list, ssize_t)
                                      : va_arg(*list, int);
}

static unsigned long long take_unsigned(const char *length, va_list *list)
{
    return strcmp(length, "ll") == 0  ? va_arg(*list, unsigned long long)
           : strcmp(length, "l") == 0 ? va_arg(*list, unsigned long)
           : strcmp(length, "z") == 0 ? va_arg(*list, size_t)
                                      : va_arg(*list, unsigned);
}

static void append_text(struct buffer *out, const char *text)
{
    size_t size = text != NULL ? strlen(text) : 0;

    if (text == NULL) {
        buffer_append_text(out, "(none)");
    } else if (size > VALUE_BYTES_MAX) {
        buffer_append(out, text, VALUE_BYTES_MAX);
        buffer_append_text(out, "...");
    } else {
        buffer_append(out, text, size);
    }
}

/* Takes one conversion, from behind its '%'. */
static void read_conversion(struct reader *reader, struct value *value)
{
    char length[3] = "";
    int precision = 6;

    if (*reader->at == '.') {
        must(isdigit((unsigned char)reader->at[1]));
        precision = reader->at[1] - '0';
        reader->at += 2;
    }
    for (size_t index = 0; (*reader->at == 'l' || *reader->at == 'z') && index < 2; index++) {
        length[index] = *reader->at++;
    }
    switch (*reader->at++) {
    case 'd':
        buffer_printf(&value->text, "%lld", take_signed(length, &reader->list));
        value->number = true;
        break;
    case 'u':
        buffer_printf(&value->text, "%llu", take_unsigned(length, &reader->list));
        value->number = true;
        break;
    case 'f':
        buffer_printf(&value->text, "%.*f", precision, va_arg(reader->list, double));
        value->number = true;
        break;
    case 'q':
        value->quoted = true;
        append_text(&value->text, va_arg(reader->list, const char *));
        break;
    case 's':
        append_text(&value->text, va_arg(reader->list, const char *));
        break;
    default:
        must(false); /* log.h says which conversions there are */
    }
}

/* Takes what stands behind '=' up to a blank or the end. */
static void read_value(struct reader *reader, struct value *value)
{
    const char *start = reader->at;
    bool whole = *start == '%';

    while (*reader->at != '\0' && *reader->at != ' ') {
        if (*reader->at == '%') {
            whole = whole && reader->at == start;
            reader->at++;
            read_conversion(reader, value);
        } else {
            whole = false;
            buffer_append_byte(&value->text, (uint8_t)*reader->at++);
        }
    }
    /* "12" and "-0.5" are JSON numbers; "nan", "inf" and "3/4" are not. */
    value->number = value->number && whole && isdigit(value->text.bytes[value->text.bytes[0] == '-' ? 1 : 0]);
}

static bool needs_quotes(const struct buffer *text)
{
    for (size_t index = 0; index < text->size; index++) {
        if (text->bytes[index] <= ' ' || text->bytes[index] >= 0x7f || text->bytes[index] == '"' || text->bytes[index] == '=') {
            return true;
        }
    }
    return text->size == 0;
}

static void add_to_kind(struct line *line, const void *bytes, size_t size)
{
    static const uint8_t end = 0xff; /* no UTF-8 holds it */

    line->kind = fnv_add(fnv_add(line->kind, bytes, size), &end, 1);
}

static void append_field(struct line *line, const char *key, size_t key_size, const struct value *value)
{
    bool bare = format_now == LOG_JSON ? value->number : !value->quoted && !needs_quotes(&value->text);
    bool names = key_size == strlen("partition") && memcmp(key, "partition", key_size) == 0;

    if (format_now == LOG_JSON) {
        buffer_append_text(&line->text, ",\"");
        buffer_append(&line->text, key, key_size);
        buffer_append_text(&line->text, "\":");
    } else {
        buffer_append_byte(&line->text, ' ');
        buffer_append(&line->text, key, key_size);
        buffer_append_byte(&line->text, '=');
    }
    if (bare) {
        buffer_append(&line->text, value->text.bytes, value->text.size);
    } else {
        append_quoted(&line->text, value->text.bytes, value->text.size);
    }
    add_to_kind(line, key, key_size);
    if (!value->number || names) {
        add_to_kind(line, value->text.bytes, value->text.size);
    }
}

static void append_fields(struct line *line, struct reader *reader)
{
    while (*reader->at != '\0') {
        struct value value = {.text = {0}};
        const char *key = reader->at;
        size_t key_size = strcspn(key, "= ");

        must(key_size > 0 && key[key_size] == '=');
        reader->at += key_size + 1;
        read_value(reader, &value);
        append_field(line, key, key_size, &value);
        buffer_deinit(&value.text);
        if (*reader->at == ' ') {
            reader->at++;
        }
    }
}

static void append_event(struct line *line, enum log_level level, const char *event)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};

    buffer_printf(&line->text, format_now == LOG_JSON ? ",\"level\":\"%s\",\"event\":\"%s\"" : " %s %s", levels[level], event);
    add_to_kind(line, levels[level], strlen(levels[level]));
    add_to_kind(line, event, strlen(event));
}

/* ---- writing */

static void append_time(struct buffer *out)
{
    struct timespec now;
    struct tm parts;
    char date[32];

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &parts);
    (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    buffer_printf(out, format_now == LOG_JSON ? "{\"time\":\"%s.%03ldZ\"" : "%s.%03ldZ", date, now.tv_nsec / 1000000);
}

/* A line that stderr does not take (a full disk, a closed pipe) is lost: there is nowhere to say so. */
static void write_line(const struct buffer *text, uint64_t stands_for)
{
    struct buffer whole = {0};
    ssize_t written;

    append_time(&whole);
    buffer_append(&whole, text->bytes, text->size);
    if (stands_for > 1) {
        buffer_printf(&whole, format_now == LOG_JSON ? ",\"repeated\":%llu" : " repeated=%llu", (unsigned long long)stands_for);
    }
    buffer_append_text(&whole, format_now == LOG_JSON ? "}\n" : "\n");
    written = write(STDERR_FILENO, whole.bytes, whole.size);
    (void)written;
    buffer_deinit(&whole);
}

static uint64_t machine_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static pthread_mutex_t repeats_lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_repeats repeats = {.interval_ms = LOG_INTERVAL_MS, .write = write_line};
static uint64_t (*now_ms)(void) = machine_ms;

void log_set_clock(uint64_t (*other)(void))
{
    now_ms = other != NULL ? other : machine_ms;
}

static void write_held(bool all)
{
    must(pthread_mutex_lock(&repeats_lock) == 0);
    log_repeats_write(&repeats, now_ms(), all);
    must(pthread_mutex_unlock(&repeats_lock) == 0);
}

void log_flush(void)
{
    write_held(true);
}

static void write_unless_repeated(enum log_level level, const struct line *line)
{
    bool held = false;
    uint64_t stands_for = 1;

    if (level <= LOG_WARN && level_now < LOG_DEBUG) {
        must(pthread_mutex_lock(&repeats_lock) == 0);
        held = log_repeats_hold(&repeats, line->kind, &line->text, now_ms(), &stands_for);
        must(pthread_mutex_unlock(&repeats_lock) == 0);
    }
    if (!held) {
        write_line(&line->text, stands_for);
    }
}

uint64_t log_count(enum log_level level)
{
    return atomic_load(&counts[level]);
}

void log_event(enum log_level level, const char *event, const char *fields, ...)
{
    struct line line = {.kind = FNV_BEGIN};
    struct reader reader = {.at = fields};

    if (level > level_now) {
        return;
    }
    (void)atomic_fetch_add(&counts[level], 1);
    append_event(&line, level, event);
    va_start(reader.list, fields);
    append_fields(&line, &reader);
    va_end(reader.list);
    write_unless_repeated(level, &line);
    write_held(false);
    buffer_deinit(&line.text);
}
