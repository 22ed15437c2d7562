/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two memory BIOs: what the server sent goes into one, what is for it comes out of the other. Both are emptied in the call that
 * filled them, so they hold no more than one read or one send.
 *
 * An end without close_notify is not told from one with it: HTTP/2 and gRPC mark their own ends, and a cut is seen there.
 */
#include "workers/bigquery/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

#define READ_BYTES 16384 /* a TLS record */

struct tls_context {
    SSL_CTX *ctx;
};

struct tls {
    SSL *ssl;
    BIO *in;  /* owned by ssl */
    BIO *out; /* the same */
    bool ready;
};

static const unsigned char alpn[] = {2, 'h', '2'};

/* The oldest error in OpenSSL's queue, which is emptied. */
static const char *openssl_reason(void)
{
    unsigned long code = ERR_get_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return reason != NULL ? reason : "unknown error";
}

static int trust(SSL_CTX *ctx, const char *ca_file, struct err *err)
{
    ERR_clear_error();
    if (ca_file == NULL && SSL_CTX_set_default_verify_paths(ctx) != 1) {
        return err_set(err, ERR_FATAL, "the system's CA certificates can't be read: %s", openssl_reason());
    }
    if (ca_file != NULL && SSL_CTX_load_verify_locations(ctx, ca_file, NULL) != 1) {
        return err_set(err, ERR_FATAL, "the CA certificates of %s can't be read: %s", ca_file, openssl_reason());
    }
    return 0;
}

int tls_context_new(const char *ca_file, struct tls_context **ret_context, struct err *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    struct tls_context *context;

    must(ctx != NULL);
    if (trust(ctx, ca_file, err) != 0) {
        SSL_CTX_free(ctx);
        return -1;
    }
    must(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);    /* a write would wait for a read */
    must(SSL_CTX_set_alpn_protos(ctx, alpn, sizeof alpn) == 0); /* 0 is its success */
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    context = calloc(1, sizeof *context);
    must(context != NULL);
    context->ctx = ctx;
    *ret_context = context;
    return 0;
}

void tls_context_free(struct tls_context *context)
{
    if (context != NULL) {
        SSL_CTX_free(context->ctx);
        free(context);
    }
}

/* A name is also sent to the server (SNI); an address is not, by RFC 6066. */
static void expect_host(SSL *ssl, const char *host)
{
    uint8_t address[sizeof(struct in6_addr)];

    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1) {
        must(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1);
    } else {
        must(SSL_set1_host(ssl, host) == 1);
        must(SSL_set_tlsext_host_name(ssl, host) == 1);
    }
}

struct tls *tls_new(struct tls_context *context, const char *host)
{
    struct tls *tls = calloc(1, sizeof *tls);

    must(tls != NULL);
    tls->ssl = SSL_new(context->ctx);
    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());
    must(tls->ssl != NULL && tls->in != NULL && tls->out != NULL);
    BIO_set_mem_eof_return(tls->in, -1); /* empty is "not yet", no end */
    SSL_set_bio(tls->ssl, tls->in, tls->out);
    expect_host(tls->ssl, host);
    SSL_set_connect_state(tls->ssl);
    ERR_clear_error();
    (void)SSL_do_handshake(tls->ssl); /* writes the hello, then wants to read */
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls != NULL) {
        SSL_free(tls->ssl);
        free(tls);
    }
}

static int failed(const struct tls *tls, struct err *err)
{
    long verified = SSL_get_verify_result(tls->ssl);

    if (verified != X509_V_OK) {
        ERR_clear_error();
        return err_set(err, ERR_FATAL, "TLS: the server's certificate is refused: %s", X509_verify_cert_error_string(verified));
    }
    return err_set(err, ERR_RETRY, "TLS: %s", openssl_reason());
}

static int check_alpn(const struct tls *tls, struct err *err)
{
    const unsigned char *chosen;
    unsigned size;

    SSL_get0_alpn_selected(tls->ssl, &chosen, &size);
    if (size != sizeof alpn - 1 || memcmp(chosen, alpn + 1, size) != 0) {
        return err_set(err, ERR_FATAL, "TLS: the server does not speak HTTP/2 here (ALPN)");
    }
    return 0;
}

/* Does the error code of an SSL call mean that more bytes are needed, or that the server said goodbye? */
static bool is_patience(const struct tls *tls, int result)
{
    int code = SSL_get_error(tls->ssl, result);

    return code == SSL_ERROR_WANT_READ || code == SSL_ERROR_ZERO_RETURN;
}

static int shake_hands(struct tls *tls, struct err *err)
{
    int result = SSL_do_handshake(tls->ssl);

    if (result != 1) {
        return is_patience(tls, result) ? 0 : failed(tls, err);
    }
    if (check_alpn(tls, err) != 0) {
        return -1;
    }
    tls->ready = true;
    return 0;
}

static int read_plain(struct tls *tls, struct buffer *plain, struct err *err)
{
    for (;;) {
        int got = SSL_read(tls->ssl, buffer_reserve(plain, READ_BYTES), READ_BYTES);

        if (got <= 0) {
            return is_patience(tls, got) ? 0 : failed(tls, err);
        }
        plain->size += (size_t)got;
    }
}

int tls_receive(struct tls *tls, const uint8_t *bytes, size_t size, struct buffer *plain, struct err *err)
{
    must(size <= INT32_MAX && BIO_write(tls->in, bytes, (int)size) == (int)size);
    ERR_clear_error();
    if (!tls->ready && shake_hands(tls, err) != 0) {
        return -1;
    }
    return tls->ready ? read_plain(tls, plain, err) : 0;
}

bool tls_ready(const struct tls *tls)
{
    return tls->ready;
}

int tls_send(struct tls *tls, const uint8_t *bytes, size_t size, struct err *err)
{
    int sent;

    must(tls->ready && size > 0 && size <= INT32_MAX);
    ERR_clear_error();
    sent = SSL_write(tls->ssl, bytes, (int)size); /* a memory BIO takes all of it */
    if (sent <= 0) {
        return failed(tls, err);
    }
    must((size_t)sent == size);
    return 0;
}

void tls_take(struct tls *tls, struct buffer *cipher)
{
    size_t size = BIO_ctrl_pending(tls->out);

    if (size > 0) {
        uint8_t *place = buffer_reserve(cipher, size);

        must(size <= INT32_MAX && BIO_read(tls->out, place, (int)size) == (int)size);
        cipher->size += size;
    }
}
