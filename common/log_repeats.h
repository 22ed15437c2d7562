/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_repeats: lines that say the same again are counted, and not written again and again.
 *
 * The first of a kind is written. Those that follow within the interval are held back: the newest is kept, with how many there were,
 * and is written when the interval is over. So trouble that goes on is one line an interval, which says how many it stands for; and
 * nobody misses its beginning. What a kind is, is the caller's: a number that stands for it.
 *
 * Bounded: KINDS_MAX kinds at once; the one that is quiet for the longest is written and forgotten for a new one. One thread at a time.
 */
#ifndef KAKEHI_COMMON_LOG_REPEATS_H
#define KAKEHI_COMMON_LOG_REPEATS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buffer.h"

#define LOG_REPEATS_KINDS_MAX 128

/* A line of one kind. */
struct log_kind {
    uint64_t kind;
    uint64_t written_ms; /* when one was written last */
    uint64_t held;       /* how many were not written since then */
    struct buffer line;  /* the newest of these, without its time */
};

struct log_repeats {
    uint64_t interval_ms;
    void (*write)(const struct buffer *line, uint64_t stands_for); /* what was held, now due */
    struct log_kind _kinds[LOG_REPEATS_KINDS_MAX];
    int _count;
};

/* true: it is held back. false: the caller writes it now, and it stands for *ret_stands_for lines (1: itself). */
bool log_repeats_hold(struct log_repeats *repeats, uint64_t kind, const struct buffer *line, uint64_t now_ms, uint64_t *ret_stands_for);
/* Writes what is held and due; all: also what is not due yet. */
void log_repeats_write(struct log_repeats *repeats, uint64_t now_ms, bool all);

#endif
