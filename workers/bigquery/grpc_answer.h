/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_answer: what a server says on one call, headers, messages, trailers, read into messages and one status. Pure: it neither
 * knows of connections nor of who called.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_GRPC_ANSWER_H
#define KAKEHI_WORKERS_BIGQUERY_GRPC_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "workers/bigquery/grpc_message.h"
#include "workers/bigquery/grpc_status.h"

#define GRPC_STATUS_TEXT_BYTES_MAX (4 << 10)

struct grpc_answer {
    struct grpc_reader _reader;
    int _http_status; /* 0: none came */
    bool _grpc;       /* content-type says so */
    char _type[64];   /* content-type, cut */
    int _grpc_status; /* -1: none came */
    bool _settled;    /* code and text are final */
    bool _server;     /* they are the server's */
    int _code;
    struct buffer _text;    /* grpc-message, decoded; or our own words */
    struct buffer _details; /* grpc-status-details-bin, decoded */
};

void grpc_answer_init(struct grpc_answer *answer, void (*message)(void *context, const uint8_t *message, size_t size),
                      void *context);
void grpc_answer_deinit(struct grpc_answer *answer);

/* A header or trailer. */
void grpc_answer_header(struct grpc_answer *answer, const char *name, const char *value, size_t value_size);
void grpc_answer_data(struct grpc_answer *answer, const uint8_t *bytes, size_t size);
/* The server has said all: the status is settled. */
void grpc_answer_end(struct grpc_answer *answer);
/* RST_STREAM with this code: settled. */
void grpc_answer_reset(struct grpc_answer *answer, uint32_t http2_code);
/* Settles it by what happened on our side; nothing happens if it is settled already. */
__attribute__((format(printf, 3, 4))) void grpc_answer_settle(struct grpc_answer *answer, enum grpc_code code,
                                                              const char *format, ...);

/* After grpc_answer_data: what came is no answer, or too large; the stream is to be reset. */
bool grpc_answer_settled(const struct grpc_answer *answer);
/* When settled. Borrowed until deinit; `sent` is the caller's. */
void grpc_answer_status(struct grpc_answer *answer, struct grpc_status *ret_status);

#endif
