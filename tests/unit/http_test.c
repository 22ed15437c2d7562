/* SPDX-License-Identifier: Apache-2.0 */
/* Real sockets: client and server on one loop. TLS is in tests/integration/test_sign_in.py, with certificates made there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <netdb.h>
#include <semaphore.h>
#include <uv.h>

#include "common/http.h"
#include "tests/unit/http_server.h"

#define ANSWERS_MAX 32
#define TIMEOUT_MS  20000

/* What came, copied out of the answer. */
struct answer {
    bool came;
    bool in_send; /* it must never come inside http_send */
    enum err_class class;
    char error[512];
    bool sent;
    int status;
    char body[4096];
    size_t body_size;
    char etag[64];
    unsigned order;
};

struct world {
    uv_loop_t loop;
    struct http *http;
    struct http_server server;
    uv_timer_t tick;                /* UV_RUN_ONCE may run a timer and then wait for a socket: this ends the wait */
    struct http_server_reply reply; /* of every request */
    char seen[4096];                /* the last request: method, path, body */
    char header[256];               /* of the last request: the one named below */
    const char *header_wanted;
    bool sending;
    unsigned came;
    bool closed;
    struct answer answers[ANSWERS_MAX];
    struct http_call *calls[ANSWERS_MAX];
};

static struct world *current;

/* ---- a name server that is silent about one name */

static sem_t silence;
static sem_t asked;

int getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict result)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

    if (node != NULL && strcmp(node, "silent.example") == 0) {
        assert_int_equal(sem_post(&asked), 0);
        while (sem_wait(&silence) != 0) {
        }
        return EAI_AGAIN;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(node, service, hints, result);
}

static void handle(void *context, const struct http_server_request *request, struct http_server_reply *reply)
{
    struct world *world = context;
    const char *value = world->header_wanted != NULL ? http_server_header(request, world->header_wanted) : NULL;

    (void)snprintf(world->seen, sizeof world->seen, "%s %s %s", request->method, request->path, request->body);
    (void)snprintf(world->header, sizeof world->header, "%s", value != NULL ? value : "(none)");
    *reply = world->reply;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    const struct http_options options = {.calls_max = 4};
    struct err err = {0};

    assert_non_null(world);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    assert_int_equal(http_new(&world->loop, &options, &world->http, &err), 0);
    http_server_start(&world->server, &world->loop, handle, world);
    assert_int_equal(uv_timer_init(&world->loop, &world->tick), 0);
    assert_int_equal(uv_timer_start(&world->tick, on_tick, 10, 10), 0);
    world->reply.status = 200;
    current = world;
    *state = world;
    return 0;
}

static void on_closed(void *context)
{
    ((struct world *)context)->closed = true;
}

static void close_http(struct world *world)
{
    http_close(world->http, on_closed, world);
    while (!world->closed) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    world->http = NULL;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    if (world->http != NULL) {
        close_http(world);
    }
    http_server_stop(&world->server);
    uv_close((uv_handle_t *)&world->tick, NULL);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    free(world);
    return 0;
}

static void on_answer(void *context, const struct http_answer *answer)
{
    struct answer *kept = context;
    const char *etag = http_answer_header(answer, "etag");

    assert_false(kept->came); /* exactly once */
    kept->came = true;
    kept->in_send = current->sending;
    kept->class = answer->err != NULL ? answer->err->class : ERR_NONE;
    (void)snprintf(kept->error, sizeof kept->error, "%s", answer->err != NULL ? answer->err->text : "");
    kept->sent = answer->sent;
    kept->status = answer->status;
    kept->body_size = answer->body_size;
    (void)snprintf(kept->body, sizeof kept->body, "%s", answer->body);
    (void)snprintf(kept->etag, sizeof kept->etag, "%s", etag != NULL ? etag : "(none)");
    kept->order = ++current->came;
}

static void send_request(struct world *world, unsigned number, struct http_request request, const char *path)
{
    char url[512];

    (void)snprintf(url, sizeof url, "%s%s", path[0] == '/' ? world->server.url : "", path);
    request.url = url;
    request.timeout_ms = request.timeout_ms > 0 ? request.timeout_ms : TIMEOUT_MS;
    world->sending = true;
    world->calls[number] = http_send(world->http, &request, on_answer, &world->answers[number]);
    world->sending = false;
}

static void wait_for(struct world *world, unsigned count)
{
    while (world->came < count) {
        assert_int_not_equal(uv_run(&world->loop, UV_RUN_ONCE), 0);
    }
}

/* One request and its answer. */
static struct answer *ask(struct world *world, struct http_request request, const char *path)
{
    memset(world->answers, 0, sizeof world->answers[0]);
    world->came = 0;
    send_request(world, 0, request, path);
    wait_for(world, 1);
    assert_false(world->answers[0].in_send);
    return &world->answers[0];
}

