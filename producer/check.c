/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source first, then Kafka; each part goes on where another has failed, so that a person mends all in one round.
 *
 * What is asked of the server is what the stream will need (requirements.h), what a fail-over or a long stop will need (GTID mode,
 * retention), and what no log can show: rows that a cascading foreign key changes inside InnoDB never reach the binary log.
 */
#include "producer/check.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/findings.h"
#include "common/kafka.h"
#include "common/kafka_check.h"
#include "common/must.h"
#include "common/registry_check.h"
#include "producer/binlog/payload.h"
#include "producer/binlog/requirements.h"
#include "producer/check_parts.h"
#include "producer/handle.h"

#define RETENTION_LOW_S  (24 * 3600)
#define REPLICAS_VERSION 80022 /* of MySQL: its first with SHOW REPLICAS */
#define EVENT_BYTES_HIGH (16 * 1024 * 1024)
#define TRANSACTIONS_MS  30000

/* ---- questions to the server */

void check_ask(struct check *check, const char *subject, const char *sql, void (*judge)(struct check *check, const struct mysql_rows *rows, size_t row))
{
    struct mysql_rows rows;
    struct err err;

    if (mysql_session_ask(check->session, sql, &rows, &err) != 0) {
        finding(check->findings, FINDING_WARNING, subject, "let source.user ask this", "can't be asked: %s", err.text);
        return;
    }
    for (size_t row = 0; row < rows.row_count; row++) {
        judge(check, &rows, row);
    }
    mysql_rows_deinit(&rows);
}

/* A number from a global variable; -1: there is none of that name. */
static int64_t number_of(struct check *check, const char *variable)
{
    char *text = NULL;
    struct err err;
    int64_t number = -1;

    if (mysql_session_variable(check->session, variable, &text, &err) == 0 && text != NULL) {
        number = strtoll(text, NULL, 10);
    }
    free(text);
    return number;
}

static void check_requirement(struct check *check, const struct requirement *requirement)
{
    struct err err;
    bool met = requirement_check(check->session, requirement, &err) == 0;

    if (met) {
        finding(check->findings, FINDING_OK, requirement->variable, NULL, "is %s", requirement->value[0] != '\0' ? requirement->value : "empty");
    } else {
        finding(check->findings, FINDING_ERROR, requirement->variable, requirement->remedy, "%s", err.text);
    }
}

static void check_gtid(struct check *check)
{
    struct err err;
    bool gtid;

    if (mysql_session_server(check->session)->mariadb) {
        return; /* it always has them */
    }
    if (requirement_gtid_mode(check->session, &gtid, &err) != 0) {
        finding(check->findings, FINDING_ERROR, "gtid_mode", "SET GLOBAL gtid_mode=ON, or step back to OFF", "%s", err.text);
    } else if (gtid) {
        finding(check->findings, FINDING_OK, "gtid_mode", NULL, "is ON");
    } else {
        finding(check->findings, FINDING_WARNING, "gtid_mode", "set gtid_mode=ON and enforce_gtid_consistency=ON",
                "is OFF: positions are file and offset, which another server of a fail-over does not know");
    }
}

static void check_name_case(struct check *check)
{
    struct err err;
    bool lower;

    if (requirement_name_case(check->session, &check->settings->source, &lower, &err) != 0) {
        finding(check->findings, FINDING_ERROR, "lower_case_table_names", "with 1, write source.tables and source.exclude in lower case; read no server that has 2",
                "%s", err.text);
    } else if (lower) {
        finding(check->findings, FINDING_OK, "lower_case_table_names", NULL, "is 1: names of tables are in lower case");
    }
}

static void check_replica(struct check *check)
{
    struct err err;
    bool known;

    if (requirement_no_silent_replica(check->session, &known, &err) != 0) {
        finding(check->findings, FINDING_ERROR, "replication", "log_replica_updates=ON (MariaDB: log_slave_updates), in the server's configuration", "%s",
                err.text);
    } else if (!known) {
        finding(check->findings, FINDING_NOTE, "replication", "GRANT SLAVE MONITOR ON *.* TO the user to have it asked",
                "the server has log_slave_updates=OFF, and whether it is a replica can't be asked: what it replicates would be missing");
    } else {
        finding(check->findings, FINDING_OK, "replication", NULL, "nothing that the server replicates is missing in its log");
    }
}

