/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table of the source, and whoever waits for its history.
 *
 *            +-------------------------------- answered <---------------------------------+
 *            v                                                                            |
 *   IDLE --wish--> DATASET --ours--> LOOK --there--> (what does the schema need?) --nothing--+
 *                                     ^ |                 |            |
 *                                     | +-not there-> MAKE+            +--columns--> PATCH --+--> LOOK (412), or the same
 * question | <--409------------+            +--types----> WIDEN --+
 *
 * A wish goes through DATASET and LOOK only when the table is not known yet, or `fresh` is asked. Each answer of BigQuery is
 * looked at with the same question (shape_plan), so several workers that add columns at once, or one that was paused in
 * between, need no rule of their own: a patch carries the ETag of what it was made from (412: look again).
 *
 * Settings that were changed since the history was made are applied to it (tables_drift.c) by the first wish that finds it there, once
 * a worker's life.
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
#include "workers/bigquery/tables_shape_parts.h"

#define ROUNDS_MAX 30

enum { IDLE, DATASET, LOOK, MAKE, PATCH, WIDEN };

#define TO_CALLS (SM_TO(IDLE) | SM_TO(DATASET) | SM_TO(LOOK) | SM_TO(MAKE) | SM_TO(PATCH) | SM_TO(WIDEN))

static const struct sm_state states[] = {
    [IDLE] = {"IDLE", SM_TO(DATASET) | SM_TO(LOOK) | SM_TO(PATCH) | SM_TO(WIDEN)},
    [DATASET] = {"DATASET", TO_CALLS},
    [LOOK] = {"LOOK", TO_CALLS},
    [MAKE] = {"MAKE", TO_CALLS},
    [PATCH] = {"PATCH", TO_CALLS},
    [WIDEN] = {"WIDEN", TO_CALLS},
};

static struct metric_family columns_added METRIC_FAMILY = {
    .name = "kakehi_bigquery_columns_added_total",
    .help = "Columns added to histories.",
    .kind = METRIC_COUNTER,
    .labels = {"table"},
};

static struct metric_family columns_widened METRIC_FAMILY = {
    .name = "kakehi_bigquery_columns_widened_total",
    .help = "Columns of histories whose type was widened.",
    .kind = METRIC_COUNTER,
    .labels = {"table"},
};

static struct metric_family columns_further METRIC_FAMILY = {
    .name = "kakehi_bigquery_columns_further_total",
    .help = "Further columns made because a column's new type could not be had by widening.",
    .kind = METRIC_COUNTER,
    .labels = {"table"},
};

/* Nothing is under way but in the state that waits for it. */
static bool invariant(const struct sm *machine)
{
    const struct entry *entry = (const struct entry *)((const char *)machine - offsetof(struct entry, sm));
    int state = sm_at(machine);

    return (entry->call == NULL && entry->query == NULL) || (state != IDLE && state != DATASET);
}

/* ---- answering */

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
    free(wish);
}

static void fail(struct entry *entry, const struct err *cause)
{
    struct err err = *cause;

    (void)err_while(&err, "the history %s.%s", entry->names.dataset, entry->names.history);
    finish(entry, NULL, &err);
}

