/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A column's name is made in two passes: name_map, then one over its result that escapes three kinds of '_' more. The second
 * pass walks as name_decode does, so it never looks inside of an escape; and since all it does is to write `_x005F_` where a
 * '_' stood, name_decode still gives the original back. Two names that differ in more than the case of ASCII letters differ so
 * in their mapped forms: decoding does not depend on case, as nothing but real escapes reads as one in any case.
 *
 * Whole names of datasets and tables are mapped after the pattern was filled in, so the pattern's own characters are mapped
 * too.
 */
#include "workers/bigquery/names.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/must.h"
#include "schemas/civil.h"
#include "schemas/name.h"
#include "schemas/schema.h"

#define ESCAPED_UNDERSCORE "_x005F_"
#define ESCAPE_SIZE        7
#define CUT_MARK           "_x0068_" /* no name has it: an "h" is not escaped */
#define FINGERPRINT_DIGITS 16
#define SUFFIX_MAX         8 /* of "_history" */

static const char *const reserved_prefixes[] = {"_table_",  "_file_",         "_partition", "_row_timestamp",
                                                "__root__", "_colidentifier", "_change_",   NULL};

/* ---- columns */

static bool is_hex(char c, bool any_case)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (any_case && c >= 'a' && c <= 'f');
}

/* Does "_xHHHH_" stand here? The NUL at the end of the text stops the walk. */
static bool reads_as_escape(const char *at, bool any_case)
{
    if (at[0] != '_' || !(at[1] == 'x' || (any_case && at[1] == 'X'))) {
        return false;
    }
    for (int i = 2; i < ESCAPE_SIZE - 1; i++) {
        if (!is_hex(at[i], any_case)) {
            return false;
        }
    }
    return at[ESCAPE_SIZE - 1] == '_';
}

