/* SPDX-License-Identifier: Apache-2.0 */
/*
 * election: which of several producers of one source is the active one.
 *
 * Rule A1: each source has a consumer group of its own, prefix|source|election, subscribed to the one partition of
 * <prefix>.positions; who is assigned it, owns the source. Nothing is read by it. This is a hint for liveness only: safety
 * comes from the transactional id, which fences whoever believes too long that it is the owner.
 */
#ifndef KAKEHI_PRODUCER_ELECTION_H
#define KAKEHI_PRODUCER_ELECTION_H

#include <uv.h>

#include "common/err.h"
#include "common/settings.h"

struct election;

struct election_calls {
    void *context;
    void (*owned)(void *context);
    void (*lost)(void *context);
    void (*failed)(void *context, const struct err *err); /* ERR_FATAL: a person must act */
};

int election_new(uv_loop_t *loop, const struct settings *settings, const struct election_calls *calls,
                 struct election **ret_election, struct err *err) MUST_CHECK;
/* Takes part. <prefix>.positions must exist. */
void election_join(struct election *election);
/* Somebody fenced us, so somebody else believes to be the owner: gives ownership up without a call of `lost`, and takes part
 * anew. */
void election_rejoin(struct election *election);
/* Asynchronous, last. Leaves the group, so that a standby takes over at once. */
void election_close(struct election *election, void (*closed)(void *context), void *context);

#endif
