/* SPDX-License-Identifier: Apache-2.0 */
/* One table; a variable that a server lacks may be as good as the value. */
#include "producer/binlog/requirements.h"

#include <stdlib.h>
#include <string.h>

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
    for (size_t index = 0; requirements[index].variable != NULL; index++) {
        if (requirement_check(session, &requirements[index], err) != 0) {
            return -1;
        }
    }
    return 0;
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
