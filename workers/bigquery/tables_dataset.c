/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose a dataset is, is asked once a worker, before anything is made in it:
 *
 *   GET  404 -> POST (409: somebody was faster -> GET)
 *        another location, another owner -> refused
 *        no owner -> does it hold tables? none: it becomes ours by a label; some: refused, a person says so
 *        ours -> go on
 *
 * An unlabeled dataset that holds tables may be another environment's, made by hand before labels were asked for: to write into
 * it can't be taken back, to ask for a label costs a minute.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "common/must.h"
#include "workers/bigquery/tables_parts.h"

static void look(struct dataset *dataset);

static void finish(struct dataset *dataset, const struct err *err)
{
    dataset->state = err == NULL ? DATASET_OURS : DATASET_UNKNOWN;
    for (struct entry *entry = dataset->tables->entries; entry != NULL; entry = entry->next) {
        if (entry_waits_for(entry, dataset)) {
            entry_on_dataset(entry, err);
        }
    }
}

static void fail(struct dataset *dataset, const char *doing, const struct rest_error *error)
{
    struct err err = error->err;

    err.class = err.class == ERR_POISON ? ERR_FATAL : err.class;
    (void)err_while(&err, "%s the dataset %s.%s", doing, dataset->names.project, dataset->name);
    finish(dataset, &err);
}

static void ask(struct dataset *dataset, struct rest_request *request, const char *behind, rest_answered answered)
{
    struct buffer path = {0};

    if (strcmp(request->method, "POST") == 0) {
        buffer_append_text(&path, "/bigquery/v2/projects/");
        rest_append_encoded(&path, dataset->names.project);
        buffer_append_text(&path, "/datasets");
    } else {
        tables_append_path(&path, &dataset->names, NULL);
        buffer_append_text(&path, behind);
    }
    request->path = buffer_text(&path);
    dataset->call = rest_send(dataset->tables->options.rest, request, answered, dataset);
    buffer_deinit(&path);
}

/* ---- one without an owner */

static void on_labeled(void *context, const struct rest_answer *answer)
{
    struct dataset *dataset = context;

    dataset->call = NULL;
    if (answer->error == NULL) {
        log_info("dataset-taken", "dataset=%s.%s reason=%q", dataset->names.project, dataset->name,
                 "it was empty and had no owner");
        finish(dataset, NULL);
    } else if (answer->error->class == REST_CONFLICT) {
        look(dataset);
    } else {
        fail(dataset, "labeling", answer->error);
    }
}

static void label(struct dataset *dataset)
{
    const struct shape_making making = {dataset->tables->options.settings, &dataset->names};
    json_t *body = json_pack("{s:o}", "labels", shape_labels(&making, NULL));
    struct rest_request request = {.method = "PATCH", .body = body, .if_match = dataset->etag, .repeatable = true};

    must(body != NULL);
    ask(dataset, &request, "", on_labeled);
    json_decref(body);
}

static void on_listed(void *context, const struct rest_answer *answer)
{
    struct dataset *dataset = context;

    dataset->call = NULL;
    if (answer->error != NULL) {
        fail(dataset, "listing the tables of", answer->error);
    } else if (json_array_size(json_object_get(answer->body, "tables")) > 0) {
        finish(dataset, &dataset->unowned);
    } else {
        label(dataset);
    }
}

static void list(struct dataset *dataset)
{
    struct rest_request request = {.method = "GET"};

    ask(dataset, &request, "/tables?maxResults=1", on_listed);
}

/* ---- one that is there */

static int check_location(const struct dataset *dataset, const json_t *body, struct err *err)
{
    const char *location = json_string_value(json_object_get(body, "location"));
    const char *wanted = dataset->tables->options.settings->bigquery.location;

    if (location != NULL && strcasecmp(location, wanted) != 0) {
        return err_set(err, ERR_FATAL,
                       "the dataset %s.%s stands in %s, bigquery.location says %s: set it so, or choose another dataset",
                       dataset->names.project, dataset->name, location, wanted);
    }
    return 0;
}

