/* SPDX-License-Identifier: Apache-2.0 */
/* Text in, field out, and back again for printing; where a secret comes from; each refusal says how to write it right. */
#include "common/settings_value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

#define SECRET_BYTES_MAX 65536

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first: printing takes the first that divides. */
static const struct unit sizes[] = {{"GiB", INT64_C(1) << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}, {NULL, 0}};
static const struct unit durations[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};

/* ---- the environment and files */

/* The size of "${NAME}" at text; 0 if that is not what stands there. */
static size_t reference_size(const char *text)
{
    size_t size = 2;

    if (strncmp(text, "${", 2) != 0 || isdigit((unsigned char)text[2])) {
        return 0;
    }
    while (isalnum((unsigned char)text[size]) || text[size] == '_') {
        size++;
    }
    return size > 2 && text[size] == '}' ? size + 1 : 0;
}

bool settings_value_is_reference(const char *text)
{
    size_t size = reference_size(text);

    return size > 0 && text[size] == '\0';
}

static int expand_one(struct buffer *out, const char *reference, size_t size, struct err *err)
{
    char name[256];
    const char *value;

    if (size == 0) {
        return err_set(err, ERR_FATAL, "holds a '${' that does not begin a ${NAME}; write $${ for a plain ${");
    }
    if (size - 3 >= sizeof name) {
        return err_set(err, ERR_FATAL, "names an environment variable of %zu letters; at most %zu", size - 3, sizeof name - 1);
    }
    memcpy(name, reference + 2, size - 3);
    name[size - 3] = '\0';
    value = getenv(name);
    if (value == NULL) {
        return err_set(err, ERR_FATAL, "the environment variable %s is not set; set it, or write $${ for a plain ${", name);
    }
    buffer_append_text(out, value);
    return 0;
}

int settings_value_expand(struct buffer *out, const char *text, struct err *err)
{
    while (*text != '\0') {
        if (strncmp(text, "$${", 3) == 0) {
            buffer_append_text(out, "${");
            text += 3;
        } else if (strncmp(text, "${", 2) == 0) {
            size_t size = reference_size(text);

            if (expand_one(out, text, size, err) != 0) {
                return -1;
            }
            text += size;
        } else {
            buffer_append_byte(out, (uint8_t)*text++);
        }
    }
    return 0;
}

static int check_secret(struct buffer *out, const char *path, size_t size, struct err *err)
{
    if (size > SECRET_BYTES_MAX) {
        return err_set(err, ERR_FATAL, "%s is larger than %d bytes: is it the right file?", path, SECRET_BYTES_MAX);
    }
    if (memchr(out->bytes, '\0', size) != NULL) {
        return err_set(err, ERR_FATAL, "%s holds a zero byte: is it the right file?", path);
    }
    if (size > 0 && out->bytes[size - 1] == '\n') {
        size--;
    }
    if (size > 0 && out->bytes[size - 1] == '\r') {
        size--;
    }
    if (size == 0) {
        return err_set(err, ERR_FATAL, "%s is empty", path);
    }
    out->size = size;
    return 0;
}

int settings_value_read_secret(struct buffer *out, const char *path, struct err *err)
{
    FILE *file = fopen(path, "re");
    size_t size;
    int result;

    must(out->size == 0);
    if (file == NULL) {
        return err_set(err, ERR_FATAL, "%s can't be read: %s", path, strerror(errno));
    }
    size = fread(buffer_reserve(out, SECRET_BYTES_MAX + 1), 1, SECRET_BYTES_MAX + 1, file);
    result = ferror(file) ? err_set(err, ERR_FATAL, "%s can't be read: %s", path, strerror(errno))
                          : check_secret(out, path, size, err);
    (void)fclose(file);
    return result;
}

/* ---- numbers */

/* Digits only, at most 18 of them: no sign, no overflow. Returns what stands behind them, or NULL. */
static const char *read_digits(const char *text, int64_t *ret_number)
{
    size_t size = strspn(text, "0123456789");

    *ret_number = 0;
    if (size == 0 || size > 18) {
        return NULL;
    }
    for (size_t index = 0; index < size; index++) {
        *ret_number = *ret_number * 10 + (text[index] - '0');
    }
    return text + size;
}

static int read_quantity(const char *text, const struct unit *units, const char *example, int64_t *ret_value, struct err *err)
{
    int64_t number;
    const char *rest = read_digits(text, &number);

    if (rest != NULL && *rest == ' ') {
        rest++;
    }
    for (const struct unit *unit = units; rest != NULL && unit->name != NULL; unit++) {
        if (strcmp(unit->name, rest) == 0 && !__builtin_mul_overflow(number, unit->factor, ret_value)) {
            return 0;
        }
    }
    return err_set(err, ERR_FATAL, "is not a %s", example);
}

