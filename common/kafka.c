/* SPDX-License-Identifier: Apache-2.0 */
/*
 * librdkafka knows several of its properties by two names. The tables below name both, since the name that is left out is the
 * way around the rule.
 *
 * Budgets: librdkafka's own defaults are 1 GB of queued rows a producer, 64 MB of fetched rows a consumer and 50 MB a broker.
 * Counted are bytes of keys and values; what librdkafka adds to each message, about 300 bytes, only a number of messages bounds: despite
 * its name queued.min.messages is where fetching stops.
 * Ours are ceilings; a user may go lower. fetch.max.bytes has a back door: librdkafka raises it to message.max.bytes of the
 * same handle, which people set for large rows. A consumer does not need that: a broker sends the first batch whole, whatever
 * its size (12 MB were read with these budgets). So settings_check refuses message.max.bytes above the fetch ceiling wherever a
 * worker would read it.
 *
 * Waits: librdkafka waits for its own threads' queues until a time of the wall clock, as C11's cnd_timedwait wants it. A wait that is under
 * way when that clock steps back by hours lasts hours longer, unless something comes into the queue: a consumer without rows misses its
 * heartbeats, a standby its turn, a transaction its commit. So the programs have a cnd_timedwait of their own, which librdkafka finds in
 * front of libc's: it waits by the monotonic clock for as long as the wall clock says that it is until then.
 */
#include "common/kafka.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <time.h>

#include "common/log.h"
#include "common/must.h"
#include "common/nearest.h"

#define JOINED_SIZE_MAX 249
#define NS_A_SECOND     1000000000L

/* ---- budgets and rules */

static struct text_pair producer_budget[] = {
    {"queue.buffering.max.kbytes", "16384"},
    {"queue.buffering.max.messages", "50000"},
};
static struct text_pair consumer_budget[] = {
    {"queued.max.messages.kbytes", "16384"},
    {"queued.min.messages", "30000"},
    {"fetch.max.bytes", "4194304"},
    {"max.partition.fetch.bytes", "524288"},
};
const struct text_pairs kafka_producer_budget = {producer_budget, 2};
const struct text_pairs kafka_consumer_budget = {consumer_budget, 4};

/* The same ceiling by librdkafka's other name. */
static const struct {
    const char *name;
    const char *means;
} budget_aliases[] = {{"fetch.message.max.bytes", "max.partition.fetch.bytes"}};

struct fixed {
    const char *name;
    const char *why;
};

static const char offsets_why[] = "offsets are committed only for rows that are in the warehouse";
static const char idempotence_why[] = "transactions need every replica's answer, once and in order";
static const char fixed_names_why[] = "it is made of prefix, source.name and worker.group";

static const struct fixed fixed_properties[] = {
    {"enable.auto.commit", offsets_why},
    {"auto.commit.enable", offsets_why},
    {"enable.auto.offset.store", offsets_why},
    {"auto.offset.reset", "a position that is gone is an error, never a jump"},
    {"enable.partition.eof", "the programs must see where a partition ends"},
    {"isolation.level", "rows of aborted transactions must not be seen"},
    {"transactional.id", fixed_names_why},
    {"group.id", fixed_names_why},
    {"acks", idempotence_why},
    {"request.required.acks", idempotence_why},
    {"enable.idempotence", idempotence_why},
    {"queuing.strategy", idempotence_why},
    {"delivery.report.only.error", "every row's answer is counted"},
    {"partitioner", "a key must stay on its partition, where other clients look for it as well"},
    {"test.mock.num.brokers", "rows would go to a broker that forgets them"},
};

static const char *const secret_properties[] = {
    "sasl.password", "sasl.oauthbearer.client.secret", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password",
};

bool kafka_property_is_secret(const char *name)
{
    for (size_t index = 0; index < sizeof secret_properties / sizeof secret_properties[0]; index++) {
        if (strcmp(secret_properties[index], name) == 0) {
            return true;
        }
    }
    return false;
}

