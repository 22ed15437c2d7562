/* SPDX-License-Identifier: Apache-2.0 */
/* The same table three times: for a terminal, as YAML with the values in force, and as the documentation page. */
#include "common/kafka.h"
#include "common/settings.h"
#include "common/settings_table.h"
#include "common/settings_value.h"

#include <string.h>

#define WIDTH 100 /* of help on a terminal */

/* ---- the words on one setting */

static void append_limits(struct buffer *out, const struct setting *setting)
{
    enum setting_type type = settings_value_type(setting);
    struct buffer limits = {0};

    if (setting->max == 0) {
        return;
    }
    if (type == SETTING_SIZE) {
        settings_value_print_size(&limits, setting->min);
        buffer_append_text(&limits, " to ");
        settings_value_print_size(&limits, setting->max);
    } else if (type == SETTING_DURATION) {
        settings_value_print_duration(&limits, setting->min);
        buffer_append_text(&limits, " to ");
        settings_value_print_duration(&limits, setting->max);
    } else {
        buffer_printf(&limits, "%lld to %lld", (long long)setting->min, (long long)setting->max);
    }
    buffer_printf(out, ", %s", buffer_text(&limits));
    buffer_deinit(&limits);
}

static const char *required_words(const struct setting *setting)
{
    switch (setting->flags & SETTINGS_FOR_BOTH) {
    case SETTING_REQUIRED_BY_PRODUCER:
        return "required by the producer";
    case SETTING_REQUIRED_BY_WORKER:
        return "required by the worker";
    case SETTINGS_FOR_BOTH:
        return "required";
    default:
        return NULL;
    }
}

static void append_type(struct buffer *out, const struct setting *setting)
{
    char type[256];

    setting_describe_type(setting, type, sizeof type);
    buffer_append_text(out, type);
    append_limits(out, setting);
    if (setting->flags & SETTING_SECRET) {
        buffer_printf(out, ", secret: as ${NAME}, or by %s_file", setting->path);
    }
}

/* ---- --help-settings */

static void print_wrapped(const char *text, FILE *out)
{
    size_t column = 0;

    while (*text != '\0') {
        size_t size = strcspn(text, " ");

        if (column > 0 && column + 1 + size > WIDTH - 6) {
            (void)fputc('\n', out);
            column = 0;
        }
        (void)fprintf(out, "%s%.*s", column == 0 ? "      " : " ", (int)size, text);
        column += size + (column > 0 ? 1 : 0);
        text += size + (text[size] == ' ' ? 1 : 0);
    }
    (void)fputc('\n', out);
}

void settings_print_help(FILE *out)
{
    struct buffer head = {0};

    (void)fputs(
        "Settings, in one YAML file for both programs. Paths may be nested (source: {name: x}) or written out (source.name: "
        "x).\n"
        "${NAME} is replaced by the environment. Sizes: bytes, or 64KiB, 16MiB, 1GiB. Durations: 250ms, 5s, 10m, 12h, 14d.\n"
        "What goes by pattern may be one value, for all (freshness: 5s), but not in topics.\n\n",
        out);
    for (const struct setting *setting = settings_table; setting->path != NULL; setting++) {
        const char *required = required_words(setting);

        buffer_clear(&head);
        buffer_printf(&head, "  %s  (", setting->path);
        append_type(&head, setting);
        if (required != NULL) {
            buffer_printf(&head, "; %s", required);
        } else if (setting->standard != NULL) {
            buffer_printf(&head, "; default %s", setting->standard);
        }
        (void)fprintf(out, "%s)\n", buffer_text(&head));
        print_wrapped(setting->sentence, out);
    }
    buffer_deinit(&head);
}

/* ---- the values in force */

/* A double-quoted YAML scalar. */
static void print_quoted(const char *text, FILE *out)
{
    (void)fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            (void)fprintf(out, "\\%c", *text);
        } else if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            (void)fprintf(out, "\\x%02X", (unsigned char)*text);
        } else {
            (void)fputc(*text, out);
        }
    }
    (void)fputc('"', out);
}

static void print_pairs(const struct setting *setting, const struct text_pairs *pairs, FILE *out)
{
    for (size_t index = 0; index < pairs->count; index++) {
        bool secret = setting->type == SETTING_KAFKA && kafka_property_is_secret(pairs->pairs[index].key);
        struct buffer path = {0};

        buffer_printf(&path, "%s.%s", setting->path, pairs->pairs[index].key);
        print_quoted(buffer_text(&path), out);
        (void)fputs(": ", out);
        print_quoted(secret ? "(secret)" : pairs->pairs[index].value, out);
        (void)fputc('\n', out);
        buffer_deinit(&path);
    }
}

