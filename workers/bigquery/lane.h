/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane: one assigned partition on its way into BigQuery, behind workers/warehouse.h: recovery, table and stream, plan, mark, send.
 * `struct lanes` is what the lanes of a worker share.
 *
 * By appends (append.h): a COMMITTED stream of the lane's own, at whose rows the mark points. By load jobs (load.h): files. The lane
 * chooses for each batch (method.h), and changes only where nothing of the other way is open (rule D5).
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_LANE_H
#define KAKEHI_WORKERS_BIGQUERY_LANE_H

#include <jansson.h>

#include "common/settings.h"
#include "workers/bigquery/append.h"
#include "workers/bigquery/lane_world.h"
#include "workers/warehouse.h"

struct loads;

struct lanes_options {
    const struct settings *settings; /* borrowed */
    const struct lane_world *world;  /* copied */
    struct loads *loads;             /* borrowed; NULL: appends only */
};

struct lanes *lanes_new(const struct lanes_options *options);
/* All lanes are closed. */
void lanes_free(struct lanes *lanes, void (*freed)(void *context), void *context);
/* Once a second. */
void lanes_tick(struct lanes *lanes);
/* Of warehouse_calls: how many partitions share the project's load jobs. Until it is told, `auto` chooses none. */
void lanes_group(struct lanes *lanes, int32_t partitions);
/* {"lanes": {..}, "group_partitions": .., "streams_made": .., "requests_in": .., "rows_in": .., "calls": {..}, ...}; the caller owns it. */
json_t *lanes_status(const struct lanes *lanes);

/* The seam's: see struct warehouse_calls. */
struct lane *lane_open(struct lanes *lanes, const char *topic, int32_t partition, uint64_t assignment);
void lane_recover(struct lane *lane, int64_t committed, const char *mark, lane_recovered answer, void *context);
void lane_ensure(struct lane *lane, const struct schema *schema, lane_ensured answer, void *context);
bool lane_prepare(struct lane *lane, const struct warehouse_batch *batch, lane_ensured answer, void *context);
struct request *lane_plan(struct lane *lane, const struct warehouse_batch *batch, size_t *ret_bad_row, struct err *err);
const char *lane_mark(struct lane *lane);
void lane_send(struct lane *lane, struct request *request, lane_sent answer, void *context);
bool lane_fits(struct lane *lane, const struct warehouse_batch *batch);
struct request *lane_seal(struct lane *lane, int64_t end);
uint64_t lane_seal_due_ms(struct lane *lane);
void lane_limit(struct lane *lane, struct batch_limits *limits);
void lane_drop_rows(struct lane *lane, struct request *request, const size_t *rows, size_t row_count);
void lane_request_free(struct request *request);
size_t lane_request_bytes(const struct request *request);
bool lane_waits_for(const struct lane *lane, char *text, size_t size);
void lane_close(struct lane *lane, void (*closed)(void *context), void *context);

#endif
