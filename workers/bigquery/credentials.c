/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From bytes to a struct credentials: each field is looked for, checked, and copied; a file with a field missing is refused
 * with the field's name. What a field holds is never put into an error, but for the file's type and the host of a URL: the
 * others may be secret, or be a secret pasted into the wrong field.
 */
#include "workers/bigquery/credentials.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/secret_json.h"

#define GOOGLE_TOKEN_URL "https://oauth2.googleapis.com/token"
#define METADATA_HOST    "169.254.169.254" /* by number: on GKE the name would need a DNS that may not be up yet */
#define LIFETIME_S       3600
#define PARAMETERS_MAX   16 /* of the verification URL */

/* ---- memory */

static void wipe(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        free(text);
    }
}

void credentials_deinit(struct credentials *credentials)
{
    char *texts[] = {credentials->place,       credentials->client_email,     credentials->key_id,
                     credentials->client_id,   credentials->client_secret,    credentials->refresh_token,
                     credentials->token_url,   credentials->audience,         credentials->subject_token_type,
                     credentials->region_url,  credentials->keys_url,         credentials->session_url,
                     credentials->token_file,  credentials->verification_url, credentials->token_field,
                     credentials->impersonate, credentials->impersonation_url};

    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        wipe(texts[index]);
    }
    EVP_PKEY_free(credentials->key); /* OpenSSL wipes */
    *credentials = (struct credentials){0};
}

/* ---- URLs */

static bool ends_with(const char *text, size_t size, const char *end)
{
    size_t end_size = strlen(end);

    return size > end_size && strncasecmp(text + size - end_size, end, end_size) == 0;
}

static bool is(const char *text, size_t size, const char *whole)
{
    return size == strlen(whole) && strncasecmp(text, whole, size) == 0;
}

static bool host_allowed(const char *host, size_t size, enum credentials_host kind)
{
    switch (kind) {
    case CREDENTIALS_HOST_GOOGLE:
        return ends_with(host, size, ".googleapis.com") || is(host, size, "accounts.google.com");
    case CREDENTIALS_HOST_AWS_STS:
        return (strncasecmp(host, "sts.", 4) == 0 || strncasecmp(host, "sts-fips.", 9) == 0) &&
               (ends_with(host, size, ".amazonaws.com") || ends_with(host, size, ".amazonaws.com.cn"));
    default:
        return is(host, size, "169.254.169.254") || is(host, size, "[fd00:ec2::254]");
    }
}

/* What a parser might read in another way than libcurl does is refused: a name before the host, backslashes, blanks. */
static bool is_plain_url(const char *url)
{
    const char *start = strstr(url, "://");

    for (const char *at = url; *at != '\0'; at++) {
        if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7f || *at == '\\') {
            return false;
        }
    }
    if (start == NULL || memchr(start + 3, '@', strcspn(start + 3, "/?#")) != NULL) {
        return false;
    }
    return strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0;
}

int credentials_check_url(const char *url, enum credentials_host host, bool trust_any_host, struct err *err)
{
    bool secure = strncmp(url, "https://", 8) == 0;
    const char *start;
    size_t size;

    if (!is_plain_url(url)) {
        return err_set(err, ERR_FATAL, "a URL in it is none");
    }
    start = url + (secure ? 8 : 7);
    size = *start == '[' ? strcspn(start, "]") + 1 : strcspn(start, ":/?#");
    if (strlen(start) < size || strchr(":/?#", start[size]) == NULL) {
        return err_set(err, ERR_FATAL, "a URL in it is none");
    }
    if (trust_any_host) {
        return 0;
    }
    if (!secure && host != CREDENTIALS_HOST_AWS_METADATA) {
        return err_set(err, ERR_FATAL, "a URL of %.*s in it is not https", (int)size, start);
    }
    if (!host_allowed(start, size, host)) {
        return err_set(err, ERR_FATAL, "a URL in it is of %.*s, which is no host of %s", (int)size, start,
                       host == CREDENTIALS_HOST_GOOGLE ? "Google's" : "AWS's");
    }
    return 0;
}

/* ---- fields */

/* Copies a field that must be there. */
static int take(const json_t *object, const char *field, char **place, struct err *err)
{
    const char *text = secret_json_text(object, field);

    if (text == NULL) {
        return err_set(err, ERR_FATAL, "the field %s is missing", field);
    }
    *place = must_strdup(text);
    return 0;
}

