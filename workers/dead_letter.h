/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dead_letter: messages that can't become rows, to <prefix>.dead, whole and with their reason.
 *
 * Value: the original's bytes. Key: "topic/partition/offset" (rule C8: at least once, so a reader must be able to see that it has the
 * letter already). Headers: reason, topic, partition, offset, timestamp (ms), schema (16 hex digits, if the frame names one), key (the
 * original's bytes, if it had a key). A letter counts when the broker has acknowledged it; until then it is tried again without
 * end.
 */
#ifndef KAKEHI_WORKERS_DEAD_LETTER_H
#define KAKEHI_WORKERS_DEAD_LETTER_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/settings.h"
#include "workers/budget.h"
#include "workers/message.h"
#include "workers/wake.h"

struct dead_letters;

/* Acknowledged (err NULL), or never will be (too large for the topic, no right to write): err says why. */
typedef void (*dead_letter_answer)(void *context, uint64_t assignment, uint64_t batch_number, const struct err *err);

struct dead_letter {
    const char *topic;
    int32_t partition;
    const struct message *message;
    const char *reason;
    uint64_t assignment; /* handed back with the answer */
    uint64_t batch_number;
};

int dead_letters_new(struct wake *wake, const struct settings *settings, struct budget *budget, dead_letter_answer answer, void *context,
                     struct dead_letters **ret_letters, struct err *err) MUST_CHECK;
void dead_letters_free(struct dead_letters *letters); /* takes NULL; what is not acknowledged is forgotten: its offset has not passed */
/* The producer's handle, for questions that must not wait behind a fetch on a consumer's connection. */
rd_kafka_t *dead_letters_handle(const struct dead_letters *letters);
void dead_letters_give(struct dead_letters *letters, const struct dead_letter *letter); /* copies */
void dead_letters_poll(struct dead_letters *letters); /* when woken */
void dead_letters_tick(struct dead_letters *letters); /* once a second or so: those that failed go again */

#endif