static int check_fixed(const char *name, struct err *err)
{
    for (size_t index = 0; index < sizeof fixed_properties / sizeof fixed_properties[0]; index++) {
        if (strcmp(fixed_properties[index].name, name) == 0) {
            return err_set(err, ERR_FATAL, "can't be set: %s; leave it out", fixed_properties[index].why);
        }
    }
    return 0;
}

/* librdkafka reads numbers like strtol with base 0. */
static bool is_above(const char *name, const char *value, const char *ceiling)
{
    long long number = strtoll(value, NULL, 0);
    bool no_limit = number <= 0 && strcmp(name, "queue.buffering.max.messages") == 0;

    return no_limit || number > strtoll(ceiling, NULL, 10);
}

static int check_budget(const char *name, const char *value, struct err *err)
{
    const char *ceiling;

    for (size_t index = 0; index < sizeof budget_aliases / sizeof budget_aliases[0]; index++) {
        name = strcmp(budget_aliases[index].name, name) == 0 ? budget_aliases[index].means : name;
    }
    ceiling = text_pairs_get(&kafka_producer_budget, name);
    ceiling = ceiling != NULL ? ceiling : text_pairs_get(&kafka_consumer_budget, name);
    if (ceiling != NULL && is_above(name, value, ceiling)) {
        return err_set(err, ERR_FATAL, "is above its memory ceiling; take at most %s, or leave it out", ceiling);
    }
    return 0;
}

/* librdkafka tells the names of its properties only in the table that it prints: "name   | C/P | ...", a property a line. */
static void list_properties(struct text_list *names)
{
    char *table = NULL;
    size_t size;
    FILE *out = open_memstream(&table, &size);
    char *rest;

    must(out != NULL);
    rd_kafka_conf_properties_show(out);
    must(fclose(out) == 0);
    rest = table;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        size_t name_size = strcspn(line, " |");

        if (strchr(line, '|') != NULL && name_size > 0) {
            line[name_size] = '\0';
            text_list_add(names, line);
        }
    }
    free(table);
}

static int refuse_unknown(const char *name, struct err *err)
{
    struct text_list names = {0};
    struct nearest nearest;

    list_properties(&names);
    nearest_init(&nearest, name);
    for (size_t index = 0; index < names.count; index++) {
        nearest_offer(&nearest, names.texts[index]);
    }
    if (nearest.best != NULL) {
        (void)err_set(err, ERR_FATAL, "is not a property of librdkafka; did you mean %s?", nearest.best);
    } else {
        (void)err_set(err, ERR_FATAL, "is not a property of librdkafka");
    }
    text_list_deinit(&names);
    return -1;
}

int kafka_property_check(const char *name, const char *value, struct err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char words[256] = "";
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, words, sizeof words);

    rd_kafka_conf_destroy(conf);
    if (result == RD_KAFKA_CONF_UNKNOWN) {
        return refuse_unknown(name, err);
    }
    if (check_fixed(name, err) != 0) {
        return -1;
    }
    if (result != RD_KAFKA_CONF_OK) {
        return err_set(err, ERR_FATAL, "is refused by librdkafka: %s",
                       kafka_property_is_secret(name) ? "(not shown: a secret)" : words);
    }
    return check_budget(name, value, err);
}

/* ---- the configuration */

/* librdkafka reports as errors what it mends itself (a broker that went away); so nothing of it is above warn. CONFWARN tells
 * of a consumer's property given to a producer and the other way round: kafka.* serves both on purpose. */
static enum log_level level_of(int syslog_level, const char *facility)
{
    if (syslog_level >= 7 || strcmp(facility, "CONFWARN") == 0) {
        return LOG_DEBUG;
    }
    return syslog_level <= 4 ? LOG_WARN : LOG_INFO;
}

static void on_log(const rd_kafka_t *handle, int syslog_level, const char *facility, const char *text)
{
    log_event(level_of(syslog_level, facility), "kafka", "client=%q facility=%q text=%q",
              handle != NULL ? rd_kafka_name(handle) : "", facility, text);
}

