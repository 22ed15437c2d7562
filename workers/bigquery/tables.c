/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of tables that a worker has met, and questions about rows. Each table is a machine of its own (tables_entry.c), each
 * dataset is asked for once (tables_dataset.c), and what a table lacks is decided by tables_shape.c, which knows no network.
 *
 * Answers never come inside the call that asked: a timer of zero steps the machines in the next turn of the loop.
 */
#include "workers/bigquery/tables.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/must.h"
#include "workers/bigquery/tables_parts.h"

/* ---- turns */

static void on_turn(uv_timer_t *timer)
{
    struct tables *tables = timer->data;

    for (struct entry *entry = tables->entries; entry != NULL && !tables->closing; entry = entry->next) {
        entry_step(entry);
    }
}

void tables_take_turn(struct tables *tables)
{
    if (!tables->closing) {
        must(uv_timer_start(&tables->turn, on_turn, 0, 0) == 0);
    }
}

void tables_append_path(struct buffer *out, const struct bigquery_names *names, const char *table)
{
    buffer_append_text(out, "/bigquery/v2/projects/");
    rest_append_encoded(out, names->project);
    buffer_append_text(out, "/datasets/");
    rest_append_encoded(out, names->dataset);
    if (table != NULL) {
        buffer_append_text(out, "/tables/");
        rest_append_encoded(out, table);
    }
}

/* ---- wishes */

/* Takes the names. */
static struct entry *find_entry(struct tables *tables, struct bigquery_names *names)
{
    struct entry *entry = tables->entries;

    while (entry != NULL &&
           (strcmp(entry->names.source_id, names->source_id) != 0 || strcmp(entry->names.source, names->source) != 0)) {
        entry = entry->next;
    }
    if (entry != NULL) {
        bigquery_names_deinit(names);
        return entry;
    }
    entry = entry_new(tables, names);
    entry->next = tables->entries;
    tables->entries = entry;
    return entry;
}

/* A wish that fails before anybody was asked is answered in the next turn too. */
struct refusal {
    uv_timer_t timer;
    struct err err;
    tables_answered answer;
    void *context;
};

static void on_refusal_closed(uv_handle_t *handle)
{
    struct refusal *refusal = handle->data;

    refusal->answer(refusal->context, NULL, &refusal->err);
    free(refusal);
}

static void refuse(struct tables *tables, const struct err *err, tables_answered answer, void *context)
{
    struct refusal *refusal = calloc(1, sizeof *refusal);

    must(refusal != NULL && uv_timer_init(tables->options.loop, &refusal->timer) == 0);
    refusal->timer.data = refusal;
    refusal->err = *err;
    refusal->answer = answer;
    refusal->context = context;
    uv_close((uv_handle_t *)&refusal->timer, on_refusal_closed);
}

static struct wish *new_wish(tables_answered answer, void *context)
{
    struct wish *wish = calloc(1, sizeof *wish);

    must(wish != NULL);
    wish->answer = answer;
    wish->context = context;
    return wish;
}

/* Takes it. */
static void give_wish(struct tables *tables, const char *database, const char *table, struct wish *wish)
{
    struct bigquery_names names;
    struct err err;

    if (bigquery_names_init(&names, &tables->options.settings->bigquery, database, table, &err) != 0) {
        refuse(tables, &err, wish->answer, wish->context);
        wish_free(wish);
        return;
    }
    entry_wish(find_entry(tables, &names), wish);
}

void tables_ensure(struct tables *tables, const struct tables_wish *wanted, tables_answered answer, void *context)
{
    struct wish *wish = new_wish(answer, context);

    wish->table = wanted->schema->table;
    wish->fresh = wanted->fresh;
    if (wanted->hash != NULL && strcmp(wanted->hash, "-") != 0) {
        (void)snprintf(wish->hash, sizeof wish->hash, "%s", wanted->hash);
    }
    give_wish(tables, wish->table->database, wish->table->name, wish);
}

void tables_describe(struct tables *tables, const struct table *table, tables_answered answer, void *context)
{
    struct wish *wish = new_wish(answer, context);

    wish->describes = table_copy(table);
    wish->table = wish->describes;
    give_wish(tables, table->database, table->name, wish);
}

void tables_look_up(struct tables *tables, const char *topic, tables_answered answer, void *context)
{
    char *database;
    char *table;
    struct err err;

    if (bigquery_names_of_topic(tables->options.settings, topic, &database, &table, &err) != 0) {
        refuse(tables, &err, answer, context);
        return;
    }
    give_wish(tables, database, table, new_wish(answer, context));
    free(database);
    free(table);
}

/* ---- life */

struct tables *tables_open(const struct tables_options *options)
{
    struct tables *tables = calloc(1, sizeof *tables);

    must(tables != NULL && uv_timer_init(options->loop, &tables->turn) == 0);
    tables->options = *options;
    tables->turn.data = tables;
    return tables;
}

static void on_closed(uv_handle_t *handle)
{
    struct tables *tables = handle->data;

    questions_close(tables);
    while (tables->datasets != NULL) {
        struct dataset *dataset = tables->datasets;

        tables->datasets = dataset->next;
        dataset_free(dataset);
    }
    while (tables->entries != NULL) {
        struct entry *entry = tables->entries;

        tables->entries = entry->next;
        entry_free(entry);
    }
    tables->closed(tables->closed_context);
    free(tables);
}

void tables_close(struct tables *tables, void (*closed)(void *context), void *context)
{
    if (tables == NULL) {
        closed(context);
        return;
    }
    must(!tables->closing);
    tables->closing = true;
    tables->closed = closed;
    tables->closed_context = context;
    uv_close((uv_handle_t *)&tables->turn, on_closed);
}

json_t *tables_status(const struct tables *tables)
{
    json_t *status = json_object();
    json_t *list = json_object();

    for (const struct entry *entry = tables->entries; entry != NULL; entry = entry->next) {
        json_t *one = json_pack("{s:s, s:s, s:b, s:i}", "history", entry->names.history, "state", sm_name(&entry->sm), "known",
                                entry->known, "columns", (int)entry->shape.column_count);

        must(one != NULL);
        if (entry->left != NULL) {
            must(json_object_set_new(one, "settings_not_applied", json_string(entry->left)) == 0);
        }
        must(json_object_set_new(list, entry->names.source, one) == 0);
    }
    must(json_object_set_new(status, "tables", list) == 0);
    if (tables->trouble.class != ERR_NONE) {
        must(json_object_set_new(status, "trouble", json_string(tables->trouble.text)) == 0);
    }
    return status;
}
