/* SPDX-License-Identifier: Apache-2.0 */
/* One finding a table and question; what is not there yet is a note, since the worker makes it. */
#include "workers/bigquery/bigquery_check.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "workers/bigquery/client.h"
#include "workers/bigquery/cost.h"
#include "workers/bigquery/method.h"
#include "workers/bigquery/names.h"
#include "workers/bigquery/permissions.h"
#include "workers/bigquery/prove.h"
#include "workers/bigquery/tables_shape.h"
#include "workers/bigquery/view_days.h"

#define DAY_MS         86400000.0
#define AGE_DAYS_MIN   0.05 /* a rate of less than an hour is no rate */
#define HTTP_NOT_FOUND 404

struct look {
    const struct settings *settings;
    const struct check_options *options;
    struct findings *findings;
    struct client *client;
    struct cost_prices prices;
    int32_t group_partitions; /* as known_tables counted them */
    double cost_sum;
};

/* What is looked at, for one table. */
struct place {
    const struct table *table;
    int32_t partitions; /* of its topic */
    struct bigquery_names names;
    char subject[1200];
    char full_name[1100]; /* "shop.orders" */
};

static int get(struct look *look, const char *dataset, const char *table, json_t **ret_body, struct rest_error *ret_error)
{
    struct buffer path = {0};
    int status;

    client_append_project(look->client, &path);
    buffer_append_text(&path, "/datasets");
    if (dataset != NULL) {
        buffer_append_byte(&path, '/');
        rest_append_encoded(&path, dataset);
    }
    if (table != NULL) {
        buffer_append_text(&path, "/tables/");
        rest_append_encoded(&path, table);
    }
    status = client_rest(look->client, &(struct rest_request){.method = "GET", .path = buffer_text(&path)}, ret_body, ret_error);
    buffer_deinit(&path);
    return status;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}

/* BigQuery writes its 64-bit numbers as texts. */
static double number_of(const json_t *object, const char *name)
{
    return strtod(text_of(object, name), NULL);
}

/* ---- permissions */

static const char role_remedy[] = "grant the role of ops/gcp/kakehi-worker-role.yaml";

static void judge_permissions(struct look *look, enum permissions_scope scope, const char *subject, const json_t *body)
{
    struct buffer names = {0};

    if (permissions_missing(scope, body, &names) == 0) {
        finding(look->findings, FINDING_OK, subject, NULL, "no permission is missing%s",
                scope == PERMISSIONS_PROJECT ? " that only the project can give" : "");
    } else if (scope == PERMISSIONS_DATASET) {
        finding(look->findings, FINDING_NOTE, subject, NULL, "not granted on the project, so needed on each dataset: %s", buffer_text(&names));
    } else {
        finding(look->findings, FINDING_ERROR, subject, role_remedy, "missing: %s", buffer_text(&names));
    }
    buffer_deinit(&names);
}

/* An emulator has no permissions. Whoever stands in for BigQuery stands in for the resource manager too. */
static void check_permissions(struct look *look, enum permissions_scope scope, const char *subject, const char *dataset, const char *table)
{
    const struct settings_bigquery *settings = &look->settings->bigquery;
    bool google = strstr(settings->endpoint, ".googleapis.com") != NULL;
    struct permissions_question question;
    struct rest_error error;
    json_t *body = NULL;

    if (settings->credentials != NULL && strcmp(settings->credentials, "none") == 0) {
        return;
    }
    permissions_ask(&question, scope, settings->project, dataset, table, google ? NULL : settings->endpoint);
    if (client_rest(look->client, &question.request, &body, &error) == 0) {
        judge_permissions(look, scope, subject, body);
    } else {
        finding(look->findings, FINDING_NOTE, subject, NULL, "which permissions are missing can't be asked: %s; the project needs the API cloudresourcemanager.googleapis.com (ops/gcp/setup enables it)",
                error.err.text);
    }
    json_decref(body);
    permissions_question_deinit(&question);
}

/* ---- the dataset */

