/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table at a time, so that a worker that starts with a thousand asks BigQuery one thing after another. A table whose partition 0 is
 * ours is due when it has another newest schema than the one that was written, and when the partition comes, since meanwhile another worker,
 * with an older newest, may have had it. No server refuses a zombie that was paused in the middle of that: it may write what it knew, once.
 * So each table is due again after an hour, which also puts right what somebody wrote into the descriptions.
 *
 * No history, or one that lacks a column of the schema: its rows are still to come, here (describer_look) or at another worker, so it is
 * asked again after a minute. A failure is told, and tried again by back-off; rows wait for none of this.
 */
#include "workers/bigquery/describer.h"

#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/log.h"
#include "common/must.h"

#define AGAIN_MS       3600000
#define WAIT_MS        60000
#define RETRY_FIRST_MS 30000
#define RETRY_MAX_MS   3600000

/* One table that the topic of schemas or a lane told of. */
struct described {
    struct described *next;
    struct bigquery_names names; /* owned */
    unsigned keepers;            /* lanes of partition 0: an old one may close after the new one was opened */
    const struct schema *newest; /* NULL: not told yet */
    const struct schema *done;   /* what the history says; NULL: not known */
    const struct schema *asked;  /* of the question under way */
    bool again;                  /* the history was found anew while it was */
    uint64_t due_ms;             /* by uv_now */
    uint32_t failures;           /* in a row */
};

/* A question to the tables can't be withdrawn: the answer finds no describer when that is closed. */
struct question {
    struct describer *describer;
    struct described *of;
};

struct describer {
    struct describer_options options;
    uv_timer_t timer;
    struct described *first;
    struct question *question; /* under way; NULL */
    void (*closed)(void *context);
    void *closed_context;
};

static uint64_t now_ms(const struct describer *describer)
{
    return uv_now(describer->options.loop);
}

/* ---- which */

/* Takes the names. */
static struct described *find(struct describer *describer, struct bigquery_names *names)
{
    struct described *described = describer->first;

    while (described != NULL && (strcmp(described->names.source_id, names->source_id) != 0 || strcmp(described->names.source, names->source) != 0)) {
        described = described->next;
    }
    if (described != NULL) {
        bigquery_names_deinit(names);
        return described;
    }
    described = calloc(1, sizeof *described);
    must(described != NULL);
    *described = (struct described){.next = describer->first, .names = *names};
    describer->first = described;
    return described;
}

/* NULL: it is no topic of a table, or its names can't be had; its lanes say so. */
static struct described *find_topic(struct describer *describer, const char *topic)
{
    const struct settings *settings = describer->options.settings;
    struct bigquery_names names;
    struct err ignored;
    char *database;
    char *table;
    int status;

    if (bigquery_names_of_topic(settings, topic, &database, &table, &ignored) != 0) {
        return NULL;
    }
    status = bigquery_names_init(&names, &settings->bigquery, database, table, &ignored);
    free(database);
    free(table);
    return status == 0 ? find(describer, &names) : NULL;
}

/* ---- when */

static bool wants(const struct described *described)
{
    return described->keepers > 0 && described->newest != NULL;
}

static struct described *next_due(const struct describer *describer)
{
    struct described *due = NULL;

    for (struct described *described = describer->first; described != NULL; described = described->next) {
        if (wants(described) && (due == NULL || described->due_ms < due->due_ms)) {
            due = described;
        }
    }
    return due;
}

static void on_due(uv_timer_t *timer);

static void schedule(struct describer *describer)
{
    const struct described *due = next_due(describer);

    (void)uv_timer_stop(&describer->timer);
    if (due != NULL && describer->question == NULL && describer->closed == NULL) {
        uint64_t wait_ms = due->due_ms > now_ms(describer) ? due->due_ms - now_ms(describer) : 0;

        must(uv_timer_start(&describer->timer, on_due, wait_ms, 0) == 0);
    }
}

/* ---- a question */

static void take_failure(struct describer *describer, struct described *described, const struct err *err)
{
    uint64_t wait_ms = backoff_ms(++described->failures, RETRY_FIRST_MS, RETRY_MAX_MS);

    described->due_ms = now_ms(describer) + wait_ms;
    log_warn("history-not-described", "table=%q reason=%q next=%q retry_s=%llu", described->names.source, err->text,
             "its rows go on; dropped columns and the key stay as they were said", (unsigned long long)(wait_ms / 1000));
}

