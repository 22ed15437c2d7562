/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks a rows event row by row. Of an event that is whole in memory a row is decoded at once; of a larger one it is first
 * measured, so that a row that is not all here yet costs a look at its lengths and not a decoding.
 *
 * Rows of tables that are not selected are counted: a row's index in its transaction is the same whatever is selected (rule
 * O3). Where the rows of an event can't be told apart (shape.h: opaque), the event counts as one, always: it can't be selected.
 */
#include <stdlib.h>

#include "common/must.h"
#include "producer/binlog/stream_parts.h"

#define DUMMY_TABLE_ID     0xffffffULL /* MySQL's event that only ends a statement */
#define XA_BYTES_MAX       (64 * 1024 * 1024) /* of one whose end says whether it is committed */
#define DUMMY_TABLE_ID_MAX 0xffffffffffffULL

static int refuse(struct binlog_stream *stream, const char *why)
{
    return stream_refuse(stream, "%s: %s", event_name(stream->assembly->event.header.type), why);
}

static bool is_dummy(uint64_t table_id)
{
    return table_id == DUMMY_TABLE_ID || table_id == UINT32_MAX || table_id == DUMMY_TABLE_ID_MAX;
}

static void make_room_for_cells(struct binlog_stream *stream, size_t count)
{
    if (count > stream->cells_capacity || stream->before == NULL) {
        free(stream->before);
        free(stream->after);
        stream->cells_capacity = count;
        stream->before = calloc(count + 1, sizeof *stream->before);
        stream->after = calloc(count + 1, sizeof *stream->after);
        must(stream->before != NULL && stream->after != NULL);
    }
}

/* Can rows of this event, which are wanted, be given on? */
static int check_wanted(struct binlog_stream *stream)
{
    const struct tables_entry *entry = stream->rows_table;
    const struct table *table = entry->table->table;
    const char *why = NULL;

    if (entry->shape->trouble.class != ERR_NONE) {
        return stream_failed(stream, &entry->shape->trouble);
    }
    if (stream->options.ask && entry->shape->doubtful && !doubts_settled(&stream->doubts, table->database, table->name)) {
        doubts_ask(&stream->doubts, stream->transaction.gtid, table->database, table->name);
        stream->row = (struct binlog_row){.table = entry->table, .op = stream->rows.op, .index = stream->images};
        return BINLOG_ASK;
    }
    if (stream->xa_prepared) {
        return stream_refuse_prepared(stream, table);
    }
    if (stream->xa && stream->event_end - stream->transaction.position > XA_BYTES_MAX) {
        why = "it is changed by an XA transaction of more than 64 MiB, which would have to be one Kafka transaction: leave it out "
              "(source.exclude), or make such changes without XA";
    } else if (!row_images_are_full(&stream->rows)) {
        why = "not all columns are in the row image: set binlog_row_image=FULL at the source, also in its sessions, and read "
              "the table "
              "anew";
    }
    if (stream->xa && stream->xa_table == NULL) {
        stream->xa_table = table_new(table->database, table->name, 0, 0);
    }
    return why != NULL ? stream_refuse(stream, "table %.64s.%.64s: %s", table->database, table->name, why) : GO_ON;
}

static int begin_images(struct binlog_stream *stream)
{
    const struct tables_entry *entry = tables_find(stream->tables, stream->rows.table_id);

    stream->rows_phase = ROWS_IMAGES;
    stream->rows_table = entry;
    if (entry == NULL) {
        bool empty = stream->assembly->event.complete && stream->assembly->event.size == 0;

        return is_dummy(stream->rows.table_id) && empty ? GO_ON : refuse(stream, "its TABLE_MAP is missing");
    }
    if (stream->rows.column_count != entry->shape->column_count) {
        return refuse(stream, "it has another number of columns than its TABLE_MAP");
    }
    if (!entry->shape->walkable) {
        return stream_failed(stream, &entry->shape->trouble);
    }
    if (entry->table == NULL) {
        stream->images += entry->shape->opaque ? 1 : 0;
        return GO_ON;
    }
    make_room_for_cells(stream, entry->table->table->column_count);
    return check_wanted(stream);
}

