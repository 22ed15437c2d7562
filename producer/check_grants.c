/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the source's user may do. The log is read with two global rights. SELECT on the tables is another matter: the log shows rows of all
 * tables, whoever reads it, but information_schema shows a table only to who has a right on it. So a table that a pattern selects, and that the
 * user can't see, is published all the same, and nobody has looked at it before; and what MariaDB's log lacks can't be asked.
 *
 * Grants by role are not taken apart: where a role is in force, nothing is said of patterns.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buffer.h"
#include "producer/check_parts.h"

/* ---- the log */

/* Any one of them, for everything (*.*); roles in force stand among the grants, on both kinds of server. */
static const char *const to_read[] = {"REPLICATION SLAVE", "REPLICATION REPLICA", "ALL PRIVILEGES", NULL};
static const char *const to_ask[] = {"REPLICATION CLIENT", "BINLOG MONITOR", "SUPER", "ALL PRIVILEGES", NULL};

static bool is_one_of(const char *text, size_t size, const char *const *names)
{
    while (*names != NULL && !(strlen(*names) == size && strncasecmp(*names, text, size) == 0)) {
        names++;
    }
    return *names != NULL;
}

/* "GRANT SELECT, REPLICATION SLAVE ON *.* TO ...". Words that only begin so are other rights (REPLICATION SLAVE ADMIN). */
static bool line_grants(const char *line, const char *const *names)
{
    const char *end = strstr(line, " ON *.* TO ");
    bool grants = false;

    if (end == NULL || strncmp(line, "GRANT ", 6) != 0) {
        return false;
    }
    for (const char *at = line + 6; at < end && !grants; at += strspn(at, ", ")) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        size_t size = (size_t)((comma != NULL ? comma : end) - at);

        grants = is_one_of(at, size, names);
        at += size;
    }
    return grants;
}

static bool has_grant(const struct mysql_rows *rows, const char *const *names)
{
    bool has = false;

    for (size_t row = 0; row < rows->row_count; row++) {
        const char *line = mysql_rows_text(rows, row, 0);

        has = has || (line != NULL && line_grants(line, names));
    }
    return has;
}

static void check_log_grants(struct check *check)
{
    const char *user = check->settings->source.user;
    struct mysql_rows rows;
    struct err err;

    if (mysql_session_ask(check->session, "SHOW GRANTS", &rows, &err) != 0) {
        finding(check->findings, FINDING_WARNING, "grants", "let source.user ask SHOW GRANTS", "can't be read: %s", err.text);
        return;
    }
    if (!has_grant(&rows, to_read)) {
        finding(check->findings, FINDING_ERROR, "grants", "GRANT REPLICATION SLAVE ON *.* TO the user", "%s may not read the log", user);
    }
    if (!has_grant(&rows, to_ask)) {
        finding(check->findings, FINDING_ERROR, "grants", "GRANT REPLICATION CLIENT ON *.* TO the user (MariaDB: BINLOG MONITOR)",
                "%s may not ask where the log is", user);
    }
    mysql_rows_deinit(&rows);
}

/* ---- tables */

/* 'user'@'host', as information_schema has it. */
#define HOST "SUBSTRING_INDEX(CURRENT_USER(), '@', -1)"
#define ME   "CONCAT('''', LEFT(CURRENT_USER(), CHAR_LENGTH(CURRENT_USER()) - CHAR_LENGTH(" HOST ") - 1), '''@''', " HOST ", '''')"

static bool has_role(struct check *check)
{
    struct mysql_rows rows;
    struct err err;
    const char *role;
    bool has;

    if (mysql_session_ask(check->session, "SELECT CURRENT_ROLE()", &rows, &err) != 0) {
        return true;
    }
    role = mysql_rows_text(&rows, 0, 0); /* MariaDB says NULL, MySQL NONE */
    has = role != NULL && strcmp(role, "NONE") != 0;
    mysql_rows_deinit(&rows);
    return has;
}

/* Does SELECT on everything, or on a database that LIKE matches, cover all tables of the database? One that is a pattern of ours is covered by
 * what matches it as a text. */
static bool is_granted(struct check *check, const char *database, bool *ret_granted, struct err *err)
{
    struct mysql_rows rows;
    struct buffer sql = {0};
    char *quoted = mysql_session_quote(check->session, database);
    int status;

    buffer_printf(&sql,
                  "SELECT 1 FROM (SELECT '%%' AS granted FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'SELECT' AND GRANTEE = " ME
                  " UNION ALL SELECT TABLE_SCHEMA FROM information_schema.SCHEMA_PRIVILEGES WHERE PRIVILEGE_TYPE = 'SELECT' AND GRANTEE = " ME
                  ") AS grants WHERE %s LIKE granted", quoted);
    status = mysql_session_ask(check->session, buffer_text(&sql), &rows, err);
    if (status == 0) {
        *ret_granted = rows.row_count > 0;
        mysql_rows_deinit(&rows);
    }
    buffer_deinit(&sql);
    free(quoted);
    return status == 0;
}

static void check_pattern(struct check *check, const char *pattern)
{
    const char *user = check->settings->source.user;
    const char *dot = strchr(pattern, '.'); /* settings see to it */
    struct buffer database = {0};
    char subject[300];
    struct err err;
    bool granted = true;

    if (strpbrk(dot, "*?") == NULL) {
        return; /* one table: it is seen, or said to select nothing */
    }
    (void)snprintf(subject, sizeof subject, "source.tables, %.256s", pattern);
    buffer_append(&database, pattern, (size_t)(dot - pattern));
    if (!is_granted(check, buffer_text(&database), &granted, &err)) {
        finding(check->findings, FINDING_WARNING, subject, "let source.user ask information_schema", "whether %s may see all that it selects can't be asked: %s", user, err.text);
    } else if (!granted) {
        finding(check->findings, FINDING_WARNING, subject, "GRANT SELECT on the database as a whole, or name the tables one by one",
                "%s may not see all that it selects: tables that it can't see are published, and were not checked", user);
    }
    buffer_deinit(&database);
}

void check_grants(struct check *check)
{
    const struct text_list *patterns = &check->settings->source.tables;
    bool by_role = has_role(check);

    check_log_grants(check);
    for (size_t i = 0; i < patterns->count && !by_role; i++) {
        check_pattern(check, patterns->texts[i]);
    }
}
