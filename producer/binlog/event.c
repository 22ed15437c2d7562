/* SPDX-License-Identifier: Apache-2.0 */
/* The table of types is the whole knowledge: what is decoded, what passes, what is refused and with which advice. */
#include "producer/binlog/event.h"

#include <stddef.h>

#define LOAD_DATA       "LOAD DATA was logged as a statement: set binlog_format=ROW"
#define OLD_ROWS        "rows in a layout from before MySQL 5.1 are not read"

struct event_facts {
    const char *name; /* NULL: unknown */
    enum event_action action;
    const char *refusal; /* of EVENT_REFUSE: why, and what to do */
};

/* INTVAR, RAND and USER_VAR stand before a statement, which is judged itself; so do the blocks before EXECUTE_LOAD_QUERY. */
static const struct event_facts events[256] = {
    [1] = {"START_V3", EVENT_REFUSE, "the log is older than MySQL 5.0"},
    [2] = {"QUERY", EVENT_TAKE, NULL},
    [3] = {"STOP", EVENT_PASS, NULL},
    [4] = {"ROTATE", EVENT_TAKE, NULL},
    [5] = {"INTVAR", EVENT_PASS, NULL},
    [6] = {"LOAD", EVENT_REFUSE, LOAD_DATA},
    [7] = {"SLAVE", EVENT_REFUSE, "the log is older than MySQL 5.0"},
    [8] = {"CREATE_FILE", EVENT_REFUSE, LOAD_DATA},
    [9] = {"APPEND_BLOCK", EVENT_PASS, NULL},
    [10] = {"EXEC_LOAD", EVENT_REFUSE, LOAD_DATA},
    [11] = {"DELETE_FILE", EVENT_PASS, NULL},
    [12] = {"NEW_LOAD", EVENT_REFUSE, LOAD_DATA},
    [13] = {"RAND", EVENT_PASS, NULL},
    [14] = {"USER_VAR", EVENT_PASS, NULL},
    [15] = {"FORMAT_DESCRIPTION", EVENT_TAKE, NULL},
    [16] = {"XID", EVENT_TAKE, NULL},
    [17] = {"BEGIN_LOAD_QUERY", EVENT_PASS, NULL},
    [18] = {"EXECUTE_LOAD_QUERY", EVENT_TAKE, NULL},
    [19] = {"TABLE_MAP", EVENT_TAKE, NULL},
    [20] = {"PRE_GA_WRITE_ROWS", EVENT_REFUSE, OLD_ROWS},
    [21] = {"PRE_GA_UPDATE_ROWS", EVENT_REFUSE, OLD_ROWS},
    [22] = {"PRE_GA_DELETE_ROWS", EVENT_REFUSE, OLD_ROWS},
    [23] = {"WRITE_ROWS_V1", EVENT_TAKE, NULL},
    [24] = {"UPDATE_ROWS_V1", EVENT_TAKE, NULL},
    [25] = {"DELETE_ROWS_V1", EVENT_TAKE, NULL},
    [26] = {"INCIDENT", EVENT_REFUSE,
            "the server says that changes are missing from its log: compare or reload the tables, then set the position behind "
            "it"},
    [27] = {"HEARTBEAT", EVENT_TAKE, NULL},
    [28] = {"IGNORABLE", EVENT_PASS, NULL},
    [29] = {"ROWS_QUERY", EVENT_PASS, NULL},
    [30] = {"WRITE_ROWS", EVENT_TAKE, NULL},
    [31] = {"UPDATE_ROWS", EVENT_TAKE, NULL},
    [32] = {"DELETE_ROWS", EVENT_TAKE, NULL},
    [33] = {"GTID", EVENT_TAKE, NULL},
    [34] = {"ANONYMOUS_GTID", EVENT_TAKE, NULL},
    [35] = {"PREVIOUS_GTIDS", EVENT_PASS, NULL},
    [36] = {"TRANSACTION_CONTEXT", EVENT_PASS, NULL},
    [37] = {"VIEW_CHANGE", EVENT_PASS, NULL},
    [38] = {"XA_PREPARE", EVENT_TAKE, NULL},
    [39] = {"PARTIAL_UPDATE_ROWS", EVENT_TAKE, NULL},
    [40] = {"TRANSACTION_PAYLOAD", EVENT_TAKE, NULL},
    [41] = {"HEARTBEAT_V2", EVENT_TAKE, NULL},
    [42] = {"GTID_TAGGED", EVENT_TAKE, NULL},
    [100] = {"AURORA_PADDING", EVENT_PASS, NULL},
    [160] = {"ANNOTATE_ROWS", EVENT_PASS, NULL},
    [161] = {"BINLOG_CHECKPOINT", EVENT_PASS, NULL},
    [162] = {"MARIADB_GTID", EVENT_TAKE, NULL},
    [163] = {"GTID_LIST", EVENT_PASS, NULL},
    [164] = {"START_ENCRYPTION", EVENT_REFUSE, "the file is encrypted: read it through the server, which sends it decrypted"},
    [165] = {"QUERY_COMPRESSED", EVENT_TAKE, NULL},
    [166] = {"WRITE_ROWS_COMPRESSED_V1", EVENT_TAKE, NULL},
    [167] = {"UPDATE_ROWS_COMPRESSED_V1", EVENT_TAKE, NULL},
    [168] = {"DELETE_ROWS_COMPRESSED_V1", EVENT_TAKE, NULL},
    [169] = {"WRITE_ROWS_COMPRESSED", EVENT_TAKE, NULL},
    [170] = {"UPDATE_ROWS_COMPRESSED", EVENT_TAKE, NULL},
    [171] = {"DELETE_ROWS_COMPRESSED", EVENT_TAKE, NULL},
    [172] = {"PARTIAL_ROW_DATA", EVENT_TAKE, NULL},
};

