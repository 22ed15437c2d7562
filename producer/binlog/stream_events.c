/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each event does to the transaction in hand:
 *
 *              GTID (MySQL; MariaDB: standalone)                 a statement: COMMIT
 *   OUTSIDE -----------------------------------------> OPENED -------------------------> OUTSIDE
 *      | ^ ^                                              | BEGIN, XA START, TABLE_MAP
 *      | | |   XID, XA PREPARE: COMMIT                    v
 *      | | +-- COMMIT; ROLLBACK: ROLLED BACK --------- INSIDE <----+
 *      | +-----the server started anew: ROLLED BACK       ^        |
 *      |  BEGIN, XA START, GTID (MariaDB: with a closing event) ---+
 *      |
 *      |  TABLE_MAP (logs without GTID)
 *      +-------------------------> IMPLICIT --end of the statement: COMMIT--> OUTSIDE
 *
 * | state    | what is due                                                    |
 * | OUTSIDE  | a transaction's first event, or what stands between them       |
 * | OPENED   | BEGIN, or the one statement that is the transaction (DDL)      |
 * | INSIDE   | rows, statements, the closing event                            |
 * | IMPLICIT | rows of one statement of a table that has no transactions      |
 *
 * A statement OUTSIDE (DDL in logs without GTID) is a transaction of its own. XA: rows are logged at PREPARE, before anyone
 * knows whether they will be committed. So rows of selected tables are refused there; without any, PREPARE ends a transaction
 * without effect, and so does the later XA COMMIT or ROLLBACK. XA COMMIT ONE PHASE is logged by MySQL as a PREPARE that says so, behind
 * the rows: that is their commit; until it comes nothing of them may be committed by us (binlog_stream_cuttable). MariaDB logs it as any
 * other transaction, and says of prepared ones at their beginning what they are. An XA COMMIT whose PREPARE the stream has not seen is refused:
 * its rows, of whichever tables, stand before the place where we began.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/must.h"
#include "producer/binlog/name_case.h"
#include "producer/binlog/query_text.h"
#include "producer/binlog/stream_parts.h"

#define QUERY_POST_HEADER      13
#define LOAD_QUERY_POST_HEADER 26
#define XID_PART_MAX           64
#define DATABASE_SIZE          256 /* its length is a byte */

static const struct sm_state states[] = {
    [GROUP_OUTSIDE] = {"OUTSIDE", SM_TO(GROUP_OPENED) | SM_TO(GROUP_INSIDE) | SM_TO(GROUP_IMPLICIT)},
    [GROUP_OPENED] = {"OPENED", SM_TO(GROUP_INSIDE) | SM_TO(GROUP_OUTSIDE)},
    [GROUP_INSIDE] = {"INSIDE", SM_TO(GROUP_OUTSIDE)},
    [GROUP_IMPLICIT] = {"IMPLICIT", SM_TO(GROUP_OUTSIDE)},
};

static bool invariant(const struct sm *machine)
{
    (void)machine;
    return true;
}

static void forget_xa(struct binlog_stream *stream)
{
    stream->xa = stream->xa_prepared = false;
    table_free(stream->xa_table);
    stream->xa_table = NULL;
}

void stream_group_init(struct binlog_stream *stream)
{
    sm_init(&stream->group, "transaction", "binlog", states, GROUP_OUTSIDE, invariant);
    stream->images = 0;
    forget_xa(stream);
}

static int refuse_short(struct binlog_stream *stream, const struct cursor *cursor)
{
    return stream_refuse(stream, "%s: %s", event_name(stream->assembly->event.header.type), cursor->why);
}

/* A transaction begins with the event in hand. */
static void open_group(struct binlog_stream *stream, int state, const char *gtid, int64_t commit_ts_us)
{
    struct binlog_transaction *transaction = &stream->transaction;

    sm_move(&stream->group, state, event_name(stream->assembly->event.header.type));
    must(memccpy(transaction->gtid, gtid, '\0', sizeof transaction->gtid) != NULL);
    memcpy(transaction->file, stream->file, sizeof transaction->file);
    transaction->position = stream->event_position;
    transaction->dropped_database[0] = '\0';
    transaction->commit_ts_us = commit_ts_us;
    stream->images = 0;
    stream->undone = false;
    stream->begin_due = true;
}

static void open_without_gtid(struct binlog_stream *stream, int state)
{
    open_group(stream, state, "", (int64_t)stream->assembly->event.header.timestamp * 1000000);
}

