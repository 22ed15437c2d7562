/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a partition comes: the rebalance callback assigns it at the beginning and pauses it, so that nothing is delivered (and
 * no fetch at a made-up offset can fail); its queue is led to ours (`messages`). The partition machine locates, recovers, asks for the
 * range, and then for messages from an offset: a confirmed seek, then resume. (Measured on librdkafka 2.0.2 with both assignors.)
 *
 * How it goes: the rebalance callback passes `revoked` on and returns; each partition is released when it is drained; when the last
 * one is, (incremental_)unassign lets the group go on. librdkafka doesn't join again before that, nor before the commits that are
 * under way have been answered (K3).
 *
 * Holding: librdkafka's pause throws away what it has fetched, which would be fetched again. So a partition that can't take more first
 * closes the tap for all (they share the queue), which costs nothing and is over in milliseconds when a batch is written; only who
 * holds for longer than HOLD_MS, or knows that it will, is paused, and the tap opens for the others. Rebalances come by librdkafka's own queue, which is
 * always emptied.
 *
 * Commits: wishes are gathered in a turn of the loop and go as one request; each partition's own answer counts (K5).
 *
 *   | answer                                                    | means        |
 *   | none                                                      | COMMIT_IN    |
 *   | ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID | COMMIT_LOST  |
 *   | what the table of common/kafka.c calls fatal, METADATA_TOO_LARGE, INVALID_COMMIT_OFFSET_SIZE | COMMIT_NEVER |
 *   | REBALANCE_IN_PROGRESS and the rest (no coordinator, ...)  | COMMIT_LATER |
 */
#include "workers/consumer.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/must.h"

#define MESSAGES_A_TURN 2000
#define HOLD_MS         1000
#define CALL_MS         10000
#define PROBE_MS        5000

struct owned {
    struct owned *next;
    char *topic;
    int32_t partition;
    uint64_t assignment;
    void *owner;
    bool paused; /* at librdkafka */
    bool held;
    uint64_t held_since_ms;
    bool wants_commit;
    bool committing;
    int64_t commit_offset;
    char *commit_mark;
    bool wants_location;
};

/* A blocking call of librdkafka on a thread of libuv's. */
enum job_kind { JOB_RANGE, JOB_SEEK, JOB_PROBE, JOB_CLOSE };

struct job {
    uv_work_t work;
    struct consumer *consumer;
    enum job_kind kind;
    uint64_t assignment;
    char *topic;
    int32_t partition;
    int64_t offset;
    int64_t low;
    int64_t high;
    rd_kafka_resp_err_t code;
};

/* Which assignments a request was for: the answer names topics and partitions only. */
struct asked {
    size_t count;
    uint64_t assignments[];
};

struct consumer {
    uv_loop_t *loop;
    struct wake *wake;
    const struct settings *settings;
    struct consumer_calls calls;
    char *group;
    rd_kafka_t *handle;
    rd_kafka_t *asker;          /* borrowed */
    rd_kafka_queue_t *messages; /* every owned partition's */
    rd_kafka_queue_t *answers;  /* to commits and location requests */
    rd_kafka_queue_t *group_queue;
    uv_prepare_t flush;
    struct owned *first;
    struct owned *last_found;
    uint64_t assignment; /* the number given last */
    rd_kafka_topic_partition_list_t *revoking; /* NULL, or to be unassigned when the last of `first` in it is released */
    bool joined;
    bool flush_wanted;
    uint64_t down_since_ms;
    bool probing;
    size_t jobs;
    bool closing;
    bool leaving; /* JOB_CLOSE runs: the handle is that thread's */
    void (*closed)(void *context);
    void *closed_context;
};

/* ---- the table of owned partitions */

static struct owned *owned_by_assignment(const struct consumer *consumer, uint64_t assignment)
{
    struct owned *owned = consumer->first;

    while (owned != NULL && owned->assignment != assignment) {
        owned = owned->next;
    }
    return owned;
}

static bool is(const struct owned *owned, const char *topic, int32_t partition)
{
    return owned->partition == partition && strcmp(owned->topic, topic) == 0;
}

