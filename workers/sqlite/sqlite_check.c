/* SPDX-License-Identifier: Apache-2.0 */
/* The same calls as the writer's, so that what they say is what the writer will meet; but a file that is not there is not made. */
#include "workers/sqlite/sqlite_check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/must.h"
#include "workers/sqlite/file.h"

#define FREE_BYTES_LOW (1 << 30)

static void check_room(const char *path, struct findings *findings)
{
    struct statvfs room;

    if (statvfs(path, &room) == 0 && (double)room.f_bavail * (double)room.f_frsize < FREE_BYTES_LOW) {
        finding(findings, FINDING_WARNING, "sqlite.file", "make room, or put the file on another volume", "its volume has %.0f MiB left",
                (double)room.f_bavail * (double)room.f_frsize / (1 << 20));
    }
}

/* Who runs `check` need not be who runs the worker, and would own a file that is made here. */
static void check_folder(const char *path, struct findings *findings)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? must_strdup(".") : slash == path ? must_strdup("/") : strndup(path, (size_t)(slash - path));

    must(folder != NULL);
    if (access(folder, W_OK | X_OK) != 0) {
        finding(findings, FINDING_ERROR, "sqlite.file", "check that its folder is there and that this user may write to it", "%s can't be made in %s: %s", path,
                folder, strerror(errno));
    } else {
        finding(findings, FINDING_OK, "sqlite.file", NULL, "%s is not there yet, and can be made", path);
        check_room(folder, findings);
    }
    free(folder);
}

static void check_file(const char *path, struct findings *findings)
{
    struct sqlite_file file;
    struct err err = {0};

    sqlite_file_init(&file, path);
    if (sqlite_file_open(&file, &err) != 0 || sqlite_file_begin(&file, &err) != 0) {
        finding(findings, FINDING_ERROR, "sqlite.file", err.class == ERR_RETRY ? "find out who holds it, then run check again" : "see the message", "%s", err.text);
    } else {
        sqlite_file_rollback(&file);
        finding(findings, FINDING_OK, "sqlite.file", NULL, "%s can be written", path);
        check_room(path, findings);
    }
    sqlite_file_deinit(&file);
}

void sqlite_check(const struct settings *settings, struct findings *findings)
{
    if (access(settings->sqlite_file, F_OK) != 0 && errno == ENOENT) {
        check_folder(settings->sqlite_file, findings);
    } else {
        check_file(settings->sqlite_file, findings);
    }
}
