/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables that the settings select: will each go its way, and what will surprise its readers?
 *
 * Names and columns are asked of information_schema, which shows a table to whoever has any right on it; so a table that is named and not
 * seen lacks a grant, or is not there. Keys are read in SHOW CREATE TABLE: information_schema calls a unique key "PRI" where there is no
 * primary key, which the log does not; MariaDB shows foreign keys there only to those who may change the table; and a question that joins
 * its views takes many seconds where there are many tables.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/must.h"
#include "producer/check_parts.h"
#include "producer/topics.h"
#include "schemas/types.h"

#define NAME_SIZE    520 /* database.table: 64 characters each, up to 4 bytes */
#define SUBJECT_SIZE (NAME_SIZE + 280) /* a column, and a word before it */
#define NOT_SYSTEM   "TABLE_SCHEMA NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')"

struct check_topic {
    struct check_topic *next;
    char topic[TOPIC_NAME_SIZE]; /* "": it has none */
    char table[NAME_SIZE];
    int partitions;
};

/* ---- topics */

static const struct check_topic *find_topic(const struct check *check, const char *topic)
{
    const struct check_topic *known = check->topics;

    while (known != NULL && strcmp(known->topic, topic) != 0) {
        known = known->next;
    }
    return known;
}

static void remember_topic(struct check *check, const char *topic, const char *table)
{
    struct check_topic *known = calloc(1, sizeof *known);

    must(known != NULL);
    (void)snprintf(known->topic, sizeof known->topic, "%s", topic);
    (void)snprintf(known->table, sizeof known->table, "%s", table);
    known->partitions = settings_partitions(check->settings, table);
    known->next = check->topics;
    check->topics = known;
}

int check_partitions(void *context, const char *topic)
{
    const struct check_topic *known = find_topic(context, topic);

    return known != NULL ? known->partitions : 0;
}

/* Each once: those of which two tables have one, and those that have no name, were told of before. */
const char *check_next_topic(void *context, const char *topic)
{
    const struct check *check = context;
    const struct check_topic *next = topic == NULL ? check->topics : find_topic(check, topic)->next;

    while (next != NULL && (next->topic[0] == '\0' || find_topic(check, next->topic) != next)) {
        next = next->next;
    }
    return next != NULL ? next->topic : NULL;
}

void check_forget_topics(struct check *check)
{
    while (check->topics != NULL) {
        struct check_topic *known = check->topics;

        check->topics = known->next;
        free(known);
    }
}

/* ---- foreign keys */

static void append_identifier(struct buffer *sql, const char *name)
{
    buffer_append_byte(sql, '`');
    for (; *name != '\0'; name++) {
        buffer_append_text(sql, *name == '`' ? "`" : "");
        buffer_append_byte(sql, (uint8_t)*name);
    }
    buffer_append_byte(sql, '`');
}

/* MySQL from 9.6 on can carry cascades out above the storage engine, and then logs their rows like any other. */
static bool logs_cascades(struct check *check)
{
    char *native = NULL;
    struct err err;
    bool logs = mysql_session_variable(check->session, "innodb_native_foreign_keys", &native, &err) == 0 && native != NULL &&
                (strcmp(native, "OFF") == 0 || strcmp(native, "0") == 0);

    free(native);
    return logs;
}

static void judge_cascade(struct check *check, const char *subject, const char *rule)
{
    if (logs_cascades(check)) {
        finding(check->findings, FINDING_NOTE, subject, NULL, "a foreign key with %s changes its rows; this server logs them", rule);
    } else {
        finding(check->findings, FINDING_WARNING, subject, "use RESTRICT, and let the application change these rows",
                "a foreign key with %s changes its rows inside the storage engine, and the log does not show it", rule);
    }
}

/* ---- definitions */

static bool begins(const char *line, const char *words)
{
    return strncmp(line + strspn(line, " "), words, strlen(words)) == 0;
}

