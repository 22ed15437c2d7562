/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libmariadb 3.3 does not do by itself, and is done here:
 *
 * - "Enforce TLS" enforces nothing: towards a server that says it has no TLS the login goes on in clear text, and caching_sha2_password
 *   then sends the password itself, because TLS was *asked for*. Only two options make it refuse: the one that verifies chain and host
 *   name (`verify`), and a fingerprint. `verify_ca` takes the latter: mysql_probe.h.
 * - A server may ask for the password in clear (mysql_clear_password, dialog) on any connection: only methods that never send it so
 *   over plain TCP are allowed.
 * - With `tls: off` caching_sha2_password asks the server for an RSA key and trusts it: the operator has said that the network is
 *   trusted.
 * - "localhost" silently means a unix socket: the protocol is always named.
 * - A server may ask for local files: switched off.
 *
 * A dump is read below libmariadb, from its socket or its SSL object, because its packet reader joins a whole event in memory, and an
 * event may be a gigabyte. That rests on the layout of two of its public structs, on its being built with OpenSSL, and on its
 * read-ahead cache being empty right after a command has been sent. All three are checked: at compile time, when the session
 * opens, and with each command.
 */
#include "producer/mysql.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mysql.h>

#define HAVE_TLS 1 /* as libmariadb was built; without it struct st_ma_pvio says less */
typedef unsigned char uchar;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <ma_pvio.h>
#pragma GCC diagnostic pop

#include "common/must.h"
#include "producer/mysql_error.h"
#include "producer/mysql_probe.h"

_Static_assert(MARIADB_PACKAGE_VERSION_ID / 100 == 303, "the layouts below were read in libmariadb 3.3: check them in this one");
_Static_assert(offsetof(struct st_ma_pvio, ctls) > offsetof(struct st_ma_pvio, ssl_type), "struct st_ma_pvio has changed");
_Static_assert(sizeof(struct st_ma_pvio_tls) == 3 * sizeof(void *), "struct st_ma_pvio_tls has changed");

static const char methods_allowed[] = "mysql_native_password,caching_sha2_password,client_ed25519";

struct mysql_session {
    MYSQL *mysql;
    int fd;
    SSL *ssl; /* borrowed of libmariadb; NULL: no TLS */
    struct mysql_server server;
};

static void prepare_once(void)
{
    must(mysql_library_init(0, NULL, NULL) == 0);
}

void mysql_session_prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, prepare_once);
}

/* ---- connecting */

static int failed(const struct mysql_session *session, struct err *err)
{
    return mysql_error_set(err, mysql_errno(session->mysql), mysql_error(session->mysql));
}

