/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each kind of sign-in from the file of credentials to the token, with everything that goes over the wire checked: the server
 * is on the test's loop, and answers what the test says.
 *
 * Every secret in here holds the text s3cr3t; after each test, no log line (level debug) and no error text may hold it, nor any
 * line of the private key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <uv.h>

#include "common/buffer.h"
#include "common/log.h"
#include "tests/unit/capture.h"
#include "tests/unit/http_server.h"
#include "workers/bigquery/aws_sigv4.h"
#include "workers/bigquery/token.h"

#define REQUESTS_MAX 16
#define WAITS_MAX    6
#define AUDIENCE     "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/aws"

struct request {
    char *method;
    char *path;
    char *head;
    char *body;
};

struct waiter {
    struct token_wait wait;
    bool came;
    bool inside; /* the answer came inside token_get */
    char token[256];
    enum err_class class;
    char error[512];
};

struct world {
    uv_loop_t loop;
    uv_timer_t tick; /* UV_RUN_ONCE may run a timer and then wait for a socket: this ends the wait */
    struct http *http;
    struct http_server server;
    struct token_source *source;
    struct http_server_reply replies[REQUESTS_MAX]; /* by the number of the request; the last one is repeated */
    unsigned reply_count;
    struct request requests[REQUESTS_MAX];
    unsigned request_count;
    struct waiter waiters[WAITS_MAX];
    bool asking;
    bool closed;
    char folder[64];
    char file[128]; /* of credentials */
};

static EVP_PKEY *key;
static char *key_pem;      /* as it is */
static char *key_pem_json; /* with \n for line breaks */

static struct world *current;

/* ---- the world */

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static char *keep(const char *text)
{
    char *copied = strdup(text);

    assert_non_null(copied);
    return copied;
}

static void handle(void *context, const struct http_server_request *request, struct http_server_reply *reply)
{
    struct world *world = context;
    unsigned number = world->request_count < world->reply_count ? world->request_count : world->reply_count - 1;

    assert_true(world->request_count < REQUESTS_MAX && world->reply_count > 0);
    world->requests[world->request_count++] = (struct request){
        .method = keep(request->method), .path = keep(request->path), .head = keep(request->head), .body = keep(request->body)};
    *reply = world->replies[number];
}

