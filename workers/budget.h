/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget: how many bytes of messages this worker holds (promise P6).
 *
 * It never refuses: a message that was read has its bytes already. It gets tight at the limit, and stays tight until half of it is
 * free again, so that reading does not flap; while it is tight nobody reads on and batches leave before their age. So the worker
 * holds at most the limit and one message, however large that is.
 */
#ifndef KAKEHI_WORKERS_BUDGET_H
#define KAKEHI_WORKERS_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

struct budget {
    size_t limit_bytes;
    void (*changed)(void *context); /* it got tight, or roomy again */
    void *context;
    size_t _used_bytes;
    bool _tight;
};

void budget_take(struct budget *budget, size_t bytes);
void budget_give(struct budget *budget, size_t bytes);
bool budget_tight(const struct budget *budget);
size_t budget_used(const struct budget *budget);

#endif
