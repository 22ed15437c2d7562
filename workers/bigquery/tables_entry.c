/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table of the source, and whoever waits for its history.
 *
 *            +------------------------------- answered <-------------------------------------+
 *            v                                                                               |
 *   IDLE --wish--> DATASET --ours--> LOOK --there--> (what does the schema need?) --nothing--+
 *                                    ^  |               ^       |           |
 *                                    |  not there       |       columns,    types
 *                                    |  |               |       settings    |
 *                                    |  v               |       v           v
 *                                    |  MAKE --made-----+----- PATCH       WIDEN
 *                                    +----409-------------------412---------+
 *
 * A wish goes through DATASET and LOOK only when the table is not known yet, or `fresh` is asked. One that only looks, or describes, which
 * makes nothing, begins with LOOK. Each answer of BigQuery is
 * looked at with the same question (shape_plan), so several workers that add columns at once, or one that was paused in
 * between, need no rule of their own: a patch carries the ETag of what it was made from (412: look again).
 *
 * Settings that were changed since the history was made, and what its dataset gave it while it was made, are compared with it
 * (tables_drift.c) by the first wish that finds it there, once a worker's life; and what follows from the key once it is known.
 *
 * Nothing is made where a mark says that there was a table before (wish.hash): the rows before it would be missing, silently.
 *
 * Rounds are limited: whoever loses every race for a minute has another trouble.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/must.h"
#include "workers/bigquery/history.h"
#include "workers/bigquery/row_program.h"
#include "workers/bigquery/tables_parts.h"

#define ROUNDS_MAX 30

#define TO_CALLS (SM_TO(IDLE) | SM_TO(DATASET) | SM_TO(LOOK) | SM_TO(MAKE) | SM_TO(PATCH) | SM_TO(WIDEN))

static const struct sm_state states[] = {
    [IDLE] = {"IDLE", SM_TO(DATASET) | SM_TO(LOOK) | SM_TO(PATCH) | SM_TO(WIDEN)},
    [DATASET] = {"DATASET", TO_CALLS},
    [LOOK] = {"LOOK", TO_CALLS},
    [MAKE] = {"MAKE", TO_CALLS},
    [PATCH] = {"PATCH", TO_CALLS},
    [WIDEN] = {"WIDEN", TO_CALLS},
};

/* Nothing is under way but in the state that waits for it. */
static bool invariant(const struct sm *machine)
{
    const struct entry *entry = (const struct entry *)((const char *)machine - offsetof(struct entry, sm));
    int state = sm_at(machine);

    return (entry->call == NULL && entry->query == NULL) || (state != IDLE && state != DATASET);
}

/* ---- answering */

void wish_free(struct wish *wish)
{
    table_free(wish->describes);
    free(wish);
}

static void finish(struct entry *entry, struct history *history, const struct err *err)
{
    struct wish *wish = entry->wishes;

    entry->wishes = wish->next;
    if (entry->wishes == NULL) {
        entry->wishes_end = &entry->wishes;
    } else {
        tables_take_turn(entry->tables);
    }
    if (sm_at(&entry->sm) != IDLE) {
        sm_move(&entry->sm, IDLE, err == NULL ? "answered" : "failed");
    }
    if (err != NULL) {
        entry->tables->trouble = *err;
    } else {
        entry->tables->trouble.class = ERR_NONE;
    }
    wish->answer(wish->context, history, err);
    wish_free(wish);
}

void entry_fail(struct entry *entry, const struct err *cause)
{
    struct err err = *cause;

    (void)err_while(&err, "the history %s.%s", entry->names.dataset, entry->names.history);
    finish(entry, NULL, &err);
}

void entry_fail_call(struct entry *entry, const char *doing, const struct rest_error *error)
{
    struct err err = error->err;

    err.class = err.class == ERR_POISON ? ERR_FATAL : err.class;
    (void)err_while(&err, "%s", doing);
    entry_fail(entry, &err);
}

/* `plan` NULL: only looked. Its targets and refusal are taken. */
static void answer(struct entry *entry, struct shape_plan *plan)
{
    struct history *history = history_new(&entry->names, &entry->shape);

    if (entry->last == NULL || !history_same_layout(entry->last, history)) {
        entry->generation++;
    }
    history->generation = entry->generation;
    if (plan != NULL) {
        history->targets = plan->targets;
        history->refusal = plan->refusal;
        history->loads = plan->loads;
        plan->targets = NULL;
        plan->refusal = NULL;
    }
    history_unref(entry->last);
    entry->last = history_ref(history);
    finish(entry, history, NULL);
    history_unref(history);
}

