/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An AWS role as the subject of workload identity federation: no key file of Google's anywhere. What goes to Google is a signed
 * request "GetCallerIdentity" of AWS's STS, which Google sends to AWS to learn who we are.
 *
 *   region: AWS_REGION, AWS_DEFAULT_REGION; else the metadata service (region_url, a zone: its last letter is dropped)
 *   keys:   AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *           else AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN (EKS, "IRSA"): AssumeRoleWithWebIdentity at AWS's STS
 *           else AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI (EKS Pod Identity, ECS)
 *           else the metadata service (url: the role's name; url/role: its keys)
 *
 *   begin --> session (IMDSv2, if the metadata service is needed) --> region --> keys --> sign --> exchange
 *
 * Each step looks whether its part is at hand, and goes on to the next if so; everything is asked for anew each time, since
 * keys of roles live for hours.
 *
 * The audience stands in a signed header, so that the request can't be used for another provider. It is not signed for any
 * other action than naming its caller, and AWS takes it for 15 minutes.
 *
 * The metadata service and containers' endpoints are asked directly, never by a proxy. A metadata service that knows only the
 * first version (no session) is asked that way only if the file of credentials names no session URL.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/must.h"
#include "workers/bigquery/aws_sigv4.h"
#include "workers/bigquery/rest.h"
#include "workers/bigquery/secret_json.h"
#include "workers/bigquery/sign_in_parts.h"

#define METADATA_TIMEOUT_MS 3000
#define SESSION_LIVES_S     "300"
#define REGION_MAX          32

static void get_region(struct sign_in *sign_in);
static void get_keys(struct sign_in *sign_in);
static void send_identity(struct sign_in *sign_in);

static const char *environment(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

void sign_in_aws_clear(struct aws_state *aws)
{
    sign_in_wipe(&aws->region);
    sign_in_wipe(&aws->session);
    sign_in_wipe(&aws->role);
    sign_in_wipe(&aws->key_id);
    sign_in_wipe(&aws->secret);
    sign_in_wipe(&aws->token);
}

__attribute__((format(printf, 3, 4))) static void fail(struct sign_in *sign_in, enum err_class class, const char *format, ...)
{
    struct err err = {0};
    char text[256];
    va_list list;

    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    (void)err_set(&err, class, "%s", text);
    sign_in_aws_clear(&sign_in->aws);
    sign_in_failed(sign_in, &err);
}

static void fail_with(struct sign_in *sign_in, const struct err *err)
{
    sign_in_aws_clear(&sign_in->aws);
    sign_in_failed(sign_in, err);
}

/* A short text as an answer's whole body: a session token, a zone, a role. */
static int take_text(const struct http_answer *answer, const char *doing, char **place, struct err *err)
{
    char *text;

    if (sign_in_check(answer, doing, "is an IAM role attached, and the metadata service open to this machine (hop limit)?",
                      err) != 0) {
        return -1;
    }
    text = strndup(answer->body, strcspn(answer->body, "\r\n"));
    must(text != NULL);
    if (!sign_in_plain(text, SIGN_IN_FIELD_BYTES)) {
        sign_in_wipe(&text);
        return err_set(err, ERR_RETRY, "%s: the answer makes no sense", doing);
    }
    *place = text;
    return 0;
}

/* ---- the metadata service */

static void ask_metadata(struct sign_in *sign_in, const char *method, const char *url, sign_in_step step)
{
    const struct http_header session = {"X-aws-ec2-metadata-token", sign_in->aws.session};
    const struct http_header lives = {"X-aws-ec2-metadata-token-ttl-seconds", SESSION_LIVES_S};
    bool puts = strcmp(method, "PUT") == 0;
    const struct http_request request = {.method = method,
                                         .url = url,
                                         .headers = puts ? &lives : &session,
                                         .header_count = puts || session.value != NULL ? 1 : 0,
                                         .timeout_ms = METADATA_TIMEOUT_MS,
                                         .direct = true};

    sign_in_ask(sign_in, &request, step);
}

static void on_session(struct sign_in *sign_in, const struct http_answer *answer)
{
    struct err err = {0};

    if (take_text(answer, "asking AWS's metadata service for a session", &sign_in->aws.session, &err) != 0) {
        fail_with(sign_in, &err);
        return;
    }
    get_region(sign_in);
}

static bool region_in_environment(void)
{
    return environment("AWS_REGION") != NULL || environment("AWS_DEFAULT_REGION") != NULL;
}

static bool keys_in_environment(void)
{
    return environment("AWS_ACCESS_KEY_ID") != NULL && environment("AWS_SECRET_ACCESS_KEY") != NULL;
}

static bool has_web_identity(void)
{
    return environment("AWS_WEB_IDENTITY_TOKEN_FILE") != NULL && environment("AWS_ROLE_ARN") != NULL;
}

static bool has_container(void)
{
    return environment("AWS_CONTAINER_CREDENTIALS_FULL_URI") != NULL ||
           environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != NULL;
}

void sign_in_aws(struct sign_in *sign_in)
{
    bool needs_metadata = !region_in_environment() || !(keys_in_environment() || has_web_identity() || has_container());

    sign_in_aws_clear(&sign_in->aws);
    if (needs_metadata && sign_in->options.credentials->session_url != NULL) {
        ask_metadata(sign_in, "PUT", sign_in->options.credentials->session_url, on_session);
    } else {
        get_region(sign_in);
    }
}

/* ---- region */

/* It becomes part of a host's name. */
static void take_region(struct sign_in *sign_in, const char *region)
{
    size_t size = strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-");

    if (size == 0 || size > REGION_MAX || region[size] != '\0') {
        fail(sign_in, ERR_FATAL, "the name of the AWS region makes no sense: is AWS_REGION right?");
        return;
    }
    sign_in->aws.region = must_strdup(region);
    get_keys(sign_in);
}

static void on_zone(struct sign_in *sign_in, const struct http_answer *answer)
{
    struct err err = {0};
    char *zone = NULL;

    if (take_text(answer, "asking AWS's metadata service for the region", &zone, &err) != 0) {
        fail_with(sign_in, &err);
        return;
    }
    zone[strlen(zone) - 1] = '\0'; /* "us-east-1d" */
    take_region(sign_in, zone);
    sign_in_wipe(&zone);
}

static void get_region(struct sign_in *sign_in)
{
    const char *region = environment("AWS_REGION");

    region = region != NULL ? region : environment("AWS_DEFAULT_REGION");
    if (region != NULL) {
        take_region(sign_in, region);
    } else if (sign_in->options.credentials->region_url != NULL) {
        ask_metadata(sign_in, "GET", sign_in->options.credentials->region_url, on_zone);
    } else {
        fail(sign_in, ERR_FATAL, "the AWS region is not known: set AWS_REGION");
    }
}

/* ---- keys, as a container's endpoint and the metadata service give them */

static int read_keys(const struct http_answer *answer, struct aws_state *aws, struct err *err)
{
    json_t *root = secret_json_load(answer->body, answer->body_size);
    const char *key_id = secret_json_text(root, "AccessKeyId");
    const char *secret = secret_json_text(root, "SecretAccessKey");
    const char *token = secret_json_text(root, "Token");
    bool usable = key_id != NULL && secret != NULL && sign_in_plain(key_id, 128) && sign_in_plain(secret, 256) &&
                  (token == NULL || sign_in_plain(token, SIGN_IN_FIELD_BYTES));

    if (usable) {
        aws->key_id = must_strdup(key_id);
        aws->secret = must_strdup(secret);
        aws->token = must_strdup(token);
    }
    secret_json_free(root);
    return usable ? 0 : err_set(err, ERR_RETRY, "the answer holds no usable keys");
}

static void on_keys(struct sign_in *sign_in, const struct http_answer *answer)
{
    static const char doing[] = "asking AWS for the keys of this machine's role";
    struct err err = {0};

    if (sign_in_check(answer, doing, "is an IAM role attached?", &err) != 0) {
        fail_with(sign_in, &err);
    } else if (read_keys(answer, &sign_in->aws, &err) != 0) {
        (void)err_while(&err, "%s", doing);
        fail_with(sign_in, &err);
    } else {
        send_identity(sign_in);
    }
}

static void on_role(struct sign_in *sign_in, const struct http_answer *answer)
{
    struct buffer url = {0};
    struct err err = {0};

    if (take_text(answer, "asking AWS's metadata service for the role's name", &sign_in->aws.role, &err) != 0) {
        fail_with(sign_in, &err);
        return;
    }
    buffer_printf(&url, "%s/", sign_in->options.credentials->keys_url);
    rest_append_encoded(&url, sign_in->aws.role);
    ask_metadata(sign_in, "GET", buffer_text(&url), on_keys);
    buffer_deinit(&url);
}

/* ---- keys of a container: EKS Pod Identity, ECS */

/* Plain http only to the addresses of these agents: the token that goes along is a secret. */
static bool container_allowed(const char *url, bool trust_any_host)
{
    static const char *const hosts[] = {"http://169.254.170.2", "http://169.254.170.23", "http://[fd00:ec2::23]",
                                        "http://127.0.0.1",     "http://[::1]",          "http://localhost"};

    for (size_t index = 0; index < sizeof hosts / sizeof hosts[0]; index++) {
        size_t size = strlen(hosts[index]);

        if (strncmp(url, hosts[index], size) == 0 && url[size] != '\0' && strchr(":/", url[size]) != NULL) {
            return strchr(url, '@') == NULL;
        }
    }
    return trust_any_host || strncmp(url, "https://", 8) == 0;
}

static int read_container_token(char **ret_token, struct err *err)
{
    const char *file = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");

    if (file != NULL) {
        return sign_in_read_file(file, ret_token, err);
    }
    *ret_token = must_strdup(token);
    return 0;
}

static void ask_container(struct sign_in *sign_in)
{
    const char *relative = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    struct http_header header = {"Authorization", NULL};
    struct http_request request = {.method = "GET", .headers = &header, .timeout_ms = METADATA_TIMEOUT_MS, .direct = true};
    struct err err = {0};
    char *token = NULL;
    char *url = NULL;

    must(asprintf(&url, "%s%s", relative != NULL ? "http://169.254.170.2" : "",
                  relative != NULL ? relative : environment("AWS_CONTAINER_CREDENTIALS_FULL_URI")) > 0);
    if (!container_allowed(url, sign_in->options.credentials->trust_any_host)) {
        fail(sign_in, ERR_FATAL, "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor one of the addresses of ECS and EKS");
    } else if (read_container_token(&token, &err) != 0) {
        fail_with(sign_in, &err);
    } else {
        header.value = token;
        request.header_count = token != NULL ? 1 : 0;
        request.url = url;
        sign_in_ask(sign_in, &request, on_keys);
    }
    sign_in_wipe(&token);
    free(url);
}

/* ---- keys by web identity: EKS "IRSA" */

/* The text of an element of AWS's XML answer, which nests none of one name; no entities occur in keys. Owned by the caller. */
static char *element(const char *body, const char *name)
{
    char start[64];
    const char *from;
    const char *end;

    (void)snprintf(start, sizeof start, "<%s>", name);
    from = strstr(body, start);
    end = from != NULL ? strchr(from + strlen(start), '<') : NULL;
    return end != NULL ? strndup(from + strlen(start), (size_t)(end - from) - strlen(start)) : NULL;
}

static void on_web_identity(struct sign_in *sign_in, const struct http_answer *answer)
{
    static const char doing[] = "asking AWS's STS for the role's keys (AssumeRoleWithWebIdentity)";
    struct aws_state *aws = &sign_in->aws;
    struct err err = {0};

    if (sign_in_check(answer, doing, "does the role in AWS_ROLE_ARN trust this cluster and service account?", &err) != 0) {
        fail_with(sign_in, &err);
        return;
    }
    aws->key_id = element(answer->body, "AccessKeyId");
    aws->secret = element(answer->body, "SecretAccessKey");
    aws->token = element(answer->body, "SessionToken");
    if (aws->key_id == NULL || aws->secret == NULL || aws->token == NULL || !sign_in_plain(aws->key_id, 128) ||
        !sign_in_plain(aws->secret, 256) || !sign_in_plain(aws->token, SIGN_IN_FIELD_BYTES)) {
        fail(sign_in, ERR_RETRY, "%s: the answer holds no usable keys", doing);
        return;
    }
    send_identity(sign_in);
}

static void post_web_identity(struct sign_in *sign_in, const char *token)
{
    const char *session = environment("AWS_ROLE_SESSION_NAME");
    const char *endpoint = environment("AWS_ENDPOINT_URL_STS");
    bool trust = sign_in->options.credentials->trust_any_host;
    char *url = NULL;

    if (endpoint != NULL && !trust && strncmp(endpoint, "https://", 8) != 0) {
        fail(sign_in, ERR_FATAL, "AWS_ENDPOINT_URL_STS is not https");
        return;
    }
    must((endpoint != NULL ? asprintf(&url, "%s", endpoint)
                           : asprintf(&url, "https://sts.%s.amazonaws.com/", sign_in->aws.region)) > 0);
    sign_in_form(sign_in, "Action", "AssumeRoleWithWebIdentity");
    sign_in_form(sign_in, "Version", "2011-06-15");
    sign_in_form(sign_in, "RoleSessionName", session != NULL ? session : "kakehi");
    sign_in_form(sign_in, "RoleArn", environment("AWS_ROLE_ARN"));
    sign_in_form(sign_in, "WebIdentityToken", token);
    sign_in_post_form(sign_in, url, on_web_identity);
    free(url);
}

static void ask_web_identity(struct sign_in *sign_in)
{
    struct err err = {0};
    char *token = NULL;

    if (sign_in_read_file(environment("AWS_WEB_IDENTITY_TOKEN_FILE"), &token, &err) != 0) {
        fail_with(sign_in, &err);
        return;
    }
    post_web_identity(sign_in, token);
    sign_in_wipe(&token);
}

/* ---- keys: where from */

static void get_keys(struct sign_in *sign_in)
{
    const struct credentials *credentials = sign_in->options.credentials;
    struct aws_state *aws = &sign_in->aws;

    if (keys_in_environment()) {
        const char *token = environment("AWS_SESSION_TOKEN");

        aws->key_id = must_strdup(environment("AWS_ACCESS_KEY_ID"));
        aws->secret = must_strdup(environment("AWS_SECRET_ACCESS_KEY"));
        aws->token = must_strdup(token);
        send_identity(sign_in);
    } else if (has_web_identity()) {
        ask_web_identity(sign_in);
    } else if (has_container()) {
        ask_container(sign_in);
    } else if (credentials->keys_url != NULL) {
        ask_metadata(sign_in, "GET", credentials->keys_url, on_role);
    } else {
        fail(sign_in, ERR_FATAL, "no AWS keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or attach a role");
    }
}

/* ---- the signed request */

/* The verification URL with the region in it. Owned by the caller. */
static char *verification_url(const struct sign_in *sign_in)
{
    const char *pattern = sign_in->options.credentials->verification_url;
    const char *place = strstr(pattern, "{region}");
    char *url = NULL;

    if (place == NULL) {
        return must_strdup(pattern);
    }
    must(asprintf(&url, "%.*s%s%s", (int)(place - pattern), pattern, sign_in->aws.region, place + strlen("{region}")) > 0);
    return url;
}

/* The URL's host with its port, path and query. Owned by the caller. */
static void split_url(const char *url, char **host, char **path, char **query)
{
    const char *start = strstr(url, "://") + 3;
    size_t host_size = strcspn(start, "/?");
    const char *after = start + host_size;
    size_t path_size = strcspn(after, "?");

    *host = strndup(start, host_size);
    *path = strndup(after, path_size);
    *query = must_strdup(after[path_size] == '?' ? after + path_size + 1 : "");
    must(*host != NULL && *path != NULL);
}

static void sign(const struct aws_state *aws, const char *url, const struct http_header *headers, size_t count,
                 struct buffer *authorization)
{
    struct aws_sigv4_request request = {.method = "POST",
                                        .headers = headers,
                                        .header_count = count,
                                        .date = headers[1].value,
                                        .region = aws->region,
                                        .service = "sts"};
    char *host;
    char *path;
    char *query;

    split_url(url, &host, &path, &query);
    request.path = path;
    request.query = query;
    aws_sigv4_sign(aws->key_id, aws->secret, &request, authorization);
    free(host);
    free(path);
    free(query);
}

static void add_json_header(json_t *list, const char *name, const char *value)
{
    (void)json_array_append_new(list, json_pack("{s:s, s:s}", "key", name, "value", value));
}

/* {"url", "method", "headers": [{"key", "value"}, ...]}, percent-encoded: the form in which Google takes it. */
static void append_identity(const char *url, const struct http_header *headers, size_t count, const char *authorization,
                            struct buffer *out)
{
    json_t *list = json_array();
    json_t *root;
    char *text;

    for (size_t index = 0; index < count; index++) {
        add_json_header(list, headers[index].name, headers[index].value);
    }
    add_json_header(list, "Authorization", authorization);
    root = json_pack("{s:s, s:s, s:o}", "url", url, "method", "POST", "headers", list);
    text = json_dumps(root, JSON_COMPACT);
    if (text != NULL) { /* NULL: a value is no UTF-8; then nothing is appended */
        rest_append_encoded(out, text);
    }
    sign_in_wipe(&text);
    json_decref(root);
}

static void make_identity(struct sign_in *sign_in, const char *url, struct buffer *out)
{
    struct http_header headers[4] = {{"host", NULL}, {"x-amz-date", NULL}, {"x-goog-cloud-target-resource", NULL}};
    struct aws_state *aws = &sign_in->aws;
    struct buffer authorization = {0};
    char date[AWS_SIGV4_DATE_SIZE];
    char *host;
    char *path;
    char *query;
    size_t count = 3;

    split_url(url, &host, &path, &query);
    aws_sigv4_date(time(NULL), date);
    headers[0].value = host;
    headers[1].value = date;
    headers[2].value = sign_in->options.credentials->audience;
    if (aws->token != NULL) {
        headers[count++] = (struct http_header){"x-amz-security-token", aws->token};
    }
    sign(aws, url, headers, count, &authorization);
    append_identity(url, headers, count, buffer_text(&authorization), out);
    buffer_deinit(&authorization);
    free(host);
    free(path);
    free(query);
}

static void send_identity(struct sign_in *sign_in)
{
    char *url = verification_url(sign_in);
    struct buffer identity = {0};

    (void)buffer_reserve(&identity, SIGN_IN_FORM_BYTES);
    make_identity(sign_in, url, &identity);
    sign_in_aws_clear(&sign_in->aws);
    free(url);
    if (identity.size == 0) {
        fail(sign_in, ERR_FATAL, "the AWS keys, or the audience in the file of credentials, are no text");
    } else {
        sign_in_exchange(sign_in, buffer_text(&identity));
        explicit_bzero(identity.bytes, identity.size);
    }
    buffer_deinit(&identity);
}
