/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tables: datasets and history tables: made, grown, and known.
 *
 *   dataset        made with location and labels; kakehi_owner (bigquery.owner, else the prefix) says whose it is
 *   <t>_history    the source's columns, then bigquery_meta_columns; columns that came later stand behind these
 *
 * Whoever meets a schema first sees to it that the history can take its rows (tables_ensure); any number of workers may do so
 * at once. The answer is a `struct history`: the table as it is, and where each column of the schema goes.
 *
 * A dataset of another owner is refused. One without an owner is taken (labeled) if it holds no tables, else refused: a person
 * says `bq update --set_label`. A table that is not marked as the history of this source table is refused. All refusals are
 * ERR_FATAL and say what to do.
 *
 * A column whose type does not hold the schema's values is widened where BigQuery can without loss; else, by
 * bigquery.on_type_change, the values go to a further column `<name>__<type>`, or that schema's
 * rows belong to the dead letters (history.refusal). A column of the key can't have a further column: ERR_FATAL.
 *
 * Errors of every answer: ERR_RETRY (the service, the network), ERR_FATAL, ERR_CANCELED (tables_close).
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_TABLES_H
#define KAKEHI_WORKERS_BIGQUERY_TABLES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/settings.h"
#include "schemas/schema.h"
#include "workers/bigquery/bigquery_types.h"
#include "workers/bigquery/names.h"
#include "workers/bigquery/rest.h"

#define HISTORY_HASH_SIZE 9 /* 8 hex digits and NUL */

/* A history table as it was when asked, and how one schema's rows go into it. Never changes; counted references. */
struct history {
    struct bigquery_names names;
    char *parent;                  /* "projects/P/datasets/D/tables/T_history": of write streams */
    int64_t created_ms;            /* BigQuery's creationTime */
    char hash[HISTORY_HASH_SIZE];  /* of parent and created_ms: stands in marks */
    struct bigquery_layout layout; /* the columns of types that we write; the order is the table's */
    /* Grows with each change of the layout that this worker has seen. Two histories of one table with the same number have the
     * same layout; one whose layout is a prefix of the other's, with the same types, shares its descriptor. */
    uint32_t generation;
    /* For each column of the schema its place in the layout (row_program_new's targets). NULL: made without a schema. */
    size_t *targets;
    /* The schema's Avro bytes can be loaded as they are (its columns named as in the layout): every column has just the type
     * that its own would have. Else append. */
    bool loads;
    char *refusal; /* why no row of this schema can be written; NULL: they can. Then targets are not to be used */
    unsigned _references;
};

struct history *history_ref(struct history *history);
void history_unref(struct history *history); /* takes NULL */

struct tables;

struct tables_options {
    uv_loop_t *loop;
    struct rest *rest;
    const struct settings *settings; /* bigquery, prefix, topics.topic. All borrowed until closed */
};

struct tables *tables_open(const struct tables_options *options);
/* Asynchronous. What is under way is answered with ERR_CANCELED before `closed`. Takes NULL (closed is called at once). */
void tables_close(struct tables *tables, void (*closed)(void *context), void *context);

/* history: NULL with err. Borrowed for the call: history_ref what you keep. */
typedef void (*tables_answered)(void *context, struct history *history, const struct err *err);

struct tables_wish {
    const struct schema *schema; /* borrowed until the answer */
    /* The hash that the partition's mark holds; NULL or "-": none. Any other table than that, or none, is ERR_FATAL with the
     * way to undelete it; nothing is made in its place. */
    const char *hash;
    /* Ask BigQuery although this worker knows the table: after a recovery, and when a call met NOT_FOUND or unknown fields. */
    bool fresh;
};

/* Answers exactly once, never inside the call. At most one REST call is under way for a table; whoever asks meanwhile waits. */
void tables_ensure(struct tables *tables, const struct tables_wish *wish, tables_answered answer, void *context);

/* The history's columns are to say what this table, the newest of its name, has: types, places in the key, and which columns are dropped.
 * Nothing is made: history and err are both NULL if there is none, or it lacks a column that the table's rows need. Copies the table.
 * Whoever describes by an older one meanwhile is overtaken: the last one stands (412: look again). */
void tables_describe(struct tables *tables, const struct table *table, tables_answered answer, void *context);

/* The history behind a topic, made by nobody: for recovery, before any message was read. history and err both NULL: there is
 * none. `targets` is NULL. */
void tables_look_up(struct tables *tables, const char *topic, tables_answered answer, void *context);

/* ---- questions to the rows, by query jobs (a few seconds) */

typedef void (*history_said)(void *context, bool yes, const struct err *err);

/* Rule C6. */
void history_is_empty(struct tables *tables, struct history *history, history_said answer, void *context);

/* A change by its place in the order: unique in a table that has one live source (O1, O3, O4), and short enough for a mark,
 * where recovery, which has read no message yet, finds it. */
struct history_change {
    int64_t seq; /* __seq, __idx */
    int64_t idx;
    int32_t from_day; /* days since 1970-01-01: its ingest day is no earlier one */
};

/* Rule C7: is this row in? A request is in as a whole or not at all, so one row answers for it. Borrowed for the call. */
void history_has(struct tables *tables, struct history *history, const struct history_change *change, history_said answer,
                 void *context);

/* {"tables": ..., "columns_added": ..., "columns_widened": ..., "trouble": ...}; the caller owns it. */
json_t *tables_status(const struct tables *tables);

#endif
