/* SPDX-License-Identifier: Apache-2.0 */
/*
 * known_tables: the tables that the topic of schemas tells of, each by its newest schema, and how many partitions the group reads. Blocking
 * calls: for commands only.
 */
#ifndef KAKEHI_WORKERS_KNOWN_TABLES_H
#define KAKEHI_WORKERS_KNOWN_TABLES_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/settings.h"
#include "schemas/schema.h"

struct known_tables {
    struct schema **schemas; /* owned; one a table, in the order in which the tables came */
    int32_t *partitions;     /* owned; of each one's topic. Where there is no topic (any more): as many as it would be made with */
    size_t count;
    int32_t group_partitions; /* of all topics that the group reads, and of those that are not there */
};

/* Reads <prefix>.schemas from its beginning to its end of now. No such topic: no tables. */
int known_tables_read(const struct settings *settings, struct known_tables *ret_tables, struct err *err) MUST_CHECK;
void known_tables_deinit(struct known_tables *tables);

#endif