static struct owned *owned_by_place(struct consumer *consumer, const char *topic, int32_t partition)
{
    struct owned *owned = consumer->last_found;

    if (owned != NULL && is(owned, topic, partition)) {
        return owned;
    }
    owned = consumer->first;
    while (owned != NULL && !is(owned, topic, partition)) {
        owned = owned->next;
    }
    consumer->last_found = owned;
    return owned;
}

static rd_kafka_topic_partition_list_t *list_of(const char *topic, int32_t partition, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    return list;
}

static void set_paused(struct consumer *consumer, struct owned *owned, bool paused)
{
    rd_kafka_topic_partition_list_t *list;

    if (owned->paused == paused) {
        return;
    }
    list = list_of(owned->topic, owned->partition, RD_KAFKA_OFFSET_INVALID);
    (void)(paused ? rd_kafka_pause_partitions(consumer->handle, list) : rd_kafka_resume_partitions(consumer->handle, list));
    rd_kafka_topic_partition_list_destroy(list);
    owned->paused = paused;
}

static void lead_messages_here(struct consumer *consumer, const struct owned *owned)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_partition(consumer->handle, owned->topic, owned->partition);

    if (queue != NULL) {
        rd_kafka_queue_forward(queue, consumer->messages);
        rd_kafka_queue_destroy(queue);
    }
}

static void own(struct consumer *consumer, const char *topic, int32_t partition)
{
    struct owned *owned = calloc(1, sizeof *owned);

    must(owned != NULL);
    owned->topic = strdup(topic);
    must(owned->topic != NULL);
    owned->partition = partition;
    owned->assignment = ++consumer->assignment;
    owned->next = consumer->first;
    consumer->first = owned;
    set_paused(consumer, owned, true);
    lead_messages_here(consumer, owned);
    owned->owner = consumer->calls.assigned(consumer->calls.context, topic, partition, owned->assignment);
}

static void disown(struct consumer *consumer, struct owned *owned)
{
    struct owned **link = &consumer->first;

    while (*link != owned) {
        link = &(*link)->next;
    }
    *link = owned->next;
    consumer->last_found = NULL;
    free(owned->commit_mark);
    free(owned->topic);
    free(owned);
}

/* ---- jobs */

static void job_run(uv_work_t *work)
{
    struct job *job = work->data;
    rd_kafka_t *handle = job->consumer->handle;
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_error_t *error;
    const struct rd_kafka_metadata *metadata;

    switch (job->kind) {
    case JOB_RANGE:
        job->code = rd_kafka_query_watermark_offsets(job->consumer->asker, job->topic, job->partition, &job->low, &job->high, CALL_MS);
        break;
    case JOB_SEEK:
        list = list_of(job->topic, job->partition, job->offset);
        error = rd_kafka_seek_partitions(handle, list, CALL_MS);
        job->code = error != NULL ? rd_kafka_error_code(error) : list->elems[0].err;
        if (error != NULL) {
            rd_kafka_error_destroy(error);
        }
        rd_kafka_topic_partition_list_destroy(list);
        break;
    case JOB_PROBE:
        job->code = rd_kafka_metadata(handle, 0, NULL, &metadata, CALL_MS);
        if (job->code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_metadata_destroy(metadata);
        }
        break;
    case JOB_CLOSE:
        (void)rd_kafka_consumer_close(handle);
        break;
    }
}

static void job_done(uv_work_t *work, int status);

static struct job *job_start(struct consumer *consumer, enum job_kind kind, const struct owned *owned, int64_t offset)
{
    struct job *job = calloc(1, sizeof *job);

    must(job != NULL);
    job->work.data = job;
    job->consumer = consumer;
    job->kind = kind;
    job->offset = offset;
    if (owned != NULL) {
        job->assignment = owned->assignment;
        job->partition = owned->partition;
        job->topic = strdup(owned->topic);
        must(job->topic != NULL);
    }
    consumer->jobs++;
    must(uv_queue_work(consumer->loop, &job->work, job_run, job_done) == 0);
    return job;
}

static void finish_if_left(struct consumer *consumer);

