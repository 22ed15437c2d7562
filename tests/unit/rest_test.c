/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls against a server on the test's loop, which gives tokens (s3cr3t-1, s3cr3t-2, ...) at /token and scripted answers
 * everywhere else. What must not happen first: a call that may have been acted on is not sent again, and nobody's token is
 * told.
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
#include <uv.h>

#include "common/log.h"
#include "tests/unit/capture.h"
#include "tests/unit/http_server.h"
#include "workers/bigquery/rest.h"

#define REPLIES_MAX 8
#define PATH        "/bigquery/v2/projects/p/jobs"

struct answer {
    bool came;
    bool inside;
    bool well;
    struct rest_error error;
    int status;
    char *body; /* of a good one, as JSON; NULL */
    char etag[64];
};

struct world {
    uv_loop_t loop;
    uv_timer_t tick;
    struct http *http;
    struct token_source *tokens;
    struct rest *rest;
    struct http_server server;
    struct http_server_reply replies[REPLIES_MAX]; /* by number; the last one is repeated */
    unsigned reply_count;
    unsigned calls; /* that came, but for tokens */
    unsigned tokens_given;
    int token_status;
    char seen[512];          /* the last call: method, path, body */
    char authorization[128]; /* of the last call; "(none)" */
    char header[128];        /* of the last call: the one named below */
    const char *header_wanted;
    bool sending;
    bool closed;
    struct answer answer;
    char file[64];
};

static struct world *current;

/* ---- the world */

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void handle_token(struct world *world, struct http_server_reply *reply)
{
    static char body[128];

    world->tokens_given++;
    (void)snprintf(body, sizeof body, "{\"access_token\":\"s3cr3t-%u\",\"expires_in\":3600}", world->tokens_given);
    *reply = (struct http_server_reply){.status = world->token_status, .body = body};
}

static void keep_header(const struct http_server_request *request, const char *name, char *place, size_t size)
{
    const char *value = name != NULL ? http_server_header(request, name) : NULL;

    (void)snprintf(place, size, "%s", value != NULL ? value : "(none)");
}

static void handle(void *context, const struct http_server_request *request, struct http_server_reply *reply)
{
    struct world *world = context;
    unsigned number = world->calls < world->reply_count ? world->calls : world->reply_count - 1;

    if (strcmp(request->path, "/token") == 0) {
        handle_token(world, reply);
        return;
    }
    assert_true(world->reply_count > 0);
    world->calls++;
    (void)snprintf(world->seen, sizeof world->seen, "%s %s %s", request->method, request->path, request->body);
    keep_header(request, "Authorization", world->authorization, sizeof world->authorization);
    keep_header(request, world->header_wanted, world->header, sizeof world->header);
    *reply = world->replies[number];
}

static void start_tokens(struct world *world, bool sign)
{
    const struct token_options options = {.credentials = sign ? world->file : "none", .trust_any_host = true};
    struct err err = {0};
    FILE *file;

    (void)snprintf(world->file, sizeof world->file, "/tmp/kakehi-rest-XXXXXX");
    (void)close(mkstemp(world->file));
    file = fopen(world->file, "we");
    assert_non_null(file);
    (void)fprintf(file,
                  "{\"type\":\"authorized_user\",\"client_id\":\"i\",\"client_secret\":\"s3cr3t\",\"refresh_token\":\"s3cr3t\","
                  "\"token_uri\":\"%s/token\"}",
                  world->server.url);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(token_source_new(&world->loop, world->http, &options, &world->tokens, &err), 0);
}

static int start(void **state, bool sign)
{
    struct world *world = calloc(1, sizeof *world);
    const struct http_options options = {0};
    struct rest_options rest_options = {.quota_project = sign ? "payer" : NULL, .retry_ms = 600000, .first_pause_ms = 1};
    struct err err = {0};

    assert_non_null(world);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    assert_int_equal(http_new(&world->loop, &options, &world->http, &err), 0);
    http_server_start(&world->server, &world->loop, handle, world);
    assert_int_equal(uv_timer_init(&world->loop, &world->tick), 0);
    assert_int_equal(uv_timer_start(&world->tick, on_tick, 10, 10), 0);
    start_tokens(world, sign);
    rest_options.endpoint = world->server.url;
    world->rest = rest_new(&world->loop, world->http, world->tokens, &rest_options);
    world->token_status = 200;
    current = world;
    *state = world;
    log_setup(LOG_DEBUG, LOG_LOGFMT);
    capture_start(2);
    return 0;
}

static int set_up(void **state)
{
    return start(state, true);
}

