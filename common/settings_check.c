/* SPDX-License-Identifier: Apache-2.0 */
/* Each rule is a few lines that name the key to change: a person reads the complaint, not this file. */
#include "common/settings_check.h"

#include <stdlib.h>
#include <string.h>

#include "common/kafka.h"

struct complaints {
    settings_complaint complain;
    void *context;
};

static void expect(const struct complaints *complaints, bool holds, const char *key, const char *words)
{
    if (!holds) {
        complaints->complain(complaints->context, key, words);
    }
}

static bool has_bootstrap(const struct text_pairs *pairs)
{
    return text_pairs_get(pairs, "bootstrap.servers") != NULL || text_pairs_get(pairs, "metadata.broker.list") != NULL;
}

/* librdkafka raises fetch.max.bytes to message.max.bytes (see kafka.c): a worker must not read a large one. */
static bool fetch_stays_bounded(const struct text_pairs *pairs)
{
    const char *message_bytes = text_pairs_get(pairs, "message.max.bytes");

    return message_bytes == NULL ||
           strtoll(message_bytes, NULL, 0) <= strtoll(text_pairs_get(&kafka_consumer_budget, "fetch.max.bytes"), NULL, 10);
}

/* The one in force for the producer's transactions. */
static int64_t transaction_timeout_ms(const struct settings *settings)
{
    const char *own = text_pairs_get(&settings->producer.kafka, "transaction.timeout.ms");
    const char *shared = text_pairs_get(&settings->kafka, "transaction.timeout.ms");

    return strtoll(own != NULL ? own : shared != NULL ? shared : KAFKA_TRANSACTION_TIMEOUT_MS, NULL, 0);
}

static void check_producer(const struct settings *settings, const struct complaints *complaints)
{
    expect(complaints, has_bootstrap(&settings->kafka) || has_bootstrap(&settings->producer.kafka), "kafka.bootstrap.servers",
           "is missing; it is the list of brokers, like broker1:9092,broker2:9092");
    expect(complaints, settings->source.host != NULL || settings->source.socket != NULL, "source.host",
           "is missing; give the server's host, or source.socket for a local one");
    expect(complaints, settings->source.host == NULL || settings->source.socket == NULL, "source.socket",
           "is given beside source.host; leave one of them out");
}

static void check_worker(const struct settings *settings, const struct complaints *complaints)
{
    expect(complaints, has_bootstrap(&settings->kafka) || has_bootstrap(&settings->worker.kafka), "kafka.bootstrap.servers",
           "is missing; it is the list of brokers, like broker1:9092,broker2:9092");
    expect(complaints, settings->warehouse != WAREHOUSE_SQLITE || settings->sqlite_file != NULL, "sqlite.file",
           "is missing; it is the database file that the rows go to");
    expect(complaints, settings->warehouse != WAREHOUSE_BIGQUERY || settings->bigquery.project != NULL, "bigquery.project",
           "is missing; it is the project that holds the datasets");
}

static bool every_view_is_base(const struct settings_bigquery *bigquery)
{
    bool all = false;

    for (size_t index = 0; index < bigquery->view.count; index++) {
        if (strcmp(bigquery->view.pairs[index].value, "base") != 0) {
            return false;
        }
        all = all || strcmp(bigquery->view.pairs[index].key, "*.*") == 0;
    }
    return all;
}

/* Rule F6: longer than the base's lag of two days, and one more. */
#define EXPIRATION_MIN_MS (4 * INT64_C(86400000))

static void check_bigquery(const struct settings_bigquery *bigquery, const struct complaints *complaints)
{
    expect(complaints, strstr(bigquery->table, "{table}") != NULL || strstr(bigquery->dataset, "{table}") != NULL, "bigquery.table",
           "does not hold {table}: all tables would have one name");
    expect(complaints, bigquery->partition_expiration_ms == 0 || every_view_is_base(bigquery), "bigquery.partition_expiration",
           "needs the view base for all tables (bigquery.view: {\"*.*\": base}); a row that does not change for that long would leave "
           "a plain view");
    expect(complaints, bigquery->partition_expiration_ms == 0 || bigquery->partition_expiration_ms >= EXPIRATION_MIN_MS,
           "bigquery.partition_expiration", "is shorter than 4d; a day's rows are merged into the base until two days after it");
    expect(complaints, !bigquery->require_partition_filter || every_view_is_base(bigquery), "bigquery.require_partition_filter",
           "needs the view base for all tables (bigquery.view: {\"*.*\": base}); a plain view reads every ingest day");
}

