/* SPDX-License-Identifier: Apache-2.0 */
/* utf8: one character at a time, strictly: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef KAKEHI_COMMON_UTF8_H
#define KAKEHI_COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many bytes the first character takes (1 to 4); 0 if there is none or it is invalid. */
size_t utf8_decode(const char *text, size_t size, uint32_t *ret_character);
/* How many bytes were written (1 to 4). The character is a Unicode scalar value. */
size_t utf8_encode(uint32_t character, char text[4]);
bool utf8_valid(const char *text, size_t size);

#endif
