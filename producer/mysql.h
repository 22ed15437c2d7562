/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mysql: a session with a MySQL or MariaDB server: connecting safely, simple statements, and raw bytes for a binlog dump.
 *
 * libmariadb does connecting, authentication, TLS and SQL; nothing outside mysql.c includes its headers. Every call blocks, so a
 * session belongs to one thread that may block; only mysql_session_interrupt may come from another.
 */
#ifndef KAKEHI_PRODUCER_MYSQL_H
#define KAKEHI_PRODUCER_MYSQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/settings.h"

struct mysql_session;

struct mysql_server {
    bool mariadb;
    unsigned version;      /* 80403, 101119 */
    char version_text[64]; /* "10.11.19-MariaDB-deb12-log" */
    char description[192]; /* "MariaDB 10.11.19 at 127.0.0.1:3306" */
};

/* The answer to a statement: rows of texts, all in memory. */
struct mysql_rows {
    size_t row_count;
    size_t column_count;
    void *_result;
};

/* Once in a process, before the first session, by its first thread. Later calls do nothing. */
void mysql_session_prepare(void);

/* source.tls: verify = chain and host name; verify_ca = chain alone; off = neither TLS nor secrecy. Through a unix socket TLS is
 * not used. The password is never sent in clear over a connection that is not verified. */
int mysql_session_open(const struct settings_source *settings, struct mysql_session **ret_session, struct err *err) MUST_CHECK;
void mysql_session_close(struct mysql_session *session); /* takes NULL */
/* Any thread: the call under way, and all later ones, fail soon. The caller sees that nobody closes the session meanwhile. */
void mysql_session_interrupt(struct mysql_session *session);
const struct mysql_server *mysql_session_server(const struct mysql_session *session);

/* A statement without an answer. */
int mysql_session_run(struct mysql_session *session, const char *sql, struct err *err) MUST_CHECK;
int mysql_session_ask(struct mysql_session *session, const char *sql, struct mysql_rows *ret_rows, struct err *err) MUST_CHECK;
const char *mysql_rows_text(const struct mysql_rows *rows, size_t row, size_t column); /* NULL: SQL NULL, or no such cell */
void mysql_rows_deinit(struct mysql_rows *rows);
/* The text of a global variable, whole (SHOW VARIABLES cuts long ones); the caller frees it. NULL where the server has none of
 * that name. */
int mysql_session_variable(struct mysql_session *session, const char *name, char **ret_text, struct err *err) MUST_CHECK;
/* As a literal for SQL, quotes included; the caller frees it. */
char *mysql_session_quote(struct mysql_session *session, const char *text);

/* Sends a command whose answer is read as raw bytes. After it nothing but read and close may follow. */
int mysql_session_command(struct mysql_session *session, uint8_t command, const void *bytes, size_t size, struct err *err) MUST_CHECK;
/* At least one byte, as many as are there, at most `size`; -1 with err when the connection ends or is silent for timeout_ms. */
ssize_t mysql_session_read(struct mysql_session *session, void *bytes, size_t size, int timeout_ms, struct err *err) MUST_CHECK;

#endif
