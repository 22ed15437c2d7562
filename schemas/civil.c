/* SPDX-License-Identifier: Apache-2.0 */
/* An era is 400 years, 146,097 days, and begins on a 1st of March, so that the day that may be missing is the last one of its
 * year. */
#include "schemas/civil.h"

#define ERA_DAYS         146097
#define DAYS_BEFORE_1970 719468 /* since 0000-03-01 */

struct civil civil_of_days(int64_t days)
{
    int64_t since_year_0 = days + DAYS_BEFORE_1970;
    int64_t era = since_year_0 / ERA_DAYS - (since_year_0 % ERA_DAYS < 0);
    uint32_t day_of_era = (uint32_t)(since_year_0 - era * ERA_DAYS);
    uint32_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t month_from_march = (5 * day_of_year + 2) / 153;
    uint32_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;

    return (struct civil){
        .year = era * 400 + year_of_era + (month <= 2),
        .month = (int)month,
        .day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1),
    };
}

int64_t civil_to_days(const struct civil *civil)
{
    int64_t years = civil->year - (civil->month <= 2); /* a year begins in March, so that the leap day is its last */
    int64_t era = (years >= 0 ? years : years - 399) / 400;
    int64_t year = years - era * 400;
    int64_t day = (153 * (civil->month + (civil->month > 2 ? -3 : 9)) + 2) / 5 + civil->day - 1;

    return era * 146097 + year * 365 + year / 4 - year / 100 + day - 719468;
}

int64_t civil_day_of_us(int64_t microseconds)
{
    return microseconds / CIVIL_DAY_US - (microseconds % CIVIL_DAY_US < 0);
}
