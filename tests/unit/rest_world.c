/* SPDX-License-Identifier: Apache-2.0 */
/* Each call is carried out and answered in a turn of the loop of its own, so that races have room. */
#include "tests/unit/rest_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/must.h"

struct rest_call {
    uv_timer_t timer;
    struct rest_world *world;
    struct rest_request request; /* method, path, body and if_match are owned */
    rest_answered answered;
    void *context;
};

#define DATASETS "/bigquery/v2/projects/p/datasets"
#define JOBS     "/bigquery/v2/projects/p/jobs"
#define QUERIES  "/bigquery/v2/projects/p/queries/"

void rest_world_init(struct rest_world *world, uv_loop_t *loop)
{
    *world = (struct rest_world){.loop = loop,
                                 .datasets = json_object(),
                                 .tables = json_object(),
                                 .jobs = json_object(),
                                 .calls = json_array(),
                                 .routines = json_array(),
                                 .next_number = 1000};
}

void rest_world_deinit(struct rest_world *world)
{
    must(world->under_way == 0);
    json_decref(world->datasets);
    json_decref(world->tables);
    json_decref(world->jobs);
    json_decref(world->calls);
    json_decref(world->routines);
}

struct rest *rest_world_rest(struct rest_world *world)
{
    return (struct rest *)world;
}

json_t *rest_world_table(struct rest_world *world, const char *name)
{
    return json_object_get(world->tables, name);
}

void rest_world_touch(struct rest_world *world, json_t *resource)
{
    char etag[32];

    (void)snprintf(etag, sizeof etag, "etag-%d", world->next_number++);
    must(json_object_set_new(resource, "etag", json_string(etag)) == 0);
}

json_t *rest_world_field(json_t *table, const char *name)
{
    json_t *fields = json_object_get(json_object_get(table, "schema"), "fields");
    json_t *field;
    size_t i;

    json_array_foreach(fields, i, field)
    {
        if (strcasecmp(json_string_value(json_object_get(field, "name")), name) == 0) {
            return field;
        }
    }
    return NULL;
}

size_t rest_world_called(const struct rest_world *world, const char *begin)
{
    size_t count = 0;
    json_t *call;
    size_t i;

    json_array_foreach(world->calls, i, call)
    {
        count += strncmp(json_string_value(call), begin, strlen(begin)) == 0;
    }
    return count;
}

/* ---- answers */

static void answer(struct rest_call *call, int status, json_t *body, const char *words)
{
    static const struct {
        int status;
        enum rest_class class;
        enum err_class err;
    } classes[] = {{404, REST_NOT_FOUND, ERR_POISON}, {409, REST_CONFLICT, ERR_POISON}, {412, REST_CONFLICT, ERR_POISON},
                   {403, REST_DENIED, ERR_FATAL},     {503, REST_RETRY, ERR_RETRY},     {400, REST_INVALID, ERR_POISON}};
    struct rest_error error = {.status = status};
    const struct rest_answer answered = {
        .error = status == 200 ? NULL : &error, .status = status, .body = status == 200 ? body : NULL};

    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (classes[i].status == status) {
            error.class = classes[i].class;
            (void)err_set(&error.err, classes[i].err, "HTTP %d: %s", status, words);
        }
    }
    call->answered(call->context, &answered);
    json_decref(body);
}

static void found(struct rest_call *call, json_t *resource)
{
    if (resource == NULL) {
        answer(call, 404, NULL, "not found");
    } else {
        answer(call, 200, json_deep_copy(resource), "");
    }
}

static void set_created(struct rest_world *world, json_t *resource)
{
    char text[32];

    (void)snprintf(text, sizeof text, "17000000%d", world->next_number++);
    must(json_object_set_new(resource, "creationTime", json_string(text)) == 0);
    rest_world_touch(world, resource);
}

/* What the dataset gives to each table that does not say otherwise; to say null is to say nothing. */
static void expire(const json_t *dataset, json_t *table)
{
    json_t *partitions = json_object_get(table, "timePartitioning");
    json_t *of_partitions = json_object_get(dataset, "defaultPartitionExpirationMs");

    if (partitions != NULL && of_partitions != NULL) {
        if (!json_is_string(json_object_get(partitions, "expirationMs"))) {
            must(json_object_set(partitions, "expirationMs", of_partitions) == 0);
        }
    } else if (json_object_get(dataset, "defaultTableExpirationMs") != NULL) {
        must(json_object_set_new(table, "expirationTime", json_string("1900000000000")) == 0);
    }
}

/* dataset: of a table. */
static void make(struct rest_call *call, json_t *into, const char *name, const json_t *dataset)
{
    json_t *made;

    if (json_object_get(into, name) != NULL) {
        answer(call, 409, NULL, "already exists");
        return;
    }
    must(json_object_set_new(into, name, json_deep_copy(call->request.body)) == 0);
    made = json_object_get(into, name);
    set_created(call->world, made);
    expire(dataset, made);
    found(call, made);
}