/* POISON is said of rows alone. What BigQuery refuses of ours is refused until a person changes something. */
static void fail_call(struct entry *entry, const char *doing, const struct rest_error *error)
{
    struct err err = error->err;

    err.class = err.class == ERR_POISON ? ERR_FATAL : err.class;
    (void)err_while(&err, "%s", doing);
    fail(entry, &err);
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

static void decide(struct entry *entry);
static void look(struct entry *entry, const char *why);

static void call(struct entry *entry, struct rest_request *request, const char *table, rest_answered answered)
{
    struct buffer path = {0};

    tables_append_path(&path, &entry->names, table);
    buffer_append_text(&path, table == NULL ? "/tables" : "");
    request->path = buffer_text(&path);
    entry->call = rest_send(entry->tables->options.rest, request, answered, entry);
    buffer_deinit(&path);
}

static struct shape_making making_of(const struct entry *entry)
{
    return (struct shape_making){entry->tables->options.settings, &entry->names};
}

/* What BigQuery said of the table. False: the wish has failed. */
static bool take_shape(struct entry *entry, const json_t *body)
{
    const struct shape_making making = making_of(entry);
    struct shape shape;
    struct err err;

    entry->looked = true;
    if (shape_read(body, &shape, &err) != 0 || shape_check(&shape, &making, "history", &err) != 0) {
        shape_deinit(&shape);
        entry->known = false;
        fail(entry, &err);
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
        entry->aligned = true;
        if (take_shape(entry, answered->body)) {
            decide(entry);
        }
    } else if (answered->error->class == REST_CONFLICT) {
        look(entry, "somebody was faster");
    } else if (answered->error->class == REST_NOT_FOUND) {
        entry->dataset->state = DATASET_UNKNOWN;
        ask_dataset(entry, "the dataset is gone");
    } else {
        fail_call(entry, "making it", answered->error);
    }
}

static void make(struct entry *entry)
{
    const struct shape_making making = making_of(entry);
    json_t *body = shape_history(&making, entry->wishes->schema->table);
    struct rest_request request = {.method = "POST", .body = body, .repeatable = true};

    sm_move(&entry->sm, MAKE, "not there");
    call(entry, &request, NULL, on_made);
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
    fail(entry, &err);
}

static void on_missing(struct entry *entry)
{
    entry->looked = true;
    entry->known = false;
    if (entry->wishes->schema == NULL) {
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
        if (take_shape(entry, answered->body)) {
            decide(entry);
        }
    } else if (answered->error->class == REST_NOT_FOUND) {
        on_missing(entry);
    } else {
        fail_call(entry, "asking for it", answered->error);
    }
}

static void look(struct entry *entry, const char *why)
{
    struct rest_request request = {.method = "GET"};

    sm_move(&entry->sm, LOOK, why);
    call(entry, &request, entry->names.history, on_looked);
}

/* ---- PATCH */

static void tell_added(struct entry *entry)
{
    for (size_t i = 0; i < entry->patching.added_count; i++) {
        const struct shape_change *added = &entry->patching.added[i];

        if (added->further) {
            log_warn("further-column", "table=%q column=%q name=%s type=%s reason=%q", entry->names.source, added->column,
                     added->name, bigquery_type_word(added->type), "its type changed, and BigQuery can't widen the old one");
            metric_add(metric_cell(&columns_further, (const char *const[]){entry->names.source}), 1);
        } else {
            log_info("column-added", "table=%q column=%q name=%s type=%s", entry->names.source, added->column, added->name,
                     bigquery_type_word(added->type));
        }
        metric_add(entry->added, 1);
    }
}

static void on_patched(void *context, const struct rest_answer *answered)
{
    struct entry *entry = context;

    entry->call = NULL;
    if (answered->error == NULL) {
        tell_added(entry);
        if (take_shape(entry, answered->body)) {
            decide(entry);
        }
    } else if (answered->error->class == REST_CONFLICT) {
        look(entry, "somebody changed it");
    } else if (answered->error->class == REST_NOT_FOUND) {
        look(entry, "it is gone");
    } else {
        fail_call(entry, "adding columns to it", answered->error);
    }
}

/* Descriptions serve people and views: rows don't wait for them for long. */
static void on_worded(void *context, const struct rest_answer *answered)
{
    struct entry *entry = context;

    entry->call = NULL;
    if (answered->error != NULL) {
        log_warn("descriptions-not-written", "table=%q reason=%q next=%s", entry->names.source, answered->error->err.text,
                 "with-the-next-schema");
        decide(entry);
    } else if (take_shape(entry, answered->body)) {
        decide(entry);
    }
}

/* Takes what the plan holds. */
static void patch(struct entry *entry, struct shape_plan *plan)
{
    bool words_only = plan->words_only;
    json_t *body = json_pack("{s:{s:O}}", "schema", "fields", plan->fields);
    struct rest_request request = {.method = "PATCH", .body = body, .if_match = entry->shape.etag};

    must(body != NULL);
    entry->worded = true;
    shape_plan_deinit(&entry->patching);
    entry->patching = *plan;
    *plan = (struct shape_plan){0};
    sm_move(&entry->sm, PATCH, words_only ? "descriptions" : "columns");
    call(entry, &request, entry->names.history, words_only ? on_worded : on_patched);
    json_decref(body);
}

/* ---- PATCH of what the settings ask for by now */

/* Rows don't wait for it. */
static void on_aligned(void *context, const struct rest_answer *answered)
{
    struct entry *entry = context;

    entry->call = NULL;
    if (answered->error == NULL) {
        if (take_shape(entry, answered->body)) {
            decide(entry);
        }
    } else if (answered->error->class == REST_CONFLICT || answered->error->class == REST_NOT_FOUND) {
        entry->aligned = false;
        look(entry, "somebody changed it");
    } else {
        log_warn("settings-not-applied", "table=%q reason=%q next=%s", entry->names.source, answered->error->err.text,
                 "with-the-next-start");
        decide(entry);
    }
}

/* True: a change is under way. */
static bool align(struct entry *entry)
{
    const struct shape_making making = making_of(entry);
    struct rest_request request = {.method = "PATCH", .if_match = entry->shape.etag};
    struct shape_drift drift;
    bool changes;

    if (entry->aligned || ++entry->rounds > ROUNDS_MAX) {
        return false;
    }
    entry->aligned = true;
    shape_drift(&entry->shape, &making, &drift);
    free(entry->left);
    entry->left = drift.left.size > 0 ? shape_copy(buffer_text(&drift.left)) : NULL;
    if (entry->left != NULL) {
        log_warn("settings-not-applied", "table=%q reason=%q", entry->names.source, entry->left);
    }
    changes = drift.patch != NULL;
    if (changes) {
        log_info("applying-settings", "table=%q history=%s.%s.%s changes=%q", entry->names.source, entry->names.project,
                 entry->names.dataset, entry->names.history, buffer_text(&drift.changes));
        request.body = drift.patch;
        sm_move(&entry->sm, PATCH, "the settings were changed");
        call(entry, &request, entry->names.history, on_aligned);
    }
    shape_drift_deinit(&drift);
    return changes;
}

/* ---- WIDEN */

static void on_widened(void *context, const struct query_answer *answered, const struct err *err)
{
    struct entry *entry = context;

    (void)answered;
    entry->query = NULL;
    if (err == NULL) {
        metric_add(entry->widened, 1);
        look(entry, "widened");
    } else if (err->class == ERR_POISON) {
        log_warn("column-not-widened", "table=%q reason=%q next=%s", entry->names.source, err->text, "bigquery.on_type_change");
        entry->no_widening = true;
        look(entry, "BigQuery refuses to widen");
    } else {
        fail(entry, err);
    }
}

static void widen(struct entry *entry, const struct shape_widening *widening)
{
    const struct settings *settings = entry->tables->options.settings;
    struct buffer sql = {0};

    buffer_append_text(&sql, "ALTER TABLE ");
    bigquery_append_path(&sql, &entry->names, entry->names.history);
    buffer_append_text(&sql, " ALTER COLUMN ");
    bigquery_append_quoted(&sql, widening->name);
    buffer_printf(&sql, " SET DATA TYPE %s", bigquery_type_word(widening->type));
    sm_move(&entry->sm, WIDEN, widening->name);
    log_warn("widening-column", "table=%q name=%s type=%s reason=%q", entry->names.source, widening->name,
             bigquery_type_word(widening->type), "the source's type became wider");
    entry->query = query_start(&(struct query_options){.rest = entry->tables->options.rest,
                                                       .project = entry->names.project,
                                                       .location = settings->bigquery.location,
                                                       .job_prefix = settings->prefix,
                                                       .doing = "widening a column",
                                                       .sql = buffer_text(&sql)},
                               on_widened, entry);
    buffer_deinit(&sql);
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
        fail(entry, &err);
    }
    history_unref(history);
    return fits;
}

