/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A number is held in seven 32-bit limbs, least significant first: 224 bits, which is DECIMAL_BYTES_MAX. Nine decimal digits go
 * in or come out at a time, the most that fit a limb. There is no general big-number arithmetic here, only these two walks.
 */
#include "schemas/decimal.h"

#include <string.h>

#include "common/must.h"

#define LIMB_COUNT   (DECIMAL_BYTES_MAX / 4)
#define CHUNK_DIGITS 9

static const uint32_t powers_of_ten[CHUNK_DIGITS + 1] = {1,      10,      100,      1000,      10000,
                                                         100000, 1000000, 10000000, 100000000, 1000000000};

static void limbs_multiply_add(uint32_t limbs[LIMB_COUNT], uint32_t factor, uint32_t more)
{
    uint64_t carry = more;

    for (int i = 0; i < LIMB_COUNT; i++) {
        carry += (uint64_t)limbs[i] * factor;
        limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

/* Returns the remainder. */
static uint32_t limbs_divide(uint32_t limbs[LIMB_COUNT], uint32_t divisor)
{
    uint64_t rest = 0;

    for (int i = LIMB_COUNT - 1; i >= 0; i--) {
        rest = rest << 32 | limbs[i];
        limbs[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    return (uint32_t)rest;
}

static void limbs_negate(uint32_t limbs[LIMB_COUNT])
{
    uint64_t carry = 1;

    for (int i = 0; i < LIMB_COUNT; i++) {
        carry += (uint32_t)~limbs[i];
        limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

static bool limbs_zero(const uint32_t limbs[LIMB_COUNT])
{
    uint32_t any = 0;

    for (int i = 0; i < LIMB_COUNT; i++) {
        any |= limbs[i];
    }
    return any == 0;
}

/* Byte i of the big-endian form. */
static uint8_t limbs_byte(const uint32_t limbs[LIMB_COUNT], size_t i)
{
    size_t from_end = DECIMAL_BYTES_MAX - 1 - i;

    return (uint8_t)(limbs[from_end / 4] >> (from_end % 4 * 8));
}

/* A leading byte says nothing if it only repeats the sign of the byte behind it. */
static size_t limbs_write(const uint32_t limbs[LIMB_COUNT], uint8_t bytes[DECIMAL_BYTES_MAX])
{
    uint8_t sign = limbs[LIMB_COUNT - 1] >> 31 ? 0xff : 0;
    size_t first = 0;
    size_t size;

    while (first < DECIMAL_BYTES_MAX - 1 && limbs_byte(limbs, first) == sign &&
           (limbs_byte(limbs, first + 1) & 0x80) == (sign & 0x80)) {
        first++;
    }
    size = DECIMAL_BYTES_MAX - first;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = limbs_byte(limbs, first + i);
    }
    return size;
}

static void limbs_read(const uint8_t *bytes, size_t size, uint32_t limbs[LIMB_COUNT])
{
    memset(limbs, bytes[0] & 0x80 ? 0xff : 0, LIMB_COUNT * sizeof *limbs);
    for (size_t i = 0; i < size; i++) {
        size_t from_end = size - 1 - i;
        unsigned shift = from_end % 4 * 8;

        limbs[from_end / 4] = (limbs[from_end / 4] & ~(UINT32_C(0xff) << shift)) | (uint32_t)bytes[i] << shift;
    }
}

size_t decimal_from_digits(const char *digits, size_t digit_count, bool negative, uint8_t bytes[DECIMAL_BYTES_MAX])
{
    uint32_t limbs[LIMB_COUNT] = {0};

    must(digit_count <= DECIMAL_DIGITS_MAX);
    while (digit_count > 0) {
        size_t chunk_size = digit_count % CHUNK_DIGITS ? digit_count % CHUNK_DIGITS : CHUNK_DIGITS;
        uint32_t chunk = 0;

        for (size_t i = 0; i < chunk_size; i++) {
            chunk = chunk * 10 + (uint32_t)(digits[i] - '0');
        }
        limbs_multiply_add(limbs, powers_of_ten[chunk_size], chunk);
        digits += chunk_size;
        digit_count -= chunk_size;
    }
    if (negative) {
        limbs_negate(limbs);
    }
    return limbs_write(limbs, bytes);
}

size_t decimal_from_u64(uint64_t value, uint8_t bytes[DECIMAL_U64_BYTES_MAX])
{
    size_t size = 1;

    while (size < DECIMAL_U64_BYTES_MAX && value >> (8 * size - 1) != 0) {
        size++;
    }
    for (size_t i = size; i-- > 0; value >>= 8) {
        bytes[i] = (uint8_t)value;
    }
    return size;
}

int decimal_to_text(const uint8_t *bytes, size_t size, unsigned scale, char text[DECIMAL_TEXT_MAX], struct err *err)
{
    uint32_t limbs[LIMB_COUNT];
    char reversed[DECIMAL_TEXT_MAX + CHUNK_DIGITS]; /* digits from the last to the first */
    size_t digit_count = 0;
    bool negative;

    if (size == 0 || size > DECIMAL_BYTES_MAX) {
        return err_set(err, ERR_POISON, "a decimal of %zu bytes (1 to %d are possible)", size, DECIMAL_BYTES_MAX);
    }
    if (scale > DECIMAL_DIGITS_MAX) {
        return err_set(err, ERR_POISON, "a decimal of scale %u (0 to %d are possible)", scale, DECIMAL_DIGITS_MAX);
    }
    limbs_read(bytes, size, limbs);
    negative = bytes[0] & 0x80;
    if (negative) {
        limbs_negate(limbs);
    }
    while (!limbs_zero(limbs)) {
        uint32_t chunk = limbs_divide(limbs, powers_of_ten[CHUNK_DIGITS]);

        for (int i = 0; i < CHUNK_DIGITS; i++, chunk /= 10) {
            reversed[digit_count++] = (char)('0' + chunk % 10);
        }
    }
    while (digit_count > 0 && reversed[digit_count - 1] == '0') {
        digit_count--;
    }
    while (digit_count <= scale) {
        reversed[digit_count++] = '0';
    }
    if (negative) {
        *text++ = '-';
    }
    while (digit_count > 0) {
        *text++ = reversed[--digit_count];
        if (digit_count == scale && scale > 0) {
            *text++ = '.';
        }
    }
    *text = '\0';
    return 0;
}

int decimal_to_u64(const uint8_t *bytes, size_t size, uint64_t *ret_value, struct err *err)
{
    uint64_t value = 0;

    if (size == 0 || size > DECIMAL_U64_BYTES_MAX || bytes[0] & 0x80 || (size == DECIMAL_U64_BYTES_MAX && bytes[0] != 0)) {
        return err_set(err, ERR_POISON, "a number outside of 0 to 18446744073709551615");
    }
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | bytes[i];
    }
    *ret_value = value;
    return 0;
}