static int set_up_unsigned(void **state)
{
    return start(state, false);
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

static void close_rest(struct world *world)
{
    rest_close(world->rest, on_closed, world);
    run_until_closed(world);
    world->rest = NULL;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    close_rest(world);
    token_source_close(world->tokens, on_closed, world);
    run_until_closed(world);
    http_close(world->http, on_closed, world);
    run_until_closed(world);
    http_server_stop(&world->server);
    uv_close((uv_handle_t *)&world->tick, NULL);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    assert_null(strstr(capture_end(2), "s3cr3t"));
    log_setup(LOG_ERROR, LOG_LOGFMT);
    (void)unlink(world->file);
    free(world->answer.body);
    free(world);
    return 0;
}

/* ---- what a test does */

static void reply(struct world *world, int status, const char *headers, const char *body)
{
    assert_true(world->reply_count < REPLIES_MAX);
    world->replies[world->reply_count++] = (struct http_server_reply){.status = status, .headers = headers, .body = body};
}

static void on_answer(void *context, const struct rest_answer *answer)
{
    struct world *world = context;
    struct answer *kept = &world->answer;
    const char *etag = answer->http != NULL ? http_answer_header(answer->http, "ETag") : NULL;

    assert_false(kept->came);
    kept->came = true;
    kept->inside = world->sending;
    kept->well = answer->error == NULL;
    kept->status = answer->status;
    (void)snprintf(kept->etag, sizeof kept->etag, "%s", etag != NULL ? etag : "(none)");
    assert_true((answer->body != NULL) == kept->well);
    if (answer->error != NULL) {
        kept->error = *answer->error;
        assert_null(strstr(answer->error->err.text, "s3cr3t"));
    } else {
        kept->body = json_dumps(answer->body, JSON_COMPACT);
    }
}

static struct rest_call *send_call(struct world *world, struct rest_request request)
{
    struct rest_call *call;

    free(world->answer.body);
    world->answer = (struct answer){0};
    request.path = request.path != NULL ? request.path : PATH;
    world->sending = true;
    call = rest_send(world->rest, &request, on_answer, world);
    world->sending = false;
    return call;
}

static struct answer *ask(struct world *world, struct rest_request request)
{
    (void)send_call(world, request);
    while (!world->answer.came) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_false(world->answer.inside);
    return &world->answer;
}

static const struct rest_request get = {.method = "GET"};
static const struct rest_request post = {.method = "POST"};

#define ERROR(code, reason, message)                                                                                           \
    "{\"error\":{\"code\":" code ",\"message\":\"" message "\",\"errors\":[{\"reason\":\"" reason "\"}],\"status\":\"X\"}}"

/* ---- one answer */

static void test_rest__a_call_is_signed_and_answered(void **state)
{
    struct world *world = *state;
    json_t *body = json_pack("{s:s}", "id", "x");
    struct answer *answer;

    world->header_wanted = "X-Goog-User-Project";
    reply(world, 200, "ETag: \"e1\"\r\n", "{\"kind\":\"job\"}");
    answer = ask(world, (struct rest_request){.method = "POST", .path = PATH "?a=1", .body = body});
    json_decref(body);
    assert_true(answer->well);
    assert_string_equal(answer->body, "{\"kind\":\"job\"}");
    assert_string_equal(answer->etag, "\"e1\"");
    assert_string_equal(world->seen, "POST " PATH "?a=1 {\"id\":\"x\"}");
    assert_string_equal(world->authorization, "Bearer s3cr3t-1");
    assert_string_equal(world->header, "payer");
}

static void test_rest__if_match_and_further_headers_are_sent(void **state)
{
    struct world *world = *state;
    const struct http_header type = {"X-Upload-Content-Type", "avro/binary"};

    reply(world, 200, NULL, "{}");
    world->header_wanted = "If-Match";
    (void)ask(world, (struct rest_request){.method = "PATCH", .if_match = "\"e1\""});
    assert_string_equal(world->header, "\"e1\"");
    world->header_wanted = "X-Upload-Content-Type";
    (void)ask(world, (struct rest_request){.method = "POST", .headers = &type, .header_count = 1});
    assert_string_equal(world->header, "avro/binary");
}

static void test_rest__without_credentials_nothing_is_signed(void **state)
{
    struct world *world = *state;

    reply(world, 200, NULL, "");
    world->header_wanted = "X-Goog-User-Project";
    assert_string_equal(ask(world, get)->body, "{}");
    assert_string_equal(world->authorization, "(none)");
    assert_string_equal(world->header, "(none)");
    world->replies[0] = (struct http_server_reply){.status = 401, .body = ""};
    assert_int_equal(ask(world, get)->error.class, REST_AUTH);
}

/* ---- classes */

static void test_rest__errors_are_read_into_classes(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum rest_class class;
        enum err_class err_class;
        const char *reason;
    } rows[] = {
        {400, ERROR("400", "invalid", "Bad field"), REST_INVALID, ERR_POISON, "invalid"},
        {403, ERROR("403", "accessDenied", "Permission bigquery.tables.get denied"), REST_DENIED, ERR_FATAL, "accessDenied"},
        {403, ERROR("403", "billingNotEnabled", "Billing"), REST_DENIED, ERR_FATAL, "billingNotEnabled"},
        {403, "{\"error\":{\"details\":[{\"x\":1},{\"reason\":\"SERVICE_DISABLED\"}]}}", REST_DENIED, ERR_FATAL,
         "SERVICE_DISABLED"},
        {404, ERROR("404", "notFound", "Not found: Table p:d.t"), REST_NOT_FOUND, ERR_POISON, "notFound"},
        {409, ERROR("409", "duplicate", "Already Exists: Job p:j"), REST_CONFLICT, ERR_POISON, "duplicate"},
        {412, ERROR("412", "conditionNotMet", "Precondition"), REST_CONFLICT, ERR_POISON, "conditionNotMet"},
        {501, "{\"error\":{\"status\":\"UNIMPLEMENTED\"}}", REST_INVALID, ERR_POISON, "UNIMPLEMENTED"},
        {302, "moved", REST_INVALID, ERR_POISON, ""},
        {418, "{\"error\":\"a text\"}", REST_INVALID, ERR_POISON, ""},
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct answer *answer;

        world->reply_count = 0;
        world->calls = 0;
        reply(world, rows[i].status, NULL, rows[i].body);
        answer = ask(world, get);
        assert_false(answer->well);
        assert_int_equal(answer->error.class, rows[i].class);
        assert_int_equal(answer->error.err.class, rows[i].err_class);
        assert_int_equal(answer->error.status, rows[i].status);
        assert_string_equal(answer->error.reason, rows[i].reason);
        assert_false(answer->error.unclear || answer->error.repeated);
        assert_int_equal(world->calls, 1);
    }
}