static void answer_job(struct consumer *consumer, const struct job *job)
{
    struct owned *owned = owned_by_assignment(consumer, job->assignment);
    struct err err = {0};
    bool failed = job->code != RD_KAFKA_RESP_ERR_NO_ERROR;

    if (job->kind == JOB_PROBE) {
        consumer->probing = false;
        consumer->down_since_ms = failed ? consumer->down_since_ms : 0;
    } else if (owned == NULL) {
        return; /* of an earlier assignment */
    } else if (job->kind == JOB_RANGE) {
        if (failed) {
            (void)kafka_err_set(&err, job->code, "asking for the ends of the partition");
        }
        consumer->calls.range(owned->owner, job->low, job->high, failed ? &err : NULL);
    } else {
        if (failed) {
            (void)kafka_err_set(&err, job->code, "seeking");
            err.class = ERR_RETRY; /* not fetching yet, or no leader at the moment */
        } else {
            owned->held = false;
            lead_messages_here(consumer, owned);
            set_paused(consumer, owned, false);
        }
        consumer->calls.reading(owned->owner, failed ? &err : NULL);
    }
}

static void job_done(uv_work_t *work, int status)
{
    struct job *job = work->data;
    struct consumer *consumer = job->consumer;

    (void)status;
    consumer->jobs--;
    if (job->kind != JOB_CLOSE) {
        answer_job(consumer, job);
    }
    free(job->topic);
    free(job);
    finish_if_left(consumer);
}

/* ---- rebalances */

static bool is_cooperative(const struct consumer *consumer)
{
    const char *protocol = rd_kafka_rebalance_protocol(consumer->handle);

    return protocol != NULL && strcmp(protocol, "COOPERATIVE") == 0;
}

static void report(rd_kafka_error_t *error, rd_kafka_resp_err_t code, const char *doing)
{
    if (error != NULL) {
        log_error(doing, "reason=%q", rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
    } else if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        log_error(doing, "reason=%q", rd_kafka_err2str(code));
    }
}

static void assign(struct consumer *consumer, rd_kafka_topic_partition_list_t *partitions)
{
    for (int i = 0; i < partitions->cnt; i++) {
        partitions->elems[i].offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    if (is_cooperative(consumer)) {
        report(rd_kafka_incremental_assign(consumer->handle, partitions), 0, "assign");
    } else {
        report(NULL, rd_kafka_assign(consumer->handle, partitions), "assign");
    }
    consumer->joined = true;
    for (int i = 0; i < partitions->cnt && !consumer->closing; i++) {
        own(consumer, partitions->elems[i].topic, partitions->elems[i].partition);
    }
}

/* The group goes on when the last partition that it wants back is released. */
static void unassign_if_released(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *revoking = consumer->revoking;

    if (revoking == NULL) {
        return;
    }
    for (int i = 0; i < revoking->cnt; i++) {
        if (owned_by_place(consumer, revoking->elems[i].topic, revoking->elems[i].partition) != NULL) {
            return;
        }
    }
    consumer->revoking = NULL;
    if (is_cooperative(consumer)) {
        report(rd_kafka_incremental_unassign(consumer->handle, revoking), 0, "unassign");
    } else {
        report(NULL, rd_kafka_assign(consumer->handle, NULL), "unassign");
    }
    rd_kafka_topic_partition_list_destroy(revoking);
    finish_if_left(consumer);
}

static void give_back(struct consumer *consumer, const rd_kafka_topic_partition_list_t *partitions)
{
    bool lost = rd_kafka_assignment_lost(consumer->handle) != 0;

    log_info("revoked", "partitions=%d lost=%s", partitions->cnt, lost ? "yes" : "no");
    must(consumer->revoking == NULL); /* librdkafka waits for the unassign */
    consumer->revoking = rd_kafka_topic_partition_list_copy(partitions);
    for (int i = 0; i < partitions->cnt; i++) {
        struct owned *owned = owned_by_place(consumer, partitions->elems[i].topic, partitions->elems[i].partition);

        if (owned != NULL) {
            consumer->calls.revoked(owned->owner, lost); /* may release at once */
        }
    }
    unassign_if_released(consumer);
}

static void leave_be(struct consumer *consumer, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *partitions)
{
    if (!is_cooperative(consumer)) {
        report(NULL, rd_kafka_assign(consumer->handle, NULL), "unassign");
    } else if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        report(rd_kafka_incremental_assign(consumer->handle, partitions), 0, "assign"); /* close takes it back */
    } else {
        report(rd_kafka_incremental_unassign(consumer->handle, partitions), 0, "unassign");
    }
}