static int end_group(struct binlog_stream *stream, enum binlog_item item)
{
    sm_move(&stream->group, GROUP_OUTSIDE, event_name(stream->assembly->event.header.type));
    stream->end_due = item;
    forget_xa(stream);
    return GO_ON;
}

static int on_gtid(struct binlog_stream *stream)
{
    const struct event *event = &stream->assembly->event;
    struct gtid_event gtid;
    struct err err = {0};
    bool closed;

    if (gtid_event_read(&gtid, &event->header, event->body, event->size, &err) != 0) {
        return stream_failed(stream, &err);
    }
    if (sm_at(&stream->group) != GROUP_OUTSIDE) {
        return stream_refuse(stream, "%s: a transaction begins where another (%s) has not ended",
                             event_name(event->header.type), stream->transaction.gtid);
    }
    closed = event->header.type == EVENT_MARIADB_GTID && !gtid.standalone;
    open_group(stream, closed ? GROUP_INSIDE : GROUP_OPENED, gtid.gtid, gtid.commit_ts_us);
    stream->xa_prepared = gtid.prepared_xa;
    stream->undone = gtid.undone;
    stream->gtids_seen = true;
    return GO_ON;
}

/* A statement about this table changes no row of another: of the server's own ones, on which there are no triggers, or so a person says. RDS logs
 * the changes of its tables there as statements, whatever binlog_format says. */
static bool is_alone(const struct binlog_stream *stream, const struct query_table *table)
{
    if (strcmp(table->database, "mysql") == 0) {
        return strncmp(table->name, "rds_", 4) == 0 || !tables_selected(stream->tables, table->database, table->name);
    }
    return tables_excluded(stream->tables, table->database, table->name);
}

/* A statement changed rows where we read only row events: those of its table, and those that its triggers and functions changed, of whichever
 * tables, which no log tells. */
static int check_statement(struct binlog_stream *stream, const struct query *query)
{
    const struct query_table *table = query->tables;

    if (query->table_count == 0) {
        return stream_refuse(stream,
                             "a statement changes rows, and of which tables is not sure: set binlog_format=ROW at the source");
    }
    if (is_alone(stream, table)) {
        return GO_ON;
    }
    if (!tables_selected(stream->tables, table->database, table->name)) {
        return stream_refuse(stream,
                             "a statement changes rows of %.64s.%.64s and is not logged as rows, nor is what its triggers change: set "
                             "binlog_format=ROW at the source; if they change no selected table, name it in source.exclude",
                             table->database, table->name);
    }
    return stream_refuse(
        stream,
        "a statement changes rows of %.64s.%.64s and is not logged as rows: set binlog_format=ROW at the source, and "
        "read the table anew",
        table->database, table->name);
}

/* Forgets the XA transaction. False: it was not known. */
static bool forget_prepared(struct binlog_stream *stream, const char *xid, size_t size)
{
    struct text_list *prepared = &stream->prepared;

    for (size_t i = 0; i < prepared->count; i++) {
        if (strlen(prepared->texts[i]) == size && strncasecmp(prepared->texts[i], xid, size) == 0) { /* hexadecimal */
            free(prepared->texts[i]);
            prepared->texts[i] = prepared->texts[--prepared->count];
            return true;
        }
    }
    return false;
}

static int on_xa_end(struct binlog_stream *stream, const struct query *query)
{
    bool known = forget_prepared(stream, query->xid, query->xid_size);

    if (query->kind == QUERY_XA_COMMIT && !known) {
        return stream_refuse(
            stream,
            "XA COMMIT %.*s: its rows were logged at XA PREPARE, before the place where this stream began, and may be of "
            "selected tables: compare these, then set the position behind it",
            (int)(query->xid_size < 150 ? query->xid_size : 150), query->xid);
    }
    if (sm_at(&stream->group) == GROUP_OUTSIDE) {
        open_without_gtid(stream, GROUP_OPENED);
    }
    return end_group(stream, BINLOG_COMMIT);
}

static int on_control(struct binlog_stream *stream, enum query_kind kind)
{
    int state = sm_at(&stream->group);

    switch (kind) {
    case QUERY_BEGIN:
    case QUERY_XA_START:
        if (state == GROUP_INSIDE || state == GROUP_IMPLICIT) {
            return stream_refuse(stream, "a transaction begins where another has not ended");
        }
        if (state == GROUP_OPENED) {
            sm_move(&stream->group, GROUP_INSIDE, "BEGIN");
        } else {
            open_without_gtid(stream, GROUP_INSIDE);
        }
        stream->xa = kind == QUERY_XA_START;
        return GO_ON;
    case QUERY_COMMIT:
    case QUERY_ROLLBACK:
        if (state == GROUP_OUTSIDE) {
            return GO_ON;
        }
        return end_group(stream, kind == QUERY_COMMIT ? BINLOG_COMMIT : BINLOG_ROLLED_BACK);
    default:
        must(kind == QUERY_XA_COMMIT || kind == QUERY_XA_ROLLBACK);
        return on_xa_end(stream, &stream->query);
    }
}