/* Copies a URL. standard: taken if it is not there; NULL: it may be missing. */
static int take_url(const json_t *object, const char *field, const char *standard, enum credentials_host host,
                    struct credentials *credentials, char **place, struct err *err)
{
    const char *text = secret_json_text(object, field);

    text = text != NULL ? text : standard;
    if (text != NULL && credentials_check_url(text, host, credentials->trust_any_host, err) != 0) {
        return err_while(err, "%s", field);
    }
    *place = must_strdup(text);
    return 0;
}

/* It is signed, and its query sorted for that. */
static int check_verification_url(const struct credentials *credentials, struct err *err)
{
    size_t parameters = 0;

    for (const char *at = credentials->verification_url; *at != '\0'; at++) {
        parameters += *at == '&' ? 1 : 0;
    }
    if (parameters >= PARAMETERS_MAX) {
        return err_set(err, ERR_FATAL, "regional_cred_verification_url has too many parameters");
    }
    return credentials_check_url(credentials->verification_url, CREDENTIALS_HOST_AWS_STS, credentials->trust_any_host, err);
}

/* ---- kinds */

static int read_key(const char *pem, struct credentials *credentials, struct err *err)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);

    must(bio != NULL);
    credentials->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)""); /* "": never ask for a password */
    BIO_free(bio);
    ERR_clear_error();
    if (credentials->key == NULL || EVP_PKEY_get_base_id(credentials->key) != EVP_PKEY_RSA) {
        return err_set(err, ERR_FATAL, "private_key is no RSA key in PEM");
    }
    return 0;
}

static int read_service_account(const json_t *root, struct credentials *credentials, struct err *err)
{
    const char *pem = secret_json_text(root, "private_key");

    credentials->kind = CREDENTIALS_SERVICE_ACCOUNT;
    if (pem == NULL) {
        return err_set(err, ERR_FATAL, "the field private_key is missing");
    }
    credentials->key_id = must_strdup(secret_json_text(root, "private_key_id"));
    if (take(root, "client_email", &credentials->client_email, err) != 0 || read_key(pem, credentials, err) != 0) {
        return -1;
    }
    return take_url(root, "token_uri", GOOGLE_TOKEN_URL, CREDENTIALS_HOST_GOOGLE, credentials, &credentials->token_url, err);
}

static int read_user(const json_t *root, struct credentials *credentials, struct err *err)
{
    credentials->kind = CREDENTIALS_USER;
    if (take(root, "client_id", &credentials->client_id, err) != 0 ||
        take(root, "client_secret", &credentials->client_secret, err) != 0 ||
        take(root, "refresh_token", &credentials->refresh_token, err) != 0) {
        return -1;
    }
    return take_url(root, "token_uri", GOOGLE_TOKEN_URL, CREDENTIALS_HOST_GOOGLE, credentials, &credentials->token_url, err);
}

static int read_aws(const json_t *source, const char *environment, struct credentials *credentials, struct err *err)
{
    const enum credentials_host metadata = CREDENTIALS_HOST_AWS_METADATA;

    credentials->kind = CREDENTIALS_AWS;
    if (strcmp(environment, "aws1") != 0) {
        return err_set(err, ERR_FATAL, "credential_source.environment_id is not aws1, the only one known");
    }
    if (take(source, "regional_cred_verification_url", &credentials->verification_url, err) != 0 ||
        check_verification_url(credentials, err) != 0 ||
        take_url(source, "region_url", NULL, metadata, credentials, &credentials->region_url, err) != 0 ||
        take_url(source, "url", NULL, metadata, credentials, &credentials->keys_url, err) != 0) {
        return -1;
    }
    return take_url(source, "imdsv2_session_token_url", NULL, metadata, credentials, &credentials->session_url, err);
}

static int read_token_file(const json_t *source, struct credentials *credentials, struct err *err)
{
    const json_t *format = json_object_get(source, "format");
    const char *type = secret_json_text(format, "type");

    credentials->kind = CREDENTIALS_FILE;
    if (type != NULL && strcmp(type, "json") == 0 &&
        take(format, "subject_token_field_name", &credentials->token_field, err) != 0) {
        return -1;
    }
    if (type != NULL && strcmp(type, "json") != 0 && strcmp(type, "text") != 0) {
        return err_set(err, ERR_FATAL, "credential_source.format.type is neither text nor json");
    }
    return take(source, "file", &credentials->token_file, err);
}