static void on_rebalance(rd_kafka_t *handle, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
    struct consumer *consumer = opaque;

    (void)handle;
    if (consumer->leaving) { /* on the closing thread; nothing is owned any more */
        leave_be(consumer, code, partitions);
    } else if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        assign(consumer, partitions);
    } else if (code == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
        give_back(consumer, partitions);
    } else {
        log_error("rebalance", "reason=%q", rd_kafka_err2str(code));
        report(NULL, rd_kafka_assign(consumer->handle, NULL), "unassign");
    }
}

void consumer_release(struct consumer *consumer, uint64_t assignment)
{
    struct owned *owned = owned_by_assignment(consumer, assignment);

    if (owned != NULL) {
        disown(consumer, owned); /* C2: from here on no commit finds it */
        if (consumer->revoking != NULL) {
            unassign_if_released(consumer);
        }
    }
}

/* ---- requests: gathered in a turn, sent together */

static void want_flush(struct consumer *consumer)
{
    consumer->flush_wanted = true;
    wake_again(consumer->wake);
}

void consumer_locate(struct consumer *consumer, uint64_t assignment)
{
    struct owned *owned = owned_by_assignment(consumer, assignment);

    if (owned != NULL) {
        owned->wants_location = true;
        want_flush(consumer);
    }
}

void consumer_range(struct consumer *consumer, uint64_t assignment)
{
    const struct owned *owned = owned_by_assignment(consumer, assignment);

    if (owned != NULL) {
        (void)job_start(consumer, JOB_RANGE, owned, 0);
    }
}

void consumer_read_from(struct consumer *consumer, uint64_t assignment, int64_t offset)
{
    struct owned *owned = owned_by_assignment(consumer, assignment);

    if (owned != NULL) {
        set_paused(consumer, owned, true);
        (void)job_start(consumer, JOB_SEEK, owned, offset);
    }
}

void consumer_hold(struct consumer *consumer, uint64_t assignment, enum partition_hold hold)
{
    struct owned *owned = owned_by_assignment(consumer, assignment);

    if (owned == NULL) {
        return;
    }
    owned->held_since_ms = owned->held ? owned->held_since_ms : uv_now(consumer->loop);
    owned->held = hold != HOLD_NOT;
    if (hold != HOLD_BRIEFLY) {
        set_paused(consumer, owned, hold == HOLD_LONG);
    }
    wake_again(consumer->wake); /* the tap may be open again */
}

/* C2: the wish goes into the table of owned partitions, or nowhere. */
void consumer_commit(struct consumer *consumer, uint64_t assignment, int64_t offset, const char *mark)
{
    struct owned *owned = owned_by_assignment(consumer, assignment);

    if (owned == NULL) {
        return;
    }
    must(!owned->wants_commit && !owned->committing); /* K5: one at a time */
    owned->wants_commit = true;
    owned->commit_offset = offset;
    owned->commit_mark = strdup(mark);
    must(owned->commit_mark != NULL);
    want_flush(consumer);
}

static struct asked *asked_new(const struct consumer *consumer)
{
    struct asked *asked;
    size_t count = 0;

    for (const struct owned *owned = consumer->first; owned != NULL; owned = owned->next) {
        count++;
    }
    asked = malloc(sizeof *asked + count * sizeof asked->assignments[0]);
    must(asked != NULL);
    asked->count = 0;
    return asked;
}