static void take_answer(struct describer *describer, struct described *described, bool done)
{
    bool newer = described->asked != described->newest;
    uint64_t wait_ms = done ? describer->options.again_ms : WAIT_MS;

    described->failures = 0;
    described->due_ms = now_ms(describer) + (newer || (described->again && !done) ? 0 : wait_ms);
    if (done && described->done != described->asked) {
        described->done = described->asked;
        if (describer->options.described != NULL) {
            describer->options.described(describer->options.context, &described->names);
        }
    }
}

static void on_answer(void *context, struct history *history, const struct err *err)
{
    struct question *question = context;
    struct describer *describer = question->describer;
    struct described *described = question->of;

    free(question);
    if (describer == NULL) {
        return;
    }
    describer->question = NULL;
    if (describer->closed != NULL) {
        return;
    }
    if (err != NULL) {
        take_failure(describer, described, err);
    } else {
        take_answer(describer, described, history != NULL);
    }
    schedule(describer);
}

static void ask(struct describer *describer, struct described *described)
{
    struct question *question = calloc(1, sizeof *question);

    must(question != NULL);
    *question = (struct question){describer, described};
    describer->question = question;
    described->asked = described->newest;
    described->again = false;
    tables_describe(describer->options.tables, described->newest->table, on_answer, question);
}

static void on_due(uv_timer_t *timer)
{
    struct describer *describer = timer->data;
    struct described *due = next_due(describer);

    if (due != NULL && due->due_ms <= now_ms(describer)) {
        ask(describer, due);
    } else {
        schedule(describer);
    }
}

/* ---- from outside */

void describer_newest(struct describer *describer, const struct schema *schema)
{
    struct bigquery_names names;
    struct described *described;
    struct err ignored; /* its lanes say it */

    if (bigquery_names_init(&names, &describer->options.settings->bigquery, schema->table->database, schema->table->name, &ignored) != 0) {
        return;
    }
    described = find(describer, &names);
    described->newest = schema;
    described->due_ms = now_ms(describer);
    schedule(describer);
}

void describer_keep(struct describer *describer, const char *topic)
{
    struct described *described = find_topic(describer, topic);

    if (described != NULL) {
        described->keepers++;
        described->done = NULL;
        described->due_ms = now_ms(describer);
        schedule(describer);
    }
}

void describer_look(struct describer *describer, const struct bigquery_names *names)
{
    for (struct described *described = describer->first; described != NULL; described = described->next) {
        if (wants(described) && described->done != described->newest && described->failures == 0 && strcmp(described->names.source_id, names->source_id) == 0) {
            described->again = true;
            described->due_ms = now_ms(describer);
            schedule(describer);
        }
    }
}

void describer_leave(struct describer *describer, const char *topic)
{
    struct described *described = find_topic(describer, topic);

    if (described != NULL && described->keepers > 0) {
        described->keepers--;
        schedule(describer);
    }
}

/* ---- life */

struct describer *describer_open(const struct describer_options *options)
{
    struct describer *describer = calloc(1, sizeof *describer);

    must(describer != NULL && uv_timer_init(options->loop, &describer->timer) == 0);
    describer->options = *options;
    describer->options.again_ms = options->again_ms != 0 ? options->again_ms : AGAIN_MS;
    describer->timer.data = describer;
    return describer;
}

static void on_closed(uv_handle_t *handle)
{
    struct describer *describer = handle->data;

    if (describer->question != NULL) {
        describer->question->describer = NULL;
    }
    while (describer->first != NULL) {
        struct described *described = describer->first;

        describer->first = described->next;
        bigquery_names_deinit(&described->names);
        free(described);
    }
    describer->closed(describer->closed_context);
    free(describer);
}

void describer_close(struct describer *describer, void (*closed)(void *context), void *context)
{
    if (describer == NULL) {
        closed(context);
        return;
    }
    describer->closed = closed;
    describer->closed_context = context;
    uv_close((uv_handle_t *)&describer->timer, on_closed);
}