int event_header_read(const uint8_t bytes[EVENT_HEADER_SIZE], struct event_header *ret_header, struct err *err)
{
    struct cursor cursor = cursor_over(bytes, EVENT_HEADER_SIZE);

    ret_header->timestamp = cursor_u32(&cursor);
    ret_header->type = cursor_u8(&cursor);
    ret_header->server_id = cursor_u32(&cursor);
    ret_header->size = cursor_u32(&cursor);
    ret_header->next_position = cursor_u32(&cursor);
    ret_header->flags = cursor_u16(&cursor);
    if (ret_header->size < EVENT_HEADER_SIZE) {
        return err_set(err, ERR_FATAL, "an event of type %u says that it has %u bytes, less than its header", ret_header->type,
                       ret_header->size);
    }
    return 0;
}

/* START_ENCRYPTION is refused in a file; from a server it comes flagged ignorable, and what follows it comes decrypted. Of the
 * other types that are refused none may be passed: what they hold is not ours to ignore, whatever the flag says. */
enum event_action event_action(const struct event_header *header)
{
    const struct event_facts *facts = &events[header->type];
    bool ignorable = (header->flags & EVENT_FLAG_IGNORABLE) != 0;

    if (ignorable && (facts->name == NULL || header->type == EVENT_MARIADB_START_ENCRYPTION)) {
        return EVENT_PASS;
    }
    return facts->name == NULL ? EVENT_REFUSE : facts->action;
}

const char *event_refusal(uint8_t type)
{
    const struct event_facts *facts = &events[type];

    return facts->refusal != NULL ? facts->refusal
                                  : "this version does not know it, and the server does not flag it as ignorable: take a version that "
                                    "knows it, or compare or reload the tables, then set the position behind it";
}

const char *event_name(uint8_t type)
{
    return events[type].name != NULL ? events[type].name : "unknown";
}

bool event_is_rows(uint8_t type)
{
    return (type >= EVENT_WRITE_ROWS_V1 && type <= EVENT_DELETE_ROWS_V1) ||
           (type >= EVENT_WRITE_ROWS && type <= EVENT_DELETE_ROWS) || type == EVENT_PARTIAL_UPDATE_ROWS;
}

bool event_is_heartbeat(uint8_t type)
{
    return type == EVENT_HEARTBEAT || type == EVENT_HEARTBEAT_V2;
}

uint8_t event_uncompressed(uint8_t type)
{
    if (type == EVENT_MARIADB_QUERY_COMPRESSED) {
        return EVENT_QUERY;
    }
    if (type >= EVENT_MARIADB_WRITE_ROWS_COMPRESSED_V1 && type <= EVENT_MARIADB_DELETE_ROWS_COMPRESSED_V1) {
        return (uint8_t)(EVENT_WRITE_ROWS_V1 + type - EVENT_MARIADB_WRITE_ROWS_COMPRESSED_V1);
    }
    if (type >= EVENT_MARIADB_WRITE_ROWS_COMPRESSED && type <= EVENT_MARIADB_DELETE_ROWS_COMPRESSED) {
        return (uint8_t)(EVENT_WRITE_ROWS + type - EVENT_MARIADB_WRITE_ROWS_COMPRESSED);
    }
    return 0;
}