static int read_external_source(const json_t *source, struct credentials *credentials, struct err *err)
{
    const char *environment = secret_json_text(source, "environment_id");

    if (environment != NULL) {
        return read_aws(source, environment, credentials, err);
    }
    if (secret_json_text(source, "file") != NULL) {
        return read_token_file(source, credentials, err);
    }
    return err_set(err, ERR_FATAL,
                   "credential_source is neither of AWS nor a file: others (url, executable) are not supported");
}

static void read_lifetime(const json_t *root, struct credentials *credentials)
{
    const json_t *options = json_object_get(root, "service_account_impersonation");
    json_int_t lifetime_s = json_integer_value(json_object_get(options, "token_lifetime_seconds"));

    if (lifetime_s >= 600 && lifetime_s <= 43200) {
        credentials->lifetime_s = (int)lifetime_s;
    }
}

static int read_external(const json_t *root, struct credentials *credentials, struct err *err)
{
    if (read_external_source(json_object_get(root, "credential_source"), credentials, err) != 0 ||
        take(root, "audience", &credentials->audience, err) != 0 ||
        take(root, "subject_token_type", &credentials->subject_token_type, err) != 0 ||
        take_url(root, "token_url", "https://sts.googleapis.com/v1/token", CREDENTIALS_HOST_GOOGLE, credentials,
                 &credentials->token_url, err) != 0) {
        return -1;
    }
    read_lifetime(root, credentials);
    return take_url(root, "service_account_impersonation_url", NULL, CREDENTIALS_HOST_GOOGLE, credentials,
                    &credentials->impersonation_url, err);
}

static int read_kind(const json_t *root, const char *type, struct credentials *credentials, struct err *err)
{
    if (strcmp(type, "service_account") == 0) {
        return read_service_account(root, credentials, err);
    }
    if (strcmp(type, "authorized_user") == 0) {
        return read_user(root, credentials, err);
    }
    if (strcmp(type, "external_account") == 0) {
        return read_external(root, credentials, err);
    }
    return err_set(err, ERR_FATAL,
                   "its type \"%.40s\" is not supported (service_account, authorized_user, external_account, "
                   "impersonated_service_account are)",
                   type);
}

/* What `gcloud auth application-default login --impersonate-service-account` writes. */
static int read_impersonated(const json_t *root, struct credentials *credentials, struct err *err)
{
    const json_t *source = json_object_get(root, "source_credentials");
    const char *type = secret_json_text(source, "type");

    if (type == NULL || read_kind(source, type, credentials, err) != 0) {
        return type != NULL ? err_while(err, "source_credentials")
                            : err_set(err, ERR_FATAL, "the field source_credentials.type is missing");
    }
    if (json_array_size(json_object_get(root, "delegates")) > 0) {
        return err_set(err, ERR_FATAL, "delegates are not supported");
    }
    if (secret_json_text(root, "service_account_impersonation_url") == NULL || credentials->impersonation_url != NULL) {
        return err_set(err, ERR_FATAL, "the field service_account_impersonation_url is missing, or there are two");
    }
    return take_url(root, "service_account_impersonation_url", NULL, CREDENTIALS_HOST_GOOGLE, credentials,
                    &credentials->impersonation_url, err);
}

static int read_root(const json_t *root, struct credentials *credentials, struct err *err)
{
    const char *type = secret_json_text(root, "type");
    const char *universe = secret_json_text(root, "universe_domain");

    if (root == NULL) {
        return err_set(err, ERR_FATAL, "it is not a JSON object");
    }
    if (type == NULL) {
        return err_set(err, ERR_FATAL, "the field type is missing: it is no file of credentials (an OAuth client's, perhaps)");
    }
    if (universe != NULL && strcmp(universe, "googleapis.com") != 0) {
        return err_set(err, ERR_FATAL, "its universe_domain is not googleapis.com");
    }
    return strcmp(type, "impersonated_service_account") == 0 ? read_impersonated(root, credentials, err)
                                                             : read_kind(root, type, credentials, err);
}

