/* SPDX-License-Identifier: Apache-2.0 */
/*
 *            begin
 *   IDLE ------------> each step is taken when the one before needs nothing more:
 *     ^                  BURY    its dead letters are acknowledged (so no offset passes a letter that could be lost)
 *     |                  ENSURE  the warehouse is ready for the schema of each row, and then for the batch
 *     |                  (plan)  no wait; a row that can't be planned is buried, and the rest planned again
 *     |                  MARK    the commit that names the request is acknowledged, where the warehouse wants that
 *     |                  SEND    answered
 *     |                  REST    a pause before the same step again
 *     +--landed (IN)--taken (TAKEN)--failed (SURPRISE, STOP, given up)
 *
 * The seal of a file comes planned: it begins at MARK.
 *
 * | state  | waits for            | under way at the lane |
 * | IDLE   | begin                | nothing               |
 * | BURY   | on_buried, each      | nothing               |
 * | ENSURE | the lane             | ensure, or prepare    |
 * | MARK   | on_marked            | nothing               |
 * | SEND   | the lane             | send                  |
 * | REST   | again_ms             | nothing               |
 *
 * F1  A batch and its request exist outside IDLE only.
 * F2  The request that is sent again is the one that was sent: it is planned once, and only drop_rows changes it (rule C3).
 * F3  Where the warehouse wants its mark first, nothing is sent before the commit of that mark was acknowledged (section 5, step 4).
 *
 * Deliberately absent: a limit on pauses. A disk that is full at night is emptied in the morning; the health check says how long.
 */
#include "workers/flight.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/log.h"
#include "common/must.h"

#define PAUSE_FIRST_MS 500
#define PAUSE_MAX_MS   30000

enum { IDLE, BURY, ENSURE, MARK, SEND, REST };

#define ONWARD (SM_TO(BURY) | SM_TO(ENSURE) | SM_TO(MARK) | SM_TO(SEND) | SM_TO(IDLE))

static const struct sm_state states[] = {
    [IDLE] = {"IDLE", ONWARD},
    [BURY] = {"BURY", ONWARD},
    [ENSURE] = {"ENSURE", ONWARD | SM_TO(REST)},
    [MARK] = {"MARK", SM_TO(SEND) | SM_TO(IDLE)},
    [SEND] = {"SEND", SM_TO(BURY) | SM_TO(REST) | SM_TO(IDLE)},
    [REST] = {"REST", ONWARD},
};

static bool invariant(const struct sm *machine)
{
    const struct flight *flight = (const struct flight *)((const char *)machine - offsetof(struct flight, sm));

    return sm_at(machine) != IDLE || (flight->_batch == NULL && flight->_request == NULL); /* F1 */
}

void flight_init(struct flight *flight, const char *id, const struct flight_calls *calls, void *context, const struct warehouse_calls *warehouse,
                 struct lane *lane)
{
    *flight = (struct flight){._id = id, ._calls = calls, ._context = context, ._warehouse = warehouse, ._lane = lane};
    sm_init(&flight->sm, "flight", id, states, IDLE, invariant);
}

void flight_deinit(struct flight *flight)
{
    must(flight_idle(flight));
    free(flight->_ready);
}

bool flight_idle(const struct flight *flight)
{
    return sm_at(&flight->sm) == IDLE;
}

const struct batch *flight_batch(const struct flight *flight)
{
    return flight->_batch;
}

/* Back to IDLE; the batch is the caller's again. */
static struct batch *end(struct flight *flight, const char *why)
{
    struct batch *batch = flight->_batch;

    if (flight->_request != NULL) {
        flight->_warehouse->request_free(flight->_request);
    }
    free(flight->_refused);
    flight->_refused = NULL;
    flight->_refused_count = 0;
    flight->_batch = NULL;
    flight->_request = NULL;
    flight->_marked = false;
    flight->_given_up = false;
    flight->_sealing = false;
    flight->again_ms = 0;
    flight->trouble.class = ERR_NONE;
    sm_move(&flight->sm, IDLE, why);
    return batch;
}

static void fail(struct flight *flight, enum flight_failure failure, const struct err *err)
{
    static const char *const why[] = {"surprise", "stop", "given up"};

    flight->_ready_count = 0; /* behind the recovery, too, the warehouse is asked before rows are planned: what was ready may be gone */
    flight->_calls->failed(flight->_context, end(flight, why[failure]), failure, err);
}

