/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose a dataset is says its label kakehi_owner; which of its tables are histories, theirs. From the history's description and
 * label the source table is known, and by it the names that the settings give; where these are others than those that are
 * there, the settings have been changed, and a person must say which are meant.
 */
#include "workers/bigquery/views_command.h"

#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "common/log.h"
#include "common/must.h"
#include "common/text_list.h"
#include "schemas/civil.h"
#include "workers/bigquery/client.h"
#include "workers/bigquery/refresh.h"
#include "workers/bigquery/tables_shape.h"
#include "workers/bigquery/view_sql.h"

#define PAGE 1000

struct command {
    const struct settings *settings;
    struct client *client;
    FILE *out;
    unsigned failures;
};

static void print_failure(struct command *command, const char *what, const char *why)
{
    command->failures++;
    (void)fprintf(command->out, "%s: failed: %s\n", what, why);
}

/* ---- lists */

/* "datasets", "datasets/D/tables" */
static int get_page(struct command *command, const char *path_end, const char *page, json_t **ret_body,
                    struct rest_error *error)
{
    struct buffer path = {0};
    struct rest_request request = {.method = "GET"};
    int result;

    client_append_project(command->client, &path);
    buffer_printf(&path, "/%s?maxResults=%d", path_end, PAGE);
    if (page != NULL) {
        buffer_append_text(&path, "&pageToken=");
        rest_append_encoded(&path, page);
    }
    request.path = buffer_text(&path);
    result = client_rest(command->client, &request, ret_body, error);
    buffer_deinit(&path);
    return result;
}

/* Calls `add` with each item of all pages of the list. */
static int walk(struct command *command, const char *path_end, const char *key,
                void (*add)(struct command *command, const json_t *item, struct text_list *list), struct text_list *list)
{
    char *page = NULL;
    struct rest_error error = {0};
    json_t *body;
    json_t *item;
    size_t i;

    do {
        if (get_page(command, path_end, page, &body, &error) != 0) {
            print_failure(command, path_end, error.err.text);
            free(page);
            return -1;
        }
        json_array_foreach(json_object_get(body, key), i, item)
        {
            add(command, item, list);
        }
        free(page);
        page = must_strdup(json_string_value(json_object_get(body, "nextPageToken")));
        json_decref(body);
    } while (page != NULL && page[0] != '\0');
    free(page);
    return 0;
}

static const char *label_of(const json_t *item, const char *key)
{
    const char *text = json_string_value(json_object_get(json_object_get(item, "labels"), key));

    return text != NULL ? text : "";
}

static void add_dataset(struct command *command, const json_t *item, struct text_list *list)
{
    const char *id = json_string_value(json_object_get(json_object_get(item, "datasetReference"), "datasetId"));
    struct buffer owner = {0};

    shape_append_owner(&owner, command->settings);
    if (id != NULL && strcmp(label_of(item, "kakehi_owner"), buffer_text(&owner)) == 0) {
        text_list_add(list, id);
    }
    buffer_deinit(&owner);
}

static void add_history(struct command *command, const json_t *item, struct text_list *list)
{
    const char *id = json_string_value(json_object_get(json_object_get(item, "tableReference"), "tableId"));

    (void)command;
    if (id != NULL && strcmp(label_of(item, "kakehi_kind"), "history") == 0) {
        text_list_add(list, id);
    }
}

/* ---- one history */

struct round {
    bool done;
    bool failed;
    struct refresh_report report;
    struct err err;
};

static void on_round(void *context, const struct refresh_report *report, const struct err *err)
{
    struct round *round = context;

    round->done = true;
    round->failed = err != NULL;
    if (err != NULL) {
        round->err = *err;
    } else {
        round->report = *report;
    }
}

static void print_day(FILE *out, const char *words, int32_t day)
{
    struct civil civil = civil_of_days(day);

    (void)fprintf(out, "%s%04d-%02d-%02d", words, (int)civil.year, civil.month, civil.day);
}

static void print_report(struct command *command, const char *source, const struct refresh_report *report)
{
    static const char *const did[] = {
        [REFRESH_NOTHING] = "nothing to do",    [REFRESH_CHANGED] = "view made or changed",
        [REFRESH_MERGED] = "refreshed",         [REFRESH_NO_KEY] = "no primary key, so no latest view",
        [REFRESH_GONE] = "the history is gone",
    };

    (void)fprintf(command->out, "%s: %s", source, did[report->did]);
    if (report->did == REFRESH_MERGED) {
        if (report->from_day == VIEW_DAY_NONE) {
            (void)fprintf(command->out, ", merged from the beginning");
        } else {
            print_day(command->out, ", merged from ", report->from_day);
        }
    }
    if (report->base && report->watermark != VIEW_DAY_NONE) {
        print_day(command->out, ", base before ", report->watermark);
    }
    if (report->late_rows > 0) {
        (void)fprintf(command->out, ", %llu late rows found", (unsigned long long)report->late_rows);
    }
    (void)fprintf(command->out, "\n");
}