static void clear_environment(void)
{
    static const char *const names[] = {"GOOGLE_APPLICATION_CREDENTIALS",
                                        "GCE_METADATA_HOST",
                                        "AWS_REGION",
                                        "AWS_DEFAULT_REGION",
                                        "AWS_ACCESS_KEY_ID",
                                        "AWS_SECRET_ACCESS_KEY",
                                        "AWS_SESSION_TOKEN",
                                        "AWS_WEB_IDENTITY_TOKEN_FILE",
                                        "AWS_ROLE_ARN",
                                        "AWS_ROLE_SESSION_NAME",
                                        "AWS_ENDPOINT_URL_STS",
                                        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                                        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"};

    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        assert_int_equal(unsetenv(names[index]), 0);
    }
    assert_int_equal(setenv("CLOUDSDK_CONFIG", "/nowhere", 1), 0);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    const struct http_options options = {0};
    struct err err = {0};

    assert_non_null(world);
    clear_environment();
    assert_int_equal(uv_loop_init(&world->loop), 0);
    assert_int_equal(http_new(&world->loop, &options, &world->http, &err), 0);
    http_server_start(&world->server, &world->loop, handle, world);
    assert_int_equal(uv_timer_init(&world->loop, &world->tick), 0);
    assert_int_equal(uv_timer_start(&world->tick, on_tick, 10, 10), 0);
    (void)snprintf(world->folder, sizeof world->folder, "/tmp/kakehi-token-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    (void)snprintf(world->file, sizeof world->file, "%s/credentials.json", world->folder);
    current = world;
    *state = world;
    log_setup(LOG_DEBUG, LOG_LOGFMT);
    capture_start(2);
    return 0;
}

static void on_closed(void *context)
{
    ((struct world *)context)->closed = true;
}

static void run_until_closed(struct world *world)
{
    while (!world->closed) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    world->closed = false;
}

static void close_source(struct world *world)
{
    token_source_close(world->source, on_closed, world);
    run_until_closed(world);
    world->source = NULL;
}

static bool tells_secrets(const char *text)
{
    char line[64];

    (void)snprintf(line, sizeof line, "%.48s", key_pem + 64); /* of the second line */
    return strstr(text, "s3cr3t") != NULL || strstr(text, line) != NULL;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    const char *logged;
    char command[128];

    close_source(world);
    http_close(world->http, on_closed, world);
    run_until_closed(world);
    http_server_stop(&world->server);
    uv_close((uv_handle_t *)&world->tick, NULL);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    for (unsigned i = 0; i < world->request_count; i++) {
        free(world->requests[i].method);
        free(world->requests[i].path);
        free(world->requests[i].head);
        free(world->requests[i].body);
    }
    (void)snprintf(command, sizeof command, "%s/token", world->folder);
    (void)unlink(command);
    (void)unlink(world->file);
    (void)rmdir(world->folder);
    logged = capture_end(2);
    log_setup(LOG_ERROR, LOG_LOGFMT);
    assert_false(tells_secrets(logged));
    free(world);
    return 0;
}

/* ---- what a test does */

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* The server's URL stands for URL, the key for KEY, the world's folder for FOLDER. */
static void write_credentials(struct world *world, const char *pattern)
{
    struct buffer text = {0};

    for (const char *at = pattern; *at != '\0';) {
        if (strncmp(at, "URL", 3) == 0) {
            buffer_append_text(&text, world->server.url);
            at += 3;
        } else if (strncmp(at, "KEY", 3) == 0) {
            buffer_append_text(&text, key_pem_json);
            at += 3;
        } else if (strncmp(at, "FOLDER", 6) == 0) {
            buffer_append_text(&text, world->folder);
            at += 6;
        } else {
            buffer_append_byte(&text, (uint8_t)*at++);
        }
    }
    write_file(world->file, buffer_text(&text));
    buffer_deinit(&text);
}

static void open_source(struct world *world, const char *pattern, const char *impersonate)
{
    struct token_options options = {.credentials = pattern != NULL ? world->file : NULL,
                                    .impersonate = impersonate,
                                    .iam_url = world->server.url,
                                    .pause_max_ms = 1000,
                                    .trust_any_host = true};
    struct err err = {0};

    if (pattern != NULL) {
        write_credentials(world, pattern);
    }
    if (token_source_new(&world->loop, world->http, &options, &world->source, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static void reply(struct world *world, int status, const char *headers, const char *body)
{
    assert_true(world->reply_count < REQUESTS_MAX);
    world->replies[world->reply_count++] = (struct http_server_reply){.status = status, .headers = headers, .body = body};
}

static void on_answer(struct token_wait *wait, const char *token, const struct err *err)
{
    struct waiter *waiter = wait->context;

    assert_false(waiter->came);
    waiter->came = true;
    waiter->inside = current->asking;
    (void)snprintf(waiter->token, sizeof waiter->token, "%s", token != NULL ? token : "(none)");
    waiter->class = err != NULL ? err->class : ERR_NONE;
    (void)snprintf(waiter->error, sizeof waiter->error, "%s", err != NULL ? err->text : "");
    assert_true((token == NULL) == (err != NULL));
    assert_false(err != NULL && tells_secrets(err->text));
}

static struct waiter *ask(struct world *world, unsigned number)
{
    struct waiter *waiter = &world->waiters[number];

    *waiter = (struct waiter){.wait = {.answer = on_answer, .context = waiter}};
    world->asking = true;
    token_get(world->source, &waiter->wait);
    world->asking = false;
    return waiter;
}

static struct waiter *get(struct world *world)
{
    struct waiter *waiter = ask(world, 0);

    while (!waiter->came) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_false(tells_secrets(token_describe(world->source)));
    return waiter;
}

static void wait_for_requests(struct world *world, unsigned count)
{
    while (world->request_count < count) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

/* ---- reading what was sent */

static int hex(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static char *decode(const char *text, size_t size)
{
    char *out = calloc(1, size + 1);
    size_t used = 0;

    assert_non_null(out);
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '%') {
            out[used++] = (char)(hex(text[i + 1]) * 16 + hex(text[i + 2]));
            i += 2;
        } else {
            out[used++] = text[i];
        }
    }
    return out;
}

/* A field of a form, decoded; "(none)". Owned by the caller. */
static char *field(const char *form, const char *name)
{
    size_t size = strlen(name);

    for (const char *at = form; at != NULL; at = strchr(at, '&')) {
        at += *at == '&' ? 1 : 0;
        if (strncmp(at, name, size) == 0 && at[size] == '=') {
            return decode(at + size + 1, strcspn(at + size + 1, "&"));
        }
    }
    return keep("(none)");
}

static void assert_field(const char *form, const char *name, const char *value)
{
    char *found = field(form, name);

    assert_string_equal(found, value);
    free(found);
}

static void assert_header(const struct request *request, const char *line)
{
    if (strstr(request->head, line) == NULL) {
        fail_msg("no header %s in %s", line, request->head);
    }
}

static uint8_t *from_base64url(const char *text, size_t size, size_t *ret_size)
{
    char padded[4096];
    uint8_t *out = calloc(1, size + 4);
    size_t pad = (4 - size % 4) % 4;

    assert_true(size + pad < sizeof padded && out != NULL);
    for (size_t i = 0; i < size; i++) {
        padded[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
    }
    memset(padded + size, '=', pad);
    assert_true(EVP_DecodeBlock(out, (const uint8_t *)padded, (int)(size + pad)) > 0);
    *ret_size = (size + pad) / 4 * 3 - pad;
    return out;
}

static json_t *part_of(const char *text, size_t size)
{
    size_t json_size;
    uint8_t *bytes = from_base64url(text, size, &json_size);
    json_t *json = json_loadb((const char *)bytes, json_size, 0, NULL);

    assert_non_null(json);
    free(bytes);
    return json;
}

static void verify_signature(const char *jwt, size_t signed_size)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t size;
    uint8_t *signature = from_base64url(jwt + signed_size + 1, strlen(jwt + signed_size + 1), &size);

    assert_int_equal(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(context, signature, size, (const uint8_t *)jwt, signed_size), 1);
    EVP_MD_CTX_free(context);
    free(signature);
}

/* ---- kinds */

#define SERVICE_ACCOUNT                                                                                                        \
    "{\"type\":\"service_account\",\"client_email\":\"loader@p.iam.gserviceaccount.com\",\"private_key_id\":\"k1\","           \
    "\"private_key\":\"KEY\",\"token_uri\":\"URL/token\"}"
#define USER                                                                                                                   \
    "{\"type\":\"authorized_user\",\"client_id\":\"id\",\"client_secret\":\"s3cr3t-client\",\"refresh_token\":"                \
    "\"1//s3cr3t+refresh\",\"token_uri\":\"URL/token\"}"
#define TOKEN_1 "{\"access_token\":\"s3cr3t-1\",\"expires_in\":3599,\"token_type\":\"Bearer\"}"
#define TOKEN_2 "{\"access_token\":\"s3cr3t-2\",\"expires_in\":3599,\"token_type\":\"Bearer\"}"

static void test_token__service_account_sends_a_signed_assertion(void **state)
{
    struct world *world = *state;
    struct waiter *waiter;
    char *jwt;
    const char *claims_start;
    const char *signature;
    json_t *header;
    json_t *claims;
    json_int_t issued;

    open_source(world, SERVICE_ACCOUNT, NULL);
    reply(world, 200, NULL, TOKEN_1);
    waiter = get(world);
    assert_string_equal(waiter->token, "s3cr3t-1");
    assert_string_equal(world->requests[0].method, "POST");
    assert_string_equal(world->requests[0].path, "/token");
    assert_header(&world->requests[0], "Content-Type: application/x-www-form-urlencoded\r\n");
    assert_field(world->requests[0].body, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    jwt = field(world->requests[0].body, "assertion");
    claims_start = strchr(jwt, '.') + 1;
    signature = strchr(claims_start, '.') + 1;
    verify_signature(jwt, (size_t)(signature - jwt) - 1);
    header = part_of(jwt, (size_t)(claims_start - jwt) - 1);
    assert_string_equal(json_string_value(json_object_get(header, "alg")), "RS256");
    assert_string_equal(json_string_value(json_object_get(header, "typ")), "JWT");
    assert_string_equal(json_string_value(json_object_get(header, "kid")), "k1");
    claims = part_of(claims_start, (size_t)(signature - claims_start) - 1);
    assert_string_equal(json_string_value(json_object_get(claims, "iss")), "loader@p.iam.gserviceaccount.com");
    assert_string_equal(json_string_value(json_object_get(claims, "scope")), TOKEN_SCOPES);
    assert_string_equal(json_string_value(json_object_get(claims, "aud")), "https://oauth2.googleapis.com/token");
    issued = json_integer_value(json_object_get(claims, "iat"));
    assert_true(issued <= (json_int_t)time(NULL) && issued > (json_int_t)time(NULL) - 60);
    assert_int_equal(json_integer_value(json_object_get(claims, "exp")) - issued, 3600);
    assert_non_null(strstr(token_describe(world->source), "service account loader@p.iam.gserviceaccount.com (key file "));
    json_decref(header);
    json_decref(claims);
    free(jwt);
}

static void test_token__user_sends_the_refresh_token(void **state)
{
    struct world *world = *state;

    open_source(world, USER, NULL);
    reply(world, 200, NULL, TOKEN_1);
    assert_string_equal(get(world)->token, "s3cr3t-1");
    assert_string_equal(world->requests[0].body,
                        "grant_type=refresh_token&client_id=id&client_secret=s3cr3t-client&refresh_token="
                        "1%2F%2Fs3cr3t%2Brefresh");
}

static void use_metadata(struct world *world)
{
    assert_int_equal(setenv("GCE_METADATA_HOST", world->server.url + strlen("http://"), 1), 0);
    open_source(world, NULL, NULL);
}

static void test_token__metadata_server_names_itself(void **state)
{
    struct world *world = *state;

    use_metadata(world);
    reply(world, 200, "Metadata-Flavor: Google\r\n", "pod@p.iam.gserviceaccount.com");
    reply(world, 200, "Metadata-Flavor: Google\r\n", TOKEN_1);
    assert_string_equal(get(world)->token, "s3cr3t-1");
    assert_string_equal(world->requests[0].path, "/computeMetadata/v1/instance/service-accounts/default/email");
    assert_string_equal(world->requests[1].path, "/computeMetadata/v1/instance/service-accounts/default/token");
    assert_header(&world->requests[0], "Metadata-Flavor: Google\r\n");
    assert_header(&world->requests[1], "Metadata-Flavor: Google\r\n");
    assert_non_null(strstr(token_describe(world->source), "service account pod@p.iam.gserviceaccount.com (metadata server"));
}

static void test_token__what_is_no_metadata_server_is_not_believed(void **state)
{
    struct world *world = *state;
    struct waiter *waiter;

    use_metadata(world);
    reply(world, 200, NULL, TOKEN_1);
    waiter = get(world);
    assert_int_equal(waiter->class, ERR_FATAL);
    assert_non_null(strstr(waiter->error, "is not Google's"));
}

static void test_token__metadata_server_without_an_account_says_what_to_do(void **state)
{
    struct world *world = *state;
    struct waiter *waiter;

    use_metadata(world);
    reply(world, 404, "Metadata-Flavor: Google\r\n", "nope");
    waiter = get(world);
    assert_int_equal(waiter->class, ERR_FATAL);
    assert_non_null(strstr(waiter->error, "HTTP 404"));
    assert_non_null(strstr(waiter->error, "set bigquery.credentials"));
}

#define FILE_SOURCE                                                                                                            \
    "{\"type\":\"external_account\",\"audience\":\"//iam.googleapis.com/projects/1/x\",\"subject_token_type\":"                \
    "\"urn:ietf:params:oauth:token-type:jwt\",\"token_url\":\"URL/sts\",\"credential_source\":{\"file\":\"FOLDER/token\"%s}}"

static void write_token(struct world *world, const char *text)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/token", world->folder);
    write_file(path, text);
}

static void open_token_file(struct world *world, const char *format, const char *text)
{
    char pattern[512];

    (void)snprintf(pattern, sizeof pattern, FILE_SOURCE, format);
    write_token(world, text);
    open_source(world, pattern, NULL);
}

static void test_token__token_file_is_exchanged(void **state)
{
    struct world *world = *state;
    const char *form;

    open_token_file(world, "", "s3cr3t.subject\n");
    reply(world, 200, NULL, TOKEN_1);
    assert_string_equal(get(world)->token, "s3cr3t-1");
    form = world->requests[0].body;
    assert_string_equal(world->requests[0].path, "/sts");
    assert_field(form, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_field(form, "audience", "//iam.googleapis.com/projects/1/x");
    assert_field(form, "scope", TOKEN_SCOPES);
    assert_field(form, "requested_token_type", "urn:ietf:params:oauth:token-type:access_token");
    assert_field(form, "subject_token", "s3cr3t.subject");
    assert_field(form, "subject_token_type", "urn:ietf:params:oauth:token-type:jwt");
}

static void test_token__token_file_may_be_json(void **state)
{
    struct world *world = *state;

    open_token_file(world, ",\"format\":{\"type\":\"json\",\"subject_token_field_name\":\"id\"}", "{\"id\":\"s3cr3t.j\"}");
    reply(world, 200, NULL, TOKEN_1);
    assert_string_equal(get(world)->token, "s3cr3t-1");
    assert_field(world->requests[0].body, "subject_token", "s3cr3t.j");
}

static void test_token__bad_token_file_asks_nobody(void **state)
{
    struct world *world = *state;
    struct waiter *waiter;

    open_token_file(world, ",\"format\":{\"type\":\"json\",\"subject_token_field_name\":\"id\"}", "s3cr3t is no JSON");
    waiter = get(world);
    assert_int_equal(waiter->class, ERR_RETRY);
    assert_false(waiter->inside);
    assert_non_null(strstr(waiter->error, "is no JSON with a field id"));
    assert_int_equal(world->request_count, 0);
}

/* ---- AWS */

#define AWS                                                                                                                    \
    "{\"type\":\"external_account\",\"audience\":\"" AUDIENCE "\",\"subject_token_type\":"                                     \
    "\"urn:ietf:params:aws:token-type:aws4_request\",\"token_url\":\"URL/sts\",\"credential_source\":{"                        \
    "\"environment_id\":\"aws1\",\"region_url\":\"URL/zone\",\"url\":\"URL/roles\","                                           \
    "\"imdsv2_session_token_url\":\"URL/session\",\"regional_cred_verification_url\":"                                         \
    "\"https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15\"}}"

static const char *signed_header(const json_t *identity, const char *name)
{
    const json_t *header;
    size_t index;

    json_array_foreach(json_object_get(identity, "headers"), index, header)
    {
        if (strcasecmp(json_string_value(json_object_get(header, "key")), name) == 0) {
            return json_string_value(json_object_get(header, "value"));
        }
    }
    return "(none)";
}

/* The subject token of an exchange, decoded; checked but for its signature's being right for the keys. */
static json_t *read_identity(const struct request *request)
{
    char *subject = field(request->body, "subject_token");
    char *text = decode(subject, strlen(subject));
    json_t *identity = json_loads(text, 0, NULL);

    assert_non_null(identity);
    assert_string_equal(json_string_value(json_object_get(identity, "method")), "POST");
    assert_string_equal(signed_header(identity, "x-goog-cloud-target-resource"), AUDIENCE);
    assert_field(request->body, "subject_token_type", "urn:ietf:params:aws:token-type:aws4_request");
    assert_field(request->body, "audience", AUDIENCE);
    free(subject);
    free(text);
    return identity;
}

static void assert_signature(const json_t *identity, const char *key_id, const char *secret, const char *region)
{
    struct buffer expected = {0};
    const char *token = signed_header(identity, "x-amz-security-token");
    const struct http_header headers[] = {{"host", signed_header(identity, "host")},
                                          {"x-amz-date", signed_header(identity, "x-amz-date")},
                                          {"x-goog-cloud-target-resource", AUDIENCE},
                                          {"x-amz-security-token", token}};
    const struct aws_sigv4_request request = {.method = "POST",
                                              .path = "",
                                              .query = "Action=GetCallerIdentity&Version=2011-06-15",
                                              .headers = headers,
                                              .header_count = strcmp(token, "(none)") != 0 ? 4 : 3,
                                              .date = headers[1].value,
                                              .region = region,
                                              .service = "sts"};

    aws_sigv4_sign(key_id, secret, &request, &expected);
    assert_string_equal(signed_header(identity, "authorization"), buffer_text(&expected));
    buffer_deinit(&expected);
}

static void test_token__aws_keys_of_the_environment_sign_who_we_are(void **state)
{
    struct world *world = *state;
    json_t *identity;

    open_source(world, AWS, NULL);
    (void)setenv("AWS_REGION", "eu-west-3", 1);
    (void)setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t/key", 1);
    reply(world, 200, NULL, TOKEN_1);
    assert_string_equal(get(world)->token, "s3cr3t-1");
    assert_int_equal(world->request_count, 1);
    identity = read_identity(&world->requests[0]);
    assert_string_equal(json_string_value(json_object_get(identity, "url")),
                        "https://sts.eu-west-3.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15");
    assert_string_equal(signed_header(identity, "host"), "sts.eu-west-3.amazonaws.com");
    assert_signature(identity, "AKIDEXAMPLE", "s3cr3t/key", "eu-west-3");
    json_decref(identity);
}

#define KEYS "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIA1\",\"SecretAccessKey\":\"s3cr3t/role\",\"Token\":\"s3cr3t//tok=\"}"

static void test_token__aws_metadata_service_is_asked_with_a_session(void **state)
{
    struct world *world = *state;
    json_t *identity;

    open_source(world, AWS, NULL);
    reply(world, 200, NULL, "s3cr3t-session");
    reply(world, 200, NULL, "us-east-1d");
    reply(world, 200, NULL, "my-role\n");
    reply(world, 200, NULL, KEYS);
    reply(world, 200, NULL, TOKEN_1);
    assert_string_equal(get(world)->token, "s3cr3t-1");
    assert_string_equal(world->requests[0].method, "PUT");
    assert_string_equal(world->requests[0].path, "/session");
    assert_header(&world->requests[0], "X-aws-ec2-metadata-token-ttl-seconds: 300\r\n");
    assert_string_equal(world->requests[1].path, "/zone");
    assert_string_equal(world->requests[2].path, "/roles");
    assert_string_equal(world->requests[3].path, "/roles/my-role");
    for (unsigned i = 1; i < 4; i++) {
        assert_header(&world->requests[i], "X-aws-ec2-metadata-token: s3cr3t-session\r\n");
    }
    identity = read_identity(&world->requests[4]);
    assert_string_equal(signed_header(identity, "x-amz-security-token"), "s3cr3t//tok=");
    assert_signature(identity, "ASIA1", "s3cr3t/role", "us-east-1");
    json_decref(identity);
}

static void test_token__aws_metadata_service_that_refuses_says_so(void **state)
{
    struct world *world = *state;
    struct waiter *waiter;

    open_source(world, AWS, NULL);
    reply(world, 403, NULL, "");
    waiter = get(world);
    assert_int_equal(waiter->class, ERR_FATAL);
    assert_non_null(strstr(waiter->error, "asking AWS's metadata service for a session: HTTP 403"));
    assert_int_equal(world->request_count, 1); /* not without a session instead */
}

static void test_token__aws_region_can_not_name_another_host(void **state)
{
    struct world *world = *state;

    open_source(world, AWS, NULL);
    (void)setenv("AWS_REGION", "evil.example.com/", 1);
    (void)setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t/key", 1);
    assert_int_equal(get(world)->class, ERR_FATAL);
    assert_int_equal(world->request_count, 0);
}

static void test_token__aws_keys_by_web_identity(void **state)
{
    struct world *world = *state;
    char path[128];
    json_t *identity;

    open_source(world, AWS, NULL);
    write_token(world, "s3cr3t.pod");
    (void)snprintf(path, sizeof path, "%s/token", world->folder);
    (void)setenv("AWS_REGION", "us-east-2", 1);
    (void)setenv("AWS_WEB_IDENTITY_TOKEN_FILE", path, 1);
    (void)setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r", 1);
    (void)setenv("AWS_ENDPOINT_URL_STS", world->server.url, 1);
    reply(world, 200, NULL,
          "<R><Credentials><SessionToken>s3cr3t-st</SessionToken><SecretAccessKey>s3cr3t-sk</SecretAccessKey>"
          "<AccessKeyId>ASIA2</AccessKeyId></Credentials></R>");
    reply(world, 200, NULL, TOKEN_1);
    assert_string_equal(get(world)->token, "s3cr3t-1");
    assert_string_equal(world->requests[0].body,
                        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=kakehi&RoleArn="
                        "arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&WebIdentityToken=s3cr3t.pod");
    identity = read_identity(&world->requests[1]);
    assert_signature(identity, "ASIA2", "s3cr3t-sk", "us-east-2");
    json_decref(identity);
}

static void test_token__aws_keys_of_a_container(void **state)
{
    struct world *world = *state;
    char url[128];
    json_t *identity;

    open_source(world, AWS, NULL);
    (void)snprintf(url, sizeof url, "%s/v1/credentials", world->server.url);
    (void)setenv("AWS_REGION", "us-east-2", 1);
    (void)setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
    (void)setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "s3cr3t-agent", 1);
    reply(world, 200, NULL, KEYS);
    reply(world, 200, NULL, TOKEN_1);
    assert_string_equal(get(world)->token, "s3cr3t-1");
    assert_string_equal(world->requests[0].path, "/v1/credentials");
    assert_header(&world->requests[0], "Authorization: s3cr3t-agent\r\n");
    identity = read_identity(&world->requests[1]);
    assert_signature(identity, "ASIA1", "s3cr3t/role", "us-east-2");
    json_decref(identity);
}

/* ---- acting as somebody */

static void expire_at(char *text, size_t size, int seconds_ahead)
{
    time_t when = time(NULL) + seconds_ahead;
    struct tm tm;

    assert_non_null(gmtime_r(&when, &tm));
    (void)strftime(text, size, "{\"accessToken\":\"s3cr3t-acting\",\"expireTime\":\"%Y-%m-%dT%H:%M:%SZ\"}", &tm);
}

static void assert_acting(const struct request *request, const char *path, const char *bearer, const char *scope)
{
    char header[128];
    json_t *body = json_loads(request->body, 0, NULL);
    json_t *scopes = json_object_get(body, "scope");

    (void)snprintf(header, sizeof header, "Authorization: Bearer %s\r\n", bearer);
    assert_header(request, header);
    assert_string_equal(request->path, path);
    assert_non_null(body);
    assert_string_equal(json_string_value(json_array_get(scopes, 0)), scope);
    assert_string_equal(json_string_value(json_object_get(body, "lifetime")), "3600s");
    json_decref(body);
}

static void test_token__setting_acts_as_a_service_account(void **state)
{
    struct world *world = *state;
    char acting[128];
    char *jwt;
    json_t *claims;
    const char *start;

    open_source(world, SERVICE_ACCOUNT, "other@p.iam.gserviceaccount.com");
    expire_at(acting, sizeof acting, 3600);
    reply(world, 200, NULL, TOKEN_1);
    reply(world, 200, NULL, acting);
    assert_string_equal(get(world)->token, "s3cr3t-acting");
    assert_acting(&world->requests[1], "/v1/projects/-/serviceAccounts/other%40p.iam.gserviceaccount.com:generateAccessToken",
                  "s3cr3t-1", "https://www.googleapis.com/auth/bigquery");
    jwt = field(world->requests[0].body, "assertion");
    start = strchr(jwt, '.') + 1;
    claims = part_of(start, strcspn(start, "."));
    assert_string_equal(json_string_value(json_object_get(claims, "scope")), "https://www.googleapis.com/auth/iam");
    assert_non_null(strstr(token_describe(world->source), ", acting as other@p.iam.gserviceaccount.com"));
    json_decref(claims);
    free(jwt);
}

static void test_token__file_acts_and_then_the_setting(void **state)
{
    struct world *world = *state;
    char acting[128];

    open_source(world,
                "{\"type\":\"impersonated_service_account\",\"service_account_impersonation_url\":"
                "\"URL/v1/projects/-/serviceAccounts/first@p:generateAccessToken\",\"source_credentials\":" USER "}",
                "second@p");
    expire_at(acting, sizeof acting, 3600);
    reply(world, 200, NULL, TOKEN_1);
    reply(world, 200, NULL, acting);
    assert_string_equal(get(world)->token, "s3cr3t-acting");
    assert_acting(&world->requests[1], "/v1/projects/-/serviceAccounts/first@p:generateAccessToken", "s3cr3t-1",
                  "https://www.googleapis.com/auth/iam");
    assert_acting(&world->requests[2], "/v1/projects/-/serviceAccounts/second%40p:generateAccessToken", "s3cr3t-acting",
                  "https://www.googleapis.com/auth/bigquery");
    assert_non_null(strstr(token_describe(world->source), ", acting as first@p, acting as second@p"));
}

static void test_token__acting_refused_says_which_role(void **state)
{
    struct world *world = *state;
    struct waiter *waiter;

    open_source(world, USER, "other@p.iam.gserviceaccount.com");
    reply(world, 200, NULL, TOKEN_1);
    reply(world, 403, NULL,
          "{\"error\":{\"code\":403,\"status\":\"PERMISSION_DENIED\",\"message\":\"Permission 'x' denied\"}}");
    waiter = get(world);
    assert_int_equal(waiter->class, ERR_FATAL);
    assert_non_null(strstr(waiter->error, "HTTP 403 PERMISSION_DENIED: Permission 'x' denied"));
    assert_non_null(strstr(waiter->error, "roles/iam.serviceAccountTokenCreator"));
}

/* This machine's may be hours ahead. */
static void test_token__acting_token_lives_by_the_clock_of_who_gave_it(void **state)
{
    struct world *world = *state;

    open_source(world, USER, "other@p.iam.gserviceaccount.com");
    reply(world, 200, NULL, TOKEN_1);
    reply(world, 200, "Date: Sun, 22 Nov 2020 10:00:00 GMT\r\n",
          "{\"accessToken\":\"s3cr3t-acting\",\"expireTime\":\"2020-11-22T11:00:00Z\"}");
    assert_string_equal(get(world)->token, "s3cr3t-acting");
}

static void test_token__expired_acting_token_is_refused(void **state)
{
    struct world *world = *state;
    char acting[128];

    open_source(world, USER, "other@p.iam.gserviceaccount.com");
    expire_at(acting, sizeof acting, -5);
    reply(world, 200, NULL, TOKEN_1);
    reply(world, 200, NULL, acting);
    assert_int_equal(get(world)->class, ERR_RETRY);
}

/* ---- one token for all, and its life */

static void test_token__none_signs_nothing(void **state)
{
    struct world *world = *state;
    const struct token_options options = {.credentials = "none"};
    struct err err = {0};
    struct waiter *waiter;

    assert_int_equal(token_source_new(&world->loop, world->http, &options, &world->source, &err), 0);
    waiter = get(world);
    assert_string_equal(waiter->token, "");
    assert_true(waiter->inside);
}

static void test_token__however_many_wait_one_is_fetched(void **state)
{
    struct world *world = *state;

    open_source(world, USER, NULL);
    reply(world, 200, NULL, TOKEN_1);
    for (unsigned i = 1; i < WAITS_MAX; i++) {
        assert_false(ask(world, i)->came);
    }
    token_withdraw(&world->waiters[3].wait);
    token_withdraw(&world->waiters[3].wait);
    assert_string_equal(get(world)->token, "s3cr3t-1");
    for (unsigned i = 1; i < WAITS_MAX; i++) {
        assert_int_equal(world->waiters[i].came, i != 3);
    }
    assert_int_equal(world->request_count, 1);
    assert_true(get(world)->inside); /* at hand now */
    assert_int_equal(world->request_count, 1);
}

static void test_token__renewed_before_it_expires_and_given_meanwhile(void **state)
{
    struct world *world = *state;

    open_source(world, USER, NULL);
    reply(world, 200, NULL, "{\"access_token\":\"s3cr3t-short\",\"expires_in\":4}");
    reply(world, 200, NULL, TOKEN_2);
    assert_string_equal(get(world)->token, "s3cr3t-short");
    wait_for_requests(world, 2); /* nobody asked */
    assert_string_equal(get(world)->token, "s3cr3t-short");
    while (strcmp(get(world)->token, "s3cr3t-2") != 0) {
        assert_true(world->waiters[0].inside); /* nobody ever waited */
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_int_equal(world->request_count, 2);
}

static void test_token__failed_renewal_keeps_the_old_one_until_it_expires(void **state)
{
    struct world *world = *state;
    struct waiter *waiter;

    open_source(world, USER, NULL);
    reply(world, 200, NULL, "{\"access_token\":\"s3cr3t-short\",\"expires_in\":3}");
    reply(world, 503, NULL, "{}");
    assert_string_equal(get(world)->token, "s3cr3t-short");
    wait_for_requests(world, 2);
    while (token_trouble(world->source) == NULL) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_string_equal(get(world)->token, "s3cr3t-short");
    while (strcmp((waiter = get(world))->token, "(none)") != 0) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_int_equal(waiter->class, ERR_RETRY);
    assert_non_null(strstr(waiter->error, "HTTP 503"));
}

static void test_token__refused_token_is_given_no_more(void **state)
{
    struct world *world = *state;

    open_source(world, USER, NULL);
    reply(world, 200, NULL, TOKEN_1);
    reply(world, 200, NULL, TOKEN_2);
    (void)get(world);
    token_refused(world->source, "another");
    assert_string_equal(get(world)->token, "s3cr3t-1");
    token_refused(world->source, "s3cr3t-1");
    token_refused(world->source, "s3cr3t-1");
    assert_string_equal(get(world)->token, "s3cr3t-2");
    token_refused(world->source, "s3cr3t-1"); /* late: of the first */
    assert_string_equal(get(world)->token, "s3cr3t-2");
    assert_int_equal(world->request_count, 2);
}

static void test_token__a_failure_is_told_and_tried_again_alone(void **state)
{
    struct world *world = *state;

    open_source(world, USER, NULL);
    reply(world, 503, NULL, "busy");
    reply(world, 200, NULL, TOKEN_2);
    assert_int_equal(get(world)->class, ERR_RETRY);
    assert_true(get(world)->inside);
    assert_int_equal(world->waiters[0].class, ERR_RETRY);
    wait_for_requests(world, 2);
    while (token_trouble(world->source) != NULL) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_string_equal(get(world)->token, "s3cr3t-2");
}

static void test_token__a_replaced_file_is_read_after_a_refusal(void **state)
{
    struct world *world = *state;

    open_source(world, USER, NULL);
    reply(world, 400, NULL, "{\"error\":\"invalid_grant\"}");
    reply(world, 200, NULL, TOKEN_2);
    assert_int_equal(get(world)->class, ERR_FATAL);
    write_credentials(world, SERVICE_ACCOUNT);
    wait_for_requests(world, 2);
    assert_field(world->requests[1].body, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    while (token_trouble(world->source) != NULL) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_string_equal(get(world)->token, "s3cr3t-2");
    assert_non_null(strstr(token_describe(world->source), "loader@p.iam.gserviceaccount.com"));
}

static void test_token__a_file_half_replaced_leaves_what_we_have(void **state)
{
    struct world *world = *state;

    open_source(world, USER, NULL);
    reply(world, 400, NULL, "{\"error\":\"invalid_grant\"}");
    assert_int_equal(get(world)->class, ERR_FATAL);
    write_file(world->file, "{\"type\":\"authorized");
    wait_for_requests(world, 2);
    assert_string_equal(world->requests[0].body, world->requests[1].body);
}

static void test_token__refusal_is_told_in_the_servers_words_without_secrets(void **state)
{
    struct world *world = *state;
    struct waiter *waiter;

    open_source(world, USER, NULL);
    reply(world, 400, NULL,
          "{\"error\":\"invalid_grant\",\"error_description\":\"Bad Request for s3cr3tAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA of "
          "loader@a-project.iam.gserviceaccount.com\"}");
    waiter = get(world);
    assert_int_equal(waiter->class, ERR_FATAL);
    assert_non_null(
        strstr(waiter->error, "HTTP 400 invalid_grant: Bad Request for ... of loader@a-project.iam.gserviceaccount.com; "));
    assert_non_null(strstr(waiter->error, "gcloud auth application-default login"));
}

static void test_token__answers_that_make_no_sense(void **state)
{
    static const char *const bodies[] = {
        "",
        "s3cr3t",
        "[]",
        "{}",
        "{\"access_token\":\"s3cr3t\"}",
        "{\"access_token\":\"s3cr3t\",\"expires_in\":0}",
        "{\"access_token\":\"s3cr3t\",\"expires_in\":-1}",
        "{\"access_token\":\"s3cr3t\",\"expires_in\":\"3600\"}",
        "{\"access_token\":\"\",\"expires_in\":3600}",
        "{\"access_token\":\"s3cr3t\\r\\nX: y\",\"expires_in\":3600}",
        "{\"access_token\":\"s3cr3t s3cr3t\",\"expires_in\":3600}",
        "{\"access_token\":[\"s3cr3t\"],\"expires_in\":3600}",
        "{\"access_token\":\"s3cr3t\",\"expires_in\":3600",
    };
    struct world *world = *state;

    open_source(world, USER, NULL);
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        close_source(world);
        open_source(world, USER, NULL);
        world->request_count = 0;
        world->reply_count = 0;
        reply(world, 200, NULL, bodies[i]);
        assert_int_equal(get(world)->class, ERR_RETRY);
        free(world->requests[0].method);
        free(world->requests[0].path);
        free(world->requests[0].head);
        free(world->requests[0].body);
        world->request_count = 0;
    }
}

static void test_token__huge_answer_is_refused(void **state)
{
    struct world *world = *state;
    char *body = calloc(1, 200001);

    assert_non_null(body);
    memset(body, ' ', 200000);
    open_source(world, USER, NULL);
    reply(world, 200, NULL, body);
    assert_string_equal(get(world)->token, "(none)");
    free(body);
}

static void test_token__close_answers_who_waits(void **state)
{
    struct world *world = *state;

    open_source(world, USER, NULL);
    reply(world, 200, NULL, TOKEN_1);
    world->replies[0].nothing = true;
    (void)ask(world, 1);
    (void)ask(world, 2);
    wait_for_requests(world, 1);
    close_source(world);
    assert_int_equal(world->waiters[1].class, ERR_CANCELED);
    assert_int_equal(world->waiters[2].class, ERR_CANCELED);
}

static void on_answer_closes(struct token_wait *wait, const char *token, const struct err *err)
{
    struct world *world = wait->context;

    (void)token;
    (void)err;
    token_source_close(world->source, on_closed, world);
}

static void test_token__can_be_closed_inside_an_answer(void **state)
{
    struct world *world = *state;
    struct token_wait closes = {.answer = on_answer_closes, .context = world};

    open_source(world, USER, NULL);
    reply(world, 503, NULL, "");
    token_get(world->source, &closes);
    (void)ask(world, 1);
    run_until_closed(world);
    world->source = NULL;
    assert_int_equal(world->waiters[1].class, ERR_CANCELED);
}

/* ---- the file of credentials */

static void assert_refused(struct world *world, const char *text, const char *says)
{
    const struct token_options options = {.credentials = world->file};
    struct err err = {0};

    write_credentials(world, text);
    assert_int_equal(token_source_new(&world->loop, world->http, &options, &world->source, &err), -1);
    world->source = NULL;
    assert_int_equal(err.class, ERR_FATAL);
    assert_false(tells_secrets(err.text));
    if (strstr(err.text, says) == NULL || strstr(err.text, world->file) == NULL) {
        fail_msg("%s: not in: %s", says, err.text);
    }
}

static void test_token__bad_files_are_refused_by_name(void **state)
{
    struct world *world = *state;

    assert_refused(world, "s3cr3t", "not a JSON object");
    assert_refused(world, "{}", "field type is missing");
    assert_refused(world, "{\"type\":\"external_account_authorized_user\"}",
                   "\"external_account_authorized_user\" is not supported");
    assert_refused(world, "{\"type\":\"service_account\",\"client_email\":\"a\"}", "private_key is missing");
    assert_refused(world, "{\"type\":\"service_account\",\"client_email\":\"a\",\"private_key\":\"s3cr3t\"}", "no RSA key");
    assert_refused(world, "{\"type\":\"authorized_user\",\"client_id\":\"a\",\"client_secret\":\"s3cr3t\"}", "refresh_token");
    assert_refused(world, "{\"type\":\"external_account\",\"credential_source\":{\"executable\":{}}}", "not supported");
    assert_refused(world, "{\"type\":\"external_account\",\"credential_source\":{\"environment_id\":\"aws2\"}}", "not aws1");
    assert_refused(world, "{\"type\":\"authorized_user\",\"universe_domain\":\"evil.example\"}", "universe_domain");
}

static void test_token__urls_of_other_hosts_are_refused(void **state)
{
    struct world *world = *state;

    assert_refused(world, USER, "is not https");
    assert_refused(
        world,
        "{\"type\":\"authorized_user\",\"client_id\":\"a\",\"client_secret\":\"s3cr3t\",\"refresh_token\":\"s3cr3t\","
        "\"token_uri\":\"https://oauth2.googleapis.com.evil.example/token\"}",
        "is of oauth2.googleapis.com.evil.example");
    assert_refused(
        world,
        "{\"type\":\"authorized_user\",\"client_id\":\"a\",\"client_secret\":\"s3cr3t\",\"refresh_token\":\"s3cr3t\","
        "\"token_uri\":\"https://oauth2.googleapis.com@evil.example/token\"}",
        "a URL in it is none");
    assert_refused(
        world,
        "{\"type\":\"external_account\",\"credential_source\":{\"environment_id\":\"aws1\",\"region_url\":"
        "\"http://intranet.example/x\",\"regional_cred_verification_url\":\"https://sts.{region}.amazonaws.com?x\"}}",
        "intranet.example");
    assert_refused(world,
                   "{\"type\":\"external_account\",\"credential_source\":{\"environment_id\":\"aws1\",\"url\":"
                   "\"http://169.254.169.254/x\",\"regional_cred_verification_url\":\"https://sts.evil.example?x\"}}",
                   "sts.evil.example");
}

static void test_token__a_file_that_is_named_must_be_there(void **state)
{
    struct world *world = *state;
    const struct token_options options = {0};
    struct err err = {0};

    (void)setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json", 1);
    assert_int_equal(token_source_new(&world->loop, world->http, &options, &world->source, &err), -1);
    world->source = NULL;
    assert_int_equal(err.class, ERR_FATAL);
    assert_non_null(strstr(err.text, "/nowhere/key.json (GOOGLE_APPLICATION_CREDENTIALS)"));
}

static void test_token__gclouds_own_file_is_found(void **state)
{
    struct world *world = *state;
    char path[128];

    (void)setenv("CLOUDSDK_CONFIG", world->folder, 1);
    (void)snprintf(path, sizeof path, "%s/application_default_credentials.json", world->folder);
    write_credentials(world, USER);
    assert_int_equal(rename(world->file, path), 0);
    open_source(world, NULL, NULL);
    assert_non_null(strstr(token_describe(world->source), "gcloud's refresh token"));
    assert_non_null(strstr(token_describe(world->source), path));
    assert_int_equal(unlink(path), 0);
}

/* ---- the key, once for all */

static int make_key(void **state)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes;
    long size;
    struct buffer json = {0};

    (void)state;
    key = EVP_RSA_gen(2048);
    assert_non_null(key);
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    size = BIO_get_mem_data(bio, &bytes);
    key_pem = strndup(bytes, (size_t)size);
    for (const char *at = key_pem; *at != '\0'; at++) {
        if (*at == '\n') {
            buffer_append_text(&json, "\\n");
        } else {
            buffer_append_byte(&json, (uint8_t)*at);
        }
    }
    key_pem_json = keep(buffer_text(&json));
    buffer_deinit(&json);
    BIO_free(bio);
    return 0;
}

static int free_key(void **state)
{
    (void)state;
    EVP_PKEY_free(key);
    free(key_pem);
    free(key_pem_json);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_token__service_account_sends_a_signed_assertion),
        TEST(test_token__user_sends_the_refresh_token),
        TEST(test_token__metadata_server_names_itself),
        TEST(test_token__what_is_no_metadata_server_is_not_believed),
        TEST(test_token__metadata_server_without_an_account_says_what_to_do),
        TEST(test_token__token_file_is_exchanged),
        TEST(test_token__token_file_may_be_json),
        TEST(test_token__bad_token_file_asks_nobody),
        TEST(test_token__aws_keys_of_the_environment_sign_who_we_are),
        TEST(test_token__aws_metadata_service_is_asked_with_a_session),
        TEST(test_token__aws_metadata_service_that_refuses_says_so),
        TEST(test_token__aws_region_can_not_name_another_host),
        TEST(test_token__aws_keys_by_web_identity),
        TEST(test_token__aws_keys_of_a_container),
        TEST(test_token__setting_acts_as_a_service_account),
        TEST(test_token__file_acts_and_then_the_setting),
        TEST(test_token__acting_refused_says_which_role),
        TEST(test_token__expired_acting_token_is_refused),
        TEST(test_token__acting_token_lives_by_the_clock_of_who_gave_it),
        TEST(test_token__none_signs_nothing),
        TEST(test_token__however_many_wait_one_is_fetched),
        TEST(test_token__renewed_before_it_expires_and_given_meanwhile),
        TEST(test_token__failed_renewal_keeps_the_old_one_until_it_expires),
        TEST(test_token__refused_token_is_given_no_more),
        TEST(test_token__a_failure_is_told_and_tried_again_alone),
        TEST(test_token__a_replaced_file_is_read_after_a_refusal),
        TEST(test_token__a_file_half_replaced_leaves_what_we_have),
        TEST(test_token__refusal_is_told_in_the_servers_words_without_secrets),
        TEST(test_token__answers_that_make_no_sense),
        TEST(test_token__huge_answer_is_refused),
        TEST(test_token__close_answers_who_waits),
        TEST(test_token__can_be_closed_inside_an_answer),
        TEST(test_token__bad_files_are_refused_by_name),
        TEST(test_token__urls_of_other_hosts_are_refused),
        TEST(test_token__a_file_that_is_named_must_be_there),
        TEST(test_token__gclouds_own_file_is_found),
    };

    return cmocka_run_group_tests(tests, make_key, free_key);
}
