/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump_frames: where the packets of a dump begin and end, over pieces of any size. Pure.
 *
 * Nothing is joined here: the bytes go to the decoder as they come, packet headers included. The borders are followed because a packet
 * may say that the dump has ended, and why; that one is kept back.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_DUMP_FRAMES_H
#define KAKEHI_PRODUCER_BINLOG_DUMP_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* {0} is the start. */
struct dump_frames {
    uint8_t header[4];
    size_t header_size;   /* of it that is there; 4 = in a payload */
    uint32_t length;      /* of the payload */
    uint32_t left;        /* of it, still to come */
    bool at_start;        /* the first byte of a payload is due */
    bool continued;       /* the packet goes on with the event of the one before, which was as long as a packet can be */
    bool ending;          /* this packet ends the dump: its payload is kept */
    uint8_t payload[768]; /* of it, as far as it goes */
    size_t payload_size;
};

/* How many bytes at the front belong to the log: all, or those before the packet that ends the dump. */
size_t dump_frames_scan(struct dump_frames *frames, const uint8_t *bytes, size_t size);
/* Is the packet that ends the dump whole? */
bool dump_frames_ended(const struct dump_frames *frames);
/* Sets the error that it says. */
int dump_frames_error(const struct dump_frames *frames, bool *ret_rival, struct err *err);

#endif
