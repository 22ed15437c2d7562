/* SPDX-License-Identifier: Apache-2.0 */
/*
 * credentials: who signs in, as a JSON file of Google's says; the formats are those of "Application Default Credentials".
 *
 * | type in the file             | who                                                            | ends as          |
 * | service_account              | a service account, by its private key                          | SERVICE_ACCOUNT  |
 * | authorized_user              | a person, by gcloud's refresh token                            | USER             |
 * | external_account, aws1       | an AWS role, by a signed GetCallerIdentity (no key file)       | AWS              |
 * | external_account, file       | whoever a token file names (OIDC, SAML)                        | FILE             |
 * | impersonated_service_account | one of these, acting as a service account                      | as its source    |
 * | (no file)                    | the service account of this machine or pod (GCE, GKE)          | METADATA         |
 * | (setting none)               | nobody: emulators                                              | NOBODY           |
 *
 * Looked for, as Google's libraries do: the setting, GOOGLE_APPLICATION_CREDENTIALS, gcloud's own file
 * (application_default_credentials.json under CLOUDSDK_CONFIG or ~/.config/gcloud), the metadata server. Files of executables
 * and of URLs (external_account) are refused by name.
 *
 * URLs in a file must be https and of Google (for AWS: of AWS, or its metadata address): a file that was tampered with could
 * else send assertions and tokens elsewhere, or read addresses inside a network for its author.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_CREDENTIALS_H
#define KAKEHI_WORKERS_BIGQUERY_CREDENTIALS_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define CREDENTIALS_BYTES_MAX 65536 /* of the file */

enum credentials_kind {
    CREDENTIALS_NOBODY,
    CREDENTIALS_SERVICE_ACCOUNT,
    CREDENTIALS_USER,
    CREDENTIALS_AWS,
    CREDENTIALS_FILE,
    CREDENTIALS_METADATA,
};

/* Texts that a kind does not have are NULL. Owns everything. */
struct credentials {
    enum credentials_kind kind;
    char *place; /* the file; METADATA: its host */

    /* SERVICE_ACCOUNT */
    char *client_email;
    char *key_id;
    EVP_PKEY *key;

    /* USER */
    char *client_id;
    char *client_secret; /* secret */
    char *refresh_token; /* secret */

    /* SERVICE_ACCOUNT, USER: where assertions and refresh tokens go; AWS, FILE: the security token service */
    char *token_url;

    /* AWS, FILE */
    char *audience;
    char *subject_token_type;

    /* AWS */
    char *region_url;       /* NULL: the region is in the environment */
    char *keys_url;         /* NULL: the keys are in the environment */
    char *session_url;      /* IMDSv2 */
    char *verification_url; /* "{region}" is replaced */

    /* FILE */
    char *token_file;
    char *token_field; /* the file is JSON and this its field; NULL: the file is the token */

    /* any: the file says to act as a service account in the end; and then the setting may name one more */
    char *impersonation_url;
    char *impersonate; /* the setting: e-mail */
    int lifetime_s;    /* of the impersonated token */

    bool trust_any_host; /* tests */
};

struct credentials_options {
    const char *file;        /* the setting: path, "none", or NULL */
    const char *impersonate; /* the setting; NULL */
    bool trust_any_host;
};

/* Finds, reads and checks. ERR_FATAL: no file where one is named, or it can't be used; the text says what to do, and nothing of
 * the file's values but its type, e-mails and hosts. */
int credentials_find(const struct credentials_options *options, struct credentials *ret_credentials,
                     struct err *err) MUST_CHECK;

/* The same of bytes at hand; `place` is named in errors. Pure but for OpenSSL. */
int credentials_read(const char *bytes, size_t size, const char *place, bool trust_any_host,
                     struct credentials *ret_credentials, struct err *err) MUST_CHECK;

void credentials_deinit(struct credentials *credentials); /* secrets are wiped; {0} afterwards */

enum credentials_host { CREDENTIALS_HOST_GOOGLE, CREDENTIALS_HOST_AWS_STS, CREDENTIALS_HOST_AWS_METADATA };
/* May a secret go to this URL? Pure. */
int credentials_check_url(const char *url, enum credentials_host host, bool trust_any_host, struct err *err) MUST_CHECK;

#endif
