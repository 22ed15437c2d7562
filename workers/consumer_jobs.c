/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What librdkafka only offers as a blocking call, on libuv's threads: the ends of a partition, the commits of a topic, a confirmed seek,
 * the question whether a broker answers at all, how many partitions the group reads, a nudge, leaving the group. A job carries its own copy of the place; the answer finds the partition by the assignment's
 * number, on the loop, or is dropped: it may have gone meanwhile, and come again.
 *
 * A seek that failed leaves the partition paused, and the machine recovers. After one that didn't, the queue is led to ours anew and
 * the partition resumed before the machine hears of it.
 *
 * The nudge: a thread of librdkafka 2.0 that has nothing to fetch sleeps for up to a second, and neither the resuming of a partition nor the
 * taking of messages out of a full queue wakes it (confluentinc/librdkafka#2879; later versions have fetch.queue.backoff.ms). A worker takes
 * the 16 MiB of a full one in a tenth of that. Any request to the leader does wake it, so after a seek and while messages are taken leaders
 * are asked for the ends of their partitions, and the answer does not matter.
 *
 * Jobs are counted: the handle outlives them (consumer_finish_if_left).
 */
#include <stdlib.h>
#include <string.h>

#include "common/kafka.h"
#include "common/must.h"
#include "workers/consumer_parts.h"
#include "workers/subscription.h"

#define CALL_MS        10000
#define NUDGE_MS       1000 /* by then it has woken by itself */
#define COUNT_MS       60000
#define COUNT_AGAIN_MS 5000 /* after a failure */

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
    int32_t topic_partitions;
    int32_t group_partitions;
    bool any_commit;
    rd_kafka_topic_partition_list_t *nudged; /* NULL: it is no nudge */
    rd_kafka_resp_err_t code;
};

/* How many partitions the topic has. */
static rd_kafka_resp_err_t ask_topic(struct job *job)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(job->consumer->asker, job->topic, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code;

    if (topic == NULL) {
        return rd_kafka_last_error();
    }
    code = rd_kafka_metadata(job->consumer->asker, 0, topic, &metadata, CALL_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        job->topic_partitions = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(topic);
    return code;
}

static void run_range(struct job *job)
{
    job->code = ask_topic(job);
    if (job->code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        job->code = rd_kafka_query_watermark_offsets(job->consumer->asker, job->topic, job->partition, &job->low, &job->high, CALL_MS);
    }
}

static void run_topic_commits(struct job *job)
{
    rd_kafka_topic_partition_list_t *list;

    job->code = ask_topic(job);
    if (job->code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    list = rd_kafka_topic_partition_list_new(job->topic_partitions);
    rd_kafka_topic_partition_list_add_range(list, job->topic, 0, job->topic_partitions - 1);
    job->code = rd_kafka_committed(job->consumer->handle, list, CALL_MS);
    for (int i = 0; i < list->cnt; i++) {
        job->any_commit = job->any_commit || list->elems[i].offset >= 0;
        job->code = job->code == RD_KAFKA_RESP_ERR_NO_ERROR ? list->elems[i].err : job->code;
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void run_count(struct job *job)
{
    const struct consumer *consumer = job->consumer;
    const struct rd_kafka_metadata *metadata;

    job->code = rd_kafka_metadata(consumer->asker, 1, NULL, &metadata, CALL_MS);
    if (job->code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];

        if (topic->err == RD_KAFKA_RESP_ERR_NO_ERROR && subscription_has(consumer->settings, topic->topic)) {
            job->group_partitions += topic->partition_cnt;
        }
    }
    rd_kafka_metadata_destroy(metadata);
}

static void job_run(uv_work_t *work)
{
    struct job *job = work->data;
    rd_kafka_t *handle = job->consumer->handle;
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_error_t *error;
    const struct rd_kafka_metadata *metadata;

    switch (job->kind) {
    case JOB_RANGE:
        run_range(job);
        break;
    case JOB_TOPIC_COMMITS:
        run_topic_commits(job);
        break;
    case JOB_SEEK:
        list = owned_list(job->topic, job->partition, job->offset);
        error = rd_kafka_seek_partitions(handle, list, CALL_MS);
        job->code = error != NULL ? rd_kafka_error_code(error) : list->elems[0].err;
        if (error != NULL) {
            rd_kafka_error_destroy(error);
        }
        rd_kafka_topic_partition_list_destroy(list);
        break;
    case JOB_NUDGE:
        (void)rd_kafka_offsets_for_times(handle, job->nudged, NUDGE_MS);
        break;
    case JOB_PROBE:
        job->code = rd_kafka_metadata(handle, 0, NULL, &metadata, CALL_MS);
        if (job->code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_metadata_destroy(metadata);
        }
        break;
    case JOB_COUNT:
        run_count(job);
        break;
    case JOB_CLOSE:
        (void)rd_kafka_consumer_close(handle);
        break;
    }
}

static void job_done(uv_work_t *work, int status);

/* All that is owned, with the time that means the end. */
static rd_kafka_topic_partition_list_t *list_all(const struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);

    for (const struct owned *owned = consumer->first; owned != NULL; owned = owned->next) {
        rd_kafka_topic_partition_list_add(list, owned->topic, owned->partition)->offset = RD_KAFKA_OFFSET_END;
    }
    return list;
}

void consumer_start_job(struct consumer *consumer, enum job_kind kind, const struct owned *owned, int64_t offset)
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
        job->topic = must_strdup(owned->topic);
    }
    if (kind == JOB_NUDGE) {
        job->nudged = owned != NULL ? owned_list(owned->topic, owned->partition, RD_KAFKA_OFFSET_END) : list_all(consumer);
    }
    consumer->jobs++;
    must(uv_queue_work(consumer->loop, &job->work, job_run, job_done) == 0);
}

