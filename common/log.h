/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: one line an event, on stderr: `2026-11-21T01:02:03.456Z info committed source=shop rows=5`, or the same as a JSON
 * object.
 *
 * Fields are given as one format of key=value pairs, split at blanks: `log_info("committed", "source=%s rows=%zu", name,
 * rows)`. %q is a string that may hold anything (the log quotes it); a value given by %s must be free of blanks and quotes.
 * Threads may log at once: a line is one write. Secrets never come here; row contents never above debug.
 *
 * Warnings and errors that repeat are counted (log_repeats.h): two are of one kind if they have the same level, event and fields, but for
 * numbers; a field called partition is no number but a name. The first is written, then one each LOG_INTERVAL_MS, with repeated=N: it
 * stands for N lines. At level debug nothing is held back. Lines of level info say that something has changed, and all are written.
 */
#ifndef KAKEHI_COMMON_LOG_H
#define KAKEHI_COMMON_LOG_H

#include <stdint.h>

#define LOG_INTERVAL_MS 60000

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_LOGFMT, LOG_JSON };

void log_setup(enum log_level level, enum log_format format);
enum log_level log_level_get(void);
/* Another clock, in milliseconds, for tests; NULL: the machine's. */
void log_set_clock(uint64_t (*now_ms)(void));
/* Writes what is held back; at the end of a program. Before that it is written in time by whatever is logged next, and a program that
 * runs logs a heartbeat a minute. */
void log_flush(void);
/* Lines of this level since the start, the held ones included; for the metrics. */
uint64_t log_count(enum log_level level);

/* Conversions known: %s %q %d %u %zu %lld %llu %ld %lu %.Nf, and PRI macros that expand to these. lint checks them, and has a
 * compiler check the arguments, in a copy of the tree where %q is %s. */
#ifdef KAKEHI_CHECK_LOG_FORMATS
__attribute__((format(printf, 3, 4)))
#endif
void log_event(enum log_level level, const char *event, const char *fields, ...);

#define log_error(event, ...) log_event(LOG_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...)  log_event(LOG_WARN, event, __VA_ARGS__)
#define log_info(event, ...)  log_event(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...)                                                                                                  \
    do {                                                                                                                       \
        if (log_level_get() >= LOG_DEBUG) {                                                                                    \
            log_event(LOG_DEBUG, event, __VA_ARGS__);                                                                          \
        }                                                                                                                      \
    } while (0)

#endif
