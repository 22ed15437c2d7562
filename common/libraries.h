/* SPDX-License-Identifier: Apache-2.0 */
/* libraries: which versions of libraries are in use, as they say themselves: what a report of a fault needs to say. */
#ifndef KAKEHI_COMMON_LIBRARIES_H
#define KAKEHI_COMMON_LIBRARIES_H

/* Those of both programs, a line each, to stdout. A program adds its own. */
void libraries_print(void);

#endif
