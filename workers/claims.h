/* SPDX-License-Identifier: Apache-2.0 */
/* claims: names in a warehouse, each taken by one table of the source; so that `check` finds two that want the same before they meet. */
#ifndef KAKEHI_WORKERS_CLAIMS_H
#define KAKEHI_WORKERS_CLAIMS_H

#include "common/settings.h"
#include "schemas/table.h"

struct claim;

struct claims {
    struct claim *_first;
};

/* Takes the names that the table has in the warehouse of the settings: its latest view, its history and what else stands beside them.
 * NULL: all were free. Else one that was not, and *ret_owner, the table that has it ("db.table"); both are borrowed from claims. */
const char *claims_take(struct claims *claims, const struct settings *settings, const struct table *table, const char **ret_owner);
void claims_deinit(struct claims *claims);

#endif
