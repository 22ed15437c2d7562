/* SPDX-License-Identifier: Apache-2.0 */
/* Kafka first: without it nothing else is known. Then each table that the schemas tell of, then the warehouse. */
#include "workers/check.h"

#include <stdio.h>

#include "common/findings.h"
#include "common/kafka_check.h"
#include "common/registry_check.h"
#include "workers/bigquery/bigquery_check.h"
#include "workers/claims.h"
#include "workers/known_tables.h"
#include "workers/sqlite/sqlite_check.h"

static void check_table(const struct settings *settings, const struct table *table, struct claims *claims, struct findings *findings)
{
    char subject[1100];
    const char *owner;
    const char *taken = claims_take(claims, settings, table, &owner);

    (void)snprintf(subject, sizeof subject, "table %s.%s", table->database, table->name);
    if (taken != NULL) {
        finding(findings, FINDING_ERROR, subject,
                settings->warehouse == WAREHOUSE_SQLITE ? "put {database} into sqlite.table" : "choose other patterns in bigquery.dataset and bigquery.table",
                "its name %s in the warehouse is taken by %s", taken, owner);
    } else if (table->key_count == 0) {
        finding(findings, FINDING_WARNING, subject, "give it a primary key, then start its history anew",
                "it has no primary key: there is a history, in which an update is a delete and an insert, and no latest view");
    } else {
        finding(findings, FINDING_OK, subject, NULL, "%zu columns, a primary key of %zu", table->column_count, table->key_count);
    }
}

static void check_tables(const struct settings *settings, struct known_tables *tables, struct findings *findings)
{
    struct claims claims = {0};
    struct err err;

    if (known_tables_read(settings, tables, &err) != 0) {
        finding(findings, FINDING_ERROR, "schemas", "may the worker's user read the topic of schemas?", "%s", err.text);
        return;
    }
    for (size_t i = 0; i < tables->count; i++) {
        check_table(settings, tables->schemas[i]->table, &claims, findings);
    }
    claims_deinit(&claims);
}

int worker_check(const struct settings *settings, const struct check_options *options)
{
    struct findings *findings = findings_new(stdout, options->json);
    struct known_tables tables = {0};

    if (kafka_check(settings, &settings->worker.kafka, NULL, findings)) {
        check_tables(settings, &tables, findings);
    }
    registry_check(&settings->registry, findings);
    if (settings->warehouse == WAREHOUSE_SQLITE) {
        sqlite_check(settings, findings);
    } else {
        bigquery_check(settings, &tables, options, findings);
    }
    known_tables_deinit(&tables);
    return findings_end(findings);
}