/* The one function that commits (C2). Never blocks; the answer comes to `answers`. */
static void send_commits(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    struct asked *asked = asked_new(consumer);

    for (struct owned *owned = consumer->first; owned != NULL; owned = owned->next) {
        if (owned->wants_commit) {
            rd_kafka_topic_partition_t *place = rd_kafka_topic_partition_list_add(list, owned->topic, owned->partition);

            place->offset = owned->commit_offset;
            place->metadata = owned->commit_mark; /* the list's now */
            place->metadata_size = strlen(owned->commit_mark);
            owned->commit_mark = NULL;
            owned->wants_commit = false;
            owned->committing = true;
            asked->assignments[asked->count++] = owned->assignment;
        }
    }
    if (asked->count == 0 || rd_kafka_commit_queue(consumer->handle, list, consumer->answers, NULL, asked) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        must(asked->count == 0); /* it refuses only what isn't a consumer's handle */
        free(asked);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void ask_locations(struct consumer *consumer, rd_kafka_topic_partition_list_t *list, struct asked *asked)
{
    rd_kafka_ListConsumerGroupOffsets_t *request = rd_kafka_ListConsumerGroupOffsets_new(consumer->group, list);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(consumer->handle, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);

    /* Not stable: an offset that a transaction is about to change. Nobody commits so here, but a tool may. */
    rd_kafka_error_t *error = rd_kafka_AdminOptions_set_require_stable_offsets(options, 1);

    must(error == NULL);
    rd_kafka_AdminOptions_set_opaque(options, asked);
    rd_kafka_ListConsumerGroupOffsets(consumer->handle, &request, 1, options, consumer->answers);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
}

static void send_locations(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    struct asked *asked = asked_new(consumer);

    for (struct owned *owned = consumer->first; owned != NULL; owned = owned->next) {
        if (owned->wants_location) {
            (void)rd_kafka_topic_partition_list_add(list, owned->topic, owned->partition);
            owned->wants_location = false;
            asked->assignments[asked->count++] = owned->assignment;
        }
    }
    if (asked->count > 0) {
        ask_locations(consumer, list, asked);
    } else {
        free(asked);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void on_flush(uv_prepare_t *flush)
{
    struct consumer *consumer = flush->data;

    if (consumer->flush_wanted && !consumer->leaving) {
        consumer->flush_wanted = false;
        send_commits(consumer);
        send_locations(consumer);
    }
}

/* ---- answers */

static enum commit_answer commit_answer(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return COMMIT_IN;
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST:
        return COMMIT_LOST;
    case RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE:
        return COMMIT_NEVER;
    default:
        return kafka_error_class(code) == ERR_FATAL ? COMMIT_NEVER : COMMIT_LATER;
    }
}

/* Which of the asked is this place? NULL: it was released since. */
static struct owned *owned_of_answer(struct consumer *consumer, const struct asked *asked, const char *topic, int32_t partition)
{
    struct owned *owned = owned_by_place(consumer, topic, partition);

    for (size_t i = 0; owned != NULL && i < asked->count; i++) {
        if (asked->assignments[i] == owned->assignment) {
            return owned;
        }
    }
    return NULL;
}

static void on_committed(struct consumer *consumer, rd_kafka_event_t *event)
{
    struct asked *asked = rd_kafka_event_opaque(event);
    const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    rd_kafka_resp_err_t request_code = rd_kafka_event_error(event);

    for (int i = 0; list != NULL && i < list->cnt; i++) {
        rd_kafka_resp_err_t code = list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR ? list->elems[i].err : request_code;
        struct owned *owned = owned_of_answer(consumer, asked, list->elems[i].topic, list->elems[i].partition);
        struct err err = {0};

        if (owned != NULL) {
            owned->committing = false;
            if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
                (void)kafka_err_set(&err, code, "committing");
            }
            consumer->calls.committed(owned->owner, commit_answer(code), &err);
        }
    }
    free(asked);
}

static void tell_location(struct consumer *consumer, const struct asked *asked, const rd_kafka_topic_partition_t *place)
{
    struct owned *owned = owned_of_answer(consumer, asked, place->topic, place->partition);
    struct err err = {0};
    char *mark;

    if (owned == NULL) {
        return;
    }
    if (place->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)kafka_err_set(&err, place->err, "asking for the committed offset");
        consumer->calls.located(owned->owner, RD_KAFKA_OFFSET_INVALID, "", &err);
        return;
    }
    mark = strndup(place->metadata_size > 0 ? place->metadata : "", place->metadata_size);
    must(mark != NULL);
    consumer->calls.located(owned->owner, place->offset, mark, NULL);
    free(mark);
}

static void fail_locations(struct consumer *consumer, const struct asked *asked, rd_kafka_resp_err_t code)
{
    struct err err;

    (void)kafka_err_set(&err, code, "asking for the committed offsets");
    for (size_t i = 0; i < asked->count; i++) {
        struct owned *owned = owned_by_assignment(consumer, asked->assignments[i]);

        if (owned != NULL) {
            consumer->calls.located(owned->owner, RD_KAFKA_OFFSET_INVALID, "", &err);
        }
    }
}

static void on_located(struct consumer *consumer, rd_kafka_event_t *event)
{
    struct asked *asked = rd_kafka_event_opaque(event);
    const rd_kafka_ListConsumerGroupOffsets_result_t *result = rd_kafka_event_ListConsumerGroupOffsets_result(event);
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const rd_kafka_group_result_t **groups;
    const rd_kafka_topic_partition_list_t *list;
    size_t group_count = 0;

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        groups = rd_kafka_ListConsumerGroupOffsets_result_groups(result, &group_count);
        must(group_count == 1);
        if (rd_kafka_group_result_error(groups[0]) != NULL) {
            code = rd_kafka_error_code(rd_kafka_group_result_error(groups[0]));
        }
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail_locations(consumer, asked, code);
    } else {
        list = rd_kafka_group_result_partitions(groups[0]);
        for (int i = 0; i < list->cnt; i++) {
            tell_location(consumer, asked, &list->elems[i]);
        }
    }
    free(asked);
}

