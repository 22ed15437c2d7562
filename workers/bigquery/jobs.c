/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a failed job is read from status.errorResult.reason, one word of BigQuery's list ("Error messages" of its
 * documentation), in one table. A word that is not in the table counts as the file's fault: then the range goes by appends,
 * which get on or name the rows; the other way round it would be tried as a job for ever.
 */
#include "workers/bigquery/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/backoff.h"
#include "common/buffer.h"
#include "common/must.h"

#define ID_PREFIX_MAX   40
#define ID_RANDOM_BYTES 16
#define ID_RANDOM_SIZE  (2 * ID_RANDOM_BYTES)

/* ---- ids */

static bool id_holds(char letter)
{
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9') ||
           letter == '_' || letter == '-';
}

void job_id_make(char id[JOB_ID_SIZE], const char *prefix)
{
    uint8_t bits[ID_RANDOM_BYTES];
    size_t size = 0;

    must(getrandom(bits, sizeof bits, 0) == (ssize_t)sizeof bits);
    for (; prefix[size] != '\0' && size < ID_PREFIX_MAX; size++) {
        id[size] = id_holds(prefix[size]) ? prefix[size] : '-';
    }
    id[size++] = '_';
    for (size_t i = 0; i < sizeof bits; i++) {
        (void)snprintf(id + size, 3, "%02x", bits[i]);
        size += 2;
    }
}

bool job_id_valid(const char *id)
{
    size_t size = strnlen(id, JOB_ID_SIZE);

    if (size <= ID_RANDOM_SIZE || size >= JOB_ID_SIZE) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (!id_holds(id[i])) {
            return false;
        }
    }
    return true;
}

/* ---- configuration */

json_t *job_load(const struct job_reference *reference, const struct job_table *table)
{
    json_t *job =
        json_pack("{s:{s:s, s:s, s:s}, s:{s:{s:{s:s, s:s, s:s}, s:s, s:b, s:[s, s, s], s:s, s:s, s:b}}}", "jobReference",
                  "projectId", table->project, "jobId", reference->id, "location", reference->location, "configuration", "load",
                  "destinationTable", "projectId", table->project, "datasetId", table->dataset, "tableId", table->table,
                  "sourceFormat", "AVRO", "useAvroLogicalTypes", 1, "decimalTargetTypes", "NUMERIC", "BIGNUMERIC", "STRING",
                  "writeDisposition", "WRITE_APPEND", "createDisposition", "CREATE_NEVER", "autodetect", 0);

    must(job != NULL);
    return job;
}

/* ---- what became of it */

static const struct {
    const char *reason;
    enum job_verdict verdict;
} reasons[] = {
    {"backendError", JOB_TRANSIENT},
    {"internalError", JOB_TRANSIENT},
    {"jobBackendError", JOB_TRANSIENT},
    {"jobInternalError", JOB_TRANSIENT},
    {"jobRateLimitExceeded", JOB_TRANSIENT},
    {"rateLimitExceeded", JOB_TRANSIENT},
    {"resourceInUse", JOB_TRANSIENT},
    {"resourcesExceeded", JOB_TRANSIENT},
    {"stopped", JOB_TRANSIENT}, /* canceled by a person */
    {"tableUnavailable", JOB_TRANSIENT},
    {"timeout", JOB_TRANSIENT},
    {"accessDenied", JOB_DENIED},
    {"billingNotEnabled", JOB_DENIED},
    {"billingTierLimitExceeded", JOB_DENIED},
    {"blocked", JOB_DENIED},
    {"notFound", JOB_DENIED},
};

static enum job_verdict verdict_of(const char *reason)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (strcmp(reasons[i].reason, reason) == 0) {
            return reasons[i].verdict;
        }
    }
    return JOB_DATA;
}

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

static void read_failure(const json_t *result, struct job_state *state)
{
    enum err_class class = ERR_POISON;

    state->verdict = verdict_of(text_at(result, "reason"));
    if (state->verdict != JOB_DATA) {
        class = state->verdict == JOB_DENIED ? ERR_FATAL : ERR_RETRY;
    }
    (void)err_set(&state->err, class, "the load job failed: %s: %s", text_at(result, "reason"), text_at(result, "message"));
}

/* int64 values of the REST API are texts. */
static int64_t read_rows(const json_t *job)
{
    const json_t *load = json_object_get(json_object_get(job, "statistics"), "load");
    const char *text = text_at(load, "outputRows");
    char *end;
    long long rows = strtoll(text, &end, 10);

    return end != text && *end == '\0' && rows >= 0 ? (int64_t)rows : -1;
}

/* Loads it to our table? */
static bool is_ours(const json_t *job, const struct job_table *table)
{
    const json_t *load = json_object_get(json_object_get(job, "configuration"), "load");
    const json_t *destination = json_object_get(load, "destinationTable");

    return strcmp(text_at(destination, "datasetId"), table->dataset) == 0 &&
           strcmp(text_at(destination, "tableId"), table->table) == 0;
}

