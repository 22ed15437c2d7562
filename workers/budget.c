/* SPDX-License-Identifier: Apache-2.0 */
/* Two marks, the limit and its half: what lies between keeps its present answer. */
#include "workers/budget.h"

#include "common/must.h"

static void turn(struct budget *budget, bool tight)
{
    if (tight != budget->_tight) {
        budget->_tight = tight;
        if (budget->changed != NULL) {
            budget->changed(budget->context);
        }
    }
}

void budget_take(struct budget *budget, size_t bytes)
{
    budget->_used_bytes += bytes;
    if (budget->_used_bytes >= budget->limit_bytes) {
        turn(budget, true);
    }
}

void budget_give(struct budget *budget, size_t bytes)
{
    must(bytes <= budget->_used_bytes);
    budget->_used_bytes -= bytes;
    if (budget->_used_bytes <= budget->limit_bytes / 2) {
        turn(budget, false);
    }
}

bool budget_tight(const struct budget *budget)
{
    return budget->_tight;
}

size_t budget_used(const struct budget *budget)
{
    return budget->_used_bytes;
}
