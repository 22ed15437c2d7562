/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mysql_error: what an error number of a MySQL or MariaDB server, or of libmariadb, means to us. The one table of them: pure.
 */
#ifndef KAKEHI_PRODUCER_MYSQL_ERROR_H
#define KAKEHI_PRODUCER_MYSQL_ERROR_H

#include <stdbool.h>

#include "common/err.h"

/* Sets class and text: what the server said, then what to do about it. Returns -1. */
int mysql_error_set(struct err *err, unsigned number, const char *text);
/* Did another reader with our server id end our dump? */
bool mysql_error_is_rival(unsigned number, const char *text);

#endif