int job_read(const json_t *job, const struct job_table *table, struct job_state *ret_state, struct err *err)
{
    const json_t *status = json_object_get(job, "status");
    const json_t *result = json_object_get(status, "errorResult");
    const char *word = text_at(status, "state");

    *ret_state = (struct job_state){.rows = -1};
    if (word[0] == '\0' || !json_is_object(json_object_get(job, "configuration"))) {
        return err_set(err, ERR_RETRY, "an answer that is no job");
    }
    if (!is_ours(job, table)) {
        ret_state->verdict = JOB_FOREIGN;
        (void)err_set(&ret_state->err, ERR_FATAL,
                      "the job that the commit names does not load into %s.%s: the settings point elsewhere", table->dataset,
                      table->table);
    } else if (strcmp(word, "DONE") != 0) {
        ret_state->verdict = JOB_RUNNING;
    } else if (result != NULL && !json_is_null(result)) {
        read_failure(result, ret_state);
    } else {
        ret_state->verdict = JOB_LOADED;
        ret_state->rows = read_rows(job);
    }
    return 0;
}

const char *job_verdict_name(enum job_verdict verdict)
{
    static const char *const names[] = {
        [JOB_UNKNOWN] = "unknown", [JOB_RUNNING] = "running", [JOB_LOADED] = "loaded",  [JOB_TRANSIENT] = "failed, transient",
        [JOB_DATA] = "failed",     [JOB_DENIED] = "denied",   [JOB_FOREIGN] = "foreign"};

    must((unsigned)verdict < sizeof names / sizeof names[0]);
    return names[verdict];
}

/* ---- waiting for it */

struct job_watch {
    struct job_watch_options options;
    struct rest_call *call; /* NULL: the timer runs */
    uv_timer_t *timer;      /* freed by its own close */
    uint32_t tries;         /* answers "running" so far */
    job_watched answer;
    void *context;
};

static void free_timer(uv_handle_t *handle)
{
    free(handle);
}

static void watch_free(struct job_watch *watch)
{
    uv_close((uv_handle_t *)watch->timer, free_timer);
    free(watch);
}

static void finish(struct job_watch *watch, const struct job_state *state, const struct err *err)
{
    job_watched answer = watch->answer;
    void *context = watch->context;

    watch_free(watch);
    answer(context, state, err);
}

static void ask(struct job_watch *watch);

static void on_timer(uv_timer_t *timer)
{
    ask(timer->data);
}

static void fail(struct job_watch *watch, struct err *err)
{
    (void)err_while(err, "asking for the load job %s", watch->options.reference.id);
    finish(watch, NULL, err);
}

static void on_job(struct job_watch *watch, const json_t *job)
{
    struct job_state state;
    struct err err = {0};

    if (job_read(job, &watch->options.table, &state, &err) != 0) {
        fail(watch, &err);
    } else if (state.verdict == JOB_RUNNING) {
        (void)uv_timer_start(watch->timer, on_timer, backoff_ms(++watch->tries, watch->options.first_ms, watch->options.max_ms),
                             0);
    } else {
        finish(watch, &state, NULL);
    }
}

static void on_answer(void *context, const struct rest_answer *answer)
{
    struct job_watch *watch = context;

    watch->call = NULL;
    if (answer->error == NULL) {
        on_job(watch, answer->body);
    } else if (answer->error->class == REST_NOT_FOUND) {
        finish(watch, &(struct job_state){.verdict = JOB_UNKNOWN, .rows = -1}, NULL);
    } else {
        struct err err = answer->error->err;

        err.class = err.class == ERR_POISON ? ERR_RETRY : err.class; /* nothing that we asked wrongly: ask again later */
        fail(watch, &err);
    }
}

static void ask(struct job_watch *watch)
{
    const struct job_watch_options *options = &watch->options;
    struct buffer path = {0};

    buffer_append_text(&path, "/bigquery/v2/projects/");
    rest_append_encoded(&path, options->table.project);
    buffer_append_text(&path, "/jobs/");
    rest_append_encoded(&path, options->reference.id);
    buffer_append_text(&path, "?location=");
    rest_append_encoded(&path, options->reference.location);
    watch->call =
        rest_send(options->rest, &(struct rest_request){.method = "GET", .path = buffer_text(&path)}, on_answer, watch);
    buffer_deinit(&path);
}

struct job_watch *job_watch_start(const struct job_watch_options *options, job_watched answer, void *context)
{
    struct job_watch *watch = calloc(1, sizeof *watch);

    must(watch != NULL);
    watch->options = *options;
    watch->answer = answer;
    watch->context = context;
    watch->timer = malloc(sizeof *watch->timer);
    must(watch->timer != NULL && uv_timer_init(options->loop, watch->timer) == 0);
    watch->timer->data = watch;
    ask(watch);
    return watch;
}

void job_watch_cancel(struct job_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    if (watch->call != NULL) {
        rest_cancel(watch->call);
    }
    watch_free(watch);
}
