/* SPDX-License-Identifier: Apache-2.0 */
/* history: how tables.c makes a struct history (tables.h) out of what BigQuery says of a table. */
#ifndef KAKEHI_WORKERS_BIGQUERY_HISTORY_H
#define KAKEHI_WORKERS_BIGQUERY_HISTORY_H

#include "workers/bigquery/tables.h"
#include "workers/bigquery/tables_shape.h"

/* One reference is the caller's. generation, targets, loads and refusal are left to be set. */
struct history *history_new(const struct bigquery_names *names, const struct shape *shape);
bool history_same_layout(const struct history *one, const struct history *other);

#endif