static void judge_dataset(struct look *look, const struct place *place, const json_t *dataset)
{
    const char *location = look->settings->bigquery.location;
    const char *marked = text_of(json_object_get(dataset, "labels"), "kakehi_owner");
    struct buffer owner = {0};
    struct buffer deleted = {0};

    shape_append_owner(&owner, look->settings);
    if (strcasecmp(text_of(dataset, "location"), location) != 0) {
        finding(look->findings, FINDING_ERROR, place->subject,
                "set bigquery.location to the dataset's, or choose another dataset", "dataset %s is in %s, and the settings say %s",
                place->names.dataset, text_of(dataset, "location"), location);
    }
    if (marked[0] != '\0' && strcmp(marked, buffer_text(&owner)) != 0) {
        finding(look->findings, FINDING_ERROR, place->subject,
                "choose another bigquery.dataset, or set bigquery.owner if it is yours", "dataset %s belongs to %s, and we are %s",
                place->names.dataset, marked, buffer_text(&owner));
    } else if (marked[0] == '\0') {
        finding(look->findings, FINDING_WARNING, place->subject, "set the label kakehi_owner on it, if it is for this pipeline",
                "dataset %s has no owner: it is taken only while it holds no table", place->names.dataset);
    }
    shape_append_expirations(&deleted, dataset);
    if (deleted.size > 0) {
        finding(look->findings, FINDING_WARNING, place->subject,
                "bq update --default_table_expiration 0 --default_partition_expiration 0, unless it is meant for other tables",
                "dataset %s deletes by default %s: the worker tells each table of its own to stay", place->names.dataset,
                buffer_text(&deleted));
    }
    buffer_deinit(&deleted);
    buffer_deinit(&owner);
}

static void check_dataset(struct look *look, const struct place *place)
{
    json_t *dataset = NULL;
    struct rest_error error;

    if (get(look, place->names.dataset, NULL, &dataset, &error) == 0) {
        judge_dataset(look, place, dataset);
        json_decref(dataset);
    } else if (error.status == HTTP_NOT_FOUND) {
        finding(look->findings, FINDING_NOTE, place->subject, NULL, "dataset %s is not there yet: the worker makes it", place->names.dataset);
    } else {
        finding(look->findings, FINDING_ERROR, place->subject, "grant bigquery.datasets.get", "dataset %s: %s", place->names.dataset, error.err.text);
    }
}

/* ---- what a month costs */

static void query_bytes(struct look *look, const struct place *place, double *ret_bytes)
{
    struct buffer sql = {0};
    struct rest_error error;
    int64_t bytes = 0;

    buffer_append_text(&sql, "SELECT * FROM ");
    bigquery_append_path(&sql, &place->names, place->names.view);
    if (client_dry_run(look->client, buffer_text(&sql), &bytes, &error) == 0) {
        finding(look->findings, FINDING_OK, place->subject, NULL, "a query of the whole view %s.%s reads %.1f MB", place->names.dataset,
                place->names.view, (double)bytes / 1e6);
    } else {
        finding(look->findings, error.status == HTTP_NOT_FOUND ? FINDING_NOTE : FINDING_WARNING, place->subject,
                error.status == HTTP_NOT_FOUND ? NULL : "see the message; `kakehi-worker views` makes the view anew",
                "the view can't be queried: %s", error.err.text);
    }
    *ret_bytes = (double)bytes;
    buffer_deinit(&sql);
}

/* numBytes leaves out what stands in the streaming buffer: what was appended in the last minutes, up to 90, so all of a young table. */
static double stored_bytes(const json_t *table)
{
    return number_of(table, "numBytes") + number_of(json_object_get(table, "streamingBuffer"), "estimatedBytes");
}

static double base_bytes(struct look *look, const struct place *place)
{
    json_t *base = NULL;
    struct rest_error error;
    double bytes = get(look, place->names.dataset, place->names.base, &base, &error) == 0 ? stored_bytes(base) : 0;

    json_decref(base);
    return bytes;
}

/* As a worker would choose that has no backlog. */
static bool goes_by_loads(const struct look *look, const struct place *place)
{
    const struct settings_bigquery *settings = &look->settings->bigquery;
    const struct method_limits limits = {.setting = settings_bigquery_method(look->settings, place->full_name),
                                         .freshness_ms = settings_freshness_ms(look->settings, place->full_name),
                                         .table_jobs = settings->table_jobs,
                                         .project_jobs = settings->project_jobs,
                                         .backlog_rows = settings->backlog_rows};
    struct method_choice choice = method_choose(&limits, place->partitions, look->group_partitions, 0, &(struct method_choice){0});

    return choice.method == METHOD_LOAD;
}

