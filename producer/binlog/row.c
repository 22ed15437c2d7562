/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which cells a row has is said by two bitmaps; each cell is read by the function that its column was given when the table
 * was seen.
 */
#include "producer/binlog/row.h"

#include <string.h>

#include "producer/binlog/event.h"
#include "producer/binlog/jsonb_diff.h"

#define VALUE_OPTION_PARTIAL_JSON 1
#define OLD_POST_HEADER_SIZE      6 /* MySQL 5.1's first versions: a table id of 4 bytes */

static size_t bitmap_size(size_t bits)
{
    return (bits + 7) / 8;
}

uint64_t row_read_table_id(struct cursor *cursor, const struct format_description *format, uint8_t event_type)
{
    return cursor_le(cursor, format->post_header_sizes[event_type] == OLD_POST_HEADER_SIZE ? 4 : 6);
}

static char op_of(uint8_t event_type)
{
    switch (event_type) {
    case EVENT_WRITE_ROWS_V1:
    case EVENT_WRITE_ROWS:
        return 'c';
    case EVENT_DELETE_ROWS_V1:
    case EVENT_DELETE_ROWS:
        return 'd';
    default:
        return 'u';
    }
}

static void read_present(struct cursor *cursor, size_t column_count, uint8_t *present)
{
    const uint8_t *bits = cursor_bytes(cursor, bitmap_size(column_count));

    if (bits != NULL) {
        memcpy(present, bits, bitmap_size(column_count));
    }
}

void row_read_head(struct rows_head *ret_head, uint8_t event_type, const struct format_description *format,
                   struct cursor *cursor)
{
    uint64_t column_count;

    ret_head->op = op_of(event_type);
    ret_head->partial = event_type == EVENT_PARTIAL_UPDATE_ROWS;
    ret_head->table_id = row_read_table_id(cursor, format, event_type);
    ret_head->flags = cursor_u16(cursor);
    if (event_type >= EVENT_WRITE_ROWS) {
        uint16_t extra_size = cursor_u16(cursor);

        if (extra_size < 2) {
            cursor_fail(cursor, "its extra data is smaller than its own size");
        }
        cursor_skip(cursor, extra_size - 2U);
    }
    column_count = cursor_lenenc(cursor);
    if (column_count > TABLE_MAP_COLUMNS_MAX) {
        cursor_fail(cursor, "it has more columns than a table can have");
        return;
    }
    ret_head->column_count = (size_t)column_count;
    if (ret_head->op != 'c') {
        read_present(cursor, ret_head->column_count, ret_head->before);
    }
    if (ret_head->op != 'd') {
        read_present(cursor, ret_head->column_count, ret_head->after);
    }
}

/* Bits above the last column are junk. */
static bool all_set(const uint8_t *bits, size_t count)
{
    for (size_t i = 0; i < count / 8; i++) {
        if (bits[i] != 0xff) {
            return false;
        }
    }
    return count % 8 == 0 || (bits[count / 8] | 0xff << count % 8) % 256 == 0xff;
}

bool row_images_are_full(const struct rows_head *head)
{
    return (head->op == 'c' || all_set(head->before, head->column_count)) &&
           (head->op == 'd' || all_set(head->after, head->column_count));
}

static void skip_image(const struct shape *shape, const uint8_t *present, struct cursor *cursor)
{
    const uint8_t *nulls;
    size_t count = 0;
    size_t i = 0;

    for (size_t c = 0; c < shape->column_count; c++) {
        count += bitmap_low_first(present, c);
    }
    nulls = cursor_bytes(cursor, bitmap_size(count));
    for (size_t c = 0; nulls != NULL && c < shape->column_count; c++) {
        if (bitmap_low_first(present, c) && !bitmap_low_first(nulls, i++)) {
            value_skip(&shape->columns[c], cursor);
        }
    }
}

void row_skip(const struct rows_head *head, const struct shape *shape, struct cursor *cursor)
{
    if (head->op != 'c') {
        skip_image(shape, head->before, cursor);
    }
    if (head->partial && (cursor_lenenc(cursor) & VALUE_OPTION_PARTIAL_JSON) != 0) {
        cursor_skip(cursor, bitmap_size(shape->json_count));
    }
    if (head->op != 'd') {
        skip_image(shape, head->after, cursor);
    }
}

