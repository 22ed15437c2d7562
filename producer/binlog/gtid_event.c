/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GTID_TAGGED is written by MySQL's own serialization library (libs/mysql/serialization/readme.md of its source): a message is
 * version, size and last field that must be known, then field id and value, ids growing; integers are of variable length.
 * Fields that we do not need follow those we do, so reading stops early.
 */
#include "producer/binlog/gtid_event.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define UUID_SIZE     16
#define TIME_SIZE     7
#define TIME_MORE     (UINT64_C(1) << 55) /* in the immediate commit time: the original one follows */
#define LOGICAL_CLOCK 2
#define TAG_SIZE_MAX  32

#define MARIADB_STANDALONE   0x01
#define MARIADB_GROUP_COMMIT 0x02
#define MARIADB_PREPARED_XA  0x40
#define MARIADB_COMPLETED_XA 0x80

#define MARIADB_START_ALTER    0x02 /* of the second flags, which stand behind what the first bring with them */
#define MARIADB_ROLLBACK_ALTER 0x08

static int short_of(struct err *err, const struct event_header *header, const struct cursor *cursor)
{
    return err_set(err, ERR_FATAL, "%s: %s", event_name(header->type), cursor->why);
}

/* By hand: it is written once a transaction, and printf would take longer than the rest of a small one's event. */
static void write_uuid(char text[37], const uint8_t uuid[UUID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    char *at = text;

    for (size_t i = 0; i < UUID_SIZE; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *at++ = '-';
        }
        *at++ = digits[uuid[i] >> 4];
        *at++ = digits[uuid[i] & 0xf];
    }
    *at = '\0';
}

/* flags u8, uuid, number u64, type u8 = 2, last committed u64, sequence u64, immediate commit time u56, ... ; 5.7 and older end
 * before the time, 5.6 before the type. */
static int read_mysql(struct gtid_event *event, const struct event_header *header, struct cursor *cursor, struct err *err)
{
    const uint8_t *uuid;
    uint64_t number;
    char text[37];

    cursor_skip(cursor, 1);
    uuid = cursor_bytes(cursor, UUID_SIZE);
    number = cursor_u64(cursor);
    if (cursor->why != NULL) {
        return short_of(err, header, cursor);
    }
    if (header->type == EVENT_GTID) {
        write_uuid(text, uuid);
        (void)snprintf(event->gtid, sizeof event->gtid, "%s:%" PRIu64, text, number);
    }
    if (cursor_left(cursor) >= 1 + 8 + 8 + TIME_SIZE && cursor_u8(cursor) == LOGICAL_CLOCK) {
        cursor_skip(cursor, 8 + 8);
        event->commit_ts_us = (int64_t)(cursor_le(cursor, TIME_SIZE) & ~TIME_MORE);
    }
    return 0;
}

/* As many 1-bits at the low end of the first byte as bytes follow it; then a 0-bit, if there is room for it; then the value. */
static uint64_t serialized_unsigned(struct cursor *cursor)
{
    uint8_t first = cursor_u8(cursor);
    unsigned more = first == 0xff ? 8 : (unsigned)__builtin_ctz(~(unsigned)first);
    uint64_t low = more < 7 ? (uint64_t)first >> (more + 1) : 0;
    uint64_t high = cursor_le(cursor, more);

    return more < 8 ? high << (7 - more) | low : high;
}

/* The lowest bit is the sign; negative numbers are inverted. */
static int64_t serialized_signed(struct cursor *cursor)
{
    uint64_t value = serialized_unsigned(cursor);

    return (int64_t)((value & 1) != 0 ? ~(value >> 1) : value >> 1);
}

enum { TAGGED_FLAGS, TAGGED_UUID, TAGGED_NUMBER, TAGGED_TAG, TAGGED_LAST_COMMITTED, TAGGED_SEQUENCE, TAGGED_COMMIT_TIME };

static void read_field(struct cursor *cursor, unsigned id)
{
    if (serialized_unsigned(cursor) != id) {
        cursor_fail(cursor, "its fields are not in the order that is known");
    }
}