static const struct http_request get = {.method = "GET"};

static void test_http__answers_with_status_headers_and_body(void **state)
{
    struct world *world = *state;
    struct answer *answer;

    world->reply = (struct http_server_reply){.status = 412, .headers = "ETag:  \"abc\" \r\n", .body = "{\"a\":1}"};
    answer = ask(world, get, "/x/../y?a=%2F");
    assert_int_equal(answer->class, ERR_NONE);
    assert_int_equal(answer->status, 412);
    assert_string_equal(answer->body, "{\"a\":1}");
    assert_string_equal(answer->etag, "\"abc\"");
    assert_string_equal(world->seen, "GET /x/../y?a=%2F ");
}

static void test_http__a_body_is_sent_as_it_is(void **state)
{
    struct world *world = *state;
    const struct http_header type = {"Content-Type", "application/json"};
    const struct http_request put = {
        .method = "PUT", .body = "{\"a\": 1}", .body_size = 8, .headers = &type, .header_count = 1};

    world->header_wanted = "Content-Type";
    (void)ask(world, put, "/up");
    assert_string_equal(world->seen, "PUT /up {\"a\": 1}");
    assert_string_equal(world->header, "application/json");
}

static void test_http__a_put_without_a_body_says_length_0(void **state)
{
    struct world *world = *state;

    world->header_wanted = "Content-Length";
    (void)ask(world, (struct http_request){.method = "PUT"}, "/probe");
    assert_string_equal(world->header, "0");
    world->header_wanted = "Content-Type";
    (void)ask(world, (struct http_request){.method = "POST"}, "/probe");
    assert_string_equal(world->header, "(none)");
}

static void test_http__connections_are_kept_unless_once(void **state)
{
    struct world *world = *state;

    (void)ask(world, get, "/1");
    (void)ask(world, get, "/2");
    assert_int_equal(world->server.connection_count, 1);
    (void)ask(world, (struct http_request){.method = "POST", .once = true}, "/3");
    assert_int_equal(world->server.connection_count, 2);
}

static void test_http__refused_connection_was_not_sent(void **state)
{
    struct world *world = *state;
    struct answer *answer = ask(world, get, "http://127.0.0.1:1/");

    assert_int_equal(answer->class, ERR_RETRY);
    assert_false(answer->sent);
    assert_int_equal(answer->status, 0);
}

static void test_http__connection_cut_after_the_request_was_sent(void **state)
{
    struct world *world = *state;
    struct answer *answer;

    world->reply = (struct http_server_reply){.nothing = true, .cut = true};
    answer = ask(world, (struct http_request){.method = "POST", .once = true}, "/once");
    assert_int_equal(answer->class, ERR_RETRY);
    assert_true(answer->sent);
    assert_int_equal(world->server.request_count, 1); /* never twice */
}

static void test_http__once_is_not_repeated_on_a_kept_connection(void **state)
{
    struct world *world = *state;
    struct answer *answer;

    (void)ask(world, get, "/warm");
    world->reply = (struct http_server_reply){.nothing = true, .cut = true};
    answer = ask(world, (struct http_request){.method = "POST", .once = true}, "/once");
    assert_int_equal(answer->class, ERR_RETRY);
    assert_int_equal(world->server.request_count, 2);
}

static void test_http__truncated_body_is_no_answer(void **state)
{
    struct world *world = *state;
    struct answer *answer;

    world->reply = (struct http_server_reply){.raw = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":", .cut = true};
    answer = ask(world, get, "/");
    assert_int_equal(answer->class, ERR_RETRY);
    assert_true(answer->sent);
    assert_int_equal(answer->body_size, 0);
}

static void test_http__garbage_is_no_answer(void **state)
{
    struct world *world = *state;

    world->reply = (struct http_server_reply){.raw = "\x16\x03\x01 what is this\r\n\r\n", .cut = true};
    assert_int_equal(ask(world, get, "/")->class, ERR_RETRY);
}

static void test_http__body_above_the_limit_is_refused(void **state)
{
    struct world *world = *state;
    struct answer *answer;

    world->reply = (struct http_server_reply){.status = 200, .body = "12345678"};
    answer = ask(world, (struct http_request){.method = "GET", .answer_bytes_max = 8}, "/");
    assert_int_equal(answer->class, ERR_NONE);
    answer = ask(world, (struct http_request){.method = "GET", .answer_bytes_max = 7}, "/");
    assert_int_equal(answer->class, ERR_POISON);
    assert_non_null(strstr(answer->error, "longer than 7 bytes"));
}

