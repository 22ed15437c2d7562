/* SPDX-License-Identifier: Apache-2.0 */
/* bigquery_check: BigQuery's part of `kakehi-worker check`. */
#ifndef KAKEHI_WORKERS_BIGQUERY_BIGQUERY_CHECK_H
#define KAKEHI_WORKERS_BIGQUERY_BIGQUERY_CHECK_H

#include "common/findings.h"
#include "common/settings.h"
#include "workers/check.h"
#include "workers/known_tables.h"

/* Signs in, looks at the dataset, history and view of each table; then cost and proof, as the options say. Changes nothing but what
 * --prove makes in its scratch dataset. */
void bigquery_check(const struct settings *settings, const struct known_tables *tables, const struct check_options *options, struct findings *findings);

#endif
