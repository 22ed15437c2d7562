/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value: dates and times.
 *
 * MySQL keeps dates that are none, if sql_mode lets it: 0000-00-00, 2026-02-00, 2026-02-31, the year 0. They become
 * CELL_UNREPRESENTABLE with the text that MySQL prints. Seconds and their fraction are one big-endian number in TIME: that is
 * how its negatives are made (https://dev.mysql.com/doc/dev/mysql-server/latest/classbinary__log_1_1Rows__event.html and
 * sql-common/my_time.cc: my_time_packed_from_binary).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "producer/binlog/value.h"

#define SECOND_US  INT64_C(1000000)
#define TEXT_BYTES 40

struct moment {
    unsigned year;
    unsigned month;
    unsigned day;
    unsigned hour;
    unsigned minute;
    unsigned second;
    uint32_t microsecond;
};

size_t value_fraction_width(unsigned digits)
{
    return (digits + 1) / 2;
}

/* A fraction of 1 or 2 digits counts hundredths, of 3 or 4 ten-thousandths, of 5 or 6 microseconds. */
static uint32_t fraction_us(uint64_t fraction, size_t width)
{
    static const uint32_t units[] = {0, 10000, 100, 1};

    return (uint32_t)fraction * units[width];
}

/* Days from 1970-01-01 in the proleptic Gregorian calendar, by Howard Hinnant's days_from_civil: years begin in March. */
static int64_t days_of(unsigned year, unsigned month, unsigned day)
{
    int64_t shifted = (int64_t)year - (month <= 2);
    int64_t era = (shifted >= 0 ? shifted : shifted - 399) / 400;
    int64_t year_of_era = shifted - era * 400;
    int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month] + (month == 2 && leap);
}

static bool is_date(const struct moment *moment)
{
    return moment->year >= 1 && moment->year <= 9999 && moment->month >= 1 && moment->month <= 12 && moment->day >= 1 &&
           moment->day <= days_in_month(moment->year, moment->month);
}

static bool is_clock(const struct moment *moment)
{
    return moment->hour <= 23 && moment->minute <= 59 && moment->second <= 59 && moment->microsecond < SECOND_US;
}

static void set_unrepresentable(struct cell *cell, struct scratch *scratch, const char *text)
{
    size_t size = strlen(text);
    uint8_t *bytes = scratch_take(scratch, size);

    memcpy(bytes, text, size);
    *cell = (struct cell){.state = CELL_UNREPRESENTABLE, .bytes = bytes, .size = size};
}

static void print_date(const struct moment *moment, char text[TEXT_BYTES])
{
    (void)snprintf(text, TEXT_BYTES, "%04u-%02u-%02u", moment->year % 10000, moment->month % 100, moment->day % 100);
}

static void set_datetime(const struct value_column *column, const struct moment *moment, struct scratch *scratch,
                         struct cell *cell)
{
    char text[TEXT_BYTES * 2];
    char date[TEXT_BYTES];

    if (is_date(moment) && is_clock(moment)) {
        int64_t day_seconds = (int64_t)moment->hour * 3600 + moment->minute * 60 + moment->second;

        value_set_integer(cell, (days_of(moment->year, moment->month, moment->day) * 86400 + day_seconds) * SECOND_US +
                                    moment->microsecond);
        return;
    }
    print_date(moment, date);
    (void)snprintf(text, sizeof text, "%s %02u:%02u:%02u.%06" PRIu32, date, moment->hour % 100, moment->minute % 100,
                   moment->second % 100, moment->microsecond % 1000000);
    text[column->precision > 0 ? 20 + column->precision : 19] = '\0';
    set_unrepresentable(cell, scratch, text);
}

/* 3 bytes, little-endian: day 5 bits, month 4, year. */
void value_date(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    uint32_t packed = (uint32_t)cursor_le(cursor, 3);
    struct moment moment = {.year = packed >> 9, .month = packed >> 5 & 15, .day = packed & 31};
    char text[TEXT_BYTES];

    (void)column;
    if (is_date(&moment)) {
        value_set_integer(ret_cell, days_of(moment.year, moment.month, moment.day));
        return;
    }
    print_date(&moment, text);
    set_unrepresentable(ret_cell, scratch, text);
}

