/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shape: how the rows of one TABLE_MAP are read: the struct table that the rest of the product knows, and a decoder a column.
 *
 * Made once for each TABLE_MAP that is new; then a row costs one call a column. What can't be decoded can still be passed over,
 * as far as its length is in the row: so that rows of tables that nobody selected are counted. Why a table can't be decoded is
 * kept as its `trouble` and becomes an error when a row of it is wanted.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_SHAPE_H
#define KAKEHI_PRODUCER_BINLOG_SHAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "producer/binlog/marks.h"
#include "producer/binlog/table_map.h"
#include "producer/binlog/value.h"
#include "schemas/table.h"

struct shape {
    struct table *table;          /* without hidden columns */
    struct value_column *columns; /* as in the row image */
    size_t column_count;
    size_t json_count;  /* columns that a partial update may touch */
    struct err trouble; /* ERR_NONE: rows can be decoded */
    bool walkable;      /* false: not even passed over */
    bool doubtful;      /* the log does not tell all types: marks.h */
    bool opaque;        /* where a row ends is not known: only whole events can be passed over, each counted as one image */
};

/* marks: NULL: the server was not asked. */
struct shape *shape_new(const struct table_map *map, enum binlog_flavor flavor, const struct binlog_stream_options *options,
                        const struct binlog_marks *marks);
void shape_free(struct shape *shape); /* takes NULL */
/* Takes the table out; the shape goes on without it. */
struct table *shape_take_table(struct shape *shape);

#endif
