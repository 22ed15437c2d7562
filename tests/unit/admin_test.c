/* SPDX-License-Identifier: Apache-2.0 */
/* A real loop and a real socket: each test asks by a plain TCP client on the same loop. Time-outs are libmicrohttpd's own
 * affair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "common/admin.h"
#include "common/metrics.h"
#include "tests/unit/capture.h"

#define CLIENTS_MAX 40

struct client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    const char *request;
    char answer[8192];
    size_t size;
    bool done; /* the server closed */
    struct world *world;
};

struct world {
    uv_loop_t loop;
    struct admin *admin;
    uint16_t port;
    bool ready;
    bool healthy;
    bool closed;
    unsigned clients_done;
    struct client clients[CLIENTS_MAX];
};

static bool world_ready(void *context, char *text, size_t size)
{
    (void)snprintf(text, size, "waiting for the election");
    return ((struct world *)context)->ready;
}

static bool world_healthy(void *context, char *text, size_t size)
{
    (void)snprintf(text, size, "shop.orders/3 stands still");
    return ((struct world *)context)->healthy;
}

static json_t *world_status(void *context)
{
    (void)context;
    return json_pack("{s:s}", "state", "STREAM");
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct client *client = handle->data;

    (void)suggested;
    *buf = uv_buf_init(client->answer + client->size, (unsigned)(sizeof client->answer - 1 - client->size));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct client *client = stream->data;

    (void)buf;
    if (size > 0) {
        client->size += (size_t)size;
    } else if (size < 0) {
        client->done = true;
        client->world->clients_done++;
        uv_close((uv_handle_t *)&client->tcp, NULL);
    }
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct client *client = connect->data;
    uv_buf_t buf = uv_buf_init((char *)client->request, (unsigned)strlen(client->request));

    assert_int_equal(status, 0);
    assert_int_equal(uv_write(&client->write, (uv_stream_t *)&client->tcp, &buf, 1, NULL), 0);
    assert_int_equal(uv_read_start((uv_stream_t *)&client->tcp, on_alloc, on_read), 0);
}

static void client_start(struct world *world, struct client *client, const char *request)
{
    struct sockaddr_in address;

    *client = (struct client){.world = world, .request = request};
    assert_int_equal(uv_ip4_addr("127.0.0.1", world->port, &address), 0);
    assert_int_equal(uv_tcp_init(&world->loop, &client->tcp), 0);
    client->tcp.data = client;
    client->connect.data = client;
    assert_int_equal(uv_tcp_connect(&client->connect, &client->tcp, (const struct sockaddr *)&address, on_connect), 0);
}

/* The whole answer, head and body. */
static const char *ask(struct world *world, const char *method, const char *path)
{
    struct client *client = &world->clients[0];
    char request[256];

    (void)snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, path);
    client_start(world, client, request);
    while (!client->done) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    return client->answer;
}

static void assert_begins(const char *answer, const char *expected)
{
    assert_int_equal(strncmp(answer, expected, strlen(expected)), 0);
}

static void assert_holds(const char *answer, const char *expected)
{
    if (strstr(answer, expected) == NULL) {
        fail_msg("no \"%s\" in: %s", expected, answer);
    }
}

static struct admin *start(struct world *world, const char *listen, struct err *err)
{
    struct admin_calls calls = {world, world_ready, world_healthy, world_status};
    struct admin *admin = NULL;

    return admin_new(&world->loop, listen, &calls, &admin, err) == 0 ? admin : NULL;
}

/* The port that the kernel chose stands in the log, where people look for it as well. */
static uint16_t start_and_read_port(struct world *world)
{
    struct err err = {0};
    unsigned port = 0;

    capture_start(STDERR_FILENO);
    world->admin = start(world, "127.0.0.1:0", &err);
    assert_int_equal(sscanf(capture_end(STDERR_FILENO), "%*s info admin listen=127.0.0.1:%u", &port), 1);
    return (uint16_t)port;
}

static int set_up(void **state)
{
    static struct world world;

    world = (struct world){.ready = true, .healthy = true};
    assert_int_equal(uv_loop_init(&world.loop), 0);
    world.port = start_and_read_port(&world);
    assert_non_null(world.admin);
    *state = &world;
    return 0;
}

static void on_closed(void *context)
{
    ((struct world *)context)->closed = true;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    if (!world->closed) {
        admin_close(world->admin, on_closed, world);
    }
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_true(world->closed);
    return uv_loop_close(&world->loop);
}

static void test_admin__refuses_everything_but_get_and_head(void **state)
{
    const char *answer = ask(*state, "DELETE", "/status");

    assert_begins(answer, "HTTP/1.1 405 ");
    assert_holds(answer, "Allow: GET, HEAD");
}

static void test_admin__names_its_paths_where_there_is_none(void **state)
{
    const char *answer = ask(*state, "GET", "/../../etc/passwd");

    assert_begins(answer, "HTTP/1.1 404 ");
    assert_holds(answer, "/metrics\n/livez\n/readyz\n/healthz\n/status\n");
}

