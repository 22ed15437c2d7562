/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits of the partition's place to the group: regular ones serve lag tools and the mark of recovery; one that a flight waits for
 * (mark_before_send) is the record that the next owner recovers from.
 *
 * I1  One commit of the partition is under way at a time (K5), and none is begun in LOST or CLOSING, nor in DRAIN of a lost
 *     partition (C2). `released` is said when none is under way, or when its answer no longer matters.
 * I2  Only this file asks for commits, and only of `_settled`: everything below is in the warehouse or in the dead letters.
 *
 * A commit that was refused for now is not repeated: what is true after the pause is committed then. While draining there is one try.
 *
 * One that was refused because the partition may be another's ends in LOST: nothing more is begun, and the group takes it back, as a
 * rule at once. Not always: a cooperative member keeps its other partitions while it joins again, and a commit that it sends behind its
 * JoinGroup is answered behind it, too, by the next generation. librdkafka, which is joining already, then revokes nothing. So a
 * partition that is still this member's after a while takes the way of any surprise. Nobody else can have it: what is taken away is given
 * to another only after this member has let it go; and if the group has forgotten this member, its next commit is refused like this one.
 */
#include "common/log.h"
#include "common/must.h"
#include "workers/partition_parts.h"

#define COMMIT_INTERVAL_MS 1000
#define LOST_MS            10000 /* a revocation that follows a refused commit comes within a second */

bool partition_commit_is_wanted(const struct partition *partition)
{
    bool place = state(partition) == RUN || (state(partition) == DRAIN && !partition->no_commit);

    return place && !partition->committing && (partition->flight_wants_mark || partition->settled != partition->committed);
}

/* A mark that is due before a send, and the last commit, don't wait for the interval. */
uint64_t partition_commit_due_ms(const struct partition *partition)
{
    bool urgent = partition->flight_wants_mark || state(partition) == DRAIN;

    return (urgent || partition->commit_pause_ms > partition->commit_next_ms) ? partition->commit_pause_ms : partition->commit_next_ms;
}

void partition_commit_if_due(struct partition *partition)
{
    const struct partition_shared *shared = partition->shared;

    if (partition_commit_is_wanted(partition) && now(partition) >= partition_commit_due_ms(partition)) {
        partition->committing = true;
        partition->committing_offset = partition->settled;
        partition->committing_for_flight = partition->flight_wants_mark;
        partition->flight_wants_mark = false;
        partition->commit_next_ms = now(partition) + COMMIT_INTERVAL_MS;
        shared->calls->commit(shared->context, partition, partition->settled, shared->warehouse->calls->mark(partition->lane));
    }
}

static void become_lost(struct partition *partition, const struct err *err)
{
    if (state(partition) < STOPPED) {
        partition_leave(partition);
        partition->rest_until_ms = now(partition) + LOST_MS;
        sm_move(&partition->sm, LOST, err->text);
        log_warn("lost", "topic=%s partition=%d reason=%q", partition->topic, partition->number, err->text);
    }
}

void partition_on_committed(struct partition *partition, enum commit_answer answer, const struct err *err)
{
    bool for_flight = partition->committing_for_flight;

    must(partition->committing);
    partition->committing = false;
    partition->committing_for_flight = false;
    partition->no_commit = partition->no_commit || answer != COMMIT_IN; /* while draining there is one try */
    if (answer == COMMIT_IN) {
        partition->committed = partition->committing_offset;
        if (for_flight) {
            flight_on_marked(&partition->flight);
        }
    } else if (answer == COMMIT_LATER) {
        partition->commit_pause_ms = now(partition) + COMMIT_INTERVAL_MS;
        partition->flight_wants_mark = partition->flight_wants_mark || (for_flight && !flight_idle(&partition->flight));
    } else if (answer == COMMIT_LOST) {
        become_lost(partition, err);
    } else {
        partition_stop(partition, err);
    }
    partition_step(partition);
}