/* Any other statement: DDL, or one that is judged by what it changes. */
static int on_statement(struct binlog_stream *stream)
{
    char dropped[sizeof stream->transaction.dropped_database] = "";
    struct query *query = &stream->query;
    int result = GO_ON;

    if (stream->undone && (query->kind == QUERY_REWRITES_TABLES || query->kind == QUERY_ALTERS_COLUMNS)) {
        query->kind = QUERY_OTHER;
    }
    if (query->kind == QUERY_CHANGES_ROWS) {
        result = check_statement(stream, query);
    }
    if (query->kind == QUERY_EMPTIES_DATABASE) {
        (void)snprintf(dropped, sizeof dropped, "%s", query->tables[0].database);
        tables_of_database(stream->tables, query);
    } else if (query->kind != QUERY_EMPTIES_TABLES && query->kind != QUERY_REWRITES_TABLES && query->kind != QUERY_ALTERS_COLUMNS) {
        query_deinit(query);
    }
    if (result != GO_ON) {
        return result;
    }
    if (sm_at(&stream->group) == GROUP_OUTSIDE) {
        open_without_gtid(stream, GROUP_OPENED);
    }
    memcpy(stream->transaction.dropped_database, dropped, sizeof dropped);
    if (sm_at(&stream->group) == GROUP_OPENED) {
        return end_group(stream, BINLOG_COMMIT);
    }
    return GO_ON;
}

/* What a statement may have done to columns of which the log does not tell the type. */
static int doubt(struct binlog_stream *stream, const char *text, size_t size)
{
    const char *table = doubts_statement(&stream->doubts, stream->transaction.gtid, text, size, tables_has_doubtful, stream->tables);

    return table == NULL ? GO_ON
                         : stream_refuse(stream,
                                         "a statement that can change types of table %.64s, which MariaDB's log does not tell (UUID, INET), was "
                                         "executed before they were asked for: what the rows before it were can't be known; compare them, then "
                                         "set the position behind it",
                                         table);
}

/* In lower case, where the server's names are. Nothing else that is read in a statement depends on it: words come in any case, and XA's ids are
 * hexadecimal. Borrowed until the next call. */
static struct cursor in_case_of_names(struct binlog_stream *stream, struct cursor text)
{
    struct buffer *lower = &stream->query_lower;

    if (!stream->names_lower) {
        return text;
    }
    buffer_clear(lower);
    name_case_lower((const char *)text.at, cursor_left(&text), lower);
    return cursor_over((const uint8_t *)buffer_text(lower), lower->size);
}

static void take_database(struct binlog_stream *stream, struct cursor name, char ret_database[DATABASE_SIZE])
{
    name = in_case_of_names(stream, name);
    must(cursor_left(&name) < DATABASE_SIZE);
    memcpy(ret_database, name.at, cursor_left(&name));
    ret_database[cursor_left(&name)] = '\0';
}

/* thread u32, seconds u32, database's size u8, error u16, status variables' size u16, (LOAD: 13 more,) variables, database,
 * NUL, text */
static int on_query(struct binlog_stream *stream, size_t post_header)
{
    const struct event *event = &stream->assembly->event;
    struct cursor cursor = cursor_over(event->body, event->size);
    struct query_client client;
    struct cursor name;
    char database[DATABASE_SIZE];
    uint8_t database_size;
    uint16_t variables_size;

    cursor_skip(&cursor, 4 + 4);
    database_size = cursor_u8(&cursor);
    cursor_skip(&cursor, 2);
    variables_size = cursor_u16(&cursor);
    cursor_skip(&cursor, post_header - QUERY_POST_HEADER);
    query_client_read(&client, binlog_stream_flavor(stream), cursor_part(&cursor, variables_size));
    name = cursor_part(&cursor, database_size);
    cursor_skip(&cursor, 1);
    if (cursor.why != NULL) {
        return refuse_short(stream, &cursor);
    }
    if (!charset_is_utf8(name.at, cursor_left(&name))) {
        return stream_refuse(stream, "QUERY: the database's name is not UTF-8");
    }
    take_database(stream, name, database);
    cursor = in_case_of_names(stream, query_text(client.charset, cursor, &stream->query_text));
    query_deinit(&stream->query);
    stream->emptied = 0;
    query_read(&stream->query, (const char *)cursor.at, cursor_left(&cursor), database, client.sql_mode);
    if (stream->query.kind == QUERY_OTHER || stream->query.kind >= QUERY_EMPTIES_TABLES) {
        int result = doubt(stream, (const char *)cursor.at, cursor_left(&cursor));

        return result == GO_ON ? on_statement(stream) : result;
    }
    return on_control(stream, stream->query.kind);
}