int64_t settings_value_duration_ms(const char *text, int64_t fallback_ms)
{
    struct err err;
    int64_t ms;

    return text != NULL && read_quantity(text, durations, "duration", &ms, &err) == 0 ? ms : fallback_ms;
}

static void print_quantity(struct buffer *out, const struct unit *units, int64_t value)
{
    const struct unit *unit = units;

    while (unit->factor > 1 && (value == 0 || value % unit->factor != 0)) {
        unit++;
    }
    buffer_printf(out, "%" PRId64 "%s", value / unit->factor, unit->name);
}

void settings_value_print_size(struct buffer *out, int64_t bytes)
{
    print_quantity(out, sizes, bytes);
}

void settings_value_print_duration(struct buffer *out, int64_t ms)
{
    print_quantity(out, durations, ms);
}

enum setting_type settings_value_type(const struct setting *setting)
{
    return setting->type == SETTING_BY_TABLE ? setting->each : setting->type;
}

static void print_number(struct buffer *out, const struct setting *setting, int64_t value)
{
    enum setting_type type = settings_value_type(setting);

    if (type == SETTING_SIZE) {
        settings_value_print_size(out, value);
    } else if (type == SETTING_DURATION) {
        settings_value_print_duration(out, value);
    } else {
        buffer_printf(out, "%" PRId64, value);
    }
}

static int check_limits(const struct setting *setting, int64_t value, struct err *err)
{
    struct buffer words = {0};
    int result = 0;

    if (value < setting->min || value > setting->max) {
        print_number(&words, setting, setting->min);
        buffer_append_text(&words, " to ");
        print_number(&words, setting, setting->max);
        result = err_set(err, ERR_FATAL, "is out of its limits; take %s", buffer_text(&words));
    }
    buffer_deinit(&words);
    return result;
}

static int read_number(const struct setting *setting, const char *text, int64_t *ret_value, struct err *err)
{
    enum setting_type type = settings_value_type(setting);
    const char *rest;

    if (type == SETTING_SIZE) {
        if (read_quantity(text, sizes, "size; write bytes, or 64KiB, 16MiB, 1GiB", ret_value, err) != 0) {
            return -1;
        }
    } else if (type == SETTING_DURATION) {
        if (read_quantity(text, durations, "duration; write it like 250ms, 5s, 10m, 12h, 14d", ret_value, err) != 0) {
            return -1;
        }
    } else {
        rest = read_digits(text, ret_value);
        if (rest == NULL || *rest != '\0') {
            return err_set(err, ERR_FATAL, "is not a whole number");
        }
    }
    return check_limits(setting, *ret_value, err);
}

/* ---- words */

static int read_boolean(const char *text, bool *ret_value, struct err *err)
{
    *ret_value = strcmp(text, "true") == 0;
    return *ret_value || strcmp(text, "false") == 0 ? 0 : err_set(err, ERR_FATAL, "is not true or false");
}

static int read_choice(const struct setting *setting, const char *text, int *ret_value, struct err *err)
{
    struct setting one = *setting;
    char words[256];

    for (int index = 0; setting->choices[index] != NULL; index++) {
        if (strcmp(setting->choices[index], text) == 0) {
            *ret_value = index;
            return 0;
        }
    }
    one.type = SETTING_CHOICE;
    setting_describe_type(&one, words, sizeof words);
    return err_set(err, ERR_FATAL, "is not %s", words);
}

static int check_name(const char *text, struct err *err)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && strchr("._-", *at) == NULL) {
            return err_set(err, ERR_FATAL, "may hold letters, digits, '.', '_' and '-' only");
        }
    }
    return strlen(text) <= 64 ? 0 : err_set(err, ERR_FATAL, "is longer than 64 letters");
}

static int check_address(const char *text, struct err *err)
{
    const char *colon = strrchr(text, ':');
    int64_t port;
    const char *rest = colon != NULL && colon != text ? read_digits(colon + 1, &port) : NULL;

    if (rest == NULL || *rest != '\0' || port > 65535) {
        return err_set(err, ERR_FATAL, "is not an address and port like 127.0.0.1:9464");
    }
    return 0;
}

static int check_pattern(const char *text, struct err *err)
{
    const char *dot = strchr(text, '.');

    if (dot == NULL || dot == text || dot[1] == '\0') {
        return err_set(err, ERR_FATAL, "is not a pattern database.table (like shop.orders, or \"shop.*\")");
    }
    return 0;
}