static void check_retention_variables(struct check *check)
{
    int64_t seconds = number_of(check, "binlog_expire_logs_seconds");
    int64_t days = number_of(check, "expire_logs_days");

    seconds = seconds > 0 ? seconds : days > 0 ? days * 24 * 3600 : 0;
    if (seconds == 0) {
        finding(check->findings, FINDING_NOTE, "binlog retention", NULL,
                "the server's variables name none; on RDS and Aurora it is mysql.rds_set_configuration('binlog retention hours', ..), which this "
                "user can't see, and at least 24 are wise");
    } else if (seconds < RETENTION_LOW_S) {
        finding(check->findings, FINDING_WARNING, "binlog retention", "raise binlog_expire_logs_seconds to some days",
                "is %lld s: a producer that stands still for longer finds its place gone", (long long)seconds);
    } else {
        finding(check->findings, FINDING_OK, "binlog retention", NULL, "is %lld h", (long long)seconds / 3600);
    }
}

/* RDS and Aurora have a task of their own that deletes logs, whatever the server's variables say. NULL: as soon as it likes. */
static void judge_rds_retention(struct check *check, const struct mysql_rows *rows, size_t row)
{
    const char *hours = mysql_rows_text(rows, row, 0);

    if (hours == NULL || strtoll(hours, NULL, 10) < RETENTION_LOW_S / 3600) {
        finding(check->findings, FINDING_WARNING, "binlog retention", "CALL mysql.rds_set_configuration('binlog retention hours', 72), or more",
                "mysql.rds_configuration has binlog retention hours=%.20s: a producer that stands still for longer finds its place gone",
                hours != NULL ? hours : "NULL");
    } else {
        finding(check->findings, FINDING_OK, "binlog retention", NULL, "is %.20s h", hours);
    }
}

static void judge_rds(struct check *check, const struct mysql_rows *rows, size_t row)
{
    (void)rows;
    (void)row;
    check->rds = true;
}

static void check_retention(struct check *check)
{
    check_ask(check, "binlog retention", "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'mysql' AND TABLE_NAME = 'rds_configuration'",
              judge_rds);
    if (check->rds) { /* MAX: one row, also of none */
        check_ask(check, "binlog retention", "SELECT MAX(value) FROM mysql.rds_configuration WHERE name = 'binlog retention hours'", judge_rds_retention);
    } else {
        check_retention_variables(check);
    }
}

/* Rows of one event can't be parted: its checksum stands at its end (ARCHITECTURE.md, "Checksums before rows"). */
static void check_event_size(struct check *check)
{
    int64_t bytes = number_of(check, "binlog_row_event_max_size");

    if (bytes > EVENT_BYTES_HIGH) {
        finding(check->findings, FINDING_WARNING, "binlog_row_event_max_size", "set it to some MiB at most (8192 is the default), and start the server anew",
                "is %lld: the rows of one event are one Kafka transaction, which ends when its time-out does, and would begin again without end",
                (long long)bytes);
    }
}

/* A session may have a level of its own: the stream sees what each transaction needs. */
static void check_compression(struct check *check)
{
    int64_t level = number_of(check, "binlog_transaction_compression_level_zstd");
    uint64_t memory_bytes = level > 0 ? payload_memory_of_level((int)level) : 0;

    if (memory_bytes > (uint64_t)check->settings->producer.memory_bytes) {
        char remedy[128];

        (void)snprintf(remedy, sizeof remedy, "set producer.memory to %" PRIu64 "MiB, or the level to 19", memory_bytes >> 20);
        finding(check->findings, FINDING_WARNING, "binlog_transaction_compression_level_zstd", remedy,
                "is %lld: a large transaction that is compressed so stops the stream, since its window does not fit into producer.memory", (long long)level);
    }
}

static void check_log_in_engine(struct check *check)
{
    struct err err;
    bool in_engine;

    if (requirement_log_in_engine(check->session, &in_engine, &err) != 0) {
        finding(check->findings, FINDING_WARNING, "binlog_storage_engine", "let source.user ask this", "can't be asked: %s", err.text);
    } else if (in_engine) {
        finding(check->findings, FINDING_WARNING, "binlog_storage_engine",
                "start the server without it, so that its log is in files; or try it with data that you can compare",
                "is set: by MariaDB's word such a server sends what it would of files, but this program never met one; source.start=earliest is refused");
    }
}

