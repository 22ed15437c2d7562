/* SPDX-License-Identifier: Apache-2.0 */
/* {"permissions": [wanted]} is answered with {"permissions": [granted]}; none granted: the field is missing. */
#include "workers/bigquery/permissions.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

#define RESOURCE_MANAGER "https://cloudresourcemanager.googleapis.com"

/* jobs.get: a job of one's own needs none, but the intent that a recovery finds may name another account's (D2). */
static const char *const of_project[] = {"bigquery.datasets.create", "bigquery.jobs.create", "bigquery.jobs.get", NULL};
static const char *const of_dataset[] = {
    "bigquery.datasets.get",    "bigquery.datasets.update", "bigquery.tables.create",   "bigquery.tables.list",
    "bigquery.routines.create", "bigquery.routines.get",    "bigquery.routines.update", NULL};
static const char *const of_table[] = {"bigquery.tables.get", "bigquery.tables.update", "bigquery.tables.updateData",
                                       "bigquery.tables.getData", NULL};

static const char *const *wanted(enum permissions_scope scope)
{
    static const char *const *const lists[] = {
        [PERMISSIONS_PROJECT] = of_project, [PERMISSIONS_DATASET] = of_dataset, [PERMISSIONS_TABLE] = of_table};

    return lists[scope];
}

static json_t *make_body(enum permissions_scope scope)
{
    json_t *list = json_array();

    for (const char *const *name = wanted(scope); *name != NULL; name++) {
        must(json_array_append_new(list, json_string(*name)) == 0);
    }
    return json_pack("{s:o}", "permissions", list);
}

static void append_path(enum permissions_scope scope, const char *project, const char *dataset, const char *table,
                        struct buffer *path)
{
    buffer_append_text(path, scope == PERMISSIONS_TABLE ? "/bigquery/v2/projects/" : "/v1/projects/");
    rest_append_encoded(path, project);
    if (scope == PERMISSIONS_TABLE) {
        buffer_append_text(path, "/datasets/");
        rest_append_encoded(path, dataset);
        buffer_append_text(path, "/tables/");
        rest_append_encoded(path, table);
    }
    buffer_append_text(path, ":testIamPermissions");
}

void permissions_ask(struct permissions_question *question, enum permissions_scope scope, const char *project,
                     const char *dataset, const char *table, const char *resource_manager)
{
    struct buffer path = {0};

    append_path(scope, project, dataset, table, &path);
    *question = (struct permissions_question){._body = make_body(scope), ._path = must_strdup(buffer_text(&path))};
    buffer_deinit(&path);
    question->request =
        (struct rest_request){.method = "POST", .path = question->_path, .body = question->_body, .repeatable = true};
    if (scope != PERMISSIONS_TABLE) {
        question->request.host = resource_manager != NULL ? resource_manager : RESOURCE_MANAGER;
    }
}

void permissions_question_deinit(struct permissions_question *question)
{
    json_decref(question->_body);
    free(question->_path);
    *question = (struct permissions_question){0};
}

static bool is_granted(const json_t *granted, const char *name)
{
    const json_t *item;
    size_t index;

    json_array_foreach(granted, index, item)
    {
        if (json_is_string(item) && strcmp(json_string_value(item), name) == 0) {
            return true;
        }
    }
    return false;
}

size_t permissions_missing(enum permissions_scope scope, const json_t *body, struct buffer *out)
{
    const json_t *granted = json_object_get(body, "permissions");
    size_t missing = 0;

    for (const char *const *name = wanted(scope); *name != NULL; name++) {
        if (!is_granted(granted, *name)) {
            buffer_append_text(out, missing > 0 ? ", " : "");
            buffer_append_text(out, *name);
            missing++;
        }
    }
    return missing;
}
