/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nearest: the name that a person most likely meant, for "did you mean" in errors.
 *
 * Offer all candidates, then read `best`: NULL if none is near enough to be worth a line.
 */
#ifndef KAKEHI_COMMON_NEAREST_H
#define KAKEHI_COMMON_NEAREST_H

#include <stddef.h>

struct nearest {
    const char *name; /* as it was written; borrowed */
    const char *best; /* borrowed from the candidates */
    size_t _distance; /* of best */
};

void nearest_init(struct nearest *nearest, const char *name);
void nearest_offer(struct nearest *nearest, const char *candidate);

#endif
