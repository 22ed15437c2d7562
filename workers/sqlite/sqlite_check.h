/* SPDX-License-Identifier: Apache-2.0 */
/* sqlite_check: the embedded warehouse's part of `kakehi-worker check`. */
#ifndef KAKEHI_WORKERS_SQLITE_SQLITE_CHECK_H
#define KAKEHI_WORKERS_SQLITE_SQLITE_CHECK_H

#include "common/findings.h"
#include "common/settings.h"

/* Opens the file as a worker would (it is made if it is not there) and takes its write lock for a moment. */
void sqlite_check(const struct settings *settings, struct findings *findings);

#endif
