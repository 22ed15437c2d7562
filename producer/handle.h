/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handle: librdkafka handles of the producer program, all made in one way: the memory budget, our defaults, what the settings
 * pass through, what correctness fixes; later ones win.
 */
#ifndef KAKEHI_PRODUCER_HANDLE_H
#define KAKEHI_PRODUCER_HANDLE_H

#include <librdkafka/rdkafka.h>

#include "common/err.h"
#include "common/settings.h"

struct handle_property {
    const char *name;
    const char *value;
};

/* defaults and fixed end with {0}. The caller owns the result until handle_new takes it. */
int handle_conf(rd_kafka_type_t type, const struct settings *settings, const struct handle_property *defaults,
                const struct handle_property *fixed, rd_kafka_conf_t **ret_conf, struct err *err) MUST_CHECK;
/* Takes conf, also when it fails. Free by rd_kafka_destroy. */
int handle_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **ret_handle, struct err *err) MUST_CHECK;
/* A consumer that is in no group and reads by assignment; isolation "read_committed" or "read_uncommitted" (watermarks follow
 * it). Also good for metadata and for making topics. */
int handle_reader(const struct settings *settings, const char *isolation, rd_kafka_t **ret_handle, struct err *err) MUST_CHECK;

#endif
