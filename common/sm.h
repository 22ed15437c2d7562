/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sm: the state of a thing, and where it may go from there.
 *
 * A machine is a table of states, each with the set of states that may follow. A move that the table does not hold is our own
 * mistake and aborts; so is a move after which the owner's invariant is false. Every move is traced with its reason (log level
 * debug, event "state"), which is what one reads first when something went wrong in production.
 */
#ifndef KAKEHI_COMMON_SM_H
#define KAKEHI_COMMON_SM_H

#include <stdbool.h>
#include <stdint.h>

struct sm;

struct sm_state {
    const char *name;
    uint32_t next; /* SM_TO(A) | SM_TO(B) ... */
};

#define SM_TO(state) (UINT32_C(1) << (state))

typedef bool (*sm_invariant)(const struct sm *machine);

struct sm {
    const char *_kind; /* "pipeline", "partition": for the trace */
    const char *_id;   /* borrowed: "shop", "kakehi.shop.orders/3" */
    const struct sm_state *_states;
    sm_invariant _invariant;
    int _state;
};

void sm_init(struct sm *machine, const char *kind, const char *id, const struct sm_state *states, int start,
             sm_invariant invariant);
int sm_at(const struct sm *machine);
const char *sm_name(const struct sm *machine);
void sm_move(struct sm *machine, int to, const char *why);

#endif