/* Our own dump does not register, nor do other readers of logs: what is not seen may be in use all the same. */
static void check_server_id(struct check *check)
{
    const struct mysql_server *server = mysql_session_server(check->session);
    bool old = server->mariadb || server->version < REPLICAS_VERSION;
    int64_t server_id = check->settings->source.server_id;
    bool taken = false;
    struct mysql_rows rows;
    struct err err;

    if (server_id == 0) {
        return; /* the producer makes one */
    }
    if (mysql_session_ask(check->session, old ? "SHOW SLAVE HOSTS" : "SHOW REPLICAS", &rows, &err) != 0) {
        finding(check->findings, FINDING_WARNING, "source.server_id",
                server->mariadb ? "GRANT REPLICATION MASTER ADMIN ON *.* TO the user" : "GRANT REPLICATION SLAVE ON *.* TO the user",
                "whether another replica has it can't be asked: %s", err.text);
        return;
    }
    for (size_t row = 0; row < rows.row_count; row++) {
        const char *id = mysql_rows_text(&rows, row, 0);

        taken = taken || (id != NULL && strtoll(id, NULL, 10) == server_id);
    }
    mysql_rows_deinit(&rows);
    if (taken) {
        finding(check->findings, FINDING_ERROR, "source.server_id", "take another number, or 0",
                "%lld is in use by another replica: the two throw each other out", (long long)server_id);
    } else {
        finding(check->findings, FINDING_OK, "source.server_id", NULL,
                "no replica has %lld (only replicas that register are seen; producers, and other readers of the log, don't)", (long long)server_id);
    }
}

static void check_source(struct check *check)
{
    struct err err;

    mysql_session_prepare();
    if (mysql_session_open(&check->settings->source, &check->session, &err) != 0) {
        finding(check->findings, FINDING_ERROR, "source", "see source.host, source.user, source.tls, and what stands between", "%s", err.text);
        return;
    }
    finding(check->findings, FINDING_OK, "source", NULL, "%s", mysql_session_server(check->session)->description);
    for (size_t index = 0; requirements[index].variable != NULL; index++) {
        check_requirement(check, &requirements[index]);
    }
    check_gtid(check);
    check_name_case(check);
    check_replica(check);
    check_retention(check);
    check_log_in_engine(check);
    check_event_size(check);
    check_compression(check);
    check_server_id(check);
    check_grants(check);
    check_tables(check);
    mysql_session_close(check->session);
}

/* ---- Kafka's transactions */

/* With an id of its own, so that a producer at work is not fenced off. */
static void check_transactions(const struct settings *settings, struct findings *findings)
{
    char id[256];
    struct err err = {0};
    rd_kafka_conf_t *conf = NULL;
    rd_kafka_t *handle = NULL;
    rd_kafka_error_t *error = NULL;

    if (kafka_join(id, sizeof id, (const char *const[]){settings->prefix, settings->source.name, "check", NULL}, &err) == 0 &&
        handle_conf(RD_KAFKA_PRODUCER, settings, (const struct handle_property[]){{0}},
                    (const struct handle_property[]){{"transactional.id", id}, {0}}, &conf, &err) == 0 &&
        handle_new(RD_KAFKA_PRODUCER, conf, &handle, &err) == 0) {
        error = rd_kafka_init_transactions(handle, TRANSACTIONS_MS);
    }
    if (handle != NULL && error == NULL) {
        finding(findings, FINDING_OK, "kafka transactions", NULL, "can be begun");
    } else {
        finding(findings, FINDING_ERROR, "kafka transactions",
                "allow transactional ids that begin with the prefix (ACL), see that __transaction_state can be written, and that transaction.timeout.ms is "
                "within the brokers' transaction.max.timeout.ms",
                "%s",
                error != NULL ? rd_kafka_error_string(error) : err.text);
    }
    if (error != NULL) {
        rd_kafka_error_destroy(error);
    }
    if (handle != NULL) {
        rd_kafka_destroy(handle);
    }
}

int producer_check(const struct settings *settings, bool json)
{
    struct check check = {.settings = settings, .findings = findings_new(stdout, json)};
    const struct kafka_check_topics topics = {.context = &check, .partitions = check_partitions, .next = check_next_topic};

    check_source(&check);
    if (kafka_check(settings, &settings->producer.kafka, &topics, check.findings)) {
        check_transactions(settings, check.findings);
    }
    registry_check(&settings->registry, check.findings);
    check_forget_topics(&check);
    return findings_end(check.findings);
}