/* A line of a definition. Comments and defaults stand in lines of columns, which begin with a backtick. */
static void judge_line(struct check *check, const char *line, size_t size, const char *subject)
{
    static const char *const rules[] = {"ON DELETE CASCADE", "ON DELETE SET NULL", "ON UPDATE CASCADE", "ON UPDATE SET NULL"};

    if (!begins(line, "CONSTRAINT") || memmem(line, size, "FOREIGN KEY", strlen("FOREIGN KEY")) == NULL) {
        return;
    }
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (memmem(line, size, rules[i], strlen(rules[i])) != NULL) {
            judge_cascade(check, subject, rules[i]);
        }
    }
}

static bool judge_definition(struct check *check, const char *definition, const char *subject)
{
    bool has_key = false;

    for (const char *line = definition; *line != '\0'; line += *line == '\n') {
        size_t size = strcspn(line, "\n");

        has_key = has_key || begins(line, "PRIMARY KEY");
        judge_line(check, line, size, subject);
        line += size;
    }
    return has_key;
}

/* Has it a primary key? What can't be read is a finding, and counts as one. */
static bool check_definition(struct check *check, const char *database, const char *table, const char *subject)
{
    const char *definition;
    struct mysql_rows rows;
    struct buffer sql = {0};
    struct err err;
    bool has_key = true;

    buffer_append_text(&sql, "SHOW CREATE TABLE ");
    append_identifier(&sql, database);
    buffer_append_byte(&sql, '.');
    append_identifier(&sql, table);
    if (mysql_session_ask(check->session, buffer_text(&sql), &rows, &err) != 0) {
        finding(check->findings, FINDING_WARNING, subject, "GRANT SELECT on it", "its definition can't be read: %s", err.text);
    } else {
        definition = mysql_rows_text(&rows, 0, 1);
        has_key = definition == NULL || judge_definition(check, definition, subject);
        mysql_rows_deinit(&rows);
    }
    buffer_deinit(&sql);
    return has_key;
}

/* ---- tables and columns */

static bool is_selected(const struct check *check, const struct mysql_rows *rows, size_t row, char name[NAME_SIZE])
{
    (void)snprintf(name, NAME_SIZE, "%s.%s", mysql_rows_text(rows, row, 0), mysql_rows_text(rows, row, 1));
    return settings_selects(&check->settings->source, name);
}

static void judge_topic(struct check *check, const char *subject, const char *table, const char *topic, bool has_key)
{
    const struct check_topic *other = find_topic(check, topic);

    if (other != NULL) {
        finding(check->findings, FINDING_ERROR, subject, "name another topic for one of them in topics.topic", "its topic %s is that of %s", topic, other->table);
    } else if (!has_key) {
        finding(check->findings, FINDING_WARNING, subject, "give it a primary key",
                "it has no primary key: an update is a delete and an insert, and there is no latest view");
    } else {
        finding(check->findings, FINDING_OK, subject, NULL, "goes to topic %s", topic);
    }
    remember_topic(check, topic, table);
}

/* What MariaDB has beside ordinary tables. Changes of both stand in the log as rows. */
static void judge_kind(struct check *check, const char *subject, const char *kind)
{
    if (strcmp(kind, "SYSTEM VERSIONED") == 0) {
        finding(check->findings, FINDING_WARNING, subject,
                "in the view take the rows whose row_end lies in the future, or leave the table out (source.exclude)",
                "it is system-versioned: its latest view shows the rows of its past beside those of today");
    } else if (strcmp(kind, "SEQUENCE") == 0) {
        finding(check->findings, FINDING_NOTE, subject, "leave it out (source.exclude) unless you want that",
                "it is a sequence: a row for each range of values that it gives out");
    }
}

