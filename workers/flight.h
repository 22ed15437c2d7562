/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flight: one batch on its way into the warehouse, from sealed to answered. One is under way per partition.
 *
 * It knows the lane, but neither Kafka nor the partition: dead letters and the commit of a mark are asked of the owner, who alone
 * commits (rule C2). The batch goes in with flight_begin and comes back, once, with landed or failed.
 */
#ifndef KAKEHI_WORKERS_FLIGHT_H
#define KAKEHI_WORKERS_FLIGHT_H

#include "common/sm.h"
#include "workers/batch.h"
#include "workers/warehouse.h"

enum flight_failure {
    FLIGHT_SURPRISE, /* what is in is not known: recover */
    FLIGHT_STOP,     /* a person must act */
    FLIGHT_GIVEN_UP, /* flight_give_up, and nothing is known to be in */
};

struct flight_calls {
    uint64_t (*now_ms)(void *context);
    /* This row never will be written: to the dead letters. Answered by flight_on_buried. */
    void (*bury)(void *context, struct batch *batch, size_t row, const char *reason);
    /* Commit what lane->mark says now, and only answer flight_on_marked when that is acknowledged. */
    void (*mark)(void *context);
    void (*landed)(void *context, struct batch *batch); /* everything of it is in; takes the batch */
    void (*taken)(void *context, struct batch *batch);  /* everything of it is in the file under way; takes the batch */
    void (*failed)(void *context, struct batch *batch, enum flight_failure failure, const struct err *err); /* takes the batch */
};

struct flight {
    struct sm sm;
    const char *_id;
    const struct flight_calls *_calls;
    void *_context;
    const struct warehouse_calls *_warehouse;
    struct lane *_lane;
    struct batch *_batch;     /* owned while under way */
    struct request *_request; /* owned; NULL: not planned */
    bool _marked;             /* the commit that names the request is acknowledged */
    bool _given_up;
    bool _sealing;            /* the request is a seal */
    size_t *_refused; /* rows being buried that must leave the request before it is sent again */
    size_t _refused_count;
    const struct schema **_ready; /* schemas that the warehouse is ready for */
    size_t _ready_count;
    uint32_t _pauses;  /* in a row */
    uint64_t again_ms; /* when flight_step is due; 0: it waits for an answer */
    struct err trouble; /* of the last try; class ERR_NONE when all is well */
};

/* id, calls, warehouse and lane are borrowed. */
void flight_init(struct flight *flight, const char *id, const struct flight_calls *calls, void *context, const struct warehouse_calls *warehouse,
                 struct lane *lane);
void flight_deinit(struct flight *flight); /* idle */

bool flight_idle(const struct flight *flight);
void flight_begin(struct flight *flight, struct batch *batch); /* idle; takes the batch */
/* The seal of the file under way; the batch covers its range, and has no messages. Landed: the file is in. */
void flight_begin_seal(struct flight *flight, struct batch *batch); /* idle; takes the batch */
void flight_step(struct flight *flight);                       /* at again_ms */
/* Ends as soon as it can: at once, or with the answer that the lane owes. */
void flight_give_up(struct flight *flight);
const struct batch *flight_batch(const struct flight *flight); /* NULL: idle */

void flight_on_buried(struct flight *flight, uint64_t batch_number);
void flight_on_marked(struct flight *flight);

#endif