static void refresh(struct command *command, const struct bigquery_names *names)
{
    struct round round = {0};
    const struct refresh_options options = {
        .rest = client_calls(command->client), .settings = command->settings, .names = names};

    (void)refresh_start(&options, on_round, &round);
    client_wait(command->client, &round.done);
    if (round.failed) {
        print_failure(command, names->source, round.err.text);
    } else {
        print_report(command, names->source, &round.report);
    }
}

static int read_shape(struct command *command, const char *dataset, const char *history, struct shape *shape, struct err *err)
{
    struct buffer path = {0};
    struct rest_request request = {.method = "GET"};
    struct rest_error error = {0};
    json_t *body;
    int result;

    client_append_project(command->client, &path);
    buffer_append_text(&path, "/datasets/");
    rest_append_encoded(&path, dataset);
    buffer_append_text(&path, "/tables/");
    rest_append_encoded(&path, history);
    request.path = buffer_text(&path);
    result = client_rest(command->client, &request, &body, &error);
    if (result != 0) {
        *err = error.err;
    } else {
        result = shape_read(body, shape, err);
        json_decref(body);
    }
    buffer_deinit(&path);
    return result;
}

/* The names that the settings give to the history's source; they must be those that are there. */
static int name(struct command *command, const char *dataset, const char *history, const struct shape *shape,
                struct bigquery_names *names, struct err *err)
{
    char *database;
    char *table;
    int result;

    if (!shape_source(shape, &database, &table)) {
        return err_set(err, ERR_FATAL,
                       "its description was changed, so its source table is not known: \"Every change of DATABASE.TABLE, "
                       "each once.\"");
    }
    result = bigquery_names_init(names, &command->settings->bigquery, database, table, err);
    if (result == 0 && (strcmp(names->dataset, dataset) != 0 || strcmp(names->history, history) != 0)) {
        result = err_set(err, ERR_FATAL,
                         "by bigquery.dataset and bigquery.table the history of %s is %s.%s: settings or tables are old",
                         names->source, names->dataset, names->history);
        bigquery_names_deinit(names);
    }
    free(database);
    free(table);
    return result;
}

static void look_after(struct command *command, const char *dataset, const char *history)
{
    struct shape shape = {0};
    struct bigquery_names names;
    struct buffer what = {0};
    struct err err;

    buffer_printf(&what, "%s.%s", dataset, history);
    if (read_shape(command, dataset, history, &shape, &err) != 0 ||
        name(command, dataset, history, &shape, &names, &err) != 0) {
        print_failure(command, buffer_text(&what), err.text);
    } else {
        refresh(command, &names);
        bigquery_names_deinit(&names);
    }
    shape_deinit(&shape);
    buffer_deinit(&what);
}

static void look_after_dataset(struct command *command, const char *dataset)
{
    struct text_list histories = {0};
    struct buffer path_end = {0};

    buffer_append_text(&path_end, "datasets/");
    rest_append_encoded(&path_end, dataset);
    buffer_append_text(&path_end, "/tables");
    (void)walk(command, buffer_text(&path_end), "tables", add_history, &histories);
    for (size_t i = 0; i < histories.count; i++) {
        look_after(command, dataset, histories.texts[i]);
    }
    text_list_deinit(&histories);
    buffer_deinit(&path_end);
}

int views_command(const struct settings *settings, FILE *out)
{
    struct command command = {.settings = settings, .out = out};
    struct text_list datasets = {0};
    struct err err;

    if (settings->warehouse != WAREHOUSE_BIGQUERY) {
        (void)fprintf(out, "warehouse is not bigquery: there is nothing to do\n");
        return CLI_OK;
    }
    if (client_new(settings, &command.client, &err) != 0) {
        log_error("stopped", "reason=%q", err.text);
        return CLI_FAILED;
    }
    (void)walk(&command, "datasets", "datasets", add_dataset, &datasets);
    for (size_t i = 0; i < datasets.count; i++) {
        look_after_dataset(&command, datasets.texts[i]);
    }
    text_list_deinit(&datasets);
    client_free(command.client);
    return command.failures > 0 ? CLI_FAILED : CLI_OK;
}
