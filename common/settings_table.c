/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every key of the settings file, in the order in which people read them. The sentence says what follows from the value, not
 * what the key's name says already; it is the documentation of the key everywhere.
 */
#include "common/settings_table.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define KIB    (INT64_C(1) << 10)
#define MIB    (INT64_C(1) << 20)
#define GIB    (INT64_C(1) << 30)
#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

#define PLACE(member) offsetof(struct settings, member)

_Static_assert(sizeof(enum log_format) == sizeof(int), "a choice is stored as an int");
_Static_assert(sizeof(enum tls_mode) == sizeof(int), "a choice is stored as an int");

/* In the order of the enums. */
static const char *const log_formats[] = {"logfmt", "json", NULL};
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const tls_modes[] = {"verify", "verify_ca", "off", NULL};
static const char *const table_errors[] = {"stop", NULL};
static const char *const warehouses[] = {"sqlite", NULL};

const struct setting settings_table[] = {
    {.path = "prefix",
     .type = SETTING_NAME,
     .offset = PLACE(prefix),
     .standard = "kakehi",
     .sentence = "Begins the name of every topic, consumer group and transactional id; another prefix is another pipeline that "
                 "knows nothing of this one."},
    {.path = "log.format",
     .type = SETTING_CHOICE,
     .offset = PLACE(log.format),
     .standard = "logfmt",
     .choices = log_formats,
     .sentence = "How a log line is written on stderr: key=value pairs for people, or one JSON object for collectors."},
    {.path = "log.level",
     .type = SETTING_CHOICE,
     .offset = PLACE(log.level),
     .standard = "info",
     .choices = log_levels,
     .sentence =
         "Less important lines are left out; debug traces every state machine and librdkafka's own log, and may name row "
         "contents."},
    {.path = "kafka",
     .type = SETTING_KAFKA,
     .offset = PLACE(kafka),
     .sentence =
         "librdkafka properties for both programs; bootstrap.servers is required here or in the program's own section."},

    {.path = "topics.create",
     .type = SETTING_BOOLEAN,
     .offset = PLACE(topics.create),
     .standard = "true",
     .sentence = "false: every topic must be there already, and the producer stops with the name of one that is not."},
    {.path = "topics.partitions",
     .type = SETTING_INTEGER,
     .offset = PLACE(topics.partitions),
     .standard = "1",
     .min = 1,
     .max = 1000,
     .sentence =
         "Partitions of a data topic that the producer makes; it bounds how many workers share a table, and can't change "
         "later, since the order of a key hangs on it."},
    {.path = "topics.partitions_by_table",
     .type = SETTING_BY_TABLE,
     .offset = PLACE(topics.partitions_by_table),
     .min = 1,
     .max = 1000,
     .sentence = "Another number for the tables that match a pattern; the first that matches wins."},
    {.path = "topics.topic",
     .type = SETTING_BY_TABLE,
     .offset = PLACE(topics.topic),
     .sentence = "The topic of one table, by its whole name, where two tables would get the same."},
    {.path = "topics.replication",
     .type = SETTING_INTEGER,
     .offset = PLACE(topics.replication),
     .standard = "0",
     .min = 0,
     .max = 16,
     .sentence = "Copies of each topic that the producer makes; 0 leaves it to the broker's default.replication.factor."},
    {.path = "topics.retention",
     .type = SETTING_DURATION,
     .offset = PLACE(topics.retention_ms),
     .standard = "14d",
     .min = HOUR,
     .max = 3650 * DAY,
     .sentence =
         "How long Kafka keeps the rows of a data topic: a worker that stood still for longer finds them gone and stops, and a "
         "replay reaches back no further. State topics and dead letters are kept for ever."},

    {.path = "source.name",
     .type = SETTING_NAME,
     .flags = SETTING_REQUIRED_BY_PRODUCER,
     .offset = PLACE(source.name),
     .sentence = "Names the source in every row (__source) and finds its position again; another name is another source that "
                 "begins anew."},
    {.path = "source.host",
     .type = SETTING_TEXT,
     .offset = PLACE(source.host),
     .sentence = "The MySQL or MariaDB server whose binary log is read: a writer, or a replica with log_replica_updates."},
    {.path = "source.port",
     .type = SETTING_INTEGER,
     .offset = PLACE(source.port),
     .standard = "3306",
     .min = 1,
     .max = 65535,
     .sentence = "The server's port; not used with source.socket."},
    {.path = "source.socket",
     .type = SETTING_TEXT,
     .offset = PLACE(source.socket),
     .sentence = "A local server's socket file, instead of source.host."},
    {.path = "source.user",
     .type = SETTING_TEXT,
     .flags = SETTING_REQUIRED_BY_PRODUCER,
     .offset = PLACE(source.user),
     .sentence = "Needs REPLICATION SLAVE and REPLICATION CLIENT, and SELECT on the selected tables."},
    {.path = "source.password",
     .type = SETTING_TEXT,
     .flags = SETTING_SECRET,
     .offset = PLACE(source.password),
     .sentence = "Without it, no password is sent."},
    {.path = "source.tls",
     .type = SETTING_CHOICE,
     .offset = PLACE(source.tls),
     .standard = "verify",
     .choices = tls_modes,
     .sentence =
         "verify: encrypted, and the certificate names the host; verify_ca: encrypted, and signed by source.tls_ca, whatever "
         "its name; off: rows travel readable by anyone between."},
    {.path = "source.tls_ca",
     .type = SETTING_TEXT,
     .offset = PLACE(source.tls_ca),
     .sentence = "File of the certificates that sign the server's (PEM); without it the system's are taken."},
    {.path = "source.tables",
     .type = SETTING_TABLES,
     .flags = SETTING_REQUIRED_BY_PRODUCER,
     .offset = PLACE(source.tables),
     .sentence = "Patterns database.table (* is any run of characters, ? one) of the tables to read; tables made later are "
                 "included when they match."},
    {.path = "source.exclude",
     .type = SETTING_TABLES,
     .offset = PLACE(source.exclude),
     .sentence = "Patterns of tables that are not read, even where source.tables matches."},
    {.path = "source.start",
     .type = SETTING_TEXT,
     .offset = PLACE(source.start),
     .standard = "current",
     .sentence =
         "Where the first run begins: current (what is committed from now on), earliest (the oldest log that the server "
         "has), a GTID set, or file:position. Once Kafka holds a position it is not asked again."},
    {.path = "source.server_id",
     .type = SETTING_INTEGER,
     .offset = PLACE(source.server_id),
     .standard = "0",
     .min = 0,
     .max = UINT32_MAX,
     .sentence =
         "Our number among the server's replicas: two readers with the same one throw each other out. 0 derives it from "
         "the source's name and the process."},
    {.path = "source.heartbeat",
     .type = SETTING_DURATION,
     .offset = PLACE(source.heartbeat_ms),
     .standard = "5s",
     .min = 100,
     .max = 10 * MINUTE,
     .sentence =
         "How often an idle server shows that it lives; a connection that is silent for several of these is made anew."},
    {.path = "source.connect_timeout",
     .type = SETTING_DURATION,
     .offset = PLACE(source.connect_timeout_ms),
     .standard = "10s",
     .min = 100,
     .max = 10 * MINUTE,
     .sentence = "A connection that is not made by then is given up, and tried again after a pause."},
    {.path = "source.on_table_error",
     .type = SETTING_CHOICE,
     .offset = PLACE(source.on_table_error),
     .standard = "stop",
     .choices = table_errors,
     .sentence = "What happens when a selected table can't be read exactly: stop, with the reason, before anything is lost."},

    {.path = "producer.listen",
     .type = SETTING_ADDRESS,
     .offset = PLACE(producer.listen),
     .standard = "127.0.0.1:9464",
     .sentence = "Address and port of /metrics, /livez, /readyz, /healthz and /status; port 0 takes a free one and logs it. It "
                 "asks for no password: only let people reach it who may see table names."},
    {.path = "producer.kafka",
     .type = SETTING_KAFKA,
     .offset = PLACE(producer.kafka),
     .sentence = "librdkafka properties for the producer alone; they win over kafka."},
    {.path = "producer.memory",
     .type = SETTING_SIZE,
     .offset = PLACE(producer.memory_bytes),
     .standard = "48MiB",
     .min = 16 * MIB,
     .max = 64 * GIB,
     .sentence = "Ceiling of what is read and not yet in Kafka; when it is reached the source is read no further. The largest "
                 "single row comes on top."},
    {.path = "producer.transaction.bytes",
     .type = SETTING_SIZE,
     .offset = PLACE(producer.transaction_bytes),
     .standard = "16MiB",
     .min = 64 * KIB,
     .max = 256 * MIB,
     .sentence =
         "A Kafka transaction is committed at this size at the latest: larger means fewer commits and more to read again "
         "after a crash."},
    {.path = "producer.transaction.age",
     .type = SETTING_DURATION,
     .offset = PLACE(producer.transaction_age_ms),
     .standard = "250ms",
     .min = 1,
     .max = 10 * SECOND,
     .sentence = "... or at this age: it is most of the delay that the producer adds."},
    {.path = "producer.position_interval",
     .type = SETTING_DURATION,
     .offset = PLACE(producer.position_interval_ms),
     .standard = "5s",
     .min = 100,
     .max = 10 * MINUTE,
     .sentence =
         "How often the position is committed while no selected table changes, so that it never falls out of the binary "
         "log."},

    {.path = "worker.listen",
     .type = SETTING_ADDRESS,
     .offset = PLACE(worker.listen),
     .standard = "127.0.0.1:9465",
     .sentence = "As producer.listen, for the worker."},
    {.path = "worker.group",
     .type = SETTING_NAME,
     .offset = PLACE(worker.group),
     .standard = "default",
     .sentence =
         "Workers of one group share the partitions; another group reads everything once more, and needs a warehouse of "
         "its own."},
    {.path = "worker.kafka",
     .type = SETTING_KAFKA,
     .offset = PLACE(worker.kafka),
     .sentence = "librdkafka properties for the worker alone; they win over kafka."},
    {.path = "worker.memory",
     .type = SETTING_SIZE,
     .offset = PLACE(worker.memory_bytes),
     .standard = "64MiB",
     .min = 16 * MIB,
     .max = 64 * GIB,
     .sentence = "Ceiling of what is consumed and not yet in the warehouse; when it is reached partitions pause. The largest "
                 "single row comes on top."},
    {.path = "worker.batch.rows",
     .type = SETTING_INTEGER,
     .offset = PLACE(worker.batch_rows),
     .standard = "5000",
     .min = 1,
     .max = 1000000,
     .unit = "rows",
     .sentence = "A batch goes to the warehouse at this many rows ..."},
    {.path = "worker.batch.bytes",
     .type = SETTING_SIZE,
     .offset = PLACE(worker.batch_bytes),
     .standard = "4MiB",
     .min = KIB,
     .max = GIB,
     .sentence = "... or at this size ..."},
    {.path = "worker.batch.age",
     .type = SETTING_DURATION,
     .offset = PLACE(worker.batch_age_ms),
     .standard = "1s",
     .min = 1,
     .max = 10 * MINUTE,
     .sentence = "... or at this age: it is most of the delay that the worker adds."},
    {.path = "worker.dedupe.window",
     .type = SETTING_INTEGER,
     .offset = PLACE(worker.dedupe_window),
     .standard = "20000",
     .min = 0,
     .max = 100000000,
     .unit = "offsets",
     .sentence =
         "A row whose identity stands in so many offsets before it in its partition is dropped as a repetition; exactly "
         "once does not rest on it. 0: none is dropped."},
    {.path = "worker.dedupe.memory",
     .type = SETTING_SIZE,
     .offset = PLACE(worker.dedupe_bytes),
     .standard = "8MiB",
     .min = 64 * KIB,
     .max = 16 * GIB,
     .sentence = "Bounds the window by memory, over all partitions of this worker."},
    {.path = "worker.stall",
     .type = SETTING_DURATION,
     .offset = PLACE(worker.stall_ms),
     .standard = "5m",
     .min = SECOND,
     .max = DAY,
     .sentence = "A partition with lag and without progress for this long fails /healthz."},

    {.path = "warehouse",
     .type = SETTING_CHOICE,
     .offset = PLACE(warehouse),
     .standard = "sqlite",
     .choices = warehouses,
     .sentence = "Where the rows end."},
    {.path = "sqlite.file",
     .type = SETTING_TEXT,
     .flags = SETTING_REQUIRED_BY_WORKER,
     .offset = PLACE(sqlite_file),
     .sentence = "The database file; rows and offsets stand in it together, so it is lost or kept as one."},
    {.path = "sqlite.table",
     .type = SETTING_TEXT,
     .offset = PLACE(sqlite_table),
     .standard = "{table}",
     .sentence =
         "Name of a table's latest view; {database} and {table} are replaced. The history's name has _history behind it."},
    {.path = NULL},
};

