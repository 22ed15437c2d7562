/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text_width: texts from outside, such as names of tables, in columns on a terminal. For commands, which have one thread.
 *
 * A terminal gives some characters two columns (CJK, emoji) and others none (what combines with the one before), and obeys control characters:
 * a name that holds an escape sequence must not move the cursor of whoever looks at it.
 */
#ifndef KAKEHI_COMMON_TEXT_WIDTH_H
#define KAKEHI_COMMON_TEXT_WIDTH_H

#include "common/buffer.h"

/* Appends the text with '?' in the place of each control character, and of each byte that is no UTF-8. */
void text_printable(struct buffer *out, const char *text);
/* Columns of a printable text. */
int text_width(const char *text);

#endif
