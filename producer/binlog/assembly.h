/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assembly: runs of bytes to events, whole and verified where possible.
 *
 *   HEAD --19 bytes are here--> WHOLE --last byte, checksum good--> HEAD      up to CHECKED_WHOLE_MAX
 *                          \--> SKIM  --last byte, checksum good--> HEAD      larger, of which only the beginning counts
 *                           |-> PARTS --last byte, checksum good--> HEAD      larger, of rows (or a fragment), or compressed:
 *                           |                                                  handed on as they come
 *                           \-> SEAL  --last byte, checksum good--> HEAD      a compressed transaction at its first reading, where it is
 *                                                                              to be read twice (seals.h): nothing of it is handed on; at
 *                                                                              the second one it is in PARTS, each of them verified
 *
 * An event that lies in one piece is not copied. In PARTS the owner takes bytes off the front; what is left of a piece is moved
 * to the front of the window before the next piece is added, so each byte is moved once at most, and a row larger than the
 * window makes it double.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_ASSEMBLY_H
#define KAKEHI_PRODUCER_BINLOG_ASSEMBLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"
#include "producer/binlog/event.h"
#include "producer/binlog/format_description.h"
#include "producer/binlog/packet.h"
#include "producer/binlog/seals.h"

#define CHECKED_WHOLE_MAX (1024 * 1024)

struct event {
    struct event_header header;
    uint64_t offset;     /* of its first byte in the file; BINLOG_FILE only */
    const uint8_t *body; /* behind the header, without checksum; what is here and not taken yet */
    size_t size;         /* of body */
    bool complete;       /* the whole rest of the event is in body, and its checksum was good (or it has none) */
    bool sealed_only;    /* nothing of it is in body: it must be read again, and will be verified in parts then */
    bool beginning_only; /* of a larger event that is not handed on in parts: body is its beginning, and complete */
};

enum assembly_phase { ASSEMBLY_HEAD, ASSEMBLY_WHOLE, ASSEMBLY_SKIM, ASSEMBLY_PARTS, ASSEMBLY_SEAL };

struct assembly {
    struct packet_reader packets;
    struct event event;
    struct seals *seals;             /* borrowed; NULL: no event is read twice */
    struct format_description format; /* of the file in hand */
    bool format_known;
    enum assembly_phase phase;
    uint8_t magic_left; /* bytes of a file's magic that are still due */
    uint8_t head[EVENT_HEADER_SIZE];
    uint8_t head_size;
    uint32_t left;                      /* bytes of the event, checksum included, that were not taken from the packets */
    uint32_t crc;                       /* over what is behind us, in SKIM and PARTS */
    uint8_t crc_stored[EVENT_CRC_SIZE]; /* the last bytes of the event, as they come, in SKIM and PARTS */
    struct buffer window;               /* gathered bytes of the event */
    size_t window_taken;                /* of the window, by the owner */
    bool verified;                      /* in PARTS: each part before it is handed on */
    size_t unverified_size;             /* then: what stands at the end of the window and is not handed on yet */
    uint64_t offset;                    /* of the next event in the file */
};

enum assembly_result { ASSEMBLY_EVENT, ASSEMBLY_INPUT, ASSEMBLY_FAILED };

void assembly_init(struct assembly *assembly, enum binlog_framing framing);
void assembly_deinit(struct assembly *assembly);
/* A new dump or file begins. Seals stay. */
void assembly_reset(struct assembly *assembly);
/* The next event. The one before must have been complete. */
enum assembly_result assembly_next(struct assembly *assembly, struct err *err);
/* More of an event that is not complete: adds to event.body. */
enum assembly_result assembly_more(struct assembly *assembly, struct err *err);
/* Takes bytes off the front of event.body. */
void assembly_take(struct assembly *assembly, size_t size);
/* Is nothing of an event under way? */
bool assembly_idle(const struct assembly *assembly);

#endif
