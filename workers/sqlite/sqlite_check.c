/* SPDX-License-Identifier: Apache-2.0 */
/* The same calls as the writer's, so that what they say is what the writer will meet. */
#include "workers/sqlite/sqlite_check.h"

#include <sys/statvfs.h>

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

void sqlite_check(const struct settings *settings, struct findings *findings)
{
    struct sqlite_file file;
    struct err err = {0};

    sqlite_file_init(&file, settings->sqlite_file);
    if (sqlite_file_open(&file, &err) != 0 || sqlite_file_begin(&file, &err) != 0) {
        finding(findings, FINDING_ERROR, "sqlite.file", err.class == ERR_RETRY ? "find out who holds it, then run check again" : "see the message", "%s", err.text);
    } else {
        sqlite_file_rollback(&file);
        finding(findings, FINDING_OK, "sqlite.file", NULL, "%s can be written", settings->sqlite_file);
        check_room(settings->sqlite_file, findings);
    }
    sqlite_file_deinit(&file);
}
