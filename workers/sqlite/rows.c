/* SPDX-License-Identifier: Apache-2.0 */
/* Statements are cached by schema id, the least recently used one goes; cells are bound by the type table's SQLite column. */
#include "workers/sqlite/rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "schemas/decimal.h"
#include "schemas/value_text.h"
#include "workers/sqlite/layout.h"
#include "workers/sqlite/names.h"

static const char doing[] = "adding a row";

void sqlite_rows_init(struct sqlite_rows *rows, const char *view_pattern)
{
    *rows = (struct sqlite_rows){.view_pattern = view_pattern};
}

void sqlite_rows_deinit(struct sqlite_rows *rows)
{
    for (size_t i = 0; i < SQLITE_STATEMENTS_MAX; i++) {
        (void)sqlite3_finalize(rows->_statements[i].insert);
    }
    free(rows->_cells);
    buffer_deinit(&rows->_text);
    *rows = (struct sqlite_rows){0};
}

/* ---- statements */

static void append_insert(struct buffer *out, const char *view_pattern, const struct table *table)
{
    struct buffer history = {0};

    sqlite_append_view_name(&history, view_pattern, table);
    buffer_append_text(&history, SQLITE_HISTORY_SUFFIX);
    buffer_append_text(out, "INSERT INTO ");
    sqlite_append_quoted(out, buffer_text(&history));
    buffer_append_text(out, " (");
    for (size_t i = 0; i < table->column_count; i++) {
        sqlite_append_column_quoted(out, &table->columns[i]);
        buffer_append_text(out, ", ");
    }
    buffer_append_text(out, SQLITE_METADATA_COLUMNS ") VALUES (?");
    for (size_t i = 1; i < table->column_count + SQLITE_METADATA_COUNT; i++) {
        buffer_append_text(out, ", ?");
    }
    buffer_append_byte(out, ')');
    buffer_deinit(&history);
}

/* The schema's place, or the least recently used one: a free one was never used. */
static struct sqlite_statement *statement_place(struct sqlite_rows *rows, uint64_t schema_id)
{
    struct sqlite_statement *oldest = &rows->_statements[0];

    for (size_t i = 0; i < SQLITE_STATEMENTS_MAX; i++) {
        struct sqlite_statement *place = &rows->_statements[i];

        if (place->insert != NULL && place->schema_id == schema_id) {
            return place;
        }
        if (place->used < oldest->used) {
            oldest = place;
        }
    }
    return oldest;
}

static int statement_of(struct sqlite_rows *rows, struct sqlite_file *file, const struct schema *schema,
                        sqlite3_stmt **ret_insert, struct err *err)
{
    struct sqlite_statement *place = statement_place(rows, schema->value_id);

    place->used = ++rows->_turn;
    if (place->insert == NULL || place->schema_id != schema->value_id) {
        struct buffer sql = {0};
        int result;

        (void)sqlite3_finalize(place->insert);
        place->insert = NULL;
        place->schema_id = schema->value_id;
        append_insert(&sql, rows->view_pattern, schema->table);
        result = sqlite_file_prepare(file, buffer_text(&sql), doing, &place->insert, err);
        buffer_deinit(&sql);
        if (result != 0) {
            return -1;
        }
    }
    *ret_insert = place->insert;
    return 0;
}

/* ---- values */

/* The text is made anew for each value, so SQLite copies it. */
static int bind_made_text(sqlite3_stmt *insert, int index, const struct buffer *text)
{
    return sqlite3_bind_text(insert, index, (const char *)text->bytes, (int)text->size, SQLITE_TRANSIENT);
}

static int bind_decimal(sqlite3_stmt *insert, int index, const struct column *column, const struct cell *cell)
{
    char digits[DECIMAL_TEXT_MAX];
    struct err err;

    must(decimal_to_text(cell->bytes, cell->size, column->scale, digits, &err) == 0); /* record_decode_value checked the size */
    return sqlite3_bind_text(insert, index, digits, -1, SQLITE_TRANSIENT);
}

/* SQLite's integers end at 2^63 - 1. Below, a number, so that `id = 42` finds it; above, text, which sorts behind all numbers. */
static int bind_ulong(struct buffer *text, sqlite3_stmt *insert, int index, uint64_t value)
{
    if (value <= INT64_MAX) {
        return sqlite3_bind_int64(insert, index, (int64_t)value);
    }
    buffer_printf(text, "%" PRIu64, value);
    return bind_made_text(insert, index, text);
}

