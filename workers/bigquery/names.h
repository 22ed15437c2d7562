/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names: what datasets, tables and columns are called in BigQuery, reversibly.
 *
 * The base is schemas/name.h: ASCII letters, digits and '_' stand for themselves, all else is _xHHHH_. BigQuery's flexible
 * names would take more, but the Storage Write API needs an experimental annotation for them.
 *
 * Columns, beyond that:
 *   - BigQuery does not tell `price` from `PRICE`; neither does MySQL, so a column renamed by case alone goes on in its column.
 *     But `_x00e9_` and the `_x00E9_` that stands for an e with an accent would be one too: the first '_' of what would read as
 *     an escape in any case of its letters is itself escaped.
 *   - Prefixes that BigQuery keeps for itself (_TABLE_, _FILE_, _PARTITION, _ROW_TIMESTAMP, __ROOT__, _COLIDENTIFIER, _CHANGE_)
 *     have their first '_' escaped: `_PARTITIONTIME` is `_x005F_PARTITIONTIME`.
 *   - `price__string` is what a further column of `price` is called (tables.h), so the '_' before a type's word at the end of a
 *     source column's name is escaped where it follows another: `price__x005F_string`.
 *   - A name above 300 characters (64 characters of MySQL that are no ASCII are up to 896) is cut and ends in `_x0068_` and 16
 * hex digits, a fingerprint of the original. The only form that can't be read back: its original is in the description. Each
 * column of a history has its original name and type as its description, each table its own.
 *
 * Datasets and tables are told apart by case, as MySQL does it on Linux.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_NAMES_H
#define KAKEHI_WORKERS_BIGQUERY_NAMES_H

#include "common/buffer.h"
#include "common/err.h"
#include "common/settings.h"
#include "workers/bigquery/bigquery_types.h"

#define BIGQUERY_COLUMN_NAME_MAX 300
#define BIGQUERY_TABLE_NAME_MAX  1024

/* Appends the name of a source column in BigQuery. The name has passed name_map before (it is of a schema). */
void bigquery_column_name(struct buffer *out, const char *name);
/* Appends the original of a column's name; ERR_POISON on what bigquery_column_name can't have made, and on one that was cut. */
int bigquery_column_original(struct buffer *out, const char *column_name, struct err *err) MUST_CHECK;
/* The further column that takes values of another type: "<column_name>__string". No source column is called so. */
void bigquery_further_column_name(struct buffer *out, const char *column_name, enum bigquery_type type);

/* What stands in BigQuery for one table of the source. */
struct bigquery_names {
    char *project;
    char *dataset;
    char *view;         /* the newest state */
    char *history;      /* <view>_history */
    char *base;         /* <view>_base */
    char *as_of;        /* <view>_as_of, a table function */
    char *source;       /* "shop.orders", for people */
    char source_id[17]; /* a fingerprint of database and table, for a label */
};

/* The fingerprint of a table's database and name, 16 hex digits. */
void bigquery_source_id(char id[17], const char *database, const char *table);

/* By the patterns bigquery.dataset and bigquery.table. ERR_FATAL: longer than BigQuery takes, or no name at all. */
int bigquery_names_init(struct bigquery_names *names, const struct settings_bigquery *settings, const char *database,
                        const char *table, struct err *err) MUST_CHECK;
void bigquery_names_deinit(struct bigquery_names *names);

/* Database and table behind a topic's name: by topics.topic, else read back from `<prefix>.<database>.<table>`. ERR_FATAL: it
 * is no topic of this prefix. The caller frees both. */
int bigquery_names_of_topic(const struct settings *settings, const char *topic, char **ret_database, char **ret_table,
                            struct err *err) MUST_CHECK;

/* "`name`": an identifier in SQL. What we make holds no backtick. */
void bigquery_append_quoted(struct buffer *out, const char *name);
/* "`project.dataset.table`" */
void bigquery_append_path(struct buffer *out, const struct bigquery_names *names, const char *table);
/* DATE '2026-11-21': days since 1970-01-01, years 1 to 9999. A literal, since only these are sure to prune partitions. */
void bigquery_append_day(struct buffer *out, int32_t day);
/* 'it\'s': a STRING literal. Takes any UTF-8. */
void bigquery_append_literal(struct buffer *out, const char *text);

#endif