int credentials_read(const char *bytes, size_t size, const char *place, bool trust_any_host,
                     struct credentials *ret_credentials, struct err *err)
{
    struct credentials credentials = {.place = must_strdup(place), .lifetime_s = LIFETIME_S, .trust_any_host = trust_any_host};
    json_t *root = secret_json_load(bytes, size);
    int result = read_root(root, &credentials, err);

    secret_json_free(root);
    if (result != 0) {
        credentials_deinit(&credentials);
        return err_while(err, "the file of credentials %s", place);
    }
    *ret_credentials = credentials;
    return 0;
}

/* ---- where they are looked for */

static int read_file(const char *path, const char *why, bool trust_any_host, struct credentials *ret_credentials,
                     struct err *err)
{
    FILE *file = fopen(path, "re");
    char *bytes;
    size_t size;
    int result;

    if (file == NULL) {
        return err_set(err, ERR_FATAL, "the file of credentials %s (%s): %s", path, why, strerror(errno));
    }
    bytes = calloc(1, CREDENTIALS_BYTES_MAX + 1);
    must(bytes != NULL);
    (void)setvbuf(file, NULL, _IONBF, 0); /* no copy in a buffer of stdio's */
    size = fread(bytes, 1, CREDENTIALS_BYTES_MAX + 1, file);
    if (ferror(file) != 0) {
        result = err_set(err, ERR_FATAL, "reading the file of credentials %s (%s) failed", path, why);
    } else if (size > CREDENTIALS_BYTES_MAX) {
        result = err_set(err, ERR_FATAL, "the file of credentials %s (%s) is longer than %d bytes", path, why,
                         CREDENTIALS_BYTES_MAX);
    } else {
        result = credentials_read(bytes, size, path, trust_any_host, ret_credentials, err);
    }
    (void)fclose(file);
    explicit_bzero(bytes, size);
    free(bytes);
    return result;
}

/* gcloud's own file, if it can be read. Owned by the caller; NULL. */
static char *gcloud_file(void)
{
    const char *folder = getenv("CLOUDSDK_CONFIG");
    const char *home = getenv("HOME");
    char *path = NULL;
    FILE *file;

    if (folder != NULL && folder[0] != '\0') {
        must(asprintf(&path, "%s/application_default_credentials.json", folder) > 0);
    } else if (home != NULL && home[0] != '\0') {
        must(asprintf(&path, "%s/.config/gcloud/application_default_credentials.json", home) > 0);
    } else {
        return NULL;
    }
    file = fopen(path, "re");
    if (file == NULL) {
        free(path);
        return NULL;
    }
    (void)fclose(file);
    return path;
}

static void metadata(struct credentials *credentials, bool trust_any_host)
{
    const char *host = getenv("GCE_METADATA_HOST");

    *credentials =
        (struct credentials){.kind = CREDENTIALS_METADATA, .lifetime_s = LIFETIME_S, .trust_any_host = trust_any_host};
    credentials->place = must_strdup(host != NULL && host[0] != '\0' ? host : METADATA_HOST);
}

static int find(const struct credentials_options *options, struct credentials *credentials, struct err *err)
{
    const char *environment = getenv("GOOGLE_APPLICATION_CREDENTIALS");
    char *gcloud;
    int result = 0;

    if (options->file != NULL && options->file[0] != '\0') {
        return read_file(options->file, "bigquery.credentials", options->trust_any_host, credentials, err);
    }
    if (environment != NULL && environment[0] != '\0') {
        return read_file(environment, "GOOGLE_APPLICATION_CREDENTIALS", options->trust_any_host, credentials, err);
    }
    gcloud = gcloud_file();
    if (gcloud != NULL) {
        result = read_file(gcloud, "gcloud's own", options->trust_any_host, credentials, err);
    } else {
        metadata(credentials, options->trust_any_host);
    }
    free(gcloud);
    return result;
}

int credentials_find(const struct credentials_options *options, struct credentials *ret_credentials, struct err *err)
{
    *ret_credentials = (struct credentials){.kind = CREDENTIALS_NOBODY};
    if (options->file != NULL && strcmp(options->file, "none") == 0) {
        return 0;
    }
    if (find(options, ret_credentials, err) != 0) {
        return -1;
    }
    ret_credentials->impersonate =
        options->impersonate != NULL && options->impersonate[0] != '\0' ? must_strdup(options->impersonate) : NULL;
    return 0;
}
