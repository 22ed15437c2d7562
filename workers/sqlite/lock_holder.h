/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock_holder: which process holds the write lock of a database file in WAL mode; for the error text, nothing else.
 *
 * Read from /proc/locks. Opening the file to ask by fcntl would be fatal: closing any descriptor of a file drops all POSIX
 * locks that the process has on it, SQLite's own included.
 */
#ifndef KAKEHI_WORKERS_SQLITE_LOCK_HOLDER_H
#define KAKEHI_WORKERS_SQLITE_LOCK_HOLDER_H

#include <stddef.h>

/* " (held by process 4711)", or "" if that can't be seen (another container, no /proc, free by now). */
void lock_holder_describe(const char *path, char *text, size_t size);

#endif