/* More of the event is needed. */
static int more(struct binlog_stream *stream)
{
    struct err err = {0};

    if (stream->assembly->event.size > stream->options.row_bytes_max) {
        return refuse(stream, "a row is larger than the limit");
    }
    switch (assembly_more(stream->assembly, &err)) {
    case ASSEMBLY_EVENT:
        return GO_ON;
    case ASSEMBLY_INPUT:
        return stream_input(stream);
    default:
        return stream_failed(stream, &err);
    }
}

static int read_head(struct binlog_stream *stream)
{
    const struct event *event = &stream->assembly->event;
    struct cursor cursor = cursor_over(event->body, event->size);

    row_read_head(&stream->rows, event->header.type, &stream->assembly->format, &cursor);
    if (cursor.why == CURSOR_SHORT && !event->complete) {
        return more(stream);
    }
    if (cursor.why != NULL) {
        return refuse(stream, cursor.why);
    }
    assembly_take(stream->assembly, event->size - cursor_left(&cursor));
    return begin_images(stream);
}

static void decode_row(struct binlog_stream *stream, struct cursor *cursor)
{
    const struct tables_entry *entry = stream->rows_table;
    struct binlog_row *row = &stream->row;

    scratch_reset(&stream->scratch);
    *row = (struct binlog_row){.table = entry->table, .op = stream->rows.op, .index = stream->images};
    if (stream->rows.partial) {
        row_decode_partial(entry->shape, cursor, &stream->scratch, stream->before, stream->after);
        row->before = stream->before;
        row->after = stream->after;
        row->replaced = stream->scratch.replaced;
        return;
    }
    if (row->op != 'c') {
        row_decode(entry->shape, cursor, &stream->scratch, stream->before);
        row->before = stream->before;
    }
    if (row->op != 'd') {
        row_decode(entry->shape, cursor, &stream->scratch, stream->after);
        row->after = stream->after;
    }
    row->replaced = stream->scratch.replaced;
}

/* The rest of the event begins with a row. */
static int take_row(struct binlog_stream *stream)
{
    const struct event *event = &stream->assembly->event;
    const struct tables_entry *entry = stream->rows_table;
    bool wanted = entry->table != NULL;
    struct cursor cursor = cursor_over(event->body, event->size);

    if (entry->shape->opaque) {
        assembly_take(stream->assembly, event->size);
        return GO_ON;
    }
    if (!wanted || !event->complete) {
        row_skip(&stream->rows, entry->shape, &cursor);
        if (cursor.why == CURSOR_SHORT && !event->complete) {
            return more(stream);
        }
    }
    if (wanted && cursor.why == NULL) {
        cursor = cursor_over(event->body, event->size);
        decode_row(stream, &cursor);
    }
    if (cursor.why != NULL || cursor_left(&cursor) == event->size) {
        return refuse(stream, cursor.why != NULL ? cursor.why : "a row without bytes");
    }
    assembly_take(stream->assembly, event->size - cursor_left(&cursor));
    stream->images++;
    return wanted ? BINLOG_ROW : GO_ON;
}

int stream_next_row(struct binlog_stream *stream)
{
    const struct event *event = &stream->assembly->event;

    if (stream->rows_phase == ROWS_HEAD) {
        return read_head(stream);
    }
    if (event->size > 0) {
        return take_row(stream);
    }
    if (!event->complete) {
        return more(stream);
    }
    stream_on_rows_end(stream);
    return GO_ON;
}

int stream_next_emptied(struct binlog_stream *stream)
{
    const struct query *query = &stream->query;
    const struct query_table *emptied = &query->tables[stream->emptied++];
    const struct binlog_table *table;

    if (query->kind == QUERY_ALTERS_COLUMNS || (query->kind == QUERY_REWRITES_TABLES && !emptied->left)) {
        table = tables_rewritten(stream->tables, emptied->database, emptied->name);
        stream->row = (struct binlog_row){.table = table,
                                          .index = stream->images,
                                          .rewritten = query->kind == QUERY_REWRITES_TABLES,
                                          .drops = &query->drops,
                                          .adds = &query->adds};
        return table != NULL ? BINLOG_ALTERED : GO_ON;
    }
    table = tables_emptied(stream->tables, emptied->database, emptied->name);
    stream->row = (struct binlog_row){.table = table, .op = 't', .index = stream->images++};
    return table != NULL ? BINLOG_ROW : GO_ON;
}
