/* SPDX-License-Identifier: Apache-2.0 */
/* A month has 30 days here. The default prices are the public list's on the day that stands beside them. */
#include "workers/bigquery/cost.h"

#include <stdlib.h>
#include <string.h>

#define MONTH_DAYS 30.0
#define GIB        1073741824.0
#define TIB        (1024 * GIB)

static int read_price(const char *name, const char *text, double *ret_price, struct err *err)
{
    char *end;

    *ret_price = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(*ret_price >= 0 && *ret_price < 1e9)) {
        return err_set(err, ERR_FATAL, "bigquery.prices.%s: %s is not a price like 0.025", name, text);
    }
    return 0;
}

int cost_prices_read(const struct settings_bigquery *settings, struct cost_prices *ret_prices, struct err *err)
{
    *ret_prices = (struct cost_prices){.append_gib = 0.025, .storage_gib_month = 0.02, .scan_tib = 6.25, .date = "2026-11-21"};
    for (size_t i = 0; i < settings->prices.count; i++) {
        const char *name = settings->prices.pairs[i].key, *value = settings->prices.pairs[i].value;
        double *price = strcmp(name, "append_gib") == 0          ? &ret_prices->append_gib
                        : strcmp(name, "storage_gib_month") == 0 ? &ret_prices->storage_gib_month
                        : strcmp(name, "scan_tib") == 0          ? &ret_prices->scan_tib
                                                                 : NULL;

        if (strcmp(name, "date") == 0) {
            ret_prices->date = value;
        } else if (price == NULL) {
            return err_set(err, ERR_FATAL, "bigquery.prices.%s is no price: take append_gib, storage_gib_month, scan_tib or date", name);
        } else if (read_price(name, value, price, err) != 0) {
            return -1;
        }
    }
    return 0;
}

struct cost cost_month(const struct cost_facts *facts, const struct cost_prices *prices)
{
    double month_bytes = facts->bytes_a_day * MONTH_DAYS;

    return (struct cost){
        .writing = facts->loads ? 0 : month_bytes / GIB * prices->append_gib,
        .storage = (facts->stored_bytes + month_bytes / 2) / GIB * prices->storage_gib_month,
        .queries = facts->query_bytes * facts->queries_a_day * MONTH_DAYS / TIB * prices->scan_tib,
        .refresh = facts->refresh_bytes * facts->refreshes_a_day * MONTH_DAYS / TIB * prices->scan_tib,
    };
}

double cost_sum(const struct cost *cost)
{
    return cost->writing + cost->storage + cost->queries + cost->refresh;
}
