/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite_warehouse: the embedded warehouse: a single SQLite file behind the seam workers/warehouse.h.
 *
 * The file is the record: it holds the rows and, in the same transactions, the next offset of each partition. So recover
 * ignores what Kafka has committed; the Kafka commit comes after the answer and serves lag tools only, and its mark is empty.
 * Several worker processes may share the file; each has one writer thread (writer.h).
 *
 * What a caller should know: sends of one lane are written in order, but a request behind one that was not IN is a SURPRISE,
 * because it no longer starts where the last one ended. A schema given to ensure is borrowed until the answer.
 */
#ifndef KAKEHI_WORKERS_SQLITE_SQLITE_WAREHOUSE_H
#define KAKEHI_WORKERS_SQLITE_SQLITE_WAREHOUSE_H

#include <uv.h>

#include "common/err.h"
#include "common/settings.h"
#include "workers/warehouse.h"

/* The file of settings->sqlite_file is made if it is not there. ERR_FATAL: it can't be. */
int sqlite_warehouse_new(uv_loop_t *loop, const struct settings *settings, struct warehouse **ret_warehouse,
                         struct err *err) MUST_CHECK;

#endif