static void act(struct entry *entry, struct shape_plan *plan)
{
    struct err err;

    if (++entry->rounds > ROUNDS_MAX) {
        (void)err_set(&err, ERR_RETRY, "it changes each time before we can");
        fail(entry, &err);
    } else if (plan->widening_count > 0) {
        widen(entry, &plan->widenings[0]);
    } else if (plan->fields != NULL && !(plan->words_only && entry->worded)) {
        patch(entry, plan);
    } else {
        answer(entry, plan);
    }
}

static void decide(struct entry *entry)
{
    const struct wish *wish = entry->wishes;
    struct shape_plan plan = {0};
    struct err err;

    if (wish->schema == NULL) {
        answer(entry, NULL);
        return;
    }
    if (!hash_fits(entry) || align(entry)) {
        return;
    }
    if (shape_plan(&entry->shape, wish->schema->table,
                   &(struct shape_rules){.on_type_change = entry->tables->options.settings->bigquery.on_type_change,
                                         .leads = wish->leads,
                                         .no_widening = entry->no_widening},
                   &plan, &err) != 0) {
        fail(entry, &err);
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
        fail(entry, &(struct err){ERR_RETRY, "its dataset comes and goes"});
    } else {
        look(entry, "the dataset is ours");
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
    entry->looked = entry->worded = entry->no_widening = false;
    entry->rounds = 0;
    if (wish->schema == NULL) {
        look(entry, "asked for");
    } else if (wish->fresh || !entry->known) {
        ask_dataset(entry, "wished for");
    } else {
        decide(entry);
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
    entry->added = metric_cell(&columns_added, (const char *const[]){names->source});
    entry->widened = metric_cell(&columns_widened, (const char *const[]){names->source});
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
        free(wish);
    }
    history_unref(entry->last);
    free(entry->left);
    shape_plan_deinit(&entry->patching);
    shape_deinit(&entry->shape);
    bigquery_names_deinit(&entry->names);
    free(entry);
}
