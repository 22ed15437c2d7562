/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bigquery_warehouse: histories in BigQuery, behind the seam of workers/warehouse.h.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_BIGQUERY_WAREHOUSE_H
#define KAKEHI_WORKERS_BIGQUERY_BIGQUERY_WAREHOUSE_H

#include <uv.h>

#include "common/err.h"
#include "common/settings.h"
#include "workers/warehouse.h"

/* Asks nobody yet: what is wrong with project or credentials shows in the lanes' recovery. */
int bigquery_warehouse_new(uv_loop_t *loop, const struct settings *settings, struct warehouse **ret_warehouse, struct err *err) MUST_CHECK;

#endif
