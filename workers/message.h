/* SPDX-License-Identifier: Apache-2.0 */
/* message: one Kafka message as the partition machine sees it. Its bytes are borrowed for the call that hands it over. */
#ifndef KAKEHI_WORKERS_MESSAGE_H
#define KAKEHI_WORKERS_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

struct message {
    const uint8_t *key; /* NULL: none (a truncate, or a foreign producer) */
    size_t key_size;
    const uint8_t *value; /* NULL: none */
    size_t value_size;
    int64_t offset;
    int64_t timestamp_ms; /* -1: unknown */
};

#endif
