/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin: the HTTP port for operators and Kubernetes, by libmicrohttpd on the libuv loop (its epoll descriptor is polled; no
 * thread).
 *
 *   /metrics   Prometheus text
 *   /livez     200 as long as the loop turns. The only one that may kill.
 *   /readyz    200 when `ready` says so (joined, or standing by), else 503 with the reason
 *   /healthz   200 when `healthy` says so (progress; for alarms), else 503 with the reason
 *   /status    JSON from `status`
 * Anything else: 404 with this list. GET and HEAD only.
 */
#ifndef KAKEHI_COMMON_ADMIN_H
#define KAKEHI_COMMON_ADMIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "common/err.h"

struct admin;

struct admin_calls {
    void *context;
    /* true, or false with the reason in text. */
    bool (*ready)(void *context, char *text, size_t size);
    bool (*healthy)(void *context, char *text, size_t size);
    json_t *(*status)(void *context); /* a new reference */
};

/* listen: "address:port"; port 0 takes a free one. The address in use is logged ("admin", "listen=..."). */
int admin_new(uv_loop_t *loop, const char *listen, const struct admin_calls *calls, struct admin **ret_admin,
              struct err *err) MUST_CHECK;
/* Asynchronous, last. Takes NULL (then closed is called at once). */
void admin_close(struct admin *admin, void (*closed)(void *context), void *context);

#endif
