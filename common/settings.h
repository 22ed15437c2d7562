/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings: the one YAML file that both programs read, as a typed struct.
 *
 * settings_table.c is the only place that names a key: its type, default (as text, parsed like the file's), limits, unit, flags
 * and one sentence on its consequence. It drives parsing, validation, `--help-settings`, the redacted print and the
 * documentation page. One file serves both programs, so there is one table; it holds words, no knowledge: this folder still
 * includes nothing of MySQL or the warehouses.
 *
 * Rules: an unknown key is an error that offers the nearest name. All errors are reported at once. `${NAME}` is replaced by the
 * environment (unset: an error; `$${` is a plain `${`). A secret comes from `${NAME}` or from a file (`password_file:`), never
 * as plain text. Sizes: bytes, or KiB, MiB, GiB. Durations: ms, s, m, h, d. One value where patterns are expected is the value for
 * all tables (`freshness: 5s`) and stands alone.
 */
#ifndef KAKEHI_COMMON_SETTINGS_H
#define KAKEHI_COMMON_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"
#include "common/log.h"
#include "common/text_list.h"

enum tls_mode { TLS_VERIFY, TLS_VERIFY_CA, TLS_OFF };
enum on_table_error { ON_TABLE_ERROR_STOP, ON_TABLE_ERROR_DEAD_LETTER };
enum too_large { TOO_LARGE_STOP, TOO_LARGE_DEAD_LETTER };
enum warehouse_kind { WAREHOUSE_SQLITE, WAREHOUSE_BIGQUERY };
enum bigquery_method { BIGQUERY_AUTO, BIGQUERY_APPEND, BIGQUERY_LOAD };
enum bigquery_hosts { BIGQUERY_HOSTS_KNOWN, BIGQUERY_HOSTS_ANY };
enum bigquery_compression { BIGQUERY_COMPRESSION_NONE, BIGQUERY_COMPRESSION_GZIP };
enum bigquery_view { BIGQUERY_VIEW_PLAIN, BIGQUERY_VIEW_BASE };
enum bigquery_deletes { BIGQUERY_DELETES_HIDE, BIGQUERY_DELETES_KEEP };
enum bigquery_columns { BIGQUERY_COLUMNS_ALL, BIGQUERY_COLUMNS_CURRENT };
enum bigquery_refresh { BIGQUERY_REFRESH_WORKER, BIGQUERY_REFRESH_COMMAND };
enum bigquery_type_change { BIGQUERY_TYPE_CHANGE_COLUMN, BIGQUERY_TYPE_CHANGE_DEAD_LETTER };

struct settings_log {
    enum log_format format;
    enum log_level level;
    int64_t heartbeat_ms; /* between two lines that say where the program stands */
};

struct settings_topics {
    bool create;                           /* topics.create: false = they must be there */
    int64_t partitions;                    /* of a data topic that we make */
    struct text_pairs partitions_by_table; /* pattern db.table -> number; the first that matches wins */
    struct text_pairs topic;               /* db.table -> topic name, for names that collide */
    int64_t replication;                   /* 0: the broker's default.replication.factor */
    int64_t retention_ms;                  /* of data topics; state topics and dead letters: unlimited */
};

struct settings_source {
    char *name; /* `__source`; part of the transactional id */
    char *host;
    int64_t port;
    char *socket; /* a local server's socket file instead of host and port; NULL */
    char *user;
    char *password; /* secret; NULL: none */
    enum tls_mode tls;
    char *tls_ca;             /* file; NULL: the system's */
    struct text_list tables;  /* patterns db.table; what matches is selected ... */
    struct text_list exclude; /* ... unless it matches one of these */
    char *start;              /* first run only: "current", "earliest", or a GTID set / file:position */
    int64_t server_id;        /* 0: derived from the source's name and this process */
    int64_t heartbeat_ms;     /* asked of the server while it has nothing to send */
    int64_t connect_timeout_ms;
    enum on_table_error on_table_error;
    struct text_pairs unrepresentable; /* pattern db.table.column -> "stop", "null", "text", "dead_letter" */
    struct text_pairs wide_decimals;   /* the same, of DECIMALs wider than BIGNUMERIC; text where no pattern matches */
    struct text_pairs datetime_zone;   /* pattern db.table.column -> zone */
};

struct settings_producer {
    char *listen; /* "address:port" of the admin port; port 0: any free one, logged */
    struct text_pairs kafka;
    int64_t memory_bytes;         /* ceiling, without the largest single row */
    int64_t transaction_bytes;    /* a Kafka transaction is committed at this size ... */
    int64_t transaction_age_ms;   /* ... or age, at the latest */
    enum too_large too_large;     /* a row that makes a message larger than Kafka takes */
    int64_t position_interval_ms; /* position-only transactions while no selected table changes (A6) */
};

struct settings_worker {
    char *listen;
    char *group; /* consumer group = prefix + this + the warehouse's name */
    struct text_pairs kafka;
    int64_t memory_bytes;
    int64_t batch_rows;
    int64_t batch_bytes;
    int64_t batch_age_ms;
    int64_t dedupe_window; /* W of exactly-once rule 5.2, in offsets */
    int64_t dedupe_bytes;
    int64_t stall_ms; /* lag without progress for this long fails /healthz */
};

struct settings_bigquery {
    char *project;
    char *location;
    char *dataset;             /* pattern: {database} and {table} are replaced */
    char *table;               /* pattern of the view's name; the history adds _history */
    char *owner;               /* value of the label that marks datasets as ours; NULL: the prefix */
    struct text_pairs labels;  /* of datasets and tables that we make */
    char *kms_key;             /* NULL: Google's own */
    int64_t partition_expiration_ms; /* of histories; 0: never */
    bool require_partition_filter;
    struct text_pairs method;  /* pattern -> bigquery_method's words */
    struct text_pairs view;    /* pattern -> bigquery_view's words */
    enum bigquery_refresh refresh;
    enum bigquery_deletes deletes;
    enum bigquery_columns columns;
    enum bigquery_type_change on_type_change;
    int64_t request_bytes;     /* of an AppendRows request */
    enum bigquery_compression compression;
    int64_t calls_max;         /* open AppendRows calls of a worker */
    int64_t call_idle_ms;      /* an AppendRows call without traffic is half-closed */
    int64_t answer_timeout_ms; /* a request without an answer for so long is sent again on a new call */
    int64_t table_jobs;        /* load jobs a table a day */
    int64_t project_jobs;      /* load jobs of all tables of this group a day */
    int64_t backlog_rows;      /* from so many messages behind, load jobs; 0: never for that reason */
    int64_t file_bytes;        /* a load file is ended at this size */
    int64_t retry_ms;          /* a REST call is tried again for so long */
    char *credentials;         /* file, "none", or NULL: as Google's libraries look for them */
    char *impersonate;         /* service account's e-mail; NULL */
    enum bigquery_hosts credentials_hosts; /* of the URLs in the file of credentials */
    char *quota_project;       /* NULL */
    struct text_pairs prices;  /* for `check --cost`: see workers/bigquery/cost.h */
    int64_t queries_a_day;     /* of each latest view, for the same */
    char *endpoint;
    char *storage_endpoint;
    char *ca_file;             /* NULL: the system's */
};

/* A schema registry that speaks Confluent's REST API; without a url there is none, and messages are framed by <prefix>.schemas. */
struct settings_registry {
    struct text_list urls;  /* http or https, with the base path, without credentials; of one and the same registry. None: no registry */
    char *user;             /* of basic authentication; NULL: none */
    char *password;         /* secret */
    char *ca_file;          /* NULL: the system's */
    char *certificate_file; /* of the client; NULL: none */
    char *key_file;         /* of the certificate; NULL: in the same file */
    int64_t timeout_ms;     /* of a request */
};

struct settings {
    char *prefix; /* of all topics, groups and ids */
    struct settings_log log;
    struct text_pairs kafka; /* librdkafka properties for both programs */
    struct settings_topics topics;
    struct settings_source source;
    struct settings_registry registry;
    struct settings_producer producer;
    struct settings_worker worker;
    enum warehouse_kind warehouse;
    struct text_pairs freshness; /* pattern -> duration; see settings_freshness_ms */
    struct settings_bigquery bigquery;
    char *sqlite_file;
    char *sqlite_table; /* pattern of the view's name: "{table}" or "{database}_{table}"; the history adds _history */
};

enum settings_for { SETTINGS_FOR_PRODUCER = 1, SETTINGS_FOR_WORKER = 2, SETTINGS_FOR_BOTH = 3 };

/* Reads, completes with defaults and checks `path`. All errors go to `errors`, one a line ("file:line: key: what is wrong; what
 * to do"). Returns NULL if there was one. `who`: which program asks (decides what is required). */
struct settings *settings_load(const char *path, enum settings_for who, FILE *errors) MUST_CHECK;
void settings_free(struct settings *settings); /* takes NULL; secrets are wiped */

/* How many partitions the topic of a table ("database.table") is made with. */
int settings_partitions(const struct settings *settings, const char *table);
/* How old its newest rows may be in the warehouse. */
int64_t settings_freshness_ms(const struct settings *settings, const char *table);
enum bigquery_method settings_bigquery_method(const struct settings *settings, const char *table);
enum bigquery_view settings_bigquery_view(const struct settings *settings, const char *table);

/* Is a table ("database.table") one of those that source.tables and source.exclude select? */
bool settings_selects(const struct settings_source *source, const char *table);
/* Does source.exclude name it? */
bool settings_excludes(const struct settings_source *source, const char *table);

/* --help-settings: every key with type, default, limits and sentence. */
void settings_print_help(FILE *out);
/* The settings in force, as YAML, secrets as "(secret)". */
void settings_print(const struct settings *settings, FILE *out);
/* The settings reference page in Markdown; lint compares it with the one in the tree. */
void settings_print_markdown(FILE *out);

#endif
