/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka: what both programs do alike with librdkafka: build a configuration from settings, route its log to ours, sort its errors.
 *
 * Order of precedence: our defaults (the memory budgets) < kafka.* < producer.kafka.* / worker.kafka.* < what correctness fixes
 * (a pass-through of one of these keys, or a value above a memory ceiling, is a settings error).
 */
#ifndef KAKEHI_COMMON_KAFKA_H
#define KAKEHI_COMMON_KAFKA_H

#include <librdkafka/rdkafka.h>

#include "common/err.h"
#include "common/text_list.h"

/* Properties in rising precedence; each later list wins. Ends with NULL. Any refused property: ERR_FATAL with librdkafka's words.
 * The caller owns the result until rd_kafka_new takes it. */
int kafka_conf_new(const struct text_pairs *const *lists, rd_kafka_conf_t **ret_conf, struct err *err) MUST_CHECK;

/* The one table that sorts librdkafka's codes into retry / fatal. */
enum err_class kafka_error_class(rd_kafka_resp_err_t code);
/* Sets err from a code ("Broker: Not leader ...") with the class of the table; returns -1. */
int kafka_err_set(struct err *err, rd_kafka_resp_err_t code, const char *doing);

/* The parts joined by '|', which no name may hold (rule A10). Writes into `out`; fails if it does not fit 249 bytes. */
int kafka_join(char *out, size_t size, const char *const *parts, struct err *err) MUST_CHECK;

#endif