static int on_xid(struct binlog_stream *stream)
{
    if (sm_at(&stream->group) != GROUP_INSIDE) {
        return stream_refuse(stream, "XID: a transaction ends that did not begin: was the stream begun inside it?");
    }
    return end_group(stream, BINLOG_COMMIT);
}

int stream_refuse_prepared(struct binlog_stream *stream, const struct table *table)
{
    return stream_refuse(stream,
                         "table %.64s.%.64s: its rows are part of an XA transaction, which is not read yet (they are logged before it is "
                         "known whether they will be committed): leave the table out (source.exclude), or do not use XA on it (XA "
                         "COMMIT ... ONE PHASE is fine)",
                         table->database, table->name);
}

/* The id as XA COMMIT writes it: X'gtrid',X'bqual',format */
static void print_xid(struct buffer *out, const uint8_t *data, size_t gtrid_size, size_t bqual_size, uint32_t format)
{
    for (size_t i = 0; i < gtrid_size + bqual_size; i++) {
        buffer_printf(out, "%s%02x", i == 0 ? "X'" : i == gtrid_size ? "',X'" : "", data[i]);
    }
    buffer_printf(out, "%s',%" PRIu32, bqual_size == 0 ? "',X'" : "", format);
}

/* one phase u8 (then it is the commit), format u32, sizes of gtrid and bqual u32, both */
static int on_xa_prepare(struct binlog_stream *stream)
{
    const struct event *event = &stream->assembly->event;
    struct cursor cursor = cursor_over(event->body, event->size);
    bool one_phase = cursor_u8(&cursor) != 0;
    uint32_t format = cursor_u32(&cursor);
    uint32_t gtrid_size = cursor_u32(&cursor);
    uint32_t bqual_size = cursor_u32(&cursor);
    const uint8_t *data =
        gtrid_size <= XID_PART_MAX && bqual_size <= XID_PART_MAX ? cursor_bytes(&cursor, gtrid_size + bqual_size) : NULL;
    struct buffer xid = {0};

    if (data == NULL || gtrid_size == 0) {
        return stream_refuse(stream, "XA_PREPARE: it has no id of a transaction");
    }
    if (sm_at(&stream->group) != GROUP_INSIDE) {
        return stream_refuse(stream, "XA_PREPARE: a transaction ends that did not begin: was the stream begun inside it?");
    }
    if (!one_phase && stream->xa_table != NULL) {
        return stream_refuse_prepared(stream, stream->xa_table);
    }
    if (!one_phase) {
        print_xid(&xid, data, gtrid_size, bqual_size, format);
        text_list_add(&stream->prepared, buffer_text(&xid));
        buffer_deinit(&xid);
    }
    return end_group(stream, BINLOG_COMMIT);
}

static int on_table_map(struct binlog_stream *stream)
{
    const struct event *event = &stream->assembly->event;
    struct cursor cursor = cursor_over(event->body, event->size);
    uint64_t table_id = row_read_table_id(&cursor, &stream->assembly->format, event->header.type);
    struct err err = {0};

    if (cursor.why != NULL) {
        return refuse_short(stream, &cursor);
    }
    if (tables_map(stream->tables, table_id, stream->assembly->format.flavor, cursor.at, cursor_left(&cursor), &err) != 0) {
        return stream_failed(stream, &err);
    }
    if (sm_at(&stream->group) == GROUP_OPENED) {
        sm_move(&stream->group, GROUP_INSIDE, "TABLE_MAP");
    } else if (sm_at(&stream->group) == GROUP_OUTSIDE && stream->gtids_seen) {
        return stream_refuse(stream, "TABLE_MAP: rows outside of a transaction: was the stream begun inside it?");
    } else if (sm_at(&stream->group) == GROUP_OUTSIDE) {
        open_without_gtid(stream, GROUP_IMPLICIT);
    }
    return GO_ON;
}

void stream_on_rows_end(struct binlog_stream *stream)
{
    stream->rows_phase = ROWS_NONE;
    if ((stream->rows.flags & ROWS_FLAG_STMT_END) != 0) {
        tables_unmap(stream->tables);
        if (sm_at(&stream->group) == GROUP_IMPLICIT) {
            (void)end_group(stream, BINLOG_COMMIT);
        }
    }
}