static void on_answer(struct consumer *consumer, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_OFFSET_COMMIT:
        on_committed(consumer, event);
        break;
    case RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT:
        on_located(consumer, event);
        break;
    default:
        break;
    }
    rd_kafka_event_destroy(event);
}

/* ---- messages */

static void on_failure(struct consumer *consumer, struct owned *owned, const rd_kafka_message_t *message)
{
    struct err err = {0};

    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (owned != NULL) {
            consumer->calls.end(owned->owner, message->offset);
        }
    } else if (owned != NULL && message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        (void)err_set(&err, ERR_FATAL, "the topic no longer holds, or does not hold, offset %lld (%s): rows may be lost", (long long)message->offset,
                      rd_kafka_message_errstr(message));
        consumer->calls.failed(owned->owner, &err);
    } else { /* librdkafka goes on by itself; the health check sees what doesn't */
        log_warn("consume", "topic=%s reason=%q", message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : "-",
                 rd_kafka_message_errstr(message));
    }
}

static void on_message(struct consumer *consumer, const rd_kafka_message_t *raw)
{
    struct owned *owned = raw->rkt != NULL ? owned_by_place(consumer, rd_kafka_topic_name(raw->rkt), raw->partition) : NULL;
    struct message message;

    if (raw->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        on_failure(consumer, owned, raw);
    } else if (owned != NULL) {
        message = (struct message){.key = raw->key,
                                   .key_size = raw->key_len,
                                   .value = raw->payload,
                                   .value_size = raw->len,
                                   .offset = raw->offset,
                                   .timestamp_ms = rd_kafka_message_timestamp(raw, NULL)};
        consumer->calls.message(owned->owner, &message);
    }
}

static bool tap_open(const struct consumer *consumer)
{
    for (const struct owned *owned = consumer->first; owned != NULL; owned = owned->next) {
        if (owned->held && !owned->paused) {
            return false;
        }
    }
    return true;
}

static int take(struct consumer *consumer, rd_kafka_message_t *message)
{
    if (message == NULL) {
        return 0;
    }
    on_message(consumer, message);
    rd_kafka_message_destroy(message);
    return 1;
}

