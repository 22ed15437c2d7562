/* SPDX-License-Identifier: Apache-2.0 */
/* refresh_parts: what refresh.c and the refresh_*.c files share. Nobody else includes it. */
#ifndef KAKEHI_WORKERS_BIGQUERY_REFRESH_PARTS_H
#define KAKEHI_WORKERS_BIGQUERY_REFRESH_PARTS_H

#include "common/buffer.h"
#include "common/sm.h"
#include "workers/bigquery/query.h"
#include "workers/bigquery/refresh.h"
#include "workers/bigquery/tables.h"
#include "workers/bigquery/tables_shape.h"
#include "workers/bigquery/view_days.h"
#include "workers/bigquery/view_state.h"

/* The picture is in refresh.c. */
enum { BEGIN, HISTORY, OWNER, VIEW, BASE, FUNCTION, AS_OF, WHOLE, MAKE_BASE, KEEP_BASE, GROW_BASE, WIDEN_BASE, DAYS, TRUNCATE, MERGE, SET_VIEW, DONE };

/* A table or view as it was read last. */
struct resource {
    struct shape shape;
    bool there;
};

/* What a statement is followed by, if it went well. rows: as query.h gives them, borrowed. */
typedef void (*refresh_said)(struct refresh *refresh, const json_t *rows);

struct refresh {
    struct sm sm;
    struct refresh_options options;
    struct rest_call *call; /* at most one of these two is under way */
    struct query *query;
    refresh_said said; /* of the query */
    struct resource history;
    struct resource view;
    struct resource base;
    struct view_parts parts;
    struct view_state state; /* of the view as it was read */
    struct view_state next;  /* as it will be */
    char as_of[9];           /* fingerprint of the function's text */
    char history_hash[HISTORY_HASH_SIZE];
    bool as_of_made;
    bool base_kept; /* it was told never to expire, in this round; as the view was */
    bool view_kept;
    bool looked; /* at the days */
    struct view_days days;
    bool truncate_due;
    bool merge_due;
    unsigned rounds;
    struct refresh_report report;
    refresh_answered answer;
    void *context;
};

/* refresh.c: what every step ends with. */
void refresh_decide(struct refresh *refresh); /* takes the next step that is needed */
void refresh_begin_again(struct refresh *refresh, const char *why);
void refresh_finish(struct refresh *refresh); /* the report is as it is to be told */
void refresh_fail(struct refresh *refresh, const struct err *cause, const char *doing);
/* Was it changed, made or dropped by somebody else meanwhile? Then the round begins again. */
bool refresh_lost_race(struct refresh *refresh, const struct rest_error *error);

/* table NULL: the dataset, and with POST its list of tables. */
void refresh_call(struct refresh *refresh, struct rest_request *request, const char *table, rest_answered answered);
/* Moves to the state and runs the statement there; its failure ends the round. Takes the text. */
void refresh_run(struct refresh *refresh, int state, const char *doing, struct buffer *sql, refresh_said said);

bool refresh_is_base(const struct refresh *refresh); /* by setting */
struct shape_making refresh_making(const struct refresh *refresh);
/* What BigQuery says of one of our tables. False: it can't be used, and the round has failed. */
bool refresh_take(struct refresh *refresh, struct resource *resource, const json_t *body, const char *kind);

/* refresh_look.c: what is there. From the history on; decides when all is known. */
void refresh_look(struct refresh *refresh);

/* refresh_view.c: the view and the function. */
void refresh_make_as_of(struct refresh *refresh);
/* Is the view's text the one that `next` asks for, and is the view to stay? */
bool refresh_view_is_so(const struct refresh *refresh);
void refresh_set_view(struct refresh *refresh, int state, const char *why);

/* refresh_base.c: the base as a table. True: something is missing and under way. */
bool refresh_change_base(struct refresh *refresh);

/* refresh_merge.c: what comes into it. */
void refresh_look_at_days(struct refresh *refresh);
void refresh_merge_truncate(struct refresh *refresh);
void refresh_merge(struct refresh *refresh);

#endif
