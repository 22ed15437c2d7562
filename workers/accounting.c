/* SPDX-License-Identifier: Apache-2.0 */
/* Each count is kept twice, for /status as a whole number and as a metric; both move in one function (P5). A book holds the accounts of a
 * table, one a partition. */
#include "workers/accounting.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/metrics.h"
#include "common/must.h"

#define LABELS .labels = {"table", "partition"}

static struct metric_family families[FATE_COUNT] METRIC_FAMILY = {
    [FATE_APPENDED] = {.name = "kakehi_rows_appended_total", .help = "Rows in the history.", .kind = METRIC_COUNTER, LABELS},
    [FATE_DEDUPLICATED] = {.name = "kakehi_rows_deduplicated_total", .help = "Messages dropped as duplicates in the log.", .kind = METRIC_COUNTER, LABELS},
    [FATE_FILTERED] = {.name = "kakehi_rows_filtered_total", .help = "Messages dropped by a filter: 0, since workers have no filter today.", .kind = METRIC_COUNTER, LABELS},
    [FATE_DEAD_LETTERED] = {.name = "kakehi_rows_dead_lettered_total", .help = "Messages given to the dead letters.", .kind = METRIC_COUNTER, LABELS},
    [FATE_ALREADY_IN] = {.name = "kakehi_rows_already_in_total", .help = "Rows found in the history after a recovery.", .kind = METRIC_COUNTER, LABELS},
};

static struct metric_family read_family METRIC_FAMILY = {
    .name = "kakehi_rows_read_total",
    .help = "Messages read, also those that were given back and read again.",
    .kind = METRIC_COUNTER,
    LABELS,
};

static struct metric_family bytes_family METRIC_FAMILY = {
    .name = "kakehi_rows_read_bytes_total",
    .help = "Keys and values of these messages, without what Kafka adds and its compression saves.",
    .kind = METRIC_COUNTER,
    LABELS,
};

static struct metric_family returned_family METRIC_FAMILY = {
    .name = "kakehi_rows_returned_total",
    .help = "Messages read and given back unsettled at a rebalance or recovery, to be read again.",
    .kind = METRIC_COUNTER,
    LABELS,
};

static struct metric_family in_flight_family METRIC_FAMILY = {
    .name = "kakehi_rows_in_flight",
    .help = "Messages read whose request has no answer yet.",
    .kind = METRIC_GAUGE,
    LABELS,
};

static struct metric_family freshness_family METRIC_FAMILY = {
    .name = "kakehi_freshness_seconds",
    .help = "From the commit at the source to the history, of the newest row that went in last.",
    .kind = METRIC_GAUGE,
    LABELS,
};

static struct metric_family lag_family METRIC_FAMILY = {
    .name = "kakehi_lag_messages",
    .help = "Messages of the partition that are not settled yet.",
    .kind = METRIC_GAUGE,
    LABELS,
};

static struct metric_family write_family METRIC_FAMILY = {
    .name = "kakehi_warehouse_commit_seconds",
    .help = "From a batch that is complete, or a load file that is, to the warehouse's word that all of it is in.",
    .kind = METRIC_HISTOGRAM,
    LABELS,
};

static const char *const fate_names[FATE_COUNT] = {"appended", "deduplicated", "filtered", "dead_lettered", "already_in"};

struct book {
    struct book *next;
    char *table;
    struct account *accounts;
    int64_t freshness_ms; /* of the partition that told it last; -1: nothing is in yet */
};

struct account {
    struct account *next; /* of the same table */
    struct book *book;
    int32_t partition;
    uint64_t read; /* without what was taken back */
    uint64_t fates[FATE_COUNT];
    uint64_t in_flight;
    struct metric *read_metric;
    struct metric *bytes_metric;
    struct metric *returned_metric;
    struct metric *fate_metrics[FATE_COUNT];
    struct metric *in_flight_metric;
    struct metric *freshness_metric;
    struct metric *lag_metric;
    struct metric *write_metric; /* NULL before the first: a histogram is 18 lines of the page */
};

struct accounting {
    struct book *books;
};

struct accounting *accounting_new(void)
{
    struct accounting *accounting = calloc(1, sizeof *accounting);

    must(accounting != NULL);
    return accounting;
}

static void free_book(struct book *book)
{
    while (book->accounts != NULL) {
        struct account *account = book->accounts;

        book->accounts = account->next;
        free(account);
    }
    free(book->table);
    free(book);
}

void accounting_free(struct accounting *accounting)
{
    while (accounting != NULL && accounting->books != NULL) {
        struct book *book = accounting->books;

        accounting->books = book->next;
        free_book(book);
    }
    free(accounting);
}