static void print_list(const struct setting *setting, const struct text_list *list, FILE *out)
{
    if (list->count == 0) {
        return;
    }
    (void)fprintf(out, "%s: [", setting->path);
    for (size_t index = 0; index < list->count; index++) {
        (void)fputs(index > 0 ? ", " : "", out);
        print_quoted(list->texts[index], out);
    }
    (void)fputs("]\n", out);
}

static void print_value(const struct setting *setting, const struct settings *settings, FILE *out)
{
    struct buffer value = {0};
    bool text = setting->type == SETTING_TEXT || setting->type == SETTING_NAME || setting->type == SETTING_ADDRESS;

    settings_value_print(setting, settings, &value);
    if (value.size > 0) {
        (void)fprintf(out, "%s: ", setting->path);
        if (setting->flags & SETTING_SECRET) {
            print_quoted("(secret)", out);
        } else if (text) {
            print_quoted(buffer_text(&value), out);
        } else {
            (void)fputs(buffer_text(&value), out);
        }
        (void)fputc('\n', out);
    }
    if (value.bytes != NULL) {
        explicit_bzero(value.bytes, value.size);
    }
    buffer_deinit(&value);
}

void settings_print(const struct settings *settings, FILE *out)
{
    for (const struct setting *setting = settings_table; setting->path != NULL; setting++) {
        const void *at = (const char *)settings + setting->offset;

        if (setting->type == SETTING_KAFKA || setting->type == SETTING_BY_TABLE || setting->type == SETTING_PAIRS) {
            print_pairs(setting, at, out);
        } else if (setting->type == SETTING_TABLES || setting->type == SETTING_TEXTS) {
            print_list(setting, at, out);
        } else {
            print_value(setting, settings, out);
        }
    }
}

/* ---- the documentation page */

static void append_escaped(struct buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("*_|<", *text) != NULL) {
            buffer_append_byte(out, '\\');
        }
        buffer_append_byte(out, (uint8_t)*text);
    }
}

static void append_row(struct buffer *out, const struct setting *setting)
{
    const char *required = required_words(setting);
    struct buffer type = {0};

    append_type(&type, setting);
    buffer_printf(out, "| `%s` | ", setting->path);
    append_escaped(out, buffer_text(&type));
    buffer_append_text(out, " | ");
    if (required != NULL) {
        buffer_printf(out, "*%s*", required);
    } else if (setting->standard != NULL) {
        buffer_printf(out, "`%s`", setting->standard);
    }
    buffer_append_text(out, " | ");
    append_escaped(out, setting->sentence);
    buffer_append_text(out, " |\n");
    buffer_deinit(&type);
}

void settings_print_markdown(FILE *out)
{
    struct buffer page = {0};

    buffer_append_text(
        &page, "<!-- Made by `make docs` from common/settings_table.c; lint compares. -->\n"
               "# Settings\n\n"
               "One YAML file serves both programs. A path may be nested (`source: {name: shop}`) or written out\n"
               "(`source.name: shop`). `${NAME}` is replaced by the environment; `$${` is a plain `${`. A secret is never\n"
               "written in the file: it is `${NAME}`, or stands in a file of its own that the key with `_file` behind it\n"
               "names. Sizes are bytes, or `64KiB`, `16MiB`, `1GiB`; durations `250ms`, `5s`, `10m`, `12h`, `14d`. What goes by\n"
               "pattern may be one value, for all (`freshness: 5s` is `freshness: {\"*.*\": 5s}`), but not in `topics`. An unknown\n"
               "key is an error. All errors are reported at once, and the program exits with 78.\n\n"
               "| setting | type | default | what follows |\n|---|---|---|---|\n");
    for (const struct setting *setting = settings_table; setting->path != NULL; setting++) {
        append_row(&page, setting);
    }
    buffer_append_text(&page, "\n## Properties of librdkafka\n\nFirst our memory budgets, then `kafka`, then the program's own "
                              "section; the last one wins. "
                              "A value above a budget is an error:\n\n");
    for (size_t index = 0; index < kafka_producer_budget.count; index++) {
        buffer_printf(&page, "* `%s` at most %s\n", kafka_producer_budget.pairs[index].key,
                      kafka_producer_budget.pairs[index].value);
    }
    for (size_t index = 0; index < kafka_consumer_budget.count; index++) {
        buffer_printf(&page, "* `%s` at most %s\n", kafka_consumer_budget.pairs[index].key,
                      kafka_consumer_budget.pairs[index].value);
    }
    buffer_append_text(&page, "\nSo is every property that exactly-once delivery fixes: the error says why.\n");
    (void)fputs(buffer_text(&page), out);
    buffer_deinit(&page);
}