static bool has_reserved_prefix(const char *name)
{
    for (size_t i = 0; reserved_prefixes[i] != NULL; i++) {
        if (strncasecmp(name, reserved_prefixes[i], strlen(reserved_prefixes[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* Is it "_<word of a type>" and nothing more? */
static bool is_type_suffix(const char *at)
{
    for (int type = 0; at[0] == '_' && type < BIGQUERY_TYPE_COUNT; type++) {
        if (strcasecmp(at + 1, bigquery_type_word((enum bigquery_type)type)) == 0) {
            return true;
        }
    }
    return false;
}

static void append_escaping(struct buffer *out, const char *mapped)
{
    size_t start = out->size;

    for (const char *at = mapped; *at != '\0';) {
        if (reads_as_escape(at, false)) {
            buffer_append(out, at, ESCAPE_SIZE);
            at += ESCAPE_SIZE;
            continue;
        }
        if (reads_as_escape(at, true) || (at == mapped && has_reserved_prefix(at)) ||
            (out->size > start && out->bytes[out->size - 1] == '_' && is_type_suffix(at))) {
            buffer_append_text(out, ESCAPED_UNDERSCORE);
        } else {
            buffer_append_byte(out, (uint8_t)*at);
        }
        at++;
    }
}

/* What was appended since `start` is cut if it is too long; the fingerprint is of `original`. */
static void cut_name(struct buffer *out, size_t start, const char *original)
{
    size_t kept = BIGQUERY_COLUMN_NAME_MAX - strlen(CUT_MARK) - FINGERPRINT_DIGITS;

    if (out->size - start > BIGQUERY_COLUMN_NAME_MAX) {
        out->size = start + kept;
        buffer_printf(out, CUT_MARK "%016llx", (unsigned long long)schema_fingerprint(original, strlen(original)));
    }
}

void bigquery_column_name(struct buffer *out, const char *name)
{
    size_t start = out->size;
    struct buffer mapped = {0};
    struct err err;

    must(name_map(&mapped, name, &err) == 0); /* it has a schema, so its name was mapped before */
    append_escaping(out, buffer_text(&mapped));
    cut_name(out, start, name);
    buffer_deinit(&mapped);
}

int bigquery_column_original(struct buffer *out, const char *column_name, struct err *err)
{
    size_t start = out->size;
    struct buffer again = {0};
    bool same;

    if (name_decode(out, column_name, err) != 0) {
        return -1;
    }
    if (out->size == start || strlen(column_name) > BIGQUERY_COLUMN_NAME_MAX) {
        return err_set(err, ERR_POISON, "not the name of a column");
    }
    bigquery_column_name(&again, buffer_text(out) + start);
    same = strcmp(buffer_text(&again), column_name) == 0;
    buffer_deinit(&again);
    if (!same) {
        out->size = start;
        return err_set(err, ERR_POISON, "not the name that a source column has in BigQuery");
    }
    return 0;
}

void bigquery_further_column_name(struct buffer *out, const char *column_name, enum bigquery_type type)
{
    size_t start = out->size;
    struct buffer whole = {0};

    buffer_printf(&whole, "%s__", column_name);
    for (const char *at = bigquery_type_word(type); *at != '\0'; at++) {
        buffer_append_byte(&whole, (uint8_t)(*at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at));
    }
    buffer_append_text(out, buffer_text(&whole));
    cut_name(out, start, buffer_text(&whole));
    buffer_deinit(&whole);
}

/* ---- tables */

static void append_pattern(struct buffer *out, const char *pattern, const char *database, const char *table)
{
    static const char database_word[] = "{database}";
    static const char table_word[] = "{table}";

    while (*pattern != '\0') {
        if (strncmp(pattern, database_word, sizeof database_word - 1) == 0) {
            buffer_append_text(out, database);
            pattern += sizeof database_word - 1;
        } else if (strncmp(pattern, table_word, sizeof table_word - 1) == 0) {
            buffer_append_text(out, table);
            pattern += sizeof table_word - 1;
        } else {
            buffer_append_byte(out, (uint8_t)*pattern++);
        }
    }
}

/* The pattern filled in and mapped, in memory of its own; NULL: err. */
static char *fill_in(const char *setting, const char *pattern, const char *database, const char *table, struct err *err)
{
    struct buffer filled = {0};
    struct buffer mapped = {0};
    char *name = NULL;

    append_pattern(&filled, pattern, database, table);
    if (name_map(&mapped, buffer_text(&filled), err) != 0) {
        err->class = ERR_FATAL;
        (void)err_while(err, "%s for %s.%s", setting, database, table);
    } else if (mapped.size > BIGQUERY_TABLE_NAME_MAX - SUFFIX_MAX) {
        (void)err_set(err, ERR_FATAL, "%s gives %s.%s a name of %zu characters, BigQuery takes %d: choose a shorter pattern",
                      setting, database, table, mapped.size, BIGQUERY_TABLE_NAME_MAX - SUFFIX_MAX);
    } else {
        name = must_strdup(buffer_text(&mapped));
    }
    buffer_deinit(&filled);
    buffer_deinit(&mapped);
    return name;
}

static char *join(const char *one, const char *between, const char *other)
{
    struct buffer text = {0};

    buffer_printf(&text, "%s%s%s", one, between, other);
    (void)buffer_text(&text);
    return (char *)text.bytes;
}

void bigquery_source_id(char id[17], const char *database, const char *table)
{
    char *pair = join(database, "\n", table); /* a '.' between them could be either's */

    (void)snprintf(id, 17, "%016llx", (unsigned long long)schema_fingerprint(pair, strlen(pair)));
    free(pair);
}

int bigquery_names_init(struct bigquery_names *names, const struct settings_bigquery *settings, const char *database,
                        const char *table, struct err *err)
{
    *names = (struct bigquery_names){0};
    names->dataset = fill_in("bigquery.dataset", settings->dataset, database, table, err);
    names->view = names->dataset != NULL ? fill_in("bigquery.table", settings->table, database, table, err) : NULL;
    if (names->view == NULL) {
        bigquery_names_deinit(names);
        return -1;
    }
    names->project = join(settings->project, "", "");
    names->history = join(names->view, "_", "history");
    names->base = join(names->view, "_", "base");
    names->as_of = join(names->view, "_", "as_of");
    names->source = join(database, ".", table);
    bigquery_source_id(names->source_id, database, table);
    return 0;
}

void bigquery_names_deinit(struct bigquery_names *names)
{
    free(names->project);
    free(names->dataset);
    free(names->view);
    free(names->history);
    free(names->base);
    free(names->as_of);
    free(names->source);
    *names = (struct bigquery_names){0};
}

/* ---- topics */

static int refuse_topic(const char *topic, struct err *err)
{
    return err_set(err, ERR_FATAL, "the topic %s is not named after a table: name its table by the setting topics.topic",
                   topic);
}

/* "shop.orders" as the setting has it: a name with a '.' in it can't be given there. */
static int split(const char *pair, const char *topic, char **ret_database, char **ret_table, struct err *err)
{
    const char *dot = strchr(pair, '.');

    if (dot == NULL) {
        return refuse_topic(topic, err);
    }
    *ret_database = strndup(pair, (size_t)(dot - pair));
    *ret_table = must_strdup(dot + 1);
    must(*ret_database != NULL && *ret_table != NULL);
    return 0;
}

static char *unmap(const char *mapped, size_t size)
{
    char *copy = strndup(mapped, size);
    struct buffer name = {0};
    struct err err;
    char *result = NULL;

    must(copy != NULL);
    if (name_unmap(&name, copy, &err) == 0) {
        result = must_strdup(buffer_text(&name));
    }
    buffer_deinit(&name);
    free(copy);
    return result;
}

int bigquery_names_of_topic(const struct settings *settings, const char *topic, char **ret_database, char **ret_table,
                            struct err *err)
{
    const struct text_pairs *given = &settings->topics.topic;
    size_t prefix_size = strlen(settings->prefix);
    const char *dot;

    for (size_t i = 0; i < given->count; i++) {
        if (strcmp(given->pairs[i].value, topic) == 0) {
            return split(given->pairs[i].key, topic, ret_database, ret_table, err);
        }
    }
    if (strncmp(topic, settings->prefix, prefix_size) != 0 || topic[prefix_size] != '.') {
        return refuse_topic(topic, err);
    }
    topic += prefix_size + 1;
    dot = strchr(topic, '.');
    *ret_database = dot != NULL ? unmap(topic, (size_t)(dot - topic)) : NULL;
    *ret_table = dot != NULL ? unmap(dot + 1, strlen(dot + 1)) : NULL;
    if (*ret_database == NULL || *ret_table == NULL) {
        free(*ret_database);
        free(*ret_table);
        return refuse_topic(topic, err);
    }
    return 0;
}

/* ---- in SQL */

void bigquery_append_quoted(struct buffer *out, const char *name)
{
    must(strchr(name, '`') == NULL && strchr(name, '\\') == NULL);
    buffer_printf(out, "`%s`", name);
}

void bigquery_append_path(struct buffer *out, const struct bigquery_names *names, const char *table)
{
    buffer_printf(out, "`%s.%s.%s`", names->project, names->dataset, table);
}

void bigquery_append_day(struct buffer *out, int32_t day)
{
    struct civil civil = civil_of_days(day);

    must(civil.year >= 1 && civil.year <= 9999);
    buffer_printf(out, "DATE '%04d-%02d-%02d'", (int)civil.year, civil.month, civil.day);
}

void bigquery_append_literal(struct buffer *out, const char *text)
{
    buffer_append_byte(out, '\'');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '\'' || c == '\\') {
            buffer_printf(out, "\\%c", c);
        } else if (c < ' ' || c == 0x7f) {
            buffer_printf(out, "\\u%04x", c);
        } else {
            buffer_append_byte(out, c);
        }
    }
    buffer_append_byte(out, '\'');
}
