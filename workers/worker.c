/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts know each other by calls only; here they are tied together. The worker holds every partition machine that is not
 * closed yet, also those that went back to the group and wait for their lane: answers find a machine by its assignment's number, or are dropped.
 *
 * Order of the end (SIGTERM, SIGINT): unsubscribe, so that the group revokes all; each partition drains; leave the group; then the
 * readers, the warehouse, the admin port, the loop. After STOP_SECONDS the process ends as it stands, by an
 * alarm, since librdkafka's last calls may block for ever (a handle whose topic was deleted never let go of it): what is in the warehouse and
 * what is committed were both decided before, and a kill at any instruction is an ordinary case.
 *
 * Health: the machine of a partition that a person must look at, Kafka that does not answer, and lag without progress for
 * worker.stall. Readiness: a member of the group.
 */
#include "workers/worker.h"

#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "common/admin.h"
#include "common/cli.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/must.h"
#include "common/version.h"
#include "schemas/name.h"
#include "workers/consumer.h"
#include "workers/dead_letter.h"
#include "workers/partition.h"
#include "workers/schema_cache.h"
#include "workers/sqlite/sqlite_warehouse.h"
#include "workers/wake.h"

#define TICK_MS         1000
#define STOP_SECONDS    9
#define FETCH_BYTES     (16 << 20) /* librdkafka's queue, by common/kafka.c's budget */
#define BUDGET_BYTES_MIN (4 << 20)
#define PRIME_BYTES_MAX (4 << 20)
#define HEARTBEAT_TICKS 60

static struct metric_family lag_family = {
    .name = "kakehi_partition_lag", .help = "Messages that are not settled yet", .kind = METRIC_GAUGE, .labels = {"topic", "partition"}};

/* A partition machine and what the health check remembers of it. */
struct member {
    struct member *next;
    struct partition *partition;
    struct worker *worker;
    struct metric *lag_metric;
    int64_t next_seen;
    uint64_t behind_since_ms; /* it has had lag and no progress since; 0: no lag */
};

struct worker {
    uv_loop_t loop;
    const struct settings *settings;
    uv_signal_t signals[2];
    uv_timer_t tick;
    uv_timer_t timer; /* the earliest wake of a partition */
    uv_prepare_t prepare;
    struct wake *wake;
    struct warehouse *warehouse;
    struct consumer *consumer;
    struct schema_cache *schemas;
    struct dead_letters *letters;
    struct admin *admin;
    struct accounting *accounting;
    struct budget budget;
    struct dedupe_pool dedupe_pool;
    struct partition_shared shared;
    struct member *members;
    uint64_t started_ms;
    uint64_t ticks;
    uint64_t stop_ms; /* 0: not stopping */
    bool budget_changed;
};

static uint64_t now_ms(const struct worker *worker)
{
    return uv_now(&worker->loop);
}

/* ---- members */

static struct member *member_by_assignment(const struct worker *worker, uint64_t assignment)
{
    struct member *member = worker->members;

    while (member != NULL && partition_assignment(member->partition) != assignment) {
        member = member->next;
    }
    return member;
}

static void drop_member(struct worker *worker, const struct partition *partition)
{
    struct member **link = &worker->members;
    struct member *member;

    while ((*link)->partition != partition) {
        link = &(*link)->next;
    }
    member = *link;
    *link = member->next;
    metric_set(member->lag_metric, 0);
    free(member);
}

/* "<prefix>.db.table" -> "db.table", with the names' own letters. A topic of another name stands for itself. */
static void table_of_topic(const struct worker *worker, const char *topic, struct buffer *out)
{
    size_t prefix_size = strlen(worker->settings->prefix);
    const char *database = strncmp(topic, worker->settings->prefix, prefix_size) == 0 && topic[prefix_size] == '.' ? topic + prefix_size + 1 : NULL;
    const char *dot = database != NULL ? strchr(database, '.') : NULL;
    char *mapped = dot != NULL ? strndup(database, (size_t)(dot - database)) : NULL;
    struct err err;
    bool good = false;

    if (mapped != NULL && name_unmap(out, mapped, &err) == 0) {
        buffer_append_byte(out, '.');
        good = name_unmap(out, dot + 1, &err) == 0;
    }
    if (!good) {
        buffer_clear(out);
        buffer_append_text(out, topic);
    }
    free(mapped);
}

/* ---- what partitions ask of Kafka */

static uint64_t ask_now_ms(void *context)
{
    return now_ms(context);
}