void consumer_poll(struct consumer *consumer)
{
    rd_kafka_event_t *event;
    int taken = 0;

    if (consumer->leaving) {
        return;
    }
    while ((event = rd_kafka_queue_poll(consumer->answers, 0)) != NULL) {
        on_answer(consumer, event);
    }
    while (taken < MESSAGES_A_TURN && take(consumer, rd_kafka_consumer_poll(consumer->handle, 0)) > 0) { /* rebalances; errors */
        taken++;
    }
    while (taken < MESSAGES_A_TURN && !consumer->leaving && tap_open(consumer) && take(consumer, rd_kafka_consume_queue(consumer->messages, 0)) > 0) {
        taken++;
    }
    if (taken >= MESSAGES_A_TURN) {
        wake_again(consumer->wake);
    }
}

void consumer_tick(struct consumer *consumer)
{
    uint64_t now_ms = uv_now(consumer->loop);

    if (consumer->leaving) {
        return;
    }
    for (struct owned *owned = consumer->first; owned != NULL; owned = owned->next) {
        if (owned->held && !owned->paused && now_ms >= owned->held_since_ms + HOLD_MS) {
            set_paused(consumer, owned, true);
            wake_again(consumer->wake);
        }
    }
    if (consumer->down_since_ms > 0 && !consumer->probing && !consumer->closing) {
        consumer->probing = true;
        (void)job_start(consumer, JOB_PROBE, NULL, 0);
    }
    consumer_poll(consumer); /* a wake that got lost would be found here; and librdkafka wants to be polled */
}

static void on_error(rd_kafka_t *handle, int code, const char *reason, void *opaque)
{
    struct consumer *consumer = opaque;

    (void)handle;
    if (consumer->leaving) {
        return;
    }
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        consumer->down_since_ms = consumer->down_since_ms > 0 ? consumer->down_since_ms : uv_now(consumer->loop);
        log_warn("brokers_down", "next=%q reason=%q", "trying again", reason);
    } else {
        log_debug("kafka_error", "reason=%q", reason);
    }
}

/* ---- beginning and end */

static int make_handle(struct consumer *consumer, struct err *err)
{
    struct text_pairs fixed = {0};
    struct text_pairs defaults = {0};
    const struct text_pairs *lists[] = {&kafka_consumer_budget, &defaults, &consumer->settings->kafka, &consumer->settings->worker.kafka, &fixed, NULL};
    rd_kafka_conf_t *conf = NULL;
    char words[256];
    int status;

    text_pairs_set(&defaults, "topic.metadata.refresh.interval.ms", "10000");
    text_pairs_set(&defaults, "client.id", "kakehi-worker");
    text_pairs_set(&fixed, "group.id", consumer->group);
    text_pairs_set(&fixed, "auto.offset.reset", "error"); /* C6 */
    text_pairs_set(&fixed, "enable.auto.commit", "false");
    text_pairs_set(&fixed, "enable.auto.offset.store", "false");
    text_pairs_set(&fixed, "isolation.level", "read_committed");
    text_pairs_set(&fixed, "enable.partition.eof", "true");
    status = kafka_conf_new(lists, &conf, err);
    text_pairs_deinit(&defaults);
    text_pairs_deinit(&fixed);
    if (status != 0) {
        return -1;
    }
    rd_kafka_conf_set_opaque(conf, consumer);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_error_cb(conf, on_error);
    consumer->handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, words, sizeof words);
    if (consumer->handle == NULL) {
        rd_kafka_conf_destroy(conf);
        return err_set(err, ERR_FATAL, "making the consumer: %s", words);
    }
    return 0;
}

