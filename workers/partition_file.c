/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file under way: what becomes of messages whose warehouse gathers batches into files (LANE_TAKEN, warehouse.h).
 *
 * I5  The rows of the file are in flight (P5), and `settled` stays at its start, until the seal's answer or a recovery says what became
 *     of them: all in, or none. Their bytes are gone: what is not in is read from Kafka again.
 * I6  A seal is begun when no other flight is: so nothing is behind it, and the next batch begins where the file ended (I3).
 * I7  No batch crosses the cut, and the file that goes up to it is sealed exactly there (D2). Then reading begins anew at the cut, since
 *     the message that showed that the cut was reached has been read over.
 */
#include <stdlib.h>

#include "common/must.h"
#include "workers/partition_parts.h"

void partition_take_batch(struct partition *partition, struct batch *batch)
{
    struct tally *file = &partition->file;

    if (!partition->file_under_way) {
        *file = (struct tally){.newest_us = INT64_MIN};
        partition->file_under_way = true;
    }
    file->end = batch->end;
    file->row_count += batch->row_count - batch->dead_count;
    file->duplicate_count += batch->duplicate_count;
    file->letter_count += batch->letter_count + batch->dead_count;
    file->newest_us = batch->newest_us > file->newest_us ? batch->newest_us : file->newest_us;
    batch_free(batch);
}

size_t partition_messages_in_file(const struct partition *partition)
{
    const struct tally *file = &partition->file;

    return partition->file_under_way ? file->row_count + file->duplicate_count + file->letter_count : 0;
}

void partition_settle_file(struct partition *partition, enum fate fate)
{
    if (partition->file_under_way) {
        partition_settle_tally(partition, &partition->file, fate);
        partition->file_under_way = false;
    }
}

void partition_drop_file(struct partition *partition)
{
    account_return(partition->account, partition_messages_in_file(partition));
    partition->file_under_way = false;
}

uint64_t partition_seal_due_ms(const struct partition *partition)
{
    return partition->file_under_way ? partition->shared->warehouse->calls->seal_due_ms(partition->lane) : UINT64_MAX;
}

static bool fits(const struct partition *partition, const struct batch *next)
{
    const struct warehouse_batch rows = batch_for_warehouse(next);

    return partition->shared->warehouse->calls->fits(partition->lane, &rows);
}

bool partition_seal_is_due(const struct partition *partition, const struct batch *next)
{
    if (!partition->file_under_way || !flight_idle(&partition->flight)) {
        return false;
    }
    if (partition->cut != LANE_NO_CUT) {
        return partition->file.end == partition->cut; /* I7 */
    }
    return now(partition) >= partition_seal_due_ms(partition) || (next != NULL && !fits(partition, next));
}

void partition_seal(struct partition *partition)
{
    struct batch *range = batch_new(++partition->batch_number, partition->settled, now(partition), &partition->shared->limits, partition->shared->budget);

    must(partition->file_under_way);
    batch_extend(range, partition->file.end);
    partition->flight_began_ms = now(partition);
    flight_begin_seal(&partition->flight, range);
}

bool partition_at_cut(const struct partition *partition, int64_t offset)
{
    return state(partition) == RUN && offset >= partition->cut;
}

void partition_reach_cut(struct partition *partition)
{
    int64_t covered = partition->filling != NULL ? partition->filling->end : partition->lane_start;

    if (covered < partition->cut) {
        batch_extend(partition_filling(partition), partition->cut);
    }
    partition->position = partition->cut;
    partition_hold_back(partition, HOLD_BRIEFLY);
}