void row_decode(const struct shape *shape, struct cursor *cursor, struct scratch *scratch, struct cell *cells)
{
    const uint8_t *nulls = cursor_bytes(cursor, bitmap_size(shape->column_count));
    struct cell unused;

    for (size_t c = 0; nulls != NULL && c < shape->column_count; c++) {
        const struct value_column *column = &shape->columns[c];
        struct cell *cell = column->hidden ? &unused : cells++;

        if (bitmap_low_first(nulls, c)) {
            *cell = (struct cell){.state = CELL_NULL};
        } else {
            column->decode(column, cursor, scratch, cell);
        }
    }
}

/* ---- partial updates */

/* The document in the image before, which was decoded already; at NULL: it is null. */
static struct cursor take_document(const struct value_column *column, bool is_null, struct cursor *before)
{
    return is_null ? (struct cursor){0} : cursor_part(before, cursor_le(before, column->length_size));
}

/* u32 size and diffs, where otherwise the document would stand. */
static void decode_diffs(struct cursor document, struct cursor *cursor, struct scratch *scratch, struct cell *cell)
{
    struct cursor diffs = cursor_part(cursor, cursor_u32(cursor));
    const char *why;

    if (document.at == NULL) {
        cursor_fail(cursor, "JSON: a partial update of a document that is not there");
    }
    if (cursor->why != NULL || cursor_left(&diffs) == 0) { /* an empty list: the cell stays what it was before */
        return;
    }
    buffer_clear(&scratch->text);
    why = jsonb_diff_print(document.at, cursor_left(&document), diffs.at, cursor_left(&diffs), &scratch->text);
    if (why != NULL) {
        cursor_fail(cursor, why);
        return;
    }
    value_set_bytes(cell, scratch_keep_text(scratch), scratch->text.size);
}

/* Which JSON columns hold diffs: a bit each, all columns of that type counted. NULL: none does. */
static const uint8_t *read_partial_bits(const struct shape *shape, struct cursor *cursor)
{
    uint64_t options = cursor_lenenc(cursor);

    if ((options & ~(uint64_t)VALUE_OPTION_PARTIAL_JSON) != 0) {
        cursor_fail(cursor, "a partial update has options that this version does not know");
    }
    return (options & VALUE_OPTION_PARTIAL_JSON) != 0 ? cursor_bytes(cursor, bitmap_size(shape->json_count)) : NULL;
}

void row_decode_partial(const struct shape *shape, struct cursor *cursor, struct scratch *scratch, struct cell *before,
                        struct cell *after)
{
    struct cursor old = *cursor;
    const uint8_t *old_nulls = cursor_bytes(&old, bitmap_size(shape->column_count));
    const uint8_t *partial;
    const uint8_t *nulls;
    struct cell unused;
    size_t json = 0;

    row_decode(shape, cursor, scratch, before);
    partial = read_partial_bits(shape, cursor);
    nulls = cursor_bytes(cursor, bitmap_size(shape->column_count));
    for (size_t c = 0; nulls != NULL && c < shape->column_count; c++) {
        const struct value_column *column = &shape->columns[c];
        struct cell *cell = column->hidden ? &unused : after++;
        const struct cell *was = column->hidden ? &unused : before++;
        bool is_json = column->decode == value_json;
        struct cursor document = {0};

        if (is_json) {
            document = take_document(column, bitmap_low_first(old_nulls, c), &old);
        } else if (!bitmap_low_first(old_nulls, c)) {
            value_skip(column, &old);
        }
        if (bitmap_low_first(nulls, c)) {
            *cell = (struct cell){.state = CELL_NULL};
        } else if (is_json && partial != NULL && bitmap_low_first(partial, json)) {
            *cell = *was;
            decode_diffs(document, cursor, scratch, cell);
        } else {
            column->decode(column, cursor, scratch, cell);
        }
        json += is_json;
    }
}
