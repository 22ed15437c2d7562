/* SPDX-License-Identifier: Apache-2.0 */
/* capture: what the code under test writes to stdout or stderr. */
#ifndef KAKEHI_TESTS_UNIT_CAPTURE_H
#define KAKEHI_TESTS_UNIT_CAPTURE_H

/* From now on, what goes to descriptor 1 or 2 is kept. One at a time for each descriptor. */
void capture_start(int descriptor);
/* Ends it. The text (its first 64 KiB) is owned by capture until the next end for the same descriptor. */
const char *capture_end(int descriptor);

#endif
