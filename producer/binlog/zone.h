/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zone: wall-clock time of a place to points in time.
 *
 * The rules come from the system's zoneinfo, read by the C library: it knows every form of these files, and they are kept up to
 * date with the system. libc has one zone a process (TZ), so a zone is asked for once, before there are threads: its changes of
 * offset from 1800 on are written down, and from 2037 to 2437, after which the calendar repeats itself.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_ZONE_H
#define KAKEHI_PRODUCER_BINLOG_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct zone;

/* "Asia/Tokyo". ERR_FATAL: the system does not know it. Sets TZ for a moment: only while there is one thread. */
int zone_new(const char *name, struct zone **ret_zone, struct err *err) MUST_CHECK;
void zone_free(struct zone *zone); /* takes NULL */
/* Microseconds on the wall clock since 1970-01-01 00:00:00 to microseconds since the epoch. Of a time that comes twice the
 * first; false: it never was. */
bool zone_to_utc(const struct zone *zone, int64_t local_us, int64_t *ret_utc_us);

#endif