static void test_http__endless_headers_are_refused(void **state)
{
    struct world *world = *state;
    size_t size = HTTP_HEADERS_BYTES_MAX + 4096;
    char *headers = calloc(1, size + 1);

    assert_non_null(headers);
    while (strlen(headers) + 64 < size) {
        (void)strncat(headers, "X-Filler: 0123456789012345678901234567890\r\n", size - strlen(headers));
    }
    world->reply = (struct http_server_reply){.status = 200, .headers = headers};
    assert_int_equal(ask(world, get, "/")->class, ERR_POISON);
    free(headers);
}

static void test_http__interim_answers_are_passed_over(void **state)
{
    struct world *world = *state;
    struct answer *answer;

    world->reply.raw =
        "HTTP/1.1 103 Early\r\nETag: early\r\n\r\nHTTP/1.1 200 OK\r\nETag: a\r\nETag: b\r\nContent-Length: 2\r\n\r\nok";
    answer = ask(world, get, "/");
    assert_int_equal(answer->status, 200);
    assert_string_equal(answer->body, "ok");
    assert_string_equal(answer->etag, "b");
}

static void test_http__redirect_is_not_followed(void **state)
{
    struct world *world = *state;

    world->reply = (struct http_server_reply){.status = 302, .headers = "Location: http://example.com/\r\n"};
    assert_int_equal(ask(world, get, "/")->status, 302);
    assert_int_equal(world->server.request_count, 1);
}

static void test_http__silence_ends_by_timeout(void **state)
{
    struct world *world = *state;
    struct answer *answer;

    world->reply.nothing = true;
    answer = ask(world, (struct http_request){.method = "GET", .timeout_ms = 50}, "/");
    assert_int_equal(answer->class, ERR_RETRY);
    assert_true(answer->sent);
}

static void test_http__header_with_a_line_break_is_never_sent(void **state)
{
    struct world *world = *state;
    const struct http_header evil = {"Authorization", "Bearer s3cret\r\nX-Other: 1"};
    struct answer *answer = ask(world, (struct http_request){.method = "GET", .headers = &evil, .header_count = 1}, "/");

    assert_int_equal(answer->class, ERR_FATAL);
    assert_false(answer->sent);
    assert_null(strstr(answer->error, "s3cret"));
    assert_int_equal(world->server.request_count, 0);
}

static void test_http__other_protocols_are_refused(void **state)
{
    struct world *world = *state;

    assert_int_equal(ask(world, get, "file:///etc/hostname")->class, ERR_FATAL);
    assert_int_equal(ask(world, get, "no url at all")->class, ERR_FATAL);
}

static void test_http__calls_above_the_cap_wait_in_line(void **state)
{
    struct world *world = *state;

    world->reply.nothing = true;
    for (unsigned i = 0; i < 6; i++) {
        send_request(world, i, get, "/");
    }
    while (world->server.request_count < 4) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_int_equal(world->server.request_count, 4);
    http_cancel(world->calls[1]);
    http_cancel(world->calls[5]); /* waits still */
    while (world->server.request_count < 5) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_int_equal(world->came, 0);
}

static void test_http__urgent_calls_pass_the_line(void **state)
{
    struct world *world = *state;

    world->reply.nothing = true;
    for (unsigned i = 0; i < 6; i++) {
        send_request(world, i, get, "/");
    }
    while (world->server.request_count < 4) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    world->reply.nothing = false;
    send_request(world, 6, (struct http_request){.method = "GET", .urgent = true}, "/token");
    wait_for(world, 1);
    assert_int_equal(world->answers[6].status, 200);
    assert_int_equal(world->server.request_count, 5); /* those in line still wait */
}

static void test_http__canceled_call_is_never_answered(void **state)
{
    struct world *world = *state;

    send_request(world, 0, get, "/");
    http_cancel(world->calls[0]);
    send_request(world, 1, get, "/");
    send_request(world, 2, get, "/");
    wait_for(world, 2);
    assert_false(world->answers[0].came);
    assert_true(world->answers[1].came && world->answers[2].came);
}

static void test_http__close_answers_what_is_under_way(void **state)
{
    struct world *world = *state;

    world->reply.nothing = true;
    for (unsigned i = 0; i < 6; i++) {
        send_request(world, i, get, "/");
    }
    while (world->server.request_count < 4) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    close_http(world);
    assert_int_equal(world->came, 6);
    assert_int_equal(world->answers[0].class, ERR_CANCELED);
    assert_true(world->answers[0].sent);
    assert_int_equal(world->answers[5].class, ERR_CANCELED);
    assert_false(world->answers[5].sent);
}

static void on_answer_closes(void *context, const struct http_answer *answer)
{
    struct world *world = context;

    (void)answer;
    http_close(world->http, on_closed, world);
}

