/* SPDX-License-Identifier: Apache-2.0 */
/*
 * warehouse: the seam between the worker and where rows end. What unites the destinations: a commit's mark is opaque text, and the
 * warehouse says when it is due (SQLite's after the answer, BigQuery's before the send).
 *
 * A lane is one assigned partition of one topic, for as long as it is assigned; each assignment makes a new lane, and an answer to
 * an earlier one is dropped by its number. All calls and callbacks happen on the loop's thread; whatever blocks has threads of its
 * own behind this seam. Each request is answered exactly once, never inside the request.
 *
 * The consumer alone commits offsets (rule C2); a lane only says what a commit must say.
 *
 * A destination may also gather many batches into one file (load jobs). Then it answers LANE_TAKEN: the rows stand in the file under
 * way, nothing of them is in, and the worker keeps only their count. When the file is due the worker asks for its seal, a request
 * like any other: marked, sent, and with its IN everything that was taken is in. Whatever goes wrong before that is a recovery, and
 * the rows are read from Kafka again: so a file may be far larger than memory.
 */
#ifndef KAKEHI_WORKERS_WAREHOUSE_H
#define KAKEHI_WORKERS_WAREHOUSE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/settings.h"
#include "schemas/record.h"
#include "schemas/schema.h"

struct warehouse;
struct lane;
struct request; /* a planned batch in the warehouse's own form; it owns its bytes until answered */

#define LANE_OFFSET_BEGINNING INT64_C(-2) /* start where the log starts */

enum lane_answer {
    LANE_IN,       /* every row of the request is in; of a seal: every row of the file */
    LANE_TAKEN,    /* every row of the request is in the file under way; what becomes of them is the seal's answer */
    LANE_BAD_ROWS, /* nothing is in; bad_rows names those that never will be: lane->drop_rows, then send again */
    LANE_SURPRISE, /* what is in is not known: recover */
    LANE_PAUSE,    /* nothing is in; the same request again after a pause (locked, disk full, throttled); err says why */
    LANE_STOP,     /* nothing is in, and a person must act; the partition stops, loudly */
};

#define LANE_NO_CUT INT64_MAX

/* What recovery found: where the lane goes on. */
struct lane_place {
    int64_t start; /* the first message that is not in; LANE_OFFSET_BEGINNING */
    /* A file begun by an earlier owner goes from start to exactly here (rule D2); LANE_NO_CUT. No batch crosses the cut, and each of
     * them, even one without a row, is to be taken (LANE_TAKEN). After the seal's IN there is no cut any more. */
    int64_t cut;
    /* Rule C6: the history holds rows although this partition has no commit. Right only if another partition of the topic has
     * one, which the worker asks Kafka for after the history was asked; else the commits are lost, and a person must act. */
    bool needs_commit_of_topic;
};

/* One message of a batch. All its rows were decoded once, so their Avro bytes are whole. Borrowed until request_free. */
struct warehouse_row {
    const struct schema *schema;
    const uint8_t *value; /* the Avro bytes behind the frame: a destination that loads Avro takes them as they are */
    size_t value_size;
    int64_t offset;
};

struct warehouse_batch {
    const struct warehouse_row *rows;
    size_t row_count; /* 0: only the end moves (duplicates, dead letters, transaction markers); nothing to write may answer IN at once */
    int64_t start;    /* the end of the batch before; of the first one what recover answered, LANE_OFFSET_BEGINNING included */
    int64_t end;      /* one past the last: duplicates and dead letters just lie inside [start, end) */
    int64_t behind;   /* messages of the partition that are known to stand behind the batch: the backlog */
    int32_t topic_partitions; /* how many partitions the topic has */
};

/* A batch is sent as soon as it reaches one of them. */
struct batch_limits {
    size_t rows; /* messages, those that become no rows too */
    size_t bytes;
    uint64_t age_ms;
};

typedef void (*lane_recovered)(void *context, const struct lane_place *place, const struct err *err); /* err NULL: go on from place */
typedef void (*lane_ensured)(void *context, const struct err *err);
typedef void (*lane_sent)(void *context, enum lane_answer answer, const size_t *bad_rows, size_t bad_row_count, const struct err *err);