static void append_choices(const struct setting *setting, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, setting->choices[1] != NULL ? "one of " : "");

    for (size_t index = 0; setting->choices[index] != NULL && used < size; index++) {
        used += (size_t)snprintf(text + used, size - used, "%s%s", index > 0 ? ", " : "", setting->choices[index]);
    }
}

void setting_describe_type(const struct setting *setting, char *text, size_t size)
{
    static const char *const words[] = {
        [SETTING_TEXT] = "text",
        [SETTING_NAME] = "name",
        [SETTING_ADDRESS] = "address:port",
        [SETTING_INTEGER] = "number",
        [SETTING_SIZE] = "size",
        [SETTING_DURATION] = "duration",
        [SETTING_BOOLEAN] = "true or false",
        [SETTING_TABLES] = "list of patterns",
        [SETTING_BY_TABLE] = "pattern: text",
        [SETTING_KAFKA] = "property: value",
    };

    if (setting->type == SETTING_CHOICE) {
        append_choices(setting, text, size);
    } else if (setting->type == SETTING_INTEGER && setting->unit != NULL) {
        (void)snprintf(text, size, "number of %s", setting->unit);
    } else if (setting->type == SETTING_BY_TABLE && setting->max > 0) {
        (void)snprintf(text, size, "pattern: number");
    } else {
        (void)snprintf(text, size, "%s", words[setting->type]);
    }
}