static bool is_plain_url(const char *url)
{
    return (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0) && strpbrk(url, "@?#, \t\r\n") == NULL;
}

static bool are_plain_urls(const struct text_list *urls)
{
    size_t plain = 0;

    while (plain < urls->count && is_plain_url(urls->texts[plain])) {
        plain++;
    }
    return plain == urls->count;
}

static void check_registry(const struct settings_registry *registry, const struct complaints *complaints)
{
    expect(complaints, are_plain_urls(&registry->urls), "registry.url",
           "is no plain URL; give it like https://registry.example:8081, with a base path if there is one, several as a list, and the user by "
           "registry.user");
    expect(complaints, registry->urls.count > 0 || (registry->user == NULL && registry->ca_file == NULL && registry->certificate_file == NULL),
           "registry.url", "is missing, though other settings of the registry are given");
    expect(complaints, (registry->user == NULL) == (registry->password == NULL), "registry.password",
           "and registry.user belong together; give both, or leave both out");
    expect(complaints, registry->user == NULL || strchr(registry->user, ':') == NULL, "registry.user", "holds a colon, which ends the name in basic authentication");
    expect(complaints, registry->key_file == NULL || registry->certificate_file != NULL, "registry.certificate_file",
           "is missing beside registry.key_file");
}

/* Whoever asks: the file serves both programs, and a rule broken for the other one is better known now. */
static void check_both(const struct settings *settings, const struct complaints *complaints)
{
    expect(complaints, settings->source.tls_ca == NULL || settings->source.tls != TLS_OFF, "source.tls_ca",
           "is given although source.tls is off; leave one of them out");
    expect(complaints, settings->producer.transaction_bytes <= settings->producer.memory_bytes, "producer.transaction.bytes",
           "is larger than producer.memory; a transaction must fit in");
    expect(complaints, 2 * settings->producer.transaction_age_ms <= transaction_timeout_ms(settings),
           "producer.transaction.age",
           "is more than half of kafka's transaction.timeout.ms; the broker would abort before the commit");
    expect(complaints, settings->worker.batch_bytes + settings->worker.dedupe_bytes <= settings->worker.memory_bytes,
           "worker.batch.bytes",
           "does not fit into worker.memory beside worker.dedupe.memory; make one of them smaller, or the memory larger");
    expect(complaints, settings->sqlite_table == NULL || strstr(settings->sqlite_table, "{table}") != NULL, "sqlite.table",
           "does not hold {table}: all tables would have one name");
    check_bigquery(&settings->bigquery, complaints);
    check_registry(&settings->registry, complaints);
    expect(complaints, settings->warehouse != WAREHOUSE_BIGQUERY || settings->worker.batch_bytes <= 4 * settings->bigquery.request_bytes,
           "bigquery.request", "is less than a quarter of worker.batch.bytes; a batch must go into four requests: make it larger, or the batch smaller");
    expect(complaints, fetch_stays_bounded(&settings->kafka), "kafka.message.max.bytes",
           "would raise the worker's fetch.max.bytes above its memory ceiling; set producer.kafka.message.max.bytes instead");
    expect(complaints, fetch_stays_bounded(&settings->worker.kafka), "worker.kafka.message.max.bytes",
           "would raise fetch.max.bytes above its memory ceiling; leave it out: rows of any size are read without it");
}

void settings_check(const struct settings *settings, enum settings_for who, settings_complaint complain, void *context)
{
    const struct complaints complaints = {complain, context};

    if (who & SETTINGS_FOR_PRODUCER) {
        check_producer(settings, &complaints);
    }
    if (who & SETTINGS_FOR_WORKER) {
        check_worker(settings, &complaints);
    }
    check_both(settings, &complaints);
}
