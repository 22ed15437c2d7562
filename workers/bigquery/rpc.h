/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rpc: one unary call of the Storage Write API, signed in; its failure read into a class. Nothing is repeated but a call whose
 * token was refused, once: who calls again waits a little longer each time.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_RPC_H
#define KAKEHI_WORKERS_BIGQUERY_RPC_H

#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"
#include "workers/bigquery/lane_world.h"

#define RPC_SERVICE "/google.cloud.bigquery.storage.v1.BigQueryWrite/"

/* How a call failed, as the service said it, or the channel. */
struct rpc_error {
    int32_t code;       /* enum grpc_code; GRPC_OK: it did not */
    int32_t error_code; /* enum storage_error_code; 0: none */
    bool unclear;       /* the service may have acted */
    char text[512];     /* one line */
};

/* details, where there are any, say more than the code. */
void rpc_error_read(const struct grpc_status *status, struct rpc_error *ret_error);
/* RETRY for what may pass by itself, a missing permission included (it may be given); FATAL never. `doing`: "sealing the stream". */
void rpc_error_to_err(const struct rpc_error *error, const char *doing, struct err *err);

struct rpc;

/* message: NULL with an error; borrowed. error NULL: there was none. */
typedef void (*rpc_answered)(void *context, const uint8_t *message, size_t size, const struct rpc_error *error);

struct rpc_request {
    const char *method; /* "CreateWriteStream" */
    const char *params; /* "parent=projects/..." */
    const struct buffer *message;
};

/* All of it is copied. Answers exactly once, never inside the call; the rpc is gone then. */
struct rpc *rpc_start(const struct lane_world *world, const struct rpc_request *request, rpc_answered answered, void *context);
/* No answer comes; the service may have acted. Takes NULL. */
void rpc_cancel(struct rpc *rpc);

#endif