static struct book *open_book(struct accounting *accounting, const char *table)
{
    struct book *book = accounting->books;

    while (book != NULL && strcmp(book->table, table) != 0) {
        book = book->next;
    }
    if (book == NULL) {
        book = calloc(1, sizeof *book);
        must(book != NULL);
        book->table = must_strdup(table);
        book->freshness_ms = -1;
        book->next = accounting->books;
        accounting->books = book;
    }
    return book;
}

static struct metric *cell_of(const struct account *account, struct metric_family *family)
{
    char number[16];

    (void)snprintf(number, sizeof number, "%d", account->partition);
    return metric_cell(family, (const char *const[]){account->book->table, number});
}

static void open_metrics(struct account *account)
{
    account->read_metric = cell_of(account, &read_family);
    account->bytes_metric = cell_of(account, &bytes_family);
    account->returned_metric = cell_of(account, &returned_family);
    account->in_flight_metric = cell_of(account, &in_flight_family);
    account->freshness_metric = cell_of(account, &freshness_family);
    account->lag_metric = cell_of(account, &lag_family);
    metric_set(account->freshness_metric, NAN);
    metric_set(account->lag_metric, NAN);
    for (int fate = 0; fate < FATE_COUNT; fate++) {
        account->fate_metrics[fate] = cell_of(account, &families[fate]);
    }
}

struct account *accounting_open(struct accounting *accounting, const char *table, int32_t partition)
{
    struct book *book = open_book(accounting, table);
    struct account *account = book->accounts;

    while (account != NULL && account->partition != partition) {
        account = account->next;
    }
    if (account == NULL) {
        account = calloc(1, sizeof *account);
        must(account != NULL);
        account->book = book;
        account->partition = partition;
        open_metrics(account);
        account->next = book->accounts;
        book->accounts = account;
    }
    metric_set(account->in_flight_metric, (double)account->in_flight); /* it may have left before */
    return account;
}

static json_t *book_status(const struct book *book)
{
    uint64_t read = 0, fates[FATE_COUNT] = {0}, in_flight = 0;
    json_t *status = json_object();

    for (const struct account *account = book->accounts; account != NULL; account = account->next) {
        read += account->read;
        in_flight += account->in_flight;
        for (int fate = 0; fate < FATE_COUNT; fate++) {
            fates[fate] += account->fates[fate];
        }
    }
    json_object_set_new(status, "read", json_integer((json_int_t)read));
    for (int fate = 0; fate < FATE_COUNT; fate++) {
        json_object_set_new(status, fate_names[fate], json_integer((json_int_t)fates[fate]));
    }
    json_object_set_new(status, "in_flight", json_integer((json_int_t)in_flight));
    json_object_set_new(status, "freshness_ms", book->freshness_ms < 0 ? json_null() : json_integer(book->freshness_ms));
    return status;
}

json_t *accounting_status(const struct accounting *accounting)
{
    json_t *tables = json_object();

    for (const struct book *book = accounting->books; book != NULL; book = book->next) {
        json_object_set_new(tables, book->table, book_status(book));
    }
    return tables;
}

struct accounting_sums accounting_sums(const struct accounting *accounting)
{
    struct accounting_sums sums = {0};

    for (const struct book *book = accounting->books; book != NULL; book = book->next) {
        for (const struct account *account = book->accounts; account != NULL; account = account->next) {
            sums.settled += account->read - account->in_flight;
            sums.in_flight += account->in_flight;
            sums.dead_lettered += account->fates[FATE_DEAD_LETTERED];
        }
    }
    return sums;
}

static void fly(struct account *account, uint64_t in_flight)
{
    account->in_flight = in_flight;
    metric_set(account->in_flight_metric, (double)in_flight);
}

void account_read(struct account *account, uint64_t rows, uint64_t bytes)
{
    account->read += rows;
    metric_add(account->read_metric, (double)rows);
    metric_add(account->bytes_metric, (double)bytes);
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
    account->book->freshness_ms = age_ms > 0 ? age_ms : 0;
    metric_set(account->freshness_metric, (double)account->book->freshness_ms / 1000);
}

void account_write_took(struct account *account, uint64_t ms)
{
    if (account->write_metric == NULL) {
        account->write_metric = cell_of(account, &write_family);
    }
    metric_observe(account->write_metric, (double)ms / 1000);
}

void account_lag(struct account *account, int64_t messages)
{
    metric_set(account->lag_metric, (double)messages);
}

void account_leave(struct account *account)
{
    metric_set(account->lag_metric, NAN);
    metric_set(account->in_flight_metric, NAN);
    metric_set(account->freshness_metric, NAN);
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
