/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first SIGTERM or SIGINT stops the pipeline, which commits what is whole and leaves the group; a second one ends the
 * process at once, and so does the watchdog when the stop takes too long. Both are safe: whatever is open, the next fence
 * aborts.
 */
#include "producer/run.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "common/admin.h"
#include "common/cli.h"
#include "common/log.h"
#include "common/must.h"
#include "common/process_metrics.h"
#include "producer/binlog/source.h"
#include "producer/pipeline.h"

#define STOP_MAX_MS 9500

struct run {
    const struct settings *settings;
    uv_loop_t loop;
    uv_signal_t signals[2];
    uv_timer_t wake;
    uv_timer_t watchdog;
    uv_check_t turn;   /* active while a turn is wished */
    uv_idle_t no_wait; /* with it: the loop does not wait for I/O */
    struct pipeline_world world;
    struct pipeline *pipeline;
    struct admin *admin;
    bool stopping;
    int exit_code;
};

/* ---- the pipeline's world */

/* Asked for each row, so the time is the loop's: as it was when the turn began. */
static uint64_t world_now_ms(void *context)
{
    return uv_now(&((struct run *)context)->loop);
}

static int64_t world_clock_us(void *context)
{
    struct timespec now;

    (void)context;
    must(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void on_wake(uv_timer_t *timer)
{
    struct run *run = timer->data;

    pipeline_wake(run->pipeline);
}

static void world_wake_at(void *context, uint64_t when_ms)
{
    struct run *run = context;
    uint64_t now_ms = world_now_ms(run);

    must(uv_timer_start(&run->wake, on_wake, when_ms > now_ms ? when_ms - now_ms : 0, 0) == 0);
}

static void on_turn(uv_check_t *check)
{
    struct run *run = check->data;

    (void)uv_check_stop(&run->turn);
    (void)uv_idle_stop(&run->no_wait);
    pipeline_turn(run->pipeline);
}

static void on_no_wait(uv_idle_t *idle)
{
    (void)idle;
}

static void world_soon(void *context)
{
    struct run *run = context;

    must(uv_check_start(&run->turn, on_turn) == 0 && uv_idle_start(&run->no_wait, on_no_wait) == 0);
}

/* ---- the end */

static void on_admin_closed(void *context)
{
    struct run *run = context;

    uv_close((uv_handle_t *)&run->signals[0], NULL);
    uv_close((uv_handle_t *)&run->signals[1], NULL);
    uv_close((uv_handle_t *)&run->wake, NULL);
    uv_close((uv_handle_t *)&run->watchdog, NULL);
    uv_close((uv_handle_t *)&run->turn, NULL);
    uv_close((uv_handle_t *)&run->no_wait, NULL);
}

static void world_ended(void *context, int exit_code)
{
    struct run *run = context;

    run->exit_code = exit_code;
    (void)uv_timer_stop(&run->wake);
    (void)uv_check_stop(&run->turn);
    (void)uv_idle_stop(&run->no_wait);
    admin_close(run->admin, on_admin_closed, run);
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    log_warn("stop_late", "then=%q", "ending now; the next start goes on from the last commit");
    _exit(CLI_OK);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct run *run = handle->data;

    if (run->stopping) {
        _exit(CLI_OK);
    }
    run->stopping = true;
    log_info("stopping", "signal=%d then=%q", number, "committing what is whole, leaving the group");
    must(uv_timer_start(&run->watchdog, on_watchdog, STOP_MAX_MS, 0) == 0);
    pipeline_stop(run->pipeline);
}

/* ---- admin */

static bool admin_ready(void *context, char *text, size_t size)
{
    return pipeline_ready(((struct run *)context)->pipeline, text, size);
}

static bool admin_healthy(void *context, char *text, size_t size)
{
    return pipeline_healthy(((struct run *)context)->pipeline, text, size);
}

static json_t *admin_status(void *context)
{
    return pipeline_status(((struct run *)context)->pipeline);
}

/* ---- the beginning */

static void start_handles(struct run *run)
{
    must(uv_loop_init(&run->loop) == 0);
    must(uv_timer_init(&run->loop, &run->wake) == 0 && uv_timer_init(&run->loop, &run->watchdog) == 0);
    must(uv_check_init(&run->loop, &run->turn) == 0 && uv_idle_init(&run->loop, &run->no_wait) == 0);
    run->wake.data = run->turn.data = run;
    for (int i = 0; i < 2; i++) {
        must(uv_signal_init(&run->loop, &run->signals[i]) == 0);
        run->signals[i].data = run;
        must(uv_signal_start(&run->signals[i], on_signal, i == 0 ? SIGTERM : SIGINT) == 0);
    }
    (void)signal(SIGPIPE, SIG_IGN);
}

static int assemble(struct run *run, struct err *err)
{
    const struct admin_calls calls = {run, admin_ready, admin_healthy, admin_status};
    struct source *source;

    run->world = (struct pipeline_world){run, &run->loop, world_now_ms, world_clock_us, world_wake_at, world_soon, world_ended};
    if (binlog_source_new(&run->loop, run->settings, &source, err) != 0) {
        return -1;
    }
    if (pipeline_new(run->settings, &run->world, source, &run->pipeline, err) != 0) {
        return -1;
    }
    return admin_new(&run->loop, run->settings->producer.listen, &calls, &run->admin, err);
}

/* What failed to start is left to the end of the process. */
int run_producer(const struct settings *settings)
{
    struct run run = {.settings = settings};
    struct err err = {0};

    process_metrics_start("kakehi-producer");
    start_handles(&run);
    if (assemble(&run, &err) != 0) {
        log_error("not_started", "because=%q", err.text);
        return CLI_FAILED;
    }
    pipeline_start(run.pipeline);
    (void)uv_run(&run.loop, UV_RUN_DEFAULT);
    pipeline_free(run.pipeline);
    (void)uv_run(&run.loop, UV_RUN_DEFAULT); /* what the source closes */
    must(uv_loop_close(&run.loop) == 0);
    return run.exit_code;
}
