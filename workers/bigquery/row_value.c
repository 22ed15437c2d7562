/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digits are made two at a time, from the last to the first. A decimal of up to 8 bytes, which is nearly every one (18 digits),
 * goes through a 64-bit number; a longer one through decimal.h's long division.
 */
#include "workers/bigquery/row_value.h"

#include <string.h>

#include "common/must.h"
#include "schemas/civil.h"

#define SECOND_US 1000000

static const char pairs[] = "00010203040506070809"
                            "10111213141516171819"
                            "20212223242526272829"
                            "30313233343536373839"
                            "40414243444546474849"
                            "50515253545556575859"
                            "60616263646566676869"
                            "70717273747576777879"
                            "80818283848586878889"
                            "90919293949596979899";

/* value < 100 */
static uint8_t *put_pair(uint8_t *to, unsigned value)
{
    memcpy(to, pairs + (size_t)2 * value, 2);
    return to + 2;
}

/* Writes the digits of the number so that they end before `end`; returns where they begin. Zero is "0". */
static uint8_t *put_digits_before(uint8_t *end, uint64_t value)
{
    while (value >= 100) {
        end -= 2;
        (void)put_pair(end, (unsigned)(value % 100));
        value /= 100;
    }
    if (value >= 10) {
        end -= 2;
        (void)put_pair(end, (unsigned)value);
    } else {
        *--end = (uint8_t)('0' + value);
    }
    return end;
}

uint8_t *row_put_unsigned(uint8_t *to, uint64_t value)
{
    uint8_t digits[ROW_INTEGER_SIZE];
    uint8_t *end = digits + sizeof digits;
    uint8_t *begin = put_digits_before(end, value);

    memcpy(to, begin, (size_t)(end - begin));
    return to + (end - begin);
}

uint8_t *row_put_integer(uint8_t *to, int64_t value)
{
    if (value < 0) {
        *to++ = '-';
    }
    return row_put_unsigned(to, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

/* Of 1 to 8 bytes. */
static int64_t load_small(const uint8_t *bytes, size_t size)
{
    uint64_t value = bytes[0] & 0x80 ? UINT64_MAX : 0;

    for (size_t i = 0; i < size; i++) {
        value = value << 8 | bytes[i];
    }
    return (int64_t)value;
}

static uint8_t *put_small_decimal(uint8_t *to, int64_t value, unsigned scale, unsigned whole_digits_max)
{
    uint8_t digits[ROW_INTEGER_SIZE + DECIMAL_DIGITS_MAX];
    uint8_t *end = digits + sizeof digits;
    uint8_t *begin = put_digits_before(end, value < 0 ? -(uint64_t)value : (uint64_t)value);
    size_t whole_digits;

    while ((size_t)(end - begin) <= scale) {
        *--begin = '0';
    }
    whole_digits = (size_t)(end - begin) - scale;
    if (whole_digits > whole_digits_max) {
        return NULL;
    }
    if (value < 0) {
        *to++ = '-';
    }
    memcpy(to, begin, whole_digits);
    to += whole_digits;
    if (scale > 0) {
        *to++ = '.';
        memcpy(to, begin + whole_digits, scale);
        to += scale;
    }
    return to;
}

static uint8_t *put_large_decimal(uint8_t *to, const uint8_t *bytes, size_t size, unsigned scale, unsigned whole_digits_max)
{
    char text[DECIMAL_TEXT_MAX];
    size_t text_size;
    size_t whole_digits;
    struct err err;

    if (decimal_to_text(bytes, size, scale, text, &err) != 0) {
        return NULL;
    }
    text_size = strlen(text);
    whole_digits = text_size - (text[0] == '-') - (scale > 0 ? scale + 1 : 0);
    if (whole_digits > whole_digits_max) {
        return NULL;
    }
    memcpy(to, text, text_size);
    return to + text_size;
}

uint8_t *row_put_decimal(uint8_t *to, const uint8_t *bytes, size_t size, unsigned scale, unsigned whole_digits_max)
{
    must(size >= 1 && size <= DECIMAL_BYTES_MAX && scale <= DECIMAL_DIGITS_MAX);
    if (size <= sizeof(int64_t)) {
        return put_small_decimal(to, load_small(bytes, size), scale, whole_digits_max);
    }
    return put_large_decimal(to, bytes, size, scale, whole_digits_max);
}

/* A moment on the wall clock, taken apart. */
struct moment {
    struct civil date;
    unsigned hour;
    unsigned minute;
    unsigned second;
    unsigned micros;
};

static struct moment moment_of(int64_t micros)
{
    int64_t days = civil_day_of_us(micros);
    uint64_t in_day = (uint64_t)(micros - days * CIVIL_DAY_US);
    unsigned seconds = (unsigned)(in_day / SECOND_US);

    return (struct moment){civil_of_days(days), seconds / 3600, seconds / 60 % 60, seconds % 60,
                           (unsigned)(in_day % SECOND_US)};
}

uint8_t *row_put_datetime(uint8_t *to, int64_t micros)
{
    struct moment moment = moment_of(micros);
    unsigned year = (unsigned)moment.date.year;

    to = put_pair(to, year / 100);
    to = put_pair(to, year % 100);
    *to++ = '-';
    to = put_pair(to, (unsigned)moment.date.month);
    *to++ = '-';
    to = put_pair(to, (unsigned)moment.date.day);
    *to++ = ' ';
    to = put_pair(to, moment.hour);
    *to++ = ':';
    to = put_pair(to, moment.minute);
    *to++ = ':';
    to = put_pair(to, moment.second);
    *to++ = '.';
    to = put_pair(to, moment.micros / 10000);
    to = put_pair(to, moment.micros / 100 % 100);
    return put_pair(to, moment.micros % 100);
}

uint64_t row_pack_datetime(int64_t micros)
{
    struct moment moment = moment_of(micros);

    return (uint64_t)moment.date.year << 46 | (uint64_t)moment.date.month << 42 | (uint64_t)moment.date.day << 37 |
           (uint64_t)moment.hour << 32 | (uint64_t)moment.minute << 26 | (uint64_t)moment.second << 20 | moment.micros;
}