static void test_rest__the_error_says_what_and_why(void **state)
{
    struct world *world = *state;

    reply(world, 403, NULL, ERROR("403", "accessDenied", "Access Denied:\\n Permission bigquery.jobs.create"));
    assert_string_equal(ask(world, (struct rest_request){.method = "POST", .path = PATH "?secret=s3cr3t"})->error.err.text,
                        "POST " PATH ": HTTP 403 accessDenied: Access Denied:  Permission bigquery.jobs.create");
}

/* ---- again */

static void test_rest__later_is_tried_again(void **state)
{
    static const struct {
        int status;
        const char *body;
    } rows[] = {
        {429, ""},
        {403, ERROR("403", "rateLimitExceeded", "slow down")},
        {403, ERROR("403", "quotaExceeded", "quota")},
        {503, ERROR("503", "backendError", "try later")},
        {500, "<html>"},
        {400, ERROR("400", "jobInternalError", "x")},
        {200, "not JSON"},
        {200, "[1]"},
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world->reply_count = 0;
        world->calls = 0;
        reply(world, rows[i].status, NULL, rows[i].body);
        reply(world, rows[i].status, NULL, rows[i].body);
        reply(world, 200, NULL, "{\"n\":3}");
        assert_string_equal(ask(world, get)->body, "{\"n\":3}");
        assert_int_equal(world->calls, 3);
    }
}

static void test_rest__post_that_was_not_acted_on_is_sent_again(void **state)
{
    struct world *world = *state;

    reply(world, 429, NULL, "");
    reply(world, 403, NULL, ERROR("403", "rateLimitExceeded", "x"));
    reply(world, 200, NULL, "{}");
    assert_true(ask(world, post)->well);
    assert_int_equal(world->calls, 3);
}

static void test_rest__post_that_may_have_been_acted_on_is_not(void **state)
{
    static const struct http_server_reply replies[] = {
        {.status = 503, .body = ""}, {.status = 200, .body = "{\"id\":"}, {.nothing = true, .cut = true}};
    struct world *world = *state;

    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct answer *answer;

        world->calls = 0;
        world->reply_count = 1;
        world->replies[0] = replies[i];
        answer = ask(world, post);
        assert_int_equal(answer->error.class, REST_RETRY);
        assert_true(answer->error.unclear);
        assert_int_equal(world->calls, 1);
    }
}

