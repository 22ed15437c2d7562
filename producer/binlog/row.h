/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row: the head of a rows event, and the row images behind it: decoded, or passed over.
 *
 * Layout: table id, flags u16, (v2: extra data, its u16 size included,) width lenenc, one bitmap of the columns that are in the
 * image (two of an update); then the images: a bitmap of nulls over the columns that are there, and their values. A partial
 * update's after image begins with its value options and, if bit 0 is set, a bit for each JSON column.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_ROW_H
#define KAKEHI_PRODUCER_BINLOG_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "producer/binlog/cursor.h"
#include "producer/binlog/format_description.h"
#include "producer/binlog/scratch.h"
#include "producer/binlog/shape.h"

#define ROW_BITMAP_SIZE    ((TABLE_MAP_COLUMNS_MAX + 7) / 8)
#define ROWS_FLAG_STMT_END 0x0001

struct rows_head {
    char op;      /* c, u, d */
    bool partial; /* an update of parts of JSON documents */
    uint64_t table_id;
    uint16_t flags;
    size_t column_count;
    uint8_t before[ROW_BITMAP_SIZE]; /* u, d: which columns are in the image */
    uint8_t after[ROW_BITMAP_SIZE];  /* c, u */
};

/* Reads the table id alone, as all events about tables begin with it. */
uint64_t row_read_table_id(struct cursor *cursor, const struct format_description *format, uint8_t event_type);
void row_read_head(struct rows_head *ret_head, uint8_t event_type, const struct format_description *format,
                   struct cursor *cursor);
/* Are all columns in the images? */
bool row_images_are_full(const struct rows_head *head);

/* Passes over all images of one row. */
void row_skip(const struct rows_head *head, const struct shape *shape, struct cursor *cursor);
/* Decodes one full image into as many cells as the table has columns. */
void row_decode(const struct shape *shape, struct cursor *cursor, struct scratch *scratch, struct cell *cells);
/* Decodes both full images of a partial update: its JSON documents come out whole. */
void row_decode_partial(const struct shape *shape, struct cursor *cursor, struct scratch *scratch, struct cell *before,
                        struct cell *after);

#endif
