/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls: the client's side of TLS as a filter between bytes and bytes; no sockets here.
 *
 * TLS 1.2 or newer. The server's chain is verified, and its certificate must carry the host's name (or address); there is no
 * setting to leave that out. ALPN offers h2 alone, and a server that does not choose it is refused.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_TLS_H
#define KAKEHI_WORKERS_BIGQUERY_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"

struct tls_context; /* whom we trust */
struct tls;         /* one connection */

/* ca_file: PEM, instead of the system's certificates; NULL: the system's. ERR_FATAL: it can't be read. */
int tls_context_new(const char *ca_file, struct tls_context **ret_context, struct err *err) MUST_CHECK;
void tls_context_free(struct tls_context *context); /* takes NULL; its sessions may live longer */

/* host: a name or an IP address; copied. The first bytes for the server are there at once: tls_take. */
struct tls *tls_new(struct tls_context *context, const char *host);
void tls_free(struct tls *tls); /* takes NULL */

/* Bytes of the server; what they hold for us is appended to `plain` (at most about `size` more). ERR_RETRY, ERR_FATAL
 * (certificate, protocol): the connection is dead. tls_take may have bytes (an alert) in any case. */
int tls_receive(struct tls *tls, const uint8_t *bytes, size_t size, struct buffer *plain, struct err *err) MUST_CHECK;
/* The handshake is done, the server is who it should be, and it speaks h2. */
bool tls_ready(const struct tls *tls);
/* Only when ready. */
int tls_send(struct tls *tls, const uint8_t *bytes, size_t size, struct err *err) MUST_CHECK;
/* Appends what is to be sent to the server. */
void tls_take(struct tls *tls, struct buffer *cipher);

#endif