struct warehouse_calls {
    struct lane *(*open)(struct warehouse *warehouse, const char *topic, int32_t partition, uint64_t assignment);
    /* mark: the metadata of the committed offset ("" if none), committed: the offset or -1001. */
    void (*recover)(struct lane *lane, int64_t committed, const char *mark, lane_recovered answer, void *context);
    /* Table and columns exist as this schema needs them; views too. Several workers at once are fine. */
    void (*ensure)(struct lane *lane, const struct schema *schema, lane_ensured answer, void *context);
    /* Behind ensure, and before each plan: does the lane have what the batch's way needs (a write stream)? true: yes, and no answer
     * comes. false: it is being made, and answered as ensure is. NULL: no way needs anything. */
    bool (*prepare)(struct lane *lane, const struct warehouse_batch *batch, lane_ensured answer, void *context);
    /* No I/O. The rows stay where they are until request_free. NULL and err: ERR_POISON names the row by *ret_bad_row (it will never be writable), else ERR_FATAL. */
    struct request *(*plan)(struct lane *lane, const struct warehouse_batch *batch, size_t *ret_bad_row, struct err *err);
    /* Must a commit with the mark be acknowledged before send? */
    bool mark_before_send;
    /* What a commit must say now; borrowed until the next call on this lane. "" is fine. */
    const char *(*mark)(struct lane *lane);
    void (*send)(struct lane *lane, struct request *request, lane_sent answer, void *context);
    /* Can the batch go the lane's way while its file is under way? false: the worker seals the file first, and plans the batch behind
     * it. Asked only between the first LANE_TAKEN and the seal, and not before a cut. NULL as seal. */
    bool (*fits)(struct lane *lane, const struct warehouse_batch *batch);
    /* The file under way ends before the offset `end`, which is the end of the last batch taken. Its mark, from now on, is the
     * file's intent. No I/O, never fails. NULL where no lane ever answers LANE_TAKEN. */
    struct request *(*seal)(struct lane *lane, int64_t end);
    /* When the file under way is to be sealed at the latest, by uv_now; 0: at once, UINT64_MAX: there is none. NULL as seal. */
    uint64_t (*seal_due_ms)(struct lane *lane);
    /* What a batch may grow to before it is sent: asked when it begins, and again when the one before it was taken into a file. The
     * limits given are the settings'. NULL: they are right. */
    void (*limit)(struct lane *lane, struct batch_limits *limits);
    /* Takes rows out of the request, which may then be sent again. Indexes, here and in bad rows, are always those of the planned
     * batch, also after earlier drops. */
    void (*drop_rows)(struct lane *lane, struct request *request, const size_t *rows, size_t row_count);
    void (*request_free)(struct request *request);
    /* Memory that the request holds, for the worker's budget; NULL: not worth counting. */
    size_t (*request_bytes)(const struct request *request);
    /* What the lane waits for, of a question that it has not answered yet: "an answer of AppendRows, for 40 s". False: nothing that
     * people must know. For the health check, and NULL where every answer comes soon. */
    bool (*waits_for)(const struct lane *lane, char *text, size_t size);
    /* Asynchronous, last; every call under way (recover, ensure, send) is answered before `closed`. */
    void (*close)(struct lane *lane, void (*closed)(void *context), void *context);
    /* How many partitions the group reads, all topics and workers together: known soon after the start, and told again and again.
     * NULL: of no use here. */
    void (*group)(struct warehouse *warehouse, int32_t partitions);
    /* What a table is now (newest_schemas.h): told of every table of the source soon after the start, and when it changes. Rows of it may
     * come later, or never to this worker. Borrowed until the last lane is closed. NULL: of no use here. */
    void (*newest)(struct warehouse *warehouse, const struct schema *schema);
    json_t *(*status)(struct warehouse *warehouse);
    /* What is wrong beside the lanes, holds up no row, and a person must know (a view): why, and what to do. For the health check;
     * false: nothing. NULL: nothing ever is. */
    bool (*trouble)(struct warehouse *warehouse, char *text, size_t size);
    void (*free)(struct warehouse *warehouse, void (*freed)(void *context), void *context); /* all lanes are closed */
};

struct warehouse {
    const struct warehouse_calls *calls;
    const char *name;           /* "sqlite": the end of the group id */
    uint64_t surprise_first_ms; /* the pause before the recovery after a surprise, doubled with each in a row; 0: the worker's own */
};

#endif