static void test_admin__is_not_ready_for_a_reason(void **state)
{
    struct world *world = *state;
    const char *answer;

    world->ready = false;
    answer = ask(world, "GET", "/readyz");
    assert_begins(answer, "HTTP/1.1 503 ");
    assert_holds(answer, "\r\n\r\nwaiting for the election\n");
    world->ready = true;
    answer = ask(world, "GET", "/readyz");
    assert_begins(answer, "HTTP/1.1 200 ");
    assert_holds(answer, "\r\n\r\nok\n");
}

static void test_admin__is_unhealthy_for_a_reason_and_lives_nevertheless(void **state)
{
    struct world *world = *state;
    const char *answer;

    world->healthy = false;
    world->ready = false;
    answer = ask(world, "GET", "/healthz");
    assert_begins(answer, "HTTP/1.1 503 ");
    assert_holds(answer, "shop.orders/3 stands still\n");
    assert_begins(ask(world, "GET", "/livez"), "HTTP/1.1 200 ");
}

static void test_admin__prints_metrics_for_prometheus(void **state)
{
    static struct metric_family family = {.name = "kakehi_test_total", .help = "Tests.", .kind = METRIC_COUNTER};
    const char *answer;

    metric_add(metric_cell(&family, NULL), 3);
    answer = ask(*state, "GET", "/metrics");
    assert_begins(answer, "HTTP/1.1 200 ");
    assert_holds(answer, "Content-Type: text/plain; version=0.0.4");
    assert_holds(answer, "\nkakehi_test_total 3\n");
}

static void test_admin__gives_the_status_as_json(void **state)
{
    const char *answer = ask(*state, "GET", "/status");
    json_t *status = json_loads(strstr(answer, "\r\n\r\n"), 0, NULL);

    assert_holds(answer, "Content-Type: application/json");
    assert_string_equal(json_string_value(json_object_get(status, "state")), "STREAM");
    json_decref(status);
}

static void test_admin__answers_head_without_a_body(void **state)
{
    const char *answer = ask(*state, "HEAD", "/livez");

    assert_begins(answer, "HTTP/1.1 200 ");
    assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
}

static void test_admin__drops_what_is_not_http(void **state)
{
    struct world *world = *state;

    client_start(world, &world->clients[0], "\x16\x03\x01\x02 hello\r\n\r\n");
    while (!world->clients[0].done) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_null(strstr(world->clients[0].answer, "200 OK"));
}

static void test_admin__serves_more_clients_than_it_holds_connections(void **state)
{
    struct world *world = *state;

    for (int index = 0; index < CLIENTS_MAX; index++) {
        client_start(world, &world->clients[index], "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    }
    while (world->clients_done < CLIENTS_MAX) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    for (int index = 0; index < CLIENTS_MAX; index++) {
        assert_begins(world->clients[index].answer, "HTTP/1.1 200 ");
    }
}

static void test_admin__closes_under_a_client_that_waits(void **state)
{
    struct world *world = *state;

    client_start(world, &world->clients[0], "GET /livez HT");
    while (world->clients[0].write.handle == NULL) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    admin_close(world->admin, on_closed, world);
    while (!world->clients[0].done) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_true(world->closed);
}

/* Were the daemon run again at once for as long as the request is half there, the loop's time-out would stay 0: then this
 * hangs. */
static void test_admin__sleeps_while_a_client_hesitates(void **state)
{
    struct world *world = *state;

    client_start(world, &world->clients[0], "GET /livez HT");
    while (uv_backend_timeout(&world->loop) <= 0) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_false(world->clients[0].done);
}

static void test_admin__refuses_an_address_in_use(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    char listen[32];

    (void)snprintf(listen, sizeof listen, "127.0.0.1:%u", world->port);
    assert_null(start(world, listen, &err));
    assert_int_equal(err.class, ERR_FATAL);
    assert_holds(err.text, listen);
}

static void test_admin__refuses_what_is_no_address(void **state)
{
    struct err err = {0};

    assert_null(start(*state, "9464", &err));
    assert_holds(err.text, "no port");
    assert_null(start(*state, ":9464", &err));
    assert_null(start(*state, "127.0.0.1:http", &err));
}

static void test_admin__that_never_was_is_closed_at_once(void **state)
{
    bool closed_before = ((struct world *)*state)->closed;
    struct world other = {0};

    assert_false(closed_before);
    admin_close(NULL, on_closed, &other);
    assert_true(other.closed);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_admin__refuses_everything_but_get_and_head),
        TEST(test_admin__names_its_paths_where_there_is_none),
        TEST(test_admin__is_not_ready_for_a_reason),
        TEST(test_admin__is_unhealthy_for_a_reason_and_lives_nevertheless),
        TEST(test_admin__prints_metrics_for_prometheus),
        TEST(test_admin__gives_the_status_as_json),
        TEST(test_admin__answers_head_without_a_body),
        TEST(test_admin__drops_what_is_not_http),
        TEST(test_admin__serves_more_clients_than_it_holds_connections),
        TEST(test_admin__closes_under_a_client_that_waits),
        TEST(test_admin__sleeps_while_a_client_hesitates),
        TEST(test_admin__refuses_an_address_in_use),
        TEST(test_admin__refuses_what_is_no_address),
        TEST(test_admin__that_never_was_is_closed_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