static void read_tag(struct cursor *cursor, char tag[TAG_SIZE_MAX + 1])
{
    uint64_t size = serialized_unsigned(cursor);
    const uint8_t *bytes;

    if (size > TAG_SIZE_MAX) {
        cursor_fail(cursor, "its tag is too long");
        return;
    }
    bytes = cursor_bytes(cursor, (size_t)size);
    for (size_t i = 0; bytes != NULL && i < size; i++) {
        bool fits = (bytes[i] >= 'a' && bytes[i] <= 'z') || bytes[i] == '_' || (i > 0 && bytes[i] >= '0' && bytes[i] <= '9');

        if (!fits) {
            cursor_fail(cursor, "its tag holds what no tag may hold");
            return;
        }
        tag[i] = (char)bytes[i];
    }
}

static int read_tagged(struct gtid_event *event, const struct event_header *header, struct cursor *cursor, struct err *err)
{
    uint8_t uuid[UUID_SIZE];
    char tag[TAG_SIZE_MAX + 1] = "";
    char text[37];
    int64_t number;

    (void)serialized_unsigned(cursor); /* version of the serialization */
    (void)serialized_unsigned(cursor); /* size */
    (void)serialized_unsigned(cursor); /* last field that must be known */
    read_field(cursor, TAGGED_FLAGS);
    (void)serialized_unsigned(cursor);
    read_field(cursor, TAGGED_UUID);
    for (size_t i = 0; i < UUID_SIZE; i++) {
        uuid[i] = (uint8_t)serialized_unsigned(cursor);
    }
    read_field(cursor, TAGGED_NUMBER);
    number = serialized_signed(cursor);
    read_field(cursor, TAGGED_TAG);
    read_tag(cursor, tag);
    read_field(cursor, TAGGED_LAST_COMMITTED);
    (void)serialized_signed(cursor);
    read_field(cursor, TAGGED_SEQUENCE);
    (void)serialized_signed(cursor);
    read_field(cursor, TAGGED_COMMIT_TIME);
    event->commit_ts_us = (int64_t)(serialized_unsigned(cursor) & (TIME_MORE - 1));
    if (cursor->why != NULL) {
        return short_of(err, header, cursor);
    }
    write_uuid(text, uuid);
    (void)snprintf(event->gtid, sizeof event->gtid, "%s:%s%s%" PRId64, text, tag, tag[0] != '\0' ? ":" : "", number);
    return 0;
}

/* Behind the flags: by them the number of a group commit u64, or an XA id (format u32, sizes of gtrid and bqual u8, both); the second flags
 * u8. Servers before 10.8 write none of these, or zeros. */
static bool is_undone(struct cursor *cursor, uint8_t flags)
{
    cursor_skip(cursor, (flags & MARIADB_GROUP_COMMIT) != 0 ? 8 : 0);
    if ((flags & (MARIADB_PREPARED_XA | MARIADB_COMPLETED_XA)) != 0) {
        cursor_skip(cursor, 4);
        cursor_skip(cursor, (size_t)cursor_u8(cursor) + cursor_u8(cursor));
    }
    return cursor_left(cursor) > 0 && (cursor_u8(cursor) & (MARIADB_START_ALTER | MARIADB_ROLLBACK_ALTER)) != 0;
}

/* number u64, domain u32, flags u8, ... */
static int read_mariadb(struct gtid_event *event, const struct event_header *header, struct cursor *cursor, struct err *err)
{
    uint64_t number = cursor_u64(cursor);
    uint32_t domain = cursor_u32(cursor);
    uint8_t flags = cursor_u8(cursor);

    if (cursor->why != NULL) {
        return short_of(err, header, cursor);
    }
    event->standalone = (flags & MARIADB_STANDALONE) != 0;
    event->prepared_xa = (flags & MARIADB_PREPARED_XA) != 0;
    event->undone = is_undone(cursor, flags);
    (void)snprintf(event->gtid, sizeof event->gtid, "%" PRIu32 "-%" PRIu32 "-%" PRIu64, domain, header->server_id, number);
    return 0;
}

int gtid_event_read(struct gtid_event *ret_event, const struct event_header *header, const uint8_t *body, size_t size,
                    struct err *err)
{
    struct cursor cursor = cursor_over(body, size);

    *ret_event = (struct gtid_event){.commit_ts_us = (int64_t)header->timestamp * 1000000};
    switch (header->type) {
    case EVENT_MARIADB_GTID:
        return read_mariadb(ret_event, header, &cursor, err);
    case EVENT_GTID_TAGGED:
        return read_tagged(ret_event, header, &cursor, err);
    default:
        return read_mysql(ret_event, header, &cursor, err);
    }
}
