/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_command: `status` of both programs: the admin port's /status for people. Whatever stands there is shown: scalars as lines, lists
 * of objects and objects of objects as tables; so a new figure needs no word here.
 */
#ifndef KAKEHI_COMMON_STATUS_COMMAND_H
#define KAKEHI_COMMON_STATUS_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Asks http://<listen>/status and prints it to stdout; raw: as it came. listen: "address:port" of the program's settings (an address
 * that means all is asked as 127.0.0.1). Returns the exit code. */
int status_command(const char *listen, bool raw);

/* The printing alone. */
void status_print(const json_t *status, FILE *out);

#endif
