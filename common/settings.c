/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the file, in this order:
 *
 *   1. libyaml makes a tree of nodes with line numbers. A tree that can't be made is the only error that hides others.
 *   2. The tree is walked; the keys on the way, joined by dots, are a path ("source: {name: x}" and "source.name: x" are the
 * same). A path that the table knows takes its value; every other is an error with the nearest name.
 *   3. What was not given takes its default; what is required and missing is an error.
 *   4. settings_check looks at the values together; one that was refused stands there with its default, and is not complained
 * of a second time.
 *
 * Every error is printed as it is met and counted; the settings are given only if the count is 0. An error never holds a value:
 * a secret may stand in the wrong place.
 *
 * A key given twice is an error, also by two ways of writing its path: libyaml would let the last one win silently.
 */
#include "common/settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/kafka.h"
#include "common/must.h"
#include "common/nearest.h"
#include "common/settings_check.h"
#include "common/settings_table.h"
#include "common/settings_value.h"

#define FILE_BYTES_MAX (1 << 20)
#define DEPTH_MAX      16 /* of mappings in mappings; no path has more parts than this */

struct load {
    const char *file;
    FILE *errors;
    unsigned error_count;
    yaml_document_t document;
    struct settings *settings;
    size_t lines[SETTINGS_COUNT_MAX]; /* by place in the table: where it was given; 0 = not */
    struct text_pairs pair_lines;     /* "kafka.sasl.password" -> the line, to find keys given twice */
    struct text_list refused;         /* the keys of all complaints */
};

__attribute__((format(printf, 4, 5))) static void complain(struct load *load, size_t line, const char *key, const char *format,
                                                           ...)
{
    va_list list;

    load->error_count++;
    text_list_add(&load->refused, key);
    if (line > 0) {
        (void)fprintf(load->errors, "%s:%zu: ", load->file, line);
    } else {
        (void)fprintf(load->errors, "%s: ", load->file);
    }
    if (key[0] != '\0') {
        (void)fprintf(load->errors, "%s: ", key);
    }
    va_start(list, format);
    (void)vfprintf(load->errors, format, list);
    va_end(list);
    (void)fputc('\n', load->errors);
}

static size_t line_of(const yaml_node_t *node)
{
    return node->start_mark.line + 1;
}

