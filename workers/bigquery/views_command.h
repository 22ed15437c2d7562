/* SPDX-License-Identifier: Apache-2.0 */
/*
 * views_command: `kakehi-worker views`: one round (refresh.h) over each history of this owner, one after another, for a
 * scheduler that does what bigquery.refresh: command takes from the workers. Kafka is not asked: what views are made of stands
 * in BigQuery.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_VIEWS_COMMAND_H
#define KAKEHI_WORKERS_BIGQUERY_VIEWS_COMMAND_H

#include <stdio.h>

#include "common/settings.h"

/* A line a table to `out`. An exit code of cli.h: CLI_FAILED if any of them failed, and the others are done. */
int views_command(const struct settings *settings, FILE *out);

#endif