static void take_count(struct consumer *consumer, const struct job *job)
{
    bool failed = job->code != RD_KAFKA_RESP_ERR_NO_ERROR;

    consumer->counting = false;
    if (failed || consumer->count_due_ms != 0) {
        consumer->count_due_ms = uv_now(consumer->loop) + (failed ? COUNT_AGAIN_MS : COUNT_MS);
    }
    if (!failed && job->group_partitions > 0) {
        consumer->calls.counted(consumer->calls.context, job->group_partitions);
    }
}

void consumer_count_if_due(struct consumer *consumer)
{
    if (!consumer->counting && !consumer->closing && uv_now(consumer->loop) >= consumer->count_due_ms) {
        consumer->counting = true;
        consumer->count_due_ms = UINT64_MAX; /* an assignment meanwhile asks for another count */
        consumer_start_job(consumer, JOB_COUNT, NULL, 0);
    }
}

static void answer_job(struct consumer *consumer, const struct job *job)
{
    struct owned *owned = owned_by_assignment(consumer, job->assignment);
    struct err err = {0};
    bool failed = job->code != RD_KAFKA_RESP_ERR_NO_ERROR;

    if (job->kind == JOB_PROBE) {
        consumer->probing = false;
        consumer->down_since_ms = failed ? consumer->down_since_ms : 0;
    } else if (job->kind == JOB_NUDGE) {
        consumer->nudging = consumer->nudging && job->topic != NULL;
    } else if (job->kind == JOB_COUNT) {
        take_count(consumer, job);
    } else if (owned == NULL) {
        return; /* of an earlier assignment */
    } else if (job->kind == JOB_RANGE) {
        if (failed) {
            (void)kafka_err_set(&err, job->code, "asking for the ends of the partition");
        }
        consumer->calls.range(owned->owner, job->low, job->high, job->topic_partitions, failed ? &err : NULL);
    } else if (job->kind == JOB_TOPIC_COMMITS) {
        if (failed) {
            (void)kafka_err_set(&err, job->code, "asking for the commits of the topic");
        }
        consumer->calls.topic_commits(owned->owner, job->any_commit, failed ? &err : NULL);
    } else {
        if (failed) {
            (void)kafka_err_set(&err, job->code, "seeking");
            err.class = ERR_RETRY; /* not fetching yet, or no leader at the moment */
        } else {
            owned_mark(consumer, owned, false, owned->paused);
            owned_lead_messages(consumer, owned);
            owned_set_paused(consumer, owned, false);
            consumer_start_job(consumer, JOB_NUDGE, owned, 0);
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
    if (job->nudged != NULL) {
        rd_kafka_topic_partition_list_destroy(job->nudged);
    }
    free(job->topic);
    free(job);
    consumer_finish_if_left(consumer);
}

void consumer_range(struct consumer *consumer, uint64_t assignment)
{
    const struct owned *owned = owned_by_assignment(consumer, assignment);

    if (owned != NULL) {
        consumer_start_job(consumer, JOB_RANGE, owned, 0);
    }
}

void consumer_topic_commits(struct consumer *consumer, uint64_t assignment)
{
    const struct owned *owned = owned_by_assignment(consumer, assignment);

    if (owned != NULL) {
        consumer_start_job(consumer, JOB_TOPIC_COMMITS, owned, 0);
    }
}

void consumer_read_from(struct consumer *consumer, uint64_t assignment, int64_t offset)
{
    struct owned *owned = owned_by_assignment(consumer, assignment);

    if (owned != NULL) {
        owned_set_paused(consumer, owned, true);
        consumer_start_job(consumer, JOB_SEEK, owned, offset);
    }
}
