/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing of it is secret or lasting: so no test needs a file of keys, and no certificate in the tree can expire. */
#include "tests/unit/certificate.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "common/must.h"

static void add_names(X509 *certificate, const char *names)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, names);
    must(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static X509 *make(EVP_PKEY *key, const char *names)
{
    X509 *certificate = X509_new();
    X509_NAME *name;

    must(certificate != NULL && X509_set_version(certificate, 2) == 1);
    must(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1);
    must(X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != NULL);
    must(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600) != NULL);
    name = X509_get_subject_name(certificate);
    must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0) == 1);
    must(X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1);
    add_names(certificate, names);
    must(X509_sign(certificate, key, EVP_sha256()) > 0);
    return certificate;
}

static int choose(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_size, const unsigned char *offered,
                  unsigned offered_size, void *context)
{
    const char *wanted = context;
    size_t size = strlen(wanted);

    (void)ssl;
    for (unsigned at = 0; at < offered_size; at += 1U + offered[at]) {
        if (offered[at] == size && memcmp(offered + at + 1, wanted, size) == 0) {
            *chosen = offered + at + 1;
            *chosen_size = offered[at];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

SSL_CTX *certificate_server(const char *names, const char *alpn, const char *file_path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    X509 *certificate;
    FILE *file = fopen(file_path, "we");

    must(key != NULL && ctx != NULL && file != NULL);
    certificate = make(key, names);
    must(PEM_write_X509(file, certificate) == 1 && fclose(file) == 0);
    must(SSL_CTX_use_certificate(ctx, certificate) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1);
    if (alpn != NULL) {
        SSL_CTX_set_alpn_select_cb(ctx, choose, (void *)alpn);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    return ctx;
}