static const char *scalar_text(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

/* `password:` with nothing behind it, `~` and `null`. */
static bool is_null(const yaml_node_t *node)
{
    const char *text = scalar_text(node);

    return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

/* A scalar without a zero byte in it, or NULL after a complaint. */
static const char *read_scalar(struct load *load, const yaml_node_t *node, const char *path)
{
    if (node->type != YAML_SCALAR_NODE) {
        complain(load, line_of(node), path, "needs one value, not a %s", node->type == YAML_SEQUENCE_NODE ? "list" : "section");
        return NULL;
    }
    if (is_null(node)) {
        complain(load, line_of(node), path, "has no value; give it one%s, or leave the key out",
                 strcmp(scalar_text(node), "null") == 0 ? " (of the word null YAML makes none: write \"null\" where it is meant)" : "");
        return NULL;
    }
    if (strlen(scalar_text(node)) != node->data.scalar.length) {
        complain(load, line_of(node), path, "holds a zero byte");
        return NULL;
    }
    return scalar_text(node);
}

/* ---- values */

/* The secret's rule, then the environment. */
static int resolve(const char *raw, bool secret, struct buffer *out, struct err *err)
{
    if (secret && !settings_value_is_reference(raw)) {
        return err_set(err, ERR_FATAL,
                       "must not stand in the file; write ${NAME} to take it from the environment, or use the key with "
                       "_file behind it");
    }
    return settings_value_expand(out, raw, err);
}

/* The text of a secret whose file `raw` names. */
static int resolve_file(const char *raw, struct buffer *out, struct err *err)
{
    struct buffer path = {0};
    int result = settings_value_expand(&path, raw, err);

    if (result == 0) {
        result = settings_value_read_secret(out, buffer_text(&path), err);
    }
    buffer_deinit(&path);
    return result;
}

static void wipe(struct buffer *text)
{
    if (text->bytes != NULL) {
        explicit_bzero(text->bytes, text->size);
    }
    buffer_deinit(text);
}

static void set_one(struct load *load, const struct setting *setting, const yaml_node_t *node, const char *path, bool from_file)
{
    struct buffer text = {0};
    struct err err = {0};
    const char *raw = read_scalar(load, node, path);
    int result;

    if (raw == NULL) {
        return;
    }
    result = from_file ? resolve_file(raw, &text, &err) : resolve(raw, setting->flags & SETTING_SECRET, &text, &err);
    if (result == 0) {
        result = settings_value_set(setting, load->settings, buffer_text(&text), &err);
    }
    if (result != 0) {
        complain(load, line_of(node), path, "%s", err.text);
    }
    wipe(&text);
}

static void set_list(struct load *load, const struct setting *setting, const yaml_node_t *node)
{
    if (node->type != YAML_SEQUENCE_NODE) {
        set_one(load, setting, node, setting->path, false); /* one pattern needs no list */
        return;
    }
    if (node->data.sequence.items.start == node->data.sequence.items.top) {
        complain(load, line_of(node), setting->path, "is an empty list; name something, or leave the key out");
    }
    for (const yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
        set_one(load, setting, yaml_document_get_node(&load->document, *item), setting->path, false);
    }
}

static void set_setting(struct load *load, const struct setting *setting, const yaml_node_t *node, const char *path,
                        bool from_file)
{
    size_t *line = &load->lines[setting - settings_table];

    if (*line != 0) {
        complain(load, line_of(node), path, "is given twice; the first is in line %zu", *line);
        return;
    }
    *line = line_of(node);
    if (setting->type == SETTING_TABLES || setting->type == SETTING_TEXTS) {
        set_list(load, setting, node);
    } else {
        set_one(load, setting, node, path, from_file);
    }
}

/* ---- pairs: kafka.* and what is given by table */

/* "sasl.password_file" gives sasl.password. Writes the property's own name. */
static bool is_property_file(const char *key, char *name, size_t size)
{
    size_t key_size = strlen(key);

    if (key_size <= 5 || key_size - 5 >= size || strcmp(key + key_size - 5, "_file") != 0) {
        return false;
    }
    memcpy(name, key, key_size - 5);
    name[key_size - 5] = '\0';
    return kafka_property_is_secret(name);
}

static int set_property(struct load *load, const struct setting *setting, const char *key, const char *raw, struct err *err)
{
    struct buffer text = {0};
    char name[128];
    bool from_file = is_property_file(key, name, sizeof name);
    const char *property = from_file ? name : key;
    int result = from_file ? resolve_file(raw, &text, err) : resolve(raw, kafka_property_is_secret(property), &text, err);

    if (result == 0) {
        result = kafka_property_check(property, buffer_text(&text), err);
    }
    if (result == 0) {
        text_pairs_set((struct text_pairs *)((char *)load->settings + setting->offset), property, buffer_text(&text));
    }
    wipe(&text);
    return result;
}

static int set_plain_pair(struct load *load, const struct setting *setting, const char *key, const char *raw, struct err *err)
{
    struct buffer text = {0};
    int result = settings_value_expand(&text, raw, err);

    if (result == 0) {
        result = settings_value_set_pair(setting, load->settings, key, buffer_text(&text), err);
    }
    buffer_deinit(&text);
    return result;
}

/* A property that is there by its own name counts as given twice by name_file, and the other way round. */
static bool given_before(struct load *load, const struct setting *setting, const char *key, const char *path, size_t line)
{
    char name[128];
    char line_text[32];
    struct buffer place = {0};
    const char *before;

    buffer_printf(&place, "%s.%s", setting->path, is_property_file(key, name, sizeof name) ? name : key);
    before = text_pairs_get(&load->pair_lines, buffer_text(&place));
    if (before != NULL) {
        complain(load, line, path, "is given twice; the first is in line %s", before);
    } else {
        (void)snprintf(line_text, sizeof line_text, "%zu", line);
        text_pairs_set(&load->pair_lines, buffer_text(&place), line_text);
    }
    buffer_deinit(&place);
    return before != NULL;
}

/* path: as it stands in the file, for complaints. */
static void set_pair(struct load *load, const struct setting *setting, const yaml_node_t *node, const char *key, const char *path)
{
    const char *raw = read_scalar(load, node, path);
    struct err err = {0};
    int result;

    if (raw == NULL || given_before(load, setting, key, path, line_of(node))) {
        return;
    }
    result = setting->type == SETTING_KAFKA ? set_property(load, setting, key, raw, &err)
                                            : set_plain_pair(load, setting, key, raw, &err);
    if (result != 0) {
        complain(load, line_of(node), path, "%s", err.text);
    }
}

/* The pattern that every table, or column, matches. */
static const char *pattern_of_all(const struct setting *setting)
{
    return (setting->flags & SETTING_OF_COLUMNS) != 0 ? "*" : "*.*";
}

/* Before it a pattern would be of another opinion than the line that says "all"; behind it none would ever be asked. */
static void refuse_beside_all(struct load *load, const struct setting *setting, const char *path, size_t line)
{
    complain(load, line, path, "stands beside a value for all; give that one as the last of the patterns, \"%s\"", pattern_of_all(setting));
}

static void set_pattern(struct load *load, const struct setting *setting, const yaml_node_t *node, const char *path)
{
    if (load->lines[setting - settings_table] != 0) {
        refuse_beside_all(load, setting, path, line_of(node));
    } else {
        set_pair(load, setting, node, path + strlen(setting->path) + 1, path);
    }
}

/* `freshness: 5s` is `freshness: {"*.*": 5s}`. */
static void set_for_all(struct load *load, const struct setting *setting, const yaml_node_t *node)
{
    const struct text_pairs *pairs = (const struct text_pairs *)((const char *)load->settings + setting->offset);
    size_t *line = &load->lines[setting - settings_table];

    if (*line == 0 && pairs->count > 0) {
        refuse_beside_all(load, setting, setting->path, line_of(node));
        return;
    }
    *line = line_of(node);
    set_pair(load, setting, node, pattern_of_all(setting), setting->path);
}

/* ---- the walk */

static bool is_pairs(const struct setting *setting)
{
    return setting->type == SETTING_KAFKA || setting->type == SETTING_BY_TABLE || setting->type == SETTING_PAIRS;
}

/* Is `path` a part of `below`, at a dot? "topics" is of "topics.create". */
static bool begins(const char *below, const char *path)
{
    size_t size = strlen(path);

    return strncmp(below, path, size) == 0 && below[size] == '.';
}

/* The setting that takes the value at path; NULL: none. *ret_from_file: by the name of a secret's file. */
static const struct setting *find(const char *path, bool *ret_from_file)
{
    size_t size = strlen(path);

    for (const struct setting *setting = settings_table; setting->path != NULL; setting++) {
        size_t own = strlen(setting->path);

        *ret_from_file = (setting->flags & SETTING_SECRET) && size == own + 5 && strcmp(path + own, "_file") == 0 &&
                         strncmp(path, setting->path, own) == 0;
        if (*ret_from_file || strcmp(setting->path, path) == 0 || (is_pairs(setting) && begins(path, setting->path))) {
            return setting;
        }
    }
    return NULL;
}

static bool is_section(const char *path)
{
    for (const struct setting *setting = settings_table; setting->path != NULL; setting++) {
        if (begins(setting->path, path)) {
            return true;
        }
    }
    return false;
}

/* Offers the table's paths, and their sections when it is a section that is misspelled. */
static void refuse_key(struct load *load, const yaml_node_t *key, const yaml_node_t *value, const char *path)
{
    struct text_list sections = {0};
    struct nearest nearest;

    nearest_init(&nearest, path);
    for (const struct setting *setting = settings_table; setting->path != NULL; setting++) {
        const char *dot = strchr(setting->path, '.');

        nearest_offer(&nearest, setting->path);
        if (value->type == YAML_MAPPING_NODE && dot != NULL) {
            char section[64];

            (void)snprintf(section, sizeof section, "%.*s", (int)(dot - setting->path), setting->path);
            text_list_add(&sections, section);
            nearest_offer(&nearest, sections.texts[sections.count - 1]);
        }
    }
    if (nearest.best != NULL) {
        complain(load, line_of(key), path, "is not a setting; did you mean %s?", nearest.best);
    } else {
        complain(load, line_of(key), path, "is not a setting; --help-settings lists them");
    }
    text_list_deinit(&sections);
}

static void walk(struct load *load, const yaml_node_t *mapping, const char *path, int depth);

static void walk_pair(struct load *load, const yaml_node_t *key, const yaml_node_t *value, const char *path, int depth)
{
    bool from_file;
    const struct setting *setting = find(path, &from_file);
    bool pairs = setting != NULL && is_pairs(setting);

    if (value->type == YAML_MAPPING_NODE && (pairs || is_section(path))) {
        walk(load, value, path, depth + 1);
    } else if (pairs && strcmp(setting->path, path) != 0) {
        set_pattern(load, setting, value, path);
    } else if (setting != NULL && setting->type == SETTING_BY_TABLE && (setting->flags & SETTING_NEVER_FOR_ALL) == 0) {
        set_for_all(load, setting, value);
    } else if (setting != NULL && !pairs) {
        set_setting(load, setting, value, path, from_file);
    } else if (setting != NULL || is_section(path)) {
        complain(load, line_of(key), path, "is a section; it needs keys below it");
    } else {
        refuse_key(load, key, value, path);
    }
}

static void walk(struct load *load, const yaml_node_t *mapping, const char *path, int depth)
{
    for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(&load->document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(&load->document, pair->value);
        struct buffer below = {0};

        if (key->type != YAML_SCALAR_NODE || key->data.scalar.length == 0 ||
            strlen(scalar_text(key)) != key->data.scalar.length) {
            complain(load, line_of(key), path, "holds a key that is not a word");
        } else if (depth > DEPTH_MAX) {
            complain(load, line_of(key), path, "is nested too deeply");
        } else {
            buffer_printf(&below, "%s%s%s", path, path[0] != '\0' ? "." : "", scalar_text(key));
            walk_pair(load, key, value, buffer_text(&below), depth);
        }
        buffer_deinit(&below);
    }
}

/* ---- what was not given */

static bool was_refused(const struct load *load, const char *key)
{
    return text_list_find(&load->refused, key) < load->refused.count;
}

static void complete(struct load *load, enum settings_for who)
{
    struct err err = {0};

    for (const struct setting *setting = settings_table; setting->path != NULL; setting++) {
        size_t place = (size_t)(setting - settings_table);

        must(place < SETTINGS_COUNT_MAX);
        if (load->lines[place] != 0 && !was_refused(load, setting->path)) {
            continue;
        }
        if (setting->standard != NULL) {
            must(settings_value_set(setting, load->settings, setting->standard, &err) == 0);
        } else if (load->lines[place] == 0 && (setting->flags & (unsigned)who & SETTINGS_FOR_BOTH)) {
            complain(load, 0, setting->path, "is missing; --help-settings says what it is");
        }
    }
}

static void on_complaint(void *context, const char *key, const char *words)
{
    struct load *load = context;
    const char *pair_line = text_pairs_get(&load->pair_lines, key);
    size_t line = pair_line != NULL ? strtoul(pair_line, NULL, 10) : 0;

    if (was_refused(load, key)) {
        return;
    }
    for (const struct setting *setting = settings_table; setting->path != NULL && line == 0; setting++) {
        line = strcmp(setting->path, key) == 0 ? load->lines[setting - settings_table] : 0;
    }
    complain(load, line, key, "%s", words);
}

/* ---- the file */

static void refuse_yaml(struct load *load, const yaml_parser_t *parser)
{
    complain(load, parser->problem_mark.line + 1, "", "this is not YAML: %s%s%s",
             parser->context != NULL ? parser->context : "", parser->context != NULL ? ": " : "",
             parser->problem != NULL ? parser->problem : "unreadable");
}

static void refuse_second_document(struct load *load, yaml_parser_t *parser)
{
    yaml_document_t second;
    const yaml_node_t *root;

    if (!yaml_parser_load(parser, &second)) {
        refuse_yaml(load, parser);
        return;
    }
    root = yaml_document_get_root_node(&second);
    if (root != NULL) {
        complain(load, line_of(root), "", "a second document begins here; there must be one");
    }
    yaml_document_delete(&second);
}

/* There must be one document, a mapping. */
static int read_document(struct load *load, yaml_parser_t *parser)
{
    const yaml_node_t *root;

    if (!yaml_parser_load(parser, &load->document)) {
        refuse_yaml(load, parser);
        return -1;
    }
    root = yaml_document_get_root_node(&load->document);
    if (root == NULL || (root->type == YAML_SCALAR_NODE && is_null(root))) {
        complain(load, 0, "", "holds no settings");
    } else if (root->type != YAML_MAPPING_NODE) {
        complain(load, line_of(root), "", "must be a mapping of keys to values");
    } else {
        walk(load, root, "", 1);
    }
    if (root != NULL) {
        refuse_second_document(load, parser);
    }
    yaml_document_delete(&load->document);
    return 0;
}

static int read_bytes(struct load *load, struct buffer *bytes)
{
    FILE *file = fopen(load->file, "re");

    if (file == NULL) {
        complain(load, 0, "", "can't be read: %s", strerror(errno));
        return -1;
    }
    bytes->size = fread(buffer_reserve(bytes, FILE_BYTES_MAX + 1), 1, FILE_BYTES_MAX + 1, file);
    if (ferror(file)) {
        complain(load, 0, "", "can't be read: %s", strerror(errno));
    } else if (bytes->size > FILE_BYTES_MAX) {
        complain(load, 0, "", "is larger than %d bytes", FILE_BYTES_MAX);
    }
    (void)fclose(file);
    return load->error_count == 0 ? 0 : -1;
}

/* -1: there is no tree to speak of. */
static int read_file(struct load *load)
{
    struct buffer bytes = {0};
    yaml_parser_t parser;
    int result = read_bytes(load, &bytes);

    if (result == 0) {
        must(yaml_parser_initialize(&parser));
        yaml_parser_set_input_string(&parser, bytes.bytes, bytes.size);
        result = read_document(load, &parser);
        yaml_parser_delete(&parser);
    }
    buffer_deinit(&bytes);
    return result;
}

struct settings *settings_load(const char *path, enum settings_for who, FILE *errors)
{
    struct load load = {.file = path, .errors = errors, .settings = calloc(1, sizeof *load.settings)};

    must(load.settings != NULL);
    if (read_file(&load) == 0) {
        complete(&load, who);
        settings_check(load.settings, who, on_complaint, &load);
    }
    text_pairs_deinit(&load.pair_lines);
    text_list_deinit(&load.refused);
    if (load.error_count > 0) {
        settings_free(load.settings);
        return NULL;
    }
    return load.settings;
}

bool settings_selects(const struct settings_source *source, const char *table)
{
    return text_list_matches(&source->tables, table) && !settings_excludes(source, table);
}

bool settings_excludes(const struct settings_source *source, const char *table)
{
    return text_list_matches(&source->exclude, table);
}

/* The text was checked when it was read. */
int settings_partitions(const struct settings *settings, const char *table)
{
    const char *number = text_pairs_match(&settings->topics.partitions_by_table, table);

    return (int)(number != NULL ? strtol(number, NULL, 10) : settings->topics.partitions);
}

#define FRESHNESS_MS 1000 /* where no pattern matches */

int64_t settings_freshness_ms(const struct settings *settings, const char *table)
{
    return settings_value_duration_ms(text_pairs_match(&settings->freshness, table), FRESHNESS_MS);
}

/* The text was checked when it was read. */
static bool choice_is(const struct text_pairs *choices, const char *table, const char *word)
{
    const char *choice = text_pairs_match(choices, table);

    return choice != NULL && strcmp(choice, word) == 0;
}

enum bigquery_method settings_bigquery_method(const struct settings *settings, const char *table)
{
    const struct text_pairs *methods = &settings->bigquery.method;

    return choice_is(methods, table, "append") ? BIGQUERY_APPEND : choice_is(methods, table, "load") ? BIGQUERY_LOAD : BIGQUERY_AUTO;
}

enum bigquery_view settings_bigquery_view(const struct settings *settings, const char *table)
{
    return choice_is(&settings->bigquery.view, table, "base") ? BIGQUERY_VIEW_BASE : BIGQUERY_VIEW_PLAIN;
}

void settings_free(struct settings *settings)
{
    if (settings == NULL) {
        return;
    }
    for (const struct setting *setting = settings_table; setting->path != NULL; setting++) {
        settings_value_free(setting, settings);
    }
    free(settings);
}