static int bind_value(struct buffer *text, sqlite3_stmt *insert, int index, const struct column *column,
                      const struct cell *cell)
{
    buffer_clear(text);
    switch (column->type) {
    case COLUMN_LONG:
    case COLUMN_BOOLEAN:
    case COLUMN_TIME:
    case COLUMN_YEAR:
        return sqlite3_bind_int64(insert, index, cell->integer);
    case COLUMN_FLOAT:
    case COLUMN_DOUBLE:
        return sqlite3_bind_double(insert, index, cell->real);
    case COLUMN_ULONG:
        return bind_ulong(text, insert, index, (uint64_t)cell->integer);
    case COLUMN_DATE:
        value_text_date(text, cell->integer);
        return bind_made_text(insert, index, text);
    case COLUMN_DATETIME:
    case COLUMN_TIMESTAMP:
        value_text_datetime(text, cell->integer, ' ');
        return bind_made_text(insert, index, text);
    case COLUMN_DECIMAL:
        return bind_decimal(insert, index, column, cell);
    case COLUMN_BYTES:
        return sqlite3_bind_blob64(insert, index, cell->bytes, cell->size, SQLITE_STATIC);
    case COLUMN_DECIMAL_TEXT:
    case COLUMN_TEXT:
    case COLUMN_JSON:
        return sqlite3_bind_text64(insert, index, (const char *)cell->bytes, cell->size, SQLITE_STATIC, SQLITE_UTF8);
    case COLUMN_TYPE_COUNT:
        break;
    }
    must(!"a column type that rows.c knows");
    return SQLITE_MISUSE;
}

static int bind_metadata(struct buffer *text, sqlite3_stmt *insert, int index, const struct record_meta *meta)
{
    int code = sqlite3_bind_text(insert, index, &meta->op, 1, SQLITE_STATIC);

    buffer_clear(text);
    value_text_datetime(text, meta->ts_us, ' ');
    code = code != SQLITE_OK ? code : bind_made_text(insert, index + 1, text);
    code = code != SQLITE_OK ? code : sqlite3_bind_int64(insert, index + 2, meta->seq);
    code = code != SQLITE_OK ? code : sqlite3_bind_int64(insert, index + 3, meta->idx);
    code = code != SQLITE_OK
               ? code
               : sqlite3_bind_text64(insert, index + 4, meta->source, meta->source_size, SQLITE_STATIC, SQLITE_UTF8);
    return code != SQLITE_OK ? code
                             : sqlite3_bind_text64(insert, index + 5, meta->txid, meta->txid_size, SQLITE_STATIC, SQLITE_UTF8);
}

static int bind_row(struct buffer *text, sqlite3_stmt *insert, const struct table *table, const struct cell *cells,
                    const struct record_meta *meta)
{
    for (size_t i = 0; i < table->column_count; i++) {
        int index = (int)i + 1;
        int code = cells[i].state == CELL_NULL ? sqlite3_bind_null(insert, index)
                                               : bind_value(text, insert, index, &table->columns[i], &cells[i]);

        if (code != SQLITE_OK) {
            return code;
        }
    }
    return bind_metadata(text, insert, (int)table->column_count + 1, meta);
}

static struct cell *cells_for(struct sqlite_rows *rows, size_t count)
{
    if (count > rows->_cell_capacity) {
        rows->_cells = realloc(rows->_cells, count * sizeof *rows->_cells);
        must(rows->_cells != NULL);
        rows->_cell_capacity = count;
    }
    return rows->_cells;
}

int sqlite_rows_insert(struct sqlite_rows *rows, struct sqlite_file *file, const struct warehouse_row *row, struct err *err)
{
    const struct table *table = row->schema->table;
    struct cell *cells = cells_for(rows, table->column_count);
    struct record_meta meta;
    sqlite3_stmt *insert;
    int result = 0;

    if (record_decode_value(table, row->value, row->value_size, cells, &meta, err) != 0) {
        return -1;
    }
    if (statement_of(rows, file, row->schema, &insert, err) != 0) {
        return -1;
    }
    if (bind_row(&rows->_text, insert, table, cells, &meta) != SQLITE_OK || sqlite3_step(insert) != SQLITE_DONE) {
        result = sqlite_file_err(file, doing, err);
    }
    (void)sqlite3_reset(insert);
    (void)sqlite3_clear_bindings(insert); /* they point into the message */
    return result;
}