static int on_rows(struct binlog_stream *stream)
{
    if (sm_at(&stream->group) == GROUP_OUTSIDE || sm_at(&stream->group) == GROUP_OPENED) {
        return stream_refuse(stream, "%s: rows outside of a transaction: was the stream begun inside it?",
                             event_name(stream->assembly->event.header.type));
    }
    stream->rows_phase = ROWS_HEAD;
    return GO_ON;
}

static bool names_file(const uint8_t *name, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (name[i] < ' ' || name[i] == 0x7f) {
            return false;
        }
    }
    return size > 0 && size < sizeof((struct binlog_stream *)0)->file;
}

/* position u64, name. In a file (a relay log) it tells of another server's file. */
static int on_rotate(struct binlog_stream *stream)
{
    const struct event *event = &stream->assembly->event;
    struct cursor cursor = cursor_over(event->body, event->size);
    uint64_t position = cursor_u64(&cursor);
    size_t size = cursor_left(&cursor);

    if (stream->options.framing == BINLOG_FILE) {
        return GO_ON;
    }
    if (cursor.why != NULL || !names_file(cursor.at, size)) {
        return stream_refuse(stream, "ROTATE: it does not name a file");
    }
    memcpy(stream->file, cursor.at, size);
    stream->file[size] = '\0';
    stream->event_position = stream->event_end = position;
    stream->end_due = sm_at(&stream->group) == GROUP_OUTSIDE ? BINLOG_IDLE : GO_ON;
    return GO_ON;
}

/* A description with a creation time says that the server has just started: nothing that was open has been committed. */
static int on_format(struct binlog_stream *stream)
{
    stream->gtids_seen = false;
    tables_unmap(stream->tables);
    if (stream->assembly->format.created != 0 && sm_at(&stream->group) != GROUP_OUTSIDE) {
        return end_group(stream, BINLOG_ROLLED_BACK);
    }
    return GO_ON;
}

/* Comes while the server has nothing to send, and behind transactions that it left out because we have them. */
static int on_heartbeat(struct binlog_stream *stream)
{
    const struct event_header *header = &stream->assembly->event.header;

    if (sm_at(&stream->group) != GROUP_OUTSIDE) {
        return GO_ON;
    }
    if (stream->options.framing == BINLOG_PACKETS && header->next_position > stream->event_end) {
        stream->event_end = header->next_position;
    }
    stream->end_due = BINLOG_IDLE;
    return GO_ON;
}

static int take_event(struct binlog_stream *stream)
{
    uint8_t type = stream->assembly->event.header.type;

    switch (type) {
    case EVENT_QUERY:
        return on_query(stream, QUERY_POST_HEADER);
    case EVENT_EXECUTE_LOAD_QUERY:
        return on_query(stream, LOAD_QUERY_POST_HEADER);
    case EVENT_ROTATE:
        return on_rotate(stream);
    case EVENT_FORMAT_DESCRIPTION:
        return on_format(stream);
    case EVENT_XID:
        return on_xid(stream);
    case EVENT_XA_PREPARE:
        return on_xa_prepare(stream);
    case EVENT_TABLE_MAP:
        return on_table_map(stream);
    case EVENT_HEARTBEAT:
    case EVENT_HEARTBEAT_V2:
        return on_heartbeat(stream);
    case EVENT_GTID:
    case EVENT_ANONYMOUS_GTID:
    case EVENT_GTID_TAGGED:
    case EVENT_MARIADB_GTID:
        return on_gtid(stream);
    default:
        if (type == EVENT_TRANSACTION_PAYLOAD || type == EVENT_MARIADB_PARTIAL_ROW_DATA || event_uncompressed(type) != 0) {
            stream->payload_due = true;
            return GO_ON;
        }
        must(event_is_rows(type));
        return on_rows(stream);
    }
}

int stream_on_event(struct binlog_stream *stream)
{
    const struct event_header *header = &stream->assembly->event.header;

    if (stream_in_payload(stream) && stream_belongs_outside(header->type)) {
        return stream_refuse(stream, "event %u (%s): inside a compressed event", header->type, event_name(header->type));
    }
    switch (event_action(header)) {
    case EVENT_PASS:
        return GO_ON;
    case EVENT_TAKE:
        return take_event(stream);
    default:
        return stream_refuse(stream, "event %u (%s): %s", header->type, event_name(header->type), event_refusal(header->type));
    }
}