int consumer_new(uv_loop_t *loop, struct wake *wake, const struct settings *settings, const char *group, rd_kafka_t *asker,
                 const struct consumer_calls *calls, struct consumer **ret_consumer, struct err *err)
{
    struct consumer *consumer = calloc(1, sizeof *consumer);

    must(consumer != NULL);
    consumer->loop = loop;
    consumer->wake = wake;
    consumer->settings = settings;
    consumer->asker = asker;
    consumer->calls = *calls;
    consumer->group = strdup(group);
    must(consumer->group != NULL);
    if (make_handle(consumer, err) != 0) {
        free(consumer->group);
        free(consumer);
        return -1;
    }
    (void)rd_kafka_poll_set_consumer(consumer->handle);
    consumer->messages = rd_kafka_queue_new(consumer->handle);
    consumer->answers = rd_kafka_queue_new(consumer->handle);
    consumer->group_queue = rd_kafka_queue_get_consumer(consumer->handle);
    wake_attach(wake, consumer->messages);
    wake_attach(wake, consumer->answers);
    wake_attach(wake, consumer->group_queue);
    consumer->flush.data = consumer;
    must(uv_prepare_init(loop, &consumer->flush) == 0);
    must(uv_prepare_start(&consumer->flush, on_flush) == 0);
    *ret_consumer = consumer;
    return 0;
}

/* "^prefix\.database\.table$": mapped names hold no other character, and topics of state have one dot only. */
static void data_topics(struct buffer *out, const char *prefix)
{
    buffer_append_text(out, "^");
    for (const char *at = prefix; *at != '\0'; at++) {
        if (strchr(".[]{}()\\*+?|^$", *at) != NULL) {
            buffer_append_byte(out, '\\');
        }
        buffer_append_byte(out, (uint8_t)*at);
    }
    buffer_append_text(out, "\\.[A-Za-z0-9_]+\\.[A-Za-z0-9_]+$");
}

int consumer_subscribe(struct consumer *consumer, struct err *err)
{
    const struct text_pairs *named = &consumer->settings->topics.topic;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    struct buffer pattern = {0};
    rd_kafka_resp_err_t code;

    data_topics(&pattern, consumer->settings->prefix);
    (void)rd_kafka_topic_partition_list_add(list, buffer_text(&pattern), RD_KAFKA_PARTITION_UA);
    for (size_t i = 0; i < named->count; i++) {
        (void)rd_kafka_topic_partition_list_add(list, named->pairs[i].value, RD_KAFKA_PARTITION_UA);
    }
    code = rd_kafka_subscribe(consumer->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    buffer_deinit(&pattern);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : kafka_err_set(err, code, "subscribing");
}

static void on_flush_closed(uv_handle_t *handle)
{
    struct consumer *consumer = handle->data;
    void (*closed)(void *context) = consumer->closed;
    void *context = consumer->closed_context;

    rd_kafka_queue_destroy(consumer->group_queue);
    rd_kafka_queue_destroy(consumer->messages);
    rd_kafka_queue_destroy(consumer->answers);
    rd_kafka_destroy_flags(consumer->handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(consumer->group);
    free(consumer);
    closed(context);
}

/* Closing: all partitions released and unassigned -> the last jobs -> leave the group on a thread -> free. */
static void finish_if_left(struct consumer *consumer)
{
    if (!consumer->closing || consumer->first != NULL || consumer->revoking != NULL || consumer->jobs > 0) {
        return;
    }
    if (!consumer->leaving) {
        consumer->leaving = true;
        wake_detach(consumer->messages);
        wake_detach(consumer->answers);
        wake_detach(consumer->group_queue);
        (void)job_start(consumer, JOB_CLOSE, NULL, 0);
    } else {
        uv_close((uv_handle_t *)&consumer->flush, on_flush_closed);
    }
}

void consumer_close(struct consumer *consumer, void (*closed)(void *context), void *context)
{
    if (consumer == NULL) {
        closed(context);
        return;
    }
    consumer->closing = true;
    consumer->closed = closed;
    consumer->closed_context = context;
    (void)rd_kafka_unsubscribe(consumer->handle); /* also: a cooperative member leaves at once only so */
    finish_if_left(consumer);
}

bool consumer_joined(const struct consumer *consumer)
{
    return consumer->joined;
}

uint64_t consumer_down_since_ms(const struct consumer *consumer)
{
    return consumer->down_since_ms;
}

int64_t consumer_high(const struct consumer *consumer, const char *topic, int32_t partition)
{
    int64_t low;
    int64_t high;

    if (consumer->leaving || rd_kafka_get_watermark_offsets(consumer->handle, topic, partition, &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return -1;
    }
    return high >= 0 ? high : -1;
}
