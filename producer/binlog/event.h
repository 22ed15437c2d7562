/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event: the header of a binlog event, the known types, and what is to be done with each.
 *
 * Layouts: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication_binlog_event.html and
 * https://mariadb.com/kb/en/replication-protocol/. An unknown type is passed only if the server flagged it ignorable.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_EVENT_H
#define KAKEHI_PRODUCER_BINLOG_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "producer/binlog/cursor.h"

#define EVENT_HEADER_SIZE 19
#define EVENT_CRC_SIZE    4

#define EVENT_FLAG_IN_USE     0x0001 /* of a FORMAT_DESCRIPTION: the file was not closed */
#define EVENT_FLAG_ARTIFICIAL 0x0020 /* made by the server for the reader; stands in no file */
#define EVENT_FLAG_IGNORABLE  0x0080

enum event_type {
    EVENT_QUERY = 2,
    EVENT_STOP = 3,
    EVENT_ROTATE = 4,
    EVENT_FORMAT_DESCRIPTION = 15,
    EVENT_XID = 16,
    EVENT_EXECUTE_LOAD_QUERY = 18,
    EVENT_TABLE_MAP = 19,
    EVENT_WRITE_ROWS_V1 = 23,
    EVENT_UPDATE_ROWS_V1 = 24,
    EVENT_DELETE_ROWS_V1 = 25,
    EVENT_HEARTBEAT = 27,
    EVENT_WRITE_ROWS = 30,
    EVENT_UPDATE_ROWS = 31,
    EVENT_DELETE_ROWS = 32,
    EVENT_GTID = 33,
    EVENT_ANONYMOUS_GTID = 34,
    EVENT_XA_PREPARE = 38,
    EVENT_PARTIAL_UPDATE_ROWS = 39,
    EVENT_TRANSACTION_PAYLOAD = 40,
    EVENT_HEARTBEAT_V2 = 41,
    EVENT_GTID_TAGGED = 42,
    EVENT_MARIADB_GTID = 162,
    EVENT_MARIADB_START_ENCRYPTION = 164,
    EVENT_MARIADB_QUERY_COMPRESSED = 165,
    EVENT_MARIADB_WRITE_ROWS_COMPRESSED_V1 = 166,
    EVENT_MARIADB_DELETE_ROWS_COMPRESSED_V1 = 168,
    EVENT_MARIADB_WRITE_ROWS_COMPRESSED = 169,
    EVENT_MARIADB_DELETE_ROWS_COMPRESSED = 171,
    EVENT_MARIADB_PARTIAL_ROW_DATA = 172,
};

struct event_header {
    uint32_t timestamp; /* seconds since the epoch */
    uint8_t type;
    uint32_t server_id;
    uint32_t size;          /* of the whole event, header and checksum included */
    uint32_t next_position; /* low 32 bits; 0: not told */
    uint16_t flags;
};

/* Fails on a size that no event can have. */
int event_header_read(const uint8_t bytes[EVENT_HEADER_SIZE], struct event_header *ret_header, struct err *err) MUST_CHECK;

enum event_action {
    EVENT_TAKE,   /* the stream has a function for it */
    EVENT_PASS,   /* holds nothing for us */
    EVENT_REFUSE, /* event_refusal says why and what to do */
};

enum event_action event_action(const struct event_header *header);
const char *event_refusal(uint8_t type);
/* "TABLE_MAP"; "unknown" for a type that is not known. */
const char *event_name(uint8_t type);
bool event_is_rows(uint8_t type);
bool event_is_heartbeat(uint8_t type); /* of either form; it belongs to the connection, and has no place in the file */
/* The type without MariaDB's compression of rows and statements; 0: it is not compressed that way. */
uint8_t event_uncompressed(uint8_t type);

#endif
