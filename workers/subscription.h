/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subscription: which topics the group reads: `<prefix>.<database>.<table>`, and those that topics.topic gives a name of their own.
 */
#ifndef KAKEHI_WORKERS_SUBSCRIPTION_H
#define KAKEHI_WORKERS_SUBSCRIPTION_H

#include <stdbool.h>

#include "common/buffer.h"
#include "common/settings.h"

/* The regular expression for librdkafka's subscription, without the topics that have names of their own. */
void subscription_pattern(struct buffer *out, const char *prefix);

/* Does the group read this topic? Says what the pattern says, and knows the named ones too. */
bool subscription_has(const struct settings *settings, const char *topic);

#endif
