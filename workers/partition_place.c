/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where to begin: FETCH, RECOVER, CONFIRM, RANGE and SEEK. The warehouse's recovery is told what the group has committed (offset
 * and mark), and says the start; the log is then asked whether it holds that.
 *
 * C6: a start outside the log stops the partition. Neither end of the log is a default: below it rows were deleted before they were
 * read, above it the topic is another one. Only a history that says "from the beginning" starts at what the log still has.
 *
 * Reading begins up to the dedupe's window before the start (PRIME), as far as the log reaches back; nothing of it is counted.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/must.h"
#include "workers/partition_parts.h"

#define PRIME_MAX_MS 10000

void partition_locate(struct partition *partition)
{
    partition->shared->calls->locate(partition->shared->context, partition);
}

static void on_recovered(void *context, const struct lane_place *place, const struct err *err);

void partition_on_located(struct partition *partition, int64_t offset, const char *mark, const struct err *err)
{
    if (state(partition) != FETCH) {
        return;
    }
    if (err != NULL) {
        partition_fail(partition, err);
        partition_step(partition);
        return;
    }
    partition->committed = offset;
    free(partition->mark);
    partition->mark = must_strdup(mark);
    sm_move(&partition->sm, RECOVER, "located");
    partition->shared->warehouse->calls->recover(partition->lane, offset, partition->mark, on_recovered, partition);
}

static void ask_range(struct partition *partition, const char *why)
{
    sm_move(&partition->sm, RANGE, why);
    partition->shared->calls->range(partition->shared->context, partition);
}

static void on_recovered(void *context, const struct lane_place *place, const struct err *err)
{
    struct partition *partition = context;

    if (state(partition) != RECOVER) {
        return; /* closed meanwhile */
    }
    if (err != NULL) {
        partition_fail(partition, err);
        partition_step(partition);
        return;
    }
    partition_resolve_unsure(partition, place->start);
    partition->start = place->start;
    partition->lane_start = place->start;
    partition->cut = place->cut;
    if (place->needs_commit_of_topic) {
        sm_move(&partition->sm, CONFIRM, "rows, but no commit");
        partition->shared->calls->topic_commits(partition->shared->context, partition);
    } else {
        ask_range(partition, "recovered");
    }
}

/* C6: the history was asked first. Rows that another partition wrote since then have their commit by now. */
void partition_on_topic_commits(struct partition *partition, bool any, const struct err *err)
{
    struct err lost = {0};

    if (state(partition) != CONFIRM) {
        return;
    }
    if (err == NULL && any) {
        ask_range(partition, "new beside partitions that have commits");
        return;
    }
    (void)err_set(&lost, ERR_FATAL,
                  "the history holds rows, but the group has no commit for any partition of the topic: its offsets were deleted, or expired while "
                  "no worker ran. Rows would come twice or be left out; write the topic into a new history (another worker.group and "
                  "table name), or set the table's history aside");
    partition_fail(partition, err != NULL ? err : &lost);
    partition_step(partition);
}

void partition_seek(struct partition *partition, int64_t offset, const char *why)
{
    partition_hold_back(partition, HOLD_LONG);
    partition->position = offset;
    sm_move(&partition->sm, SEEK, why);
    partition->shared->calls->read_from(partition->shared->context, partition, offset);
}

/* C6: never the one end or the other of the log by default. */
static int check_range(const struct partition *partition, int64_t low, int64_t high, struct err *err)
{
    if (partition->cut != LANE_NO_CUT && partition->cut > high) {
        return err_set(err, ERR_FATAL,
                       "a load file goes up to %" PRId64 ", but the topic ends at %" PRId64 ": it was made anew, or lost its end. Bring it back, or "
                       "begin with a new history",
                       partition->cut, high);
    }
    if (partition->start >= low && partition->start <= high) {
        return 0;
    }
    if (partition->start < low) {
        return err_set(err, ERR_FATAL,
                       "the next message is %" PRId64 ", but the topic begins at %" PRId64 ": %" PRId64 " offsets were deleted before they were read "
                       "(retention?). Raise topics.retention, and replay the table into a new history",
                       partition->start, low, low - partition->start);
    }
    return err_set(err, ERR_FATAL,
                   "the next message is %" PRId64 ", but the topic ends at %" PRId64 ": it was made anew, or lost its end. Bring it back, or begin with a new history",
                   partition->start, high);
}

void partition_on_range(struct partition *partition, int64_t low, int64_t high, int32_t topic_partitions, const struct err *err)
{
    struct err bad = {0};
    int64_t from;

    if (state(partition) != RANGE) {
        return;
    }
    if (err == NULL && partition->start == LANE_OFFSET_BEGINNING) {
        partition->start = low;
    }
    if (err != NULL || check_range(partition, low, high, &bad) != 0) {
        partition_fail(partition, err != NULL ? err : &bad);
        partition_step(partition);
        return;
    }
    partition->topic_partitions = topic_partitions;
    from = partition->start - partition->shared->dedupe_window;
    dedupe_reset(partition->dedupe);
    partition_seek(partition, from > low ? from : low, "in range");
}

void partition_run(struct partition *partition)
{
    partition->position = partition->start > partition->position ? partition->start : partition->position;
    partition->settled = partition->start;
    partition->trouble.class = partition->rests > 0 ? partition->trouble.class : ERR_NONE; /* else the next landing says that all is well */
    sm_move(&partition->sm, RUN, "at the start");
    log_info("assigned", "topic=%s partition=%d next=%lld", partition->topic, partition->number, (long long)partition->start);
}

void partition_on_reading(struct partition *partition, const struct err *err)
{
    if (state(partition) != SEEK) {
        return;
    }
    if (err != NULL) {
        partition_fail(partition, err);
    } else {
        partition->reading = true;
        partition->primed_bytes = 0;
        partition->prime_end_ms = now(partition) + PRIME_MAX_MS;
        if (partition->position < partition->start) {
            sm_move(&partition->sm, PRIME, "reading back");
        } else {
            partition_run(partition);
        }
    }
    partition_step(partition);
}
