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
 * librdkafka keeps to that order as a rule, not always: after a lost generation a storm has seen an assignment while partitions of
 * the one before were still held, the same partitions among them. So an assignment is told from an older one by its number, never by
 * its place: what an eager assignment finds still owned is lost, and no longer waited for; a further revocation joins the one
 * under way.
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
    owned->topic = must_strdup(topic);
    owned->partition = partition;
    owned->assignment = ++consumer->assignment;
    owned->next = consumer->first;
    consumer->first = owned;
    consumer->last_found = NULL;
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
    owned_mark(consumer, owned, false, owned->paused);
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

/* The next one of this place (NULL: of any) that was not told to go yet. */
static struct owned *staying(const struct consumer *consumer, const char *topic, int32_t partition)
{
    struct owned *owned = consumer->first;

    while (owned != NULL && (owned->going || (topic != NULL && !owned_is(owned, topic, partition)))) {
        owned = owned->next;
    }
    return owned;
}

static void let_go(struct consumer *consumer, struct owned *owned, bool lost)
{
    owned->going = true;
    consumer->calls.revoked(owned->owner, lost); /* may release at once */
}

/* An eager assignment is all that there is: what was held before it has gone elsewhere or comes anew. */
static void lose_all(struct consumer *consumer)
{
    struct owned *owned;

    if (consumer->revoking != NULL) {
        rd_kafka_topic_partition_list_destroy(consumer->revoking);
        consumer->revoking = NULL;
    }
    while ((owned = staying(consumer, NULL, 0)) != NULL) {
        log_warn("assigned_anew", "topic=%s partition=%d then=%q", owned->topic, owned->partition, "dropping what was under way");
        let_go(consumer, owned, true);
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
        lose_all(consumer);
        report(NULL, rd_kafka_assign(consumer->handle, partitions), "assign");
    }
    consumer->joined = true;
    consumer->count_due_ms = 0;
    for (int i = 0; i < partitions->cnt && !consumer->closing; i++) {
        own(consumer, partitions->elems[i].topic, partitions->elems[i].partition);
    }
}

static bool some_are_going(const struct consumer *consumer)
{
    const struct owned *owned = consumer->first;

    while (owned != NULL && !owned->going) {
        owned = owned->next;
    }
    return owned != NULL;
}

/* The group goes on when the last partition that it wants back is released. */
static void unassign_if_released(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *revoking = consumer->revoking;

    if (revoking == NULL || consumer->telling || some_are_going(consumer)) {
        return;
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
    struct owned *owned;

    log_info("revoked", "partitions=%d lost=%s", partitions->cnt, lost ? "yes" : "no");
    if (consumer->revoking == NULL) {
        consumer->revoking = rd_kafka_topic_partition_list_new(partitions->cnt);
    }
    for (int i = 0; i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *place = &partitions->elems[i];

        if (rd_kafka_topic_partition_list_find(consumer->revoking, place->topic, place->partition) == NULL) {
            (void)rd_kafka_topic_partition_list_add(consumer->revoking, place->topic, place->partition);
        }
    }
    consumer->telling = true; /* the first of them may release at once, while the second has commits under way (C2) */
    for (int i = 0; i < partitions->cnt; i++) {
        while ((owned = staying(consumer, partitions->elems[i].topic, partitions->elems[i].partition)) != NULL) {
            let_go(consumer, owned, lost);
        }
    }
    consumer->telling = false;
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
        } else {
            consumer_finish_if_left(consumer); /* what an eager assignment had lost was the last */
        }
    }
}