static void test_http__can_be_closed_inside_an_answer(void **state)
{
    struct world *world = *state;
    struct http_request request = get;

    request.url = world->server.url;
    (void)http_send(world->http, &request, on_answer_closes, world);
    send_request(world, 1, get, "/");
    while (!world->closed) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    world->http = NULL;
    assert_true(world->answers[1].came);
}

static void on_answer_sends(void *context, const struct http_answer *answer)
{
    (void)context;
    (void)answer;
    send_request(current, 1, get, "/second");
}

static void test_http__can_be_sent_inside_an_answer(void **state)
{
    struct world *world = *state;
    struct http_request request = get;

    request.url = world->server.url;
    (void)http_send(world->http, &request, on_answer_sends, NULL);
    wait_for(world, 1);
    assert_int_equal(world->answers[1].status, 200);
}

static void test_http__large_body_arrives_whole(void **state)
{
    struct world *world = *state;
    size_t size = 900000;
    char *body = malloc(size + 1);
    struct answer *answer;

    assert_non_null(body);
    memset(body, 'x', size);
    body[size] = '\0';
    world->reply = (struct http_server_reply){.status = 200, .body = body};
    world->header_wanted = "Content-Length";
    answer = ask(world, (struct http_request){.method = "POST", .body = body, .body_size = size}, "/large");
    assert_int_equal(answer->body_size, size);
    assert_string_equal(world->header, "900000");
    free(body);
}

/* If ending such a call waited for the name server, this test would never end. */
static void test_http__silent_name_server_does_not_stop_the_loop(void **state)
{
    struct world *world = *state;

    assert_int_equal(sem_init(&silence, 0, 0), 0);
    assert_int_equal(sem_init(&asked, 0, 0), 0);
    assert_int_equal(ask(world, (struct http_request){.method = "GET", .timeout_ms = 50}, "http://silent.example/")->class,
                     ERR_RETRY);
    assert_false(world->answers[0].sent);
    send_request(world, 1, get, "http://silent.example/");
    (void)ask(world, get, "/meanwhile");
    http_cancel(world->calls[1]);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(sem_wait(&asked), 0);
        assert_int_equal(sem_post(&silence), 0);
    }
}

static void test_http__proxy_of_the_environment_is_taken_unless_direct(void **state)
{
    struct world *world = *state;

    assert_int_equal(setenv("http_proxy", world->server.url, 1), 0);
    (void)ask(world, get, "http://metadata.example/x");
    assert_string_equal(world->seen, "GET http://metadata.example/x ");
    (void)ask(world, (struct http_request){.method = "GET", .direct = true}, "/x");
    assert_string_equal(world->seen, "GET /x ");
    assert_int_equal(unsetenv("http_proxy"), 0);
}

static void test_http__missing_ca_file_is_said_at_the_start(void **state)
{
    struct world *world = *state;
    const struct http_options options = {.ca_file = "/nowhere/ca.pem"};
    struct http *http;
    struct err err = {0};

    assert_int_equal(http_new(&world->loop, &options, &http, &err), -1);
    assert_int_equal(err.class, ERR_FATAL);
    assert_non_null(strstr(err.text, "/nowhere/ca.pem"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_http__answers_with_status_headers_and_body),
        TEST(test_http__a_body_is_sent_as_it_is),
        TEST(test_http__a_put_without_a_body_says_length_0),
        TEST(test_http__connections_are_kept_unless_once),
        TEST(test_http__refused_connection_was_not_sent),
        TEST(test_http__connection_cut_after_the_request_was_sent),
        TEST(test_http__once_is_not_repeated_on_a_kept_connection),
        TEST(test_http__truncated_body_is_no_answer),
        TEST(test_http__garbage_is_no_answer),
        TEST(test_http__body_above_the_limit_is_refused),
        TEST(test_http__endless_headers_are_refused),
        TEST(test_http__interim_answers_are_passed_over),
        TEST(test_http__redirect_is_not_followed),
        TEST(test_http__silence_ends_by_timeout),
        TEST(test_http__header_with_a_line_break_is_never_sent),
        TEST(test_http__other_protocols_are_refused),
        TEST(test_http__calls_above_the_cap_wait_in_line),
        TEST(test_http__urgent_calls_pass_the_line),
        TEST(test_http__canceled_call_is_never_answered),
        TEST(test_http__close_answers_what_is_under_way),
        TEST(test_http__can_be_closed_inside_an_answer),
        TEST(test_http__can_be_sent_inside_an_answer),
        TEST(test_http__large_body_arrives_whole),
        TEST(test_http__silent_name_server_does_not_stop_the_loop),
        TEST(test_http__proxy_of_the_environment_is_taken_unless_direct),
        TEST(test_http__missing_ca_file_is_said_at_the_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
