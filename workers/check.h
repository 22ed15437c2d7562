/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: `kakehi-worker check`: connects to everything that the settings name, and says what is wrong and what to do.
 */
#ifndef KAKEHI_WORKERS_CHECK_H
#define KAKEHI_WORKERS_CHECK_H

#include <stdbool.h>

#include "common/settings.h"

struct check_options {
    bool json;
    bool cost;  /* with warehouse: bigquery: a month's estimate for each table */
    bool prove; /* with warehouse: bigquery: run what exactly-once rests on, in scratch tables of the project */
};

/* Prints to stdout. Returns the exit code: CLI_FAILED if something must be mended. */
int worker_check(const struct settings *settings, const struct check_options *options);

#endif
