/* SPDX-License-Identifier: Apache-2.0 */
/* run: `kakehi-producer run`: the loop, signals, the admin port, and the pipeline between them. */
#ifndef KAKEHI_PRODUCER_RUN_H
#define KAKEHI_PRODUCER_RUN_H

#include "common/settings.h"

/* Returns when the pipeline has ended: the exit code. */
int run_producer(const struct settings *settings);

#endif