static int set_all(rd_kafka_conf_t *conf, const struct text_pairs *list, struct err *err)
{
    char words[256];

    for (size_t index = 0; index < list->count; index++) {
        const struct text_pair *pair = &list->pairs[index];

        if (rd_kafka_conf_set(conf, pair->key, pair->value, words, sizeof words) != RD_KAFKA_CONF_OK) {
            return err_set(err, ERR_FATAL, "librdkafka refuses %s: %s", pair->key,
                           kafka_property_is_secret(pair->key) ? "(not shown: a secret)" : words);
        }
    }
    return 0;
}

int kafka_conf_new(const struct text_pairs *const *lists, rd_kafka_conf_t **ret_conf, struct err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    for (; *lists != NULL; lists++) {
        if (set_all(conf, *lists, err) != 0) {
            rd_kafka_conf_destroy(conf);
            return -1;
        }
    }
    rd_kafka_conf_set_log_cb(conf, on_log);
    *ret_conf = conf;
    return 0;
}

/* ---- errors */

/* What is not named here may work later, unchanged. */
enum err_class kafka_error_class(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return ERR_NONE;
    case RD_KAFKA_RESP_ERR__DESTROY:
    case RD_KAFKA_RESP_ERR__INTR:
        return ERR_CANCELED;

    /* This message will never fit, or is not one. */
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR__BAD_MSG:
        return ERR_POISON;

    /* Rights and identity. */
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
    case RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_SECURITY_DISABLED:
    /* The broker is too old, or forbids it. */
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
    /* What was asked for can't be. */
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS:
    case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    /* The record that we stood at is gone: to go on would be a guess. */
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        return ERR_FATAL;

    default:
        return ERR_RETRY;
    }
}

/* ---- names */

int kafka_join(char *out, size_t size, const char *const *parts, struct err *err)
{
    size_t limit = size <= JOINED_SIZE_MAX ? size : JOINED_SIZE_MAX + 1; /* with the NUL */
    size_t used = 0;

    must(size > 0);
    out[0] = '\0';
    for (size_t index = 0; parts[index] != NULL; index++) {
        size_t part_size = strlen(parts[index]);

        if (strchr(parts[index], '|') != NULL) {
            return err_set(err, ERR_FATAL, "the name %s holds a '|', which joins names", parts[index]);
        }
        if (used + part_size + (index > 0 ? 1 : 0) >= limit) {
            return err_set(err, ERR_FATAL, "the name that begins with %s is longer than %zu bytes", parts[0], limit - 1);
        }
        if (index > 0) {
            out[used++] = '|';
        }
        memcpy(out + used, parts[index], part_size + 1);
        used += part_size;
    }
    return 0;
}

/* ---- waits */

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t) && sizeof(cnd_t) >= sizeof(pthread_cond_t), "glibc has them be the same");

/* What is over gives a time before the monotonic clock began: that is over, too. */
static struct timespec on_monotonic_clock(const struct timespec *until)
{
    struct timespec wall, monotonic;
    long ns;

    must(clock_gettime(CLOCK_REALTIME, &wall) == 0 && clock_gettime(CLOCK_MONOTONIC, &monotonic) == 0);
    ns = until->tv_nsec - wall.tv_nsec + monotonic.tv_nsec; /* more than -1 s, less than 2 s */
    return (struct timespec){.tv_sec = until->tv_sec - wall.tv_sec + monotonic.tv_sec + (ns < 0 ? -1 : ns / NS_A_SECOND),
                             .tv_nsec = (ns + NS_A_SECOND) % NS_A_SECOND};
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until)
{
    const struct timespec end = on_monotonic_clock(until);

    switch (pthread_cond_clockwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, CLOCK_MONOTONIC, &end)) {
    case 0:
        return thrd_success;
    case ETIMEDOUT:
        return thrd_timedout;
    default:
        return thrd_error;
    }
}
