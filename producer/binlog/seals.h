/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seals: how the checksum of a large event runs, noted at a first reading, so that at a second one each piece is known to be good before
 * anything of it is handed on.
 *
 * An event carries one checksum, at its end. A compressed transaction is one event: of a large one nothing could be committed before all of
 * it was read, inflated and produced, in one Kafka transaction, which has a time-out; what takes longer would begin again without end. So
 * such an event is read twice: the first time for its checksum alone, at the speed of the connection, noting the running CRC at each
 * SEAL_BYTES; the second time piece by piece, each compared with what was noted, and then it may be committed in pieces.
 *
 * One event's seals are kept. No loop can come of it: an event is sealed only where the one sealed before was met again.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_SEALS_H
#define KAKEHI_PRODUCER_BINLOG_SEALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "producer/binlog/event.h"

#define SEAL_BYTES (256 * 1024)

enum seals_choice {
    SEALS_NOTE,    /* first reading: note */
    SEALS_COMPARE, /* second reading: compare */
    SEALS_NONE,    /* neither */
};

struct seals {                        /* {0}: none */
    uint8_t head[EVENT_HEADER_SIZE];  /* whose they are */
    uint32_t *crcs;                   /* owned */
    size_t count;
    size_t capacity;
    bool complete; /* the event was read to its end, and its checksum was good */
    bool met;      /* ... and was met again */
};

void seals_deinit(struct seals *seals);
/* A large event with this header begins. */
enum seals_choice seals_choose(struct seals *seals, const uint8_t head[EVENT_HEADER_SIZE]);
void seals_note(struct seals *seals, uint32_t crc); /* in order */
void seals_complete(struct seals *seals);
/* Is that what was noted behind so many pieces of SEAL_BYTES? */
bool seals_fit(const struct seals *seals, size_t pieces, uint32_t crc);

#endif
