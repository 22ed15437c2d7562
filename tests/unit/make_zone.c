/* SPDX-License-Identifier: Apache-2.0 */
/* A zone of the system that a test cannot do without: one that is missing fails the test here, with its reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/make_zone.h"

struct zone *make_zone(const char *name)
{
    struct zone *zone;
    struct err err = {0};

    if (zone_new(name, &zone, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return zone;
}
