/* SPDX-License-Identifier: Apache-2.0 */
/* certificate: a key and a certificate signed by itself, made when a test runs. */
#ifndef KAKEHI_TESTS_UNIT_CERTIFICATE_H
#define KAKEHI_TESTS_UNIT_CERTIFICATE_H

#include <openssl/ssl.h>

/* A server's context with a new certificate for these names, as in "DNS:localhost,IP:127.0.0.1"; it chooses h2 by ALPN unless
 * `alpn` is NULL. The certificate is also written to file_path, as PEM, for the client to trust. */
SSL_CTX *certificate_server(const char *names, const char *alpn, const char *file_path);

#endif