static void land(struct flight *flight, enum lane_answer answer)
{
    flight->_pauses = 0;
    if (answer == LANE_IN) {
        flight->_calls->landed(flight->_context, end(flight, "in"));
    } else {
        flight->_calls->taken(flight->_context, end(flight, "taken into the file"));
    }
}

/* People hear of the first pause, and of a new reason. */
static void rest(struct flight *flight, const struct err *err)
{
    if (flight->trouble.class == ERR_NONE || strcmp(flight->trouble.text, err->text) != 0) {
        log_warn("paused", "partition=%q then=%q reason=%q", flight->_id, "the same again", err->text);
    }
    flight->trouble = *err;
    flight->again_ms = flight->_calls->now_ms(flight->_context) + backoff_ms(++flight->_pauses, PAUSE_FIRST_MS, PAUSE_MAX_MS);
    sm_move(&flight->sm, REST, "again after a pause");
}

static bool is_ready(const struct flight *flight, const struct schema *schema)
{
    for (size_t i = flight->_ready_count; i > 0; i--) { /* the newest is the likely one */
        if (flight->_ready[i - 1] == schema) {
            return true;
        }
    }
    return false;
}

static const struct schema *first_unready(const struct flight *flight)
{
    const struct schema *last = NULL;

    for (size_t i = 0; i < flight->_batch->row_count; i++) {
        const struct schema *schema = flight->_batch->rows[i].schema;

        if (schema != last && !is_ready(flight, schema)) {
            return schema;
        }
        last = schema;
    }
    return NULL;
}

static void advance(struct flight *flight);

/* ENSURE is over. */
static void go_on(struct flight *flight, const struct err *err)
{
    must(sm_at(&flight->sm) == ENSURE);
    if (flight->_given_up) {
        fail(flight, FLIGHT_GIVEN_UP, NULL);
    } else if (err == NULL) {
        advance(flight);
    } else if (err->class == ERR_RETRY) {
        rest(flight, err);
    } else {
        fail(flight, FLIGHT_STOP, err);
    }
}

static void on_ensured(void *context, const struct err *err)
{
    struct flight *flight = context;
    const struct schema *schema = first_unready(flight);

    if (err == NULL) {
        flight->_ready = realloc(flight->_ready, (flight->_ready_count + 1) * sizeof(struct schema *));
        must(flight->_ready != NULL);
        flight->_ready[flight->_ready_count++] = schema;
    }
    go_on(flight, err);
}

static void on_prepared(void *context, const struct err *err)
{
    struct flight *flight = context;

    if (err != NULL) {
        flight->_ready_count = 0; /* it may be the table that is gone: that is for ensure to say */
    }
    go_on(flight, err);
}

static void bury_refused(struct flight *flight, const size_t *rows, size_t row_count, const struct err *err)
{
    struct batch *batch = flight->_batch;

    flight->_refused = realloc(flight->_refused, row_count * sizeof *flight->_refused);
    must(flight->_refused != NULL && row_count > 0);
    memcpy(flight->_refused, rows, row_count * sizeof *flight->_refused);
    flight->_refused_count = row_count;
    batch->dead_count += row_count;
    batch->letters_unacked += row_count;
    sm_move(&flight->sm, BURY, "rows refused");
    for (size_t i = 0; i < row_count; i++) {
        must(flight->_refused[i] < batch->row_count);
        flight->_calls->bury(flight->_context, batch, flight->_refused[i], err != NULL ? err->text : "refused by the warehouse");
    }
}

static void on_sent(void *context, enum lane_answer answer, const size_t *bad_rows, size_t bad_row_count, const struct err *err)
{
    struct flight *flight = context;

    must(sm_at(&flight->sm) == SEND);
    must(!flight->_sealing || (answer != LANE_TAKEN && answer != LANE_BAD_ROWS)); /* a seal holds no row of its own */
    if (answer == LANE_IN || (answer == LANE_TAKEN && !flight->_given_up)) {
        land(flight, answer);
    } else if (flight->_given_up) {
        fail(flight, FLIGHT_GIVEN_UP, err);
    } else if (answer == LANE_BAD_ROWS) {
        bury_refused(flight, bad_rows, bad_row_count, err);
    } else if (answer == LANE_PAUSE) {
        rest(flight, err);
    } else {
        fail(flight, answer == LANE_SURPRISE ? FLIGHT_SURPRISE : FLIGHT_STOP, err);
    }
}

