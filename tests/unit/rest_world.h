/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest_world: BigQuery's REST API in memory, in the place of workers/bigquery/rest.c: datasets and tables with ETags, query
 * jobs whose rows a test gives. Strict where the service is: a stale If-Match is 412, a patch that drops or retypes a column is
 * 400, and a table or view that is made takes its dataset's default expirations.
 */
#ifndef KAKEHI_TESTS_UNIT_REST_WORLD_H
#define KAKEHI_TESTS_UNIT_REST_WORLD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "workers/bigquery/rest.h"

struct rest_world {
    uv_loop_t *loop;
    json_t *datasets; /* "d" -> resource */
    json_t *tables;   /* "d.t" -> resource */
    json_t *jobs;     /* id -> {"sql": .., "error": text or null, "rows": [...]} */
    json_t *calls;    /* ["GET /bigquery/v2/...", ...] in order, and the SQL of each job */
    json_t *routines; /* SQL of table functions that were made */
    int next_number;  /* of ETags and creation times */
    const char *refuse_alter; /* this column's type is not changed; NULL: every one's is */
    /* Called before a call is carried out; true: it is done (or fails) otherwise. Set what the answer is. */
    bool (*before)(struct rest_world *world, const struct rest_request *request, int *ret_status);
    /* Rows of a query, as an array of arrays of texts and nulls; NULL: none. */
    json_t *(*rows)(struct rest_world *world, const char *sql);
    void *context;
    int under_way;
};

void rest_world_init(struct rest_world *world, uv_loop_t *loop);
void rest_world_deinit(struct rest_world *world);
struct rest *rest_world_rest(struct rest_world *world);

json_t *rest_world_table(struct rest_world *world, const char *name); /* "shop.orders_history"; NULL. Borrowed */
/* A change by somebody else: the ETag moves. */
void rest_world_touch(struct rest_world *world, json_t *resource);
json_t *rest_world_field(json_t *table, const char *name); /* NULL: no such column */
/* How many calls begin with the text. */
size_t rest_world_called(const struct rest_world *world, const char *begin);

#endif
