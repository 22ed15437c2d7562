/* SPDX-License-Identifier: Apache-2.0 */
/* A table's columns are the names that its rows have, in the order in which they come; numbers stand to the right. */
#include "common/status_command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "common/buffer.h"
#include "common/cli.h"
#include "common/http.h"
#include "common/must.h"
#include "common/text_width.h"

#define TIMEOUT_MS  5000
#define COLUMNS_MAX 64
#define PATH_WIDTH  24

/* ---- values */

static void append_value(struct buffer *out, const json_t *value)
{
    if (json_is_string(value)) {
        text_printable(out, json_string_value(value));
    } else if (value == NULL || json_is_null(value)) {
        buffer_append_byte(out, '-');
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));

        must(text != NULL);
        text_printable(out, text);
        free(text);
    }
}

static int width_of(const json_t *value)
{
    struct buffer text = {0};
    int width;

    append_value(&text, value);
    width = text_width(buffer_text(&text));
    buffer_deinit(&text);
    return width;
}

/* width: in columns; below 0: the text stands to the left. */
static void print_padded(FILE *out, const char *text, int width)
{
    int blanks = abs(width) - text_width(text);

    blanks = blanks > 0 ? blanks : 0;
    (void)fprintf(out, "%*s%s%*s", width > 0 ? blanks : 0, "", text, width > 0 ? 0 : blanks, "");
}

static void print_value(FILE *out, const json_t *value, int width)
{
    struct buffer text = {0};

    append_value(&text, value);
    (void)fputs("  ", out);
    print_padded(out, buffer_text(&text), width);
    buffer_deinit(&text);
}

static void print_name(FILE *out, const char *name, int width)
{
    struct buffer text = {0};

    text_printable(&text, name);
    print_padded(out, buffer_text(&text), width);
    buffer_deinit(&text);
}

static int name_width(const char *name)
{
    struct buffer text = {0};
    int width;

    text_printable(&text, name);
    width = text_width(buffer_text(&text));
    buffer_deinit(&text);
    return width;
}

/* ---- tables */

struct columns {
    const char *names[COLUMNS_MAX];
    int widths[COLUMNS_MAX]; /* below 0: to the left, of texts */
    size_t count;
};

static void widen(struct columns *columns, const char *name, const json_t *value)
{
    size_t place = 0;
    int width = width_of(value);
    bool text;

    while (place < columns->count && strcmp(columns->names[place], name) != 0) {
        place++;
    }
    if (place == COLUMNS_MAX) {
        return; /* more than anybody reads; --json has them */
    }
    if (place == columns->count) {
        columns->names[place] = name;
        columns->widths[place] = name_width(name);
        columns->count++;
    }
    text = json_is_string(value) || columns->widths[place] < 0;
    width = width > abs(columns->widths[place]) ? width : abs(columns->widths[place]);
    columns->widths[place] = text ? -width : width;
}

static void find_columns(const json_t *row, struct columns *columns)
{
    const char *name;
    const json_t *value;

    json_object_foreach((json_t *)row, name, value) {
        widen(columns, name, value);
    }
}

static void print_head(const struct columns *columns, const char *key, int key_width, FILE *out)
{
    (void)fputc('\n', out);
    print_name(out, key, -key_width);
    for (size_t i = 0; i < columns->count; i++) {
        (void)fputs("  ", out);
        print_name(out, columns->names[i], columns->widths[i]);
    }
    (void)fputc('\n', out);
}

static void print_row(const struct columns *columns, const char *key, int key_width, const json_t *row, FILE *out)
{
    print_name(out, key, -key_width);
    for (size_t i = 0; i < columns->count; i++) {
        print_value(out, json_object_get(row, columns->names[i]), columns->widths[i]);
    }
    (void)fputc('\n', out);
}

static void print_list(const char *name, const json_t *rows, FILE *out)
{
    struct columns columns = {0};
    const json_t *row;
    size_t index;

    json_array_foreach(rows, index, row) {
        find_columns(row, &columns);
    }
    print_head(&columns, name, (int)strlen(name), out);
    json_array_foreach(rows, index, row) {
        print_row(&columns, "", (int)strlen(name), row, out);
    }
}

static void print_object(const char *name, const json_t *rows, FILE *out)
{
    struct columns columns = {0};
    int key_width = (int)strlen(name);
    const char *key;
    const json_t *row;

    json_object_foreach((json_t *)rows, key, row) {
        find_columns(row, &columns);
        key_width = name_width(key) > key_width ? name_width(key) : key_width;
    }
    print_head(&columns, name, key_width, out);
    json_object_foreach((json_t *)rows, key, row) {
        print_row(&columns, key, key_width, row, out);
    }
}

/* ---- the whole */

static bool is_table(const json_t *value)
{
    const json_t *first = json_is_array(value) ? json_array_get(value, 0) : json_object_iter_value(json_object_iter((json_t *)value));

    return json_is_object(first);
}

static void print_lines(const char *before, const json_t *object, bool tables, FILE *out);

static void print_list_lines(const char *before, const json_t *list, FILE *out)
{
    size_t index;
    json_t *row;

    json_array_foreach(list, index, row) {
        struct buffer path = {0};

        buffer_printf(&path, "%s.%zu", before, index);
        print_lines(buffer_text(&path), row, false, out);
        buffer_deinit(&path);
    }
}