/* ---- calls */

void entry_call(struct entry *entry, struct rest_request *request, const char *table, rest_answered answered)
{
    struct buffer path = {0};

    tables_append_path(&path, &entry->names, table);
    buffer_append_text(&path, table == NULL ? "/tables" : "");
    request->path = buffer_text(&path);
    entry->call = rest_send(entry->tables->options.rest, request, answered, entry);
    buffer_deinit(&path);
}

struct shape_making entry_making(const struct entry *entry)
{
    return (struct shape_making){entry->tables->options.settings, &entry->names};
}

bool entry_take_shape(struct entry *entry, const json_t *body)
{
    const struct shape_making making = entry_making(entry);
    struct shape shape;
    struct err err;

    entry->looked = true;
    if (shape_read(body, &shape, &err) != 0 || shape_check(&shape, &making, "history", &err) != 0) {
        shape_deinit(&shape);
        entry->known = false;
        entry_fail(entry, &err);
        return false;
    }
    shape_deinit(&entry->shape);
    entry->shape = shape;
    entry->known = true;
    return true;
}

/* ---- MAKE */

static void ask_dataset(struct entry *entry, const char *why)
{
    sm_move(&entry->sm, DATASET, why);
    dataset_ensure(entry);
}

static void on_made(void *context, const struct rest_answer *answered)
{
    struct entry *entry = context;

    entry->call = NULL;
    if (answered->error == NULL) {
        log_info("history-made", "table=%q history=%s.%s.%s", entry->names.source, entry->names.project, entry->names.dataset,
                 entry->names.history);
        entry->aligned = false; /* it took what its dataset gives */
        if (entry_take_shape(entry, answered->body)) {
            entry_decide(entry);
        }
    } else if (answered->error->class == REST_CONFLICT) {
        entry_look(entry, "somebody was faster");
    } else if (answered->error->class == REST_NOT_FOUND) {
        entry->dataset->state = DATASET_UNKNOWN;
        ask_dataset(entry, "the dataset is gone");
    } else {
        entry_fail_call(entry, "making it", answered->error);
    }
}

static void make(struct entry *entry)
{
    const struct shape_making making = entry_making(entry);
    json_t *body = shape_history(&making, entry->wishes->table);
    struct rest_request request = {.method = "POST", .body = body, .repeatable = true};

    sm_move(&entry->sm, MAKE, "not there");
    entry_call(entry, &request, NULL, on_made);
    json_decref(body);
}

/* ---- LOOK */

static void refuse_gone(struct entry *entry)
{
    struct err err;

    (void)err_set(&err, ERR_FATAL,
                  "it is gone, and rows were written into it: nothing is made in its place. Undelete it: bq cp %s:%s.%s@MS "
                  "%s:%s.%s (MS: a time before it was dropped), then bq update --set_label kakehi_continues:%s %s:%s.%s",
                  entry->names.project, entry->names.dataset, entry->names.history, entry->names.project, entry->names.dataset,
                  entry->names.history, entry->wishes->hash, entry->names.project, entry->names.dataset, entry->names.history);
    entry_fail(entry, &err);
}

static void on_missing(struct entry *entry)
{
    entry->looked = true;
    entry->known = false;
    if (entry->wishes->table == NULL || entry->wishes->describes != NULL) {
        finish(entry, NULL, NULL);
    } else if (entry->wishes->hash[0] != '\0') {
        refuse_gone(entry);
    } else {
        make(entry);
    }
}

static void on_looked(void *context, const struct rest_answer *answered)
{
    struct entry *entry = context;

    entry->call = NULL;
    if (answered->error == NULL) {
        if (entry_take_shape(entry, answered->body)) {
            entry_decide(entry);
        }
    } else if (answered->error->class == REST_NOT_FOUND) {
        on_missing(entry);
    } else {
        entry_fail_call(entry, "asking for it", answered->error);
    }
}

void entry_look(struct entry *entry, const char *why)
{
    struct rest_request request = {.method = "GET"};

    sm_move(&entry->sm, LOOK, why);
    entry_call(entry, &request, entry->names.history, on_looked);
}

/* ---- what the schema needs */