static int check_column_pattern(const char *text, struct err *err)
{
    const char *dot = strchr(text, '.');

    if (strchr(text, '*') == NULL && (dot == NULL || strchr(dot + 1, '.') == NULL)) {
        return err_set(err, ERR_FATAL, "is not a pattern database.table.column (like shop.orders.placed, \"shop.*\" or \"*\")");
    }
    return 0;
}

static int check_text(const struct setting *setting, const char *text, struct err *err)
{
    switch (setting->type) {
    case SETTING_NAME:
        return check_name(text, err);
    case SETTING_ADDRESS:
        return check_address(text, err);
    default:
        return 0;
    }
}

/* ---- the place in the struct */

static void *place(const struct setting *setting, const struct settings *settings)
{
    return (char *)settings + setting->offset;
}

static void set_text(char **place_of, const char *text)
{
    free(*place_of);
    *place_of = must_strdup(text);
}

int settings_value_set(const struct setting *setting, struct settings *settings, const char *text, struct err *err)
{
    void *at = place(setting, settings);

    if (text[0] == '\0' && !(setting->flags & SETTING_SECRET)) {
        return err_set(err, ERR_FATAL, "is empty; give it a value, or leave the key out");
    }
    switch (setting->type) {
    case SETTING_INTEGER:
    case SETTING_SIZE:
    case SETTING_DURATION:
        return read_number(setting, text, at, err);
    case SETTING_BOOLEAN:
        return read_boolean(text, at, err);
    case SETTING_CHOICE:
        return read_choice(setting, text, at, err);
    case SETTING_TEXTS:
        text_list_add(at, text);
        return 0;
    case SETTING_TABLES:
        if (check_pattern(text, err) != 0) {
            return -1;
        }
        text_list_add(at, text);
        return 0;
    default:
        if (check_text(setting, text, err) != 0) {
            return -1;
        }
        set_text(at, text);
        return 0;
    }
}

static int check_each(const struct setting *setting, const char *text, struct err *err)
{
    int64_t number;
    int choice;

    switch (setting->each) {
    case SETTING_INTEGER:
    case SETTING_DURATION:
        return read_number(setting, text, &number, err);
    case SETTING_CHOICE:
        return read_choice(setting, text, &choice, err);
    default:
        return 0;
    }
}

int settings_value_set_pair(const struct setting *setting, struct settings *settings, const char *key, const char *text,
                            struct err *err)
{
    if (text[0] == '\0') {
        return err_set(err, ERR_FATAL, "is empty; give it a value, or leave the key out");
    }
    if (setting->type == SETTING_BY_TABLE) {
        int result = (setting->flags & SETTING_OF_COLUMNS) != 0 ? check_column_pattern(key, err) : check_pattern(key, err);

        if (result != 0 || check_each(setting, text, err) != 0) {
            return -1;
        }
    }
    text_pairs_set(place(setting, settings), key, text);
    return 0;
}

void settings_value_print(const struct setting *setting, const struct settings *settings, struct buffer *out)
{
    const void *at = place(setting, settings);

    switch (setting->type) {
    case SETTING_INTEGER:
    case SETTING_SIZE:
    case SETTING_DURATION:
        print_number(out, setting, *(const int64_t *)at);
        break;
    case SETTING_BOOLEAN:
        buffer_append_text(out, *(const bool *)at ? "true" : "false");
        break;
    case SETTING_CHOICE:
        buffer_append_text(out, setting->choices[*(const unsigned *)at]);
        break;
    case SETTING_TEXT:
    case SETTING_NAME:
    case SETTING_ADDRESS:
        buffer_append_text(out, *(char *const *)at != NULL ? *(char *const *)at : "");
        break;
    default:
        break;
    }
}

static void free_text(char **text)
{
    if (*text != NULL) {
        explicit_bzero(*text, strlen(*text));
        free(*text);
        *text = NULL;
    }
}

void settings_value_free(const struct setting *setting, struct settings *settings)
{
    void *at = place(setting, settings);

    switch (setting->type) {
    case SETTING_TEXT:
    case SETTING_NAME:
    case SETTING_ADDRESS:
        free_text(at);
        break;
    case SETTING_TEXTS:
    case SETTING_TABLES:
        text_list_deinit(at);
        break;
    case SETTING_BY_TABLE:
    case SETTING_PAIRS:
    case SETTING_KAFKA:
        text_pairs_deinit(at);
        break;
    default:
        break;
    }
}
