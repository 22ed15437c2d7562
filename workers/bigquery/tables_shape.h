/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tables_shape: what a table in BigQuery looks like (REST reference, "Table"), and what it lacks for a schema. Pure: JSON in,
 * JSON and decisions out.
 *
 * What we must find again stands in the table itself:
 *   labels        kakehi_owner, kakehi_kind (history, base, view), kakehi_source (a fingerprint of database and table)
 *   descriptions  of a column "<original name> <type at the source>", then ", key 2" if it is the key's second, ", dropped" if
 *                 the source has it no more. The flags are read back: views are made of them when no worker is asked.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_TABLES_SHAPE_H
#define KAKEHI_WORKERS_BIGQUERY_TABLES_SHAPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"
#include "common/settings.h"
#include "common/text_list.h"
#include "schemas/table.h"
#include "workers/bigquery/bigquery_types.h"
#include "workers/bigquery/names.h"

#define SHAPE_COLUMNS_MAX 10000 /* BigQuery's own limit */
#define SHAPE_CLUSTER_MAX 4     /* columns to cluster by */

struct shape_column {
    const char *name; /* borrowed from the fields */
    int type;         /* enum bigquery_type; -1: none of ours, or repeated */
    unsigned key;     /* place in the key, from 1; 0: not in it */
    bool dropped;
    bool meta; /* __op ... */
};

/* A table resource. */
struct shape {
    json_t *fields;    /* owned: as BigQuery gave them */
    json_t *labels;    /* owned */
    char *etag;        /* owned; NULL: none was given */
    char *view_query;  /* owned; NULL: it is no view */
    char *description; /* owned; NULL */
    int64_t created_ms;
    int64_t expiration_ms; /* of partitions; 0: never */
    int64_t expires_at_ms; /* since 1970: when the whole table is deleted; 0: never */
    bool filter_required;
    bool clustered;
    char *kms_key; /* owned; NULL: Google's own, or none was said */
    struct shape_column *columns; /* owned */
    size_t column_count;
};

/* ERR_RETRY: an answer that is no table, which should not be. Deinit in any case. */
int shape_read(const json_t *table, struct shape *ret_shape, struct err *err) MUST_CHECK;
void shape_deinit(struct shape *shape); /* {0} is fine */
/* "" if there is none. */
const char *shape_label(const struct shape *shape, const char *key);
/* The column, or NULL. Case does not matter. */
const struct shape_column *shape_find(const struct shape *shape, const char *name);

/* Whose history it is, read out of its description and held against its label; false: the description was changed. The caller
 * frees both. */
bool shape_source(const struct shape *shape, char **ret_database, char **ret_table);

/* ---- what is made */

struct shape_making {
    const struct settings *settings;
    const struct bigquery_names *names;
};

/* The value of the label kakehi_owner: bigquery.owner, else the prefix, as a label can hold it. */
void shape_append_owner(struct buffer *out, const struct settings *settings);
/* settings' labels and ours. kind NULL: of a dataset. */
json_t *shape_labels(const struct shape_making *making, const char *kind);
json_t *shape_dataset(const struct shape_making *making);
/* The history of a table that is met first with these columns. */
json_t *shape_history(const struct shape_making *making, const struct table *table);
/* The base of a history. history_hash: of whom it is; see history.h. */
json_t *shape_base(const struct shape_making *making, const struct shape *history, const char *history_hash);
/* The full list of fields with which the base would have all columns of the history; NULL: it has. *ret_wider: a column of the
 * history whose type is wider than the base's; NULL: none. */
json_t *shape_base_lacks(const struct shape *base, const struct shape *history, const struct shape_column **ret_wider);

/* ---- whose it is */

enum shape_owner {
    SHAPE_OURS,
    SHAPE_NOBODYS,  /* it has no owner: an empty one becomes ours, one that holds tables is refused */
    SHAPE_ANOTHERS, /* refused */
};

/* Whose a dataset (its resource) is, by its label. err: unless it is ours, the refusal, which says what to do. */
enum shape_owner shape_owner_of(const json_t *dataset, const struct shape_making *making, struct err *err);
/* Is the table ours, of that kind, for that source table? ERR_FATAL says what to do. */
int shape_check(const struct shape *shape, const struct shape_making *making, const char *kind, struct err *err) MUST_CHECK;

/* What is deleted of the tables that are made in this dataset (its resource), unless they are told to stay: "tables after 30
 * days, partitions after 7 days"; nothing is appended where nothing is. */
void shape_append_expirations(struct buffer *out, const json_t *dataset);

/* ---- what the settings ask for by now */

/* How a history that is there differs from one that would be made now, columns aside. */
struct shape_drift {
    json_t *patch;         /* body of a PATCH with what may be changed in place; NULL: nothing */
    bool keeps_rows;       /* until the patch is in, BigQuery deletes rows that the settings keep */
    struct buffer changes; /* what the patch changes, for people: "labels, description" */
    struct buffer left;    /* what we leave alone, why, and the statement by which a person changes it; empty: nothing */
};

/* Deinit in any case. */
void shape_drift(const struct shape *history, const struct shape_making *making, struct shape_drift *ret_drift);
void shape_drift_deinit(struct shape_drift *drift); /* {0} is fine */

/* ---- what a schema needs */

struct shape_widening {
    char *name;
    enum bigquery_type type;
};

struct shape_change {
    char *column; /* of the source, for people */
    char *name;   /* in BigQuery */
    enum bigquery_type type;
    bool further; /* the column holds another type, which can't be widened */
};

/* What is to be done until the history takes the schema's rows: first widenings, then fields; with neither it does. */
struct shape_plan {
    struct shape_widening *widenings;
    size_t widening_count;
    json_t *fields;             /* the full list of a patch; NULL: nothing to patch */
    struct shape_change *added; /* what the patch adds */
    size_t added_count;
    bool words_only; /* the patch changes descriptions alone */
    char *refusal;   /* the schema's rows belong to the dead letters: why */
    size_t *targets; /* places in the layout; ROW_NO_TARGET while something is to be done */
    bool loads;
};

struct shape_rules {
    enum bigquery_type_change on_type_change;
    bool describes;   /* the table is the newest of its name: the patch has the descriptions of all columns */
    /* Columns, by their names here, whose widening was tried: what still does not fit has been refused by BigQuery. NULL: none. */
    const struct text_list *tried;
};

/* ERR_FATAL: nothing can be done by us. Deinit in any case. */
int shape_plan(const struct shape *shape, const struct table *table, const struct shape_rules *rules,
               struct shape_plan *ret_plan, struct err *err) MUST_CHECK;
void shape_plan_deinit(struct shape_plan *plan);

/* The columns of types that we write, in the table's order. Borrows names from the shape. The caller frees the array. */
size_t shape_layout(const struct shape *shape, struct bigquery_column **ret_columns);

#endif