static bool hash_fits(struct entry *entry)
{
    struct history *history = history_new(&entry->names, &entry->shape);
    const char *wanted = entry->wishes->hash;
    struct err err;
    bool fits = wanted[0] == '\0' || strcmp(history->hash, wanted) == 0;

    if (!fits) {
        (void)err_set(
            &err, ERR_FATAL,
            "it is another table than the one that rows were written into (mark %s, this is %s): it was dropped and made "
            "again, or the settings point elsewhere. Put the old one back; if this is it, undeleted: bq update --set_label "
            "kakehi_continues:%s %s:%s.%s",
            wanted, history->hash, wanted, entry->names.project, entry->names.dataset, entry->names.history);
        entry_fail(entry, &err);
    }
    history_unref(history);
    return fits;
}

static void act(struct entry *entry, struct shape_plan *plan)
{
    struct err err;

    if (++entry->rounds > ROUNDS_MAX) {
        (void)err_set(&err, ERR_RETRY, "it changes each time before we can");
        entry_fail(entry, &err);
    } else if (entry->wishes->describes != NULL && (plan->widening_count > 0 || plan->added_count > 0)) {
        finish(entry, NULL, NULL); /* whoever has its rows sees to that */
    } else if (plan->widening_count > 0) {
        entry_widen(entry, &plan->widenings[0]);
    } else if (plan->fields != NULL && !(plan->words_only && entry->worded)) {
        entry_patch(entry, plan);
    } else {
        answer(entry, plan);
    }
}

void entry_decide(struct entry *entry)
{
    const struct wish *wish = entry->wishes;
    struct shape_plan plan = {0};
    struct err err;

    if (wish->table == NULL) {
        answer(entry, NULL);
        return;
    }
    if (entry->dataset == NULL || entry->dataset->state != DATASET_OURS) {
        ask_dataset(entry, "whose is it?");
        return;
    }
    if (!hash_fits(entry) || entry_align(entry)) {
        return;
    }
    if (shape_plan(&entry->shape, wish->table,
                   &(struct shape_rules){.on_type_change = entry->tables->options.settings->bigquery.on_type_change,
                                         .describes = wish->describes != NULL,
                                         .tried = &entry->tried},
                   &plan, &err) != 0) {
        entry_fail(entry, &err);
    } else {
        act(entry, &plan);
    }
    shape_plan_deinit(&plan);
}

/* ---- from outside */

void entry_on_dataset(struct entry *entry, const struct err *err)
{
    must(sm_at(&entry->sm) == DATASET);
    if (err != NULL) {
        finish(entry, NULL, err);
    } else if (++entry->rounds > ROUNDS_MAX) {
        entry_fail(entry, &(struct err){ERR_RETRY, "its dataset comes and goes"});
    } else {
        entry_look(entry, "the dataset is ours");
    }
}

bool entry_waits_for(const struct entry *entry, const struct dataset *dataset)
{
    return entry->dataset == dataset && sm_at(&entry->sm) == DATASET;
}

void entry_step(struct entry *entry)
{
    const struct wish *wish = entry->wishes;

    if (wish == NULL || sm_at(&entry->sm) != IDLE) {
        return;
    }
    entry->looked = entry->worded = false;
    text_list_deinit(&entry->tried);
    entry->rounds = 0;
    if (wish->table == NULL || wish->describes != NULL) {
        entry_look(entry, "asked for");
    } else if (wish->fresh || !entry->known) {
        ask_dataset(entry, "wished for");
    } else {
        entry_decide(entry);
    }
}

void entry_wish(struct entry *entry, struct wish *wish)
{
    wish->next = NULL;
    *entry->wishes_end = wish;
    entry->wishes_end = &wish->next;
    tables_take_turn(entry->tables);
}

struct entry *entry_new(struct tables *tables, struct bigquery_names *names)
{
    struct entry *entry = calloc(1, sizeof *entry);

    must(entry != NULL);
    entry->tables = tables;
    entry->names = *names;
    entry->wishes_end = &entry->wishes;
    entry_begin_counting(entry);
    sm_init(&entry->sm, "history", entry->names.source, states, IDLE, invariant);
    return entry;
}

void entry_free(struct entry *entry)
{
    const struct err canceled = {ERR_CANCELED, "shutting down"};

    if (entry->call != NULL) {
        rest_cancel(entry->call);
    }
    query_cancel(entry->query);
    while (entry->wishes != NULL) {
        struct wish *wish = entry->wishes;

        entry->wishes = wish->next;
        wish->answer(wish->context, NULL, &canceled);
        wish_free(wish);
    }
    history_unref(entry->last);
    free(entry->left);
    text_list_deinit(&entry->tried);
    shape_plan_deinit(&entry->patching);
    shape_deinit(&entry->shape);
    bigquery_names_deinit(&entry->names);
    free(entry);
}
