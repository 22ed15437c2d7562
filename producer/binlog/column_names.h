/* SPDX-License-Identifier: Apache-2.0 */
/*
 * column_names: columns that a statement drops or adds, by name, as far as it can be told.
 *
 * Names count without the case of their letters, as servers and warehouses compare them. How a server compares other letters than ASCII's
 * depends on its version; such a name, and one that can't be read, stands for any name.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_COLUMN_NAMES_H
#define KAKEHI_PRODUCER_BINLOG_COLUMN_NAMES_H

#include <stdbool.h>

#include "common/text_list.h"

#define COLUMN_NAMES_MAX 64 /* more of them are any name */
#define COLUMN_NAMES_ANY "*"

struct column_names { /* {0}: none */
    struct text_list list; /* in small letters, each once; or COLUMN_NAMES_ANY alone */
};

/* Copies. COLUMN_NAMES_ANY, and all that is not plain, is any name. True: it says more than before. */
bool column_names_add(struct column_names *names, const char *name);
bool column_names_add_all(struct column_names *names, const struct column_names *from);
bool column_names_none(const struct column_names *names);
/* May a name stand in both? */
bool column_names_meet(const struct column_names *names, const struct column_names *others);
void column_names_deinit(struct column_names *names);

#endif
