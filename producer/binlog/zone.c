/* SPDX-License-Identifier: Apache-2.0 */
/* A day's step finds every change of offset, a bisection the second of it: no zone has changed twice within a day and back. */
#include "producer/binlog/zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/must.h"

#define DAY_S           INT64_C(86400)
#define SECOND_US       INT64_C(1000000)
#define FIRST_S         INT64_C(-5364662400)      /* 1800-01-01 */
#define LAST_S          INT64_C(14737507200)      /* 2437-01-05 */
#define CYCLE_S         (INT64_C(146097) * DAY_S) /* 400 years: the calendar's own period */
#define NAME_MAX_SIZE   100
#define FOLDER_MAX_SIZE 256

struct change {
    int64_t from; /* seconds since the epoch */
    int64_t offset;
};

struct zone {
    struct change *changes; /* the first holds from ever on */
    size_t count;
    size_t capacity;
};

/* What libc says in the zone that is set. */
static int64_t libc_offset(int64_t utc)
{
    time_t at = (time_t)utc;
    struct tm local;

    must(localtime_r(&at, &local) != NULL);
    return local.tm_gmtoff;
}

static void add_change(struct zone *zone, int64_t from, int64_t offset)
{
    if (zone->count == zone->capacity) {
        zone->capacity = zone->capacity > 0 ? 2 * zone->capacity : 64;
        zone->changes = reallocarray(zone->changes, zone->capacity, sizeof *zone->changes);
        must(zone->changes != NULL);
    }
    zone->changes[zone->count++] = (struct change){from, offset};
}

/* The second at which the offset stops being what it is at `low`. */
static int64_t find_change(int64_t low, int64_t high)
{
    int64_t offset = libc_offset(low);

    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;

        if (libc_offset(middle) == offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high;
}

static void write_down(struct zone *zone)
{
    int64_t offset = libc_offset(FIRST_S);

    add_change(zone, INT64_MIN, offset);
    for (int64_t at = FIRST_S; at < LAST_S; at += DAY_S) {
        if (libc_offset(at + DAY_S) != offset) {
            offset = libc_offset(at + DAY_S);
            add_change(zone, find_change(at, at + DAY_S), offset);
        }
    }
}

/* libc takes a name that it does not find for UTC. */
static bool is_known(const char *name)
{
    const char *folder = getenv("TZDIR");
    char path[FOLDER_MAX_SIZE + NAME_MAX_SIZE + 2];

    if (name[0] == '/' || name[0] == ':' || strstr(name, "..") != NULL || strlen(name) > NAME_MAX_SIZE) {
        return false;
    }
    (void)snprintf(path, sizeof path, "%.256s/%.100s", folder != NULL ? folder : "/usr/share/zoneinfo", name);
    return access(path, R_OK) == 0;
}

int zone_new(const char *name, struct zone **ret_zone, struct err *err)
{
    const char *own = getenv("TZ");
    char *before = must_strdup(own);
    struct zone *zone;

    if (!is_known(name)) {
        free(before);
        return err_set(
            err, ERR_FATAL,
            "time zone '%.60s' is not known to this system: is the package tzdata there, and the name like Asia/Tokyo?", name);
    }
    zone = calloc(1, sizeof *zone);
    must(zone != NULL && setenv("TZ", name, 1) == 0);
    tzset();
    write_down(zone);
    must((before != NULL ? setenv("TZ", before, 1) : unsetenv("TZ")) == 0);
    tzset();
    free(before);
    *ret_zone = zone;
    return 0;
}

void zone_free(struct zone *zone)
{
    if (zone != NULL) {
        free(zone->changes);
        free(zone);
    }
}

static int64_t offset_at(const struct zone *zone, int64_t utc)
{
    size_t low = 0;
    size_t high = zone->count;

    if (utc >= LAST_S - DAY_S) {
        utc -= (1 + (utc - LAST_S + DAY_S) / CYCLE_S) * CYCLE_S;
    }
    while (high - low > 1) {
        size_t middle = (low + high) / 2;

        if (zone->changes[middle].from <= utc) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return zone->changes[low].offset;
}

/* A wall-clock time is a point in time by the offset before a change that is near, or by the one after it, or by both, or by
 * none. */
bool zone_to_utc(const struct zone *zone, int64_t local_us, int64_t *ret_utc_us)
{
    int64_t local = local_us / SECOND_US - (local_us % SECOND_US < 0);
    int64_t early = local - offset_at(zone, local - DAY_S);
    int64_t late = local - offset_at(zone, local + DAY_S);
    bool early_is = local - early == offset_at(zone, early);
    bool late_is = local - late == offset_at(zone, late);
    int64_t utc = early_is && (!late_is || early < late) ? early : late;

    *ret_utc_us = utc * SECOND_US + (local_us - local * SECOND_US);
    return early_is || late_is;
}