static void drop_refused(struct flight *flight)
{
    if (flight->_refused_count > 0) {
        flight->_warehouse->drop_rows(flight->_lane, flight->_request, flight->_refused, flight->_refused_count);
        flight->_refused_count = 0;
        flight->_marked = false; /* the request has fewer rows than the mark says */
    }
}

/* False: it is being prepared. */
static bool is_prepared(struct flight *flight, const struct warehouse_batch *rows)
{
    if (flight->_warehouse->prepare == NULL || flight->_warehouse->prepare(flight->_lane, rows, on_prepared, flight)) {
        return true;
    }
    sm_move(&flight->sm, ENSURE, "its way is not ready");
    return false;
}

/* NULL: a row was buried instead (ERR_POISON), or the flight must fail. */
static struct request *plan(struct flight *flight, const struct warehouse_batch *rows, struct err *err)
{
    struct batch *batch = flight->_batch;
    size_t bad_row = 0;
    struct request *request = flight->_warehouse->plan(flight->_lane, rows, &bad_row, err);

    if (request != NULL) {
        batch_charge(batch, flight->_warehouse->request_bytes != NULL ? flight->_warehouse->request_bytes(request) : 0);
    } else if (err->class == ERR_POISON) {
        must(bad_row < batch->row_count);
        flight->_calls->bury(flight->_context, batch, bad_row, err->text);
        batch_remove_row(batch, bad_row);
    }
    return request;
}

/* Until the batch is planned. False: something is under way before, or the flight has failed. */
static bool plan_all(struct flight *flight)
{
    struct err err = {0};

    while (flight->_request == NULL && flight->_batch->letters_unacked == 0 && first_unready(flight) == NULL) {
        const struct warehouse_batch rows = batch_for_warehouse(flight->_batch);

        if (!is_prepared(flight, &rows)) {
            return false;
        }
        flight->_request = plan(flight, &rows, &err);
        if (flight->_request == NULL && err.class != ERR_POISON) {
            fail(flight, FLIGHT_STOP, &err);
            return false;
        }
    }
    return true;
}

/* Takes the next step that is needed; see the picture. */
static void advance(struct flight *flight)
{
    if (!plan_all(flight)) {
        return;
    }
    if (flight->_batch->letters_unacked > 0) {
        sm_move(&flight->sm, BURY, "dead letters under way");
    } else if (flight->_request == NULL) {
        sm_move(&flight->sm, ENSURE, "a schema is new here");
        flight->_warehouse->ensure(flight->_lane, first_unready(flight), on_ensured, flight);
    } else {
        drop_refused(flight);
        if (flight->_warehouse->mark_before_send && !flight->_marked) {
            sm_move(&flight->sm, MARK, "planned");
            flight->_calls->mark(flight->_context);
        } else {
            sm_move(&flight->sm, SEND, "planned");
            flight->_warehouse->send(flight->_lane, flight->_request, on_sent, flight);
        }
    }
}

void flight_begin(struct flight *flight, struct batch *batch)
{
    must(flight_idle(flight) && flight->_batch == NULL);
    flight->_batch = batch;
    advance(flight);
}

void flight_begin_seal(struct flight *flight, struct batch *batch)
{
    must(flight_idle(flight) && flight->_batch == NULL && batch_message_count(batch) == 0);
    flight->_batch = batch;
    flight->_sealing = true;
    flight->_request = flight->_warehouse->seal(flight->_lane, batch->end);
    advance(flight);
}

void flight_step(struct flight *flight)
{
    if (sm_at(&flight->sm) == REST && flight->_calls->now_ms(flight->_context) >= flight->again_ms) {
        flight->again_ms = 0;
        advance(flight);
    }
}

void flight_give_up(struct flight *flight)
{
    int state = sm_at(&flight->sm);

    if (state == ENSURE || state == SEND) {
        flight->_given_up = true;
    } else if (state != IDLE) {
        fail(flight, FLIGHT_GIVEN_UP, NULL);
    }
}

void flight_on_buried(struct flight *flight, uint64_t batch_number)
{
    if (flight->_batch == NULL || flight->_batch->number != batch_number) {
        return; /* of a batch that was dropped: it will be read, and buried, again */
    }
    must(flight->_batch->letters_unacked > 0);
    flight->_batch->letters_unacked--;
    if (sm_at(&flight->sm) == BURY && flight->_batch->letters_unacked == 0) {
        advance(flight);
    }
}

void flight_on_marked(struct flight *flight)
{
    if (sm_at(&flight->sm) == MARK) {
        flight->_marked = true;
        advance(flight); /* F3 */
    }
}
