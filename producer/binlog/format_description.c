/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the event has a trailer follows from the server's version alone. A version that is damaged in an old-looking
 * direction would take the checksums of the whole file for data; so an old version with more event types than it can have known
 * is refused.
 */
#include "producer/binlog/format_description.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "producer/binlog/cursor.h"
#include "producer/binlog/event.h"

#define BINLOG_VERSION      4
#define SERVER_VERSION_SIZE 50
#define ALGORITHM_SIZE      1
#define OLD_TYPES_MAX       32 /* servers without checksums know 27 to 30 types, those with them 35 and more */

enum { CHECKSUM_NONE = 0, CHECKSUM_CRC32 = 1 };

static unsigned long version_number(const char *version)
{
    unsigned long number = 0;
    const char *at = version;

    for (int part = 0; part < 3; part++) {
        char *end;
        unsigned long value = isdigit((unsigned char)*at) ? strtoul(at, &end, 10) : (end = (char *)(uintptr_t)at, 0UL);

        number = number * 1000 + (value < 1000 ? value : 999);
        at = *end == '.' ? end + 1 : end;
    }
    return number;
}

static bool writes_checksums(const struct format_description *format)
{
    return version_number(format->server_version) >= (format->flavor == BINLOG_MARIADB ? 5003000UL : 5006001UL);
}

static bool printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if (!isprint((unsigned char)*text)) {
            return false;
        }
    }
    return true;
}

static int read_version(struct format_description *format, struct cursor *cursor, struct err *err)
{
    uint16_t version = cursor_u16(cursor);
    const uint8_t *text = cursor_bytes(cursor, SERVER_VERSION_SIZE);

    if (text == NULL) {
        return err_set(err, ERR_FATAL, "FORMAT_DESCRIPTION: %s", cursor->why);
    }
    if (version != BINLOG_VERSION) {
        return err_set(err, ERR_FATAL, "binlog version %u is not read, only %d (MySQL 5.0 and later)", version, BINLOG_VERSION);
    }
    memcpy(format->server_version, text, SERVER_VERSION_SIZE);
    if (!isdigit((unsigned char)format->server_version[0]) || !printable(format->server_version)) {
        return err_set(err, ERR_FATAL, "FORMAT_DESCRIPTION: the server's version is not a text that begins with a digit");
    }
    format->flavor = strcasestr(format->server_version, "mariadb") != NULL ? BINLOG_MARIADB : BINLOG_MYSQL;
    return 0;
}

static int read_trailer(struct format_description *format, struct cursor *cursor, struct err *err)
{
    const uint8_t *algorithm = cursor->end - EVENT_CRC_SIZE - ALGORITHM_SIZE;

    if (cursor_left(cursor) < ALGORITHM_SIZE + EVENT_CRC_SIZE) {
        return err_set(err, ERR_FATAL, "FORMAT_DESCRIPTION: %s", CURSOR_SHORT);
    }
    if (*algorithm != CHECKSUM_NONE && *algorithm != CHECKSUM_CRC32) {
        return err_set(err, ERR_FATAL, "FORMAT_DESCRIPTION: checksum algorithm %u is not known", *algorithm);
    }
    format->checksums = *algorithm == CHECKSUM_CRC32;
    cursor->end = algorithm;
    return 0;
}

int format_description_read(struct format_description *ret_format, const uint8_t *body, size_t size, struct err *err)
{
    struct cursor cursor = cursor_over(body, size);
    uint8_t header_size;
    size_t type_count;

    *ret_format = (struct format_description){0};
    if (read_version(ret_format, &cursor, err) != 0) {
        return -1;
    }
    ret_format->created = cursor_u32(&cursor);
    header_size = cursor_u8(&cursor);
    if (cursor.why != NULL || header_size != EVENT_HEADER_SIZE) {
        return err_set(err, ERR_FATAL, "FORMAT_DESCRIPTION: event headers of %u bytes, not %d", header_size, EVENT_HEADER_SIZE);
    }
    ret_format->has_trailer = writes_checksums(ret_format);
    if (ret_format->has_trailer && read_trailer(ret_format, &cursor, err) != 0) {
        return -1;
    }
    type_count = cursor_left(&cursor);
    if (type_count > 255 || (!ret_format->has_trailer && type_count > OLD_TYPES_MAX)) {
        return err_set(err, ERR_FATAL, "FORMAT_DESCRIPTION: a server of version %s can't know %zu types of events",
                       ret_format->server_version, type_count);
    }
    if (type_count > 0) {
        memcpy(ret_format->post_header_sizes + 1, cursor_bytes(&cursor, type_count), type_count);
    }
    return 0;
}
