/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wake: librdkafka's threads wake the loop when a queue that was empty gets something.
 *
 * librdkafka writes to the descriptor only at the step from empty to not empty: so whoever is called must empty its queues, or
 * say wake_again and go on in the next turn.
 */
#ifndef KAKEHI_WORKERS_WAKE_H
#define KAKEHI_WORKERS_WAKE_H

#include <librdkafka/rdkafka.h>
#include <uv.h>

#include "common/err.h"

struct wake;

int wake_new(uv_loop_t *loop, void (*on_wake)(void *context), void *context, struct wake **ret_wake, struct err *err) MUST_CHECK;
/* Of whatever handle; until wake_detach. */
void wake_attach(struct wake *wake, rd_kafka_queue_t *queue);
void wake_detach(rd_kafka_queue_t *queue);
void wake_again(struct wake *wake); /* from the loop's thread: on_wake is called in the next turn */
/* Asynchronous, last; every queue is detached. Takes NULL. */
void wake_close(struct wake *wake, void (*closed)(void *context), void *context);

#endif
