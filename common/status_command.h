/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_command: `status` of both programs: the admin port's /status for people. Whatever stands there is shown: scalars as lines, lists
 * of objects and objects of objects as tables, or in a pipe as lines too; so a new figure needs no word here.
 */
#ifndef KAKEHI_COMMON_STATUS_COMMAND_H
#define KAKEHI_COMMON_STATUS_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum status_form {
    STATUS_TABLES,
    STATUS_JSON,   /* as it came */
    STATUS_HEALTH, /* one line, of /healthz: for the health check of a container, which holds no other client; CLI_FAILED if all is not well */
};

/* Asks http://<listen>/status (or /healthz) and prints it to stdout. listen: "address:port" of the program's settings, or what --at says (an
 * address that means all is asked as 127.0.0.1 or [::1]; port 0 can't be asked). Returns the exit code. */
int status_command(const char *listen, enum status_form form);
/* What the options --json and --health ask for. */
enum status_form status_form_of(bool json, bool health);

/* The printing alone. tables: as people on a terminal want it; else each figure is a line that begins with its path, for a pipe. */
void status_print(const json_t *status, bool tables, FILE *out);

#endif
