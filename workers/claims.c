/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite does not tell names apart by the case of their ASCII letters; BigQuery does. */
#include "workers/claims.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/must.h"
#include "workers/bigquery/names.h"
#include "workers/sqlite/names.h"

struct claim {
    struct claim *next;
    char *name;
    char *owner;
};

/* NULL: it was free. */
static const struct claim *take(struct claims *claims, const char *name, const char *owner)
{
    struct claim *claim = claims->_first;

    while (claim != NULL && strcmp(claim->name, name) != 0) {
        claim = claim->next;
    }
    if (claim != NULL) {
        return claim;
    }
    claim = calloc(1, sizeof *claim);
    must(claim != NULL);
    *claim = (struct claim){.next = claims->_first, .name = must_strdup(name), .owner = must_strdup(owner)};
    must(claim->name != NULL && claim->owner != NULL);
    claims->_first = claim;
    return NULL;
}

static const struct claim *take_sqlite(struct claims *claims, const struct settings *settings, const struct table *table, const char *owner)
{
    static const char *const endings[] = {"", SQLITE_HISTORY_SUFFIX};
    const struct claim *taken = NULL;

    for (size_t i = 0; i < 2 && taken == NULL; i++) {
        struct buffer name = {0};

        sqlite_append_view_name(&name, settings->sqlite_table, table);
        buffer_append_text(&name, endings[i]);
        for (size_t at = 0; at < name.size; at++) {
            name.bytes[at] = name.bytes[at] < 0x80 ? (uint8_t)tolower(name.bytes[at]) : name.bytes[at];
        }
        taken = take(claims, buffer_text(&name), owner);
        buffer_deinit(&name);
    }
    return taken;
}

/* Names that BigQuery does not take at all are a finding of bigquery_check's own. */
static const struct claim *take_bigquery(struct claims *claims, const struct settings *settings, const struct table *table, const char *owner)
{
    const struct claim *taken = NULL;
    struct bigquery_names names;
    struct err err;

    if (bigquery_names_init(&names, &settings->bigquery, table->database, table->name, &err) == 0) {
        const char *const all[] = {names.view, names.history, names.base, names.as_of};

        for (size_t i = 0; i < sizeof all / sizeof all[0] && taken == NULL; i++) {
            struct buffer name = {0};

            buffer_printf(&name, "%s.%s", names.dataset, all[i]);
            taken = take(claims, buffer_text(&name), owner);
            buffer_deinit(&name);
        }
        bigquery_names_deinit(&names);
    }
    return taken;
}

const char *claims_take(struct claims *claims, const struct settings *settings, const struct table *table, const char **ret_owner)
{
    struct buffer owner = {0};
    const struct claim *taken;

    buffer_printf(&owner, "%s.%s", table->database, table->name);
    taken = (settings->warehouse == WAREHOUSE_SQLITE ? take_sqlite : take_bigquery)(claims, settings, table, buffer_text(&owner));
    buffer_deinit(&owner);
    *ret_owner = taken != NULL ? taken->owner : NULL;
    return taken != NULL ? taken->name : NULL;
}

void claims_deinit(struct claims *claims)
{
    while (claims->_first != NULL) {
        struct claim *claim = claims->_first;

        claims->_first = claim->next;
        free(claim->name);
        free(claim->owner);
        free(claim);
    }
}
