/* SPDX-License-Identifier: Apache-2.0 */
/* Whom the gRPC client talks to over TLS, and above all to whom it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/certificate.h"
#include "tests/unit/grpc_world.h"

struct files {
    char server[64]; /* the certificate that the server has */
    char other[64];  /* one that it has not */
};

static void make_path(char *path, size_t size)
{
    int descriptor;

    (void)snprintf(path, size, "/tmp/kakehi-certificate-XXXXXX");
    descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(close(descriptor), 0);
}

static int make_files(void **state)
{
    static struct files files;

    make_path(files.server, sizeof files.server);
    make_path(files.other, sizeof files.other);
    SSL_CTX_free(certificate_server("DNS:localhost", "h2", files.other));
    *state = &files;
    return 0;
}

static int remove_files(void **state)
{
    const struct files *files = *state;

    return unlink(files->server) | unlink(files->other);
}

static void echo_request(void *context, struct h2_stream *stream)
{
    (*(unsigned *)context)++;
    h2_stream_answer(stream, "200", "application/grpc", NULL);
}

static void echo_data(void *context, struct h2_stream *stream, const uint8_t *bytes, size_t size)
{
    (void)context;
    h2_stream_data(stream, bytes, size);
}

static void echo_half_closed(void *context, struct h2_stream *stream)
{
    (void)context;
    h2_stream_end(stream, "0", NULL, NULL);
}

static const struct h2_events echo_events = {.request = echo_request, .data = echo_data, .half_closed = echo_half_closed};

/* A unary call of a server with a certificate for these names; told is how it ended. Returns how many requests arrived. */
static unsigned ask(const struct files *files, const char *names, const char *alpn, const char *ca_file, struct told *told)
{
    const struct h2_options server = {.tls = certificate_server(names, alpn, files->server)};
    const struct grpc_options options = {.ca_file = ca_file};
    unsigned request_count = 0;
    struct world world;

    world_new(&world, &server, &echo_events, &request_count, &options);
    told_unary(&world, told, "hello", 5, 0);
    world_run_until_ended(&world, told);
    world_end(&world);
    return request_count;
}

static void assert_refused(unsigned request_count, const struct told *told, const char *why)
{
    assert_int_equal(request_count, 0);
    assert_int_equal(told->code, GRPC_UNAVAILABLE);
    assert_false(told->sent);
    assert_non_null(strstr(told->text, why));
}

static void test_grpc_tls__call_goes_through_to_the_right_server(void **state)
{
    const struct files *files = *state;
    struct told told;

    assert_int_equal(ask(files, "DNS:localhost", "h2", files->server, &told), 1);
    assert_int_equal(told.code, GRPC_OK);
    assert_memory_equal(told.messages.bytes, "hello", 5);
    told_deinit(&told);
}

static void test_grpc_tls__unknown_authority_is_refused(void **state)
{
    const struct files *files = *state;
    struct told told;

    assert_refused(ask(files, "DNS:localhost", "h2", files->other, &told), &told, "certificate is refused");
    assert_refused(ask(files, "DNS:localhost", "h2", NULL, &told), &told, "certificate is refused");
}

static void test_grpc_tls__another_hosts_certificate_is_refused(void **state)
{
    const struct files *files = *state;
    struct told told;

    assert_refused(ask(files, "DNS:other.example", "h2", files->server, &told), &told, "ostname mismatch");
    assert_refused(ask(files, "DNS:*.localhost", "h2", files->server, &told), &told, "ostname mismatch");
    assert_refused(ask(files, "IP:127.0.0.1", "h2", files->server, &told), &told, "ostname mismatch");
}

static void test_grpc_tls__server_without_h2_is_refused(void **state)
{
    const struct files *files = *state;
    struct told told;

    assert_refused(ask(files, "DNS:localhost", NULL, files->server, &told), &told, "ALPN");
    assert_refused(ask(files, "DNS:localhost", "http/1.1", files->server, &told), &told, "ALPN");
}

static void test_grpc_tls__address_is_verified_as_an_address(void **state)
{
    const struct files *files = *state;
    const struct h2_options server = {.tls = certificate_server("IP:127.0.0.1", "h2", files->server)};
    const struct grpc_options options = {.ca_file = files->server, .endpoint = "https://127.0.0.1:"};
    unsigned request_count = 0;
    struct world world;
    struct told told;

    world_new(&world, &server, &echo_events, &request_count, &options);
    told_unary(&world, &told, "hello", 5, 0);
    world_run_until_ended(&world, &told);
    assert_int_equal(told.code, GRPC_OK);
    world_end(&world);
    told_deinit(&told);
}

static void on_accepted(void *context, struct h2_connection *connection)
{
    (void)context;
    h2_connection_write(connection, "this is no TLS", 14);
}

static void test_grpc_tls__server_that_speaks_no_tls_is_refused(void **state)
{
    static const struct h2_events events = {.accepted = on_accepted};
    const struct files *files = *state;
    const struct h2_options server = {.mute = true};
    const struct grpc_options options = {.ca_file = files->server, .endpoint = "https://localhost:"};
    struct world world;
    struct told told;

    world_new(&world, &server, &events, NULL, &options);
    told_unary(&world, &told, "hello", 5, 0);
    world_run_until_ended(&world, &told);
    assert_refused(0, &told, "TLS");
    world_end(&world);
}

static void test_grpc_tls__ca_file_that_is_none_is_said_at_the_start(void **state)
{
    const struct grpc_options options = {.endpoint = "https://localhost", .ca_file = "/nonexistent.pem"};
    uv_loop_t loop;
    struct grpc *grpc;
    struct err err = {0};

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(grpc_new(&loop, &options, &grpc, &err), -1);
    assert_int_equal(err.class, ERR_FATAL);
    assert_non_null(strstr(err.text, "/nonexistent.pem"));
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grpc_tls__call_goes_through_to_the_right_server),
        cmocka_unit_test(test_grpc_tls__unknown_authority_is_refused),
        cmocka_unit_test(test_grpc_tls__another_hosts_certificate_is_refused),
        cmocka_unit_test(test_grpc_tls__server_without_h2_is_refused),
        cmocka_unit_test(test_grpc_tls__address_is_verified_as_an_address),
        cmocka_unit_test(test_grpc_tls__server_that_speaks_no_tls_is_refused),
        cmocka_unit_test(test_grpc_tls__ca_file_that_is_none_is_said_at_the_start),
    };

    return cmocka_run_group_tests_name("grpc_tls", tests, make_files, remove_files);
}
