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
 * C2: a release takes the partition out of the table of owned ones before the group is let go on, so that no commit can find it.
 */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/must.h"
#include "workers/consumer_parts.h"

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
    owned_set_paused(consumer, owned, true);
    owned_lead_messages(consumer, owned);
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
    consumer_finish_if_left(consumer);
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

void consumer_on_rebalance(rd_kafka_t *handle, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *partitions, void *opaque)
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
