/* SPDX-License-Identifier: Apache-2.0 */
/* tables_parts: what tables.c, tables_entry.c, tables_change.c and tables_dataset.c know of each other. */
#ifndef KAKEHI_WORKERS_BIGQUERY_TABLES_PARTS_H
#define KAKEHI_WORKERS_BIGQUERY_TABLES_PARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/metrics.h"
#include "common/sm.h"
#include "workers/bigquery/query.h"
#include "workers/bigquery/rest.h"
#include "workers/bigquery/tables.h"
#include "workers/bigquery/tables_shape.h"

/* Somebody who waits for a table. */
struct wish {
    const struct table *table; /* NULL: only look */
    struct table *describes;   /* `table` is this copy of ours, and only the columns' descriptions are wished for; NULL */
    char hash[HISTORY_HASH_SIZE];
    bool fresh;
    tables_answered answer;
    void *context;
    struct wish *next;
};

void wish_free(struct wish *wish); /* tables_entry.c */

/* The picture is in tables_entry.c. */
enum { IDLE, DATASET, LOOK, MAKE, PATCH, WIDEN };

/* One table of the source. */
struct entry {
    struct sm sm;
    struct tables *tables;
    struct bigquery_names names;
    struct wish *wishes; /* the first is in work, unless the machine is IDLE */
    struct wish **wishes_end;
    struct dataset *dataset; /* borrowed; NULL until asked for */
    struct rest_call *call;  /* at most one of these two is under way */
    struct query *query;
    bool known; /* shape is what BigQuery said last */
    struct shape shape;
    bool aligned; /* what the settings ask for was compared with it: once, so that two workers with two files don't fight for long; and
                   * again when its key becomes known */
    bool keeping; /* the change of it that is under way keeps BigQuery from deleting rows */
    char *left;   /* of that, what a person must change; NULL: nothing */
    struct history *last; /* the newest layout seen; NULL */
    uint32_t generation;
    /* of the wish in work */
    bool looked;      /* since it came */
    bool worded;      /* descriptions were patched for it */
    struct text_list tried; /* columns whose widening was */
    unsigned rounds;
    struct shape_plan patching; /* what the patch under way adds */
    struct metric *added;
    struct metric *widened;
    struct entry *next;
};

enum dataset_state { DATASET_UNKNOWN, DATASET_ASKED, DATASET_OURS };

struct dataset {
    struct tables *tables;
    char *name;
    char *etag; /* NULL */
    enum dataset_state state;
    struct err unowned; /* what is said of it if it has no owner and holds tables */
    struct rest_call *call;
    struct bigquery_names names; /* of the table that asked first: only project and dataset matter */
    struct dataset *next;
};

struct question;

struct tables {
    struct tables_options options;
    uv_timer_t turn; /* what is not to happen inside a call of ours happens in the next turn of the loop */
    struct entry *entries;
    struct dataset *datasets;
    struct question *questions;
    struct err trouble; /* what the last failed wish met; class NONE: the last one was fulfilled */
    bool closing;
    void (*closed)(void *context);
    void *closed_context;
};

/* tables.c */
void tables_take_turn(struct tables *tables);
/* "/bigquery/v2/projects/P/datasets/D" and, unless NULL, "/tables/T" behind it. */
void tables_append_path(struct buffer *out, const struct bigquery_names *names, const char *table);
void questions_close(struct tables *tables);

/* tables_entry.c */
struct entry *entry_new(struct tables *tables, struct bigquery_names *names);
void entry_wish(struct entry *entry, struct wish *wish); /* takes it */
void entry_step(struct entry *entry);                    /* if it is idle and has wishes */
void entry_on_dataset(struct entry *entry, const struct err *err);
bool entry_waits_for(const struct entry *entry, const struct dataset *dataset);
void entry_free(struct entry *entry); /* whoever waits is answered ERR_CANCELED */

/* For tables_change.c: what each of its answers ends with. */
void entry_decide(struct entry *entry);
void entry_look(struct entry *entry, const char *why);
/* What BigQuery said of the table. False: the wish has failed. */
bool entry_take_shape(struct entry *entry, const json_t *body);
void entry_fail(struct entry *entry, const struct err *cause);
/* POISON is said of rows alone. What BigQuery refuses of ours is refused until a person changes something. */
void entry_fail_call(struct entry *entry, const char *doing, const struct rest_error *error);
/* table NULL: the dataset's list of tables. */
void entry_call(struct entry *entry, struct rest_request *request, const char *table, rest_answered answered);
struct shape_making entry_making(const struct entry *entry);

/* tables_change.c */
void entry_begin_counting(struct entry *entry); /* so that counters stand at 0 before anything is changed */
void entry_patch(struct entry *entry, struct shape_plan *plan); /* takes what the plan holds */
void entry_widen(struct entry *entry, const struct shape_widening *widening);
/* What the settings ask for by now, once. True: a change is under way. */
bool entry_align(struct entry *entry);

/* tables_dataset.c */
/* entry_on_dataset is called, inside the call or later, for each entry that waits. */
void dataset_ensure(struct entry *entry);
void dataset_free(struct dataset *dataset);

#endif
