/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a history that is there is changed: columns and descriptions by a patch, types by a statement, and once a worker's life, and
 * when the source's key becomes known, what the settings and the key ask for by now (tables_drift.c). Each answer leads back to the question what is missing, in tables_entry.c.
 *
 * A patch carries the ETag of what it was made from: whoever was slower looks again, and loses nothing of the other's.
 */
#include <stdlib.h>

#include "common/log.h"
#include "common/must.h"
#include "workers/bigquery/tables_parts.h"
#include "workers/bigquery/tables_shape_parts.h"

#define ALIGN_ROUNDS_MAX 5 /* whoever loses each race leaves it to the next start */

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

void entry_begin_counting(struct entry *entry)
{
    entry->added = metric_cell(&columns_added, (const char *const[]){entry->names.source});
    entry->widened = metric_cell(&columns_widened, (const char *const[]){entry->names.source});
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

/* With its first columns, or by a statement, a table gets its key: the history's words and clustering follow (tables_drift.c). */
static void take_and_decide(struct entry *entry, const json_t *body)
{
    bool had_key = shape_has_key(&entry->shape);

    if (entry_take_shape(entry, body)) {
        entry->aligned = entry->aligned && shape_has_key(&entry->shape) == had_key;
        entry_decide(entry);
    }
}

static void on_patched(void *context, const struct rest_answer *answered)
{
    struct entry *entry = context;

    entry->call = NULL;
    if (answered->error == NULL) {
        tell_added(entry);
        take_and_decide(entry, answered->body);
    } else if (answered->error->class == REST_CONFLICT) {
        entry_look(entry, "somebody changed it");
    } else if (answered->error->class == REST_NOT_FOUND) {
        entry_look(entry, "it is gone");
    } else {
        entry_fail_call(entry, "adding columns to it", answered->error);
    }
}

/* No row waits for descriptions: they have wishes of their own. */
static void on_worded(void *context, const struct rest_answer *answered)
{
    struct entry *entry = context;

    entry->call = NULL;
    if (answered->error == NULL) {
        take_and_decide(entry, answered->body);
    } else if (answered->error->class == REST_CONFLICT || answered->error->class == REST_NOT_FOUND) {
        entry->worded = false;
        entry_look(entry, "somebody changed it");
    } else {
        entry_fail_call(entry, "describing its columns", answered->error);
    }
}

void entry_patch(struct entry *entry, struct shape_plan *plan)
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
    entry_call(entry, &request, entry->names.history, words_only ? on_worded : on_patched);
    json_decref(body);
}

/* ---- PATCH of what the settings ask for by now */

/* Rows don't wait for it, unless they would go into what is to be deleted: then nothing is written, and `aligned` stays false, so
 * that the next wish tries again. */
static void on_not_aligned(struct entry *entry, const struct rest_error *error)
{
    if (entry->keeping) {
        entry->aligned = false;
        entry_fail_call(entry, "telling BigQuery to keep its rows", error);
    } else {
        log_warn("settings-not-applied", "table=%q reason=%q next=%s", entry->names.source, error->err.text,
                 "with-the-next-start");
        entry_decide(entry);
    }
}

static void on_aligned(void *context, const struct rest_answer *answered)
{
    struct entry *entry = context;

    entry->call = NULL;
    if (answered->error == NULL) {
        if (entry_take_shape(entry, answered->body)) {
            entry_decide(entry);
        }
    } else if (answered->error->class == REST_CONFLICT || answered->error->class == REST_NOT_FOUND) {
        entry->aligned = false;
        entry_look(entry, "somebody changed it");
    } else {
        on_not_aligned(entry, answered->error);
    }
}

bool entry_align(struct entry *entry)
{
    const struct shape_making making = entry_making(entry);
    struct rest_request request = {.method = "PATCH", .if_match = entry->shape.etag};
    struct shape_drift drift;
    bool changes;

    if (entry->aligned || ++entry->rounds > ALIGN_ROUNDS_MAX) {
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
    entry->keeping = drift.keeps_rows;
    if (changes) {
        log_info("applying-settings", "table=%q history=%s.%s.%s changes=%q", entry->names.source, entry->names.project,
                 entry->names.dataset, entry->names.history, buffer_text(&drift.changes));
        request.body = drift.patch;
        sm_move(&entry->sm, PATCH, "it is not what the settings ask for");
        entry_call(entry, &request, entry->names.history, on_aligned);
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
        entry_look(entry, "widened");
    } else if (err->class == ERR_POISON) {
        log_warn("column-not-widened", "table=%q reason=%q next=%s", entry->names.source, err->text, "bigquery.on_type_change");
        entry_look(entry, "BigQuery refuses to widen");
    } else {
        entry_fail(entry, err);
    }
}

void entry_widen(struct entry *entry, const struct shape_widening *widening)
{
    const struct settings *settings = entry->tables->options.settings;
    struct buffer sql = {0};

    text_list_add(&entry->tried, widening->name);
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
