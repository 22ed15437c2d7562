/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_check: what `check` of both programs asks of the schema registry: does it answer, does it let us in, does it know Avro, and what
 * will it refuse. Blocking calls: for commands only.
 */
#ifndef KAKEHI_COMMON_REGISTRY_CHECK_H
#define KAKEHI_COMMON_REGISTRY_CHECK_H

#include "common/findings.h"
#include "common/settings.h"

/* Settings without a registry: nothing to say. */
void registry_check(const struct settings_registry *settings, struct findings *findings);

#endif