static void judge_table(struct check *check, const struct mysql_rows *rows, size_t row)
{
    char name[NAME_SIZE], subject[SUBJECT_SIZE], topic[TOPIC_NAME_SIZE];
    const char *database = mysql_rows_text(rows, row, 0), *table = mysql_rows_text(rows, row, 1);
    struct err err;
    bool has_key;

    if (!is_selected(check, rows, row, name)) {
        return;
    }
    (void)snprintf(subject, sizeof subject, "table %s", name);
    judge_kind(check, subject, mysql_rows_text(rows, row, 2));
    has_key = check_definition(check, database, table, subject);
    if (topics_data_name(check->settings, database, table, topic, &err) == 0) {
        judge_topic(check, subject, name, topic, has_key);
    } else {
        finding(check->findings, FINDING_ERROR, subject, "name its topic in topics.topic", "%s", err.text);
        remember_topic(check, "", name);
    }
}

/* `name`: database.table.column. */
static void judge_wide_decimal(struct check *check, const char *name, const char *subject, const char *type)
{
    const char *policy = text_pairs_match(&check->settings->source.wide_decimals, name);

    if (policy == NULL || strcmp(policy, "text") == 0) {
        finding(check->findings, FINDING_NOTE, subject, NULL, "%s is wider than BigQuery's BIGNUMERIC: it travels as text", type);
    } else {
        finding(check->findings, FINDING_NOTE, subject, NULL,
                "%s is wider than BigQuery's BIGNUMERIC: what has more than %d digits before the point follows source.wide_decimals (%s)",
                type, TYPES_DECIMAL_WHOLE_MAX, policy);
    }
}

/* Only those that the question picks out. */
static void judge_column(struct check *check, const struct mysql_rows *rows, size_t row)
{
    bool stops = check->settings->source.on_table_error == ON_TABLE_ERROR_STOP;
    const char *type = mysql_rows_text(rows, row, 3);
    char name[NAME_SIZE], subject[SUBJECT_SIZE];

    if (!is_selected(check, rows, row, name)) {
        return;
    }
    (void)snprintf(subject, sizeof subject, "column %s.%s", name, mysql_rows_text(rows, row, 2));
    if (strncmp(type, "decimal", strlen("decimal")) == 0) {
        judge_wide_decimal(check, subject + strlen("column "), subject, type);
    } else {
        finding(check->findings, stops ? FINDING_ERROR : FINDING_WARNING, subject,
                "set mysql56_temporal_format=ON and rebuild the table (ALTER TABLE ... FORCE), or leave it out (source.exclude)",
                "%s is of the form before MariaDB 10.1, of which the log does not tell the fraction: %s", type,
                stops ? "the first change of the table stops the stream" : "the table's changes go to the dead letters");
    }
}

static void check_names(struct check *check)
{
    const struct text_list *patterns = &check->settings->source.tables;
    char subject[SUBJECT_SIZE];

    for (size_t i = 0; i < patterns->count; i++) {
        const struct check_topic *known = check->topics;

        while (known != NULL && !text_matches(patterns->texts[i], known->table)) {
            known = known->next;
        }
        if (known == NULL) {
            (void)snprintf(subject, sizeof subject, "source.tables, %.256s", patterns->texts[i]);
            finding(check->findings, FINDING_WARNING, subject, "compare it (case counts) with SHOW TABLES, and the user's SELECT grants with SHOW GRANTS",
                    "it selects no table that %s can see", check->settings->source.user);
        }
    }
}

void check_tables(struct check *check)
{
    check_ask(check, "tables",
              "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES"
              " WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE') AND " NOT_SYSTEM " ORDER BY 1, 2",
              judge_table);
    check_names(check);
    check_ask(check, "columns",
              "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS WHERE " NOT_SYSTEM
              " AND ((DATA_TYPE IN ('datetime', 'time', 'timestamp') AND COLUMN_TYPE LIKE '%/* mariadb-5.3 */')"
              " OR (DATA_TYPE = 'decimal' AND NUMERIC_PRECISION - NUMERIC_SCALE > 38))",
              judge_column);
}
