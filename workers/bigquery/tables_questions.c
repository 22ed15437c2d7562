/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the rows of a history, for rules C6 and C7. Both ask by the ingest day, so that a history which requires a
 * partition filter answers too.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/must.h"
#include "workers/bigquery/tables_parts.h"

struct question {
    struct tables *tables;
    struct query *query;
    struct history *history;
    bool yes_if_rows; /* else: yes if there are none */
    history_said answer;
    void *context;
    struct question *next;
};

static void unlink_question(struct question *question)
{
    struct question **place = &question->tables->questions;

    while (*place != question) {
        place = &(*place)->next;
    }
    *place = question->next;
}

static void on_answered(void *context, const struct query_answer *answered, const struct err *err)
{
    struct question *question = context;
    struct err fatal;

    unlink_question(question);
    if (err != NULL && err->class == ERR_POISON) {
        fatal = *err;
        fatal.class = ERR_FATAL;
        err = &fatal;
    }
    question->answer(question->context, err == NULL && (json_array_size(answered->rows) > 0) == question->yes_if_rows, err);
    history_unref(question->history);
    free(question);
}

static struct question *question_new(struct tables *tables, struct history *history, history_said answer, void *context)
{
    struct question *question = calloc(1, sizeof *question);

    must(question != NULL);
    question->tables = tables;
    question->history = history_ref(history);
    question->answer = answer;
    question->context = context;
    question->next = tables->questions;
    tables->questions = question;
    return question;
}

static void ask(struct question *question, const char *doing, const char *sql)
{
    const struct settings *settings = question->tables->options.settings;

    question->query = query_start(&(struct query_options){.rest = question->tables->options.rest,
                                                          .project = question->history->names.project,
                                                          .location = settings->bigquery.location,
                                                          .job_prefix = settings->prefix,
                                                          .doing = doing,
                                                          .sql = sql},
                                  on_answered, question);
}

void history_is_empty(struct tables *tables, struct history *history, history_said answer, void *context)
{
    struct question *question = question_new(tables, history, answer, context);
    struct buffer sql = {0};

    buffer_append_text(&sql, "SELECT 1 FROM ");
    bigquery_append_path(&sql, &history->names, history->names.history);
    buffer_append_text(&sql, " WHERE __ingest_day >= DATE '0001-01-01' LIMIT 1");
    ask(question, "asking whether the history is empty", buffer_text(&sql));
    buffer_deinit(&sql);
}

void history_has(struct tables *tables, struct history *history, const struct history_change *change, history_said answer,
                 void *context)
{
    struct question *question = question_new(tables, history, answer, context);
    struct buffer sql = {0};

    question->yes_if_rows = true;
    buffer_append_text(&sql, "SELECT 1 FROM ");
    bigquery_append_path(&sql, &history->names, history->names.history);
    buffer_append_text(&sql, " WHERE __ingest_day >= ");
    bigquery_append_day(&sql, change->from_day);
    buffer_printf(&sql, " AND __seq = %" PRId64 " AND __idx = %" PRId64 " LIMIT 1", change->seq, change->idx);
    ask(question, "asking whether a row is in the history", buffer_text(&sql));
    buffer_deinit(&sql);
}

void questions_close(struct tables *tables)
{
    const struct err canceled = {ERR_CANCELED, "shutting down"};

    while (tables->questions != NULL) {
        struct question *question = tables->questions;

        tables->questions = question->next;
        query_cancel(question->query);
        question->answer(question->context, false, &canceled);
        history_unref(question->history);
        free(question);
    }
}
