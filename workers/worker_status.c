/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the worker says of itself: readiness, health, status, lag, and the heartbeat.
 *
 * Readiness: a member of the group. Health is for alarms: the machine of a partition that a person must look at, Kafka that does not
 * answer for worker.stall, lag without progress for worker.stall, and what the warehouse says of itself. Lag comes from what the last
 * fetch said, and is unknown until the partition's place and end are known; unknown counts as lag, so that a partition that never gets
 * to reading is found, too.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/json_text.h"
#include "common/log.h"
#include "common/version.h"
#include "workers/worker_parts.h"

static int64_t lag_of(const struct member *member)
{
    int64_t high = consumer_high(member->worker->consumer, partition_topic(member->partition), partition_number(member->partition));
    int64_t next = partition_next(member->partition);

    return high < 0 || next < 0 ? -1 : (high > next ? high - next : 0);
}

bool worker_is_ready(void *context, char *text, size_t size)
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

/* What people must know of a wait, of the schemas' or of the warehouse's. */
static bool member_waits_for(const struct member *member, char *text, size_t size)
{
    const struct schema_registry *registry = member->worker->registry;
    const struct frame *frame = partition_waits_for_schema(member->partition);

    if (frame == NULL || frame->framing != FRAMING_REGISTRY) {
        return partition_waits_for(member->partition, text, size);
    }
    if (registry == NULL) {
        (void)snprintf(text, size, "registry.url, which is not in the settings: a message carries a schema registry's id");
        return true;
    }
    return schema_registry_trouble(registry, text, size);
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
        char waits_for[512];
        bool waits = member_waits_for(member, waits_for, sizeof waits_for);

        (void)snprintf(text, size, "%s has %" PRId64 " messages to go and has made no progress for %" PRIu64 " s (%s): %s%s", partition_id(member->partition),
                       lag_of(member), (now_ms(worker) - member->behind_since_ms) / 1000, partition_state(member->partition),
                       trouble->class != ERR_NONE ? trouble->text : waits ? "waits for " : "no error is known",
                       trouble->class == ERR_NONE && waits ? waits_for : "");
        return false;
    }
    return true;
}

bool worker_is_healthy(void *context, char *text, size_t size)
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
    return worker->warehouse->calls->trouble == NULL || !worker->warehouse->calls->trouble(worker->warehouse, text, size);
}

static json_t *member_status(const struct member *member)
{
    const struct err *trouble = partition_trouble(member->partition);
    int64_t lag = lag_of(member);
    char waits_for[512];
    json_t *status = json_pack("{s:s, s:i, s:s, s:I, s:o}", "topic", partition_topic(member->partition), "partition",
                               (int)partition_number(member->partition), "state", partition_state(member->partition), "next",
                               (json_int_t)partition_next(member->partition), "lag", lag < 0 ? json_null() : json_integer(lag));

    if (trouble->class != ERR_NONE) {
        json_object_set_new(status, "trouble", json_text(trouble->text));
    }
    if (member_waits_for(member, waits_for, sizeof waits_for)) {
        json_object_set_new(status, "waits_for", json_string(waits_for));
    }
    return status;
}

json_t *worker_status(void *context)
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

/* Messages that stand in a file under way have made their progress, until the file itself is under way to the warehouse. */
static bool owes_progress(const struct member *member, int64_t lag)
{
    int64_t in_file = partition_taken(member->partition) - partition_next(member->partition);

    return lag != 0 && (lag < 0 || lag > in_file || partition_is_sending(member->partition));
}

static void watch(struct member *member)
{
    int64_t lag = lag_of(member);
    int64_t next = partition_taken(member->partition);
    bool stuck = owes_progress(member, lag) && next <= member->next_seen;

    if (lag >= 0) {
        partition_tell_lag(member->partition, lag);
    }
    if (!stuck) {
        member->behind_since_ms = owes_progress(member, lag) ? now_ms(member->worker) : 0;
    } else if (member->behind_since_ms == 0) {
        member->behind_since_ms = now_ms(member->worker);
    }
    member->next_seen = next;
}

void worker_watch(struct worker *worker)
{
    for (struct member *member = worker->members; member != NULL; member = member->next) {
        watch(member);
    }
}

void worker_heartbeat(struct worker *worker)
{
    uint64_t since_ms = now_ms(worker) - worker->heartbeat_ms;
    struct accounting_sums sums;
    int64_t lag = 0;
    int count = 0;

    if (since_ms < (uint64_t)worker->settings->log.heartbeat_ms) {
        return;
    }
    sums = accounting_sums(worker->accounting);
    for (const struct member *member = worker->members; member != NULL; member = member->next) {
        int64_t own = lag_of(member);

        count++;
        lag += own > 0 ? own : 0;
    }
    log_info("heartbeat", "partitions=%d lag=%lld rows=%llu rows_per_s=%.1f in_flight=%llu dead_lettered=%llu held_bytes=%zu", count, (long long)lag,
             (unsigned long long)sums.settled, (double)(sums.settled - worker->heartbeat_rows) * 1000 / (double)since_ms,
             (unsigned long long)sums.in_flight, (unsigned long long)sums.dead_lettered, budget_used(&worker->budget));
    worker->heartbeat_ms = now_ms(worker);
    worker->heartbeat_rows = sums.settled;
}