static void test_rest__repeatable_post_says_that_it_was_repeated(void **state)
{
    struct world *world = *state;
    struct answer *answer;

    world->replies[world->reply_count++] = (struct http_server_reply){.nothing = true, .cut = true};
    reply(world, 409, NULL, ERROR("409", "duplicate", "Already Exists: Job p:j"));
    answer = ask(world, (struct rest_request){.method = "POST", .repeatable = true});
    assert_int_equal(answer->error.class, REST_CONFLICT);
    assert_true(answer->error.repeated);
    assert_false(answer->error.unclear);
}

static void test_rest__if_match_makes_a_patch_repeatable(void **state)
{
    struct world *world = *state;
    struct answer *answer;

    reply(world, 500, NULL, "");
    reply(world, 412, NULL, "");
    answer = ask(world, (struct rest_request){.method = "PATCH", .if_match = "\"e\""});
    assert_int_equal(answer->error.class, REST_CONFLICT);
    assert_true(answer->error.repeated);
}

static void test_rest__refused_connection_is_tried_even_for_a_post(void **state)
{
    struct world *world = *state;
    const struct rest_request request = {.method = "POST", .host = "http://127.0.0.1:1", .retry_ms = 100};
    struct answer *answer = ask(world, request);

    assert_int_equal(answer->error.class, REST_RETRY);
    assert_false(answer->error.unclear || answer->error.repeated);
    assert_int_equal(answer->error.status, 0);
    assert_non_null(strstr(answer->error.err.text, "given up after "));
}

static void test_rest__the_deadline_ends_the_tries(void **state)
{
    struct world *world = *state;
    struct answer *answer;

    reply(world, 503, NULL, ERROR("503", "backendError", "x"));
    answer = ask(world, (struct rest_request){.method = "GET", .retry_ms = 60});
    assert_int_equal(answer->error.class, REST_RETRY);
    assert_int_equal(answer->error.err.class, ERR_RETRY);
    assert_string_equal(answer->error.reason, "backendError");
    assert_true(world->calls > 1);
}

static void test_rest__retry_after_is_waited_for(void **state)
{
    struct world *world = *state;
    uint64_t began_ms = uv_hrtime() / 1000000;

    reply(world, 503, "Retry-After: 1\r\n", "");
    reply(world, 200, NULL, "{}");
    assert_true(ask(world, get)->well);
    assert_true(uv_hrtime() / 1000000 - began_ms >= 900); /* never earlier; later is no failure */
}

/* Whatever the time is here. */
static void test_rest__retry_after_is_by_the_clock_of_who_says_it(void **state)
{
    struct world *world = *state;
    uint64_t began_ms = uv_hrtime() / 1000000;

    reply(world, 503, "Date: Sun, 22 Nov 2020 09:59:59 GMT\r\nRetry-After: Sun, 22 Nov 2020 10:00:00 GMT\r\n", "");
    reply(world, 200, NULL, "{}");
    assert_true(ask(world, get)->well);
    assert_true(uv_hrtime() / 1000000 - began_ms >= 900);
}

static void test_rest__retry_after_behind_the_deadline_ends_the_call_now(void **state)
{
    struct world *world = *state;
    struct answer *answer;

    reply(world, 429, "Retry-After: 3600\r\n", "");
    answer = ask(world, (struct rest_request){.method = "GET", .retry_ms = 200000});
    assert_int_equal(answer->error.class, REST_RETRY);
    assert_int_equal(world->calls, 1);
}

static void test_rest__trouble_is_told_while_it_lasts(void **state)
{
    struct world *world = *state;
    char text[512];

    reply(world, 503, "Retry-After: 2\r\n", ERROR("503", "backendError", "away"));
    assert_false(rest_trouble(world->rest, text, sizeof text));
    (void)send_call(world, get);
    while (!rest_trouble(world->rest, text, sizeof text)) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_non_null(strstr(text, "GET " PATH ": HTTP 503 backendError: away (for 0 s)"));
    close_rest(world);
    assert_int_equal(world->answer.error.class, REST_CANCELED);
}

/* ---- tokens */

static void test_rest__refused_token_is_replaced_once(void **state)
{
    struct world *world = *state;

    reply(world, 401, NULL, ERROR("401", "authError", "Invalid Credentials"));
    reply(world, 200, NULL, "{}");
    assert_true(ask(world, post)->well);
    assert_string_equal(world->authorization, "Bearer s3cr3t-2");
    assert_int_equal(world->tokens_given, 2);
}

