/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition_world: a partition machine between a Kafka and a warehouse that do what the test says, when the test says it.
 *
 * The log is a text, a letter a message: `a`..`z` a row of that identity (so a repeated letter is a duplicate in the log), `!` bytes that
 * are no frame, `?` a row of a schema that nobody has, `#` a row whose bytes end too early, `X` a row that the warehouse refuses, `P` a row
 * that can't be planned, `.` an offset without a message (a marker). Every request waits in a slot until the test answers it.
 *
 * With `files` the warehouse gathers batches into a file: TAKEN, and all in with the seal. The intent of a file (its end, once the commit that
 * names it is acknowledged) outlives the lane, as in Kafka; the file itself does not. A file with an X row is refused whole, and
 * its range then goes in batch by batch (rule D4).
 */
#ifndef KAKEHI_TESTS_UNIT_PARTITION_WORLD_H
#define KAKEHI_TESTS_UNIT_PARTITION_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workers/partition.h"

#define WORLD_LOG_MAX 4096

struct world_letter {
    uint64_t assignment;
    uint64_t batch_number;
    int64_t offset;
};

struct world {
    struct partition_shared shared;
    struct warehouse warehouse;
    struct warehouse_calls warehouse_calls; /* a copy: mark_before_send may be set before world_assign */
    struct budget budget;
    struct dedupe_pool pool;
    struct schema *schema;
    struct partition *partition; /* NULL: closed */
    uint64_t now_ms;
    uint64_t assignment;

    char log[WORLD_LOG_MAX + 1];
    int64_t low;
    int64_t read_offset; /* where the next message comes from */
    bool reading;
    bool knows_late_schema; /* `?` has become readable */

    bool confirming; /* topic_commits asked, and not answered */
    bool locating, ranging, seeking, committing, reading_schemas; /* asked, and not answered */
    int64_t seek_offset;
    int64_t commit_offset; /* of the commit under way */
    char commit_mark[64];
    int64_t committed; /* the group's */
    size_t commits;
    bool released;
    bool closed;

    struct world_letter letters[WORLD_LOG_MAX]; /* buried and not acknowledged */
    size_t letter_count;
    uint8_t dead[WORLD_LOG_MAX]; /* by offset: how often its letter was acknowledged */

    /* The warehouse: the file, and what it was asked. */
    int64_t next;               /* as SQLite's kakehi_offsets; LANE_OFFSET_BEGINNING on the first start */
    uint8_t rows[WORLD_LOG_MAX]; /* by offset: how often it is in the history */
    bool needs_commit_of_topic; /* what recovery says */
    bool files;                 /* set by world_gather, before world_assign */
    bool file_open;
    int64_t file_end;
    int64_t file[WORLD_LOG_MAX]; /* offsets of its rows */
    size_t file_row_count;
    bool sealing;            /* the seal was asked for, and not answered */
    int64_t intent;          /* end of the file that a commit names; LANE_NO_CUT */
    int64_t append_until;    /* no file before this offset */
    uint64_t seal_due_ms;    /* while a file is open */
    bool fits;
    lane_recovered recover_answer;
    lane_ensured ensure_answer;
    bool unprepared; /* the lane has not what a batch's way needs */
    lane_ensured prepare_answer;
    void *prepare_context;
    lane_sent send_answer;
    void (*close_answer)(void *context);
    void *recover_context, *ensure_context, *send_context, *close_context;
    struct request *sent;      /* the request that send_answer is for */
    struct request *last_sent; /* to compare with; may be gone */
    size_t sends;
    size_t plans;
    size_t requests_alive;
};

void world_init(struct world *world, const char *log);
void world_deinit(struct world *world);
void world_gather(struct world *world); /* makes it a warehouse of files */
void world_assign(struct world *world);
void world_pass(struct world *world, uint64_t time_ms); /* turns the clock; steps the partition if it wished so */

/* Answers to what was asked; each must have been asked. */
void world_locate(struct world *world);
void world_recover(struct world *world);
void world_confirm(struct world *world, bool any);
void world_range(struct world *world);
void world_seek(struct world *world);
void world_start(struct world *world); /* all four: the partition runs, or reads back */
void world_commit(struct world *world, enum commit_answer answer);
void world_schemas(struct world *world);
void world_bury_all(struct world *world);
void world_ensure(struct world *world);
/* IN writes the rows and moves `next`, or names the X rows (BAD_ROWS) if there are some; the other answers do nothing. Of a warehouse of
 * files: IN becomes TAKEN where rows go into the file; of a seal it writes them all, or SURPRISE if an X is among them. */
void world_send(struct world *world, enum lane_answer answer);
/* The rows are in, but the answer is SURPRISE. */
void world_send_unclear(struct world *world);
void world_close_lane(struct world *world);

bool world_deliver(struct world *world);     /* the next message or end of log, if it reads; false: nothing to deliver */
void world_deliver_all(struct world *world); /* until it holds or the log ends */
/* Answers whatever is asked, as a good world does, until nothing is: everything in the log is settled. */
void world_settle(struct world *world);
void world_check_p5(const struct world *world);

#endif