static int64_t ask_wall_us(void *context)
{
    struct timespec now;

    (void)context;
    must(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void ask_locate(void *context, struct partition *partition)
{
    consumer_locate(((struct worker *)context)->consumer, partition_assignment(partition));
}

static void ask_range(void *context, struct partition *partition)
{
    consumer_range(((struct worker *)context)->consumer, partition_assignment(partition));
}

static void ask_read_from(void *context, struct partition *partition, int64_t offset)
{
    consumer_read_from(((struct worker *)context)->consumer, partition_assignment(partition), offset);
}

static void ask_hold(void *context, struct partition *partition, enum partition_hold hold)
{
    consumer_hold(((struct worker *)context)->consumer, partition_assignment(partition), hold);
}

static void ask_commit(void *context, struct partition *partition, int64_t offset, const char *mark)
{
    consumer_commit(((struct worker *)context)->consumer, partition_assignment(partition), offset, mark);
}

static void ask_bury(void *context, struct partition *partition, uint64_t batch_number, const struct message *message, const char *reason)
{
    struct worker *worker = context;
    const struct dead_letter letter = {.topic = partition_topic(partition),
                                       .partition = partition_number(partition),
                                       .message = message,
                                       .reason = reason,
                                       .assignment = partition_assignment(partition),
                                       .batch_number = batch_number};

    dead_letters_give(worker->letters, &letter);
}

static const struct schema *ask_schema(void *context, uint64_t id)
{
    return schema_cache_find(((struct worker *)context)->schemas, id);
}

static void ask_read_schemas(void *context, struct partition *partition)
{
    schema_cache_read(((struct worker *)context)->schemas, partition_assignment(partition));
}

static void on_released(void *context, struct partition *partition)
{
    consumer_release(((struct worker *)context)->consumer, partition_assignment(partition));
}

static void stop_if_empty(struct worker *worker);

static void on_partition_closed(void *context, struct partition *partition)
{
    struct worker *worker = context;

    log_info("closed", "topic=%s partition=%d next=%lld", partition_topic(partition), partition_number(partition),
             (long long)partition_next(partition));
    drop_member(worker, partition);
    stop_if_empty(worker);
}

static const struct partition_calls partition_calls = {
    .now_ms = ask_now_ms,
    .wall_us = ask_wall_us,
    .locate = ask_locate,
    .range = ask_range,
    .read_from = ask_read_from,
    .hold = ask_hold,
    .commit = ask_commit,
    .bury = ask_bury,
    .schema = ask_schema,
    .read_schemas = ask_read_schemas,
    .released = on_released,
    .closed = on_partition_closed,
};

/* ---- what Kafka tells partitions */

static void *on_assigned(void *context, const char *topic, int32_t number, uint64_t assignment)
{
    struct worker *worker = context;
    struct member *member = calloc(1, sizeof *member);
    struct buffer table = {0};
    char number_text[16];

    must(member != NULL);
    (void)snprintf(number_text, sizeof number_text, "%d", number);
    table_of_topic(worker, topic, &table);
    member->worker = worker;
    member->next_seen = -1;
    member->lag_metric = metric_cell(&lag_family, (const char *const[]){topic, number_text});
    member->partition = partition_new(&worker->shared, topic, number, assignment, buffer_text(&table));
    member->next = worker->members;
    worker->members = member;
    buffer_deinit(&table);
    return member->partition;
}

static void on_revoked(void *owner, bool lost)
{
    partition_close(owner, lost);
}

static void on_message(void *owner, const struct message *message)
{
    partition_on_message(owner, message);
}

static void on_end(void *owner, int64_t offset)
{
    partition_on_end(owner, offset);
}

static void on_failed(void *owner, const struct err *err)
{
    partition_on_failed(owner, err);
}

static void on_located(void *owner, int64_t offset, const char *mark, const struct err *err)
{
    partition_on_located(owner, offset, mark, err);
}

static void on_range(void *owner, int64_t low, int64_t high, const struct err *err)
{
    partition_on_range(owner, low, high, err);
}

static void on_reading(void *owner, const struct err *err)
{
    partition_on_reading(owner, err);
}

static void on_committed(void *owner, enum commit_answer answer, const struct err *err)
{
    partition_on_committed(owner, answer, err);
}

static void on_buried(void *context, uint64_t assignment, uint64_t batch_number, const struct err *err)
{
    struct member *member = member_by_assignment(context, assignment);

    if (member != NULL) {
        partition_on_buried(member->partition, batch_number, err);
    }
}

static void on_schemas(void *context, uint64_t asker)
{
    struct member *member = member_by_assignment(context, asker);

    if (member != NULL) {
        partition_on_schemas(member->partition);
    }
}

/* ---- status */

static int64_t lag_of(const struct member *member)
{
    int64_t high = consumer_high(member->worker->consumer, partition_topic(member->partition), partition_number(member->partition));
    int64_t next = partition_next(member->partition);

    return high < 0 || next < 0 ? -1 : (high > next ? high - next : 0);
}

static bool is_ready(void *context, char *text, size_t size)
{
    struct worker *worker = context;

    if (worker->stop_ms > 0) {
        (void)snprintf(text, size, "stopping");
        return false;
    }
    if (!consumer_joined(worker->consumer)) {
        (void)snprintf(text, size, "not yet a member of the group (is there a topic %s.<database>.<table>?)", worker->settings->prefix);
        return false;
    }
    return true;
}

static bool member_is_healthy(const struct member *member, char *text, size_t size)
{
    const struct worker *worker = member->worker;
    const struct err *trouble = partition_trouble(member->partition);
    uint64_t stall_ms = (uint64_t)worker->settings->worker.stall_ms;

    if (partition_stopped(member->partition)) {
        (void)snprintf(text, size, "%s is stopped: %s", partition_id(member->partition), trouble->text);
        return false;
    }
    if (member->behind_since_ms > 0 && now_ms(worker) - member->behind_since_ms > stall_ms) {
        (void)snprintf(text, size, "%s has %" PRId64 " messages to go and has made no progress for %" PRIu64 " s (%s): %s", partition_id(member->partition),
                       lag_of(member), (now_ms(worker) - member->behind_since_ms) / 1000, partition_state(member->partition),
                       trouble->class != ERR_NONE ? trouble->text : "no error is known");
        return false;
    }
    return true;
}

static bool is_healthy(void *context, char *text, size_t size)
{
    struct worker *worker = context;
    uint64_t down_since_ms = consumer_down_since_ms(worker->consumer);

    if (down_since_ms > 0 && now_ms(worker) - down_since_ms > (uint64_t)worker->settings->worker.stall_ms) {
        (void)snprintf(text, size, "no Kafka broker has answered for %" PRIu64 " s", (now_ms(worker) - down_since_ms) / 1000);
        return false;
    }
    for (const struct member *member = worker->members; member != NULL; member = member->next) {
        if (!member_is_healthy(member, text, size)) {
            return false;
        }
    }
    return true;
}

static json_t *member_status(const struct member *member)
{
    const struct err *trouble = partition_trouble(member->partition);
    int64_t lag = lag_of(member);
    json_t *status = json_pack("{s:s, s:i, s:s, s:I, s:o}", "topic", partition_topic(member->partition), "partition",
                               (int)partition_number(member->partition), "state", partition_state(member->partition), "next",
                               (json_int_t)partition_next(member->partition), "lag", lag < 0 ? json_null() : json_integer(lag));

    if (trouble->class != ERR_NONE) {
        json_object_set_new(status, "trouble", json_string(trouble->text));
    }
    return status;
}

static json_t *status(void *context)
{
    struct worker *worker = context;
    json_t *partitions = json_array();
    json_t *all;

    for (const struct member *member = worker->members; member != NULL; member = member->next) {
        json_array_append_new(partitions, member_status(member));
    }
    all = json_pack("{s:s, s:s, s:o, s:o}", "program", "kakehi-worker", "version", version_text(), "partitions", partitions, "tables",
                    accounting_status(worker->accounting));
    json_object_set_new(all, "held_bytes", json_integer((json_int_t)budget_used(&worker->budget)));
    if (worker->warehouse->calls->status != NULL) {
        json_object_set_new(all, "warehouse", worker->warehouse->calls->status(worker->warehouse));
    }
    return all;
}

/* ---- turns of the loop */

static void on_wake(void *context)
{
    struct worker *worker = context;

    if (worker->letters != NULL) {
        dead_letters_poll(worker->letters);
    }
    if (worker->schemas != NULL) {
        schema_cache_poll(worker->schemas);
    }
    if (worker->consumer != NULL) {
        consumer_poll(worker->consumer);
    }
}

static void step_members(struct worker *worker, bool all)
{
    struct member *next;

    for (struct member *member = worker->members; member != NULL; member = next) {
        next = member->next; /* a step may close its own partition, no other */
        if (all || partition_wake_ms(member->partition) <= now_ms(worker)) {
            partition_step(member->partition);
        }
    }
}

static void on_timer(uv_timer_t *timer)
{
    step_members(timer->data, false);
}

/* Before the loop waits: for how long at most? */
static void on_prepare(uv_prepare_t *prepare)
{
    struct worker *worker = prepare->data;
    uint64_t wake_ms = UINT64_MAX;

    if (worker->budget_changed) {
        worker->budget_changed = false;
        step_members(worker, true);
    }
    for (const struct member *member = worker->members; member != NULL; member = member->next) {
        uint64_t own_ms = partition_wake_ms(member->partition);

        wake_ms = own_ms < wake_ms ? own_ms : wake_ms;
    }
    if (wake_ms == UINT64_MAX) {
        (void)uv_timer_stop(&worker->timer);
    } else {
        (void)uv_timer_start(&worker->timer, on_timer, wake_ms > now_ms(worker) ? wake_ms - now_ms(worker) : 0, 0);
    }
}

static void on_budget(void *context)
{
    ((struct worker *)context)->budget_changed = true;
}

static void watch(struct member *member)
{
    int64_t lag = lag_of(member);
    int64_t next = partition_next(member->partition);
    bool stuck = lag != 0 && next == member->next_seen;

    if (lag >= 0) {
        metric_set(member->lag_metric, (double)lag);
    }
    if (!stuck) {
        member->behind_since_ms = lag == 0 ? 0 : now_ms(member->worker);
    } else if (member->behind_since_ms == 0) {
        member->behind_since_ms = now_ms(member->worker);
    }
    member->next_seen = next;
}

static void heartbeat(const struct worker *worker)
{
    int64_t lag = 0;
    int count = 0;

    for (const struct member *member = worker->members; member != NULL; member = member->next) {
        int64_t own = lag_of(member);

        count++;
        lag += own > 0 ? own : 0;
    }
    log_info("running", "partitions=%d lag=%lld held_bytes=%zu", count, (long long)lag, budget_used(&worker->budget));
}

static void on_tick(uv_timer_t *tick)
{
    struct worker *worker = tick->data;

    if (worker->letters != NULL) {
        dead_letters_tick(worker->letters);
    }
    if (worker->schemas != NULL) {
        schema_cache_tick(worker->schemas);
    }
    if (worker->consumer != NULL) {
        consumer_tick(worker->consumer);
        for (struct member *member = worker->members; member != NULL; member = member->next) {
            watch(member);
        }
        if (++worker->ticks % HEARTBEAT_TICKS == 0) {
            heartbeat(worker);
        }
    }
}

/* ---- the end */

static void on_admin_closed(void *context)
{
    struct worker *worker = context;

    worker->admin = NULL;
    uv_close((uv_handle_t *)&worker->signals[0], NULL);
    uv_close((uv_handle_t *)&worker->signals[1], NULL);
    uv_close((uv_handle_t *)&worker->tick, NULL);
    uv_close((uv_handle_t *)&worker->timer, NULL);
    uv_close((uv_handle_t *)&worker->prepare, NULL);
}

static void on_wake_closed(void *context)
{
    struct worker *worker = context;

    worker->wake = NULL;
    admin_close(worker->admin, on_admin_closed, worker);
}

static void on_warehouse_freed(void *context)
{
    struct worker *worker = context;

    worker->warehouse = NULL;
    wake_close(worker->wake, on_wake_closed, worker);
}

static void on_schemas_closed(void *context)
{
    struct worker *worker = context;

    worker->schemas = NULL;
    dead_letters_free(worker->letters);
    worker->letters = NULL;
    if (worker->warehouse != NULL) {
        worker->warehouse->calls->free(worker->warehouse, on_warehouse_freed, worker);
    } else {
        on_warehouse_freed(worker);
    }
}

/* Both are needed: the group left, and the last lane closed. */
static void stop_if_empty(struct worker *worker)
{
    if (worker->stop_ms > 0 && worker->consumer == NULL && worker->members == NULL) {
        schema_cache_close(worker->schemas, on_schemas_closed, worker);
    }
}

static void on_consumer_closed(void *context)
{
    struct worker *worker = context;

    worker->consumer = NULL;
    stop_if_empty(worker);
}

static void on_alarm(int number)
{
    static const char text[] = "stopping took too long: the process ends as it stands; what is in and what is committed stays so\n";

    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(CLI_FAILED);
}

static void stop(struct worker *worker)
{
    if (worker->stop_ms == 0) {
        worker->stop_ms = now_ms(worker);
        (void)signal(SIGALRM, on_alarm);
        (void)alarm(STOP_SECONDS);
        consumer_close(worker->consumer, on_consumer_closed, worker);
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct worker *worker = handle->data;

    log_info("stopping", "signal=%d", number);
    stop(worker);
}

/* ---- the beginning */

static void open_loop(struct worker *worker)
{
    static const int numbers[2] = {SIGTERM, SIGINT};

    must(uv_loop_init(&worker->loop) == 0);
    for (int i = 0; i < 2; i++) {
        worker->signals[i].data = worker;
        must(uv_signal_init(&worker->loop, &worker->signals[i]) == 0);
        must(uv_signal_start(&worker->signals[i], on_signal, numbers[i]) == 0);
    }
    worker->tick.data = worker;
    worker->timer.data = worker;
    worker->prepare.data = worker;
    must(uv_timer_init(&worker->loop, &worker->tick) == 0);
    must(uv_timer_init(&worker->loop, &worker->timer) == 0);
    must(uv_timer_start(&worker->tick, on_tick, TICK_MS, TICK_MS) == 0);
    must(uv_prepare_init(&worker->loop, &worker->prepare) == 0);
    must(uv_prepare_start(&worker->prepare, on_prepare) == 0);
}

/* The ceiling is for all: librdkafka's queue and the dedupe come out of it first (P6). */
static size_t budget_bytes(const struct settings *settings)
{
    int64_t left = settings->worker.memory_bytes - FETCH_BYTES - settings->worker.dedupe_bytes;

    return left > BUDGET_BYTES_MIN ? (size_t)left : BUDGET_BYTES_MIN;
}

static void share(struct worker *worker)
{
    const struct settings_worker *settings = &worker->settings->worker;

    worker->accounting = accounting_new();
    worker->budget = (struct budget){.limit_bytes = budget_bytes(worker->settings), .changed = on_budget, .context = worker};
    worker->dedupe_pool = (struct dedupe_pool){.limit_bytes = (size_t)settings->dedupe_bytes};
    worker->shared = (struct partition_shared){
        .calls = &partition_calls,
        .context = worker,
        .warehouse = worker->warehouse,
        .limits = {(size_t)settings->batch_rows, (size_t)settings->batch_bytes, (uint64_t)settings->batch_age_ms},
        .dedupe_window = settings->dedupe_window,
        .prime_bytes_max = PRIME_BYTES_MAX,
        .budget = &worker->budget,
        .dedupe_pool = &worker->dedupe_pool,
        .accounting = worker->accounting,
    };
}

static int begin(struct worker *worker, struct err *err)
{
    const struct settings *settings = worker->settings;
    const struct admin_calls admin_calls = {worker, is_ready, is_healthy, status};
    const struct consumer_calls consumer_calls = {
        .context = worker,
        .assigned = on_assigned,
        .revoked = on_revoked,
        .message = on_message,
        .end = on_end,
        .failed = on_failed,
        .located = on_located,
        .range = on_range,
        .reading = on_reading,
        .committed = on_committed,
    };
    char group[256];

    if (sqlite_warehouse_new(&worker->loop, settings, &worker->warehouse, err) != 0) {
        return -1;
    }
    share(worker);
    if (kafka_join(group, sizeof group, (const char *const[]){settings->prefix, settings->worker.group, worker->warehouse->name, NULL}, err) != 0 ||
        wake_new(&worker->loop, on_wake, worker, &worker->wake, err) != 0 ||
        dead_letters_new(worker->wake, settings, &worker->budget, on_buried, worker, &worker->letters, err) != 0 ||
        schema_cache_new(&worker->loop, worker->wake, settings, dead_letters_handle(worker->letters), on_schemas, worker, &worker->schemas, err) != 0 ||
        consumer_new(&worker->loop, worker->wake, settings, group, dead_letters_handle(worker->letters), &consumer_calls, &worker->consumer, err) != 0 ||
        admin_new(&worker->loop, settings->worker.listen, &admin_calls, &worker->admin, err) != 0 ||
        consumer_subscribe(worker->consumer, err) != 0) {
        return -1;
    }
    log_info("started", "version=%s group=%q held_bytes_max=%zu", version_text(), group, worker->budget.limit_bytes);
    return 0;
}

int worker_run(const struct settings *settings)
{
    struct worker worker = {.settings = settings};
    struct err err = {0};
    int code = CLI_OK;

    open_loop(&worker);
    worker.started_ms = now_ms(&worker);
    if (begin(&worker, &err) != 0) {
        log_error("exit", "reason=%q", err.text);
        code = CLI_FAILED;
        stop(&worker);
    }
    must(uv_run(&worker.loop, UV_RUN_DEFAULT) == 0);
    must(uv_loop_close(&worker.loop) == 0);
    accounting_free(worker.accounting);
    log_info("exit", "code=%d", code);
    return code;
}
