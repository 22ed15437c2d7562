/* SPDX-License-Identifier: Apache-2.0 */
/* delivered: what one Kafka transaction brought to the partitions of data topics, for the figures of a table. Dead letters and the position
 * record are not in it. */
#ifndef KAKEHI_PRODUCER_DELIVERED_H
#define KAKEHI_PRODUCER_DELIVERED_H

#include <stddef.h>
#include <stdint.h>

struct delivered {
    uint32_t topic_id; /* what publisher_prepare answered */
    int32_t partition;
    uint64_t messages;
    uint64_t bytes; /* of their keys and values, before compression */
};

struct delivered_list {
    struct delivered *items; /* free() by whoever owns the list; NULL: none */
    size_t count;
};

#endif
