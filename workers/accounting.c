/* SPDX-License-Identifier: Apache-2.0 */
/* Each count is kept twice, for /status as a whole number and as a metric; both move in one function (P5). */
#include "workers/accounting.h"

#include <stdlib.h>
#include <string.h>

#include "common/metrics.h"
#include "common/must.h"

static struct metric_family families[FATE_COUNT] METRIC_FAMILY = {
    [FATE_APPENDED] = {.name = "kakehi_rows_appended_total", .help = "Rows in the history", .kind = METRIC_COUNTER, .labels = {"table"}},
    [FATE_DEDUPLICATED] = {.name = "kakehi_rows_deduplicated_total", .help = "Messages dropped as duplicates in the log", .kind = METRIC_COUNTER, .labels = {"table"}},
    [FATE_FILTERED] = {.name = "kakehi_rows_filtered_total", .help = "Messages dropped by a filter", .kind = METRIC_COUNTER, .labels = {"table"}},
    [FATE_DEAD_LETTERED] = {.name = "kakehi_rows_dead_lettered_total", .help = "Messages given to the dead letters", .kind = METRIC_COUNTER, .labels = {"table"}},
    [FATE_ALREADY_IN] = {.name = "kakehi_rows_already_in_total", .help = "Rows found in the history after a recovery", .kind = METRIC_COUNTER, .labels = {"table"}},
};
static struct metric_family read_family METRIC_FAMILY = {.name = "kakehi_rows_read_total", .help = "Messages read, also those that were given back and read again", .kind = METRIC_COUNTER, .labels = {"table"}};
static struct metric_family returned_family METRIC_FAMILY = {.name = "kakehi_rows_returned_total", .help = "Messages read and given back unsettled at a rebalance or recovery, to be read again: read - returned = appended + deduplicated + filtered + dead_lettered + already_in + in_flight", .kind = METRIC_COUNTER, .labels = {"table"}};
static struct metric_family in_flight_family METRIC_FAMILY = {.name = "kakehi_rows_in_flight", .help = "Messages read whose request has no answer yet", .kind = METRIC_GAUGE, .labels = {"table"}};
static struct metric_family freshness_family METRIC_FAMILY = {.name = "kakehi_freshness_seconds", .help = "From the commit at the source to the history, of the newest row", .kind = METRIC_GAUGE, .labels = {"table"}};

static const char *const fate_names[FATE_COUNT] = {"appended", "deduplicated", "filtered", "dead_lettered", "already_in"};

struct account {
    struct account *next;
    char *table;
    uint64_t read; /* without what was taken back */
    uint64_t fates[FATE_COUNT];
    uint64_t in_flight;
    int64_t freshness_ms; /* -1: nothing is in yet */
    struct metric *read_metric;
    struct metric *returned_metric;
    struct metric *fate_metrics[FATE_COUNT];
    struct metric *in_flight_metric;
    struct metric *freshness_metric;
};

struct accounting {
    struct account *first;
};

struct accounting *accounting_new(void)
{
    struct accounting *accounting = calloc(1, sizeof *accounting);

    must(accounting != NULL);
    return accounting;
}

void accounting_free(struct accounting *accounting)
{
    struct account *next;

    if (accounting == NULL) {
        return;
    }
    for (struct account *account = accounting->first; account != NULL; account = next) {
        next = account->next;
        free(account->table);
        free(account);
    }
    free(accounting);
}

static void open_metrics(struct account *account)
{
    const char *const labels[] = {account->table};

    account->read_metric = metric_cell(&read_family, labels);
    account->returned_metric = metric_cell(&returned_family, labels);
    account->in_flight_metric = metric_cell(&in_flight_family, labels);
    account->freshness_metric = metric_cell(&freshness_family, labels);
    for (int fate = 0; fate < FATE_COUNT; fate++) {
        account->fate_metrics[fate] = metric_cell(&families[fate], labels);
    }
}

struct account *accounting_table(struct accounting *accounting, const char *table)
{
    struct account *account = accounting->first;

    while (account != NULL && strcmp(account->table, table) != 0) {
        account = account->next;
    }
    if (account == NULL) {
        account = calloc(1, sizeof *account);
        must(account != NULL);
        account->table = strdup(table);
        must(account->table != NULL);
        account->freshness_ms = -1;
        open_metrics(account);
        account->next = accounting->first;
        accounting->first = account;
    }
    return account;
}

static json_t *account_status(const struct account *account)
{
    json_t *status = json_object();

    json_object_set_new(status, "read", json_integer((json_int_t)account->read));
    for (int fate = 0; fate < FATE_COUNT; fate++) {
        json_object_set_new(status, fate_names[fate], json_integer((json_int_t)account->fates[fate]));
    }
    json_object_set_new(status, "in_flight", json_integer((json_int_t)account->in_flight));
    json_object_set_new(status, "freshness_ms", account->freshness_ms < 0 ? json_null() : json_integer(account->freshness_ms));
    return status;
}

json_t *accounting_status(const struct accounting *accounting)
{
    json_t *tables = json_object();

    for (const struct account *account = accounting->first; account != NULL; account = account->next) {
        json_object_set_new(tables, account->table, account_status(account));
    }
    return tables;
}

static void fly(struct account *account, uint64_t in_flight)
{
    account->in_flight = in_flight;
    metric_set(account->in_flight_metric, (double)in_flight);
}

void account_read(struct account *account, uint64_t rows)
{
    account->read += rows;
    metric_add(account->read_metric, (double)rows);
    fly(account, account->in_flight + rows);
}

void account_settle(struct account *account, enum fate fate, uint64_t rows)
{
    must(rows <= account->in_flight);
    account->fates[fate] += rows;
    metric_add(account->fate_metrics[fate], (double)rows);
    fly(account, account->in_flight - rows);
}

void account_return(struct account *account, uint64_t rows)
{
    must(rows <= account->in_flight);
    account->read -= rows;
    metric_add(account->returned_metric, (double)rows);
    fly(account, account->in_flight - rows);
}

void account_freshness(struct account *account, int64_t age_ms)
{
    account->freshness_ms = age_ms > 0 ? age_ms : 0;
    metric_set(account->freshness_metric, (double)account->freshness_ms / 1000);
}

uint64_t account_rows_read(const struct account *account)
{
    return account->read;
}

uint64_t account_rows(const struct account *account, enum fate fate)
{
    return account->fates[fate];
}

uint64_t account_rows_in_flight(const struct account *account)
{
    return account->in_flight;
}