/* How long the history has been collecting what it holds now. */
static double collected_days(const struct look *look, const json_t *history)
{
    double age_days = ((double)time(NULL) * 1000 - number_of(history, "creationTime")) / DAY_MS;
    double kept_days = (double)look->settings->bigquery.partition_expiration_ms / DAY_MS;

    age_days = kept_days > 0 && kept_days < age_days ? kept_days : age_days;
    return age_days > AGE_DAYS_MIN ? age_days : AGE_DAYS_MIN;
}

static void estimate(struct look *look, const struct place *place, const json_t *history, double view_bytes)
{
    double bytes = stored_bytes(history);
    bool base = settings_bigquery_view(look->settings, place->full_name) == BIGQUERY_VIEW_BASE;
    const struct cost_facts facts = {
        .bytes_a_day = bytes / collected_days(look, history),
        .stored_bytes = bytes + base_bytes(look, place),
        .query_bytes = view_bytes,
        .queries_a_day = (double)look->settings->bigquery.queries_a_day,
        .refresh_bytes = base ? view_bytes : 0,
        .refreshes_a_day = 1.0 / (double)view_days_at_once(settings_freshness_ms(look->settings, place->full_name)),
        .loads = goes_by_loads(look, place),
    };
    const struct cost cost = cost_month(&facts, &look->prices);

    look->cost_sum += cost_sum(&cost);
    finding(look->findings, FINDING_NOTE, place->subject, NULL,
            "a month: %.2f = writing %.2f (%s, %.3f GB a day x 30 x append_gib) + storage %.2f ((%.3f GB + half a month's growth) x "
            "storage_gib_month) + queries %.2f (%.0f a day x 30 x %.1f MB x scan_tib) + refresh %.2f (%.2f a day x 30 x %.1f MB x scan_tib)",
            cost_sum(&cost), cost.writing, facts.loads ? "load jobs, free" : "appends", facts.bytes_a_day / 1e9, cost.storage,
            facts.stored_bytes / 1e9, cost.queries, facts.queries_a_day, facts.query_bytes / 1e6, cost.refresh, facts.refreshes_a_day,
            facts.refresh_bytes / 1e6);
}

/* ---- the history and the view */

/* Settings that were changed since it was made. */
static void check_settings(struct look *look, const struct place *place, const json_t *history)
{
    const struct shape_making making = {look->settings, &place->names};
    struct shape shape = {0};
    struct shape_drift drift = {0};
    struct err err;

    if (shape_read(history, &shape, &err) != 0) {
        finding(look->findings, FINDING_WARNING, place->subject, "see the message", "%s", err.text);
    } else {
        shape_drift(&shape, &making, &drift);
    }
    if (drift.changes.size > 0) {
        finding(look->findings, FINDING_NOTE, place->subject, NULL, "the worker changes of %s.%s by the settings: %s", place->names.dataset,
                place->names.history, buffer_text(&drift.changes));
    }
    if (drift.left.size > 0) {
        finding(look->findings, FINDING_WARNING, place->subject, "run the statement, or set the settings back", "%s",
                buffer_text(&drift.left));
    }
    shape_drift_deinit(&drift);
    shape_deinit(&shape);
}

static void say_size(struct look *look, const struct place *place, const json_t *history)
{
    const json_t *streaming = json_object_get(history, "streamingBuffer");
    struct buffer text = {0};

    buffer_printf(&text, "history %s.%s: %s rows, %.1f MB", place->names.dataset, place->names.history, text_of(history, "numRows"),
                  number_of(history, "numBytes") / 1e6);
    if (streaming != NULL) {
        buffer_printf(&text, "; about %s rows more, %.1f MB, in its streaming buffer", text_of(streaming, "estimatedRows"),
                      number_of(streaming, "estimatedBytes") / 1e6);
    }
    finding(look->findings, FINDING_OK, place->subject, NULL, "%s", buffer_text(&text));
    buffer_deinit(&text);
}