/* 5 bytes, big-endian, offset by 2^39: year * 13 + month 17 bits, day 5, hour 5, minute 6, second 6; then the fraction. */
void value_datetime(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    size_t width = value_fraction_width(column->precision);
    int64_t packed = (int64_t)cursor_be(cursor, 5) - INT64_C(0x8000000000);
    uint64_t fraction = cursor_be(cursor, width);
    struct moment moment = {.microsecond = fraction_us(fraction, width)};

    if (packed < 0) {
        cursor_fail(cursor, "a DATETIME is negative");
        return;
    }
    moment.year = (unsigned)(packed >> 22) / 13;
    moment.month = (unsigned)(packed >> 22) % 13;
    moment.day = packed >> 17 & 31;
    moment.hour = packed >> 12 & 31;
    moment.minute = packed >> 6 & 63;
    moment.second = packed & 63;
    set_datetime(column, &moment, scratch, ret_cell);
}

static void set_timestamp(const struct value_column *column, uint32_t seconds, uint32_t microseconds, struct scratch *scratch,
                          struct cell *cell)
{
    if (seconds == 0 && microseconds == 0) { /* with a fraction it is a real time (MariaDB) */
        set_datetime(column, &(struct moment){0}, scratch, cell);
        return;
    }
    value_set_integer(cell, seconds * SECOND_US + microseconds);
}

/* 4 bytes, big-endian, seconds since the epoch (unsigned: MariaDB 11.5 goes to 2106); then the fraction. */
void value_timestamp(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    size_t width = value_fraction_width(column->precision);
    uint32_t seconds = (uint32_t)cursor_be(cursor, 4);
    uint32_t microseconds = fraction_us(cursor_be(cursor, width), width);

    if (microseconds >= SECOND_US) {
        cursor_fail(cursor, "a TIMESTAMP's fraction is more than a second");
    }
    set_timestamp(column, seconds, microseconds, scratch, ret_cell);
}

/* 3 bytes and the fraction as one big-endian number, offset so that the highest bit is the sign; hour 10 bits, minute 6,
 * second 6. */
void value_time(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    size_t width = value_fraction_width(column->precision);
    int64_t packed = (int64_t)cursor_be(cursor, 3 + width) - (INT64_C(0x800000) << (8 * width));
    uint64_t magnitude = (uint64_t)(packed < 0 ? -packed : packed);
    uint64_t clock = magnitude >> (8 * width);
    int64_t seconds = (int64_t)((clock >> 12 & 1023) * 3600 + (clock >> 6 & 63) * 60 + (clock & 63));
    uint32_t microseconds = fraction_us(magnitude & ((UINT64_C(1) << (8 * width)) - 1), width);

    (void)scratch;
    if ((clock >> 6 & 63) > 59 || (clock & 63) > 59 || microseconds >= SECOND_US) {
        cursor_fail(cursor, "a TIME has more than 59 minutes or seconds");
    }
    seconds = seconds * SECOND_US + microseconds;
    value_set_integer(ret_cell, packed < 0 ? -seconds : seconds);
}

/* 8 bytes, little-endian: the decimal number YYYYMMDDhhmmss. */
void value_old_datetime(const struct value_column *column, struct cursor *cursor, struct scratch *scratch,
                        struct cell *ret_cell)
{
    uint64_t packed = cursor_u64(cursor);
    struct moment moment = {
        .year = (unsigned)(packed / UINT64_C(10000000000) % 10000),
        .month = (unsigned)(packed / 100000000 % 100),
        .day = (unsigned)(packed / 1000000 % 100),
        .hour = (unsigned)(packed / 10000 % 100),
        .minute = (unsigned)(packed / 100 % 100),
        .second = (unsigned)(packed % 100),
    };

    set_datetime(column, &moment, scratch, ret_cell);
}

void value_old_timestamp(const struct value_column *column, struct cursor *cursor, struct scratch *scratch,
                         struct cell *ret_cell)
{
    set_timestamp(column, cursor_u32(cursor), 0, scratch, ret_cell);
}

/* 3 bytes, little-endian, signed: the decimal number hhhmmss. */
void value_old_time(const struct value_column *column, struct cursor *cursor, struct scratch *scratch, struct cell *ret_cell)
{
    int32_t packed = (int32_t)((uint32_t)cursor_le(cursor, 3) << 8) >> 8;
    int64_t magnitude = packed < 0 ? -(int64_t)packed : packed;
    int64_t seconds = magnitude / 10000 * 3600 + magnitude / 100 % 100 * 60 + magnitude % 100;

    (void)column;
    (void)scratch;
    if (magnitude / 100 % 100 > 59 || magnitude % 100 > 59) {
        cursor_fail(cursor, "a TIME has more than 59 minutes or seconds");
    }
    value_set_integer(ret_cell, (packed < 0 ? -seconds : seconds) * SECOND_US);
}