/* Does the patch keep each column and its type? */
static bool keeps_columns(json_t *there, const json_t *body)
{
    const json_t *patched = json_object_get(json_object_get(body, "schema"), "fields");
    json_t *field;
    size_t i;

    json_array_foreach(json_object_get(json_object_get(there, "schema"), "fields"), i, field)
    {
        const json_t *other = json_array_get(patched, i);

        if (patched != NULL && (other == NULL ||
                                strcmp(json_string_value(json_object_get(field, "name")),
                                       json_string_value(json_object_get(other, "name"))) != 0 ||
                                strcmp(json_string_value(json_object_get(field, "type")),
                                       json_string_value(json_object_get(other, "type"))) != 0)) {
            return false;
        }
    }
    return true;
}

static void patch(struct rest_call *call, json_t *resource)
{
    const char *etag = call->request.if_match;

    if (resource == NULL) {
        answer(call, 404, NULL, "not found");
    } else if (etag != NULL && strcmp(etag, json_string_value(json_object_get(resource, "etag"))) != 0) {
        answer(call, 412, NULL, "the ETag is not the newest");
    } else if (!keeps_columns(resource, call->request.body)) {
        answer(call, 400, NULL, "Provided Schema does not match Table");
    } else {
        must(json_object_update_recursive(resource, (json_t *)call->request.body) == 0);
        rest_world_touch(call->world, resource);
        found(call, resource);
    }
}

/* ---- jobs */

static const char *alter(struct rest_world *world, const char *sql)
{
    char table[128];
    char column[128];
    char type[32];
    json_t *field;

    if (sscanf(sql, "ALTER TABLE `p.%127[^`]` ALTER COLUMN `%127[^`]` SET DATA TYPE %31s", table, column, type) != 3 ||
        (world->refuse_alter != NULL && strcmp(world->refuse_alter, column) == 0)) {
        return "ALTER TABLE ALTER COLUMN SET DATA TYPE requires that the existing column type is assignable";
    }
    field = rest_world_field(rest_world_table(world, table), column);
    must(field != NULL && json_object_set_new(field, "type", json_string(type)) == 0);
    rest_world_touch(world, rest_world_table(world, table));
    return NULL;
}

static json_t *rows_of(struct rest_world *world, const char *sql)
{
    json_t *plain = world->rows != NULL ? world->rows(world, sql) : NULL;
    json_t *rows = json_array();
    json_t *row;
    json_t *value;
    size_t i;
    size_t j;

    json_array_foreach(plain, i, row)
    {
        json_t *cells = json_array();

        json_array_foreach(row, j, value)
        {
            must(json_array_append_new(cells, json_pack("{s:O}", "v", value)) == 0);
        }
        must(json_array_append_new(rows, json_pack("{s:o}", "f", cells)) == 0);
    }
    json_decref(plain);
    return rows;
}

static void insert_job(struct rest_call *call)
{
    const json_t *query = json_object_get(json_object_get(call->request.body, "configuration"), "query");
    const char *sql = json_string_value(json_object_get(query, "query"));
    const char *id = json_string_value(json_object_get(json_object_get(call->request.body, "jobReference"), "jobId"));
    const char *error = NULL;

    if (json_object_get(call->world->jobs, id) != NULL) {
        answer(call, 409, NULL, "duplicate");
        return;
    }
    must(json_array_append_new(call->world->calls, json_string(sql)) == 0);
    if (strncmp(sql, "ALTER", 5) == 0) {
        error = alter(call->world, sql);
    } else if (strstr(sql, "TABLE FUNCTION") != NULL) {
        must(json_array_append_new(call->world->routines, json_string(sql)) == 0);
    }
    must(json_object_set_new(call->world->jobs, id,
                             json_pack("{s:s?, s:o}", "error", error, "rows", rows_of(call->world, sql))) == 0);
    answer(call, 200, json_object(), "");
}

static void give_results(struct rest_call *call)
{
    char id[128];
    const json_t *job;
    const char *error;

    (void)snprintf(id, sizeof id, "%.*s", (int)strcspn(call->request.path + strlen(QUERIES), "?"),
                   call->request.path + strlen(QUERIES));
    job = json_object_get(call->world->jobs, id);
    must(job != NULL);
    error = json_string_value(json_object_get(job, "error"));
    if (error != NULL) {
        answer(call, 400, NULL, error);
    } else {
        answer(call, 200, json_pack("{s:b, s:O}", "jobComplete", 1, "rows", json_object_get(job, "rows")), "");
    }
}

/* ---- calls */

