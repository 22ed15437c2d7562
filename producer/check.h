/* SPDX-License-Identifier: Apache-2.0 */
/* check: `kakehi-producer check`: connects to the source and to Kafka, and says what is wrong and what to do. */
#ifndef KAKEHI_PRODUCER_CHECK_H
#define KAKEHI_PRODUCER_CHECK_H

#include <stdbool.h>

#include "common/settings.h"

/* Prints to stdout. Returns the exit code: CLI_FAILED if something must be mended. */
int producer_check(const struct settings *settings, bool json);

#endif
