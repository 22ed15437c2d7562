/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A false server: it says that it has no TLS, takes whatever login comes, and asks for the password by every method that would give
 * it away. Under no setting may the password stand in what it got.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/must.h"
#include "producer/mysql.h"

static char password[] = "a-secret-password";

struct false_server {
    int listener;
    uint16_t port;
    const char *method; /* that it switches the client to */
    pthread_t thread;
    uint8_t got[4096];
    size_t got_size;
};

static char authority[] = "/tmp/kakehi-test-XXXXXX";

/* ---- the false server */

static void send_packet(int fd, uint8_t number, const void *payload, size_t size)
{
    uint8_t packet[512] = {(uint8_t)size, (uint8_t)(size >> 8), 0, number};

    must(size <= sizeof packet - 4);
    memcpy(packet + 4, payload, size);
    (void)send(fd, packet, 4 + size, MSG_NOSIGNAL);
}

/* One packet of the client, whatever it is. False: it has gone. */
static bool take_packet(struct false_server *server, int fd)
{
    uint8_t header[4];
    size_t size;

    if (recv(fd, header, sizeof header, MSG_WAITALL) != sizeof header) {
        return false;
    }
    size = (size_t)header[0] | (size_t)header[1] << 8;
    must(server->got_size + size <= sizeof server->got);
    if (recv(fd, server->got + server->got_size, size, MSG_WAITALL) != (ssize_t)size) {
        return size == 0;
    }
    server->got_size += size;
    return true;
}

static void greet(int fd)
{
    static const uint8_t capabilities[] = {0xdf, 0xf7, 0xff, 0xff}; /* all but TLS and compression */
    uint8_t greeting[128] = "\x0a" "8.4.0-false";
    size_t size = 13;

    size += 4; /* thread */
    memset(greeting + size, 'a', 8);
    size += 9;
    memcpy(greeting + size, capabilities, 2);
    memcpy(greeting + size + 2, "\x21\x02\x00", 3);
    memcpy(greeting + size + 5, capabilities + 2, 2);
    greeting[size + 7] = 21;
    size += 8 + 10;
    memset(greeting + size, 'b', 12);
    size += 13;
    memcpy(greeting + size, "mysql_native_password", 22);
    send_packet(fd, 0, greeting, size + 22);
}

static void switch_method(int fd, const char *method)
{
    uint8_t request[128] = {0xfe};
    size_t size = 1 + strlen(method) + 1;

    memcpy(request + 1, method, strlen(method) + 1);
    memset(request + size, 'c', 20);
    send_packet(fd, 2, request, size + 21);
}

static void *lie(void *argument)
{
    struct false_server *server = argument;

    for (int connection = 0; connection < 2; connection++) { /* verify_ca looks before it logs in */
        int fd = accept(server->listener, NULL, NULL);

        if (fd < 0) {
            break;
        }
        greet(fd);
        if (take_packet(server, fd)) {
            switch_method(fd, server->method);
            if (take_packet(server, fd)) {
                send_packet(fd, 4, "\x01\x04", 2); /* caching_sha2_password: the whole password, please */
                (void)take_packet(server, fd);
            }
        }
        must(close(fd) == 0);
    }
    return NULL;
}

static void server_start(struct false_server *server, const char *method)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;

    *server = (struct false_server){.method = method, .listener = socket(AF_INET, SOCK_STREAM, 0)};
    must(server->listener >= 0 && bind(server->listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(server->listener, 4) == 0);
    must(getsockname(server->listener, (struct sockaddr *)&address, &size) == 0);
    server->port = ntohs(address.sin_port);
    must(pthread_create(&server->thread, NULL, lie, server) == 0);
}

static void server_stop(struct false_server *server)
{
    (void)shutdown(server->listener, SHUT_RDWR); /* ends an accept under way */
    must(pthread_join(server->thread, NULL) == 0);
    must(close(server->listener) == 0);
}

/* ---- the client */

