/* SPDX-License-Identifier: Apache-2.0 */
/* 4 bytes for each 256 KiB: 64 KiB for the largest event that there can be. */
#include "producer/binlog/seals.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"

void seals_deinit(struct seals *seals)
{
    free(seals->crcs);
    *seals = (struct seals){0};
}

enum seals_choice seals_choose(struct seals *seals, const uint8_t head[EVENT_HEADER_SIZE])
{
    bool same = memcmp(seals->head, head, EVENT_HEADER_SIZE) == 0;

    if (seals->complete && same) {
        seals->met = true;
        return SEALS_COMPARE;
    }
    if (seals->complete && !seals->met) {
        return SEALS_NONE;
    }
    memcpy(seals->head, head, EVENT_HEADER_SIZE);
    seals->count = 0;
    seals->complete = seals->met = false;
    return SEALS_NOTE;
}

void seals_note(struct seals *seals, uint32_t crc)
{
    if (seals->count == seals->capacity) {
        seals->capacity = seals->capacity == 0 ? 64 : 2 * seals->capacity;
        seals->crcs = realloc(seals->crcs, seals->capacity * sizeof *seals->crcs);
        must(seals->crcs != NULL);
    }
    seals->crcs[seals->count++] = crc;
}

void seals_complete(struct seals *seals)
{
    seals->complete = true;
}

bool seals_fit(const struct seals *seals, size_t pieces, uint32_t crc)
{
    return pieces > 0 && pieces <= seals->count && seals->crcs[pieces - 1] == crc;
}
