/* SPDX-License-Identifier: Apache-2.0 */
/* grpc_status: how a call of gRPC ends. For those who judge it, with or without a connection. */
#ifndef KAKEHI_WORKERS_BIGQUERY_GRPC_STATUS_H
#define KAKEHI_WORKERS_BIGQUERY_GRPC_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a received message, after inflating: a larger one ends the call, RESOURCE_EXHAUSTED. */
#define GRPC_MESSAGE_BYTES_MAX (16 << 20)

/* Numbers are the protocol's: google/rpc/code.proto. */
enum grpc_code {
    GRPC_OK,
    GRPC_CANCELLED,
    GRPC_UNKNOWN,
    GRPC_INVALID_ARGUMENT,
    GRPC_DEADLINE_EXCEEDED,
    GRPC_NOT_FOUND,
    GRPC_ALREADY_EXISTS,
    GRPC_PERMISSION_DENIED,
    GRPC_RESOURCE_EXHAUSTED,
    GRPC_FAILED_PRECONDITION,
    GRPC_ABORTED,
    GRPC_OUT_OF_RANGE,
    GRPC_UNIMPLEMENTED,
    GRPC_INTERNAL,
    GRPC_UNAVAILABLE,
    GRPC_DATA_LOSS,
    GRPC_UNAUTHENTICATED,
};

/* "UNAVAILABLE"; of a number that is no code "code 123". For logs and error texts; borrowed until the next call. */
const char *grpc_code_name(int code);

/* How a call ended. Borrowed for the time of the callback. */
struct grpc_status {
    int code;               /* enum grpc_code; a number that the protocol does not know is given as UNKNOWN */
    const char *message;    /* for people; the server's is percent-decoded and cut at 4 KiB. Never NULL */
    const uint8_t *details; /* grpc-status-details-bin, decoded: a google.rpc.Status. NULL: none */
    size_t details_size;
    bool sent; /* false: the server surely never saw the call (no connection, GOAWAY, REFUSED_STREAM); else it may have acted */
    bool server; /* code and message are the server's own; false: made here, of what happened to the connection */
};

#endif
