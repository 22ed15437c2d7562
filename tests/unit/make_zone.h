/* SPDX-License-Identifier: Apache-2.0 */
/* make_zone: a time zone by its name, for tests. */
#ifndef KAKEHI_TESTS_UNIT_MAKE_ZONE_H
#define KAKEHI_TESTS_UNIT_MAKE_ZONE_H

#include "producer/binlog/zone.h"

/* Fails the test if there is none. The caller frees it. */
struct zone *make_zone(const char *name);

#endif