static void print_line(const char *path, const json_t *value, FILE *out)
{
    print_name(out, path, -PATH_WIDTH);
    print_value(out, value, 0);
    (void)fputc('\n', out);
}

/* tables: what is one is left out here, and comes behind the lines. */
static void print_lines(const char *before, const json_t *object, bool tables, FILE *out)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)object, name, value) {
        struct buffer path = {0};

        buffer_printf(&path, "%s%s%s", before, before[0] != '\0' ? "." : "", name);
        if (json_is_object(value) && !(tables && is_table(value))) {
            print_lines(buffer_text(&path), value, tables, out);
        } else if (!is_table(value)) {
            print_line(buffer_text(&path), value, out);
        } else if (!tables) {
            print_list_lines(buffer_text(&path), value, out);
        }
        buffer_deinit(&path);
    }
}

static void print_tables(const json_t *object, FILE *out)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)object, name, value) {
        if (json_is_array(value) && is_table(value)) {
            print_list(name, value, out);
        } else if (json_is_object(value) && is_table(value)) {
            print_object(name, value, out);
        } else if (json_is_object(value)) {
            print_tables(value, out);
        }
    }
}

void status_print(const json_t *status, bool tables, FILE *out)
{
    print_lines("", status, tables, out);
    if (tables) {
        print_tables(status, out);
    }
}

/* ---- asking */

struct question {
    enum status_form form;
    int code;
    struct http *http;
};

static void on_closed(void *context)
{
    (void)context;
}

static void print_answer(struct question *question, const struct http_answer *answer)
{
    json_error_t error;
    json_t *status = json_loadb(answer->body, answer->body_size, 0, &error);

    if (status == NULL) {
        (void)fprintf(stderr, "status: the answer is no JSON (%s): is this the admin port?\n", error.text);
    } else if (question->form == STATUS_JSON) {
        (void)printf("%.*s\n", (int)answer->body_size, answer->body);
    } else {
        status_print(status, isatty(STDOUT_FILENO) == 1, stdout);
    }
    question->code = status != NULL ? CLI_OK : CLI_FAILED;
    json_decref(status);
}

static void on_answer(void *context, const struct http_answer *answer)
{
    struct question *question = context;

    question->code = CLI_FAILED;
    if (answer->err != NULL) {
        (void)fprintf(stderr, "status: %s; does it run, and is this its settings file? --at asks at another address\n", answer->err->text);
    } else if (question->form == STATUS_HEALTH) {
        (void)printf("%.*s", (int)answer->body_size, answer->body);
        question->code = answer->status == 200 ? CLI_OK : CLI_FAILED;
    } else if (answer->status != 200) {
        (void)fprintf(stderr, "status: HTTP %d: is this the admin port?\n", answer->status);
    } else {
        print_answer(question, answer);
    }
    http_close(question->http, on_closed, question);
}

enum status_form status_form_of(bool json, bool health)
{
    return health ? STATUS_HEALTH : json ? STATUS_JSON : STATUS_TABLES;
}

/* An address that means all is asked by the loopback of its kind. False: it has no port that anybody could know. */
static bool make_url(const char *listen, enum status_form form, struct buffer *url)
{
    const char *colon = strrchr(listen, ':');
    bool brackets = colon != NULL && listen[0] == '[' && colon > listen + 1 && colon[-1] == ']';
    size_t size = colon == NULL ? 0 : (size_t)(colon - listen) - (brackets ? 2 : 0);
    char host[256];
    const char *at;

    if (size == 0 || size >= sizeof host || strtol(colon + 1, NULL, 10) == 0) {
        return false;
    }
    memcpy(host, listen + (brackets ? 1 : 0), size);
    host[size] = '\0';
    at = strcmp(host, "0.0.0.0") == 0 ? "127.0.0.1" : strcmp(host, "::") == 0 ? "::1" : host;
    buffer_printf(url, strchr(at, ':') != NULL ? "http://[%s]%s%s" : "http://%s%s%s", at, colon, form == STATUS_HEALTH ? "/healthz" : "/status");
    return true;
}

static int ask(const char *url, enum status_form form)
{
    const struct http_request request = {.method = "GET", .url = url, .timeout_ms = TIMEOUT_MS, .direct = true};
    struct question question = {.form = form, .code = CLI_FAILED};
    struct err err;
    uv_loop_t loop;

    must(uv_loop_init(&loop) == 0);
    if (http_new(&loop, &(struct http_options){0}, &question.http, &err) != 0) {
        (void)fprintf(stderr, "status: %s\n", err.text);
    } else {
        (void)http_send(question.http, &request, on_answer, &question);
        must(uv_run(&loop, UV_RUN_DEFAULT) == 0);
    }
    must(uv_loop_close(&loop) == 0);
    return question.code;
}

int status_command(const char *listen, enum status_form form)
{
    struct buffer url = {0};
    int code = CLI_FAILED;

    if (make_url(listen, form, &url)) {
        code = ask(buffer_text(&url), form);
    } else {
        (void)fprintf(stderr, "status: %s names no port to ask at. If it is any free one (0), the program's log says which it took (admin listen=...): "
                              "ask there, --at ADDRESS:PORT\n", listen);
    }
    buffer_deinit(&url);
    return code;
}
