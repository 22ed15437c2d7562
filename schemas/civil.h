/* SPDX-License-Identifier: Apache-2.0 */
/* civil: the proleptic Gregorian calendar: days since 1970-01-01 to year, month and day. */
#ifndef KAKEHI_SCHEMAS_CIVIL_H
#define KAKEHI_SCHEMAS_CIVIL_H

#include <stdint.h>

#define CIVIL_DAY_US INT64_C(86400000000) /* microseconds of a day */

struct civil {
    int64_t year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
};

/* Right for any day that lies within 10^17 days of 1970. */
struct civil civil_of_days(int64_t days);
/* The way back; the month is 1 to 12, and the day may lie beyond its end. */
int64_t civil_to_days(const struct civil *civil);
/* The day in which the microsecond lies; also before 1970. */
int64_t civil_day_of_us(int64_t microseconds);

#endif
