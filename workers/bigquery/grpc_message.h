/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_message: how messages lie in a gRPC stream (PROTOCOL-HTTP2.md, "Length-Prefixed-Message"): one byte that says whether it
 * is compressed, four bytes of size, big endian, the message. Pure.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_GRPC_MESSAGE_H
#define KAKEHI_WORKERS_BIGQUERY_GRPC_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"
#include "workers/bigquery/grpc_status.h"

#define GRPC_PREFIX_BYTES 5

void grpc_prefix_write(uint8_t prefix[GRPC_PREFIX_BYTES], bool compressed, size_t size);

/* Replaces `out` by the message compressed with gzip. false: that is not smaller, and `out` means nothing. */
bool grpc_message_deflate(const uint8_t *message, size_t size, struct buffer *out);

/* Cuts what is received, in pieces of any size, into messages. Memory follows what has come, not what a prefix claims. */
struct grpc_reader {
    void (*message)(void *context, const uint8_t *message, size_t size); /* borrowed for the time of the call */
    void *context;
    bool gzip; /* the stream's grpc-encoding: else a compressed message is an error */
    uint8_t _prefix[GRPC_PREFIX_BYTES];
    size_t _prefix_size; /* how much of it has come */
    struct buffer _body; /* how much of the message has come */
};

/* GRPC_OK; RESOURCE_EXHAUSTED: a message over GRPC_MESSAGE_BYTES_MAX; INTERNAL: not in the format. After an error only deinit.
 */
enum grpc_code grpc_reader_feed(struct grpc_reader *reader, const uint8_t *bytes, size_t size, struct err *err) MUST_CHECK;
/* Is a message begun and not whole? */
bool grpc_reader_inside(const struct grpc_reader *reader);
void grpc_reader_deinit(struct grpc_reader *reader);

#endif
