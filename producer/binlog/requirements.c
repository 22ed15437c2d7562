/* SPDX-License-Identifier: Apache-2.0 */
/* One table; a variable that a server lacks may be as good as the value. */
#include "producer/binlog/requirements.h"

#include <stdlib.h>
#include <string.h>

#include "producer/binlog/name_case.h"

#define REPLICA_STATUS_VERSION 80022 /* of MySQL: its first with SHOW REPLICA STATUS */

const struct requirement requirements[] = {
    {"log_bin", "1", false, "start the server with log_bin"},
    {"binlog_format", "ROW", true, "SET GLOBAL binlog_format=ROW, in the server's configuration too; open sessions keep the old one"},
    {"binlog_row_image", "FULL", false, "SET GLOBAL binlog_row_image=FULL, in the server's configuration too; open sessions keep the old one"},
    {"binlog_row_metadata", "FULL", false,
     "SET GLOBAL binlog_row_metadata=FULL, in the server's configuration too (MySQL from 8.0.1, MariaDB from 10.5)"},
    {NULL, NULL, false, NULL},
};

int requirement_check(struct mysql_session *session, const struct requirement *requirement, struct err *err)
{
    char *value;
    int result = 0;

    if (mysql_session_variable(session, requirement->variable, &value, err) != 0) {
        return -1;
    }
    if (value == NULL ? !requirement->may_be_absent : strcmp(value, requirement->value) != 0) {
        result = err_set(err, ERR_FATAL, "the server has %s=%.60s and must have %s: %s", requirement->variable,
                         value != NULL ? value : "(no such variable)", requirement->value[0] != '\0' ? requirement->value : "''",
                         requirement->remedy);
    }
    free(value);
    return result;
}

int requirements_check(struct mysql_session *session, struct err *err)
{
    bool known;

    for (size_t index = 0; requirements[index].variable != NULL; index++) {
        if (requirement_check(session, &requirements[index], err) != 0) {
            return -1;
        }
    }
    return requirement_no_silent_replica(session, &known, err);
}

int requirement_gtid_mode(struct mysql_session *session, bool *ret_gtid, struct err *err)
{
    char *mode;
    int result = 0;

    if (mysql_session_variable(session, "gtid_mode", &mode, err) != 0) {
        return -1;
    }
    *ret_gtid = mode != NULL && strcmp(mode, "ON") == 0;
    if (!*ret_gtid && !(mode != NULL && strcmp(mode, "OFF") == 0)) {
        result = err_set(err, ERR_FATAL, "the server has gtid_mode=%s, where transactions with and without GTIDs mix: finish the change with "
                         "SET GLOBAL gtid_mode=ON (or step back to OFF)", mode != NULL ? mode : "(no such variable)");
    }
    free(mode);
    return result;
}

int requirement_log_in_engine(struct mysql_session *session, bool *ret_in_engine, struct err *err)
{
    char *engine;

    if (mysql_session_variable(session, "binlog_storage_engine", &engine, err) != 0) {
        return -1;
    }
    *ret_in_engine = engine != NULL && engine[0] != '\0';
    free(engine);
    return 0;
}

/* ---- names */

static int patterns_are_lower(const struct text_list *patterns, const char *setting, struct err *err)
{
    for (size_t i = 0; i < patterns->count; i++) {
        if (name_case_has_upper(patterns->texts[i])) {
            return err_set(err, ERR_FATAL, "the server has lower_case_table_names=1, so no table of it matches %s %.120s: write it in lower case", setting,
                           patterns->texts[i]);
        }
    }
    return 0;
}

int requirement_name_case(struct mysql_session *session, const struct settings_source *settings, bool *ret_lower, struct err *err)
{
    char *value;
    bool kept;

    if (mysql_session_variable(session, "lower_case_table_names", &value, err) != 0) {
        return -1;
    }
    kept = value == NULL || strcmp(value, "0") == 0;
    *ret_lower = value != NULL && strcmp(value, "1") == 0;
    free(value);
    if (!kept && !*ret_lower) {
        return err_set(err, ERR_FATAL, "the server has lower_case_table_names=2, as on macOS: its log does not say in which case a name is kept: read a "
                                       "server that has 0 or 1");
    }
    if (*ret_lower && patterns_are_lower(&settings->tables, "source.tables", err) != 0) {
        return -1;
    }
    return *ret_lower ? patterns_are_lower(&settings->exclude, "source.exclude", err) : 0;
}

/* ---- replicas */

/* A server has one name or the other, or both. */
static int logs_replicated(struct mysql_session *session, const char **ret_variable, bool *ret_logs, struct err *err)
{
    static const char *const names[] = {"log_replica_updates", "log_slave_updates"};
    char *value = NULL;

    for (size_t index = 0; value == NULL && index < sizeof names / sizeof *names; index++) {
        *ret_variable = names[index];
        if (mysql_session_variable(session, names[index], &value, err) != 0) {
            return -1;
        }
    }
    *ret_logs = value != NULL && strcmp(value, "1") == 0;
    free(value);
    return 0;
}

/* MariaDB tells everybody how many of its replications run. */
static int is_replicating(struct mysql_session *session, bool *ret_replicating, struct err *err)
{
    struct mysql_rows rows;
    const char *count;

    if (mysql_session_ask(session, "SHOW GLOBAL STATUS LIKE 'Slaves_running'", &rows, err) != 0) {
        return -1;
    }
    count = mysql_rows_text(&rows, 0, 1);
    *ret_replicating = count != NULL && strcmp(count, "0") != 0;
    mysql_rows_deinit(&rows);
    return 0;
}

/* Also one that stands still: it may be started at any time, and nobody would ask us. */
static int is_replica(struct mysql_session *session, bool *ret_replica, bool *ret_known, struct err *err)
{
    const struct mysql_server *server = mysql_session_server(session);
    bool new_word = !server->mariadb && server->version >= REPLICA_STATUS_VERSION;
    struct mysql_rows rows;

    *ret_known = true;
    if (mysql_session_ask(session, server->mariadb ? "SHOW ALL SLAVES STATUS" : new_word ? "SHOW REPLICA STATUS" : "SHOW SLAVE STATUS", &rows, err) == 0) {
        *ret_replica = rows.row_count > 0;
        mysql_rows_deinit(&rows);
        return 0;
    }
    if (err->class != ERR_FATAL) {
        return -1;
    }
    if (is_replicating(session, ret_replica, err) != 0) { /* not allowed to see more */
        return -1;
    }
    *ret_known = *ret_replica;
    return 0;
}

int requirement_no_silent_replica(struct mysql_session *session, bool *ret_known, struct err *err)
{
    const char *variable;
    bool logs;
    bool replica = false;

    *ret_known = true;
    if (logs_replicated(session, &variable, &logs, err) != 0 || (!logs && is_replica(session, &replica, ret_known, err) != 0)) {
        return err_while(err, "asking whether all that the server replicates is logged");
    }
    return !replica ? 0 : err_set(err, ERR_FATAL, "the server is a replica with %s=OFF: what it replicates would be missing: switch that on in its "
                                  "configuration, or read its source, or RESET REPLICA ALL if it is none any more", variable);
}