/* "d.t" of "/.../datasets/d/tables/t"; of "/.../datasets/d" just "d". */
static void name_of(const char *path, char *name, size_t size)
{
    const char *dataset = path + strlen(DATASETS) + 1;
    const char *table = strstr(dataset, "/tables/");

    if (table != NULL) {
        (void)snprintf(name, size, "%.*s.%s", (int)(table - dataset), dataset, table + strlen("/tables/"));
    } else {
        (void)snprintf(name, size, "%.*s", (int)strcspn(dataset, "/"), dataset);
    }
}

static void list_tables(struct rest_call *call, const char *dataset)
{
    json_t *list = json_array();
    const char *name;
    json_t *table;

    json_object_foreach(call->world->tables, name, table)
    {
        if (strncmp(name, dataset, strlen(dataset)) == 0) {
            must(json_array_append(list, table) == 0);
        }
    }
    answer(call, 200, json_pack("{s:o}", "tables", list), "");
}

static void make_table(struct rest_call *call, const char *dataset)
{
    char name[512];

    (void)snprintf(name, sizeof name, "%s.%s", dataset,
                   json_string_value(json_object_get(json_object_get(call->request.body, "tableReference"), "tableId")));
    if (json_object_get(call->world->datasets, dataset) == NULL) {
        answer(call, 404, NULL, "no such dataset");
    } else {
        make(call, call->world->tables, name, json_object_get(call->world->datasets, dataset));
    }
}

static void give_routine(struct rest_call *call, const char *name)
{
    json_t *sql;
    size_t i;

    json_array_foreach(call->world->routines, i, sql)
    {
        const char *at = strstr(json_string_value(sql), name);

        if (at != NULL && at[strlen(name)] == '`') {
            answer(call, 200, json_object(), "");
            return;
        }
    }
    answer(call, 404, NULL, "no such routine");
}

static void carry_out_on_dataset(struct rest_call *call)
{
    const struct rest_request *request = &call->request;
    bool of_tables = strstr(request->path, "/tables") != NULL;
    char name[256];

    if (strcmp(request->path, DATASETS) == 0) {
        make(call, call->world->datasets,
             json_string_value(json_object_get(json_object_get(request->body, "datasetReference"), "datasetId")), NULL);
        return;
    }
    if (strstr(request->path, "/routines/") != NULL) {
        give_routine(call, strstr(request->path, "/routines/") + strlen("/routines/"));
        return;
    }
    name_of(request->path, name, sizeof name);
    if (strchr(name, '.') != NULL || !of_tables) {
        json_t *resource = json_object_get(of_tables ? call->world->tables : call->world->datasets, name);

        if (strcmp(request->method, "PATCH") == 0) {
            patch(call, resource);
        } else {
            found(call, resource);
        }
    } else if (strcmp(request->method, "POST") == 0) {
        make_table(call, name);
    } else {
        list_tables(call, name);
    }
}

static void carry_out(struct rest_call *call)
{
    const struct rest_request *request = &call->request;
    char line[512];
    int status;

    (void)snprintf(line, sizeof line, "%s %s", request->method, request->path);
    must(json_array_append_new(call->world->calls, json_string(line)) == 0);
    if (call->world->before != NULL && call->world->before(call->world, request, &status)) {
        answer(call, status, NULL, "as the test says");
    } else if (strcmp(request->path, JOBS) == 0) {
        insert_job(call);
    } else if (strncmp(request->path, QUERIES, strlen(QUERIES)) == 0) {
        give_results(call);
    } else {
        carry_out_on_dataset(call);
    }
}

static void on_freed(uv_handle_t *handle)
{
    struct rest_call *call = handle->data;

    call->world->under_way--;
    free((char *)call->request.method);
    free((char *)call->request.path);
    free((char *)call->request.if_match);
    json_decref((json_t *)call->request.body);
    free(call);
}

static void on_due(uv_timer_t *timer)
{
    struct rest_call *call = timer->data;

    carry_out(call);
    uv_close((uv_handle_t *)timer, on_freed);
}

struct rest_call *rest_send(struct rest *rest, const struct rest_request *request, rest_answered answered, void *context)
{
    struct rest_call *call = calloc(1, sizeof *call);
    struct rest_world *world = (struct rest_world *)rest;

    must(call != NULL && uv_timer_init(world->loop, &call->timer) == 0);
    world->under_way++;
    call->timer.data = call;
    call->world = world;
    call->request = *request;
    call->request.method = strdup(request->method);
    call->request.path = strdup(request->path);
    call->request.if_match = request->if_match != NULL ? strdup(request->if_match) : NULL;
    call->request.body = request->body != NULL ? json_deep_copy(request->body) : NULL;
    call->answered = answered;
    call->context = context;
    must(uv_timer_start(&call->timer, on_due, 1, 0) == 0);
    return call;
}

void rest_cancel(struct rest_call *call)
{
    uv_close((uv_handle_t *)&call->timer, on_freed);
}
