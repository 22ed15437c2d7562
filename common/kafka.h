/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka: what both programs do alike with librdkafka: build a configuration from settings, route its log to ours, sort its
 * errors; and keep its waits from following the wall clock (kafka.c).
 *
 * Order of precedence: our defaults (the memory budgets) < kafka.* < producer.kafka.* / worker.kafka.* < what correctness fixes
 * (a pass-through of one of these keys, or a value above a memory ceiling, is a settings error).
 */
#ifndef KAKEHI_COMMON_KAFKA_H
#define KAKEHI_COMMON_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#include "common/err.h"
#include "common/text_list.h"

/* The memory budgets, to be the first of the lists of kafka_conf_new: of every handle that produces, and that consumes. */
extern const struct text_pairs kafka_producer_budget;
extern const struct text_pairs kafka_consumer_budget;

/* transaction.timeout.ms unless the settings say otherwise: an open transaction stops all readers of its partitions. */
#define KAFKA_TRANSACTION_TIMEOUT_MS "20000"

/* Where a topic that is read whole begins, with auto.offset.reset=earliest. RD_KAFKA_OFFSET_BEGINNING would say the same, but librdkafka asks
 * the leader what it is, and where it knows no leader yet, as at a start, it looks again only after half a second. */
#define KAFKA_OFFSET_FIRST 0

/* Properties in rising precedence; each later list wins. Ends with NULL. Any refused property: ERR_FATAL with librdkafka's
 * words. librdkafka's log lines come to ours as event "kafka" (warn at most: its owner decides what an error is). The caller
 * owns the result until rd_kafka_new takes it. */
int kafka_conf_new(const struct text_pairs *const *lists, rd_kafka_conf_t **ret_conf, struct err *err) MUST_CHECK;

/* May a user pass this property? Refuses (ERR_FATAL) what librdkafka does not know, with the nearest name; what correctness
 * fixes; what is above a budget; a value that librdkafka refuses. The text never holds the value of a secret. */
int kafka_property_check(const char *name, const char *value, struct err *err) MUST_CHECK;
/* Is its value a secret? */
bool kafka_property_is_secret(const char *name);

/* The one table that sorts librdkafka's codes into retry / poison / fatal / canceled. */
enum err_class kafka_error_class(rd_kafka_resp_err_t code);
/* Sets err from a code ("Broker: Not leader ...") with the class of the table; returns -1. */
static inline int kafka_err_set(struct err *err, rd_kafka_resp_err_t code, const char *doing)
{
    return err_set(err, kafka_error_class(code), "%s: %s", doing, rd_kafka_err2str(code));
}

/* The parts (ends with NULL) joined by '|', which no part may hold (rule A10). Fails if `out`, or Kafka's 249 bytes, are too
 * short. */
int kafka_join(char *out, size_t size, const char *const *parts, struct err *err) MUST_CHECK;

#endif
