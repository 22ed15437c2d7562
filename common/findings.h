/* SPDX-License-Identifier: Apache-2.0 */
/*
 * findings: what `check` prints: one line a finding, with its remedy; as text for people or as one JSON object.
 *
 *   error    topic kakehi.shop.orders: cleanup.policy is compact, so rows vanish before they are read. Remedy: set cleanup.policy=delete
 *
 * An error is something that loses, doubles or stops rows, a warning something that will do so when bad luck joins it; a note says a fact
 * that people want to know. The exit code is 1 with an error, else 0.
 */
#ifndef KAKEHI_COMMON_FINDINGS_H
#define KAKEHI_COMMON_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum finding_level { FINDING_OK, FINDING_NOTE, FINDING_WARNING, FINDING_ERROR };

struct findings;

/* Text is written as it is found; JSON all at the end. out is borrowed. */
struct findings *findings_new(FILE *out, bool json);
/* subject: "topic kakehi.shop.orders". remedy: what to do; NULL: nothing. */
__attribute__((format(printf, 5, 6))) void finding(struct findings *findings, enum finding_level level, const char *subject, const char *remedy,
                                                   const char *format, ...);
size_t findings_count(const struct findings *findings, enum finding_level level);
/* Prints the end (a summary line, or the JSON object), frees, and returns the exit code of the command. */
int findings_end(struct findings *findings);

#endif
