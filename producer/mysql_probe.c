/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For `tls: verify_ca`. libmariadb can check chain and host name together, or nothing that holds: told to check the chain alone it
 * sends the password in clear to a server that says it has no TLS (caching_sha2_password believes the setting, not the connection).
 * What it does enforce besides is a fingerprint. So the chain is checked here, in a connection of its own that sends no credentials,
 * and the login is then pinned to exactly this certificate. A server in between that shows another one, or none, gets nothing.
 */
#include "producer/mysql_probe.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define CLIENT_PROTOCOL_41 0x200u
#define CLIENT_SSL 0x800u
#define CLIENT_SECURE_CONNECTION 0x8000u
#define CHARSET_UTF8MB4 45
#define GREETING_BYTES_MAX 1024
#define NAP_MS 20

static int said(struct err *err, enum err_class class, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

    return err_set(err, class, "%s%s%s", what, reason != NULL ? ": " : "", reason != NULL ? reason : "");
}

static int connect_bio(BIO *bio, const struct settings_source *settings, struct err *err)
{
    struct timeval limit = {settings->connect_timeout_ms / 1000, settings->connect_timeout_ms % 1000 * 1000};
    int seconds = (int)((settings->connect_timeout_ms + 999) / 1000);
    char port[16];
    int fd = -1;

    (void)snprintf(port, sizeof port, "%d", (int)settings->port);
    (void)BIO_set_conn_hostname(bio, settings->host);
    (void)BIO_set_conn_port(bio, port);
    (void)BIO_set_nbio(bio, 1); /* for the time limit of the next call only */
    if (BIO_do_connect_retry(bio, seconds, NAP_MS) != 1) {
        return said(err, ERR_RETRY, "can't connect");
    }
    if (BIO_get_fd(bio, &fd) < 0 || !BIO_socket_nbio(fd, 0) || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) {
        return err_set(err, ERR_RETRY, "can't set the time-outs of the socket");
    }
    return 0;
}

static int read_exactly(BIO *bio, uint8_t *bytes, size_t size, struct err *err)
{
    size_t done = 0;

    while (done < size) {
        size_t count = 0;

        if (BIO_read_ex(bio, bytes + done, size - done, &count) != 1) {
            return err_set(err, ERR_RETRY, "the server did not greet");
        }
        done += count;
    }
    return 0;
}

/* The greeting: version 10, text to NUL, thread u32, eight bytes and a NUL, capabilities u16. */
static int read_greeting(BIO *bio, struct err *err)
{
    uint8_t header[4];
    uint8_t greeting[GREETING_BYTES_MAX];
    const uint8_t *after;
    size_t size;

    if (read_exactly(bio, header, sizeof header, err) != 0) {
        return -1;
    }
    size = (size_t)header[0] | (size_t)header[1] << 8 | (size_t)header[2] << 16;
    if (size < 2 || size > sizeof greeting) {
        return err_set(err, ERR_FATAL, "what answers there is no MySQL or MariaDB server: see source.host and source.port");
    }
    if (read_exactly(bio, greeting, size, err) != 0) {
        return -1;
    }
    if (greeting[0] == 0xff) {
        return err_set(err, ERR_RETRY, "the server refuses connections at the moment");
    }
    after = memchr(greeting + 1, 0, size - 1);
    if (greeting[0] != 10 || after == NULL || size - (size_t)(after - greeting) < 1 + 4 + 9 + 2) {
        return err_set(err, ERR_FATAL, "what answers there is no MySQL or MariaDB server: see source.host and source.port");
    }
    if ((((unsigned)after[14] | (unsigned)after[15] << 8) & CLIENT_SSL) == 0) {
        return err_set(err, ERR_FATAL, "the server has no TLS: switch it on there, or set source.tls: off if the network is trusted");
    }
    return 0;
}

static int ask_for_tls(BIO *bio, struct err *err)
{
    unsigned flags = CLIENT_PROTOCOL_41 | CLIENT_SSL | CLIENT_SECURE_CONNECTION;
    uint8_t request[4 + 32] = {32, 0, 0, 1, (uint8_t)flags, (uint8_t)(flags >> 8), 0, 0, 0, 0, 0, 1, CHARSET_UTF8MB4};
    size_t count = 0;

    if (BIO_write_ex(bio, request, sizeof request, &count) != 1 || count != sizeof request) {
        return err_set(err, ERR_RETRY, "the server closed the connection");
    }
    return 0;
}

static int handshake(SSL *ssl, struct err *err)
{
    long verdict;

    if (SSL_connect(ssl) == 1) {
        return 0;
    }
    verdict = SSL_get_verify_result(ssl);
    if (verdict != X509_V_OK) {
        return err_set(err, ERR_FATAL, "the server's certificate: %s; source.tls_ca must hold the authority that signed it",
                       X509_verify_cert_error_string(verdict));
    }
    return said(err, ERR_RETRY, "TLS");
}

static int take_fingerprint(const SSL *ssl, char ret_fingerprint[MYSQL_FINGERPRINT_SIZE], struct err *err)
{
    const X509 *certificate = SSL_get0_peer_certificate(ssl);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (certificate == NULL || X509_digest(certificate, EVP_sha1(), digest, &size) != 1 || size != MYSQL_FINGERPRINT_SIZE / 2) {
        return err_set(err, ERR_RETRY, "the server showed no certificate");
    }
    for (unsigned index = 0; index < size; index++) {
        (void)snprintf(ret_fingerprint + 2 * index, 3, "%02X", digest[index]);
    }
    return 0;
}

int mysql_probe_fingerprint(const struct settings_source *settings, char ret_fingerprint[MYSQL_FINGERPRINT_SIZE], struct err *err)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    BIO *bio = BIO_new(BIO_s_connect());
    SSL *ssl = NULL;
    int result = -1;

    ERR_clear_error();
    if (context == NULL || bio == NULL || SSL_CTX_load_verify_file(context, settings->tls_ca) != 1) {
        err_set(err, ERR_FATAL, "source.tls_ca: %s holds no certificate that can be read", settings->tls_ca);
        goto out;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    ssl = SSL_new(context);
    if (ssl == NULL) {
        said(err, ERR_RETRY, "TLS");
        goto out;
    }
    if (connect_bio(bio, settings, err) != 0 || read_greeting(bio, err) != 0 || ask_for_tls(bio, err) != 0) {
        goto out;
    }
    SSL_set0_rbio(ssl, bio);
    (void)BIO_up_ref(bio);
    SSL_set0_wbio(ssl, bio);
    (void)BIO_up_ref(bio);
    if (handshake(ssl, err) == 0) {
        result = take_fingerprint(ssl, ret_fingerprint, err);
    }
out:
    SSL_free(ssl);
    BIO_free_all(bio);
    SSL_CTX_free(context);
    return result;
}