static void test_rest__new_token_refused_too_ends_the_call(void **state)
{
    struct world *world = *state;
    struct answer *answer;

    reply(world, 401, NULL, ERROR("401", "authError", "Invalid Credentials"));
    answer = ask(world, get);
    assert_int_equal(answer->error.class, REST_AUTH);
    assert_int_equal(answer->error.err.class, ERR_FATAL);
    assert_int_equal(world->calls, 2);
    assert_int_equal(world->tokens_given, 2);
}

static void test_rest__no_token_for_now_is_waited_for(void **state)
{
    struct world *world = *state;

    world->token_status = 503;
    reply(world, 200, NULL, "{}");
    (void)send_call(world, get);
    while (world->tokens_given == 0) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    world->token_status = 200;
    while (!world->answer.came) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_true(world->answer.well);
}

static void test_rest__no_token_at_all_is_told_at_once(void **state)
{
    struct world *world = *state;
    struct answer *answer;

    world->token_status = 400;
    answer = ask(world, get);
    assert_int_equal(answer->error.class, REST_AUTH);
    assert_int_equal(world->calls, 0);
    assert_int_equal(answer->error.status, 0);
}

/* ---- ends */

static void test_rest__canceled_call_is_never_answered(void **state)
{
    struct world *world = *state;
    struct rest_call *call;

    rest_cancel(send_call(world, get)); /* before anything was sent */
    world->replies[world->reply_count++] = (struct http_server_reply){.nothing = true};
    call = send_call(world, get);
    while (world->calls == 0) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    rest_cancel(call);
    close_rest(world);
    assert_false(world->answer.came);
}

static void test_rest__close_says_whether_it_is_unclear(void **state)
{
    struct world *world = *state;

    world->replies[world->reply_count++] = (struct http_server_reply){.nothing = true};
    (void)send_call(world, post);
    while (world->calls == 0) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    close_rest(world);
    assert_int_equal(world->answer.error.class, REST_CANCELED);
    assert_true(world->answer.error.unclear);
}

static void on_answer_closes(void *context, const struct rest_answer *answer)
{
    struct world *world = context;

    (void)answer;
    rest_close(world->rest, on_closed, world);
}

static void test_rest__can_be_closed_inside_an_answer(void **state)
{
    struct world *world = *state;
    struct rest_request request = get;

    request.path = PATH;
    reply(world, 200, NULL, "{}");
    (void)rest_send(world->rest, &request, on_answer_closes, world);
    run_until_closed(world);
    world->rest = NULL;
}

static void test_rest__paths_are_encoded(void **state)
{
    struct buffer out = {0};

    (void)state;
    rest_append_encoded(&out, "aZ9-._~/ $%+\xc3\xbc");
    assert_string_equal(buffer_text(&out), "aZ9-._~%2F%20%24%25%2B%C3%BC");
    buffer_deinit(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rest__a_call_is_signed_and_answered),
        TEST(test_rest__if_match_and_further_headers_are_sent),
        cmocka_unit_test_setup_teardown(test_rest__without_credentials_nothing_is_signed, set_up_unsigned, tear_down),
        TEST(test_rest__errors_are_read_into_classes),
        TEST(test_rest__the_error_says_what_and_why),
        TEST(test_rest__later_is_tried_again),
        TEST(test_rest__post_that_was_not_acted_on_is_sent_again),
        TEST(test_rest__post_that_may_have_been_acted_on_is_not),
        TEST(test_rest__repeatable_post_says_that_it_was_repeated),
        TEST(test_rest__if_match_makes_a_patch_repeatable),
        TEST(test_rest__refused_connection_is_tried_even_for_a_post),
        TEST(test_rest__the_deadline_ends_the_tries),
        TEST(test_rest__retry_after_is_waited_for),
        TEST(test_rest__retry_after_is_by_the_clock_of_who_says_it),
        TEST(test_rest__retry_after_behind_the_deadline_ends_the_call_now),
        TEST(test_rest__trouble_is_told_while_it_lasts),
        TEST(test_rest__refused_token_is_replaced_once),
        TEST(test_rest__new_token_refused_too_ends_the_call),
        TEST(test_rest__no_token_for_now_is_waited_for),
        TEST(test_rest__no_token_at_all_is_told_at_once),
        TEST(test_rest__canceled_call_is_never_answered),
        TEST(test_rest__close_says_whether_it_is_unclear),
        TEST(test_rest__can_be_closed_inside_an_answer),
        cmocka_unit_test(test_rest__paths_are_encoded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