static void assert_kept_from(const char *method, enum tls_mode tls)
{
    static char host[] = "127.0.0.1";
    static char user[] = "reader";
    struct false_server server;
    struct settings_source settings = {.host = host, .user = user, .password = password, .tls = tls, .connect_timeout_ms = 5000};
    struct mysql_session *session = NULL;
    struct err err = {0};

    server_start(&server, method);
    settings.port = server.port;
    settings.tls_ca = tls == TLS_OFF ? NULL : authority;
    assert_int_equal(mysql_session_open(&settings, &session, &err), -1);
    server_stop(&server);
    assert_null(memmem(server.got, server.got_size, password, strlen(password)));
    assert_null(strstr(err.text, password));
    if (tls != TLS_OFF) {
        assert_int_equal(server.got_size, 0); /* not even the user's name */
        assert_int_equal(err.class, ERR_FATAL);
        assert_non_null(strstr(err.text, "TLS"));
    }
}

static void test_session__gives_no_password_to_a_server_without_tls(void **state)
{
    (void)state;
    assert_kept_from("mysql_clear_password", TLS_VERIFY);
    assert_kept_from("dialog", TLS_VERIFY);
    assert_kept_from("caching_sha2_password", TLS_VERIFY);
    assert_kept_from("sha256_password", TLS_VERIFY);
}

/* libmariadb alone sends it in clear here, by caching_sha2_password. */
static void test_session__gives_no_password_to_a_server_without_tls_when_the_name_is_not_verified(void **state)
{
    (void)state;
    assert_kept_from("mysql_clear_password", TLS_VERIFY_CA);
    assert_kept_from("dialog", TLS_VERIFY_CA);
    assert_kept_from("caching_sha2_password", TLS_VERIFY_CA);
    assert_kept_from("sha256_password", TLS_VERIFY_CA);
}

static void test_session__gives_no_clear_password_even_where_tls_is_off(void **state)
{
    (void)state;
    assert_kept_from("mysql_clear_password", TLS_OFF);
    assert_kept_from("dialog", TLS_OFF);
    assert_kept_from("caching_sha2_password", TLS_OFF);
    assert_kept_from("sha256_password", TLS_OFF);
}

static void test_session__refuses_verify_ca_without_an_authority(void **state)
{
    static char host[] = "127.0.0.1";
    struct settings_source settings = {.host = host, .port = 1, .tls = TLS_VERIFY_CA, .connect_timeout_ms = 5000};
    struct mysql_session *session = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(mysql_session_open(&settings, &session, &err), -1);
    assert_int_equal(err.class, ERR_FATAL);
    assert_non_null(strstr(err.text, "source.tls_ca"));
}

/* An authority of our own, so that the file can be read as one. */
static int make_authority(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    int fd = mkstemp(authority);
    FILE *file = fdopen(fd, "w");

    (void)state;
    must(key != NULL && certificate != NULL && file != NULL);
    must(X509_gmtime_adj(X509_getm_notBefore(certificate), 0) != NULL && X509_gmtime_adj(X509_getm_notAfter(certificate), 3600) != NULL);
    must(X509_set_pubkey(certificate, key) == 1 && X509_sign(certificate, key, EVP_sha256()) > 0);
    must(PEM_write_X509(file, certificate) == 1 && fclose(file) == 0);
    X509_free(certificate);
    EVP_PKEY_free(key);
    mysql_session_prepare();
    return 0;
}

static int remove_authority(void **state)
{
    (void)state;
    return unlink(authority);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session__gives_no_password_to_a_server_without_tls),
        cmocka_unit_test(test_session__gives_no_password_to_a_server_without_tls_when_the_name_is_not_verified),
        cmocka_unit_test(test_session__gives_no_clear_password_even_where_tls_is_off),
        cmocka_unit_test(test_session__refuses_verify_ca_without_an_authority),
    };

    return cmocka_run_group_tests(tests, make_authority, remove_authority);
}
