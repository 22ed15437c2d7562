/* SPDX-License-Identifier: Apache-2.0 */
/* Counts down the bytes of the packet in hand; only a first byte of 0xfe or 0xff makes it look closer. */
#include "producer/binlog/dump_frames.h"

#include <string.h>

#include "producer/mysql_error.h"

#define PACKET_LENGTH_MAX 0xffffff

static void begin_packet(struct dump_frames *frames)
{
    frames->continued = frames->length == PACKET_LENGTH_MAX;
    frames->length = (uint32_t)frames->header[0] | (uint32_t)frames->header[1] << 8 | (uint32_t)frames->header[2] << 16;
    frames->left = frames->length;
    frames->at_start = frames->length > 0;
    frames->header_size = frames->length > 0 ? 4 : 0;
}

static bool ends_dump(const struct dump_frames *frames, uint8_t first)
{
    return !frames->continued && (first == 0xff || (first == 0xfe && frames->length < 9));
}

static void take_payload(struct dump_frames *frames, const uint8_t *bytes, size_t size)
{
    size_t room = sizeof frames->payload - frames->payload_size;

    if (frames->ending) {
        size_t kept = size < room ? size : room;

        memcpy(frames->payload + frames->payload_size, bytes, kept);
        frames->payload_size += kept;
    }
    frames->left -= (uint32_t)size;
    if (frames->left == 0 && !frames->ending) {
        frames->header_size = 0;
    }
}

size_t dump_frames_scan(struct dump_frames *frames, const uint8_t *bytes, size_t size)
{
    size_t good = frames->ending ? 0 : size;
    size_t at = 0;

    while (at < size && !dump_frames_ended(frames)) {
        size_t count = size - at;

        if (frames->header_size < sizeof frames->header) {
            frames->header[frames->header_size++] = bytes[at++];
            if (frames->header_size == sizeof frames->header) {
                begin_packet(frames);
            }
            continue;
        }
        if (frames->at_start) {
            frames->at_start = false;
            frames->ending = ends_dump(frames, bytes[at]);
            if (frames->ending) {
                good = at > sizeof frames->header ? at - sizeof frames->header : 0;
            }
        }
        count = count < frames->left ? count : frames->left;
        take_payload(frames, bytes + at, count);
        at += count;
    }
    return good;
}

bool dump_frames_ended(const struct dump_frames *frames)
{
    return frames->ending && frames->left == 0;
}

/* 0xff, number u16, perhaps '#' and five letters of SQLSTATE, text. */
int dump_frames_error(const struct dump_frames *frames, bool *ret_rival, struct err *err)
{
    char text[sizeof frames->payload + 1];
    size_t start = 3;
    unsigned number;

    *ret_rival = false;
    if (frames->payload[0] == 0xfe || frames->payload_size < 3) {
        return err_set(err, ERR_RETRY, "the server ended the dump");
    }
    number = (unsigned)frames->payload[1] | (unsigned)frames->payload[2] << 8;
    if (frames->payload_size >= 9 && frames->payload[3] == '#') {
        start = 9;
    }
    memcpy(text, frames->payload + start, frames->payload_size - start);
    text[frames->payload_size - start] = '\0';
    *ret_rival = mysql_error_is_rival(number, text);
    return mysql_error_set(err, number, text);
}
