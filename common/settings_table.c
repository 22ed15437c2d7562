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
static const char *const table_errors[] = {"stop", "dead_letter", NULL};
static const char *const too_large[] = {"stop", "dead_letter", NULL};
static const char *const unrepresentable[] = {"stop", "null", "text", "dead_letter", NULL};
static const char *const credentials_hosts[] = {"known", "any", NULL};
static const char *const warehouses[] = {"sqlite", "bigquery", NULL};
static const char *const methods[] = {"auto", "append", "load", NULL};
static const char *const compressions[] = {"none", "gzip", NULL};
static const char *const views[] = {"plain", "base", NULL};
static const char *const refreshes[] = {"worker", "command", NULL};
static const char *const deletes[] = {"hide", "keep", NULL};
static const char *const columns[] = {"all", "current", NULL};
static const char *const type_changes[] = {"column", "dead_letter", NULL};

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
    {.path = "log.heartbeat",
     .type = SETTING_DURATION,
     .offset = PLACE(log.heartbeat_ms),
     .standard = "1m",
     .min = SECOND,
     .max = DAY,
     .sentence = "How often a line of the log says where the program stands: lag, rate, what is under way."},
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
     .flags = SETTING_NEVER_FOR_ALL, /* that is topics.partitions */
     .offset = PLACE(topics.partitions_by_table),
     .each = SETTING_INTEGER,
     .min = 1,
     .max = 1000,
     .sentence = "Another number for the tables that match a pattern; the first that matches wins."},
    {.path = "topics.topic",
     .type = SETTING_BY_TABLE,
     .flags = SETTING_NEVER_FOR_ALL,
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
     .sentence = "Patterns of tables that are not read, even where source.tables matches. A change of one that is logged as a statement is passed over, which "
                 "stops the stream for any other table: so name none here by whose triggers or functions a selected table changes."},
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
         "Our number among the server's replicas: two readers with the same one throw each other out. 0 derives it anew at each start, "
         "from the source's name, host, process and clock."},
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
     .sentence = "What becomes of a table of which a row can't be said in its schema: stop ends the stream, with the reason, before "
                 "anything is lost; dead_letter sets the table aside: that change and all later ones of the table go to the dead letters, "
                 "in their order and with their values, until `kakehi-producer position --settled` says that the table is right again. "
                 "What can't be decoded stops the stream either way."},
    {.path = "source.unrepresentable",
     .type = SETTING_BY_TABLE,
     .flags = SETTING_OF_COLUMNS,
     .offset = PLACE(source.unrepresentable),
     .each = SETTING_CHOICE,
     .choices = unrepresentable,
     .sentence = "What becomes of values that a column's type has no place for (zero and partial dates, times that a zone skips, bytes "
                 "that are no text): stop ends the stream; \"null\" (in quotes: without them it is no value to YAML) writes NULL, and a "
                 "key can't be that; text makes the column a text, dates as MySQL prints them, such bytes as \\xHH; dead_letter gives "
                 "the row to the dead letters, and the table goes on without it. By pattern of database.table.column, the first that "
                 "matches wins; stop where none does. "
                 "kakehi_unrepresentable_total counts what was changed, kakehi_producer_dead_letters_total the letters."},
    {.path = "source.wide_decimals",
     .type = SETTING_BY_TABLE,
     .flags = SETTING_OF_COLUMNS,
     .offset = PLACE(source.wide_decimals),
     .each = SETTING_CHOICE,
     .choices = unrepresentable,
     .sentence = "What becomes of DECIMAL columns with more than 38 digits before the point, of which BigQuery's BIGNUMERIC can't hold "
                 "every value: text makes the column a text, with all digits; stop, \"null\" and dead_letter make it a number, and say what "
                 "becomes of values that have more than 38, as in source.unrepresentable, and counted there. By pattern of "
                 "database.table.column, the first that matches wins; text where none does. A history that has the column already keeps "
                 "it: a text takes numbers too, a number goes on as text in a further column. Where the column is part of the "
                 "primary key choose before the first row: the key's bytes, and so the partition of a key, differ."},
    {.path = "source.datetime_zone",
     .type = SETTING_BY_TABLE,
     .flags = SETTING_OF_COLUMNS,
     .offset = PLACE(source.datetime_zone),
     .each = SETTING_TEXT,
     .sentence = "The zone (like Asia/Tokyo) whose wall clock DATETIME columns hold, by pattern of database.table.column: they become "
                 "TIMESTAMP, true points in time. Of an hour that comes twice the first is meant; one that never was follows "
                 "source.unrepresentable, and so does a time that is outside the years 1 to 9999 in UTC (9999-12-31 23:59:59 in "
                 "America). DATETIME stays as it is where no pattern matches."},

    {.path = "registry.url",
     .type = SETTING_TEXTS,
     .offset = PLACE(registry.urls),
     .sentence = "Of a schema registry that speaks Confluent's REST API, with its base path: messages then begin with a zero byte and its "
                 "4-byte id, and readers of other makers read the topics. Without it messages carry the fingerprint of a schema in "
                 "<prefix>.schemas. The key's bytes, and so the partition of a key, differ between the two: choose before the first row. "
                 "Of several URLs of the same registry the next one is asked when one can't be reached or answers 5xx."},
    {.path = "registry.user",
     .type = SETTING_TEXT,
     .offset = PLACE(registry.user),
     .sentence = "Basic authentication at the registry (an API key's name); without it none is sent."},
    {.path = "registry.password",
     .type = SETTING_TEXT,
     .flags = SETTING_SECRET,
     .offset = PLACE(registry.password),
     .sentence = "Of registry.user (an API key's secret)."},
    {.path = "registry.ca_file",
     .type = SETTING_TEXT,
     .offset = PLACE(registry.ca_file),
     .sentence = "File of the certificates (PEM) that sign the registry's; without it the system's are taken."},
    {.path = "registry.certificate_file",
     .type = SETTING_TEXT,
     .offset = PLACE(registry.certificate_file),
     .sentence = "File of our own certificate (PEM), for a registry that asks its clients for one."},
    {.path = "registry.key_file",
     .type = SETTING_TEXT,
     .offset = PLACE(registry.key_file),
     .sentence = "File of the certificate's key (PEM, not encrypted); without it the key is looked for in the certificate's file."},
    {.path = "registry.timeout",
     .type = SETTING_DURATION,
     .offset = PLACE(registry.timeout_ms),
     .standard = "10s",
     .min = 100,
     .max = 30 * SECOND,
     .sentence = "A question to the registry without an answer for so long is asked again after a pause."},

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
                 "single row comes on top, twice: as it was read, and as it is sent. A compressed transaction whose zstd window "
                 "(32 MiB at level 20, 64 at 21, 128 at 22) does not fit into 11/16 of it stops the stream, which says what to set."},
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
    {.path = "producer.too_large",
     .type = SETTING_CHOICE,
     .offset = PLACE(producer.too_large),
     .standard = "stop",
     .choices = too_large,
     .sentence = "What becomes of a row that makes a message larger than Kafka takes (producer.kafka.message.max.bytes, and the topic's "
                 "max.message.bytes): stop ends the stream, and names both limits; dead_letter leaves a reference in the dead letters (key, "
                 "position, size, SHA-256), and the table goes on without the row. Each such row costs a start from the last commit."},
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
     .sentence = "Ceiling of what is consumed and not yet in the warehouse; when it is reached partitions pause. The largest single row of "
                 "each partition comes on top, and what 4 MiB of fetched bytes (worker.kafka.fetch.max.bytes) unpack to."},
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
     .sentence = "... or at this age: it is most of the delay that the worker adds. In BigQuery a table's freshness goes before it, where "
                 "that is not 1s."},
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
    {.path = "freshness",
     .type = SETTING_BY_TABLE,
     .offset = PLACE(freshness),
     .each = SETTING_DURATION,
     .min = 100,
     .max = 7 * DAY,
     .sentence = "How old a table's newest rows may be in BigQuery; 1s where no pattern matches. Longer is cheaper: it sets the age "
                 "of a batch; the way: free load jobs where their daily budget allows it, else appends; and the refreshes: a base is "
                 "merged once a day, from 2d on once in so many days. The latest view always shows all rows that are in. The first "
                 "pattern that matches wins."},
    {.path = "sqlite.file",
     .type = SETTING_TEXT,
     .offset = PLACE(sqlite_file),
     .sentence = "Required with warehouse: sqlite. The database file; rows and offsets stand in it together, so it is lost or kept as one."},
    {.path = "sqlite.table",
     .type = SETTING_TEXT,
     .offset = PLACE(sqlite_table),
     .standard = "{table}",
     .sentence =
         "Name of a table's latest view; {database} and {table} are replaced. The history's name has _history behind it."},

    {.path = "bigquery.project",
     .type = SETTING_TEXT,
     .offset = PLACE(bigquery.project),
     .sentence = "Required with warehouse: bigquery. The project that holds the datasets and pays for the writing."},
    {.path = "bigquery.location",
     .type = SETTING_TEXT,
     .offset = PLACE(bigquery.location),
     .standard = "US",
     .sentence = "Where datasets are made and jobs run: a multi-region like EU, or a region like asia-northeast1. A dataset that is "
                 "there already must stand in it."},
    {.path = "bigquery.dataset",
     .type = SETTING_TEXT,
     .offset = PLACE(bigquery.dataset),
     .standard = "{database}",
     .sentence = "Name of a table's dataset; {database} and {table} are replaced, and what BigQuery does not allow in a name is "
                 "mapped."},
    {.path = "bigquery.table",
     .type = SETTING_TEXT,
     .offset = PLACE(bigquery.table),
     .standard = "{table}",
     .sentence = "Name of a table's latest view; the history's name has _history behind it, the base's _base."},
    {.path = "bigquery.owner",
     .type = SETTING_NAME,
     .offset = PLACE(bigquery.owner),
     .sentence = "Stands in the label kakehi_owner of each dataset that is made, and a dataset with another owner is refused: so one "
                 "environment never writes into another's. Without it, the prefix."},
    {.path = "bigquery.labels",
     .type = SETTING_PAIRS,
     .offset = PLACE(bigquery.labels),
     .sentence = "Labels of the datasets and tables that are made: for the bill. Histories that are there get them too, when a worker "
                 "starts."},
    {.path = "bigquery.kms_key",
     .type = SETTING_TEXT,
     .offset = PLACE(bigquery.kms_key),
     .sentence = "Key of Cloud KMS (projects/../cryptoKeys/..) for the tables that are made; without it, Google's own. BigQuery's own "
                 "account must be allowed to use it. A history with another key keeps it, and a warning says how to change it."},
    {.path = "bigquery.partition_expiration",
     .type = SETTING_DURATION,
     .offset = PLACE(bigquery.partition_expiration_ms),
     .standard = "0ms",
     .min = 0,
     .max = 3650 * DAY,
     .sentence = "A history's partition is deleted so long after its ingest day; 0: never. Needs bigquery.view: base, or rows that "
                 "did not change for that long would leave the latest view. A longer one, or 0, is applied to histories that are "
                 "there; a shorter one would delete days at once, so a warning says how a person does it."},
    {.path = "bigquery.require_partition_filter",
     .type = SETTING_BOOLEAN,
     .offset = PLACE(bigquery.require_partition_filter),
     .standard = "false",
     .sentence = "true: BigQuery refuses queries of a history that name no ingest day, so that nobody scans it by mistake; needs "
                 "bigquery.view: base."},
    {.path = "bigquery.method",
     .type = SETTING_BY_TABLE,
     .offset = PLACE(bigquery.method),
     .each = SETTING_CHOICE,
     .choices = methods,
     .sentence = "How rows go in: auto decides by freshness and backlog, append and load pin one way. auto where no pattern matches."},
    {.path = "bigquery.view",
     .type = SETTING_BY_TABLE,
     .offset = PLACE(bigquery.view),
     .each = SETTING_CHOICE,
     .choices = views,
     .sentence = "How the latest view is made: plain picks the newest row of each key out of the whole history; base keeps a base "
                 "table by MERGE and reads only the newest days of the history, so that a query costs by live rows. plain where no "
                 "pattern matches."},
    {.path = "bigquery.refresh",
     .type = SETTING_CHOICE,
     .offset = PLACE(bigquery.refresh),
     .standard = "worker",
     .choices = refreshes,
     .sentence = "Who makes and refreshes the views: the worker that owns the topic's partition 0, or `kakehi-worker views`, run by "
                 "a scheduler."},
    {.path = "bigquery.deletes",
     .type = SETTING_CHOICE,
     .offset = PLACE(bigquery.deletes),
     .standard = "hide",
     .choices = deletes,
     .sentence = "keep: the latest view shows deleted rows too, with __deleted true."},
    {.path = "bigquery.columns",
     .type = SETTING_CHOICE,
     .offset = PLACE(bigquery.columns),
     .standard = "all",
     .choices = columns,
     .sentence = "current: columns that the source has dropped are left out of the latest view; the history keeps them."},
    {.path = "bigquery.on_type_change",
     .type = SETTING_CHOICE,
     .offset = PLACE(bigquery.on_type_change),
     .standard = "column",
     .choices = type_changes,
     .sentence = "What happens when a column's new type can't be had by widening: column adds <name>__<type> for the new values; "
                 "dead_letter sends those rows to the dead letters."},
    {.path = "bigquery.request",
     .type = SETTING_SIZE,
     .offset = PLACE(bigquery.request_bytes),
     .standard = "9000000",
     .min = 64 * KIB,
     .max = 9999000,
     .sentence = "Size of an AppendRows request at most; BigQuery refuses 10,000,000 bytes, emulators 4 MiB."},
    {.path = "bigquery.compression",
     .type = SETTING_CHOICE,
     .offset = PLACE(bigquery.compression),
     .standard = "none",
     .choices = compressions,
     .sentence = "gzip: AppendRows requests are compressed on the way, which costs CPU and saves traffic between clouds."},
    {.path = "bigquery.calls",
     .type = SETTING_INTEGER,
     .offset = PLACE(bigquery.calls_max),
     .standard = "100",
     .min = 1,
     .max = 10000,
     .sentence = "AppendRows calls that a worker keeps open; the one that was used least lately is closed for another. They count "
                 "against the project's connections."},
    {.path = "bigquery.call_idle",
     .type = SETTING_DURATION,
     .offset = PLACE(bigquery.call_idle_ms),
     .standard = "5m",
     .min = SECOND,
     .max = 9 * MINUTE,
     .sentence = "An AppendRows call without rows for so long is closed; BigQuery does it after ten minutes."},
    {.path = "bigquery.answer_timeout",
     .type = SETTING_DURATION,
     .offset = PLACE(bigquery.answer_timeout_ms),
     .standard = "2m",
     .min = SECOND,
     .max = 10 * MINUTE,
     .sentence = "A request that has no answer by then is sent again, the same bytes at the same offset, on another call."},
    {.path = "bigquery.table_jobs",
     .type = SETTING_INTEGER,
     .offset = PLACE(bigquery.table_jobs),
     .standard = "1500",
     .min = 1,
     .max = 86400,
     .sentence = "Load jobs of one table a day, all workers together; BigQuery allows 1500, failed ones and other jobs that write "
                 "the table included, so more is for emulators. The interval between jobs is stretched before this breaks, up to twelve hours; bigquery.method: load is kept to "
                 "also for a table of so many partitions that even this is too often."},
    {.path = "bigquery.project_jobs",
     .type = SETTING_INTEGER,
     .offset = PLACE(bigquery.project_jobs),
     .standard = "50000",
     .min = 1,
     .max = 1000000,
     .sentence = "Load jobs of all tables a day: this pipeline's share of the 100,000 of the project. All partitions of all topics that "
                 "the group reads share it alike. Those whose freshness needs more go by appends."},
    {.path = "bigquery.backlog",
     .type = SETTING_INTEGER,
     .offset = PLACE(bigquery.backlog_rows),
     .standard = "1000000",
     .min = 0,
     .max = INT64_MAX,
     .unit = "messages",
     .sentence = "A partition that is so far behind is loaded by load jobs, whatever its freshness, since they are free; 0: never for "
                 "that reason."},
    {.path = "bigquery.file",
     .type = SETTING_SIZE,
     .offset = PLACE(bigquery.file_bytes),
     .standard = "1GiB",
     .min = MIB,
     .max = 64 * GIB,
     .sentence = "A load file is ended at this size, as it is sent (compressed); it is uploaded while it grows, so it needs no memory."},
    {.path = "bigquery.retry",
     .type = SETTING_DURATION,
     .offset = PLACE(bigquery.retry_ms),
     .standard = "1m",
     .min = SECOND,
     .max = HOUR,
     .sentence = "A call of BigQuery's REST interface that fails for now (429, 5xx, quota) is repeated for so long before its caller "
                 "is told."},
    {.path = "bigquery.credentials",
     .type = SETTING_TEXT,
     .offset = PLACE(bigquery.credentials),
     .sentence = "File of a service-account key or an external account (Workload Identity Federation), or none for an emulator. "
                 "Without it: GOOGLE_APPLICATION_CREDENTIALS, then gcloud's own file, then the metadata server."},
    {.path = "bigquery.credentials_hosts",
     .type = SETTING_CHOICE,
     .offset = PLACE(bigquery.credentials_hosts),
     .standard = "known",
     .choices = credentials_hosts,
     .sentence = "known: the URLs in the file of credentials must be https and Google's, or AWS's; any: a file that was tampered with "
                 "could have tokens sent anywhere. For tests."},
    {.path = "bigquery.impersonate",
     .type = SETTING_TEXT,
     .offset = PLACE(bigquery.impersonate),
     .sentence = "A service account (e-mail) to act as."},
    {.path = "bigquery.quota_project",
     .type = SETTING_TEXT,
     .offset = PLACE(bigquery.quota_project),
     .sentence = "The project that quotas and bills of the calls go to, where it is not the credentials' own; it goes with each call. Whoever "
                 "signs in needs serviceusage.services.use there (role roles/serviceusage.serviceUsageConsumer)."},
    {.path = "bigquery.prices",
     .type = SETTING_PAIRS,
     .offset = PLACE(bigquery.prices),
     .sentence = "For `kakehi-worker check --cost`, in your currency: append_gib, storage_gib_month, scan_tib, and date, the day on "
                 "which you looked them up. Each has a default: US dollars in the US multi-region, 2026-11-21."},
    {.path = "bigquery.queries_a_day",
     .type = SETTING_INTEGER,
     .offset = PLACE(bigquery.queries_a_day),
     .standard = "24",
     .min = 0,
     .max = 10000000,
     .sentence = "How often a day each latest view is queried, for `kakehi-worker check --cost`."},
    {.path = "bigquery.endpoint",
     .type = SETTING_TEXT,
     .offset = PLACE(bigquery.endpoint),
     .standard = "https://bigquery.googleapis.com",
     .sentence = "Of the REST interface; an emulator's is http://127.0.0.1:9050."},
    {.path = "bigquery.storage_endpoint",
     .type = SETTING_TEXT,
     .offset = PLACE(bigquery.storage_endpoint),
     .standard = "https://bigquerystorage.googleapis.com",
     .sentence = "Of the Storage Write API; an emulator's is http://127.0.0.1:9060."},
    {.path = "bigquery.ca_file",
     .type = SETTING_TEXT,
     .offset = PLACE(bigquery.ca_file),
     .sentence = "File of the certificates (PEM) that sign the endpoints'; without it the system's are taken."},
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
        [SETTING_TEXTS] = "text, or list of texts",
        [SETTING_TABLES] = "list of patterns",
        [SETTING_PAIRS] = "name: text",
        [SETTING_KAFKA] = "property: value",
    };

    if (setting->type == SETTING_CHOICE) {
        append_choices(setting, text, size);
    } else if (setting->type == SETTING_INTEGER && setting->unit != NULL) {
        (void)snprintf(text, size, "number of %s", setting->unit);
    } else if (setting->type == SETTING_BY_TABLE) {
        struct setting one = *setting;
        size_t used = (size_t)snprintf(text, size, "pattern: ");

        one.type = setting->each;
        setting_describe_type(&one, text + used, size - used);
    } else {
        (void)snprintf(text, size, "%s", words[setting->type]);
    }
}
