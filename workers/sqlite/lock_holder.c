/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that is not exactly as expected gives an empty text: it only helps a person. */
#include "workers/sqlite/lock_holder.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITE_LOCK_BYTE 120 /* in the -shm file; "Write-Ahead Log: WAL-Index Format" in SQLite's documentation */

/* "1: POSIX  ADVISORY  WRITE 4711 08:01:123456 120 120": the lock on that byte of that file. 0: another line. */
static int holder_in_line(const char *line, unsigned long inode)
{
    char kind[16];
    int pid;
    unsigned long line_inode;
    long long first;
    char last[24];
    long long last_byte = LLONG_MAX;

    if (sscanf(line, "%*d: %*s %*s %15s %d %*x:%*x:%lu %lld %23s", kind, &pid, &line_inode, &first, last) != 5) {
        return 0;
    }
    if (strcmp(last, "EOF") != 0 && sscanf(last, "%lld", &last_byte) != 1) {
        return 0;
    }
    return strcmp(kind, "WRITE") == 0 && line_inode == inode && first <= WRITE_LOCK_BYTE && last_byte >= WRITE_LOCK_BYTE ? pid
                                                                                                                         : 0;
}

void lock_holder_describe(const char *path, char *text, size_t size)
{
    char shm_path[PATH_MAX];
    char line[256];
    struct stat facts;
    int pid = 0;
    FILE *locks;

    text[0] = '\0';
    (void)snprintf(shm_path, sizeof shm_path, "%s-shm", path);
    if (stat(shm_path, &facts) != 0) {
        return;
    }
    locks = fopen("/proc/locks", "re");
    if (locks == NULL) {
        return;
    }
    while (pid <= 0 && fgets(line, sizeof line, locks) != NULL) {
        pid = holder_in_line(line, (unsigned long)facts.st_ino);
    }
    (void)fclose(locks);
    if (pid > 0) {
        (void)snprintf(text, size, " (held by process %d)", pid);
    }
}