static void check_history(struct look *look, const struct place *place)
{
    json_t *history = NULL;
    struct rest_error error;
    double view_bytes = 0;

    if (get(look, place->names.dataset, place->names.history, &history, &error) != 0) {
        finding(look->findings, error.status == HTTP_NOT_FOUND ? FINDING_NOTE : FINDING_ERROR, place->subject,
                error.status == HTTP_NOT_FOUND ? NULL : "grant bigquery.tables.get", "%s.%s: %s", place->names.dataset, place->names.history,
                error.status == HTTP_NOT_FOUND ? "not there yet: the worker makes it" : error.err.text);
        return;
    }
    say_size(look, place, history);
    check_permissions(look, PERMISSIONS_TABLE, place->subject, place->names.dataset, place->names.history);
    check_settings(look, place, history);
    if (place->table->key_count > 0) {
        query_bytes(look, place, &view_bytes);
    }
    if (look->options->cost) {
        estimate(look, place, history, view_bytes);
    }
    json_decref(history);
}

static struct place place_of(const struct known_tables *tables, size_t i)
{
    const struct table *table = tables->schemas[i]->table;
    struct place place = {.table = table, .partitions = tables->partitions[i]};

    (void)snprintf(place.full_name, sizeof place.full_name, "%s.%s", table->database, table->name);
    (void)snprintf(place.subject, sizeof place.subject, "table %s", place.full_name);
    return place;
}

static void check_table(struct look *look, struct place *place)
{
    const struct table *table = place->table;
    struct err err;

    if (bigquery_names_init(&place->names, &look->settings->bigquery, table->database, table->name, &err) != 0) {
        finding(look->findings, FINDING_ERROR, place->subject, "choose other patterns in bigquery.dataset and bigquery.table", "%s", err.text);
        return;
    }
    check_dataset(look, place);
    check_history(look, place);
    bigquery_names_deinit(&place->names);
}

/* ---- all */

static bool check_sign_in(struct look *look)
{
    const char *who = NULL;
    json_t *body = NULL;
    struct rest_error error;
    struct err err;

    if (client_sign_in(look->client, &who, &err) != 0) {
        finding(look->findings, FINDING_ERROR, "bigquery sign-in", "see bigquery.credentials", "%s", err.text);
        return false;
    }
    finding(look->findings, FINDING_OK, "bigquery sign-in", NULL, "%s", who);
    if (get(look, NULL, NULL, &body, &error) != 0) {
        finding(look->findings, FINDING_ERROR, "bigquery project", "is bigquery.project right, and may we use BigQuery there?", "%s", error.err.text);
        return false;
    }
    json_decref(body);
    finding(look->findings, FINDING_OK, "bigquery project", NULL, "%s answers", look->settings->bigquery.project);
    check_permissions(look, PERMISSIONS_PROJECT, "bigquery permissions", NULL, NULL);
    check_permissions(look, PERMISSIONS_DATASET, "bigquery permissions", NULL, NULL);
    return true;
}

static void look_at_all(struct look *look, const struct known_tables *tables)
{
    look->group_partitions = tables->group_partitions;
    for (size_t i = 0; i < tables->count; i++) {
        struct place place = place_of(tables, i);

        check_table(look, &place);
    }
    if (look->options->cost) {
        finding(look->findings, FINDING_NOTE, "cost", NULL,
                "%.2f a month for %zu tables, by prices of %s: %.4f a GiB appended, %.4f a GiB stored, %.4f a TiB read; free amounts not "
                "taken off",
                look->cost_sum, tables->count, look->prices.date, look->prices.append_gib, look->prices.storage_gib_month,
                look->prices.scan_tib);
    }
    if (look->options->prove) {
        prove(look->client, look->settings, look->findings);
    }
}

void bigquery_check(const struct settings *settings, const struct known_tables *tables, const struct check_options *options,
                    struct findings *findings)
{
    struct look look = {.settings = settings, .options = options, .findings = findings};
    struct err err;

    if (cost_prices_read(&settings->bigquery, &look.prices, &err) != 0) {
        finding(findings, FINDING_ERROR, "bigquery.prices", "mend the settings", "%s", err.text);
    } else if (client_new(settings, &look.client, &err) != 0) {
        finding(findings, FINDING_ERROR, "bigquery sign-in",
                "see bigquery.credentials, bigquery.endpoint and bigquery.storage_endpoint", "%s", err.text);
    } else if (check_sign_in(&look)) {
        look_at_all(&look, tables);
    }
    client_free(look.client);
}
