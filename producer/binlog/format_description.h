/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format_description: the first event of each file: who wrote it, how long the fixed parts of its events are, whether they
 * carry a checksum. It describes the file in which it stands and nothing beyond.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_FORMAT_DESCRIPTION_H
#define KAKEHI_PRODUCER_BINLOG_FORMAT_DESCRIPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "producer/binlog/stream.h"

struct format_description {
    enum binlog_flavor flavor;
    char server_version[51];
    uint32_t created;               /* not 0: the server had just started; what the file before left open was rolled back */
    uint8_t post_header_sizes[256]; /* by event type; 0: not told */
    bool has_trailer;               /* the event ends with an algorithm byte and a checksum, whatever the algorithm */
    bool checksums;                 /* the other events of the file end with a CRC32 */
};

/* body: behind the event header, with its trailer. */
int format_description_read(struct format_description *ret_format, const uint8_t *body, size_t size,
                            struct err *err) MUST_CHECK;

#endif
