/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between consumer and partition machines: who is asked for what, and whom an answer is for. The worker's list holds every machine that is
 * not closed yet, also those that went back to the group and wait for their lane. The consumer hands a machine over as `owner` and
 * matches its own answers; dead letters and schemas answer by the assignment's number, which finds the machine or nothing.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buffer.h"
#include "common/log.h"
#include "common/must.h"
#include "schemas/name.h"
#include "workers/worker_parts.h"

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

static void ask_topic_commits(void *context, struct partition *partition)
{
    consumer_topic_commits(((struct worker *)context)->consumer, partition_assignment(partition));
}

static int64_t ask_high(void *context, const struct partition *partition)
{
    return consumer_high(((struct worker *)context)->consumer, partition_topic(partition), partition_number(partition));
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

static const struct schema *ask_schema(void *context, const struct frame *frame)
{
    const struct worker *worker = context;

    if (frame->framing == FRAMING_SINGLE_OBJECT) {
        return schema_cache_find(worker->schemas, frame->schema_id);
    }
    return worker->registry != NULL ? schema_registry_find(worker->registry, frame->schema_id) : NULL;
}

/* An id of a registry that the settings don't name is never answered: it would make a dead letter of each row of a healthy topic. */
static void ask_read_schemas(void *context, struct partition *partition, const struct frame *frame)
{
    struct worker *worker = context;

    if (frame->framing == FRAMING_SINGLE_OBJECT) {
        schema_cache_read(worker->schemas, partition_assignment(partition));
    } else if (worker->registry != NULL) {
        schema_registry_read(worker->registry, frame->schema_id, partition_assignment(partition));
    } else {
        log_error("no_registry", "topic=%s partition=%d id=%llu then=%q", partition_topic(partition), partition_number(partition),
                  (unsigned long long)frame->schema_id, "waiting: name the registry by registry.url, and start again");
    }
}

static void on_released(void *context, struct partition *partition)
{
    consumer_release(((struct worker *)context)->consumer, partition_assignment(partition));
}

static void on_partition_closed(void *context, struct partition *partition)
{
    struct worker *worker = context;

    log_info("closed", "topic=%s partition=%d next=%lld", partition_topic(partition), partition_number(partition),
             (long long)partition_next(partition));
    if (worker->registry != NULL) {
        schema_registry_withdraw(worker->registry, partition_assignment(partition));
    }
    drop_member(worker, partition);
    worker_stop_if_empty(worker);
}

const struct partition_calls worker_partition_calls = {
    .now_ms = ask_now_ms,
    .wall_us = ask_wall_us,
    .locate = ask_locate,
    .topic_commits = ask_topic_commits,
    .range = ask_range,
    .high = ask_high,
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

    must(member != NULL);
    table_of_topic(worker, topic, &table);
    member->worker = worker;
    member->next_seen = -1;
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

static void on_message(void *owner, const struct message *message, bool more)
{
    partition_on_message(owner, message, more);
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

static void on_range(void *owner, int64_t low, int64_t high, int32_t topic_partitions, const struct err *err)
{
    partition_on_range(owner, low, high, topic_partitions, err);
}

static void on_topic_commits(void *owner, bool any, const struct err *err)
{
    partition_on_topic_commits(owner, any, err);
}

static void on_reading(void *owner, const struct err *err)
{
    partition_on_reading(owner, err);
}

static void on_committed(void *owner, enum commit_answer answer, const struct err *err)
{
    partition_on_committed(owner, answer, err);
}

static void on_counted(void *context, int32_t partitions)
{
    struct warehouse *warehouse = ((struct worker *)context)->warehouse;

    if (warehouse->calls->group != NULL) {
        warehouse->calls->group(warehouse, partitions);
    }
}

const struct consumer_calls worker_consumer_calls = {
        .assigned = on_assigned,
        .revoked = on_revoked,
        .message = on_message,
        .end = on_end,
        .failed = on_failed,
        .located = on_located,
        .range = on_range,
        .topic_commits = on_topic_commits,
        .reading = on_reading,
        .committed = on_committed,
        .counted = on_counted,
};

/* ---- what dead letters and schemas tell partitions */

void worker_on_buried(void *context, uint64_t assignment, uint64_t batch_number, const struct err *err)
{
    struct member *member = member_by_assignment(context, assignment);

    if (member != NULL) {
        partition_on_buried(member->partition, batch_number, err);
    }
}

void worker_on_schemas(void *context, uint64_t asker)
{
    struct member *member = member_by_assignment(context, asker);

    if (member != NULL) {
        partition_on_schemas(member->partition);
    }
}

/* What a table is now. At the end nobody is told any more: schemas go before the warehouse does. */
void worker_on_newest(void *context, const struct schema *schema)
{
    const struct worker *worker = context;

    if (worker->stop_ms == 0 && worker->warehouse->calls->newest != NULL) {
        worker->warehouse->calls->newest(worker->warehouse, schema);
    }
}