static void set_limits(MYSQL *mysql, const struct settings_source *settings)
{
    unsigned timeout_s = (unsigned)((settings->connect_timeout_ms + 999) / 1000);
    unsigned no = 0;
    unsigned protocol = settings->socket != NULL ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;

    (void)mysql_optionsv(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &timeout_s);
    (void)mysql_optionsv(mysql, MYSQL_OPT_READ_TIMEOUT, &timeout_s);
    (void)mysql_optionsv(mysql, MYSQL_OPT_WRITE_TIMEOUT, &timeout_s);
    (void)mysql_optionsv(mysql, MYSQL_OPT_LOCAL_INFILE, &no);
    (void)mysql_optionsv(mysql, MYSQL_OPT_PROTOCOL, &protocol);
    (void)mysql_optionsv(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    (void)mysql_optionsv(mysql, MARIADB_OPT_RESTRICTED_AUTH, methods_allowed);
}

static bool wants_tls(const struct settings_source *settings)
{
    return settings->tls != TLS_OFF && settings->socket == NULL;
}

static int set_tls(MYSQL *mysql, const struct settings_source *settings, struct err *err)
{
    char fingerprint[MYSQL_FINGERPRINT_SIZE];
    my_bool yes = 1;

    if (!wants_tls(settings)) {
        return 0;
    }
    if (settings->tls_ca == NULL && settings->tls == TLS_VERIFY_CA) {
        return err_set(err, ERR_FATAL, "source.tls: verify_ca needs source.tls_ca: without a host name, anybody's certificate of a public "
                                       "authority would do");
    }
    if (settings->tls_ca != NULL && access(settings->tls_ca, R_OK) != 0) {
        return err_set(err, ERR_FATAL, "source.tls_ca: can't read %s: %s", settings->tls_ca, strerror(errno));
    }
    (void)mysql_optionsv(mysql, MYSQL_OPT_SSL_ENFORCE, &yes);
    (void)mysql_optionsv(mysql, MYSQL_OPT_SSL_CA, settings->tls_ca);
    if (settings->tls_ca == NULL) {
        (void)mysql_optionsv(mysql, MYSQL_OPT_SSL_CAPATH, X509_get_default_cert_dir());
    }
    if (settings->tls == TLS_VERIFY) {
        (void)mysql_optionsv(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes);
        return 0;
    }
    if (mysql_probe_fingerprint(settings, fingerprint, err) != 0) {
        return -1;
    }
    (void)mysql_optionsv(mysql, MARIADB_OPT_TLS_PEER_FP, fingerprint);
    return 0;
}

/* The SSL object of the connection, after a look at whether it is what we think it is. */
static int find_ssl(struct mysql_session *session, struct err *err)
{
    const char *library = NULL;

    if (mysql_get_ssl_cipher(session->mysql) == NULL) {
        return 0;
    }
    if (mariadb_get_infov(session->mysql, MARIADB_TLS_LIBRARY, &library) != 0 || library == NULL || strncmp(library, "OpenSSL", 7) != 0) {
        return err_set(err, ERR_FATAL, "libmariadb was built with %s, not with OpenSSL: install a build with OpenSSL",
                       library != NULL ? library : "an unknown TLS library");
    }
    session->ssl = session->mysql->net.pvio->ctls->ssl;
    if (session->ssl == NULL || SSL_get_fd(session->ssl) != session->fd) {
        return err_set(err, ERR_FATAL, "this libmariadb keeps its TLS connection elsewhere: install version %s", MARIADB_PACKAGE_VERSION);
    }
    return 0;
}

static int check_tls(const struct mysql_session *session, const struct settings_source *settings, struct err *err)
{
    if (!wants_tls(settings)) {
        return 0;
    }
    if (session->ssl == NULL) {
        return err_set(err, ERR_FATAL, "the server has no TLS: switch it on there, or set source.tls: off if the network is trusted");
    }
    if (SSL_get_verify_result(session->ssl) != X509_V_OK) {
        return err_set(err, ERR_FATAL, "the server's certificate: %s; source.tls_ca must hold the authority that signed it",
                       X509_verify_cert_error_string(SSL_get_verify_result(session->ssl)));
    }
    return 0;
}

static void describe(struct mysql_session *session, const struct settings_source *settings)
{
    struct mysql_server *server = &session->server;
    char place[128];

    server->mariadb = mariadb_connection(session->mysql);
    server->version = (unsigned)mysql_get_server_version(session->mysql);
    (void)snprintf(server->version_text, sizeof server->version_text, "%s", mysql_get_server_info(session->mysql));
    if (settings->socket != NULL) {
        (void)snprintf(place, sizeof place, "%s", settings->socket);
    } else {
        (void)snprintf(place, sizeof place, "%.100s:%lld", settings->host, (long long)settings->port);
    }
    (void)snprintf(server->description, sizeof server->description, "%s %u.%u.%u at %s", server->mariadb ? "MariaDB" : "MySQL",
                   server->version / 10000, server->version / 100 % 100, server->version % 100, place);
}

static int connect_session(struct mysql_session *session, const struct settings_source *settings, struct err *err)
{
    set_limits(session->mysql, settings);
    if (set_tls(session->mysql, settings, err) != 0) {
        return -1;
    }
    if (mysql_real_connect(session->mysql, settings->socket != NULL ? NULL : settings->host, settings->user, settings->password, NULL,
                           settings->socket != NULL ? 0 : (unsigned)settings->port, settings->socket, 0) == NULL) {
        return failed(session, err);
    }
    session->fd = (int)mysql_get_socket(session->mysql);
    if (find_ssl(session, err) != 0 || check_tls(session, settings, err) != 0) {
        return -1;
    }
    describe(session, settings);
    return 0;
}

int mysql_session_open(const struct settings_source *settings, struct mysql_session **ret_session, struct err *err)
{
    struct mysql_session *session = calloc(1, sizeof *session);

    must(session != NULL);
    session->fd = -1;
    session->mysql = mysql_init(NULL);
    must(session->mysql != NULL);
    if (connect_session(session, settings, err) != 0) {
        mysql_session_close(session);
        return err_while(err, "connecting to %s", settings->socket != NULL ? settings->socket : settings->host);
    }
    *ret_session = session;
    return 0;
}

void mysql_session_close(struct mysql_session *session)
{
    if (session != NULL) {
        mysql_close(session->mysql);
        free(session);
    }
}

void mysql_session_interrupt(struct mysql_session *session)
{
    (void)shutdown(session->fd, SHUT_RDWR);
}

const struct mysql_server *mysql_session_server(const struct mysql_session *session)
{
    return &session->server;
}

/* ---- statements */

int mysql_session_run(struct mysql_session *session, const char *sql, struct err *err)
{
    struct mysql_rows rows;

    if (mysql_session_ask(session, sql, &rows, err) != 0) {
        return -1;
    }
    mysql_rows_deinit(&rows);
    return 0;
}

int mysql_session_ask(struct mysql_session *session, const char *sql, struct mysql_rows *ret_rows, struct err *err)
{
    MYSQL_RES *result;

    *ret_rows = (struct mysql_rows){0};
    if (mysql_query(session->mysql, sql) != 0) {
        return failed(session, err);
    }
    result = mysql_store_result(session->mysql);
    if (result == NULL && mysql_field_count(session->mysql) != 0) {
        return failed(session, err);
    }
    if (result != NULL) {
        *ret_rows = (struct mysql_rows){mysql_num_rows(result), mysql_num_fields(result), result};
    }
    return 0;
}

const char *mysql_rows_text(const struct mysql_rows *rows, size_t row, size_t column)
{
    MYSQL_ROW texts;

    if (row >= rows->row_count || column >= rows->column_count) {
        return NULL;
    }
    mysql_data_seek(rows->_result, row);
    texts = mysql_fetch_row(rows->_result);
    return texts[column];
}

void mysql_rows_deinit(struct mysql_rows *rows)
{
    mysql_free_result(rows->_result);
    *rows = (struct mysql_rows){0};
}

int mysql_session_variable(struct mysql_session *session, const char *name, char **ret_text, struct err *err)
{
    struct mysql_rows rows;
    char sql[128];
    const char *text;

    *ret_text = NULL;
    (void)snprintf(sql, sizeof sql, "SELECT @@GLOBAL.%s", name);
    if (mysql_session_ask(session, sql, &rows, err) != 0) {
        bool unknown = mysql_errno(session->mysql) == 1193;

        return unknown ? 0 : err_while(err, "reading the server variable %s", name);
    }
    text = mysql_rows_text(&rows, 0, 0);
    *ret_text = must_strdup(text != NULL ? text : "");
    mysql_rows_deinit(&rows);
    return 0;
}

char *mysql_session_quote(struct mysql_session *session, const char *text)
{
    size_t size = strlen(text);
    char *quoted = malloc(2 * size + 3);
    size_t used;

    must(quoted != NULL);
    quoted[0] = '\'';
    used = mysql_real_escape_string(session->mysql, quoted + 1, text, size);
    quoted[used + 1] = '\'';
    quoted[used + 2] = '\0';
    return quoted;
}

/* ---- raw bytes */

int mysql_session_command(struct mysql_session *session, uint8_t command, const void *bytes, size_t size, struct err *err)
{
    MYSQL *mysql = session->mysql;
    int flags = fcntl(session->fd, F_GETFL);

    if (mysql->methods->db_command(mysql, (enum enum_server_command)command, bytes, size, 1, NULL) != 0) {
        return failed(session, err);
    }
    if (mysql->net.pvio->cache_size != 0 && mysql->net.pvio->cache_pos != mysql->net.pvio->cache + mysql->net.pvio->cache_size) {
        return err_set(err, ERR_RETRY, "the server has sent bytes that nobody asked for");
    }
    if (flags < 0 || fcntl(session->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        return err_set(err, ERR_RETRY, "making the socket non-blocking: %s", strerror(errno));
    }
    return 0;
}

/* Bytes, or 0 = wait until the socket can do `*ret_events`, or -1. */
static ssize_t read_plain(struct mysql_session *session, void *bytes, size_t size, short *ret_events, struct err *err)
{
    ssize_t count = recv(session->fd, bytes, size, 0);

    *ret_events = POLLIN;
    if (count > 0) {
        return count;
    }
    if (count == 0) {
        return err_set(err, ERR_RETRY, "the server closed the connection");
    }
    if (errno == EAGAIN || errno == EINTR) {
        return 0;
    }
    return err_set(err, ERR_RETRY, "reading from the server: %s", strerror(errno));
}

static ssize_t read_tls(struct mysql_session *session, void *bytes, size_t size, short *ret_events, struct err *err)
{
    size_t count = 0;
    int result;

    ERR_clear_error();
    result = SSL_read_ex(session->ssl, bytes, size, &count);
    if (result == 1) {
        return (ssize_t)count;
    }
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        *ret_events = POLLIN;
        return 0;
    case SSL_ERROR_WANT_WRITE:
        *ret_events = POLLOUT;
        return 0;
    case SSL_ERROR_ZERO_RETURN:
    case SSL_ERROR_SYSCALL:
        return err_set(err, ERR_RETRY, "the server closed the connection");
    default:
        return err_set(err, ERR_RETRY, "reading from the server by TLS: %s", ERR_reason_error_string(ERR_peek_last_error()));
    }
}

static int wait_for(const struct mysql_session *session, short events, int timeout_ms, struct err *err)
{
    struct pollfd polled = {.fd = session->fd, .events = events};
    int ready;

    do {
        ready = poll(&polled, 1, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) {
        return err_set(err, ERR_RETRY, "no byte from the server for %d ms, not even a heartbeat", timeout_ms);
    }
    return ready > 0 ? 0 : err_set(err, ERR_RETRY, "waiting for the server: %s", strerror(errno));
}

ssize_t mysql_session_read(struct mysql_session *session, void *bytes, size_t size, int timeout_ms, struct err *err)
{
    for (;;) {
        short events = POLLIN;
        ssize_t count = session->ssl != NULL ? read_tls(session, bytes, size, &events, err) : read_plain(session, bytes, size, &events, err);

        if (count != 0) {
            return count;
        }
        if (wait_for(session, events, timeout_ms, err) != 0) {
            return -1;
        }
    }
}