/* Somebody may have meant it, for tables of his own. */
static void tell_expirations(const struct dataset *dataset, const json_t *body)
{
    struct buffer text = {0};

    shape_append_expirations(&text, body);
    if (text.size > 0) {
        log_warn("dataset-deletes", "dataset=%s.%s default=%q next=%q", dataset->names.project, dataset->name, buffer_text(&text),
                 "each table of ours is told to stay");
    }
    buffer_deinit(&text);
}

static void judge(struct dataset *dataset, const json_t *body)
{
    const struct shape_making making = {dataset->tables->options.settings, &dataset->names};
    const char *etag = json_string_value(json_object_get(body, "etag"));
    struct err err;

    free(dataset->etag);
    dataset->etag = must_strdup(etag);
    if (check_location(dataset, body, &err) != 0) {
        finish(dataset, &err);
        return;
    }
    tell_expirations(dataset, body);
    switch (shape_owner_of(body, &making, &err)) {
    case SHAPE_OURS:
        finish(dataset, NULL);
        break;
    case SHAPE_NOBODYS:
        dataset->unowned = err;
        list(dataset);
        break;
    case SHAPE_ANOTHERS:
        finish(dataset, &err);
        break;
    }
}

/* ---- one that is not */

static void on_made(void *context, const struct rest_answer *answer)
{
    struct dataset *dataset = context;

    dataset->call = NULL;
    if (answer->error == NULL) {
        log_info("dataset-made", "dataset=%s.%s location=%s", dataset->names.project, dataset->name,
                 dataset->tables->options.settings->bigquery.location);
        finish(dataset, NULL);
    } else if (answer->error->class == REST_CONFLICT) {
        look(dataset);
    } else {
        fail(dataset, "making", answer->error);
    }
}

static void make(struct dataset *dataset)
{
    const struct shape_making making = {dataset->tables->options.settings, &dataset->names};
    json_t *body = shape_dataset(&making);
    struct rest_request request = {.method = "POST", .body = body, .repeatable = true};

    ask(dataset, &request, "", on_made);
    json_decref(body);
}

static void on_looked(void *context, const struct rest_answer *answer)
{
    struct dataset *dataset = context;

    dataset->call = NULL;
    if (answer->error == NULL) {
        judge(dataset, answer->body);
    } else if (answer->error->class == REST_NOT_FOUND) {
        make(dataset);
    } else {
        fail(dataset, "asking for", answer->error);
    }
}

static void look(struct dataset *dataset)
{
    struct rest_request request = {.method = "GET"};

    ask(dataset, &request, "", on_looked);
}

/* ---- from the entries */

static struct dataset *find(struct tables *tables, const char *name)
{
    struct dataset *dataset = tables->datasets;

    while (dataset != NULL && strcmp(dataset->name, name) != 0) {
        dataset = dataset->next;
    }
    return dataset;
}

static struct dataset *add(struct entry *entry)
{
    struct dataset *dataset = calloc(1, sizeof *dataset);

    must(dataset != NULL);
    dataset->tables = entry->tables;
    dataset->name = entry->names.dataset; /* an entry lives as long as all */
    dataset->names = entry->names;
    dataset->next = entry->tables->datasets;
    entry->tables->datasets = dataset;
    return dataset;
}

void dataset_ensure(struct entry *entry)
{
    struct dataset *dataset = find(entry->tables, entry->names.dataset);

    if (dataset == NULL) {
        dataset = add(entry);
    }
    entry->dataset = dataset;
    if (dataset->state == DATASET_OURS) {
        entry_on_dataset(entry, NULL);
    } else if (dataset->state == DATASET_UNKNOWN) {
        dataset->state = DATASET_ASKED;
        look(dataset);
    }
}

void dataset_free(struct dataset *dataset)
{
    if (dataset->call != NULL) {
        rest_cancel(dataset->call);
    }
    free(dataset->etag);
    free(dataset);
}
