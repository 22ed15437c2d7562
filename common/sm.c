/* SPDX-License-Identifier: Apache-2.0 */
/* A move is checked before it is made and the owner's invariant after it: what aborts here is our own mistake. */
#include "common/sm.h"

#include "common/log.h"
#include "common/must.h"

void sm_init(struct sm *machine, const char *kind, const char *id, const struct sm_state *states, int start,
             sm_invariant invariant)
{
    *machine = (struct sm){._kind = kind, ._id = id, ._states = states, ._invariant = invariant, ._state = start};
}

int sm_at(const struct sm *machine)
{
    return machine->_state;
}

const char *sm_name(const struct sm *machine)
{
    return machine->_states[machine->_state].name;
}

void sm_move(struct sm *machine, int to, const char *why)
{
    must(machine->_states[machine->_state].next & SM_TO(to));
    log_debug("state", "machine=%s id=%s from=%s to=%s why=%q", machine->_kind, machine->_id, sm_name(machine),
              machine->_states[to].name, why);
    machine->_state = to;
    must(machine->_invariant(machine));
}
