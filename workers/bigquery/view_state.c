/* SPDX-License-Identifier: Apache-2.0 */
/* The line is read as what it is: text that anybody may have changed. */
#include "workers/bigquery/view_state.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "schemas/civil.h"

#define LINE_BEGIN "-- kakehi "

/* ---- days */

static bool read_digits(const char *text, int count, int *ret_number)
{
    *ret_number = 0;
    for (int i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        *ret_number = 10 * *ret_number + text[i] - '0';
    }
    return true;
}

bool view_day_parse(const char *text, int32_t *ret_day)
{
    struct civil civil;
    struct civil again;
    int year;

    if (strlen(text) != 10 || text[4] != '-' || text[7] != '-' || !read_digits(text, 4, &year) ||
        !read_digits(text + 5, 2, &civil.month) || !read_digits(text + 8, 2, &civil.day) || year < 1 || civil.month < 1 ||
        civil.month > 12) {
        return false;
    }
    civil.year = year;
    *ret_day = (int32_t)civil_to_days(&civil);
    again = civil_of_days(*ret_day);
    return again.year == civil.year && again.month == civil.month && again.day == civil.day;
}

static void print_day(char text[32], int32_t day)
{
    struct civil civil = civil_of_days(day);

    (void)snprintf(text, 32, "%04d-%02d-%02d", (int)civil.year, civil.month, civil.day);
}

/* ---- the line */

/* The last line that begins so; NULL: none. */
static const char *find_line(const char *query)
{
    const char *found = NULL;

    for (const char *at = query; at != NULL && *at != '\0'; at = strchr(at, '\n'), at = at != NULL ? at + 1 : NULL) {
        if (strncmp(at, LINE_BEGIN, strlen(LINE_BEGIN)) == 0) {
            found = at + strlen(LINE_BEGIN);
        }
    }
    return found;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

static bool read_days(const json_t *days, struct view_state *state)
{
    const char *text;
    json_t *rows;

    json_object_foreach((json_t *)days, text, rows)
    {
        struct view_day *day = &state->days[state->day_count];

        if (state->day_count == VIEW_DAYS_KEPT || !view_day_parse(text, &day->day) || !json_is_integer(rows)) {
            return false;
        }
        day->rows = json_integer_value(rows);
        state->day_count++;
    }
    return true;
}

static bool read_object(const json_t *object, struct view_state *state)
{
    const char *watermark = text_of(object, "watermark");

    (void)snprintf(state->as_of, sizeof state->as_of, "%s", text_of(object, "as_of"));
    state->base_ms = strtoll(text_of(object, "base"), NULL, 10);
    if (watermark[0] == '\0') {
        return state->base_ms == 0;
    }
    return state->base_ms > 0 && view_day_parse(watermark, &state->watermark) &&
           read_days(json_object_get(object, "days"), state);
}

void view_state_read(const char *query, struct view_state *ret_state)
{
    const char *line = query != NULL ? find_line(query) : NULL;
    json_t *object = line != NULL ? json_loadb(line, strcspn(line, "\n"), 0, NULL) : NULL;

    *ret_state = (struct view_state){.watermark = VIEW_DAY_NONE};
    if (object != NULL && !read_object(object, ret_state)) {
        *ret_state = (struct view_state){.watermark = VIEW_DAY_NONE};
    }
    json_decref(object);
}

void view_state_append(struct buffer *out, const struct view_state *state)
{
    char day[32];

    buffer_printf(out, LINE_BEGIN "{\"as_of\": \"%s\"", state->as_of);
    if (state->base_ms > 0) {
        print_day(day, state->watermark);
        buffer_printf(out, ", \"base\": \"%" PRId64 "\", \"watermark\": \"%s\", \"days\": {", state->base_ms, day);
        for (size_t i = 0; i < state->day_count; i++) {
            print_day(day, state->days[i].day);
            buffer_printf(out, "%s\"%s\": %" PRId64, i > 0 ? ", " : "", day, state->days[i].rows);
        }
        buffer_append_byte(out, '}');
    }
    buffer_append_text(out, "}\n");
}

/* ---- what a view is made of */

/* The place of the key's part in the columns; SIZE_MAX: no column is marked so. */
static size_t find_key_part(const struct shape *history, unsigned part)
{
    size_t place = 0;

    for (size_t i = 0; i < history->column_count; i++) {
        const struct shape_column *column = &history->columns[i];

        if (column->meta || column->type < 0) {
            continue;
        }
        if (column->key == part) {
            return place;
        }
        place++;
    }
    return SIZE_MAX;
}

static unsigned key_parts(const struct shape *history)
{
    unsigned parts = 0;

    for (size_t i = 0; i < history->column_count; i++) {
        parts = history->columns[i].key > parts ? history->columns[i].key : parts;
    }
    return parts;
}

static int read_key(struct view_parts *parts, const struct shape *history, const struct bigquery_names *names, struct err *err)
{
    unsigned count = key_parts(history);

    if (count > history->column_count) {
        return err_set(err, ERR_FATAL, "the descriptions of the columns of %s.%s do not tell the key any more", names->dataset,
                       names->history);
    }
    parts->key = calloc(count + 1, sizeof *parts->key);
    must(parts->key != NULL);
    for (unsigned part = 1; part <= count; part++) {
        parts->key[part - 1] = find_key_part(history, part);
        if (parts->key[part - 1] == SIZE_MAX) {
            return err_set(
                err, ERR_FATAL,
                "the descriptions of the columns of %s.%s were changed: none says \", key %u\"; put it back, or start the "
                "workers anew: who reads partition 0 does so",
                names->dataset, names->history, part);
        }
    }
    parts->definition.key_count = count;
    return 0;
}

static void read_columns(struct view_parts *parts, const struct shape *history, const struct settings_bigquery *settings)
{
    parts->columns = calloc(history->column_count + 1, sizeof *parts->columns);
    must(parts->columns != NULL);
    for (size_t i = 0; i < history->column_count; i++) {
        const struct shape_column *column = &history->columns[i];

        if (!column->meta && column->type >= 0) {
            parts->columns[parts->definition.column_count++] = (struct view_column){
                .name = column->name,
                .type = (enum bigquery_type)column->type,
                .shown = column->key > 0 || settings->columns == BIGQUERY_COLUMNS_ALL || !column->dropped,
            };
        }
    }
}

int view_parts_init(struct view_parts *parts, const struct shape *history, const struct bigquery_names *names,
                    const struct settings_bigquery *settings, struct err *err)
{
    *parts = (struct view_parts){0};
    parts->definition = (struct view_definition){
        .names = names,
        .keep_deletes = settings->deletes == BIGQUERY_DELETES_KEEP,
        .filtered = history->filter_required,
        .expires = history->expiration_ms > 0,
    };
    read_columns(parts, history, settings);
    if (read_key(parts, history, names, err) != 0) {
        view_parts_deinit(parts);
        return -1;
    }
    parts->definition.columns = parts->columns;
    parts->definition.key = parts->key;
    return 0;
}

void view_parts_deinit(struct view_parts *parts)
{
    free(parts->columns);
    free(parts->key);
    *parts = (struct view_parts){0};
}
