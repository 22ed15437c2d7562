/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts know each other by calls only; here they are tied together: made, woken and ended. worker_partitions.c holds the
 * partition machines and stands between them and Kafka; worker_status.c says how things are.
 *
 * Order of the end (SIGTERM, SIGINT): unsubscribe, so that the group revokes all; each partition drains; leave the group; then the
 * readers, the warehouse, the admin port, the loop. After STOP_SECONDS the process ends as it stands, by an
 * alarm, since librdkafka's last calls may block for ever (a handle whose topic was deleted never let go of it): what is in the warehouse and
 * what is committed were both decided before, and a kill at any instruction is an ordinary case.
 */
#include "workers/worker.h"

#include <signal.h>
#include <unistd.h>

#include "common/cli.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/must.h"
#include "common/process_metrics.h"
#include "common/version.h"
#include "workers/bigquery/bigquery_warehouse.h"
#include "workers/sqlite/sqlite_warehouse.h"
#include "workers/worker_parts.h"

#define TICK_MS         1000
#define STOP_SECONDS    9
#define FETCH_BYTES     (16 << 20) /* librdkafka's queue, by common/kafka.c's budget */
#define BUDGET_BYTES_MIN (4 << 20)
#define PRIME_BYTES_MAX (4 << 20)

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
        worker_watch(worker);
        worker_heartbeat(worker);
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

static void on_registry_closed(void *context)
{
    struct worker *worker = context;

    worker->registry = NULL;
    dead_letters_free(worker->letters);
    worker->letters = NULL;
    if (worker->warehouse != NULL) {
        worker->warehouse->calls->free(worker->warehouse, on_warehouse_freed, worker);
    } else {
        on_warehouse_freed(worker);
    }
}

static void on_schemas_closed(void *context)
{
    struct worker *worker = context;

    worker->schemas = NULL;
    schema_registry_close(worker->registry, on_registry_closed, worker);
}

/* Both are needed: the group left, and the last lane closed. */
void worker_stop_if_empty(struct worker *worker)
{
    if (worker->stop_ms > 0 && worker->consumer == NULL && worker->members == NULL) {
        schema_cache_close(worker->schemas, on_schemas_closed, worker);
    }
}

static void on_consumer_closed(void *context)
{
    struct worker *worker = context;

    worker->consumer = NULL;
    worker_stop_if_empty(worker);
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
        .calls = &worker_partition_calls,
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

static int open_registry(struct worker *worker, struct err *err)
{
    const struct settings_registry *settings = &worker->settings->registry;

    return settings->urls.count == 0 ? 0 : schema_registry_new(&worker->loop, settings, worker_on_schemas, worker, &worker->registry, err);
}

static int open_warehouse(struct worker *worker, struct err *err)
{
    const struct settings *settings = worker->settings;

    return settings->warehouse == WAREHOUSE_BIGQUERY ? bigquery_warehouse_new(&worker->loop, settings, &worker->warehouse, err)
                                                     : sqlite_warehouse_new(&worker->loop, settings, &worker->warehouse, err);
}

static int begin(struct worker *worker, struct err *err)
{
    const struct settings *settings = worker->settings;
    const struct schema_cache_calls schema_calls = {worker, worker_on_schemas, worker_on_newest};
    const struct admin_calls admin_calls = {worker, worker_is_ready, worker_is_healthy, worker_status};
    struct consumer_calls consumer_calls = worker_consumer_calls;
    char group[256];

    if (open_warehouse(worker, err) != 0) {
        return -1;
    }
    share(worker);
    consumer_calls.context = worker;
    if (kafka_join(group, sizeof group, (const char *const[]){settings->prefix, settings->worker.group, worker->warehouse->name, NULL}, err) != 0 ||
        wake_new(&worker->loop, on_wake, worker, &worker->wake, err) != 0 ||
        dead_letters_new(worker->wake, settings, &worker->budget, worker_on_buried, worker, &worker->letters, err) != 0 ||
        schema_cache_new(&worker->loop, worker->wake, settings, dead_letters_handle(worker->letters), &schema_calls, &worker->schemas, err) != 0 ||
        open_registry(worker, err) != 0 ||
        consumer_new(&worker->loop, worker->wake, settings, group, dead_letters_handle(worker->letters), &consumer_calls, &worker->consumer, err) != 0 ||
        admin_new(&worker->loop, settings->worker.listen, &admin_calls, &worker->admin, err) != 0 ||
        consumer_subscribe(worker->consumer, err) != 0) {
        return -1;
    }
    worker->heartbeat_ms = now_ms(worker);
    log_info("started", "version=%s group=%q held_bytes_max=%zu", version_text(), group, worker->budget.limit_bytes);
    return 0;
}



int worker_run(const struct settings *settings)
{
    struct worker worker = {.settings = settings};
    struct err err = {0};
    int code = CLI_OK;

    process_metrics_start("kakehi-worker");
    open_loop(&worker);
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
