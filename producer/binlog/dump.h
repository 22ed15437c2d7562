/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump: the live connection behind a reader: connects, sees that the server's settings are safe to read from, finds the place to
 * begin, asks for the log, and reads the packets as raw bytes.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_DUMP_H
#define KAKEHI_PRODUCER_BINLOG_DUMP_H

#include <stdint.h>

#include "common/settings.h"
#include "producer/binlog/reader.h"
#include "producer/binlog/resume.h"

/* Borrows settings until it is freed; copies the wish. server_id: as replicas have one; of two readers with the same, the newer dump
 * ends the older one. */
struct binlog_connection *dump_connection_new(const struct settings_source *settings, uint32_t server_id, const struct binlog_wish *wish);

#endif
