/* SPDX-License-Identifier: Apache-2.0 */
/* worker: one process of the group: consumer, partitions, schemas, dead letters, warehouse and admin port on one loop. */
#ifndef KAKEHI_WORKERS_WORKER_H
#define KAKEHI_WORKERS_WORKER_H

#include "common/settings.h"

/* Runs until SIGTERM or SIGINT, or until nothing more can be done; returns the exit code. */
int worker_run(const struct settings *settings);

#endif
