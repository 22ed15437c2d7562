/* SPDX-License-Identifier: Apache-2.0 */
/*
 * known_tables: the tables that the topic of schemas tells of, each by its newest schema. Blocking calls: for commands only.
 */
#ifndef KAKEHI_WORKERS_KNOWN_TABLES_H
#define KAKEHI_WORKERS_KNOWN_TABLES_H

#include <stddef.h>

#include "common/err.h"
#include "common/settings.h"
#include "schemas/schema.h"

struct known_tables {
    struct schema **schemas; /* owned; one a table, in the order in which the tables came */
    size_t count;
};

/* Reads <prefix>.schemas from its beginning to its end of now. No such topic: no tables. */
int known_tables_read(const struct settings *settings, struct known_tables *ret_tables, struct err *err) MUST_CHECK;
void known_tables_deinit(struct known_tables *tables);

#endif
